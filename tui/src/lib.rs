//! The terminal UI of `supervisord`. It is only a client of the control API.
//!
//! It does not exist yet: the binary says so and points at what does.

use std::io::Write as _;
use std::process::ExitCode;

/// Says that the terminal UI comes later, on stderr, and exits with 1.
pub fn main() -> ExitCode {
    let text = "supervisor-tui: the terminal UI is not part of this version\n\
                \x20 hint: `supervisorctl status` and `supervisorctl events` show the same facts\n";
    // Nothing is left to be done when even stderr is closed.
    drop(std::io::stderr().write_all(text.as_bytes()));
    ExitCode::FAILURE
}
