//! The service `app` that most tests of the suite are about, and what is done to it.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::speaker::Speaker;
use crate::harness::{Daemon, Output, TestDir, supervisord, wait_until};

/// A daemon with a notify service that takes these steps, each a word. `lines` are added to it; other
/// tables may follow.
pub(super) fn app(lines: &str, steps: &[&str]) -> Daemon {
    Daemon::start(&format!(
        "[defaults]
         type = \"notify\"
         restart = \"no\"
         restart-delay = \"0s\"
         limits = {{ core = 0 }}
         [service.app]
         command = [\"${{FIXTURE}}\", \"app\", {}]
         {lines}",
        steps.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>().join(", ")
    ))
}

/// Lets the last run of `app`, which has to have done its step `--relay`, say something; returns when
/// that has been handled.
pub(super) fn say(daemon: &Daemon, text: &str) {
    let starts = daemon.happened("start", "app").len();
    Speaker::nth(daemon, "app", starts.max(1)).tell(text);
}

/// Asks for something and does not wait for its end; the number of the operation.
pub(super) fn begin(daemon: &Daemon, verb: &str) -> u64 {
    daemon.operation(&json!({ "verb": verb, "targets": ["app"] })).id
}

/// How the last run of `app` was stopped: each step and how it ended.
pub(super) fn steps(daemon: &Daemon) -> Vec<(String, String)> {
    let run = daemon.detail("app").runs.into_iter().next().unwrap();
    run.stop.into_iter().map(|phase| (phase.step, phase.result)).collect()
}

/// The signals that one of the fixture's processes has got.
pub(super) fn signals(daemon: &Daemon, name: &str) -> Vec<String> {
    daemon.happened("signal", name).into_iter().map(|seen| seen.detail).collect()
}

/// Lets so many milliseconds pass in which something must not happen.
pub(super) fn pass(ms: u64) {
    let end = Instant::now() + Duration::from_millis(ms);
    wait_until("time to pass", &mut (), |()| (Instant::now() > end).then_some(()));
}

/// Milliseconds that are left until the deadline of `app`; 0 if it has none.
pub(super) fn left(daemon: &Daemon) -> u64 {
    let deadline = daemon.service("app").deadline_ms.unwrap_or_default();
    deadline.saturating_sub(daemon.services().now_ms)
}

/// Checks that a spec does not load, and that these words are in what is said about it.
#[track_caller]
pub(super) fn refused(text: &str, words: &[&str]) {
    let dir = TestDir::new();
    let file = dir.path().join("my.toml");
    fs::write(&file, text).unwrap();
    let output = Output::of(supervisord(dir.path()).arg("--check").arg("-c").arg(file));
    assert_eq!(output.code, 2, "{output:?}");
    for word in words {
        assert!(output.stderr.contains(word), "{word:?} is missing in:\n{}", output.stderr);
    }
}

/// Steps of a command that records what it is told of the end of its service, see [`told`].
pub(super) const TELL: &str = "--env SERVICE_RESULT --env EXIT_CODE --env EXIT_STATUS --exit 0";

/// What the command `last` of a stop was told: the result, how main has ended, and with which status.
pub(super) fn told(daemon: &Daemon) -> [String; 3] {
    daemon.wait_record("exit", "last", 1);
    let told = daemon.happened("env", "last");
    ["SERVICE_RESULT=", "EXIT_CODE=", "EXIT_STATUS="]
        .map(|name| told.iter().find_map(|line| line.detail.strip_prefix(name)).unwrap().to_owned())
}
