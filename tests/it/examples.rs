//! Every example loads, and the first one that people try runs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use supervisor_api::State;

use crate::harness::{DEADLINE, Daemon, Output, TestDir, free_port, supervisord, user};

#[test]
fn every_example_passes_the_check() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let specs = specs(&examples);
    assert!(!specs.is_empty(), "no examples in {}", examples.display());
    let dir = TestDir::new();
    let faults: Vec<String> = specs
        .iter()
        .filter_map(|spec| {
            let mut command = supervisord(dir.path());
            command.args(["--check", "-c"]).arg(spec);
            command.env("NATS_USER", user()).env("PDNS_USER", user());
            let output = Output::of(&mut command);
            (output.code != 0).then(|| format!("{}: {}", spec.display(), output.stderr))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_quickstart_runs() {
    let port = free_port();
    let mut daemon = Daemon::builder()
        .include(Path::new("examples/quickstart/app.toml"))
        .environment("QUICKSTART_PORT", &port.to_string())
        .boot();
    assert_eq!(daemon.state("prepare"), State::Exited);
    for name in ["counter", "web", "visitor@1", "visitor@2"] {
        assert!(daemon.wait_state(name, State::Running).ready, "{name}");
    }
    // No waiting: a service that is ready answers.
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    connection.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    assert!(page.lines().next().unwrap().contains(" 200 "), "{page}");
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

/// All `*.toml` below a directory, but for those that another file takes in from a `….d` beside it,
/// and each directory directly below it, which is a spec as a whole.
fn specs(examples: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![examples.to_owned()];
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() && extension != Some("d") {
                if dir == examples {
                    found.push(path.clone());
                }
                queue.push(path);
            } else if path.is_file() && extension == Some("toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
