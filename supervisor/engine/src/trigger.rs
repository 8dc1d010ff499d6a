//! `on-failure` and `on-success`: services that are started because another one has ended.
//!
//! It counts when a service enters `failed`, whatever the reason, or `exited`: not an end that is
//! followed by a restart, and not a stop by request. Such a start forgives nothing: the start limit
//! of the one that is started counts it, so that two that start each other come to an end. And what
//! fails without having run, for example by a dependency, could fail for ever within one moment:
//! so a service starts others once for each input.

use crate::engine::Engine;
use crate::exit::Exit;
use crate::id::{Invocation, ServiceId};
use crate::moment::Moment;
use crate::service::Goal;
use crate::spec::Kind;
use crate::state::{FailReason, State, Status};
use crate::transition::{Cause, Run};

/// The end of a service that another one is started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Which service has ended.
    pub by: ServiceId,
    /// Why it has failed; `None`: it has ended well.
    pub failure: Option<FailReason>,
    /// The invocation that ended, if it ran.
    pub invocation: Option<Invocation>,
    /// How its main process ended, if it was ever there.
    pub exit: Option<Exit>,
}

impl Engine {
    /// Takes note of what a service has come to, if others are started for that.
    pub(crate) fn note_end(&mut self, id: ServiceId, from: Status, run: Option<&Run>) {
        let node = self.graph.node(id);
        let state = &self.get(id).state;
        let (started, failure) = match state {
            State::Failed(reason) if from != Status::Failed => {
                (&node.on_failure, Some(reason.clone()))
            }
            State::Exited(_) if from != Status::Exited => (&node.on_success, None),
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
        if started.is_empty() || self.is_shutting_down() {
            return;
        }
        let held = if let State::Exited(exited) = state { Some(exited.exit) } else { None };
        let exit = held.or(run.and_then(|run| run.exit));
        let invocation = state.invocation().or(run.map(|run| run.invocation));
        let trigger = Trigger { by: id, failure, invocation, exit };
        let started = started.clone();
        if self.triggered.insert(id) {
            self.triggers.extend(started.into_iter().map(|id| (id, trigger.clone())));
        }
    }

    /// Starts a service because another one has ended. What is up or being stopped is left alone;
    /// a oneshot that has done its work does it again.
    pub(crate) fn set_off(&mut self, id: ServiceId, trigger: Trigger, now: Moment) {
        let service = self.get(id);
        let live = service.state.is_live();
        let again = service.spec.kind == Kind::Oneshot && matches!(service.state, State::Exited(_));
        let goes_down = matches!(service.goal, Goal::Down { .. });
        if self.is_shutting_down() || live && (goes_down || !again) {
            return;
        }
        if live {
            self.set_goal(id, Goal::Cycle);
        }
        self.bring_up(&[id], &[], &Cause::TriggeredBy(trigger.by), now);
        self.get_mut(id).trigger = Some(trigger);
    }
}
