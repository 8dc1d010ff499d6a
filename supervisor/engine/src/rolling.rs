//! Restarts of several services, one after the other.
//!
//! A roll takes one of its services down at a time, and the next only when that one is up again.
//! Before each turn all that it has restarted must still be up: what runs in the old way is not
//! taken down while the new way does not work. What fails ends the roll, and the rest stays as it
//! is. Dependents are left alone: the other services are there for them.

use crate::engine::Engine;
use crate::goals::{Verdict, done, unique};
use crate::id::{OperationId, ServiceId};
use crate::input::Manner;
use crate::moment::Moment;
use crate::operation::{Aim, Item, Outcome, Verb};
use crate::service::Goal;
use crate::state::State;

/// What a roll has to do now.
enum Turn {
    /// One of its services is being restarted.
    Wait,
    /// It is the turn of this one.
    Of(ServiceId),
    /// One has failed: these are not tried any more.
    Broken(Vec<ServiceId>),
    /// Every service had its turn.
    Over,
}

impl Engine {
    /// Restarts these in the order of starts, and in the order of the request where that says
    /// nothing. What is down stays down, unless it is the only one.
    pub(crate) fn want_roll(&mut self, named: &[ServiceId], now: Moment) -> OperationId {
        let order = self.roll_order(named);
        if order.len() < 2 || self.is_shutting_down() {
            return self.want_cycle(&order, Manner::Graceful, true, now);
        }
        let mut items = Vec::new();
        for id in order {
            if self.is_to_be_down(id) {
                items.push(done(id, Outcome::AlreadyDown));
            } else {
                // A roll that came before leaves it to this one.
                self.supersede(id, |aim| aim == Aim::Turn, now);
                items.push(Item { service: id, named: true, aim: Aim::Turn, outcome: None });
            }
        }
        let roll = self.begin(Verb::Restart, items, now);
        self.rolls.insert(roll);
        roll
    }

    /// Lets rolls go on; `false` if none could.
    pub(crate) fn take_turns(&mut self, now: Moment) -> bool {
        for roll in self.rolls.clone() {
            match self.turn(roll) {
                Turn::Wait => {}
                Turn::Of(id) => {
                    self.take_turn(roll, id, now);
                    return true;
                }
                Turn::Broken(rest) => {
                    for id in rest {
                        let is_open = |aim| aim == Aim::Turn;
                        self.resolve_where(id, is_open, &Outcome::NotTried, now);
                    }
                    self.rolls.remove(&roll);
                }
                Turn::Over => _ = self.rolls.remove(&roll),
            }
        }
        false
    }

    fn turn(&self, roll: OperationId) -> Turn {
        let Some(operation) = self.operations.get(roll) else { return Turn::Over };
        if operation.items.iter().any(|item| self.is_being_restarted(item.service)) {
            return Turn::Wait;
        }
        let open = operation.items.iter().filter(|item| item.outcome.is_none());
        let open: Vec<ServiceId> = open.map(|item| item.service).collect();
        match open.first() {
            None => Turn::Over,
            Some(_) if operation.items.iter().any(|item| self.has_failed(item)) => {
                Turn::Broken(open)
            }
            Some(next) => Turn::Of(*next),
        }
    }

    fn take_turn(&mut self, roll: OperationId, id: ServiceId, now: Moment) {
        let is_open = |aim| aim == Aim::Turn;
        if self.is_to_be_down(id) {
            self.resolve_where(id, is_open, &Outcome::AlreadyDown, now);
        } else if let Verdict::Fail(reason) = self.verdict(id) {
            // It could not come up again. That ends the roll as if it had been tried.
            let failed = Outcome::Failed(reason);
            self.operations.set_aim(roll, id, Aim::Cycle { was_down: false });
            self.resolve_where(id, |aim| matches!(aim, Aim::Cycle { .. }), &failed, now);
        } else if self.may_overlap(id, Manner::Graceful) {
            self.operations.set_aim(roll, id, Aim::Overlap { replaced: false });
            self.replace(id, now);
            if self.is_companion_stuck(id) {
                self.follow_companion(id.companion(), now);
            }
        } else {
            let was_down = self.get(id).state == State::Waiting;
            self.operations.set_aim(roll, id, Aim::Cycle { was_down });
            self.get_mut(id).forgive();
            if !was_down {
                self.set_goal(id, Goal::Cycle);
            }
            // What is stuck may never enter another state.
            if self.get(id).state.is_stuck() {
                self.follow_up(id, now);
            }
        }
    }

    /// In the order of starts, then of the request.
    pub(crate) fn roll_order(&self, named: &[ServiceId]) -> Vec<ServiceId> {
        let depths = self.graph.depths();
        let mut order: Vec<ServiceId> = unique(named).collect();
        order.sort_by_key(|id| depths[id.index()]);
        order
    }

    pub(crate) fn is_to_be_down(&self, id: ServiceId) -> bool {
        let service = self.get(id);
        service.state.is_at_rest() || matches!(service.goal, Goal::Down { .. })
    }

    /// Whether an operation waits for its restart.
    fn is_being_restarted(&self, id: ServiceId) -> bool {
        let mut operations = self.get(id).operations.iter();
        operations.any(|operation| {
            let item = self.operations.item(*operation, id);
            item.is_some_and(|item| {
                let restarts = matches!(item.aim, Aim::Cycle { .. } | Aim::Overlap { .. });
                item.outcome.is_none() && restarts
            })
        })
    }

    /// Whether a service had its turn and is not up for it, but for somebody who stopped it.
    fn has_failed(&self, item: &Item) -> bool {
        let service = self.get(item.service);
        match (&item.outcome, item.aim) {
            (Some(Outcome::Restarted), _) => match service.goal {
                Goal::Down { .. } => false,
                Goal::Cycle => true,
                Goal::Up => !service.state.is_up() && !matches!(service.state, State::Exited(_)),
            },
            (Some(outcome), Aim::Cycle { .. } | Aim::Overlap { .. }) => !outcome.is_ok(),
            (
                Some(_) | None,
                Aim::Up
                | Aim::Down
                | Aim::Cycle { .. }
                | Aim::Overlap { .. }
                | Aim::Reload { .. }
                | Aim::Turn
                | Aim::None,
            ) => false,
        }
    }
}
