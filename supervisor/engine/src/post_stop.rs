//! The commands after a service: once in each invocation, when all of it is gone.

use crate::action::ControlCommand;
use crate::commands::is_done;
use crate::engine::Engine;
use crate::exit::{Exit, SpawnError};
use crate::id::ServiceId;
use crate::input::Manner;
use crate::moment::Moment;
use crate::state::{PhaseEnd, State, Step};
use crate::transition::Cause;

impl Engine {
    /// Whether there are commands to run now that all of it is gone. Not for one that was to be gone
    /// at once.
    pub(crate) fn has_post_stop(&self, id: ServiceId) -> bool {
        let service = self.get(id);
        let forced = service.manner() == Manner::Force;
        // What is stuck holds up no shutdown, and does not begin to when it goes at last.
        let too_late = service.state.is_stuck() && self.is_shutting_down();
        !service.spec.commands.post_stop.is_empty() && !forced && !too_late
    }

    /// The end of a command does not change how the service has ended.
    pub(crate) fn on_post_stop_ended(
        &mut self,
        id: ServiceId,
        index: usize,
        result: Result<Exit, SpawnError>,
        now: Moment,
    ) {
        let State::Stopping(stopping) = &self.get(id).state else { return };
        let mut stopping = stopping.clone();
        let spec = &self.get(id).spec;
        let end = match result {
            Ok(exit) if is_done(exit, &spec.restart) => PhaseEnd::Done,
            Ok(exit) => PhaseEnd::CommandFailed(exit),
            Err(error) => PhaseEnd::CommandNotStarted(error.message),
        };
        let may_fail = spec.commands.may_fail(ControlCommand::PostStop(index));
        let goes_on = end == PhaseEnd::Done || may_fail;
        let next = index + 1;
        let more = next < spec.commands.post_stop.len();
        stopping.close_step(end, now);
        let step = if goes_on && more {
            Some(Step::PostStop(next))
        } else {
            // What they have left behind.
            self.kill_step(id, &stopping.departure())
        };
        match step {
            Some(step) => self.take_step(id, stopping, step, Cause::Step(step), now),
            None => self.finish(id, stopping, now),
        }
    }
}
