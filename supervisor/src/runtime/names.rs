//! Names, groups and patterns to services.

use std::collections::BTreeMap;

use supervisor_api::{ErrorBody, ErrorCode};
use supervisor_engine::ServiceId;

use crate::config::Config;

/// The names of services and groups.
#[derive(Debug)]
pub(crate) struct Names {
    services: BTreeMap<String, ServiceId>,
    groups: BTreeMap<String, Vec<ServiceId>>,
    /// The groups that each service is a member of, by its place.
    groups_of: Vec<Vec<String>>,
}

impl Names {
    pub(crate) fn new(config: &Config) -> Self {
        let services =
            (0..).map(ServiceId).zip(&config.services).map(|(id, s)| (s.spec.name.clone(), id));
        let mut groups_of = vec![Vec::new(); config.services.len()];
        for (name, group) in &config.groups {
            for member in &group.members {
                groups_of[member.index()].push(name.clone());
            }
        }
        let groups = config.groups.iter().map(|(name, g)| (name.clone(), g.members.clone()));
        Self { services: services.collect(), groups: groups.collect(), groups_of }
    }

    pub(crate) fn service(&self, name: &str) -> Option<ServiceId> {
        self.services.get(name).copied()
    }

    /// The groups that a service is a member of, sorted.
    pub(crate) fn groups_of(&self, id: ServiceId) -> &[String] {
        &self.groups_of[id.index()]
    }

    /// The services that a word means: a service, a group, `group:*`, `group:service`, a pattern
    /// with `*`, `?` and `[…]`, or `all`.
    pub(crate) fn find(&self, word: &str) -> Vec<ServiceId> {
        if let Some(id) = self.service(word) {
            return vec![id];
        }
        if let Some(members) = self.groups.get(word) {
            return members.clone();
        }
        if word == "all" {
            return self.services.values().copied().collect();
        }
        if let Some((group, member)) = word.rsplit_once(':')
            && let Some(members) = self.groups.get(group)
        {
            if matches!(member, "*" | "") {
                return members.clone();
            }
            let full = format!("{group}@{member}");
            let wanted = [self.service(member), self.service(&full)];
            return members.iter().copied().filter(|id| wanted.contains(&Some(*id))).collect();
        }
        // Supervisor's name for a service without a group is `name:name`.
        if let Some((group, member)) = word.split_once(':')
            && (group == member || member == "*")
            && let Some(id) = self.service(group)
        {
            return vec![id];
        }
        if word.contains(['*', '?', '[']) {
            let matching = self.services.iter().filter(|(name, _)| glob(word, name));
            return matching.map(|(_, id)| *id).collect();
        }
        Vec::new()
    }

    /// The services that all these words mean, in order, each once; an error if a word means none.
    pub(crate) fn find_all(&self, words: &[String]) -> Result<Vec<ServiceId>, ErrorBody> {
        let mut found = Vec::new();
        for word in words {
            let ids = self.find(word);
            if ids.is_empty() && word != "all" {
                return Err(self.unknown(word));
            }
            for id in ids {
                if !found.contains(&id) {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }

    /// The error for a name that nothing has.
    pub(crate) fn unknown(&self, word: &str) -> ErrorBody {
        let closest = self
            .services
            .keys()
            .chain(self.groups.keys())
            .map(|name| (distance(word, name), name))
            .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
            .min();
        ErrorBody {
            code: ErrorCode::UnknownService,
            message: format!("no service \"{word}\""),
            hint: closest.map(|(_, name)| format!("did you mean \"{name}\"?")),
            details: closest.map(|(_, name)| name.clone()).into_iter().collect(),
        }
    }
}

/// Whether a name matches a pattern of `glob(7)`: `*`, `?`, `[abc]`, `[a-z]`, `[!x]`.
///
/// Looks back to the last `*` only, so a hostile pattern costs at most the product of both lengths.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(pattern.get(p..).unwrap_or_default(), name[n]),
            Some(byte) if *byte == name[n] => Some(1),
            Some(_) | None => None,
        };
        match (step, star) {
            (Some(width), _) => {
                p += width;
                n += 1;
            }
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// Matches one byte with a bracket expression at the begin of `pattern`; its length if it matches.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let close = pattern.iter().skip(2).position(|b| *b == b']')? + 2;
    let inner = pattern.get(1..close)?;
    let (negated, inner) = match inner.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, inner),
    };
    let mut at = 0;
    let mut found = false;
    while at < inner.len() {
        if let [low, b'-', high] = inner.get(at..at + 3).unwrap_or_default() {
            found |= (*low..=*high).contains(&byte);
            at += 3;
        } else {
            found |= inner[at] == byte;
            at += 1;
        }
    }
    (found != negated).then_some(close + 1)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let cost = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, glob};

    #[test]
    fn patterns_match_as_a_shell_would() {
        for (pattern, name, expected) in [
            ("web@*", "web@1", true),
            ("web@*", "web", false),
            ("w?b", "web", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("*a*b", "xxaxxb", true),
            ("*a*b", "xxaxxbc", false),
            ("[", "[", false),
            ("**", "", true),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
        let hostile = "*a".repeat(500);
        assert!(!glob(&hostile, &"a".repeat(499)));
    }

    #[test]
    fn distances_are_counted_in_edits() {
        assert_eq!(distance("serach", "search"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("web", "web"), 0);
    }
}
