//! The globs of `include`: `*`, `?` and `[…]` within each part of a path.

use std::io;
use std::path::{Component, Path, PathBuf};

use supervisor_api::pattern::{is_pattern, matches};

/// What matches below `base`, sorted. Names that begin with a dot are only found by a pattern that
/// does too. A directory that is not there holds nothing; one that cannot be read is an error.
pub(super) fn expand(base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![base.to_owned()];
    for part in Path::new(pattern).components() {
        let name = part.as_os_str().to_string_lossy();
        if !matches!(part, Component::Normal(_)) || !is_pattern(&name) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let mut next = Vec::new();
        for directory in found {
            next.extend(matching(&directory, &name)?);
        }
        found = next;
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    found.sort();
    Ok(found)
}

fn matching(directory: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
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
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let hidden = name.starts_with('.') && !pattern.starts_with('.');
        if !hidden && matches(pattern, &name) {
            found.push(directory.join(entry.file_name()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

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
