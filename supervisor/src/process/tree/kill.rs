//! Signals to all processes of a service.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::Pid;
use supervisor_engine::Signal;

use super::proc::Stat;
use super::{Orphan, Roots, Tree};
use crate::process::signal::{needs_continue, open, signal_and_continue};
use crate::process::sys;

impl Tree {
    /// Sends a signal to every process of the service, once, followed by `CONT` where that is needed
    /// for stopped processes to act on it.
    ///
    /// `orphans` are those that nobody knows; a process that becomes one just then may be missed. An
    /// error is the first of several, the others have got their signal.
    pub fn signal(&self, roots: &Roots<'_>, orphans: &[Orphan], sent: Signal) -> io::Result<()> {
        let mut errors = FirstError::default();
        // Who they are has to be known before the first of them dies of it.
        let members = errors.of(self.members(roots, orphans));
        let groups = signal_groups(roots.live, sent, &mut errors);
        for member in members.iter().filter(|member| !groups.contains(&member.group)) {
            errors.of(signal_member(member, sent));
        }
        errors.result()
    }

    /// Kills every process of the service, those too that fork meanwhile. When it returns, each has
    /// been sent `KILL`, unless there is an error or they multiply faster than they can be killed.
    ///
    /// Which children of the daemon are `known`, the service's own or another's, as for
    /// [`orphans`](Self::orphans).
    pub fn kill(&self, roots: &Roots<'_>, known: impl Fn(Pid) -> bool) -> io::Result<()> {
        /// A hostile service must not hold up the others for good: the caller will ask again.
        const PASSES: u32 = 100;
        let mut errors = FirstError::default();
        let mut killed = HashSet::new();
        // What has been killed may have led sessions whose other processes are orphans now.
        let mut started = roots.started.to_vec();
        let mut idle_passes = 0;
        for pass in 0..PASSES {
            // Once while they still have their parents, for those that have no tag; and once when
            // the groups can fork no more. As processes move up to the daemon only, and its children
            // are looked at last, none slips through.
            let mut members = errors.of(self.offspring(roots.live));
            let groups = signal_groups(roots.live, Signal::KILL, &mut errors);
            members.extend(errors.of(self.offspring(roots.live)));
            let orphans = errors.of(self.orphans(&known));
            let roots = Roots { started: &started, ..*roots };
            members.extend(errors.of(self.adopted(&roots, &orphans)));
            members.retain(|member| killed.insert((member.pid, member.start_time)));
            let mut found = false;
            for member in &members {
                started.push(member.pid);
                if !groups.contains(&member.group) {
                    found = true;
                    errors.of(signal_member(member, Signal::KILL));
                }
            }
            idle_passes = if found { 0 } else { idle_passes + 1 };
            if idle_passes == 2 || pass == 0 && !found {
                break;
            }
        }
        errors.result()
    }
}

/// Signals the process groups that these children of ours lead, if they do. What is in the group gets
/// it in one go, before it can fork. Gives the groups that were reached.
fn signal_groups(leaders: &[Pid], sent: Signal, errors: &mut FirstError) -> Vec<Pid> {
    let mut reached = Vec::new();
    for leader in leaders {
        match sys::kill_group(*leader, sent) {
            Ok(()) => reached.push(*leader),
            // It leads none, or has left it.
            Err(Errno::ESRCH) => continue,
            Err(errno) => errors.of(Err(io::Error::from(errno))),
        }
        if needs_continue(sent) {
            // Reached a moment ago; if it is gone now, that is well.
            let _ = sys::kill_group(*leader, Signal::CONT);
        }
    }
    reached
}

/// Signals one process, unless it is gone and its pid another's.
fn signal_member(member: &Stat, sent: Signal) -> io::Result<()> {
    let Some(pidfd) = open(member.pid)? else { return Ok(()) };
    // The descriptor's process is the member if the member still has the pid now.
    if member.is_same()? {
        signal_and_continue(pidfd.as_fd(), sent)?;
    }
    Ok(())
}

/// Keeps the first error while work goes on.
#[derive(Debug, Default)]
struct FirstError(Option<io::Error>);

impl FirstError {
    /// The value, or an empty one in place of an error.
    fn of<T: Default>(&mut self, result: io::Result<T>) -> T {
        result.unwrap_or_else(|error| {
            self.0.get_or_insert(error);
            T::default()
        })
    }

    fn result(self) -> io::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
