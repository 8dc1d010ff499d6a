//! What the tests of processes share.

use std::any::type_name;
use std::env;
use std::fs::{self, File};
use std::io::{PipeReader, Read, pipe};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use supervisor_engine::{Exit, SpawnError};

use super::{Child, Command, Session, Spawner, Stdin, wait};
use crate::config::Context;

/// A context as simple as can be.
pub(super) fn context() -> Context {
    let path = ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned());
    Context {
        working_directory: "/".into(),
        umask: 0o022,
        environment: std::sync::Arc::new([path].into()),
        ..Context::default()
    }
}

pub(super) fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A command that reads and writes nothing, for tests to change.
pub(super) fn command<'a>(
    argv: &'a [String],
    context: &'a Context,
    output: &'a impl AsFd,
) -> Command<'a> {
    Command {
        argv,
        context,
        environment: &[],
        own_pid: &[],
        stdin: Stdin::Null,
        stdout: output.as_fd(),
        stderr: output.as_fd(),
        passed: &[],
        tag: None,
        session: Session::Own,
        extra: None,
    }
}

pub(super) fn null() -> File {
    File::options().read(true).write(true).open("/dev/null").expect("/dev/null")
}

/// Starts a shell script.
pub(super) fn sh(script: &str) -> Child {
    let (argv, context, null) = (argv(&["sh", "-c", script]), context(), null());
    let mut spawner = Spawner::new().expect("spawner");
    spawner.spawn(&command(&argv, &context, &null)).expect("sh")
}

/// What few tests need of a command.
#[derive(Clone, Copy)]
pub(super) struct Extras<'a> {
    pub(super) environment: &'a [(&'a str, String)],
    pub(super) own_pid: &'a [&'a str],
    pub(super) stdin: Stdin<'a>,
    pub(super) passed: &'a [BorrowedFd<'a>],
    pub(super) tag: Option<u64>,
}

pub(super) const PLAIN: Extras<'static> =
    Extras { environment: &[], own_pid: &[], stdin: Stdin::Null, passed: &[], tag: None };

/// Runs a program to its end, which must be a good one, and gives what it has written.
pub(super) fn output(
    spawner: &mut Spawner,
    words: &[&str],
    context: &Context,
    extras: Extras<'_>,
) -> Result<String, SpawnError> {
    let (reader, writer) = pipe().expect("pipe");
    let argv = argv(words);
    let Extras { environment, own_pid, stdin, passed, tag } = extras;
    let plain = command(&argv, context, &writer);
    let child = spawner.spawn(&Command { environment, own_pid, stdin, passed, tag, ..plain })?;
    drop(writer);
    let text = read_all(reader);
    assert_eq!(await_end(&child), Exit::Code(0), "{words:?}: {text}");
    Ok(text)
}

pub(super) fn read_all(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("output");
    text
}

/// Waits until the process has ended, and reaps it.
pub(super) fn await_end(child: &Child) -> Exit {
    await_readable(&child.pidfd);
    wait(child.pidfd.as_fd()).expect("our child").expect("ended")
}

/// Waits until there is something to read: of a pidfd, the end of its process.
pub(super) fn await_readable(fd: &impl AsFd) {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::from(20_000_u16)), Ok(1), "nothing within 20 s");
}

/// Runs the test that calls it, which `body` is the whole of, in a process of its own: alone with
/// its children, descriptors and zombies.
pub(super) fn alone<F: FnOnce()>(body: F) {
    const VARIABLE: &str = "SUPERVISOR_TEST_ALONE";
    if env::var_os(VARIABLE).is_some() {
        return body();
    }
    let name = type_name::<F>().trim_end_matches("::{{closure}}");
    let (_, name) = name.split_once("::").expect("the crate, then the path of the test");
    #[expect(clippy::disallowed_methods, reason = "the test itself, not a service")]
    let output = std::process::Command::new(env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(VARIABLE, "1")
        .output()
        .expect("this program runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The open descriptors of this process.
pub(super) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc").count()
}

/// Whether a test that needs root can run.
pub(super) fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        // Not by `eprintln!`, which the test runner swallows when the test passes.
        let message =
            format!("{test}: NOT RUN: the rights of root are missing; run the tests as root\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), message.as_bytes());
    }
    root
}
