//! The end of the daemon: what asks for it, what is remembered of it, and what is done when all
//! services are down.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::Pid;
use supervisor_api::{Report, ReportService};
use supervisor_engine::{
    Cause, Ending, Exit, FailReason, Manner, Moment, OperationId, Request, Run, ServiceId, Status,
    Transition,
};
use tokio::sync::oneshot;

use super::{Ended, Runtime, view};
use crate::clock::{self, millis};
use crate::process::{self, Roots};

/// What is known of the end of the daemon before it has come.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    /// Whether a service has ended whose end is that of everything. Asked for in the next turn:
    /// the engine is still telling its news.
    due: bool,
    /// The operation that stops everything.
    operation: Option<OperationId>,
    /// When it was first asked for.
    began: Option<Moment>,
    /// Whether everything is down.
    over: bool,
    /// The status of the service whose end was that of everything.
    exit_status: Option<u8>,
    /// Whether a service had to be killed.
    killed: bool,
    /// What was stopped.
    services: Vec<ReportService>,
    /// Who waits for the report.
    reporters: Vec<oneshot::Sender<Report>>,
}

impl Shutdown {
    /// Whether everything is down.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// To be answered at the end. Who has gone away does not need it.
    pub(crate) fn report_to(&mut self, reporter: oneshot::Sender<Report>) {
        self.reporters.retain(|reporter| !reporter.is_closed());
        self.reporters.push(reporter);
    }
}

impl Runtime {
    /// Asks the engine to stop everything: in order, unless it is to be forced, but not for longer than
    /// `within`.
    pub(crate) fn shut_down(&mut self, within: Option<Duration>, manner: Manner) {
        let within = if self.shutdown.began.is_none() {
            self.shutdown.began = Some(clock::now());
            self.upstream.stopping();
            // The budget of the spec counts from the first request.
            within.into_iter().chain(self.config.daemon.shutdown_timeout).min()
        } else {
            within
        };
        // Known before its end is told: with nothing to stop it ends at once.
        let id = self.engine.request(Request::Shutdown { within, manner }, clock::now());
        self.shutdown.operation = Some(id);
        self.drain();
    }

    /// Shuts down if the end of a service has asked for it.
    pub(crate) fn shut_down_if_due(&mut self) {
        if std::mem::take(&mut self.shutdown.due) && !self.engine.is_shutting_down() {
            self.shut_down(None, Manner::Graceful);
        }
    }

    /// `failure-action` and `success-action`, as in systemd: a service that has ended well but
    /// counts as up (`remain-after-exit`) has not come to its end yet; nor has one that was stopped
    /// by request come to it by itself.
    pub(crate) fn follow_end(&mut self, transition: &Transition) {
        let Transition { service: id, to, cause, ended, .. } = transition;
        let config = self.config(*id);
        let status = match to {
            Status::Failed if config.on_failure_shutdown => {
                let ran = !matches!(
                    cause,
                    Cause::Failed(FailReason::Dependency(_) | FailReason::Conflict(_))
                );
                let last = self.unit(*id).runs.front().filter(|_| ran);
                Some(exit_status(last).max(1))
            }
            Status::Exited if config.on_success_shutdown => {
                ended.as_ref().map(|run| exit_status(Some(run)))
            }
            Status::Failed
            | Status::Exited
            | Status::Stopped
            | Status::Waiting
            | Status::Starting
            | Status::Running
            | Status::Reloading
            | Status::Stopping
            | Status::Backoff => None,
        };
        // What ends while everything is stopped anyway decides nothing any more.
        let decided = self.shutdown.exit_status.is_some() || self.engine.is_shutting_down();
        if status.is_some() && !decided {
            self.shutdown.exit_status = status;
            self.shutdown.due = true;
        }
    }

    /// A service was stopped, or has ended, during the shutdown.
    pub(crate) fn note_for_report(&mut self, id: ServiceId, run: &Run) {
        let (took, phases) = run
            .stop
            .as_ref()
            .map_or((Duration::ZERO, &[][..]), |(took, phases)| (*took, phases.as_slice()));
        let entry = ReportService {
            service: self.name(id).to_owned(),
            took_ms: millis(took),
            asked_ms: run.allotted.map(|allotted| millis(allotted.asked)),
            short_ms: run.allotted.map_or(0, |allotted| millis(allotted.short)),
            killed: run.killed(),
            exit: run.exit.and_then(view::exit),
            phases: view::phases(phases),
        };
        self.shutdown.killed |= entry.killed;
        self.shutdown.services.push(entry);
    }

    /// Everything is down if this was the operation for it.
    pub(crate) fn note_operation_ended(&mut self, id: OperationId) {
        self.shutdown.over |= self.shutdown.operation == Some(id);
    }

    /// All services are down: whatever else descends from the daemon goes too. The report is handed
    /// out when nothing more will be written.
    pub(crate) async fn end(mut self) -> Ended {
        self.kill_strays();
        self.logs.shutdown();
        let Shutdown { began, exit_status, killed, services, reporters, .. } =
            std::mem::take(&mut self.shutdown);
        let took = began.map(|began| clock::now() - began).unwrap_or_default();
        let report = Report { took_ms: millis(took), services };
        let short_ms: u64 = report.services.iter().map(|service| service.short_ms).sum();
        let short_ms = (short_ms > 0).then_some(short_ms);
        tracing::info!(elapsed_ms = report.took_ms, killed, short_ms, "all services are down");
        for reporter in reporters {
            // Who has gone away does not need it.
            drop(reporter.send(report.clone()));
        }
        // The end of its command is the end of an init, whoever was faster.
        let of_init = |id| self.unit(id).runs.front().map(|run| self::exit_status(Some(run)));
        let exit_status = exit_status.or_else(|| self.init.and_then(of_init));
        // Streams of events end with their log; let their tasks see it.
        drop(self.events);
        tokio::task::yield_now().await;
        Ended { exit_status, killed }
    }

    /// Kills what nobody could attribute to a service, so that no process is left behind.
    fn kill_strays(&mut self) {
        /// Enough for chains of processes that lose their parents one after another.
        const ROUNDS: usize = 100;
        for _ in 0..ROUNDS {
            self.on_child_signal();
            let killed = self.orphans().and_then(|orphans| {
                let strays: Vec<Pid> = orphans.iter().map(|orphan| orphan.stat.pid).collect();
                self.kill_strays_now(&strays)?;
                Ok(strays.len())
            });
            match killed {
                Ok(0) => return,
                Ok(count) => tracing::warn!(count, "killed processes of no service"),
                Err(error) => {
                    tracing::error!(%error, "processes that belong to no service may be left");
                    return;
                }
            }
        }
    }

    /// Kills these children and all that descends from them, and waits until the children are dead.
    fn kill_strays_now(&self, strays: &[Pid]) -> io::Result<()> {
        /// Longer than the kernel takes, unless one is stuck.
        const PATIENCE_MS: u16 = 1_000;
        let pidfds: Vec<OwnedFd> = strays
            .iter()
            .filter_map(|pid| process::open(*pid).transpose())
            .collect::<Result<_, _>>()?;
        if pidfds.is_empty() {
            return Ok(());
        }
        self.tree.kill(&Roots { live: strays, started: &[], tag: None }, |_| true)?;
        for pidfd in pidfds {
            if poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PATIENCE_MS)? == 0 {
                return Err(io::Error::other("a process is there even after KILL"));
            }
        }
        Ok(())
    }
}

/// The exit status that the last run of a service gives the daemon, as a shell would show it.
fn exit_status(last: Option<&Run>) -> u8 {
    /// What shells answer for a command that is not there, and for one that cannot be run.
    const NOT_FOUND: u8 = 127;
    const NOT_RUN: u8 = 126;
    let Some(run) = last else { return 1 };
    match (run.exit, &run.ending) {
        // It ended well, but too early: that is no success.
        (Some(Exit::Code(0)), Some(Ending::Protocol | Ending::Unsettled(_))) => 1,
        (Some(exit), _) => exit.shell_status(),
        (None, Some(Ending::SpawnFailed(error))) if error.errno == libc::ENOENT => NOT_FOUND,
        (None, Some(Ending::SpawnFailed(_))) => NOT_RUN,
        (None, _) => 1,
    }
}

#[cfg(test)]
mod tests {
    use supervisor_engine::{Invocation, Signal, SpawnError};

    use super::*;

    fn run(exit: Option<Exit>, ending: Option<Ending>) -> Run {
        let at = Moment::default();
        Run {
            invocation: Invocation(1),
            started: at,
            up: None,
            ended: at,
            exit,
            ending,
            stop: None,
            allotted: None,
        }
    }

    fn not_spawned(errno: i32) -> Run {
        let error = SpawnError { step: "exec", errno, message: String::new() };
        run(None, Some(Ending::SpawnFailed(error)))
    }

    #[test]
    fn the_status_is_what_a_shell_would_show() {
        let killed = Exit::Signal { signal: Signal::KILL, core: false };
        for (run, status) in [
            (run(Some(Exit::Code(0)), None), 0),
            (run(Some(Exit::Code(7)), None), 7),
            (run(Some(Exit::Code(0)), Some(Ending::Unsettled(Exit::Code(0)))), 1),
            (run(Some(killed), Some(Ending::StartTimeout)), 137),
            (run(Some(Exit::Unknown), None), 1),
            (not_spawned(libc::ENOENT), 127),
            (not_spawned(libc::EACCES), 126),
            (run(None, Some(Ending::StartTimeout)), 1),
        ] {
            assert_eq!(exit_status(Some(&run)), status, "{run:?}");
        }
        assert_eq!(exit_status(None), 1);
    }

    #[test]
    fn who_went_away_is_forgotten() {
        let mut shutdown = Shutdown::default();
        for _ in 0..3 {
            shutdown.report_to(oneshot::channel().0);
        }
        assert_eq!(shutdown.reporters.len(), 1);
    }
}
