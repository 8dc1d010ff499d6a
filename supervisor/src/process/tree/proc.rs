//! What `/proc` tells of processes (`proc(5)`).

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::str::{self, FromStr};

use nix::errno::Errno;
use nix::unistd::{Pid, gettid};

/// A process as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its pid.
    pub pid: Pid,
    /// Whether any thread of it runs: `false` for a zombie.
    pub alive: bool,
    /// Its parent.
    pub parent: Pid,
    /// Its process group.
    pub group: Pid,
    /// Its session.
    pub session: Pid,
    /// When it was started, in clock ticks since boot.
    pub start_time: u64,
}

impl Stat {
    /// Looks at a process; `None` if there is none.
    pub fn read(pid: Pid) -> io::Result<Option<Self>> {
        let Some(text) = read(&format!("/proc/{pid}/stat"))? else { return Ok(None) };
        let stat = Self::parse(pid, &text);
        stat.map(Some).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is malformed")))
    }

    /// Whether the pid still is this process's, and the process alive.
    pub fn is_same(&self) -> io::Result<bool> {
        Ok(Self::read(self.pid)?.is_some_and(|now| now.alive && now.start_time == self.start_time))
    }

    fn parse(pid: Pid, text: &[u8]) -> Option<Self> {
        // The name may hold anything, parentheses too, but nothing behind it does.
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let mut fields = str::from_utf8(text.get(end + 1..)?).ok()?.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = next_pid(&mut fields)?;
        let group = next_pid(&mut fields)?;
        let session = next_pid(&mut fields)?;
        // From field 7, tty_nr, to field 20, num_threads.
        let threads: u64 = fields.nth(13)?.parse().ok()?;
        let start_time = fields.nth(1)?.parse().ok()?;
        // The first thread may have ended before the others: then it is a zombie among the living.
        let alive = !matches!(state, "Z" | "X") || threads > 1;
        Some(Self { pid, alive, parent, group, session, start_time })
    }
}

/// The `RLIMIT_LOCKS` of a process, of which nobody makes use; `None` if it is infinite or the
/// process is gone. Not by `prlimit(2)`, which wants privileges for another user's process.
pub(super) fn tag(pid: Pid) -> io::Result<Option<u64>> {
    Ok(read(&format!("/proc/{pid}/limits"))?.and_then(|text| parse_tag(&text)))
}

fn parse_tag(limits: &[u8]) -> Option<u64> {
    let line =
        str::from_utf8(limits).ok()?.lines().find_map(|l| l.strip_prefix("Max file locks"))?;
    // Soft, then hard: only that one the process cannot raise again.
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Finds the children of processes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Children {
    /// In `/proc/PID/task/TID/children`.
    Listed,
    /// By looking at all processes, on kernels without `CONFIG_PROC_CHILDREN`.
    Searched,
}

impl Children {
    /// Finds out what the kernel offers.
    pub(super) fn new() -> Self {
        let list = format!("/proc/self/task/{}/children", gettid());
        if fs::exists(list).unwrap_or(false) { Self::Listed } else { Self::Searched }
    }

    /// The children of a process, zombies too; none if it is gone.
    ///
    /// Of this process they are complete as long as nobody else reaps; of others one may be missing
    /// while its siblings end.
    pub(super) fn of(self, parent: Pid) -> io::Result<Vec<Pid>> {
        let mut children = Vec::new();
        match self {
            Self::Listed => {
                // A child belongs to the thread that made it.
                for_each_number(&format!("/proc/{parent}/task"), |thread| {
                    let list = read(&format!("/proc/{parent}/task/{thread}/children"))?;
                    let list = list.unwrap_or_default();
                    children.extend(str::from_utf8(&list).iter().flat_map(|list| pids(list)));
                    Ok(())
                })?;
            }
            Self::Searched => for_each_number("/proc", |pid| {
                let stat = Stat::read(Pid::from_raw(pid))?;
                children.extend(stat.filter(|stat| stat.parent == parent).map(|stat| stat.pid));
                Ok(())
            })?,
        }
        Ok(children)
    }
}

/// Calls `f` with every entry of a directory that is a number. Nothing, if it is gone.
fn for_each_number(directory: &str, mut f: impl FnMut(i32) -> io::Result<()>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        match entry {
            Ok(entry) => {
                if let Some(number) = number(&entry.file_name()) {
                    f(number)?;
                }
            }
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A file of a process; `None` if the process is gone.
fn read(path: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error of `/proc` means that the process has been reaped: at the opening or after it.
fn is_gone(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|errno| errno == Errno::ENOENT as i32 || errno == Errno::ESRCH as i32)
}

fn pids(list: &str) -> impl Iterator<Item = Pid> {
    list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw)
}

fn next_pid<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Pid> {
    fields.next()?.parse().ok().map(Pid::from_raw)
}

fn number(name: &OsStr) -> Option<i32> {
    str::from_utf8(name.as_bytes()).ok().and_then(|name| i32::from_str(name).ok())
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Pid, getpgrp, getppid, getsid};

    use super::{Stat, parse_tag};

    #[test]
    fn a_name_cannot_forge_fields() {
        let text = b"7 (a) Z 1 (b) S 3 5 6 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 4711 0";
        let stat = Stat::parse(Pid::from_raw(7), text).expect("well formed");
        assert!(stat.alive);
        assert_eq!(stat.parent.as_raw(), 3);
        assert_eq!(stat.group.as_raw(), 5);
        assert_eq!(stat.session.as_raw(), 6);
        assert_eq!(stat.start_time, 4711);
    }

    #[test]
    fn a_zombie_is_alive_while_other_threads_run() {
        for (threads, alive) in [(1, false), (2, true)] {
            let text = format!("7 (x) Z 3 5 6 0 -1 0 1 2 3 4 5 6 7 8 20 0 {threads} 0 4711 0");
            let stat = Stat::parse(Pid::from_raw(7), text.as_bytes()).expect("well formed");
            assert_eq!(stat.alive, alive);
        }
    }

    #[test]
    fn this_process_is_seen_as_it_is() {
        let stat = Stat::read(Pid::this()).expect("/proc").expect("alive");
        assert!(stat.alive);
        assert_eq!(stat.parent, getppid());
        assert_eq!(stat.group, getpgrp());
        assert_eq!(stat.session, getsid(None).expect("session"));
        assert!(stat.is_same().expect("/proc"));
    }

    #[test]
    fn malformed_text_is_nothing() {
        for text in ["", "7 (x", "7 (x) S", "7 (x) S a b c"] {
            assert_eq!(Stat::parse(Pid::from_raw(7), text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_hard_limit_is_the_tag() {
        let text = "Limit   Soft Limit   Hard Limit   Units\n\
            Max file locks            41                   42                   locks     \n";
        assert_eq!(parse_tag(text.as_bytes()), Some(42));
        assert_eq!(parse_tag(b"Max file locks            41         unlimited     locks\n"), None);
    }
}
