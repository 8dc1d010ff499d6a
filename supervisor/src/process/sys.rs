//! System calls that neither `std` nor `nix` offers, each as a safe function.
#![expect(unsafe_code, reason = "system calls that have no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::{mem, ptr};

use nix::errno::Errno;
#[cfg(test)]
use nix::sys::prctl;
use nix::unistd::Pid;
use supervisor_engine::{Exit, Signal};

/// Size of the kernel's signal set, which has a bit for each of 64 signals.
pub(super) const SIGNAL_SET_BYTES: usize = 8;

/// Whom [`wait_id`] waits for (`waitid(2)`).
#[derive(Clone, Copy, Debug)]
pub(super) enum WaitFor<'a> {
    /// Any child.
    Any,
    /// The child with this pid.
    Pid(Pid),
    /// The child behind this pidfd.
    PidFd(BorrowedFd<'a>),
}

/// `waitid(2)` for ended processes; `flags` are added to `WEXITED`. `None` with `WNOHANG` when none
/// has ended yet.
pub(super) fn wait_id(target: WaitFor<'_>, flags: libc::c_int) -> io::Result<Option<(Pid, Exit)>> {
    let (kind, id) = match target {
        WaitFor::Any => (libc::P_ALL, 0),
        WaitFor::Pid(pid) => (libc::P_PID, pid.as_raw().cast_unsigned()),
        WaitFor::PidFd(fd) => (libc::P_PIDFD, fd.as_raw_fd().cast_unsigned()),
    };
    // SAFETY: all-zero bytes are a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    retry(|| {
        // SAFETY: `info` is valid for writes.
        unsafe { libc::waitid(kind, id as _, &raw mut info, libc::WEXITED | flags) }
    })?;
    // SAFETY: waitid fills the fields of SIGCHLD, or leaves the zeroes when no child has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then(|| (Pid::from_raw(pid), exit(info.si_code, status))))
}

/// A `siginfo_t` of `SIGCHLD` as an exit.
fn exit(code: libc::c_int, status: libc::c_int) -> Exit {
    let signal = |core| {
        Signal::from_number(status).map_or(Exit::Unknown, |signal| Exit::Signal { signal, core })
    };
    match code {
        libc::CLD_EXITED => u8::try_from(status & 0xff).map_or(Exit::Unknown, Exit::Code),
        libc::CLD_KILLED => signal(false),
        libc::CLD_DUMPED => signal(true),
        _ => Exit::Unknown,
    }
}

/// `pidfd_open(2)`: a descriptor of the process that has this pid now.
pub(super) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = Errno::result(fd)?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it for us; it is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `pidfd_send_signal(2)`.
pub(super) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    let info: *const libc::siginfo_t = ptr::null();
    // SAFETY: plain numbers, and a null pointer that means the same as with kill(2).
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal.number(), info, 0)
    };
    Errno::result(result).map(drop)
}

/// A close-on-exec copy of the descriptor with the lowest free number from `first` on.
pub(super) fn duplicate_from(fd: BorrowedFd<'_>, first: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, first) };
    let copy = Errno::result(copy)?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Whether both descriptors are of the same open file description; `None` if the kernel does not
/// tell.
pub(super) fn same_description(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Option<bool> {
    /// `fcntl(2)`, since Linux 6.10.
    const F_DUPFD_QUERY: libc::c_int = 1027;
    /// `kcmp(2)`.
    const KCMP_FILE: libc::c_int = 0;
    let (one, other) = (one.as_raw_fd(), other.as_raw_fd());
    // SAFETY: plain numbers.
    match unsafe { libc::fcntl(one, F_DUPFD_QUERY, other) } {
        0 => return Some(false),
        1 => return Some(true),
        _ => {}
    }
    let pid = Pid::this().as_raw();
    // SAFETY: plain numbers.
    match unsafe { libc::syscall(libc::SYS_kcmp, pid, pid, KCMP_FILE, one, other) } {
        0 => Some(true),
        order if order > 0 => Some(false),
        _ => None,
    }
}

/// `kill(2)` of a process group; `leader` must be over 1, as 0 and 1 mean other things there.
pub(super) fn kill_group(leader: Pid, signal: Signal) -> Result<(), Errno> {
    if leader.as_raw() <= 1 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::kill(-leader.as_raw(), signal.number()) }).map(drop)
}

/// The signals that this process ignores, as a set with bit `n - 1` for signal `n`.
pub(super) fn ignored_signals() -> u64 {
    (1..=64).filter(|&signal| is_ignored(signal)).fold(0, |set, signal| set | 1 << (signal - 1))
}

/// Whether this process ignores the signal. Not asked by libc, which denies that there are those
/// that it uses itself, though whoever started this process may have had them ignored.
fn is_ignored(signal: libc::c_int) -> bool {
    // The kernel's `sigaction`, larger than on any architecture. It begins with the handler.
    let mut action = [0_usize; 8];
    let question = ptr::null::<usize>();
    // SAFETY: asks only; `action` is valid for writes of what the kernel has to say.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            question,
            action.as_mut_ptr(),
            SIGNAL_SET_BYTES,
        )
    };
    result == 0 && action.first() == Some(&libc::SIG_IGN)
}

/// Gives `SIGCHLD` its default disposition if it is ignored.
pub(super) fn unignore_child_signal() -> io::Result<()> {
    if !is_ignored(libc::SIGCHLD) {
        return Ok(());
    }
    // SAFETY: all-zero bytes are a valid sigaction: SIG_DFL.
    let action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: `action` is valid for reads; no handler is installed.
    Errno::result(unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, ptr::null_mut()) })?;
    Ok(())
}

/// Whether `close_range(2)` knows `CLOSE_RANGE_CLOEXEC`, tried on a range that holds nothing.
pub(super) fn has_close_range_cloexec() -> bool {
    // SAFETY: plain numbers; no descriptor has the highest number.
    let result = unsafe {
        libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    result == 0
}

/// Keeps every signal from this thread, those of libc too, until dropped.
#[derive(Debug)]
pub(super) struct SignalsBlocked {
    before: u64,
}

impl SignalsBlocked {
    pub(super) fn new() -> Self {
        Self { before: set_signal_mask(u64::MAX) }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        set_signal_mask(self.before);
    }
}

/// Sets the signal mask of this thread and gives the one before. Not by libc, whose function leaves
/// out the signals that it uses itself.
fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0_u64;
    // SAFETY: both sets have the size that is passed. It cannot fail with these arguments.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut before,
            SIGNAL_SET_BYTES,
        );
    }
    before
}

/// Repeats a call that a signal interrupted.
fn retry(mut call: impl FnMut() -> libc::c_int) -> io::Result<()> {
    loop {
        match Errno::result(call()) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Lets a system call of this thread, and of all that it starts, fail with this error from now on.
#[cfg(test)]
pub(super) fn forbid(number: libc::c_long, errno: libc::c_int) {
    let number = u32::try_from(number).expect("a system call");
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).expect("an instruction"),
        jt,
        jf,
        k,
    };
    let mut filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    prctl::set_no_new_privs().expect("no_new_privs");
    // SAFETY: the kernel copies the program, whose length is right.
    let result =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(result, 0, "a seccomp filter");
}
