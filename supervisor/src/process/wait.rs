//! Reaping: how processes ended.
//!
//! Known processes are waited for by pidfd, which costs the same however many there are. Orphans
//! that the daemon has adopted are found as zombies: after the known ones that have ended are reaped,
//! call [`next_zombie`] until it has none.

use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::Pid;
use supervisor_engine::Exit;

use super::sys::{self, WaitFor};

/// Makes this process adopt the orphans among its descendants (`PR_SET_CHILD_SUBREAPER`), and lets
/// none of its children be reaped by the kernel, as they are when it was started with `SIGCHLD`
/// ignored.
pub fn become_reaper() -> io::Result<()> {
    sys::unignore_child_signal()?;
    Ok(prctl::set_child_subreaper(true)?)
}

/// Reaps the child if it has ended. Then its pid is free for reuse. `ECHILD`: it is not a child of
/// ours, or not any more.
pub fn wait(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    exit_of(WaitFor::PidFd(pidfd), libc::WNOHANG)
}

/// As [`wait`], but leaves it a zombie, so that its pid stays its own.
pub fn peek(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    exit_of(WaitFor::PidFd(pidfd), libc::WNOHANG | libc::WNOWAIT)
}

/// As [`wait`], but waits.
pub(super) fn wait_until_ended(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    exit_of(WaitFor::PidFd(pidfd), 0)
}

/// The first child that has ended and is not reaped, be it known or adopted.
///
/// It stays a zombie, and the answer stays the same, until it is reaped: by [`wait`] if it is known,
/// else by [`reap`]. Takes time proportional to the number of children.
pub fn next_zombie() -> io::Result<Option<(Pid, Exit)>> {
    match sys::wait_id(WaitFor::Any, libc::WNOHANG | libc::WNOWAIT) {
        Err(error) if error.raw_os_error() == Some(Errno::ECHILD as i32) => Ok(None),
        result => result,
    }
}

/// Reaps the child with this pid if it has ended.
pub fn reap(pid: Pid) -> io::Result<Option<Exit>> {
    exit_of(WaitFor::Pid(pid), libc::WNOHANG)
}

fn exit_of(target: WaitFor<'_>, flags: libc::c_int) -> io::Result<Option<Exit>> {
    Ok(sys::wait_id(target, flags)?.map(|(_, exit)| exit))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use supervisor_engine::{Exit, Signal};

    use super::{next_zombie, peek, reap, wait};
    use crate::process::fixture::{alone, await_end, await_readable, sh};
    use crate::process::signal;

    #[test]
    fn exits_are_told_apart() {
        for (script, exit) in [
            ("exit 0", Exit::Code(0)),
            ("exit 255", Exit::Code(255)),
            ("kill -TERM $$", Exit::Signal { signal: Signal::TERM, core: false }),
            ("kill -KILL $$", Exit::Signal { signal: Signal::KILL, core: false }),
        ] {
            let child = sh(script);
            assert_eq!(await_end(&child), exit, "{script}");
        }
    }

    #[test]
    fn a_peek_leaves_the_process_to_be_reaped_once() {
        let child = sh("exit 3");
        await_readable(&child.pidfd);
        for _ in 0..2 {
            assert_eq!(peek(child.pidfd.as_fd()).expect("peek"), Some(Exit::Code(3)));
        }
        assert_eq!(wait(child.pidfd.as_fd()).expect("wait"), Some(Exit::Code(3)));
        assert!(wait(child.pidfd.as_fd()).is_err(), "reaped twice");
        assert!(!signal(child.pidfd.as_fd(), Signal::TERM).expect("no error"), "it is gone");
    }

    #[test]
    fn a_running_process_has_no_exit() {
        let child = sh("kill -STOP $$");
        assert_eq!(peek(child.pidfd.as_fd()).expect("peek"), None);
        assert_eq!(wait(child.pidfd.as_fd()).expect("wait"), None);
        assert!(signal(child.pidfd.as_fd(), Signal::KILL).expect("kill"), "it is there");
        assert_eq!(await_end(&child), Exit::Signal { signal: Signal::KILL, core: false });
    }

    #[test]
    fn zombies_come_one_by_one() {
        alone(|| {
            assert_eq!(next_zombie().expect("no child is no error"), None);
            let child = sh("exit 3");
            await_readable(&child.pidfd);
            for _ in 0..2 {
                assert_eq!(next_zombie().expect("peek"), Some((child.pid, Exit::Code(3))));
            }
            assert_eq!(reap(child.pid).expect("reap"), Some(Exit::Code(3)));
            assert_eq!(next_zombie().expect("peek"), None);
        });
    }
}
