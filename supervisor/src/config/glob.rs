//! The globs of `include`: `*`, `?` and `[…]` within each part of a path.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Whether it names files by a pattern.
pub(super) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// What matches below `base`, sorted. Names that begin with a dot are only found by a pattern that
/// does too. A directory that is not there holds nothing; one that cannot be read is an error.
pub(super) fn expand(base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![base.to_owned()];
    for part in Path::new(pattern).components() {
        let name = part.as_os_str().to_string_lossy();
        if !matches!(part, Component::Normal(_)) || !is_glob(&name) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let pattern: Vec<char> = name.chars().collect();
        let mut next = Vec::new();
        for directory in found {
            next.extend(matching(&directory, &pattern)?);
        }
        found = next;
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    found.sort();
    Ok(found)
}

fn matching(directory: &Path, pattern: &[char]) -> io::Result<Vec<PathBuf>> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name: Vec<char> = entry.file_name().to_string_lossy().chars().collect();
        let hidden = name.first() == Some(&'.') && pattern.first() != Some(&'.');
        if !hidden && matches(pattern, &name) {
            found.push(directory.join(entry.file_name()));
        }
    }
    Ok(found)
}

/// Goes back to the last `*` only, so that no pattern takes more than quadratic time.
fn matches(pattern: &[char], name: &[char]) -> bool {
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
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        matches(&chars(pattern), &chars(name))
    }

    #[test]
    fn patterns_match_names() {
        for (pattern, name) in [
            ("*.toml", "a.toml"),
            ("?b*", "abc"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("*a*b", "aab"),
            ("[x", "[x"),
            ("*", ""),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.toml", "a.tom"), ("[!a]x", "ax"), ("?", ""), ("a", "ab")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199)), "and it does not take for ever");
    }

    #[test]
    fn files_are_found_in_order_and_hidden_ones_are_not() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["b/x.toml", "a/x.toml", "a/.x.toml", "c"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
            std::fs::write(path, "").expect("it is written");
        }
        let found = expand(dir.path(), "*/*.toml").expect("it can be read");
        assert_eq!(found, [dir.path().join("a/x.toml"), dir.path().join("b/x.toml")]);
        assert!(expand(dir.path(), "none/*.toml").expect("that is no error").is_empty());
    }
}
