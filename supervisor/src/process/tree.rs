//! Which processes belong to which service.
//!
//! The daemon adopts what its descendants leave behind, so every process of every service is a
//! child of the daemon or a descendant of one. A child that the daemon has not started itself is an
//! orphan, which its [tag](super::Command::tag) or else its session or process group gives to a
//! service, together with all its descendants. A process that changes all three on purpose escapes.
//!
//! Looking takes time for the daemon's own children, one line in `/proc`, and for the processes of
//! the service that is asked for; never for those of other services.

mod kill;
mod proc;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use nix::unistd::Pid;

pub use proc::Stat;

/// Finds the processes of services.
#[derive(Debug)]
pub struct Tree {
    children: proc::Children,
    own_tag: Option<u64>,
}

/// What is known of a service's processes, to find the others by.
#[derive(Clone, Copy, Debug)]
pub struct Roots<'a> {
    /// Children of the daemon, started or adopted, that are the service's for certain and not yet
    /// reaped: they and all their descendants belong to it.
    pub live: &'a [Pid],
    /// Every process that was started for it, alive or not: each names a session and a group.
    pub started: &'a [Pid],
    /// What all of them were started with as their [tag](super::Command::tag).
    pub tag: Option<u64>,
}

/// A live child of the daemon that it has not started but adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The process.
    pub stat: Stat,
    /// Its tag; `None` when it has none, or the daemon's own.
    pub tag: Option<u64>,
}

impl Tree {
    /// Finds out what the kernel offers. An error if `/proc` is not mounted: later everything would
    /// seem to be gone; or if it is that of another pid namespace: there our pid is somebody else's.
    pub fn new() -> io::Result<Self> {
        let own = fs::read_link("/proc/self");
        if own.is_ok_and(|own| own != Path::new(&Pid::this().to_string())) {
            return Err(io::Error::other("/proc belongs to another pid namespace"));
        }
        if Stat::read(Pid::this())?.is_none() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "/proc is not mounted"));
        }
        Ok(Self { children: proc::Children::new(), own_tag: proc::tag(Pid::this())? })
    }

    /// The daemon's live children that are not `known` to it.
    ///
    /// This is a look at all children of the daemon, some 0.1 ms for 500: where several services are
    /// looked at in one turn, do it once, after the processes that have ended in this turn were
    /// reaped. Orphans that have ended do not count; see [`next_zombie`](super::next_zombie).
    pub fn orphans(&self, known: impl Fn(Pid) -> bool) -> io::Result<Vec<Orphan>> {
        let mut orphans = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let mut again = false;
            for pid in self.children.of(Pid::this())? {
                if known(pid) || !seen.insert(pid) {
                    continue;
                }
                match Stat::read(pid)? {
                    Some(stat) if stat.alive => orphans.push(Orphan { stat, tag: self.tag(pid)? }),
                    // If it has ended just now, its children have joined ours since.
                    Some(_) | None => again = true,
                }
            }
            if !again {
                return Ok(orphans);
            }
        }
    }

    /// The live processes of the service, zombies not counted.
    ///
    /// `orphans` are those that nobody knows. When nothing but orphans can be left
    /// (`roots.live` is empty) and they were looked for after the last known process had ended, then
    /// none is overlooked.
    pub fn members(&self, roots: &Roots<'_>, orphans: &[Orphan]) -> io::Result<Vec<Stat>> {
        let mut members = self.offspring(roots.live)?;
        members.extend(self.adopted(roots, orphans)?);
        Ok(members)
    }

    /// The orphans of the service and their descendants.
    fn adopted(&self, roots: &Roots<'_>, orphans: &[Orphan]) -> io::Result<Vec<Stat>> {
        let own: Vec<Pid> = orphans
            .iter()
            .filter(|orphan| roots.owns(orphan))
            .map(|orphan| orphan.stat.pid)
            .collect();
        self.offspring(&own)
    }

    /// The live ones among these processes and all their descendants.
    fn offspring(&self, roots: &[Pid]) -> io::Result<Vec<Stat>> {
        let mut found = Vec::new();
        let mut seen: HashSet<Pid> = roots.iter().copied().collect();
        let mut rest = roots.to_vec();
        while let Some(pid) = rest.pop() {
            let Some(stat) = Stat::read(pid)? else { continue };
            if !stat.alive {
                continue;
            }
            found.push(stat);
            rest.extend(self.children.of(pid)?.into_iter().filter(|child| seen.insert(*child)));
        }
        Ok(found)
    }

    /// Whether a process is verifiably neither the daemon nor descended from it. One that is gone is
    /// not, nor one whose ancestors are just going.
    pub fn is_stranger(&self, pid: Pid) -> io::Result<bool> {
        let mut at = pid;
        while at != Pid::this() {
            let Some(stat) = Stat::read(at)? else { return Ok(false) };
            if stat.parent.as_raw() <= 1 && stat.parent != Pid::this() {
                return Ok(true);
            }
            at = stat.parent;
        }
        Ok(false)
    }

    /// The tag of a process, unless it has just inherited the daemon's; `None` if it is gone.
    pub fn tag(&self, pid: Pid) -> io::Result<Option<u64>> {
        Ok(proc::tag(pid)?.filter(|tag| Some(*tag) != self.own_tag))
    }
}

impl Roots<'_> {
    /// Whether the orphan belongs to the service. The tag has the last word: the pid of a process
    /// that was started once may name another service's session now.
    pub fn owns(&self, orphan: &Orphan) -> bool {
        if let Some(tag) = orphan.tag {
            return self.tag == Some(tag);
        }
        let Stat { pid, group, session, .. } = orphan.stat;
        [pid, group, session].iter().any(|id| self.started.contains(id))
    }
}

#[cfg(test)]
mod tests;
