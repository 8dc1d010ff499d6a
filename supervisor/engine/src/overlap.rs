//! A restart without a gap: a new process comes up beside the old one and takes its place.
//!
//! A service that restarts so has a *companion*, a second place for an invocation, with no relations,
//! restarts or operations of its own. The new invocation starts there by the ordinary rules. When it
//! is up the two change places: the service has the new one and was up all the while, and the
//! companion has the old one, which is stopped by the ordinary rules. So each place has one live
//! invocation at most, and only this module knows of two.

use std::collections::btree_map::Entry;

use crate::engine::Engine;
use crate::exit::{Ending, ExitSet};
use crate::id::ServiceId;
use crate::input::Manner;
use crate::moment::Moment;
use crate::operation::{Aim, Outcome};
use crate::service::{Goal, Service};
use crate::spec::{RestartMode, RestartPolicy, ServiceSpec};
use crate::state::{Exited, FailReason, State, StopCause};
use crate::transition::Cause;

/// What the companion of a service does that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// A new process is to be started.
    Waiting,
    /// A new process is not up yet.
    Starting,
    /// A process is on its way down: the old one, or a new one that is not wanted any more.
    Stopping,
}

impl Service {
    /// What holds the second process of this service, if it restarts by overlap.
    fn companion(&self, id: ServiceId) -> Option<Self> {
        let overlaps = self.spec.restart.mode == RestartMode::Overlap;
        overlaps.then(|| Self::new(id.companion(), self.companion_spec()))
    }

    fn companion_spec(&self) -> ServiceSpec {
        let mut spec = self.spec.clone();
        spec.dependencies.clear();
        spec.enabled = false;
        // What fails beside a process that does its work is not tried again, and not counted.
        spec.restart.policy = RestartPolicy::No;
        spec.restart.force_exit = ExitSet::default();
        spec.restart.limit_burst = 0;
        spec
    }
}

impl Engine {
    /// Gives each service a companion that needs one and has none.
    pub(crate) fn accompany(&mut self) {
        for (id, service) in (0..).map(ServiceId).zip(&self.services) {
            if let (Entry::Vacant(place), Some(companion)) =
                (self.companions.entry(id.companion()), service.companion(id))
            {
                place.insert(companion);
            }
        }
    }

    /// What the second process of a service does, with its state; `None` if there is none.
    pub fn overlap(&self, id: ServiceId) -> Option<(Overlap, &Service)> {
        let companion = self.companions.get(&id.companion())?;
        let doing = match &companion.state {
            State::Waiting => Overlap::Waiting,
            State::Starting(_) | State::Running(_) if companion.goal == Goal::Up => {
                Overlap::Starting
            }
            State::Starting(_) | State::Running(_) | State::Reloading(_) | State::Stopping(_) => {
                Overlap::Stopping
            }
            State::Exited(Exited { held: Some(_), .. }) => Overlap::Stopping,
            State::Stopped(_) | State::Backoff(_) | State::Exited(_) | State::Failed(_) => {
                return None;
            }
        };
        Some((doing, companion))
    }

    /// Whether a service has a companion.
    pub fn has_companion(&self, id: ServiceId) -> bool {
        self.companions.contains_key(&id.companion())
    }

    /// Whether such a restart of this service by request would be without a gap.
    pub(crate) fn may_overlap(&self, id: ServiceId, manner: Manner) -> bool {
        let service = self.get(id);
        let overlaps = service.spec.restart.mode == RestartMode::Overlap;
        let graceful = manner == Manner::Graceful;
        overlaps && graceful && service.goal == Goal::Up && service.state.is_up()
    }

    /// A new process is to take the place of the one that is up. Asked again while one is on its
    /// way, it is that one; while an old one is still going, it comes after that.
    pub(crate) fn replace(&mut self, id: ServiceId, now: Moment) {
        self.get_mut(id).forgive();
        let companion = id.companion();
        let held = self.get(companion);
        match (&held.state, held.goal) {
            (State::Waiting | State::Starting(_), Goal::Up) => {}
            (state, _) if state.is_at_rest() => {
                // It may be another one than when the last one was started.
                self.get_mut(companion).spec = self.get(id).companion_spec();
                self.set_goal(companion, Goal::Up);
                self.enter(companion, State::Waiting, Cause::Requested, now);
            }
            (_, Goal::Up | Goal::Cycle | Goal::Down { .. }) => {
                self.set_goal(companion, Goal::Cycle);
            }
        }
    }

    /// Whether a new process of the service has been started and may read its configuration soon,
    /// or has read it already.
    pub(crate) fn is_being_replaced(&self, id: ServiceId) -> bool {
        matches!(self.overlap(id), Some((Overlap::Starting, _)))
    }

    /// An invocation is up: if it was to take the place of another, it does. Answers where it is now.
    pub(crate) fn take_over(&mut self, id: ServiceId, now: Moment) -> ServiceId {
        if !id.is_companion() || self.get(id).goal != Goal::Up {
            return id;
        }
        let service = id.service();
        self.set_aims(service, Aim::Overlap { replaced: true });
        self.exchange(service, now);
        // One that has begun was asked for before the new process was started.
        self.resolve_reloads(service, &Outcome::Reloaded, now);
        service
    }

    /// An invocation is about to end: if it was to be replaced, that happens now if the new one has
    /// been started, and by an ordinary restart if not. Answers where the ending one is now.
    pub(crate) fn give_way(&mut self, id: ServiceId, now: Moment) -> ServiceId {
        let companion = id.companion();
        let service = self.get(id);
        if id.is_companion()
            || service.goal != Goal::Up
            || !service.state.is_up()
            || !self.has_companion(id)
        {
            return id;
        }
        self.set_aims(id, Aim::Cycle { was_down: true });
        if self.is_being_replaced(id) {
            self.exchange(id, now);
            self.take_down_bound(id, true, now);
            return companion;
        }
        // It comes up again by itself, or not.
        self.want_gone(companion, StopCause::Replaced, Manner::Graceful);
        id
    }

    /// What is wanted of the service is not for its companion to undo: it goes down with it, and an
    /// ordinary restart needs no new process beside it.
    pub(crate) fn tell_companion(&mut self, id: ServiceId, goal: Goal) {
        let Some(companion) = self.companions.get(&id.companion()).filter(|_| !id.is_companion())
        else {
            return;
        };
        match goal {
            Goal::Down { cause, manner } => self.want_gone(id.companion(), cause, manner),
            Goal::Cycle => {
                let manner = self.get(id).manner();
                let comes_up = matches!(companion.goal, Goal::Up | Goal::Cycle);
                if comes_up || manner == Manner::Force {
                    self.want_gone(id.companion(), StopCause::Requested, manner);
                }
            }
            Goal::Up => {}
        }
    }

    /// The companion has changed: its processes are the service's.
    pub(crate) fn tell_service(&mut self, companion: ServiceId) {
        let state = &self.get(companion).state;
        let accompanied = state.is_live() && !state.is_stuck();
        let id = companion.service();
        if self.get(id).accompanied != accompanied {
            self.change(id, |service| service.accompanied = accompanied);
        }
    }

    /// What the state of a companion means for the operations that wait for its service.
    pub(crate) fn follow_companion(&mut self, companion: ServiceId, now: Moment) {
        let id = companion.service();
        let state = &self.get(companion).state;
        let is_new = |aim| aim == Aim::Overlap { replaced: false };
        let is_old = |aim| aim == Aim::Overlap { replaced: true };
        match state {
            State::Failed(reason) => {
                let outcome = Outcome::Failed(reason.clone());
                self.resolve_where(id, is_new, &outcome, now);
            }
            State::Exited(Exited { exit, held: None }) => {
                let reason = FailReason::Ended(Ending::Exited(*exit));
                self.resolve_where(id, is_new, &Outcome::Failed(reason), now);
            }
            // The old one stays.
            State::Stopped(StopCause::Condition) => {
                self.resolve_where(id, is_new, &Outcome::Skipped, now);
            }
            State::Stopped(_) | State::Waiting => {
                self.resolve_where(id, is_old, &Outcome::Restarted, now);
            }
            State::Stopping(_) if state.is_stuck() => {
                self.resolve_where(id, |aim| is_new(aim) || is_old(aim), &Outcome::Stuck, now);
            }
            State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_) => {}
        }
        self.follow_items(id, now);
        // One that was put off until it is known which process has to do it.
        self.reload_if_asked(id, now);
    }

    /// Whether nothing will happen without a request, to neither of its processes.
    pub(crate) fn is_all_at_rest(&self, id: ServiceId) -> bool {
        let companion = self.companions.get(&id.companion());
        let rests = |service: &Service| service.state.is_at_rest();
        rests(self.get(id)) && companion.is_none_or(rests)
    }

    /// Whether any of its processes is there.
    pub(crate) fn has_live(&self, id: ServiceId) -> bool {
        let companion = self.companions.get(&id.companion());
        self.get(id).state.is_live() || companion.is_some_and(|held| held.state.is_live())
    }

    /// Whether any of its processes is there after all that could be done to end it.
    pub(crate) fn has_stuck(&self, id: ServiceId) -> bool {
        self.get(id).state.is_stuck() || self.is_companion_stuck(id)
    }

    /// Whether the second process of a service is there after all that could be done to end it.
    pub(crate) fn is_companion_stuck(&self, id: ServiceId) -> bool {
        self.companions.get(&id.companion()).is_some_and(|companion| companion.state.is_stuck())
    }

    /// The service and its companion change what they hold: the only place that does.
    fn exchange(&mut self, id: ServiceId, now: Moment) {
        let companion = id.companion();
        let (old, new) = (self.get(id).state.clone(), self.get(companion).state.clone());
        self.swap_invocations(id, companion);
        self.put(companion, old, now);
        let (cause, manner) = (StopCause::Replaced, Manner::Graceful);
        self.set_goal(companion, Goal::Down { cause, manner });
        self.enter(id, new, Cause::Replaced, now);
    }

    /// What waits for a restart by overlap waits for this instead.
    fn set_aims(&mut self, id: ServiceId, aim: Aim) {
        for operation in self.get(id).operations.clone() {
            let item = self.operations.item(operation, id);
            if item.is_some_and(|item| item.aim == Aim::Overlap { replaced: false }) {
                self.operations.set_aim(operation, id, aim);
            }
        }
    }
}
