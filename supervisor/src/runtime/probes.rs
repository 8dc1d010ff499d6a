//! Probes: a task each, for readiness while the service starts, then for liveness; commands are run by
//! the runtime.

use supervisor_engine::{Action, Exit, Invocation, Probe as Which, Report, ServiceId, Signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::Runtime;
use super::poller::Source;
use super::unit::{Probe, Process, Sign};
use crate::config::{Argv, ProbeCheck, ProbeConfig, Readiness};
use crate::probe;
use crate::process::{Roots, Session};

/// What the task of a probe tells the runtime.
#[derive(Debug)]
pub(crate) struct ProbeNews {
    service: ServiceId,
    invocation: Invocation,
    what: ProbeStep,
}

#[derive(Debug)]
enum ProbeStep {
    /// Run this command and answer how it ended.
    Run(Argv, oneshot::Sender<Result<(), String>>),
    /// It took too long.
    Abandon,
    /// The probe has succeeded as often as it should.
    Succeeded(Which),
    /// The liveness probe has failed too often.
    Failed,
}

/// A probe command that runs.
#[derive(Debug)]
pub(crate) struct Attempt {
    process: Process,
    reply: oneshot::Sender<Result<(), String>>,
}

/// One probe's way to the runtime.
#[derive(Clone, Debug)]
struct Reporter {
    service: ServiceId,
    invocation: Invocation,
    news: mpsc::UnboundedSender<ProbeNews>,
}

impl Reporter {
    /// A runtime that has ended needs no news.
    fn send(&self, what: ProbeStep) {
        let Self { service, invocation, .. } = *self;
        let _gone = self.news.send(ProbeNews { service, invocation, what });
    }

    async fn attempt(self, probe: ProbeConfig) -> Result<(), ()> {
        let result = match &probe.check {
            ProbeCheck::Exec(argv) => {
                let (reply, answer) = oneshot::channel();
                self.send(ProbeStep::Run(argv.clone(), reply));
                let Ok(answer) = timeout(probe.timeout, answer).await else {
                    self.send(ProbeStep::Abandon);
                    return Err(());
                };
                answer.unwrap_or_else(|_| Err("not run".to_owned()))
            }
            ProbeCheck::Tcp { .. }
            | ProbeCheck::Http { .. }
            | ProbeCheck::Unix(_)
            | ProbeCheck::File(_) => {
                probe::run(&probe.check, probe.timeout).await.map_err(|error| error.to_string())
            }
        };
        result.map_err(|error| {
            tracing::debug!(service = self.service.0, error, "probe failed");
        })
    }
}

impl Runtime {
    pub(crate) fn start_probe(&mut self, action: &Action, probe: Which) {
        let reporter = Reporter {
            service: action.service,
            invocation: action.invocation,
            news: self.probe_news.clone(),
        };
        let task = match probe {
            Which::Readiness => self.start_readiness_probe(reporter),
            Which::Liveness => self.start_liveness_probe(reporter),
        };
        if let (Some(task), Some(execution)) = (task, &mut self.unit_mut(action.service).execution)
        {
            execution.probe = Some(Probe { task, attempt: None });
        }
    }

    fn start_readiness_probe(&mut self, reporter: Reporter) -> Option<AbortHandle> {
        let service = reporter.service;
        let readiness = self.config(service).readiness.clone()?;
        let execution = self.unit_mut(service).execution.as_mut();
        let sign = execution.and_then(|execution| execution.sign.take());
        let task = tokio::spawn(async move {
            match readiness {
                Readiness::Probe(probe) => {
                    probe::until_ready(&probe, || reporter.clone().attempt(probe.clone())).await;
                    reporter.send(ProbeStep::Succeeded(Which::Readiness));
                }
                Readiness::Descriptor(_) | Readiness::Line(_) => {
                    if told(sign, service).await {
                        reporter.send(ProbeStep::Succeeded(Which::Readiness));
                    }
                }
            }
        });
        Some(task.abort_handle())
    }

    fn start_liveness_probe(&self, reporter: Reporter) -> Option<AbortHandle> {
        let liveness = self.config(reporter.service).liveness.clone()?;
        let task = tokio::spawn(async move {
            let attempt = || reporter.clone().attempt(liveness.probe.clone());
            let healthy = || reporter.send(ProbeStep::Succeeded(Which::Liveness));
            probe::until_dead(&liveness, attempt, healthy).await;
            reporter.send(ProbeStep::Failed);
        });
        Some(task.abort_handle())
    }

    /// Ends the probe of a service and the command that it runs.
    pub(crate) fn stop_probe(&mut self, id: ServiceId) {
        self.abandon_attempt(id);
        if let Some(execution) = &mut self.unit_mut(id).execution
            && let Some(probe) = execution.probe.take()
        {
            probe.task.abort();
        }
    }

    pub(crate) fn on_probe_news(&mut self, news: ProbeNews) {
        let ProbeNews { service, invocation, what } = news;
        let live = self.unit(service).execution.as_ref();
        if live.is_none_or(|execution| execution.invocation != invocation) {
            return;
        }
        match what {
            ProbeStep::Run(argv, reply) => self.run_attempt(service, &argv, reply),
            ProbeStep::Abandon => self.abandon_attempt(service),
            ProbeStep::Succeeded(probe) => {
                if probe == Which::Readiness {
                    self.stop_probe(service);
                }
                self.report(invocation, Report::ProbeSucceeded(probe));
            }
            ProbeStep::Failed => {
                self.stop_probe(service);
                self.report(invocation, Report::ProbeFailed);
            }
        }
    }

    fn run_attempt(
        &mut self,
        id: ServiceId,
        argv: &Argv,
        reply: oneshot::Sender<Result<(), String>>,
    ) {
        self.abandon_attempt(id);
        match self.spawn_helper(id, argv, &[], Session::Group) {
            Ok(process) => {
                self.watch_process(&process, Source::Probe(id));
                let unit = self.unit_mut(id);
                if let Some(probe) = unit.execution.as_mut().and_then(|e| e.probe.as_mut()) {
                    probe.attempt = Some(Attempt { process, reply });
                }
            }
            // The receiver may have given up.
            Err(error) => drop(reply.send(Err(error.message))),
        }
    }

    /// A probe command has ended.
    pub(crate) fn on_attempt_ended(&mut self, id: ServiceId, exit: Exit) {
        if let Some(Attempt { process, reply }) = self.take_attempt(id) {
            self.unwatch_process(&process);
            let result = if exit == Exit::Code(0) { Ok(()) } else { Err(exit.to_string()) };
            // The receiver may have given up.
            drop(reply.send(result));
        }
    }

    /// Kills a probe command that is not wanted any more; it is reaped as an orphan.
    fn abandon_attempt(&mut self, id: ServiceId) {
        if let Some(Attempt { process, .. }) = self.take_attempt(id) {
            let roots = Roots { live: &[process.pid], started: &[], tag: None };
            if let Err(error) = self.tree.signal(&roots, &[], Signal::KILL) {
                tracing::warn!(service = %self.name(id), %error, "probe command not killed");
            }
            self.unwatch_process(&process);
        }
    }

    fn take_attempt(&mut self, id: ServiceId) -> Option<Attempt> {
        self.unit_mut(id).execution.as_mut()?.probe.as_mut()?.attempt.take()
    }

    /// The descriptor by which the end of a running probe command is seen.
    pub(crate) fn attempt_process(&self, id: ServiceId) -> Option<&Process> {
        Some(&self.unit(id).execution.as_ref()?.probe.as_ref()?.attempt.as_ref()?.process)
    }
}

/// Waits for the sign of a service; whether it came and not only its end.
async fn told(sign: Option<Sign>, id: ServiceId) -> bool {
    match sign {
        Some(Sign::Newline(pipe)) => match probe::newline(pipe).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(service = id.0, %error, "no newline, and the pipe is closed");
                false
            }
        },
        Some(Sign::Line(matched)) => matched.await.is_ok(),
        None => false,
    }
}
