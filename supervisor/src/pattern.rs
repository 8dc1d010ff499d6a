//! Shell patterns: `*`, `?` and `[…]`, in names of services and of files.

/// Whether a word is a pattern, not a name.
pub(crate) fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

/// Whether the whole name matches (`glob(7)`). A `[` without its `]` stands for itself.
///
/// Goes back to the last `*` only, so that no pattern takes more than quadratic time.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], name[n]) {
            p += length;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The length of what matches this one character at the start of the pattern.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => {
            let Some(end) = pattern.iter().skip(2).position(|c| *c == ']').map(|at| at + 2) else {
                return (c == '[').then_some(1);
            };
            let negated = matches!(pattern[1], '!' | '^') && end > 2;
            let set = &pattern[1 + usize::from(negated)..end];
            (in_set(set, c) != negated).then_some(end + 1)
        }
        other => (*other == c).then_some(1),
    }
}

fn in_set(mut set: &[char], c: char) -> bool {
    while let Some((first, rest)) = set.split_first() {
        if let ['-', last, rest @ ..] = rest {
            if (*first..=*last).contains(&c) {
                return true;
            }
            set = rest;
        } else {
            if *first == c {
                return true;
            }
            set = rest;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name) in [
            ("", ""),
            ("*", ""),
            ("**", "a"),
            ("*.toml", "a.toml"),
            ("web@*", "web@1"),
            ("w[eo]b@?", "web@1"),
            ("?b*", "abc"),
            ("?", "é"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("[^a]x", "bx"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("*a*b", "aab"),
            ("[x", "[x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("a", "ab"),
            ("?", ""),
            ("*.toml", "a.tom"),
            ("web@*", "web"),
            ("[!a]x", "ax"),
            ("[a-c]", "d"),
            ("*a*b", "xxaxxbc"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_others() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
    }
}
