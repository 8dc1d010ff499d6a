//! What is up without the process that was started: services that fork, and those that outlive
//! their main process (`exit-type = "all"`).

use crate::action::ActionKind;
use crate::engine::Engine;
use crate::exit::{Ending, Exit};
use crate::id::ServiceId;
use crate::lifecycle::running_mut;
use crate::main_process::Main;
use crate::moment::Moment;
use crate::restart;
use crate::spec::ExitType;
use crate::state::{StartPhase, Starting, State};
use crate::stopping::Departure;
use crate::transition::Cause;

impl Engine {
    /// The process that forks the service has ended. What it leaves is the service.
    pub(crate) fn on_forked(&mut self, id: ServiceId, exit: Exit, remaining: bool, now: Moment) {
        let service = self.get(id);
        let State::Starting(starting) = &service.state else { return };
        let clean = restart::is_clean(exit, service.spec.kind, &service.spec.restart);
        if clean && remaining {
            let (phase, main) = (StartPhase::MainPid, Main::Unknown);
            let starting = Starting { main, remaining, phase, ..starting.clone() };
            self.act(id, starting.invocation, ActionKind::FindMain);
            return self.enter(id, State::Starting(starting), Cause::Forked, now);
        }
        let ending = if clean { Ending::NothingLeft } else { Ending::Exited(exit) };
        let departure = Departure {
            ending: Some(ending),
            main: Main::Gone(exit),
            remaining,
            ..starting.into()
        };
        self.wind_down(id, departure, now);
    }

    /// A process of the service is its main process from now on.
    pub(crate) fn on_main_found(&mut self, id: ServiceId, now: Moment) {
        self.settle_main(id, Main::Alive, Cause::MainFound, now);
    }

    /// Which process of the service is the main one cannot be told.
    pub(crate) fn on_main_unknown(&mut self, id: ServiceId, now: Moment) {
        self.settle_main(id, Main::Unknown, Cause::MainUnknown, now);
    }

    /// The main process has ended; whether the service goes on in its other processes.
    pub(crate) fn outlives_main(
        &mut self,
        id: ServiceId,
        exit: Exit,
        remaining: bool,
        now: Moment,
    ) -> bool {
        let service = self.get(id);
        let is_main = match &service.state {
            State::Starting(starting) => match starting.phase {
                StartPhase::Ready
                | StartPhase::Probe
                | StartPhase::PostStart(_)
                | StartPhase::Settle => true,
                StartPhase::Condition(_)
                | StartPhase::PreStart(_)
                | StartPhase::Exec
                | StartPhase::Fork
                | StartPhase::MainPid
                | StartPhase::Completion => false,
            },
            State::Running(_) | State::Reloading(_) => true,
            State::Stopped(_)
            | State::Waiting
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => false,
        };
        let outlives = is_main && remaining && service.spec.exit_type == ExitType::All;
        if outlives {
            self.enter_main(id, Main::Gone(exit), Cause::MainGone(exit), now);
        }
        outlives
    }

    fn settle_main(&mut self, id: ServiceId, main: Main, cause: Cause, now: Moment) {
        let state = &self.get(id).state;
        if let State::Starting(starting) = state
            && starting.phase == StartPhase::MainPid
        {
            let starting = Starting { main, ..starting.clone() };
            self.prove(id, &starting, cause, now);
        } else if ![Main::Absent, main].contains(&state.main()) {
            self.enter_main(id, main, cause, now);
        }
    }

    fn enter_main(&mut self, id: ServiceId, main: Main, cause: Cause, now: Moment) {
        let mut state = self.get(id).state.clone();
        if let State::Starting(starting) = &mut state {
            (starting.main, starting.remaining) = (main, main.is_survived());
        } else if let State::Stopping(stopping) = &mut state {
            (stopping.main, stopping.remaining) = (main, main.is_survived());
        } else if let Some(running) = running_mut(&mut state) {
            running.main = main;
        } else {
            return;
        }
        self.enter(id, state, cause, now);
    }
}
