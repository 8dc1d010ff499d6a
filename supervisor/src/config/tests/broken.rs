//! Broken specs, each with the message that it is answered with beside it. `UPDATE=1` writes them.

use std::fs;
use std::path::Path;

use super::{load, options};

#[test]
fn every_broken_spec_is_answered_with_all_that_is_wrong() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/broken");
    let mut seen = 0;
    let mut differing = Vec::new();
    for entry in fs::read_dir(&directory).expect("the directory is there") {
        let name = entry.expect("it can be read").file_name();
        let name = name.to_str().expect("the names are plain");
        let is_directory = directory.join(name).join("supervisor.toml").exists();
        let stem = name.strip_suffix(".toml").unwrap_or(name);
        let spec = match name {
            _ if stem != name => name.to_owned(),
            _ if is_directory => format!("{name}/supervisor.toml"),
            _ if name.ends_with("-directory") => name.to_owned(),
            _ => continue,
        };
        seen += 1;
        let error = load(&options(&directory, &spec)).expect_err(name);
        for fault in error.faults() {
            let placed = fault.location.is_some() || fault.message.starts_with("cannot read");
            if !placed {
                differing.push(format!("{name}: {} has no place", fault.message));
            }
            // What the TOML parser expected stands in its message.
            let helps = fault.hint.is_some() || fault.message.contains(", expected ");
            if !helps {
                differing.push(format!("{name}: {} does not help", fault.message));
            }
        }
        let expected = directory.join(format!("{stem}.stderr"));
        let text = format!("{error}\n");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&expected, &text).expect("it is written");
        } else if fs::read_to_string(&expected).ok().as_deref() != Some(&text) {
            differing.push(format!("{}:\n{text}", expected.display()));
        }
    }
    assert!(seen >= 20, "only {seen} broken specs");
    assert!(differing.is_empty(), "not as expected; UPDATE=1 accepts:\n{}", differing.join("\n"));
}
