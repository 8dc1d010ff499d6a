//! Starting processes.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Pid, pipe2};
use supervisor_engine::SpawnError;

use super::arguments::Arguments;
use super::child_setup::{self, CloneCall, Plan, Stack};
use super::command::{Command, Stdin};
use super::credentials::Change;
use super::{failure, sys, wait};

/// A process that has been started: its program runs, `exec` has succeeded.
#[derive(Debug)]
pub struct Child {
    /// Its pid, valid until it is reaped.
    pub pid: Pid,
    /// A descriptor of it (`pidfd_open(2)`), close-on-exec, readable when the process has ended.
    pub pidfd: OwnedFd,
}

/// Starts processes, with all that can be kept from one start to the next.
///
/// The calling thread waits until the child has called `exec`: a program or working directory on a
/// file system that hangs makes it wait.
#[derive(Debug)]
pub struct Spawner {
    stack: Stack,
    clone: CloneCall,
    null: OwnedFd,
    ignored_signals: u64,
    has_close_range: bool,
}

impl Spawner {
    /// Finds out what the kernel offers. Signals that the process ignores by now are reset in every
    /// child; later ones would be ignored by the children too.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            stack: Stack::new()?,
            clone: CloneCall::Clone3,
            null: null()?,
            ignored_signals: sys::ignored_signals(),
            has_close_range: sys::has_close_range_cloexec(),
        })
    }

    /// Starts the command.
    ///
    /// The error tells the step that failed: `arguments`, `stdin`, `clone`, `setsid`, `setpgid`,
    /// `stdio`, `descriptors`, `oom-score-adj`, `cpu-affinity`, `scheduler`, `nice`, `io-class`,
    /// `setrlimit`, `capabilities`, `setgroups`, `setgid`, `setuid`, `ambient-capabilities`, `chdir`,
    /// `no-new-privileges`, `close_range`, `descriptor` or `exec`. No process, zombie or descriptor is left then.
    pub fn spawn(&mut self, command: &Command<'_>) -> Result<Child, SpawnError> {
        let arguments = Arguments::new(command)?;
        let opened = match command.stdin {
            Stdin::Path(path) => Some(open_stdin(path).map_err(|e| failure::stdin(path, &e))?),
            Stdin::Null | Stdin::Fd(_) => None,
        };
        let stdin = match (command.stdin, &opened) {
            (Stdin::Fd(fd), _) => fd,
            (Stdin::Null | Stdin::Path(_), Some(opened)) => opened.as_fd(),
            (Stdin::Null | Stdin::Path(_), None) => self.null.as_fd(),
        };
        let mut moved = Vec::new();
        let mut streams = [0; 3];
        for (place, fd) in streams.iter_mut().zip([stdin, command.stdout, command.stderr]) {
            *place = above(2, fd, 3, &mut moved).map_err(|e| failure::step("stdio", &e))?;
        }
        let first_free = RawFd::try_from(command.passed.len())
            .map_or(RawFd::MAX, |count| count.saturating_add(3));
        let mut passed = Vec::with_capacity(command.passed.len());
        for (fd, target) in command.passed.iter().zip(3..) {
            let fd = above(target, *fd, first_free, &mut moved);
            passed.push(fd.map_err(|e| failure::step("descriptors", &e))?);
        }
        let extra = match command.extra {
            Some((number, fd)) => {
                let fd = another(number, fd, first_free, &mut moved);
                Some((fd.map_err(|e| failure::step("descriptor", &e))?, number))
            }
            None => None,
        };
        let credentials = Change::to(command.context.identity.as_ref())
            .map_err(|errno| failure::step("setgroups", &errno.into()))?;
        let inherited = if self.has_close_range {
            None
        } else {
            Some(open_descriptors(first_free).map_err(|e| failure::step("close_range", &e))?)
        };
        let scheduling = &command.context.scheduling;
        let oom_score_adj = scheduling.oom_score_adj.map(|score| score.to_string());
        let mut plan = Plan {
            session: command.session,
            stdio: streams,
            passed: &passed,
            ignored_signals: self.ignored_signals,
            umask: command.context.umask,
            scheduling,
            oom_score_adj: oom_score_adj.as_ref().map(String::as_bytes),
            limits: &command.context.limits,
            tag: command.tag,
            extra,
            credentials,
            privileges: command.context.privileges,
            directory: &arguments.directory,
            inherited: inherited.as_deref(),
            candidates: &arguments.candidates,
            argv: &arguments.argv,
            environment: &arguments.environment,
            own_pid: &arguments.own_pid,
            failure: Cell::new(None),
        };
        let (pid, pidfd) =
            self.clone(&mut plan).map_err(|errno| failure::step("clone", &errno.into()))?;
        let Some(failure) = plan.failure.get() else { return Ok(Child { pid, pidfd }) };
        // It is on its way out. When it cannot be waited for, somebody else has reaped it.
        let _ = wait::wait_until_ended(pidfd.as_fd());
        Err(failure::child(failure, command))
    }

    /// `clone3`, or what has to do instead from then on.
    fn clone(&mut self, plan: &mut Plan<'_>) -> Result<(Pid, OwnedFd), Errno> {
        let result = child_setup::clone(&mut self.stack, plan, self.clone);
        match (self.clone, result) {
            // ENOSYS: an old kernel, or a newer seccomp filter. EPERM: an older filter. EINVAL: a
            // kernel without one of the flags.
            (CloneCall::Clone3, Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL)) => {
                let child = child_setup::clone(&mut self.stack, plan, CloneCall::Legacy)?;
                self.clone = CloneCall::Legacy;
                Ok(child)
            }
            (CloneCall::Clone3 | CloneCall::Legacy, result) => result,
        }
    }
}

/// What is empty when it is read: `/dev/null`, or where there is no `/dev` a pipe without a writer.
fn null() -> io::Result<OwnedFd> {
    match File::open("/dev/null") {
        Ok(null) => Ok(null.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (reader, _writer) = pipe2(OFlag::O_CLOEXEC)?;
            Ok(reader)
        }
        Err(error) => Err(error),
    }
}

/// Opens a file for reading without ever waiting, not for the other end of a named pipe nor for a
/// terminal's line.
fn open_stdin(path: &Path) -> io::Result<OwnedFd> {
    let is_fifo = fs::metadata(path)?.file_type().is_fifo();
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file =
        OpenOptions::new().read(true).write(is_fifo).custom_flags(flags.bits()).open(path)?;
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file.into())
}

/// The descriptor if it is above the one that the child makes of it, else a copy of it that is at
/// least `first_free`: the child overwrites those below one after the other.
fn above(
    target: RawFd,
    fd: BorrowedFd<'_>,
    first_free: RawFd,
    moved: &mut Vec<OwnedFd>,
) -> io::Result<RawFd> {
    if fd.as_raw_fd() > target { Ok(fd.as_raw_fd()) } else { copy(fd, first_free, moved) }
}

/// The descriptor, or a copy of it, that has another number than this one, at least `first_free`.
fn another(
    number: RawFd,
    fd: BorrowedFd<'_>,
    first_free: RawFd,
    moved: &mut Vec<OwnedFd>,
) -> io::Result<RawFd> {
    let own = fd.as_raw_fd();
    if own >= first_free && own != number {
        return Ok(own);
    }
    copy(fd, first_free.max(number.saturating_add(1)), moved)
}

/// A copy of the descriptor from this number on.
fn copy(fd: BorrowedFd<'_>, first: RawFd, moved: &mut Vec<OwnedFd>) -> io::Result<RawFd> {
    let copy = sys::duplicate_from(fd, first)?;
    let raw = copy.as_raw_fd();
    moved.push(copy);
    Ok(raw)
}

/// All open descriptors of this process from this one up.
fn open_descriptors(first: RawFd) -> io::Result<Vec<RawFd>> {
    let mut fds = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        fds.extend(
            name.to_str().and_then(|name| name.parse().ok()).filter(|fd: &RawFd| *fd >= first),
        );
    }
    Ok(fds)
}

#[cfg(test)]
mod tests;
