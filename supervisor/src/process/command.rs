//! What is to be started.

use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;

use crate::config::Context;

/// A program to start for a service.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Program and arguments. A program without a slash is looked up in the service's `PATH`.
    pub argv: &'a [String],
    /// What it runs as, and in. `context.stdin` is not looked at: see [`stdin`](Self::stdin).
    pub context: &'a Context,
    /// What this start adds to `context.environment`, or overrides in it.
    pub environment: &'a [(&'a str, String)],
    /// Variables that are set to the pid of the process itself, which only it knows before it runs.
    /// They override all others.
    pub own_pid: &'a [&'a str],
    /// Its standard input.
    pub stdin: Stdin<'a>,
    /// Its standard output. Any descriptor will do, one of 0, 1 and 2 too.
    pub stdout: BorrowedFd<'a>,
    /// Its standard error, likewise.
    pub stderr: BorrowedFd<'a>,
    /// What it gets as descriptors 3, 4 and so on.
    pub passed: &'a [BorrowedFd<'a>],
    /// Mark by which a [`Tree`](super::Tree) knows the service's processes wherever they go: the
    /// value of `RLIMIT_LOCKS`, which Linux inherits but has not heeded since 2.4.
    ///
    /// No two services may have the same, nor may it be `u64::MAX`, infinity. Where `unsigned long`
    /// has 32 bits it must fit that. A daemon that carries a tag itself, being supervised, and has
    /// not `CAP_SYS_RESOURCE`, can set lower ones only; a tag that cannot be set is left out.
    pub tag: Option<u64>,
    /// What keeps it apart from the terminal and the signals of others.
    pub session: Session,
    /// One more descriptor that it gets, with the number that it has there: over 2.
    pub extra: Option<(RawFd, BorrowedFd<'a>)>,
}

/// Where a process reads its standard input from.
#[derive(Clone, Copy, Debug)]
pub enum Stdin<'a> {
    /// `/dev/null`.
    Null,
    /// This file, opened by the daemon. A named pipe is opened for writing too, so that it has no
    /// end and nobody waits for a writer.
    Path(&'a Path),
    /// This descriptor.
    Fd(BorrowedFd<'a>),
}

impl<'a> From<Option<&'a Path>> for Stdin<'a> {
    /// As [`Context::stdin`] means it.
    fn from(path: Option<&'a Path>) -> Self {
        path.map_or(Self::Null, Self::Path)
    }
}

/// What a process leads, by which the kernel and a [`Tree`](super::Tree) tell its offspring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// A session of its own (`setsid(2)`), without terminal.
    Own,
    /// A process group of its own in the daemon's session (`setpgid(2)`).
    ///
    /// Cheaper on a busy machine: where the scheduler groups tasks by session (`sched(7)`,
    /// autogroup), the first process of a new one waits for its turn for some milliseconds, and the
    /// daemon with it.
    Group,
}

impl Session {
    /// What keeps services apart from the daemon's terminal: a session, if it has one
    /// (`tty(4)`); else there is nothing to keep them apart from.
    pub fn apart_from_terminal() -> Self {
        if File::open("/dev/tty").is_ok() { Self::Own } else { Self::Group }
    }
}
