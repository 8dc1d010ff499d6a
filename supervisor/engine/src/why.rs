//! Why a service is in its state, as data.

use crate::engine::Engine;
use crate::exit::Ending;
use crate::id::ServiceId;
use crate::main_process::Main;
use crate::moment::Moment;
use crate::overlap::Overlap;
use crate::state::{FailReason, Health, ReloadPhase, StartPhase, State, Step, StopCause};

/// The reason for a state, with what would end it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Down, for this reason.
    Down(StopCause),
    /// Waits for these to come up.
    WaitsFor(Vec<ServiceId>),
    /// Not up yet: waits for this.
    Starting(StartPhase),
    /// Up, as it should be.
    Up {
        /// Where its main process is.
        main: Main,
        /// What its liveness probe has found out, if it has one.
        health: Option<Health>,
    },
    /// Up, and has a second process.
    Overlap {
        /// What that does.
        doing: Overlap,
        /// What it waits for, if it is one that is to be started.
        waits_for: Vec<ServiceId>,
    },
    /// Up, and to go down when these are gone.
    StopWaitsFor(Vec<ServiceId>),
    /// Reads its configuration again: waits for this.
    Reloading(ReloadPhase),
    /// On its way down, in this step.
    Stopping {
        /// The step.
        step: Step,
        /// Why, if not by request.
        ending: Option<Ending>,
    },
    /// Ended like this, and is tried again at a moment.
    Backoff {
        /// What the last try came to.
        reason: FailReason,
        /// When it is tried again.
        until: Moment,
        /// The how-manieth try in a row that will be.
        attempt: u32,
    },
    /// Ended well.
    Ended,
    /// Gave up.
    Failed(FailReason),
}

impl Engine {
    /// Why this service is in its state.
    pub fn why(&self, id: ServiceId) -> Why {
        let service = self.get(id);
        let stop_waits_for = || -> Vec<ServiceId> {
            let later = self.graph.successors(id).iter().copied();
            later.filter(|id| self.get(*id).is_in_the_way()).collect()
        };
        match &service.state {
            State::Stopped(cause) => Why::Down(*cause),
            State::Waiting => Why::WaitsFor(self.waits_for(id).collect()),
            state if state.is_up() && service.goes_down() => Why::StopWaitsFor(stop_waits_for()),
            state
                if state.is_up()
                    && let Some((doing, _)) = self.overlap(id) =>
            {
                let waits_for = match doing {
                    Overlap::Waiting => self.waits_for(id).collect(),
                    Overlap::Starting | Overlap::Stopping => Vec::new(),
                };
                Why::Overlap { doing, waits_for }
            }
            State::Starting(starting) => Why::Starting(starting.phase),
            State::Running(running) => Why::Up { main: running.main, health: running.health },
            State::Reloading(reloading) => Why::Reloading(reloading.phase),
            State::Stopping(stopping) => {
                Why::Stopping { step: stopping.step, ending: stopping.ending.clone() }
            }
            State::Backoff(backoff) => Why::Backoff {
                reason: backoff.reason.clone(),
                until: backoff.until,
                attempt: service.attempt,
            },
            State::Exited(exited) if exited.held.is_some() => {
                Why::Up { main: Main::Gone(exited.exit), health: None }
            }
            State::Exited(_) => Why::Ended,
            State::Failed(reason) => Why::Failed(reason.clone()),
        }
    }
}
