//! Shell patterns: `*`, `?` and `[…]`, in names of services and of files.

/// Whether a word is a pattern, not a name.
pub fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

/// Whether `pattern` matches the whole of `name` (`glob(7)`). A `[` without its `]` stands for itself.
///
/// Goes back to the last `*` only, so that no pattern takes more than quadratic time.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut rest, mut left) = (pattern.as_slice(), name.as_slice());
    // Where to go on when what follows the last `*` does not match here.
    let mut retry: Option<(&[char], &[char])> = None;
    loop {
        if let [first, behind @ ..] = rest
            && *first == '*'
        {
            retry = Some((behind, left));
            rest = behind;
            continue;
        }
        match (one(rest), left) {
            (None, []) => return true,
            (Some((element, behind)), [next, others @ ..]) if element.admits(*next) => {
                (rest, left) = (behind, others);
            }
            _ => match retry {
                Some((behind, [_, others @ ..])) => {
                    retry = Some((behind, others));
                    (rest, left) = (behind, others);
                }
                _ => return false,
            },
        }
    }
}

/// What one character of the text must be.
enum One<'a> {
    Any,
    Exactly(char),
    Set { members: &'a [char], not: bool },
}

impl One<'_> {
    fn admits(&self, c: char) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(this) => *this == c,
            Self::Set { members, not } => contains(members, c) != *not,
        }
    }
}

/// The first element of a pattern that does not begin with `*`, and what follows it.
fn one(pattern: &[char]) -> Option<(One<'_>, &[char])> {
    let (first, behind) = pattern.split_first()?;
    if *first == '?' {
        return Some((One::Any, behind));
    }
    if *first == '[' {
        let (not, set) = match behind {
            ['!' | '^', set @ ..] => (true, set),
            set => (false, set),
        };
        // A `]` in front is a member.
        let end = set.iter().skip(1).position(|c| *c == ']').map(|at| at + 1);
        if let Some((members, [_, behind @ ..])) = end.and_then(|end| set.split_at_checked(end)) {
            return Some((One::Set { members, not }, behind));
        }
    }
    Some((One::Exactly(*first), behind))
}

fn contains(mut members: &[char], c: char) -> bool {
    loop {
        match members {
            [from, '-', to, others @ ..] => {
                if (*from..=*to).contains(&c) {
                    return true;
                }
                members = others;
            }
            [member, others @ ..] => {
                if *member == c {
                    return true;
                }
                members = others;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*c", "abbc"),
            ("a*b*c", "aXbYbZc"),
            ("**", "a"),
            ("?", "é"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[^a]x", "bx"),
            ("[]]", "]"),
            ("[!]]", "a"),
            ("[a-]", "-"),
            ("[", "["),
            ("[x", "[x"),
            ("*a*b", "aab"),
            ("*.toml", "a.toml"),
            ("w[eo]b@*", "web@1"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("?", ""),
            ("a", "b"),
            ("a*c", "abb"),
            ("[a-c]", "d"),
            ("[!a-c]", "a"),
            ("[!]]", "]"),
            ("*a*b", "xxaxxbc"),
            ("*.toml", "a.tom"),
            ("ab", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
    #[test]
    fn a_hostile_pattern_takes_no_longer_than_others() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
    }
}
