//! The engine: owns the services, takes one input at a time, and says what to do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::action::{Action, ActionKind};
use crate::graph::{Graph, Hop};
use crate::id::{Invocation, OperationId, ServiceId};
use crate::input::{Report, Request};
use crate::moment::Moment;
use crate::operation::{Aim, Operation, Operations, Outcome};
use crate::restart::Jitter;
use crate::service::{Goal, Service};
use crate::spec::ServiceSpec;
use crate::state::{FailReason, State, Step};
use crate::transition::{Cause, Run, Transition};

/// All services and what is to become of them. See the crate's documentation for how to drive it.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) services: Vec<Service>,
    pub(crate) graph: Graph,
    pub(crate) operations: Operations,
    pub(crate) jitter: Jitter,
    /// Services whose goal or surroundings have changed.
    pub(crate) dirty: BTreeSet<ServiceId>,
    pub(crate) shutdown: Option<Shutdown>,
    /// The service that each live invocation belongs to.
    live: BTreeMap<Invocation, ServiceId>,
    /// The deadlines of all states, earliest first; `enter` keeps it true.
    deadlines: BTreeSet<(Moment, ServiceId)>,
    actions: VecDeque<Action>,
    transitions: VecDeque<Transition>,
    last_invocation: u64,
    now: Moment,
}

/// A shutdown that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shutdown {
    /// When everything is killed that is still there.
    pub(crate) deadline: Option<Moment>,
}

/// When the engine wants to be called, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The moment.
    pub at: Moment,
    /// The service whose deadline it is; `None`: the shutdown's.
    pub service: Option<ServiceId>,
}

impl Engine {
    /// An engine with all services stopped. `seed` decides the jitter of restart delays.
    ///
    /// Answers the cycles if the order of the services has any.
    pub fn new(specs: Vec<ServiceSpec>, seed: u64) -> Result<Self, Vec<Vec<Hop>>> {
        let graph = Graph::new(&specs)?;
        Ok(Self {
            services: specs.into_iter().map(Service::new).collect(),
            graph,
            operations: Operations::default(),
            jitter: Jitter::new(seed),
            dirty: BTreeSet::new(),
            shutdown: None,
            live: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            actions: VecDeque::new(),
            transitions: VecDeque::new(),
            last_invocation: 0,
            now: Moment::default(),
        })
    }

    /// Somebody asks for something. The operation can have ended when this returns.
    pub fn request(&mut self, request: Request, now: Moment) -> OperationId {
        self.advance(now);
        let operation = self.on_request(request, now);
        self.settle(now);
        operation
    }

    /// Something happened to an invocation. Dropped unless the invocation is live.
    pub fn report(&mut self, invocation: Invocation, report: Report, now: Moment) {
        self.advance(now);
        if let Some(id) = self.live.get(&invocation).copied() {
            self.on_report(id, report, now);
            self.settle(now);
        }
    }

    /// Does what is due. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.advance(now);
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            self.on_deadline(id, now);
            self.settle(now);
        }
        if let Some(shutdown) = &mut self.shutdown
            && shutdown.deadline.is_some_and(|deadline| deadline <= now)
        {
            shutdown.deadline = None;
            self.kill_everything(now);
            self.settle(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Wake> {
        let service = self.deadlines.first().map(|(at, id)| Wake { at: *at, service: Some(*id) });
        let shutdown = self
            .shutdown
            .and_then(|shutdown| shutdown.deadline)
            .map(|at| Wake { at, service: None });
        service.into_iter().chain(shutdown).min_by_key(|wake| wake.at)
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next change to tell observers of.
    pub fn poll_transition(&mut self) -> Option<Transition> {
        self.transitions.pop_front()
    }

    /// The next operation that has ended.
    pub fn poll_ended(&mut self) -> Option<OperationId> {
        self.operations.poll_ended()
    }

    /// An operation that runs, or one of the last that have ended.
    pub fn operation(&self, id: OperationId) -> Option<&Operation> {
        self.operations.get(id)
    }

    /// All services with their ids.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Service)> {
        (0..).map(ServiceId).zip(&self.services)
    }

    /// One service.
    ///
    /// # Panics
    /// If the id is not one of this engine's.
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }

    /// The relations of the services.
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The service of a live invocation.
    pub fn live(&self, invocation: Invocation) -> Option<ServiceId> {
        self.live.get(&invocation).copied()
    }

    /// Whether a shutdown was asked for.
    pub const fn is_shutting_down(&self) -> bool {
        self.shutdown.is_some()
    }

    /// How long the running shutdown may still take, if it has a deadline.
    pub fn shutdown_time_left(&self, now: Moment) -> Option<std::time::Duration> {
        Some(self.shutdown?.deadline? - now)
    }

    /// Whether a shutdown was asked for and nothing is live any more.
    pub fn is_down(&self) -> bool {
        self.shutdown.is_some() && !self.services.iter().any(|service| service.state.is_live())
    }

    pub(crate) fn get(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }

    pub(crate) fn get_mut(&mut self, id: ServiceId) -> &mut Service {
        &mut self.services[id.index()]
    }

    pub(crate) fn act(&mut self, id: ServiceId, invocation: Invocation, what: ActionKind) {
        self.actions.push_back(Action { service: id, invocation, what });
    }

    pub(crate) fn new_invocation(&mut self, id: ServiceId) -> Invocation {
        self.last_invocation += 1;
        let invocation = Invocation(self.last_invocation);
        self.live.insert(invocation, id);
        invocation
    }

    /// Changes the state of a service: the only place that does. Keeps the index of deadlines,
    /// tells observers, wakes the neighbours and follows up the operations.
    pub(crate) fn enter(&mut self, id: ServiceId, state: State, cause: Cause, now: Moment) {
        self.enter_with(id, state, cause, None, now);
    }

    /// As `enter`, at the end of an invocation.
    pub(crate) fn enter_with(
        &mut self,
        id: ServiceId,
        state: State,
        cause: Cause,
        run: Option<Run>,
        now: Moment,
    ) {
        let service = &mut self.services[id.index()];
        let old = std::mem::replace(&mut service.state, state);
        let (from, to) = (old.status(), service.state.status());
        if from != to {
            service.since = now;
        }
        if let Some(at) = old.deadline() {
            self.deadlines.remove(&(at, id));
        }
        if let Some(at) = service.state.deadline() {
            self.deadlines.insert((at, id));
        }
        if let Some(run) = &run {
            self.live.remove(&run.invocation);
            self.act(id, run.invocation, ActionKind::Release);
        }
        let invocation = self.get(id).state.invocation().or(run.as_ref().map(|run| run.invocation));
        let ended = run.map(Box::new);
        self.transitions.push_back(Transition {
            service: id,
            invocation,
            from,
            to,
            at: now,
            cause,
            ended,
        });
        self.dirty.insert(id);
        if from != to {
            self.dirty.extend(self.graph.node(id).predecessors.iter().copied());
            self.dirty.extend(self.graph.node(id).successors.iter().copied());
        }
        self.follow_up(id, now);
    }

    /// Moves the deadline of a state without leaving it.
    pub(crate) fn touch(&mut self, id: ServiceId, change: impl FnOnce(&mut State)) {
        let state = &mut self.services[id.index()].state;
        if let Some(at) = state.deadline() {
            self.deadlines.remove(&(at, id));
        }
        change(state);
        if let Some(at) = state.deadline() {
            self.deadlines.insert((at, id));
        }
    }

    /// Ends the items of operations that this service's state decides.
    fn follow_up(&mut self, id: ServiceId, now: Moment) {
        for operation in std::mem::take(&mut self.get_mut(id).operations) {
            let Some(item) = self.operations.item(operation, id) else { continue };
            let aim = item.aim;
            let Some(outcome) = outcome(aim, &self.get(id).state) else {
                if matches!(aim, Aim::Cycle { .. }) && self.get(id).state == State::Waiting {
                    self.operations.set_aim(operation, id, Aim::Cycle { was_down: true });
                }
                self.get_mut(id).operations.push(operation);
                continue;
            };
            let failed = matches!(outcome, Outcome::Failed(_));
            self.operations.resolve(operation, id, outcome, now);
            if failed {
                self.fail_items_waiting_for(operation, id, now);
            }
        }
    }

    /// What waits for a service that failed to come up goes on waiting if that one is tried again,
    /// but the operation has its answer.
    fn fail_items_waiting_for(&mut self, operation: OperationId, failed: ServiceId, now: Moment) {
        let mut open = vec![failed];
        while let Some(cause) = open.pop() {
            for dependent in self.graph.node(cause).stops_with.clone() {
                let waits = self.get(dependent).state == State::Waiting
                    && self.graph.node(dependent).required.contains(&(cause, true));
                if waits && self.get(dependent).operations.contains(&operation) {
                    self.get_mut(dependent).operations.retain(|other| *other != operation);
                    let outcome = Outcome::Failed(FailReason::Dependency(cause));
                    self.operations.resolve(operation, dependent, outcome, now);
                    open.push(dependent);
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
        for operation in std::mem::take(&mut self.get_mut(id).operations) {
            match self.operations.item(operation, id) {
                Some(item) if contradicted(item.aim) => {
                    self.operations.resolve(operation, id, Outcome::Superseded, now);
                }
                Some(_) => self.get_mut(id).operations.push(operation),
                None => {}
            }
        }
    }

    fn advance(&mut self, now: Moment) {
        debug_assert!(now >= self.now, "the time that is passed in never goes back");
        debug_assert!(self.actions.is_empty(), "all actions are taken before the next input");
        self.now = now;
    }
}

/// What a state means for an item that waits for `aim`; `None`: it goes on waiting.
fn outcome(aim: Aim, state: &State) -> Option<Outcome> {
    let stuck = matches!(state, State::Stopping(stopping) if stopping.step == Step::Stuck);
    match aim {
        Aim::Up | Aim::Cycle { was_down: true } => match state {
            State::Running(_) | State::Reloading(_) | State::Exited(_) => Some(match aim {
                Aim::Cycle { .. } => Outcome::Restarted,
                Aim::Up | Aim::Down | Aim::Reload { .. } | Aim::None => Outcome::Started,
            }),
            State::Backoff(backoff) => {
                Some(Outcome::Failed(FailReason::Ended(backoff.ending.clone())))
            }
            State::Failed(reason) => Some(Outcome::Failed(reason.clone())),
            State::Stopped(_) => Some(Outcome::Superseded),
            State::Stopping(_) if stuck => Some(Outcome::Stuck),
            State::Waiting | State::Starting(_) | State::Stopping(_) => None,
        },
        Aim::Cycle { was_down: false } => match state {
            State::Stopping(_) if stuck => Some(Outcome::Stuck),
            State::Failed(reason) => Some(Outcome::Failed(reason.clone())),
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_) => None,
        },
        Aim::Down if stuck => Some(Outcome::Stuck),
        Aim::Down => state.is_at_rest().then_some(Outcome::Stopped),
        Aim::Reload { begun: _ } => match state {
            State::Waiting | State::Starting(_) | State::Running(_) | State::Reloading(_) => None,
            State::Backoff(backoff) => {
                Some(Outcome::Failed(FailReason::Ended(backoff.ending.clone())))
            }
            State::Failed(reason) => Some(Outcome::Failed(reason.clone())),
            State::Stopped(_) | State::Stopping(_) | State::Exited(_) => Some(Outcome::NotRunning),
        },
        Aim::None => None,
    }
}

impl Engine {
    /// What is wanted of a service, changed; its neighbours have a look.
    pub(crate) fn set_goal(&mut self, id: ServiceId, goal: Goal) {
        if std::mem::replace(&mut self.get_mut(id).goal, goal) != goal {
            self.dirty.insert(id);
            self.dirty.extend(self.graph.node(id).predecessors.iter().copied());
            self.dirty.extend(self.graph.node(id).successors.iter().copied());
        }
    }
}
