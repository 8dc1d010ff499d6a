//! Tests that need a program which is not part of this repository.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Whether a test can run. If not, it says so; where `SUPERVISOR_TESTS_REQUIRE=1` it fails.
///
/// `what` is missing; `remedy` says what to do about it.
pub(crate) fn must(present: bool, what: &str, remedy: &str) -> bool {
    if present {
        return true;
    }
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let message = format!("{test}: NOT RUN: {what} is missing; {remedy}");
    let required = std::env::var_os("SUPERVISOR_TESTS_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "{message}");
    // Not by eprintln!, which the test runner swallows when the test passes.
    drop(writeln!(std::io::stderr(), "{message}"));
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
