//! What the states of services mean for the operations that wait for them.

use std::collections::BTreeSet;

use super::{Aim, Item, Outcome, Verb};
use crate::engine::Engine;
use crate::id::{OperationId, ServiceId};
use crate::moment::Moment;
use crate::service::Service;
use crate::standing::Look;
use crate::state::{FailReason, State, StopCause};

impl Engine {
    /// Registers an operation with the services that it waits for.
    pub(crate) fn begin(&mut self, verb: Verb, items: Vec<Item>, now: Moment) -> OperationId {
        let pending: Vec<ServiceId> =
            items.iter().filter(|item| item.outcome.is_none()).map(|item| item.service).collect();
        let operation = self.operations.begin(verb, items, now);
        for id in pending {
            self.get_mut(id).operations.push(operation);
            // What is stuck may never enter another state.
            if self.get(id).state.is_stuck() {
                self.follow_up(id, now);
            }
            if self.is_companion_stuck(id) {
                self.follow_companion(id.companion(), now);
            }
        }
        operation
    }

    /// Ends the items of operations that this service's state decides.
    pub(crate) fn follow_up(&mut self, id: ServiceId, now: Moment) {
        if id.is_companion() {
            return self.follow_companion(id, now);
        }
        self.follow_items(id, now);
        match self.get(id).state {
            State::Backoff(_) | State::Failed(_) => self.fail_items_waiting_for(id, now),
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Stopping(_)
            | State::Exited(_) => {}
        }
    }

    /// Ends the items of operations for this service that it decides.
    pub(crate) fn follow_items(&mut self, id: ServiceId, now: Moment) {
        for operation in std::mem::take(&mut self.get_mut(id).operations) {
            let Some(item) = self.operations.item(operation, id) else { continue };
            let aim = item.aim;
            match outcome(aim, self.get(id)) {
                // Its other process has to be gone too.
                Some(Outcome::Stopped | Outcome::Removed | Outcome::Restarted)
                    if self.get(id).accompanied => {}
                Some(Outcome::Stopped | Outcome::Removed) if self.is_companion_stuck(id) => {
                    self.operations.resolve(operation, id, Outcome::Stuck, now);
                    continue;
                }
                Some(outcome) => {
                    self.operations.resolve(operation, id, outcome, now);
                    continue;
                }
                None => {}
            }
            let restarts = matches!(aim, Aim::Cycle { .. } | Aim::Overlap { .. });
            if restarts && self.get(id).state == State::Waiting {
                self.operations.set_aim(operation, id, Aim::Cycle { was_down: true });
            }
            self.get_mut(id).operations.push(operation);
        }
    }

    /// What waits for a service that failed to come up goes on waiting if that one is tried again,
    /// but who asked has the answer. Otherwise a restart without end would be waited for without
    /// end.
    fn fail_items_waiting_for(&mut self, failed: ServiceId, now: Moment) {
        // Then who merely likes to have it waits as well.
        let unseen = self.get(failed).restarts_unseen();
        let mut found = BTreeSet::from([failed]);
        let mut open = vec![failed];
        while let Some(cause) = open.pop() {
            for dependent in self.graph.node(cause).successors.clone() {
                let waits = self.get(dependent).state == State::Waiting
                    && (self.graph.waits_in_need(dependent, cause)
                        || unseen && self.look_at(cause, dependent) == Look::Coming);
                if waits && found.insert(dependent) {
                    open.push(dependent);
                    let outcome = Outcome::Failed(FailReason::Dependency(cause));
                    self.resolve_where(dependent, |_| true, &outcome, now);
                }
            }
        }
    }

    /// Ends the items of operations that a new goal contradicts.
    pub(crate) fn supersede(
        &mut self,
        id: ServiceId,
        contradicted: impl Fn(Aim) -> bool,
        now: Moment,
    ) {
        self.resolve_where(id, contradicted, &Outcome::Superseded, now);
    }

    /// Ends the items of operations that wait for this service with such an aim.
    pub(crate) fn resolve_where(
        &mut self,
        id: ServiceId,
        chosen: impl Fn(Aim) -> bool,
        outcome: &Outcome,
        now: Moment,
    ) {
        for operation in std::mem::take(&mut self.get_mut(id).operations) {
            match self.operations.item(operation, id) {
                Some(item) if chosen(item.aim) => {
                    self.operations.resolve(operation, id, outcome.clone(), now);
                }
                Some(_) => self.get_mut(id).operations.push(operation),
                None => {}
            }
        }
    }
}

/// What a state means for an item that waits for `aim`; `None`: it goes on waiting.
fn outcome(aim: Aim, service: &Service) -> Option<Outcome> {
    let state = &service.state;
    match aim {
        Aim::Up => came_up(service, Outcome::Started),
        Aim::Cycle { was_down: true } => came_up(service, Outcome::Restarted),
        Aim::Cycle { was_down: false } => match state {
            State::Stopping(_) => state.is_stuck().then_some(Outcome::Stuck),
            State::Failed(reason) => Some(Outcome::Failed(reason.clone())),
            State::Stopped(StopCause::Condition) => Some(Outcome::Skipped),
            State::Stopped(_) => Some(Outcome::Superseded),
            State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Backoff(_)
            | State::Exited(_) => None,
        },
        Aim::Overlap { .. } => match state {
            State::Stopping(_) => state.is_stuck().then_some(Outcome::Stuck),
            State::Backoff(backoff) => Some(Outcome::Failed(backoff.reason.clone())),
            State::Failed(reason) => Some(Outcome::Failed(reason.clone())),
            State::Stopped(_) => Some(Outcome::Superseded),
            State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Exited(_) => None,
        },
        Aim::Down if state.is_stuck() => Some(Outcome::Stuck),
        Aim::Down if *state == State::Stopped(StopCause::Removed) => Some(Outcome::Removed),
        Aim::Down => state.is_at_rest().then_some(Outcome::Stopped),
        Aim::Reload { begun } => match state {
            // What had begun to reload is gone; a new one may come up.
            State::Waiting | State::Starting(_) => begun.then_some(Outcome::NotRunning),
            State::Running(_) | State::Reloading(_) => None,
            State::Backoff(backoff) => Some(Outcome::Failed(backoff.reason.clone())),
            State::Failed(reason) => Some(Outcome::Failed(reason.clone())),
            State::Stopped(_) | State::Stopping(_) | State::Exited(_) => Some(Outcome::NotRunning),
        },
        Aim::Turn | Aim::None => None,
    }
}

fn came_up(service: &Service, up: Outcome) -> Option<Outcome> {
    let state = &service.state;
    match state {
        State::Running(_) | State::Reloading(_) | State::Exited(_) => Some(up),
        State::Backoff(backoff) => Some(Outcome::Failed(backoff.reason.clone())),
        State::Failed(reason) => Some(Outcome::Failed(reason.clone())),
        State::Stopped(StopCause::Condition) => Some(Outcome::Skipped),
        State::Stopped(_) => Some(Outcome::Superseded),
        State::Stopping(_) => state.is_stuck().then_some(Outcome::Stuck),
        State::Waiting | State::Starting(_) => None,
    }
}
