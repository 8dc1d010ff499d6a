//! What the operating system reports: messages, ends of processes, in the order that keeps cause
//! before effect.
//!
//! In one turn: notify messages first, so that one sent right before an exit counts; then the ends
//! of processes, all of them reaped before anybody looks who is left; then the services whose last
//! process has gone.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::Pid;
use supervisor_engine::{Exit, Process as Which, Report, ServiceId};

use super::Runtime;
use super::poller::Source;
use super::unit::Process;
use crate::process::{self, Orphan, Roots};

/// Whose process a pid is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) service: ServiceId,
    pub(crate) role: Role,
}

/// What a process of ours is to its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Main,
    Control,
    Probe,
}

/// A process of ours that has ended and is reaped.
struct Ended {
    owner: Owner,
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
        let mut ended = Vec::new();
        for source in &happened {
            if let Source::Notify(id) = source {
                self.drain_notices(*id);
            }
        }
        for source in happened {
            let (service, role) = match source {
                Source::Main(id) => (id, Role::Main),
                Source::Control(id) => (id, Role::Control),
                Source::Probe(id) => (id, Role::Probe),
                Source::Notify(_) => continue,
            };
            self.reap(Owner { service, role }, &mut ended);
        }
        self.on_ended(ended);
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
                if let Err(error) = process::reap(pid) {
                    tracing::error!(%error, %pid, "waitid");
                    break;
                }
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
        let exit = match process::peek(process.pidfd.as_fd()) {
            Ok(Some(exit)) => exit,
            Ok(None) => return,
            // Not a child of ours: it told us by `MAINPID=`, or its parent has reaped it.
            Err(_) => Exit::Unknown,
        };
        if role != Role::Probe {
            self.drain_notices(service);
        }
        // A message may just have named another main process.
        let Some(process) = self.process(owner) else { return };
        if exit != Exit::Unknown {
            // It has been seen to have ended; an error means that it is gone already.
            drop(process::wait(process.pidfd.as_fd()));
        }
        match role {
            Role::Main | Role::Control => {
                if let Some(process) = self.take_process(owner) {
                    self.unwatch_process(&process);
                }
                ended.push(Ended { owner, exit });
            }
            Role::Probe => self.on_attempt_ended(service, exit),
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
    fn on_ended(&mut self, ended: Vec<Ended>) {
        let orphans =
            if ended.is_empty() && self.leftovers.is_empty() { Vec::new() } else { self.orphans() };
        for id in self.leftovers.clone() {
            if self.members(id, &orphans).is_empty() {
                self.leftovers.remove(&id);
                if let Some(execution) = &self.unit(id).execution {
                    self.report(execution.invocation, Report::Emptied);
                }
            } else if self.unit(id).execution.as_ref().is_some_and(|execution| execution.killed) {
                // Born while the others were being killed.
                log_error("kill", self.kill_all_again(id));
            }
        }
        for Ended { owner: Owner { service, role }, exit } in ended {
            let Some(execution) = &self.unit(service).execution else { continue };
            let (invocation, main_lives) = (execution.invocation, execution.main.is_some());
            let remaining = !main_lives && !self.members(service, &orphans).is_empty();
            if remaining {
                self.leftovers.insert(service);
            }
            let process = match role {
                Role::Main => Which::Main,
                Role::Control | Role::Probe => Which::Control,
            };
            self.report(invocation, Report::Exited { process, exit, remaining });
        }
    }

    fn kill_all_again(&self, id: ServiceId) -> std::io::Result<()> {
        let Some(execution) = &self.unit(id).execution else { return Ok(()) };
        let live = execution.live();
        let tag = Some(self.tag(id));
        let roots = Roots { live: &live, started: &execution.started, tag };
        self.tree.kill(&roots, |pid| self.pids.contains_key(&pid))
    }

    /// Kills these children and all that descends from them, and waits until the children are dead.
    pub(crate) fn kill_strays_now(&self, strays: &[Pid]) -> std::io::Result<()> {
        /// Longer than the kernel takes, unless one is stuck.
        const PATIENCE_MS: u16 = 1_000;
        let pidfds: Vec<OwnedFd> = strays
            .iter()
            .filter_map(|pid| process::open(*pid).transpose())
            .collect::<Result<_, _>>()?;
        let roots = Roots { live: strays, started: &[], tag: None };
        self.tree.kill(&roots, |_| true)?;
        for pidfd in pidfds {
            if poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PATIENCE_MS)? == 0 {
                return Err(std::io::Error::other("a process is there even after KILL"));
            }
        }
        Ok(())
    }

    /// The live children of the daemon that it has not started.
    pub(crate) fn orphans(&self) -> Vec<Orphan> {
        self.tree.orphans(|pid| self.pids.contains_key(&pid)).unwrap_or_else(|error| {
            tracing::error!(%error, "orphans cannot be found");
            Vec::new()
        })
    }

    /// The live processes of a service whose main process has ended, its control process aside.
    fn members(&self, id: ServiceId, orphans: &[Orphan]) -> Vec<Pid> {
        let Some(execution) = &self.unit(id).execution else { return Vec::new() };
        if orphans.is_empty() {
            return Vec::new();
        }
        let roots = Roots { live: &[], started: &execution.started, tag: Some(self.tag(id)) };
        match self.tree.members(&roots, orphans) {
            Ok(members) => members.into_iter().map(|member| member.pid).collect(),
            Err(error) => {
                tracing::error!(%error, service = %self.name(id), "processes cannot be found");
                Vec::new()
            }
        }
    }

    /// Watches for the end of a process and knows it as ours.
    pub(crate) fn watch_process(&mut self, process: &Process, source: Source) {
        let (service, role) = match source {
            Source::Main(id) => (id, Role::Main),
            Source::Control(id) => (id, Role::Control),
            Source::Probe(id) => (id, Role::Probe),
            Source::Notify(_) => return,
        };
        self.pids.insert(process.pid, Owner { service, role });
        // Without it the end is still seen by SIGCHLD.
        log_error("epoll", self.poller.add(&process.pidfd, source));
    }

    pub(crate) fn unwatch_process(&mut self, process: &Process) {
        self.pids.remove(&process.pid);
        self.poller.remove(&process.pidfd);
    }
}

fn log_error(what: &str, result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, what);
    }
}
