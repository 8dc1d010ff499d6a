//! Transitions and ends of operations: to the log, to the event stream, and to who waits for them.

use supervisor_api as api;
use supervisor_api::EventKind;
use supervisor_engine::{Cause, OperationId, Run, ServiceId, Transition};

use super::{Runtime, view};
use crate::clock::{self, Wall, millis};

impl Runtime {
    /// Takes everything that the engine has to say after an input.
    pub(crate) fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            self.todo.push_back(action);
        }
        while let Some(transition) = self.engine.poll_transition() {
            self.on_transition(&transition);
        }
        while let Some(operation) = self.engine.poll_ended() {
            self.on_operation_ended(operation);
        }
    }

    /// Tells everybody who follows the events.
    pub(crate) fn publish(&mut self, event: EventKind) {
        self.events.publish(event, Wall::now().now_ms());
    }

    fn on_transition(&mut self, transition: &Transition) {
        let Transition { service: id, companion, invocation, from, to, .. } = *transition;
        let cause = view::cause(&self.engine, &transition.cause);
        let service = self.name(id).to_owned();
        let invocation = invocation.map(|invocation| invocation.0);
        let (from, to) = (view::state(from), view::state(to));
        let (old, new) = (from.as_str(), to.as_str());
        // As a macro because the level of an event is part of it.
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    service,
                    invocation,
                    companion = companion.then_some(true),
                    from = old,
                    to = new,
                    cause,
                    "transition"
                )
            };
        }
        // What waits has nothing to show but the end of the run before, and within a state only the
        // steps of a stop are of interest to everybody.
        let replaced = transition.cause == Cause::Replaced;
        let of_note =
            (to != api::State::Waiting && from != to) || from == api::State::Stopping || replaced;
        if to == api::State::Failed {
            log!(warn);
        } else if of_note {
            log!(info);
        } else {
            log!(debug);
        }
        self.publish(EventKind::Transition { service, companion, invocation, from, to, cause });
        if replaced && let Some(text) = self.present_unit(id).status.clone() {
            let service = self.name(id).to_owned();
            self.publish(EventKind::Status { service, text: text.into() });
        }
        if let Some(run) = &transition.ended {
            self.on_run_ended(id, run);
        }
        if !companion {
            self.follow_end(transition);
        }
        self.release_stored(id, false);
        if self.engine.service(id).is_removed() && self.engine.overlap(id).is_none() {
            self.on_removed(id);
        }
    }

    fn on_run_ended(&mut self, id: ServiceId, run: &Run) {
        if let Some((took, phases)) = &run.stop {
            let steps: Vec<String> = view::phases(phases)
                .iter()
                .map(|phase| format!("{} {} ms: {}", phase.step, phase.took_ms, phase.result))
                .collect();
            let (service, elapsed_ms, steps) = (self.name(id), millis(*took), steps.join(", "));
            let invocation = run.invocation.0;
            let allotted = run.allotted.filter(|allotted| !allotted.short.is_zero());
            let short_ms = allotted.map(|allotted| millis(allotted.short));
            if run.killed() {
                tracing::warn!(service, invocation, elapsed_ms, short_ms, steps, "killed");
            } else if phases.len() > 1 {
                tracing::info!(service, invocation, elapsed_ms, short_ms, steps, "stopped");
            } else {
                // The transition says it all.
                tracing::debug!(service, invocation, elapsed_ms, steps, "stopped");
            }
        }
        if self.engine.is_shutting_down() {
            self.note_for_report(id, run);
        }
        self.unit_mut(id).remember(run.clone());
    }

    fn on_operation_ended(&mut self, id: OperationId) {
        self.note_operation_ended(id);
        let boot = self.boot.take_if(|boot| *boot == id).is_some();
        let waiters = self.waiters.remove(&id).unwrap_or_default();
        // Of thousands that end at once the engine has forgotten the first. Their waiters are told
        // so by the end of their channels.
        let Some(operation) = self.engine.operation(id) else { return };
        let shown = view::operation(&self.engine, id, operation, clock::now());
        let (verb, ok, elapsed_ms) = (shown.verb.clone(), shown.ok, shown.elapsed_ms);
        if !boot && !self.shutdown.is_over() {
            tracing::info!(operation = id.0, verb, ok, elapsed_ms, "operation ended");
        }
        for waiter in waiters {
            // Who has gone away meanwhile does not need it.
            drop(waiter.send(Ok(shown.clone())));
        }
        self.publish(EventKind::Operation { id: id.0, verb, done: true, ok });
        if boot {
            self.upstream.ready();
            if ok {
                tracing::info!(elapsed_ms, "all enabled services are up");
            } else {
                tracing::warn!(elapsed_ms, "not all enabled services are up");
            }
        }
    }
}
