//! Every example loads.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Output, TestDir, supervisord};

#[test]
fn every_example_passes_the_check() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = specs(&examples);
    assert!(!files.is_empty(), "no examples in {}", examples.display());
    let dir = TestDir::new();
    let faults: Vec<String> = files
        .iter()
        .filter_map(|file| {
            let output = Output::of(supervisord(dir.path()).arg("--check").arg("-c").arg(file));
            (output.code != 0).then(|| format!("{}: {}", file.display(), output.stderr))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// All `*.toml` below a directory, but for those that another file takes in from a `….d` beside it.
fn specs(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![dir.to_owned()];
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() && extension != Some("d") {
                queue.push(path);
            } else if path.is_file() && extension == Some("toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
