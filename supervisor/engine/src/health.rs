//! Whether a service that is up still works: its liveness probe.

use crate::action::{ActionKind, Probe};
use crate::engine::Engine;
use crate::exit::Ending;
use crate::id::ServiceId;
use crate::lifecycle::running_mut;
use crate::moment::Moment;
use crate::state::{Health, Reloading, Running, StartPhase, State};
use crate::transition::Cause;

impl Engine {
    /// Begins to watch a service that has just come up, if its spec says so; what is known by now.
    pub(crate) fn watch_health(&mut self, id: ServiceId) -> Option<Health> {
        let service = self.get(id);
        let invocation = service.state.invocation().filter(|_| service.spec.liveness)?;
        self.act(id, invocation, ActionKind::StartProbe(Probe::Liveness));
        Some(Health::Unknown)
    }

    /// It answers.
    pub(crate) fn on_healthy(&mut self, id: ServiceId, now: Moment) {
        let mut state = self.get(id).state.clone();
        let Some(running) = running_mut(&mut state) else { return };
        if running.health == Some(Health::Unknown) {
            running.health = Some(Health::Healthy);
            self.enter(id, state, Cause::Healthy, now);
        }
    }

    /// It did not answer too often in a row.
    pub(crate) fn on_unhealthy(&mut self, id: ServiceId, now: Moment) {
        self.touch(id, |state| {
            if let Some(running) = running_mut(state) {
                running.health = running.health.map(|_| Health::Unhealthy);
            }
        });
        self.stop_for(id, Ending::Unhealthy, now);
    }

    /// Stops the probe of a service that is about to leave its state, if one runs.
    pub(crate) fn stop_probe(&mut self, id: ServiceId) {
        let state = &self.get(id).state;
        let probe = match state {
            State::Starting(starting) if starting.phase == StartPhase::Probe => Probe::Readiness,
            State::Running(running) | State::Reloading(Reloading { running, .. })
                if running.is_watched() =>
            {
                Probe::Liveness
            }
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => return,
        };
        if let Some(invocation) = state.invocation() {
            self.act(id, invocation, ActionKind::StopProbe(probe));
        }
    }
}

impl Running {
    /// Whether its liveness probe runs: it has ended once it has found out the worst.
    const fn is_watched(&self) -> bool {
        match self.health {
            Some(Health::Unknown | Health::Healthy) => true,
            Some(Health::Unhealthy) | None => false,
        }
    }
}
