//! Tests that need a program which is not part of this repository.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::is_root;

/// Whether a test can run. If not, it says so; where `SUPERVISOR_TESTS_REQUIRE=1` it fails.
///
/// `what` is missing; `remedy` says what to do about it.
pub(crate) fn must(present: bool, what: &str, remedy: &str) -> bool {
    if present {
        return true;
    }
    let message = format!("{what} is missing; {remedy}");
    let required = std::env::var_os("SUPERVISOR_TESTS_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "{message}");
    say(&message);
    false
}

/// The same for a test that needs root, and this besides. Somebody else cannot be asked for it.
pub(crate) fn must_as_root(present: impl FnOnce() -> bool, what: &str, remedy: &str) -> bool {
    if is_root() {
        return must(present(), what, remedy);
    }
    say("the rights of root are missing; run the tests as root too");
    false
}

/// Whether a program can be run with these arguments and ends well.
pub(crate) fn available(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Not by `eprintln!`, which the test runner swallows when the test passes.
fn say(message: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    drop(writeln!(std::io::stderr(), "{test}: NOT RUN: {message}"));
}
