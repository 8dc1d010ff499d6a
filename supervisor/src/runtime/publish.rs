//! Transitions and ends of operations: to the log, to the event stream, and to who waits for them.

use supervisor_api as api;
use supervisor_api::{EventKind, ReportService};
use supervisor_engine::{OperationId, Run, ServiceId, Status, Transition};

use super::{Runtime, view};
use crate::clock::{Wall, millis};

impl Runtime {
    /// Takes everything that the engine has to say after an input.
    pub(crate) fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            self.todo.push_back(action);
        }
        while let Some(transition) = self.engine.poll_transition() {
            self.on_transition(transition);
        }
        while let Some(operation) = self.engine.poll_ended() {
            self.on_operation_ended(operation);
        }
    }

    /// Tells everybody who follows the events.
    pub(crate) fn publish(&mut self, event: EventKind) {
        self.events.publish(event, Wall::now().now_ms());
    }

    fn on_transition(&mut self, transition: Transition) {
        let Transition { service: id, invocation, from, to, cause, ended, .. } = transition;
        let cause = view::cause(&self.engine, &cause);
        let service = self.name(id).to_owned();
        let invocation = invocation.map(|invocation| invocation.0);
        let (from, to) = (view::state(from), view::state(to));
        let (old, new) = (from.as_str(), to.as_str());
        // As a macro because the level of an event is part of it.
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(service, invocation, from = old, to = new, cause, "transition")
            };
        }
        // What waits has nothing to show but the end of the run before, and within a state only the
        // steps of a stop are of interest to everybody.
        let of_note = (to != api::State::Waiting && from != to) || from == api::State::Stopping;
        if to == api::State::Failed {
            log!(warn);
        } else if of_note {
            log!(info);
        } else {
            log!(debug);
        }
        self.publish(EventKind::Transition { service, invocation, from, to, cause });
        if let Some(run) = ended {
            self.on_run_ended(id, *run);
        }
        self.follow_end(id, transition.to);
    }

    fn on_run_ended(&mut self, id: ServiceId, run: Run) {
        if let Some((took, phases)) = &run.stop {
            let steps: Vec<String> = view::phases(phases)
                .iter()
                .map(|phase| format!("{} {} ms: {}", phase.step, phase.took_ms, phase.result))
                .collect();
            let (service, elapsed_ms, steps) = (self.name(id), millis(*took), steps.join(", "));
            let invocation = run.invocation.0;
            if run.killed() {
                tracing::warn!(service, invocation, elapsed_ms, steps, "killed");
            } else if phases.len() > 1 {
                tracing::info!(service, invocation, elapsed_ms, steps, "stopped");
            } else {
                // The transition says it all.
                tracing::debug!(service, invocation, elapsed_ms, steps, "stopped");
            }
        }
        if self.engine.is_shutting_down() {
            self.killed |= run.killed();
            self.report.push(ReportService {
                service: self.name(id).to_owned(),
                took_ms: run.stop.as_ref().map_or(0, |(took, _)| millis(*took)),
                killed: run.killed(),
                exit: run.exit.and_then(view::exit),
                phases: run.stop.as_ref().map(|(_, p)| view::phases(p)).unwrap_or_default(),
            });
        }
        self.unit_mut(id).remember(run);
    }

    /// `failure-action` and `success-action`.
    fn follow_end(&mut self, id: ServiceId, to: Status) {
        let config = self.config(id);
        let ends_all = match to {
            Status::Failed => config.on_failure_shutdown,
            Status::Exited => {
                config.on_success_shutdown && self.engine.service(id).state().is_at_rest()
            }
            Status::Stopped
            | Status::Waiting
            | Status::Starting
            | Status::Running
            | Status::Reloading
            | Status::Stopping
            | Status::Backoff => false,
        };
        if ends_all && self.exit_status.is_none() {
            self.exit_status = Some(self.status_of(id));
            self.shut_down_wanted = true;
        }
    }

    /// The exit status that the end of a service gives the daemon.
    fn status_of(&self, id: ServiceId) -> u8 {
        /// What shells answer for a command that is not there, and for one that cannot be run.
        const NOT_FOUND: u8 = 127;
        const NOT_RUN: u8 = 126;
        let failed = self.unit(id).runs.front().map(|run| (run.exit, &run.ending));
        match failed {
            Some((Some(exit), _)) => exit.shell_status(),
            Some((None, Some(supervisor_engine::Ending::SpawnFailed(error)))) => {
                if error.errno == libc::ENOENT { NOT_FOUND } else { NOT_RUN }
            }
            Some((None, _)) | None => 1,
        }
    }

    fn on_operation_ended(&mut self, id: OperationId) {
        let now = crate::clock::now();
        let Some(operation) = self.engine.operation(id) else { return };
        let shown = view::operation(&self.engine, id, operation, now);
        let (verb, ok) = (shown.verb.clone(), shown.ok);
        let elapsed_ms = shown.elapsed_ms;
        if self.boot != Some(id) && self.shutdown != Some(id) {
            tracing::info!(operation = id.0, verb, ok, elapsed_ms, "operation ended");
        }
        for waiter in self.waiters.remove(&id).unwrap_or_default() {
            // Who has gone away meanwhile does not need it.
            drop(waiter.send(Ok(shown.clone())));
        }
        self.publish(EventKind::Operation { id: id.0, verb, done: true, ok });
        if self.boot == Some(id) {
            self.boot = None;
            self.upstream.ready();
            if ok {
                tracing::info!(elapsed_ms, "all enabled services are up");
            } else {
                tracing::warn!(elapsed_ms, "not all enabled services are up");
            }
        }
        if self.shutdown == Some(id) {
            self.over = true;
        }
    }
}
