//! Looking at processes through `/proc`.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{MARK, wait_until};

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The user that an unprivileged program shall run as: as root `nobody`, else who we are.
pub(crate) fn user() -> String {
    if is_root() { "nobody".to_owned() } else { nix::unistd::geteuid().to_string() }
}

/// Sends a signal; a process that is gone already is no fault.
pub(crate) fn send_signal(pid: i32, signal: Signal) {
    assert!(pid > 1, "no test signals process {pid}");
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("{signal} to {pid}: {error}"),
    }
}

/// What a shell would show: the status, or 128 + n for signal n.
pub(super) fn shell_status(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// Whether a process exists and is not a zombie.
pub(crate) fn alive(pid: i32) -> bool {
    !matches!(process_state(pid), None | Some('Z' | 'X'))
}

/// The letter of `/proc/PID/stat`: `R`, `S`, `T` (stopped), `Z` (zombie); `None` if it is gone.
pub(crate) fn process_state(pid: i32) -> Option<char> {
    stat_words(pid)?.first()?.chars().next()
}

/// Children of a process, zombies too.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    let parent = parent.to_string();
    let is_child = |pid: &i32| stat_words(*pid).is_some_and(|words| words.get(1) == Some(&parent));
    all().into_iter().filter(is_child).collect()
}

/// Children of a process and theirs, zombies too.
pub(crate) fn descendants(ancestor: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut queue = vec![ancestor];
    while let Some(pid) = queue.pop() {
        let children = children(pid);
        queue.extend(&children);
        found.extend(children);
    }
    found
}

/// Number of open descriptors of a process.
pub(crate) fn open_fds(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).unwrap_or_default()
}

/// Living processes of the test in `dir`, known by a variable that they inherit.
pub(super) fn marked(dir: &Path) -> Vec<i32> {
    let mark = [MARK.as_bytes(), b"=", dir.as_os_str().as_bytes()].concat();
    let is_marked = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|pair| pair == mark))
    };
    let mut pids = all();
    pids.retain(is_marked);
    pids
}

/// Kills what descends from a process, which is stopped for it: what is on its way through `exec`
/// shows no mark for a moment, but it has a parent.
pub(super) fn kill_descendants(ancestor: i32) {
    send_signal(ancestor, Signal::SIGSTOP);
    wait_until("the daemon to be stopped", &mut (), |()| {
        matches!(process_state(ancestor), None | Some('T' | 't' | 'Z' | 'X')).then_some(())
    });
    for pid in descendants(ancestor) {
        send_signal(pid, Signal::SIGKILL);
    }
}

/// Kills every process of the test in `dir`.
pub(super) fn kill_marked(dir: &Path) {
    if marked(dir).is_empty() {
        return;
    }
    wait_until("the processes of the test to be gone", &mut (), |()| {
        let pids = marked(dir);
        for &pid in &pids {
            send_signal(pid, Signal::SIGKILL);
        }
        pids.is_empty().then_some(())
    });
}

/// The words of `/proc/PID/stat` behind the name, which may contain anything.
fn stat_words(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

fn all() -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}
