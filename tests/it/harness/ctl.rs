//! Running `supervisorctl`.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use super::process::shell_status;
use super::{Daemon, SUPERVISORCTL, wait_until};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
    /// Exit status, 128 + n for signal n.
    pub(crate) code: i32,
}

impl Output {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: shell_status(output.status),
        }
    }

    /// Fails unless the command printed exactly this, without the last newline, and ended so.
    #[track_caller]
    pub(crate) fn assert(&self, stdout: &str, code: i32) {
        let expected = if stdout.is_empty() { String::new() } else { format!("{stdout}\n") };
        assert_eq!((&self.stdout, self.code), (&expected, code), "stderr: {}", self.stderr);
    }
}

impl Daemon {
    /// Runs `supervisorctl` against this daemon.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Output {
        Output::of(self.ctl_command().args(arguments))
    }

    /// `supervisorctl` against this daemon, yet without a verb.
    pub(crate) fn ctl_command(&self) -> Command {
        let mut command = Command::new(SUPERVISORCTL);
        command.arg("-s").arg(format!("unix://{}", self.socket().display()));
        command.env_remove("SUPERVISOR_SOCKET").env("TZ", "UTC");
        command
    }

    /// Starts a `supervisorctl` that goes on, such as `logs -f`.
    pub(crate) fn follow(&self, arguments: &[&str]) -> Follower {
        let file = self.path(&format!("follow-{}", arguments.join("-").replace('/', "")));
        let child = self
            .ctl_command()
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&file).unwrap())
            .spawn()
            .unwrap();
        Follower { child, file: std::fs::File::open(file).unwrap(), seen: String::new() }
    }
}

/// A running `supervisorctl`; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    child: Child,
    file: std::fs::File,
    seen: String,
}

impl Follower {
    /// Waits until it has printed this.
    pub(crate) fn wait_for(&mut self, text: &str) {
        wait_until(&format!("{text:?} on stdout"), self, |follower| {
            follower.file.read_to_string(&mut follower.seen).unwrap();
            follower.seen.contains(text).then_some(())
        });
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
