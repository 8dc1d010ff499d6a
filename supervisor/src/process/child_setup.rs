//! The child between `clone` and `exec`: it shares the memory of the daemon, which waits.
//!
//! `clone3(CLONE_VM | CLONE_VFORK)` costs the same however large the daemon is, and lets the child
//! report the failing step simply by writing it down. The price is that the child must behave as
//! a guest: it has a stack of its own, all signals blocked until no handler is left, and it makes
//! system calls only. It does not allocate, format, panic, or use what takes a lock or cares which
//! thread runs it (`setuid` of libc signals all threads). `libc::syscall` is allowed: all it
//! touches is `errno` of the thread that waits.
//!
//! Once the child is another user's, that user could trace it and with it the daemon's memory, if
//! the kernel did not make that memory undumpable at the change of user (`commit_creds`). It is
//! left so: making it dumpable again while another thread spawns would open the hole. What is not
//! prevented: for the few system calls from there to `exec` that user can stop the child, and with it
//! the daemon, by `SIGSTOP`.
//!
//! The file is long so that all that has to hold together is read together.
#![expect(unsafe_code, reason = "the child of vfork, and what starts it")]

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::arch::asm;
use std::cell::Cell;
use std::convert::Infallible;
use std::ffi::{CStr, c_int, c_long, c_void};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::arguments::{PidSlot, StringArray};
use super::command::Session;
use super::credentials::Change;
use super::sys::{SIGNAL_SET_BYTES, SignalsBlocked};
use crate::config::{Capabilities, IoClass, Limit, Privileges, Scheduler, Scheduling};

/// All that the child does, laid out so that it only has to read.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Session or process group of its own.
    pub(super) session: Session,
    /// What becomes stdin, stdout and stderr; each is over 2, so that none overwrites another.
    pub(super) stdio: [RawFd; 3],
    /// What becomes 3 and up; each is over what it becomes, so that none is overwritten before its
    /// turn.
    pub(super) passed: &'a [RawFd],
    /// Signals that this process ignores, as `exec` would leave them; bit `n - 1` for signal `n`.
    pub(super) ignored_signals: u64,
    /// File mode creation mask.
    pub(super) umask: u32,
    /// How the kernel treats it among others.
    pub(super) scheduling: &'a Scheduling,
    /// `scheduling.oom_score_adj` as text.
    pub(super) oom_score_adj: Option<&'a [u8]>,
    /// Resource limits.
    pub(super) limits: &'a [Limit],
    /// Value of `RLIMIT_LOCKS`, if it can be set.
    pub(super) tag: Option<u64>,
    /// One more descriptor, over all that is passed, and the number that it becomes: another one.
    pub(super) extra: Option<(RawFd, RawFd)>,
    /// Ids to change.
    pub(super) credentials: Change<'a>,
    /// What it may do besides what its user may.
    pub(super) privileges: Privileges,
    /// Working directory.
    pub(super) directory: &'a CStr,
    /// Descriptors to make close-on-exec one by one, where `close_range` cannot.
    pub(super) inherited: Option<&'a [RawFd]>,
    /// Paths to try as the program.
    pub(super) candidates: &'a StringArray,
    /// Its arguments.
    pub(super) argv: &'a StringArray,
    /// Its environment.
    pub(super) environment: &'a StringArray,
    /// Where in the environment its own pid goes.
    pub(super) own_pid: &'a [PidSlot],
    /// Where the child reports to.
    pub(super) failure: Cell<Option<Failure>>,
}

/// Why the child did not come to run its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What it tried.
    pub(super) step: Step,
    /// What the kernel said (`errno(3)`).
    pub(super) errno: c_int,
}

/// The steps of the child that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `setsid` or `setpgid`.
    Session,
    /// `dup3` to this descriptor.
    Stdio(usize),
    /// `dup3` of the passed descriptor with this index.
    Passed(usize),
    /// Writing `/proc/self/oom_score_adj`.
    OomScore,
    /// `sched_setaffinity`.
    Cpus,
    /// `sched_setscheduler`.
    Scheduler,
    /// `setpriority`.
    Nice,
    /// `ioprio_set`.
    IoClass,
    /// `prlimit` of the limit with this index.
    Limit(usize),
    /// `prctl` of `PR_CAPBSET_DROP`.
    Bounding,
    /// `setgroups`.
    Groups,
    /// `setresgid`.
    Group,
    /// `setresuid`.
    User,
    /// `capset` and `prctl` of `PR_CAP_AMBIENT_RAISE`.
    Capabilities,
    /// `chdir`.
    Directory,
    /// `prctl` of `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// `close_range`.
    Descriptors,
    /// `dup3` of the extra descriptor.
    Extra,
    /// `execve` of the candidate with this index.
    Exec(usize),
}

/// The system call that makes the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloneCall {
    /// `clone3(2)`, since Linux 5.5 with `CLONE_CLEAR_SIGHAND`.
    Clone3,
    /// `clone(2)`, where `clone3` is missing or a seccomp filter forbids it, as container engines
    /// do because it cannot look into the arguments of `clone3`.
    Legacy,
}

/// Memory that a child runs on until it has called `exec`, with a guard page below.
#[derive(Debug)]
pub(super) struct Stack {
    base: NonNull<c_void>,
}

/// Both are multiples of every page size in use. The child needs about one page of stack, an
/// unoptimised build a few.
const GUARD: usize = 64 * 1024;
const STACK: usize = 64 * 1024;

// SAFETY: it owns its memory, which no thread is tied to.
unsafe impl Send for Stack {}

impl Stack {
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, nowhere in particular.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), GUARD + STACK, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let base = NonNull::new(base).ok_or(Errno::ENOMEM)?;
        let stack = Self { base };
        // SAFETY: the upper part of the mapping just made.
        let result =
            unsafe { libc::mprotect(stack.bottom(), STACK, libc::PROT_READ | libc::PROT_WRITE) };
        Errno::result(result).map(|_| stack)
    }

    /// Lowest usable address.
    fn bottom(&self) -> *mut c_void {
        self.base.as_ptr().wrapping_byte_add(GUARD)
    }

    /// One past the highest usable address.
    fn top(&self) -> *mut c_void {
        self.bottom().wrapping_byte_add(STACK)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the whole mapping of `new`, which nothing uses any more.
        unsafe { libc::munmap(self.base.as_ptr(), GUARD + STACK) };
    }
}

/// Starts a child that carries out the plan. Returns when it runs its program, or has ended, or is
/// about to end because of what `plan.failure` holds then.
pub(super) fn clone(
    stack: &mut Stack,
    plan: &mut Plan<'_>,
    call: CloneCall,
) -> Result<(Pid, OwnedFd), Errno> {
    if call == CloneCall::Legacy {
        // No CLONE_CLEAR_SIGHAND: the child has to reset what has a handler as well.
        plan.ignored_signals = u64::MAX;
    }
    // No handler of ours may run in the child: it would change our memory behind our back.
    let blocked = SignalsBlocked::new();
    let mut pidfd: c_int = -1;
    let result = match call {
        CloneCall::Clone3 => clone3(stack, plan, &mut pidfd),
        CloneCall::Legacy => clone_legacy(stack, plan, &mut pidfd),
    };
    drop(blocked);
    let pid = result?;
    if pidfd < 0 {
        // Only kernels before 5.2 ignore CLONE_PIDFD; nothing here works on them.
        return Err(Errno::ENOSYS);
    }
    // SAFETY: the kernel has just made it for us; it is close-on-exec.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// `struct clone_args` of `clone3(2)` in its first version.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[repr(C, align(8))]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn clone3(stack: &mut Stack, plan: &Plan<'_>, pidfd: &mut c_int) -> Result<Pid, Errno> {
    /// Missing in `libc`: it does not fit the `c_int` of the other flags.
    const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    let args = CloneArgs {
        flags: u64::from(flags.cast_unsigned()) | CLONE_CLEAR_SIGHAND,
        pidfd: ptr::from_mut(pidfd).expose_provenance() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        stack: stack.bottom().expose_provenance() as u64,
        stack_size: STACK as u64,
        tls: 0,
    };
    let entry: extern "C" fn(*mut c_void) -> c_int = run;
    let plan = ptr::from_ref(plan).cast_mut().cast::<c_void>();
    let result: i64;
    // SAFETY: the parent sees a system call that takes a while. The child continues in the middle of
    // the block on its own, 16-aligned stack and never leaves it: `run` does not return. It uses the
    // plan only until the parent goes on, so the plan is still there.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp", // the end of the chain of frames
            "mov rdi, r8",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw const args,
            in("rsi") size_of::<CloneArgs>(),
            in("r8") plan,
            in("r9") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr", // the end of the chain of frames
            "mov x0, x9",
            "blr x10",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") &raw const args => result,
            in("x1") size_of::<CloneArgs>(),
            in("x9") plan,
            in("x10") entry,
        );
    }
    match i32::try_from(result) {
        Ok(pid) if pid > 0 => Ok(Pid::from_raw(pid)),
        Ok(error) => Err(Errno::from_raw(-error)),
        Err(_) => Err(Errno::EINVAL),
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn clone3(_: &mut Stack, _: &Plan<'_>, _: &mut c_int) -> Result<Pid, Errno> {
    // A new stack needs a piece of assembler, which libc has for its `clone` alone.
    Err(Errno::ENOSYS)
}

fn clone_legacy(stack: &mut Stack, plan: &Plan<'_>, pidfd: &mut c_int) -> Result<Pid, Errno> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let plan = ptr::from_ref(plan).cast_mut().cast::<c_void>();
    // SAFETY: the child runs `run` on its own stack and uses the plan only until the parent goes on.
    let pid = unsafe { libc::clone(run, stack.top(), flags, plan, ptr::from_mut(pidfd)) };
    Errno::result(pid).map(Pid::from_raw)
}

/// The child.
extern "C" fn run(plan: *mut c_void) -> c_int {
    // SAFETY: the parent keeps the plan and waits.
    let plan = unsafe { &*plan.cast::<Plan<'_>>() };
    let Err(failure) = set_up(plan);
    plan.failure.set(Some(failure));
    loop {
        // Only this process: it is alone in its thread group.
        let _ = call(libc::SYS_exit_group, [127, 0, 0, 0, 0]);
    }
}

/// Carries out the plan up to `exec`.
fn set_up(plan: &Plan<'_>) -> Result<Infallible, Failure> {
    set_session(plan.session).map_err(|errno| Step::Session.failed(errno))?;
    for (target, source) in plan.stdio.into_iter().enumerate() {
        let arguments = [source.cast_unsigned() as usize, target, 0, 0, 0];
        call(libc::SYS_dup3, arguments).map_err(|errno| Step::Stdio(target).failed(errno))?;
    }
    // Before a limit on descriptors that may be lower than theirs.
    for (index, source) in plan.passed.iter().enumerate() {
        let arguments = [source.cast_unsigned() as usize, index.wrapping_add(3), 0, 0, 0];
        call(libc::SYS_dup3, arguments).map_err(|errno| Step::Passed(index).failed(errno))?;
    }
    reset_signals(plan.ignored_signals);
    let _ = call(libc::SYS_umask, [plan.umask as usize, 0, 0, 0, 0]);
    schedule(plan.scheduling, plan.oom_score_adj)?;
    for (index, limit) in plan.limits.iter().enumerate() {
        set_limit(limit.resource, limit.soft, limit.hard)
            .map_err(|errno| Step::Limit(index).failed(errno))?;
    }
    if let Some(tag) = plan.tag {
        /// The same everywhere; its type in `libc` is not.
        const RLIMIT_LOCKS: u32 = 10;
        // Refused where the daemon itself has a lower limit: then the session has to do.
        let _ = set_limit(RLIMIT_LOCKS, tag, tag);
    }
    // While there are the privileges that it takes.
    if let Some(bounding) = plan.privileges.bounding {
        bound_capabilities(bounding).map_err(|errno| Step::Bounding.failed(errno))?;
    }
    let ambient = plan.privileges.ambient;
    if ambient != Capabilities::default() {
        // Else the change of user takes them all away.
        prctl(libc::PR_SET_KEEPCAPS, [1, 0]).map_err(|errno| Step::Capabilities.failed(errno))?;
    }
    set_credentials(&plan.credentials)?;
    if ambient != Capabilities::default() || plan.privileges.bounding.is_some() {
        inherit_capabilities(ambient).map_err(|errno| Step::Capabilities.failed(errno))?;
    }
    // As the user, so that nothing is entered that only root may enter.
    call(libc::SYS_chdir, [plan.directory.as_ptr().expose_provenance(), 0, 0, 0, 0])
        .map_err(|errno| Step::Directory.failed(errno))?;
    if plan.privileges.no_new {
        prctl(libc::PR_SET_NO_NEW_PRIVS, [1, 0])
            .map_err(|errno| Step::NoNewPrivileges.failed(errno))?;
    }
    unblock_signals();
    close_on_exec(plan.passed.len().wrapping_add(3), plan.inherited)
        .map_err(|errno| Step::Descriptors.failed(errno))?;
    if let Some((source, target)) = plan.extra {
        // Here it overwrites only what ends at `exec` anyway.
        let [source, target] = [source, target].map(|fd| fd.cast_unsigned() as usize);
        call(libc::SYS_dup3, [source, target, 0, 0, 0])
            .map_err(|errno| Step::Extra.failed(errno))?;
    }
    let pid = own_pid();
    for slot in plan.own_pid {
        plan.environment.write_pid(*slot, pid);
    }
    Err(exec(plan))
}

impl Step {
    fn failed(self, errno: c_int) -> Failure {
        Failure { step: self, errno }
    }
}

fn set_session(session: Session) -> Result<(), c_int> {
    match session {
        Session::Own => call(libc::SYS_setsid, [0; 5]),
        Session::Group => call(libc::SYS_setpgid, [0; 5]),
    }
}

/// Gives each signal of the set its default disposition.
fn reset_signals(set: u64) {
    /// The kernel's `sigaction`, larger than on any architecture; zeroes are `SIG_DFL` on all.
    static DEFAULT: [u64; 8] = [0; 8];
    let action = (&raw const DEFAULT).expose_provenance();
    for signal in 1..=64_usize {
        if set & (1 << (signal - 1)) != 0 {
            // KILL and STOP cannot be set, nor need be.
            let _ = call(libc::SYS_rt_sigaction, [signal, action, 0, SIGNAL_SET_BYTES, 0]);
        }
    }
}

fn schedule(scheduling: &Scheduling, oom_score_adj: Option<&[u8]>) -> Result<(), Failure> {
    /// `ioprio_set(2)`, which `libc` lacks.
    const IOPRIO_WHO_PROCESS: usize = 1;
    if let Some(text) = oom_score_adj {
        write_file(c"/proc/self/oom_score_adj", text)
            .map_err(|errno| Step::OomScore.failed(errno))?;
    }
    if let Some(cpus) = &scheduling.cpus {
        let words = cpus.words();
        let place = words.as_ptr().expose_provenance();
        call(libc::SYS_sched_setaffinity, [0, size_of_val(words), place, 0, 0])
            .map_err(|errno| Step::Cpus.failed(errno))?;
    }
    if let Some(scheduler) = scheduling.scheduler {
        let (policy, priority) = match scheduler {
            Scheduler::Other => (libc::SCHED_OTHER, 0),
            Scheduler::Batch => (libc::SCHED_BATCH, 0),
            Scheduler::Idle => (libc::SCHED_IDLE, 0),
            Scheduler::Fifo(priority) => (libc::SCHED_FIFO, priority),
            Scheduler::RoundRobin(priority) => (libc::SCHED_RR, priority),
        };
        let priority = c_int::from(priority);
        let place = (&raw const priority).expose_provenance();
        call(libc::SYS_sched_setscheduler, [0, policy.cast_unsigned() as usize, place, 0, 0])
            .map_err(|errno| Step::Scheduler.failed(errno))?;
    }
    if let Some(nice) = scheduling.nice {
        let arguments = [libc::PRIO_PROCESS as usize, 0, nice.cast_unsigned() as usize, 0, 0];
        call(libc::SYS_setpriority, arguments).map_err(|errno| Step::Nice.failed(errno))?;
    }
    if let Some(io) = scheduling.io {
        let (class, level) = match io {
            IoClass::Realtime(level) => (1, level),
            IoClass::BestEffort(level) => (2, level),
            IoClass::Idle => (3, 0),
        };
        let priority = class << 13 | usize::from(level);
        call(libc::SYS_ioprio_set, [IOPRIO_WHO_PROCESS, 0, priority, 0, 0])
            .map_err(|errno| Step::IoClass.failed(errno))?;
    }
    Ok(())
}

/// Writes to a file that is there. The descriptor ends with the child or its `exec`.
fn write_file(path: &CStr, text: &[u8]) -> Result<(), c_int> {
    let flags = (libc::O_WRONLY | libc::O_CLOEXEC).cast_unsigned() as usize;
    let directory = libc::AT_FDCWD.cast_unsigned() as usize;
    let path = path.as_ptr().expose_provenance();
    let fd = call_for(libc::SYS_openat, [directory, path, flags, 0, 0])?;
    let fd = usize::try_from(fd).unwrap_or(usize::MAX);
    let text = [fd, text.as_ptr().expose_provenance(), text.len(), 0, 0];
    call(libc::SYS_write, text)
}

/// Gives up for ever what is not in the set.
fn bound_capabilities(bounding: Capabilities) -> Result<(), c_int> {
    for number in 0..64_usize {
        if bounding.bits() & (1 << number) != 0 {
            continue;
        }
        // What is not there need not be dropped, for which there may be no privilege; and behind
        // the last one that the kernel knows there are no others.
        match call_for(libc::SYS_prctl, [libc::PR_CAPBSET_READ as usize, number, 0, 0, 0]) {
            Ok(0) => {}
            Ok(_) => prctl(libc::PR_CAPBSET_DROP, [number, 0])?,
            Err(_) => break,
        }
    }
    Ok(())
}

/// `struct __user_cap_header_struct` of `capset(2)`.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

/// `struct __user_cap_data_struct` of `capset(2)`; the second one has the upper bits.
#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityWords {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Makes these, and no others, survive `exec` as a user that is not root.
fn inherit_capabilities(set: Capabilities) -> Result<(), c_int> {
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const VERSION: u32 = 0x2008_0522;
    let mut header = CapabilityHeader { version: VERSION, pid: 0 };
    let mut words = [CapabilityWords { effective: 0, permitted: 0, inheritable: 0 }; 2];
    let place = [&raw mut header as usize, words.as_mut_ptr() as usize, 0, 0, 0];
    call(libc::SYS_capget, place)?;
    let [low, high] = &mut words;
    // Each half fits.
    low.inheritable = u32::try_from(set.bits() & u64::from(u32::MAX)).unwrap_or(0);
    high.inheritable = u32::try_from(set.bits() >> 32).unwrap_or(0);
    call(libc::SYS_capset, place)?;
    for number in 0..64_usize {
        if set.bits() & (1 << number) != 0 {
            prctl(libc::PR_CAP_AMBIENT, [libc::PR_CAP_AMBIENT_RAISE as usize, number])?;
        }
    }
    Ok(())
}

fn prctl(option: c_int, arguments: [usize; 2]) -> Result<(), c_int> {
    let [first, second] = arguments;
    call(libc::SYS_prctl, [option.cast_unsigned() as usize, first, second, 0, 0])
}

/// `struct rlimit64` of `prlimit(2)`.
#[repr(C)]
struct KernelLimit {
    soft: u64,
    hard: u64,
}

fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<(), c_int> {
    let limit = KernelLimit { soft, hard };
    call(libc::SYS_prlimit64, [0, resource as usize, (&raw const limit).expose_provenance(), 0, 0])
}

#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
use libc::{SYS_setgroups, SYS_setresgid, SYS_setresuid};
/// There the plain names are calls with 16-bit ids.
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
use libc::{
    SYS_setgroups32 as SYS_setgroups, SYS_setresgid32 as SYS_setresgid,
    SYS_setresuid32 as SYS_setresuid,
};

fn set_credentials(change: &Change<'_>) -> Result<(), Failure> {
    if let Some(groups) = change.groups {
        call(SYS_setgroups, [groups.len(), groups.as_ptr().expose_provenance(), 0, 0, 0])
            .map_err(|errno| Step::Groups.failed(errno))?;
    }
    if let Some(gid) = change.gid {
        let gid = gid as usize;
        call(SYS_setresgid, [gid, gid, gid, 0, 0]).map_err(|errno| Step::Group.failed(errno))?;
    }
    if let Some(uid) = change.uid {
        let uid = uid as usize;
        call(SYS_setresuid, [uid, uid, uid, 0, 0]).map_err(|errno| Step::User.failed(errno))?;
    }
    Ok(())
}

fn unblock_signals() {
    let none = 0_u64;
    let how = libc::SIG_SETMASK as usize;
    let mask = (&raw const none).expose_provenance();
    let _ = call(libc::SYS_rt_sigprocmask, [how, mask, 0, SIGNAL_SET_BYTES, 0]);
}

/// Leaves what is below `first` open over `exec`, whatever else this process or a library in it has
/// open.
fn close_on_exec(first: usize, inherited: Option<&[RawFd]>) -> Result<(), c_int> {
    let Some(inherited) = inherited else {
        let flags = libc::CLOSE_RANGE_CLOEXEC as usize;
        return call(libc::SYS_close_range, [first, u32::MAX as usize, flags, 0, 0]);
    };
    for fd in inherited {
        // One that has been closed since is as good.
        let fd = fd.cast_unsigned() as usize;
        let set = [fd, libc::F_SETFD as usize, libc::FD_CLOEXEC as usize, 0, 0];
        let _ = call(libc::SYS_fcntl, set);
    }
    Ok(())
}

/// Tries each candidate as `execvp(3)` does; returns only if none could be run.
fn exec(plan: &Plan<'_>) -> Failure {
    let candidates = plan.candidates.strings();
    let argv = plan.argv.as_ptr().expose_provenance();
    let environment = plan.environment.as_ptr().expose_provenance();
    let mut denied = None;
    let mut missing = Step::Exec(0).failed(libc::ENOENT);
    for (index, path) in candidates.iter().enumerate() {
        let arguments = [path.expose_provenance(), argv, environment, 0, 0];
        let Err(errno) = call(libc::SYS_execve, arguments) else { continue };
        let failure = Step::Exec(index).failed(errno);
        match errno {
            // A directory of PATH that is none is like one that lacks the program.
            libc::ENOENT | libc::ENOTDIR if candidates.len() > 1 => {}
            libc::ENOENT | libc::ENOTDIR => missing = failure,
            libc::EACCES => denied = denied.or(Some(failure)),
            _ => return failure,
        }
    }
    denied.unwrap_or(missing)
}

/// The pid of the child. In the daemon's pid namespace, as the child has no other.
fn own_pid() -> u32 {
    // SAFETY: it takes nothing and cannot fail.
    let pid = unsafe { libc::syscall(libc::SYS_getpid) };
    u32::try_from(pid).unwrap_or(0)
}

/// A system call that has no result but success.
fn call(number: c_long, arguments: [usize; 5]) -> Result<(), c_int> {
    call_for(number, arguments).map(drop)
}

/// A system call with its result.
fn call_for(number: c_long, arguments: [usize; 5]) -> Result<c_long, c_int> {
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: pointers among the arguments are addresses of what lives in the caller or in the plan,
    // as each call wants them.
    match unsafe { libc::syscall(number, first, second, third, fourth, fifth) } {
        -1 => Err(Errno::last_raw()),
        result => Ok(result),
    }
}
