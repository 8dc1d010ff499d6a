//! The engine: owns the services, takes one input at a time, and says what to do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::action::{Action, ActionKind};
use crate::budget::Outlook;
use crate::graph::{Graph, Hop};
use crate::id::{Invocation, OperationId, ServiceId};
use crate::input::{Report, Request};
use crate::moment::Moment;
use crate::operation::{Operation, Operations};
use crate::restart::Jitter;
use crate::service::Service;
use crate::spec::ServiceSpec;
use crate::state::{State, Status};
use crate::transition::{Cause, Run, Transition};
use crate::trigger::Trigger;

/// All services and what is to become of them. See the crate's documentation for how to drive it.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) services: Vec<Service>,
    /// Where the second processes of services are that restart without a gap, by companion.
    pub(crate) companions: BTreeMap<ServiceId, Service>,
    pub(crate) graph: Graph,
    pub(crate) operations: Operations,
    pub(crate) jitter: Jitter,
    /// Services whose goal or surroundings have changed.
    pub(crate) dirty: BTreeSet<ServiceId>,
    pub(crate) shutdown: Option<Shutdown>,
    /// Services that are to be started because of the end of another one.
    pub(crate) triggers: VecDeque<(ServiceId, Trigger)>,
    /// Whose end has done so within the present input.
    pub(crate) triggered: BTreeSet<ServiceId>,
    /// Services that begin to come up and uphold others.
    pub(crate) upholders: BTreeSet<ServiceId>,
    /// What the stops of a shutdown with a time limit will take.
    pub(crate) outlook: Outlook,
    /// The operations that restart one service after the other.
    pub(crate) rolls: BTreeSet<OperationId>,
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
    /// Whether that has happened: then order does not count any more.
    pub(crate) overdue: bool,
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
        let services = (0..).map(ServiceId).zip(specs);
        let mut engine = Self {
            services: services.map(|(id, spec)| Service::new(id, spec)).collect(),
            companions: BTreeMap::new(),
            graph,
            operations: Operations::default(),
            jitter: Jitter::new(seed),
            dirty: BTreeSet::new(),
            shutdown: None,
            triggers: VecDeque::new(),
            triggered: BTreeSet::new(),
            upholders: BTreeSet::new(),
            outlook: Outlook::default(),
            rolls: BTreeSet::new(),
            live: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            actions: VecDeque::new(),
            transitions: VecDeque::new(),
            last_invocation: 0,
            now: Moment::default(),
        };
        engine.accompany();
        engine.recount();
        // Nobody has asked for anything yet.
        engine.dirty.clear();
        Ok(engine)
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
            *shutdown = Shutdown { deadline: None, overdue: true };
            self.kill_everything(now);
            self.settle(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Wake> {
        let service =
            self.deadlines.first().map(|(at, id)| Wake { at: *at, service: Some(id.service()) });
        let shutdown = self
            .shutdown
            .and_then(|shutdown| shutdown.deadline)
            .filter(|_| !self.live.is_empty())
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

    /// All services with their ids; those that were removed are none.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Service)> {
        let all = (0..).map(ServiceId).zip(&self.services);
        all.filter(|(_, service)| !service.is_removed())
    }

    /// One service, or the companion of one.
    ///
    /// # Panics
    /// If the id is not one of this engine's.
    pub fn service(&self, id: ServiceId) -> &Service {
        self.get(id)
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

    /// Whether a shutdown was asked for and nothing is live any more but what is stuck.
    pub fn is_down(&self) -> bool {
        let gone = |service: &Service| !service.state.is_live() || service.state.is_stuck();
        self.shutdown.is_some() && self.services.iter().chain(self.companions.values()).all(gone)
    }

    /// All services, then their companions.
    pub(crate) fn slots(&self) -> Vec<ServiceId> {
        self.services().map(|(id, _)| id).chain(self.companions.keys().copied()).collect()
    }

    pub(crate) fn get(&self, id: ServiceId) -> &Service {
        if id.is_companion() { &self.companions[&id] } else { &self.services[id.index()] }
    }

    pub(crate) fn get_mut(&mut self, id: ServiceId) -> &mut Service {
        let companion = id.is_companion().then(|| self.companions.get_mut(&id)).flatten();
        companion.unwrap_or_else(|| &mut self.services[id.service().index()])
    }

    pub(crate) fn act(&mut self, id: ServiceId, invocation: Invocation, what: ActionKind) {
        let service = self.get(id).unit;
        self.actions.push_back(Action { service, invocation, what });
    }

    /// The two that live change places.
    pub(crate) fn swap_invocations(&mut self, one: ServiceId, other: ServiceId) {
        for (from, to) in [(one, other), (other, one)] {
            if let Some(invocation) = self.get(from).state.invocation() {
                self.live.insert(invocation, to);
            }
        }
        let units = (self.get(one).unit, self.get(other).unit);
        (self.get_mut(other).unit, self.get_mut(one).unit) = units;
    }

    pub(crate) fn new_invocation(&mut self, id: ServiceId) -> Invocation {
        self.last_invocation += 1;
        let invocation = Invocation(self.last_invocation);
        self.live.insert(invocation, id);
        invocation
    }

    /// Changes the state of a service: the only place that does. Keeps the index of deadlines,
    /// tells observers and follows up the operations.
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
        let old = self.put(id, state, now);
        if let Some(run) = &run {
            self.live.remove(&run.invocation);
            self.act(id, run.invocation, ActionKind::Release);
        }
        let invocation = self.get(id).state.invocation().or(run.as_ref().map(|run| run.invocation));
        let (from, to) = (old.status(), self.get(id).state.status());
        self.note_end(id, from, run.as_ref());
        if to == Status::Waiting && !self.graph.node(id).upheld.is_empty() {
            self.upholders.insert(id);
        }
        let ended = run.map(Box::new);
        let (service, companion) = (id.service(), id.is_companion());
        self.transitions.push_back(Transition {
            service,
            companion,
            invocation,
            from,
            to,
            at: now,
            cause,
            ended,
        });
        self.note_need(id);
        self.follow_up(id, now);
    }

    /// Changes the state of a service and keeps the index of deadlines, without a word to anybody.
    pub(crate) fn put(&mut self, id: ServiceId, state: State, now: Moment) -> State {
        let old = self.change(id, |service| std::mem::replace(&mut service.state, state));
        let service = self.get_mut(id);
        if old.status() != service.state.status() {
            service.since = now;
        }
        let deadline = service.state.deadline();
        if let Some(at) = old.deadline() {
            self.deadlines.remove(&(at, id));
        }
        if let Some(at) = deadline {
            self.deadlines.insert((at, id));
        }
        old
    }

    /// Moves the deadline of a state without leaving it.
    pub(crate) fn touch(&mut self, id: ServiceId, change: impl FnOnce(&mut State)) {
        let state = &mut self.get_mut(id).state;
        let before = state.deadline();
        change(state);
        let after = state.deadline();
        if let Some(at) = before {
            self.deadlines.remove(&(at, id));
        }
        if let Some(at) = after {
            self.deadlines.insert((at, id));
        }
    }

    fn advance(&mut self, now: Moment) {
        debug_assert!(now >= self.now, "the time that is passed in never goes back");
        debug_assert!(self.actions.is_empty(), "all actions are taken before the next input");
        self.triggered.clear();
        self.now = now;
    }
}
