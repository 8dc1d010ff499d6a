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

/// Whether `CONT` has to follow, so that a stopped process comes to act on the signal: not after
/// those that act on it anyway, nor after those that are to stop it.
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
