//! What a service looks like to its neighbours in the order, and the count of those it must heed.
//!
//! Every start and stop waits for neighbours. Each service counts those that it waits for, and a
//! change of one service corrects the counts of its neighbours, so that looking whether somebody's
//! turn has come takes no walk over all of them: a target of ten thousand services is told ten
//! thousand times that one of them is up.

use std::collections::VecDeque;

use crate::engine::Engine;
use crate::graph::{Bond, Tie};
use crate::id::ServiceId;
use crate::input::Manner;
use crate::service::{Goal, Service};
use crate::spec::{Kind, Until};
use crate::state::{StartPhase, State, StopCause};

/// All that the starts and stops of others depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    /// To one that is bound to it and waits for it.
    bound: Look,
    /// To one that requires it and waits for it.
    required: Look,
    /// To one that merely comes after it.
    ordered: Look,
    /// Whether its process runs, so that it is there for those that wait for no more.
    begun: bool,
    /// Whether it must be gone before those that it comes after may be stopped.
    in_the_way: bool,
    /// Whether it has failed for now, or waits for one that has.
    held_up: bool,
}

/// What a service looks like to one that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing to wait for.
    Fine,
    /// It is on its way to something else.
    Coming,
    /// It is needed, is down and will not come up.
    Hopeless,
}

/// How many neighbours of a service stand in its way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Of those it starts after: on their way.
    pub(crate) coming: u32,
    /// Of those it starts after: down for good, and required.
    pub(crate) hopeless: u32,
    /// Of those it stops after: still to be stopped.
    pub(crate) in_the_way: u32,
    /// Of those it starts after and requires: to be tried again at some time.
    held_up: u32,
}

impl Engine {
    /// Changes what decides a service's standing: the only place that does. It and, if it looks
    /// different now, its neighbours are seen to next.
    pub(crate) fn change<R>(&mut self, id: ServiceId, change: impl FnOnce(&mut Service) -> R) -> R {
        let service = self.get_mut(id);
        let before = service.standing();
        let result = change(service);
        let after = service.standing();
        self.dirty.insert(id);
        if id.is_companion() {
            self.tell_service(id);
        }
        if before != after {
            self.tell_neighbours(id, before, after);
        }
        // They may have waited for it to be gone.
        self.dirty.extend(self.graph.rivals(id.service()));
        result
    }

    /// What is wanted of a service, changed.
    pub(crate) fn set_goal(&mut self, id: ServiceId, goal: Goal) {
        if self.get(id).goal != goal {
            self.change(id, |service| {
                service.goal = goal;
                service.cycle_manner = Manner::Graceful;
            });
            self.tell_companion(id, goal);
        }
    }

    /// What a service looks like to `dependent`, which waits for it.
    pub(crate) fn look_at(&self, on: ServiceId, dependent: ServiceId) -> Look {
        self.get(on).standing().to(self.graph.tie(dependent, on))
    }

    /// Counts everything anew, when the relations are others. Everybody is seen to next.
    pub(crate) fn recount(&mut self) {
        for service in &mut self.services {
            service.tally = Tally::default();
        }
        let depths = self.graph.depths();
        let mut order: Vec<ServiceId> =
            (0..).map(ServiceId).zip(&depths).map(|(id, _)| id).collect();
        // What a service looks like depends on those that it starts after, and on nobody else.
        order.sort_by_key(|id| depths[id.index()]);
        for id in order {
            let standing = self.services[id.index()].standing();
            let node = self.graph.node(id);
            for successor in &node.successors {
                let tie = self.graph.tie(*successor, id);
                let tally = &mut self.services[successor.index()].tally;
                tally.count(Look::Fine, standing.to(tie));
                tally.held_up += u32::from(tie.bond != Bond::Order && standing.held_up);
            }
            for predecessor in &node.predecessors {
                let tally = &mut self.services[predecessor.index()].tally;
                tally.in_the_way += u32::from(standing.in_the_way);
            }
            self.dirty.insert(id);
        }
    }

    /// Corrects the counts of the neighbours, and of theirs where that changes what they look like.
    fn tell_neighbours(&mut self, id: ServiceId, before: Standing, after: Standing) {
        let mut news = VecDeque::from([(id, before, after)]);
        while let Some((id, before, after)) = news.pop_front() {
            let node = self.graph.node(id);
            for successor in &node.successors {
                let tie = self.graph.tie(*successor, id);
                let service = &mut self.services[successor.index()];
                let looked = service.standing();
                service.tally.count(before.to(tie), after.to(tie));
                if tie.bond != Bond::Order {
                    service.tally.held_up -= u32::from(before.held_up);
                    service.tally.held_up += u32::from(after.held_up);
                }
                let looks = service.standing();
                if looked != looks {
                    news.push_back((*successor, looked, looks));
                }
                self.dirty.insert(*successor);
            }
            for predecessor in &node.predecessors {
                let tally = &mut self.services[predecessor.index()].tally;
                tally.in_the_way -= u32::from(before.in_the_way);
                tally.in_the_way += u32::from(after.in_the_way);
                self.dirty.insert(*predecessor);
            }
        }
    }
}

impl Service {
    /// Whether it must be gone before those that it comes after may be stopped, and what it has of
    /// an overlap too. What not even `KILL` could end holds up nobody.
    pub(crate) fn is_in_the_way(&self) -> bool {
        let live = self.state.is_live();
        let leaves = self.goes_down() && live && !self.state.is_stuck();
        leaves || self.accompanied && (self.goes_down() || !live)
    }

    fn standing(&self) -> Standing {
        let both = |look| (look, look);
        let (required, ordered) = match &self.state {
            State::Stopping(_) if self.state.is_stuck() => (Look::Hopeless, Look::Fine),
            // One that waits for a second try is as one that waits to be tried again itself.
            State::Waiting if self.tally.held_up > 0 => (Look::Coming, Look::Fine),
            State::Waiting | State::Starting(_) | State::Stopping(_) => both(Look::Coming),
            state if state.is_up() => {
                both(if self.goes_down() { Look::Coming } else { Look::Fine })
            }
            State::Backoff(_) if self.restarts_unseen() => both(Look::Coming),
            // Who merely likes to have it does not wait for a second try.
            State::Backoff(_) => (Look::Coming, Look::Fine),
            // Already asked to come up again, just not seen to yet.
            State::Stopped(_) | State::Exited(_) | State::Failed(_) if self.goal == Goal::Cycle => {
                both(Look::Coming)
            }
            State::Stopped(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Exited(_)
            | State::Failed(_) => (Look::Hopeless, Look::Fine),
        };
        let held_up = match self.state {
            State::Waiting => self.tally.held_up > 0,
            State::Backoff(_) => !self.restarts_unseen(),
            State::Stopped(_)
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Stopping(_)
            | State::Exited(_)
            | State::Failed(_) => false,
        };
        let skipped = matches!(self.state, State::Stopped(StopCause::Condition));
        let done =
            skipped || self.spec.kind == Kind::Oneshot && matches!(self.state, State::Exited(_));
        // Its work is done, or not to be done; every start of who requires it does it again. But
        // nobody is bound to it.
        let (bound, required) = (required, if done { ordered } else { required });
        let begun = self.has_begun() && !self.goes_down();
        let in_the_way = self.is_in_the_way();
        Standing { bound, required, ordered, begun, in_the_way, held_up }
    }

    /// Whether its process runs, but it is not up yet.
    fn has_begun(&self) -> bool {
        match &self.state {
            State::Starting(starting) => match starting.phase {
                StartPhase::Condition(_)
                | StartPhase::PreStart(_)
                | StartPhase::Exec
                | StartPhase::Fork => false,
                StartPhase::MainPid
                | StartPhase::Ready
                | StartPhase::Probe
                | StartPhase::Completion
                | StartPhase::PostStart(_)
                | StartPhase::Settle => true,
            },
            State::Stopped(_)
            | State::Waiting
            | State::Running(_)
            | State::Reloading(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => false,
        }
    }
}

impl Standing {
    fn to(self, tie: Tie) -> Look {
        if self.begun && tie.until == Until::Started {
            return Look::Fine;
        }
        match tie.bond {
            Bond::Order => self.ordered,
            Bond::Need => self.required,
            Bond::Bound => self.bound,
        }
    }
}

impl Tally {
    fn count(&mut self, before: Look, after: Look) {
        match before {
            Look::Fine => {}
            Look::Coming => self.coming -= 1,
            Look::Hopeless => self.hopeless -= 1,
        }
        match after {
            Look::Fine => {}
            Look::Coming => self.coming += 1,
            Look::Hopeless => self.hopeless += 1,
        }
    }
}
