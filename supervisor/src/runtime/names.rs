//! Names, groups and patterns to services.

use std::collections::{BTreeMap, HashSet};

use supervisor_api::pattern::{is_pattern, matches};
use supervisor_api::{ErrorBody, ErrorCode};
use supervisor_engine::ServiceId;

use crate::config::Config;
use crate::suggest;

/// The names of services and groups.
#[derive(Debug)]
pub(crate) struct Names {
    services: BTreeMap<String, ServiceId>,
    groups: BTreeMap<String, Vec<ServiceId>>,
    /// The groups that each service is a member of, by its place.
    groups_of: Vec<Vec<String>>,
}

impl Names {
    /// The names of those services that are there.
    pub(crate) fn new(config: &Config, is_there: impl Fn(ServiceId) -> bool) -> Self {
        let services = (0..).map(ServiceId).zip(&config.services);
        let services = services.filter(|(id, _)| is_there(*id));
        let services = services.map(|(id, service)| (service.spec.name.clone(), id));
        let mut groups_of = vec![Vec::new(); config.services.len()];
        for (name, group) in &config.groups {
            for member in &group.members {
                groups_of[member.index()].push(name.clone());
            }
        }
        let groups = config.groups.iter().map(|(name, g)| (name.clone(), g.members.clone()));
        Self { services: services.collect(), groups: groups.collect(), groups_of }
    }

    /// A service is gone, that no group has any more.
    pub(crate) fn forget(&mut self, name: &str) {
        self.services.remove(name);
    }

    pub(crate) fn service(&self, name: &str) -> Option<ServiceId> {
        self.services.get(name).copied()
    }

    /// The groups that a service is a member of, sorted.
    pub(crate) fn groups_of(&self, id: ServiceId) -> &[String] {
        &self.groups_of[id.index()]
    }

    /// Every service, in the order of names. Not what the word `all` means where something is named
    /// so.
    pub(crate) fn all(&self) -> Vec<ServiceId> {
        self.services.values().copied().collect()
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
            return self.all();
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
        if is_pattern(word) {
            let matching = self.services.iter().filter(|(name, _)| matches(word, name));
            return matching.map(|(_, id)| *id).collect();
        }
        Vec::new()
    }

    /// The services that all these words mean, in order, each once; an error if a word means none.
    pub(crate) fn find_all(&self, words: &[String]) -> Result<Vec<ServiceId>, ErrorBody> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for word in words {
            let ids = self.find(word);
            if ids.is_empty() && word != "all" {
                return Err(self.unknown(word));
            }
            found.extend(ids.into_iter().filter(|id| seen.insert(*id)));
        }
        Ok(found)
    }

    /// The error for a name that nothing has.
    pub(crate) fn unknown(&self, word: &str) -> ErrorBody {
        let names = self.services.keys().chain(self.groups.keys()).map(String::as_str);
        let closest = suggest::nearest(word, names);
        ErrorBody {
            code: ErrorCode::UnknownService,
            message: format!("no service \"{word}\""),
            hint: closest.map(|name| format!("did you mean \"{name}\"?")),
            details: closest.map(str::to_owned).into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests;
