//! What the operating system reports: messages, ends of processes, in the order that keeps cause
//! before effect.
//!
//! In one turn: notify messages first, so that one sent right before an exit counts; then the ends
//! of processes, all of them reaped before anybody looks who is left; then the services whose last
//! process has gone.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd as _;

use nix::unistd::Pid;
use supervisor_engine::{Exit, Process as Which, Report, ServiceId};

use super::Runtime;
use super::notices;
use super::poller::Source;
use super::unit::Process;
use crate::process::{self, Orphan};

/// Whose process a pid is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) service: ServiceId,
    pub(crate) role: Role,
}

impl Owner {
    /// Of the process whose end a descriptor tells.
    fn of(source: Source) -> Option<Self> {
        let (service, role) = match source {
            Source::Main(id) => (id, Role::Main),
            Source::Control(id) => (id, Role::Control),
            Source::Probe(id) => (id, Role::Probe),
            Source::Notify(_) | Source::Stored(_) | Source::PidFile(_) => return None,
        };
        Some(Self { service, role })
    }
}

/// What a process of ours is to its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Main,
    Control,
    Probe,
}

/// A main or control process that has ended and is reaped.
struct Ended {
    service: ServiceId,
    which: Which,
    pid: Pid,
    exit: Exit,
}

impl Runtime {
    /// Takes one batch of what has happened.
    pub(crate) fn on_os_events(&mut self) {
        let happened = match self.poller.take() {
            Ok(happened) => happened,
            Err(error) => {
                tracing::error!(%error, "epoll");
                return;
            }
        };
        for source in &happened {
            if let Source::Notify(id) = source {
                self.drain_notices(*id, notices::SHARE);
            }
        }
        for source in &happened {
            if let Source::Stored(id) = source {
                self.on_stored_hung_up(*id);
            }
        }
        for source in &happened {
            if let Source::PidFile(id) = source {
                self.look_for_main(*id);
            }
        }
        let mut ended = Vec::new();
        for source in happened {
            if let Some(owner) = Owner::of(source) {
                self.reap(owner, &mut ended);
            }
        }
        if self.look_again || !ended.is_empty() {
            self.on_ended(ended);
        }
    }

    /// Some child has ended: those that nobody watches are orphans.
    pub(crate) fn on_child_signal(&mut self) {
        let mut ended = Vec::new();
        let mut adopted = false;
        let mut seen = HashSet::new();
        loop {
            let (pid, exit) = match process::next_zombie() {
                Ok(Some(zombie)) => zombie,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "waitid");
                    break;
                }
            };
            // The same one again would be for ever.
            if !seen.insert(pid) {
                break;
            }
            if let Some(owner) = self.pids.get(&pid).copied() {
                self.reap(owner, &mut ended);
            } else {
                tracing::debug!(%pid, %exit, "orphan reaped");
                adopted = true;
                log_error("waitid", process::reap(pid).map(drop));
            }
        }
        if adopted || !ended.is_empty() {
            self.on_ended(ended);
        }
    }

    /// Reaps a process of ours if it has ended. What its service said before comes first.
    fn reap(&mut self, owner: Owner, ended: &mut Vec<Ended>) {
        let Owner { service, role } = owner;
        let Some(process) = self.process(owner) else { return };
        let pid = process.pid;
        let exit = match process::peek(process.pidfd.as_fd()) {
            Ok(Some(exit)) => exit,
            Ok(None) => return,
            // Not a child of ours: it was named by `MAINPID=`, and its parent has reaped it.
            Err(_) => Exit::Unknown,
        };
        let which = match role {
            Role::Main => Which::Main,
            Role::Control => Which::Control,
            Role::Probe => {
                log_error("waitid", process::wait(process.pidfd.as_fd()).map(drop));
                return self.on_attempt_ended(service, exit);
            }
        };
        self.drain_notices(service, notices::ALL);
        if exit != Exit::Unknown {
            // By its pid, which is its own until now: a message may just have put another process
            // in its place.
            log_error("waitid", process::reap(pid).map(drop));
        }
        if self.process(owner).is_some_and(|process| process.pid == pid)
            && let Some(process) = self.take_process(owner)
        {
            self.unwatch_process(&process);
            ended.push(Ended { service, which, pid, exit });
        }
    }

    fn process(&self, owner: Owner) -> Option<&Process> {
        let execution = self.unit(owner.service).execution.as_ref()?;
        match owner.role {
            Role::Main => execution.main.as_ref(),
            Role::Control => execution.control.as_ref(),
            Role::Probe => self.attempt_process(owner.service),
        }
    }

    fn take_process(&mut self, owner: Owner) -> Option<Process> {
        let execution = self.unit_mut(owner.service).execution.as_mut()?;
        match owner.role {
            Role::Main => execution.main.take(),
            Role::Control => execution.control.take(),
            Role::Probe => None,
        }
    }

    /// Reports what has ended, with who is left; then the services that were waited for to empty.
    fn on_ended(&mut self, mut ended: Vec<Ended>) {
        self.look_again = false;
        if ended.is_empty() && self.leftovers.is_empty() {
            return;
        }
        let orphans = self.orphans();
        let waited_for = self.leftovers.clone();
        // Where a stop command and what it was to stop have both ended, the end of the latter is
        // the news.
        ended.sort_by_key(|ended| ended.which);
        for ended in ended {
            self.report_end(&ended, &orphans);
        }
        for id in waited_for {
            self.look_after(id, &orphans);
        }
    }

    fn report_end(&mut self, ended: &Ended, orphans: &io::Result<Vec<Orphan>>) {
        let Ended { service, which, pid, exit } = *ended;
        if which == Which::Main && self.is_succeeded(service, pid, exit) {
            return;
        }
        let Some(execution) = &mut self.unit_mut(service).execution else { return };
        if let (Which::Control, Ok(orphans)) = (which, orphans) {
            execution.forget(pid, orphans);
        }
        let (invocation, main_lives) = (execution.invocation, execution.main.is_some());
        let remaining = !main_lives && self.has_others(service, orphans);
        if remaining {
            self.leftovers.insert(service);
        } else {
            self.leftovers.remove(&service);
        }
        self.report(invocation, Report::Exited { process: which, exit, remaining });
    }

    /// Of a service whose main process has ended and whose others had not.
    fn look_after(&mut self, id: ServiceId, orphans: &io::Result<Vec<Orphan>>) {
        if !self.leftovers.contains(&id) {
            return;
        }
        let Some(execution) = &self.unit(id).execution else { return };
        let (invocation, killed) = (execution.invocation, execution.killed);
        if !self.has_others(id, orphans) {
            self.leftovers.remove(&id);
            self.report(invocation, Report::Emptied);
        } else if killed {
            // Born while the others were being killed.
            log_error("kill", self.kill_all(id));
        } else {
            // With one that has ended it may be clearer which one it is.
            self.look_for_main(id);
        }
    }

    /// Whether processes of a service are left whose main process has ended, its control process
    /// aside. If that cannot be found out now, for want of descriptors say, there may be some.
    fn has_others(&mut self, id: ServiceId, orphans: &io::Result<Vec<Orphan>>) -> bool {
        let Some(execution) = &self.unit(id).execution else { return false };
        let members = match orphans {
            Ok(orphans) => self.tree.members(&execution.roots(&[], self.tags.of(id)), orphans),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        members.map_or_else(
            |error| {
                tracing::error!(%error, service = %self.name(id), "processes cannot be found");
                self.look_again = true;
                true
            },
            |members| !members.is_empty(),
        )
    }

    /// The live children of the daemon that it has not started.
    pub(crate) fn orphans(&self) -> io::Result<Vec<Orphan>> {
        self.tree.orphans(|pid| self.pids.contains_key(&pid))
    }

    /// Watches for the end of a process and knows it as ours.
    pub(crate) fn watch_process(&mut self, process: &Process, source: Source) {
        let Some(owner) = Owner::of(source) else { return };
        self.pids.insert(process.pid, owner);
        // Without it the end is still seen by SIGCHLD.
        log_error("epoll", self.poller.add(&process.pidfd, source));
    }

    pub(crate) fn unwatch_process(&mut self, process: &Process) {
        self.pids.remove(&process.pid);
        self.poller.remove(&process.pidfd);
    }
}

fn log_error(what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, what);
    }
}
