//! Signals to single processes.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;
use supervisor_engine::Signal;

use super::sys;

/// Sends a signal. `false`: the process is gone, which a zombie is not yet.
pub fn signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<bool> {
    match sys::pidfd_send_signal(pidfd, signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// As [`signal`], followed by `CONT` where that is needed for a stopped process to act on it: not
/// after `KILL` and `CONT`, nor after the signals that are meant to stop it.
pub fn signal_and_continue(pidfd: BorrowedFd<'_>, sent: Signal) -> io::Result<bool> {
    let existed = signal(pidfd, sent)?;
    if existed && needs_continue(sent) {
        signal(pidfd, Signal::CONT)?;
    }
    Ok(existed)
}

/// A descriptor of the process with this pid (`pidfd_open(2)`), close-on-exec; `None` if there is
/// none. Of a child that is not yet reaped the pid is certain; of another process check that it is
/// still the same ([`Stat::is_same`](super::Stat::is_same)) after this call.
pub fn open(pid: Pid) -> io::Result<Option<OwnedFd>> {
    match sys::pidfd_open(pid) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `CONT` has to follow; see [`signal_and_continue`].
pub(super) fn needs_continue(signal: Signal) -> bool {
    !matches!(
        signal.number(),
        libc::SIGKILL
            | libc::SIGCONT
            | libc::SIGSTOP
            | libc::SIGTSTP
            | libc::SIGTTIN
            | libc::SIGTTOU
    )
}
