//! How a service reads its configuration again: asked for, announced, and answered or not.

use crate::action::{ActionKind, ControlCommand, Whom};
use crate::engine::Engine;
use crate::id::ServiceId;
use crate::moment::Moment;
use crate::operation::{Aim, Outcome};
use crate::spec::ReloadHow;
use crate::state::{ReloadPhase, Reloading, State};
use crate::transition::Cause;

impl Engine {
    /// `RELOADING=1` answers the signal if the reload began after that was asked for.
    pub(crate) fn on_answered_reload(&mut self, id: ServiceId, began: Option<Moment>, now: Moment) {
        // That is all that the message tells of its time.
        let micros = |at: Moment| at.since_zero().as_micros();
        if let State::Reloading(reloading) = &self.get(id).state
            && let ReloadPhase::Signalled { asked } = reloading.phase
            && began.is_some_and(|began| micros(began) >= micros(asked))
        {
            let reloading = Reloading { phase: ReloadPhase::Announced, ..reloading.clone() };
            self.enter(id, State::Reloading(reloading), Cause::Reload, now);
        }
    }

    pub(crate) fn on_announced_reload(&mut self, id: ServiceId, now: Moment) {
        match &self.get(id).state {
            State::Running(running) => {
                let spec = &self.get(id).spec;
                let timeout = spec.reload.map_or(spec.start_timeout, |reload| reload.timeout);
                let reloading = Reloading {
                    running: running.clone(),
                    phase: ReloadPhase::Announced,
                    deadline: now.after(timeout),
                };
                self.enter(id, State::Reloading(reloading), Cause::Reload, now);
            }
            State::Reloading(_) => self.touch(id, |state| {
                if let State::Reloading(Reloading {
                    phase: ReloadPhase::Command { announced },
                    ..
                }) = state
                {
                    *announced = true;
                }
            }),
            // Before it is up the READY=1 that has to come anyway ends the reload.
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => {}
        }
    }

    /// Begins a reload if one was asked for and the service can take it now.
    pub(crate) fn reload_if_asked(&mut self, id: ServiceId, now: Moment) {
        let asked: Vec<_> = self
            .get(id)
            .operations
            .iter()
            .copied()
            .filter(|operation| {
                self.operations
                    .item(*operation, id)
                    .is_some_and(|item| item.aim == Aim::Reload { begun: false })
            })
            .collect();
        let service = self.get(id);
        let (State::Running(running), Some(reload)) = (&service.state, service.spec.reload) else {
            return;
        };
        let Some(invocation) = running.invocation else { return };
        if asked.is_empty() || service.goes_down() || self.is_being_replaced(id) {
            return;
        }
        let running = running.clone();
        for operation in asked {
            self.operations.set_aim(operation, id, Aim::Reload { begun: true });
        }
        match reload.how {
            ReloadHow::Signal(_) | ReloadHow::Handshake(_) if !running.main.is_alive() => {
                self.resolve_reloads(id, &Outcome::NoMain, now);
            }
            ReloadHow::Signal(signal) => {
                self.act(id, invocation, ActionKind::Signal { signal, whom: Whom::Main });
                self.resolve_reloads(id, &Outcome::Reloaded, now);
            }
            ReloadHow::Handshake(signal) => {
                self.act(id, invocation, ActionKind::Signal { signal, whom: Whom::Main });
                let reloading = Reloading {
                    running,
                    phase: ReloadPhase::Signalled { asked: now },
                    deadline: now.after(reload.timeout),
                };
                self.enter(id, State::Reloading(reloading), Cause::Reload, now);
            }
            ReloadHow::Command => {
                self.act(id, invocation, ActionKind::Run(ControlCommand::Reload));
                let reloading = Reloading {
                    running,
                    phase: ReloadPhase::Command { announced: false },
                    deadline: now.after(reload.timeout),
                };
                self.enter(id, State::Reloading(reloading), Cause::Reload, now);
            }
        }
    }

    pub(crate) fn end_reload(
        &mut self,
        id: ServiceId,
        outcome: &Outcome,
        cause: Cause,
        now: Moment,
    ) {
        let State::Reloading(reloading) = &self.get(id).state else { return };
        let running = reloading.running.clone();
        self.enter(id, State::Running(running), cause, now);
        self.resolve_reloads(id, outcome, now);
        self.reload_if_asked(id, now);
    }

    pub(crate) fn resolve_reloads(&mut self, id: ServiceId, outcome: &Outcome, now: Moment) {
        self.resolve_where(id, |aim| aim == Aim::Reload { begun: true }, outcome, now);
    }

    pub(crate) fn on_reload_timeout(&mut self, id: ServiceId, now: Moment) {
        let State::Reloading(reloading) = &self.get(id).state else { return };
        match (reloading.phase, reloading.running.invocation) {
            (ReloadPhase::Command { .. }, Some(invocation)) => {
                // Only when it is gone can there be another one.
                let state = State::Reloading(Reloading { deadline: None, ..reloading.clone() });
                self.kill_control(id, invocation);
                self.enter(id, state, Cause::ReloadTimeout, now);
                self.resolve_reloads(id, &Outcome::ReloadTimeout, now);
            }
            (
                ReloadPhase::Command { .. }
                | ReloadPhase::Signalled { .. }
                | ReloadPhase::Announced,
                _,
            ) => {
                self.end_reload(id, &Outcome::ReloadTimeout, Cause::ReloadTimeout, now);
            }
        }
    }
}

/// Whether a reload command runs.
pub(crate) fn is_reload_command(state: &State) -> bool {
    matches!(state, State::Reloading(Reloading { phase: ReloadPhase::Command { .. }, .. }))
}
