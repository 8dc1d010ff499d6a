//! Which process of a service that forks is the main one: named by itself, by its pid file, or
//! guessed.

use std::io;
use std::path::Path;

use nix::unistd::Pid;
use supervisor_engine::{Action, Exit, Kind, Report, ServiceId, StartPhase, State};

use super::Runtime;
use super::notices::Proof;
use super::poller::Source;
use super::reaper::{Owner, Role};
use super::unit::Process;
use crate::pid_file::{self, Found, Watch};
use crate::process::{self, Stat};

/// A search that goes on, with what tells when to look again at the pid file.
#[derive(Debug, Default)]
pub(crate) struct Search(Option<Watch>);

impl Runtime {
    /// The process that was started has ended well and left others.
    pub(crate) fn find_main(&mut self, action: &Action) {
        if let Some(execution) = &mut self.unit_mut(action.service).execution {
            execution.search = Some(Search::default());
        }
        self.look_for_main(action.service);
    }

    /// Looks for the main process, if it is searched for, and perhaps finds it.
    pub(crate) fn look_for_main(&mut self, id: ServiceId) {
        let Some(execution) = &mut self.unit_mut(id).execution else { return };
        let Some(search) = execution.search.take() else { return };
        let (invocation, heir) = (execution.invocation, execution.heir.take());
        self.end_search(Some(search));
        // A stop has begun meanwhile: what is found now helps nobody.
        if !self.is_searched_for(id) {
            return;
        }
        match self.look(id, heir) {
            Ok(Looked::Found) => self.report(invocation, Report::MainFound),
            Ok(Looked::Unclear) => self.report(invocation, Report::MainUnknown),
            Ok(Looked::NotYet(search)) => {
                if let Some(execution) = &mut self.unit_mut(id).execution {
                    execution.search = Some(search);
                }
            }
            Err(error) => {
                tracing::error!(service = %self.name(id), %error, "main process not found");
                self.report(invocation, Report::MainUnknown);
            }
        }
    }

    fn look(&mut self, id: ServiceId, heir: Option<Pid>) -> io::Result<Looked> {
        if let Some(heir) = heir
            && self.adopt_main(id, heir, Proof::Number)?
        {
            return Ok(Looked::Found);
        }
        let Some(path) = self.config(id).pid_file.clone() else {
            return self.guess_main(id);
        };
        // Before the file is read, so that no change is missed.
        let watch = Watch::new(&path)?;
        if self.adopt_named(id, &path)? {
            return Ok(Looked::Found);
        }
        self.poller.add(&watch, Source::PidFile(id))?;
        Ok(Looked::NotYet(Search(Some(watch))))
    }

    /// The only process that is left, or the one that all others descend from.
    fn guess_main(&mut self, id: ServiceId) -> io::Result<Looked> {
        let tops = self.tops(id)?;
        let [top] = tops.as_slice() else {
            let nobody = tops.is_empty();
            // That they are gone is about to be told.
            return Ok(if nobody { Looked::NotYet(Search::default()) } else { Looked::Unclear });
        };
        if !self.adopt_main(id, top.pid, Proof::Number)? {
            return Ok(Looked::NotYet(Search::default()));
        }
        if let Some(execution) = &mut self.unit_mut(id).execution {
            execution.guessed = true;
        }
        Ok(Looked::Found)
    }

    /// Whether another process has taken the place of a main process that has ended: the one that
    /// the pid file names now, or, where it was a guess and has ended well, the one that it has
    /// forked in turn.
    pub(crate) fn is_succeeded(&mut self, id: ServiceId, ended: Pid, exit: Exit) -> bool {
        let up = match self.holder(id).state() {
            State::Starting(starting) => starting.phase != StartPhase::Fork,
            State::Running(_) | State::Reloading(_) => true,
            State::Stopped(_)
            | State::Waiting
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => false,
        };
        if !up || self.config(id).spec.kind != Kind::Forking {
            return false;
        }
        let Some(execution) = &self.unit(id).execution else { return false };
        let (invocation, guessed) = (execution.invocation, execution.guessed);
        let succeeded = match &self.config(id).pid_file {
            Some(path) => self.adopt_named(id, &path.clone()).map(|found| found.then_some(true)),
            None if guessed && exit == Exit::Code(0) => {
                self.guess_main(id).map(|looked| match looked {
                    Looked::Found => Some(true),
                    Looked::Unclear => Some(false),
                    Looked::NotYet(_) => None,
                })
            }
            None => Ok(None),
        };
        match succeeded {
            Ok(Some(known)) => {
                tracing::info!(service = %self.name(id), pid = %ended, known, "main process succeeded by another one");
                if !known {
                    self.leftovers.insert(id);
                    self.report(invocation, Report::MainUnknown);
                }
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::error!(service = %self.name(id), %error, "successor of the main process");
                false
            }
        }
    }

    /// Makes the process that the pid file names the main one, if it names one that may be it.
    fn adopt_named(&mut self, id: ServiceId, path: &Path) -> io::Result<bool> {
        let Found { pid, trusted } = match pid_file::read(path) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(service = %self.name(id), path = %path.display(), %error, "pid file");
                return Ok(false);
            }
        };
        if self.adopt_main(id, pid, Proof::Number)? {
            return Ok(true);
        }
        let adopted = trusted && self.adopt_stranger(id, pid)?;
        let refused = self.unit_mut(id).execution.as_mut().and_then(|e| e.refused_pid.replace(pid));
        if !adopted && refused != Some(pid) {
            tracing::warn!(
                service = %self.name(id), path = %path.display(), %pid, trusted,
                "pid file names no process of the service"
            );
        }
        Ok(adopted)
    }

    /// Makes a process the main one that is not the service's, on the word of root or of the daemon's
    /// own user: one that somebody else has started. Nothing that descends from the daemon is that.
    fn adopt_stranger(&mut self, id: ServiceId, pid: Pid) -> io::Result<bool> {
        let Some(stat) = Stat::read(pid)?.filter(|stat| stat.alive) else { return Ok(false) };
        let Some(pidfd) = process::open(pid)? else { return Ok(false) };
        if pid.as_raw() == 1 || !stat.is_same()? || is_own(&stat)? {
            return Ok(false);
        }
        self.make_main(id, Process { pid, pidfd }, true)?;
        tracing::warn!(service = %self.name(id), %pid, "main process was started by somebody else");
        Ok(true)
    }

    /// This process, which is the service's, or a stranger, is its main process from now on.
    pub(crate) fn make_main(
        &mut self,
        id: ServiceId,
        process: Process,
        stranger: bool,
    ) -> io::Result<()> {
        // It may not be a child of ours: then nothing else would tell of its end.
        self.poller.add(&process.pidfd, Source::Main(id))?;
        if let Some(old) = self.unit_mut(id).execution.as_mut().and_then(|e| e.main.take()) {
            // From now on an orphan among others: reaped when it ends, part of the service till then.
            self.unwatch_process(&old);
        }
        self.leftovers.remove(&id);
        self.pids.insert(process.pid, Owner { service: id, role: Role::Main });
        if let Some(execution) = &mut self.unit_mut(id).execution {
            if !stranger {
                execution.started.push(process.pid);
            }
            execution.guessed = false;
            execution.main = Some(process);
        }
        Ok(())
    }

    /// A process that was named by `MAINPID=` is the main one: nobody needs to search any more.
    pub(crate) fn on_main_named(&mut self, id: ServiceId) {
        let Some(execution) = &mut self.unit_mut(id).execution else { return };
        let (invocation, search) = (execution.invocation, execution.search.take());
        self.end_search(search);
        self.report(invocation, Report::MainFound);
    }

    /// `MAINPID=` before the process that forks has ended: that one is the main process till then.
    pub(crate) fn note_heir(&mut self, id: ServiceId, pid: Pid) {
        match self.member(id, pid) {
            Ok(Some(_)) => {
                if let Some(execution) = &mut self.unit_mut(id).execution {
                    execution.heir = Some(pid);
                }
            }
            Ok(None) => {
                tracing::warn!(service = %self.name(id), %pid, "MAINPID is not a process of it");
            }
            Err(error) => tracing::warn!(service = %self.name(id), %pid, %error, "MAINPID"),
        }
    }

    /// What an earlier run has left there says nothing about the next one.
    pub(crate) fn remove_pid_file(&self, id: ServiceId) {
        let Some(path) = &self.config(id).pid_file else { return };
        if let Err(error) = pid_file::remove(path) {
            let path = path.display();
            tracing::warn!(service = %self.name(id), %path, %error, "pid file not removed");
        }
    }

    pub(crate) fn end_search(&self, search: Option<Search>) {
        if let Some(Search(Some(watch))) = search {
            self.poller.remove(&watch);
        }
    }

    /// Whether the process that forks the service is still there.
    pub(crate) fn is_forking(&self, id: ServiceId) -> bool {
        self.is_in_phase(id, StartPhase::Fork)
    }

    /// Whether the service goes on although it has no main process that is known.
    pub(crate) fn is_survived(&self, id: ServiceId) -> bool {
        let state = self.holder(id).state();
        match state {
            State::Starting(_) | State::Running(_) | State::Reloading(_) => {
                state.main().is_survived()
            }
            State::Stopped(_)
            | State::Waiting
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => false,
        }
    }

    /// How many processes a service has that goes on without its main process.
    pub(crate) fn processes_without_main(&self, id: ServiceId) -> Option<usize> {
        if !self.is_survived(id) {
            return None;
        }
        self.others(id).ok().map(|others| others.len())
    }

    fn is_searched_for(&self, id: ServiceId) -> bool {
        self.is_in_phase(id, StartPhase::MainPid)
    }

    fn is_in_phase(&self, id: ServiceId, phase: StartPhase) -> bool {
        let state = self.holder(id).state();
        matches!(state, State::Starting(starting) if starting.phase == phase)
    }

    /// The processes of a service that nobody but us is the parent of.
    fn tops(&self, id: ServiceId) -> io::Result<Vec<Stat>> {
        let mut tops = self.others(id)?;
        tops.retain(|member| member.parent == Pid::this());
        Ok(tops)
    }

    /// The processes of a service whose main process is not there, its control process aside.
    fn others(&self, id: ServiceId) -> io::Result<Vec<Stat>> {
        let Some(execution) = &self.unit(id).execution else { return Ok(Vec::new()) };
        let orphans = self.orphans()?;
        self.tree.members(&execution.roots(&[], self.tags.of(id)), &orphans)
    }
}

/// What looking for the main process has come to.
enum Looked {
    /// It is there.
    Found,
    /// There are several that could be it.
    Unclear,
    /// Not there yet, or just gone; there will be news.
    NotYet(Search),
}

/// Whether a process is the daemon or descends from it.
fn is_own(stat: &Stat) -> io::Result<bool> {
    let mut pid = stat.pid;
    while pid.as_raw() > 1 {
        if pid == Pid::this() {
            return Ok(true);
        }
        let Some(stat) = Stat::read(pid)? else { break };
        pid = stat.parent;
    }
    Ok(pid == Pid::this())
}
