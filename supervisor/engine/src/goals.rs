//! Who wants what: requests become goals, and goals become starts and stops once the order allows.
//!
//! Intent first, then action: a request only sets goals and moves what rests to `Waiting`. Then
//! [`Engine::settle`] looks at every service that something changed for, until nothing changes.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::action::{ActionKind, Whom};
use crate::engine::{Engine, Shutdown};
use crate::id::{OperationId, ServiceId};
use crate::input::{Manner, Request};
use crate::moment::Moment;
use crate::operation::{Aim, Item, Outcome, Verb};
use crate::service::Goal;
use crate::signal::Signal;
use crate::standing::Look;
use crate::state::{FailReason, StartPhase, State, StopCause};
use crate::transition::Cause;

/// What a service that waits should do.
pub(crate) enum Verdict {
    Go,
    Wait,
    /// It will never be its turn.
    Fail(FailReason),
}

impl Engine {
    pub(crate) fn on_request(&mut self, request: Request, now: Moment) -> OperationId {
        match request {
            Request::Boot => {
                let enabled: Vec<ServiceId> =
                    self.services().filter(|(_, s)| s.spec.enabled).map(|(id, _)| id).collect();
                let mut items = Vec::new();
                self.want_up(&enabled, &mut items, now);
                self.begin(Verb::Boot, items, now)
            }
            Request::Start(services) => {
                let mut items = Vec::new();
                self.want_up(&services, &mut items, now);
                self.begin(Verb::Start, items, now)
            }
            Request::Stop { services, manner, no_dependents } => {
                self.want_down(&services, manner, no_dependents, now)
            }
            Request::Restart { services, manner, no_dependents } => {
                self.want_cycle(&services, manner, no_dependents, now)
            }
            Request::Roll(services) => self.want_roll(&services, now),
            Request::Scale(services) => self.scale(&services, now),
            Request::Reload(services) => self.want_reload(&services, now),
            Request::Signal { services, signal } => self.send_signal(&services, signal, now),
            Request::Reset(services) => self.reset(&services, now),
            Request::Shutdown { within, manner } => self.shut_down(within, manner, now),
        }
    }

    /// These, and what they need, are to be up.
    pub(crate) fn want_up(&mut self, named: &[ServiceId], items: &mut Vec<Item>, now: Moment) {
        if self.is_shutting_down() {
            items.extend(unique(named).map(|id| done(id, Outcome::Superseded)));
            return;
        }
        let chosen = self.select(named, &[], now);
        for id in unique(named) {
            let item = match chosen.denied.get(&id) {
                Some(rival) => done(id, Outcome::ConflictsWith(*rival)),
                None => self.raise(id, true, now),
            };
            items.push(item);
        }
        self.want_up_too(&chosen.up, items, now);
    }

    /// These, as far as they are not in the list yet, are to be up for the sake of others.
    fn want_up_too(&mut self, pulled: &BTreeSet<ServiceId>, items: &mut Vec<Item>, now: Moment) {
        let listed: BTreeSet<ServiceId> = items.iter().map(|item| item.service).collect();
        for id in pulled.difference(&listed) {
            let item = self.raise(*id, false, now);
            items.extend(Some(item).filter(|item| item.outcome.is_none()));
        }
    }

    /// This service is to be up.
    fn raise(&mut self, id: ServiceId, named: bool, now: Moment) -> Item {
        if self.get(id).is_leaving() {
            return done(id, Outcome::Superseded);
        }
        self.supersede(id, |aim| aim == Aim::Down, now);
        let service = self.get(id);
        if service.state.is_up() && service.goal != Goal::Cycle {
            // A stop that has not begun yet is called off.
            self.set_goal(id, Goal::Up);
            return done(id, Outcome::AlreadyUp);
        }
        if named {
            self.get_mut(id).forgive();
        }
        let mut aim = Aim::Up;
        match &self.get(id).state {
            // It goes all the way down first, and then comes up again.
            State::Stopping(_) => self.set_goal(id, Goal::Cycle),
            state if state.is_at_rest() || matches!(state, State::Backoff(_)) => {
                self.get_mut(id).trigger = None;
                self.set_goal(id, Goal::Up);
                self.enter(id, State::Waiting, Cause::Requested, now);
            }
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => {
                // A restart that has not begun its stop yet goes on.
                if self.get(id).goal == Goal::Cycle {
                    aim = Aim::Cycle { was_down: false };
                } else {
                    self.set_goal(id, Goal::Up);
                }
            }
        }
        Item { service: id, named, aim, outcome: None }
    }

    /// These, and what cannot be without them, are to be down.
    fn want_down(
        &mut self,
        named: &[ServiceId],
        manner: Manner,
        no_dependents: bool,
        now: Moment,
    ) -> OperationId {
        let mut items = Vec::new();
        for (id, cause) in self.with_dependents(named, no_dependents) {
            let named = cause == StopCause::Requested;
            self.supersede(id, |aim| !matches!(aim, Aim::Down | Aim::None), now);
            if self.is_all_at_rest(id) {
                if named {
                    items.push(done(id, Outcome::AlreadyDown));
                }
            } else {
                items.push(Item { service: id, named, aim: Aim::Down, outcome: None });
            }
            self.want_gone(id, cause, manner);
        }
        self.begin(Verb::Stop, items, now)
    }

    /// These go down with what cannot be without them, and all come up again.
    pub(crate) fn want_cycle(
        &mut self,
        named: &[ServiceId],
        manner: Manner,
        no_dependents: bool,
        now: Moment,
    ) -> OperationId {
        let mut items = Vec::new();
        if self.is_shutting_down() {
            items.extend(unique(named).map(|id| done(id, Outcome::Superseded)));
            return self.begin(Verb::Restart, items, now);
        }
        let mut to_start = Vec::new();
        let chosen = self.select(named, &[], now);
        let (overlapping, cycled) = self.part_overlapping(named, manner, no_dependents);
        for id in overlapping {
            self.supersede(id, |aim| aim == Aim::Turn, now);
            self.replace(id, now);
            let aim = Aim::Overlap { replaced: false };
            items.push(Item { service: id, named: true, aim, outcome: None });
        }
        for (id, cause) in self.with_dependents(&cycled, no_dependents) {
            let named = cause == StopCause::Requested;
            if let Some(rival) = chosen.denied.get(&id).filter(|_| named) {
                items.push(done(id, Outcome::ConflictsWith(*rival)));
                continue;
            }
            let state = &self.get(id).state;
            let for_good = matches!(self.get(id).goal, Goal::Down { .. });
            let leaving = self.get(id).is_leaving();
            let down =
                state.is_at_rest() || leaving || for_good && matches!(state, State::Stopping(_));
            // What is down, or on its way there for good, comes up only if it was named.
            if named && down {
                to_start.push(id);
            }
            if down || for_good && !named {
                continue;
            }
            if named {
                self.get_mut(id).forgive();
            }
            self.supersede(id, |aim| matches!(aim, Aim::Down | Aim::Turn), now);
            let was_down = self.get(id).state == State::Waiting;
            let aim = Aim::Cycle { was_down };
            items.push(Item { service: id, named, aim, outcome: None });
            if !was_down {
                self.set_goal(id, Goal::Cycle);
                // One that was to be forced remains so.
                if self.get(id).manner() != Manner::Force {
                    self.change(id, |service| service.cycle_manner = manner);
                    self.tell_companion(id, Goal::Cycle);
                }
            }
        }
        self.want_up(&to_start, &mut items, now);
        // What is restarted needs what it requires, also if that is down or on its way there.
        let mut needed = chosen.up;
        needed.retain(|id| {
            let service = self.get(*id);
            service.state.is_at_rest() || matches!(service.goal, Goal::Down { .. })
        });
        self.want_up_too(&needed, &mut items, now);
        self.begin(Verb::Restart, items, now)
    }

    /// Of these: who is restarted without a gap, and who is not. What goes down with another has to
    /// be down before that.
    pub(crate) fn part_overlapping(
        &self,
        named: &[ServiceId],
        manner: Manner,
        no_dependents: bool,
    ) -> (Vec<ServiceId>, Vec<ServiceId>) {
        let (may, cycled): (Vec<_>, Vec<_>) =
            unique(named).partition(|id| self.may_overlap(*id, manner));
        let pulled: BTreeSet<ServiceId> =
            self.with_dependents(&cycled, no_dependents).into_iter().map(|(id, _)| id).collect();
        let (pulled, overlapping): (Vec<_>, Vec<_>) =
            may.into_iter().partition(|id| pulled.contains(id));
        (overlapping, cycled.into_iter().chain(pulled).collect())
    }

    fn want_reload(&mut self, named: &[ServiceId], now: Moment) -> OperationId {
        let mut items: Vec<Item> = unique(named)
            .map(|id| {
                let service = self.get(id);
                let up_or_coming = match service.state {
                    State::Waiting
                    | State::Starting(_)
                    | State::Running(_)
                    | State::Reloading(_)
                    | State::Backoff(_) => true,
                    State::Stopped(_)
                    | State::Stopping(_)
                    | State::Exited(_)
                    | State::Failed(_) => false,
                };
                if service.spec.reload.is_none() {
                    done(id, Outcome::CannotReload)
                } else if up_or_coming {
                    let aim = Aim::Reload { begun: false };
                    Item { service: id, named: true, aim, outcome: None }
                } else {
                    done(id, Outcome::NotRunning)
                }
            })
            .collect();
        let aim = Aim::Reload { begun: false };
        let too = self.reloaded_with(named).into_iter();
        items.extend(too.map(|service| Item { service, named: false, aim, outcome: None }));
        let asked: Vec<ServiceId> = items.iter().map(|item| item.service).collect();
        let operation = self.begin(Verb::Reload, items, now);
        for id in asked {
            self.reload_if_asked(id, now);
        }
        operation
    }

    /// What else is to be reloaded: only what has its configuration by now, and can reload it.
    fn reloaded_with(&self, named: &[ServiceId]) -> Vec<ServiceId> {
        let mut found: BTreeSet<ServiceId> = named.iter().copied().collect();
        let mut open: Vec<ServiceId> = unique(named).collect();
        let mut too = Vec::new();
        while let Some(from) = open.pop() {
            for id in &self.get(from).spec.reload_propagates_to {
                if !found.insert(*id) {
                    continue;
                }
                open.push(*id);
                let service = self.get(*id);
                let has_read = match service.state {
                    State::Starting(_) | State::Running(_) | State::Reloading(_) => true,
                    State::Stopped(_)
                    | State::Waiting
                    | State::Stopping(_)
                    | State::Backoff(_)
                    | State::Exited(_)
                    | State::Failed(_) => false,
                };
                if has_read && service.spec.reload.is_some() {
                    too.push(*id);
                }
            }
        }
        too
    }

    fn send_signal(&mut self, named: &[ServiceId], signal: Signal, now: Moment) -> OperationId {
        let items = unique(named)
            .map(|id| {
                let state = &self.get(id).state;
                let Some(invocation) = state.invocation().filter(|_| state.main().is_alive())
                else {
                    let headless = state.main().is_survived();
                    return done(id, if headless { Outcome::NoMain } else { Outcome::NotRunning });
                };
                self.act(id, invocation, ActionKind::Signal { signal, whom: Whom::Main });
                done(id, Outcome::Signalled)
            })
            .collect();
        self.begin(Verb::Signal, items, now)
    }

    fn reset(&mut self, named: &[ServiceId], now: Moment) -> OperationId {
        let items = unique(named)
            .map(|id| {
                let service = self.get_mut(id);
                service.forgive();
                service.restarts = 0;
                if matches!(service.state, State::Failed(_)) {
                    let cause = StopCause::Reset;
                    self.set_goal(id, Goal::Down { cause, manner: Manner::Graceful });
                    self.enter(id, State::Stopped(cause), Cause::Stop(cause), now);
                }
                done(id, Outcome::Reset)
            })
            .collect();
        self.begin(Verb::Reset, items, now)
    }

    fn shut_down(&mut self, within: Option<Duration>, manner: Manner, now: Moment) -> OperationId {
        let asked = now.after(within);
        let (running, overdue) =
            self.shutdown.map_or((None, false), |shutdown| (shutdown.deadline, shutdown.overdue));
        let deadline = asked.into_iter().chain(running).min();
        self.shutdown = Some(Shutdown { deadline, overdue });
        let mut items = Vec::new();
        let cause = StopCause::Shutdown;
        for index in 0..self.services.len() {
            let id = ServiceId(u32::try_from(index).unwrap_or(u32::MAX));
            self.supersede(id, |aim| !matches!(aim, Aim::Down | Aim::None), now);
            if !self.is_all_at_rest(id) {
                items.push(Item { service: id, named: true, aim: Aim::Down, outcome: None });
            }
            self.want_gone(id, cause, manner);
        }
        self.share_out(now);
        self.begin(Verb::Shutdown, items, now)
    }

    /// A stop that was to be forced remains so, and one that is for good too.
    pub(crate) fn want_gone(&mut self, id: ServiceId, cause: StopCause, manner: Manner) {
        let cause = if self.get(id).is_leaving() { StopCause::Removed } else { cause };
        let was_forced = matches!(self.get(id).goal, Goal::Down { manner: Manner::Force, .. });
        let manner = if was_forced { Manner::Force } else { manner };
        self.set_goal(id, Goal::Down { cause, manner });
    }

    /// The shutdown's time is up: order does not count any more.
    pub(crate) fn kill_everything(&mut self, now: Moment) {
        for id in self.slots() {
            let cause = StopCause::Shutdown;
            let need = self.need(id);
            self.set_goal(id, Goal::Down { cause, manner: Manner::Force });
            match &self.get(id).state {
                State::Stopping(_) => self.kill(id, now),
                // Killed as soon as its spawn is known to have worked.
                State::Starting(starting) if starting.phase == StartPhase::Exec => {}
                state if state.is_live() => {
                    self.begin_stop(id, now);
                    self.deny_all(id, need.unwrap_or_default());
                }
                State::Stopped(_)
                | State::Waiting
                | State::Starting(_)
                | State::Running(_)
                | State::Reloading(_)
                | State::Backoff(_)
                | State::Exited(_)
                | State::Failed(_) => {}
            }
        }
    }

    /// The named services with why each is to stop, then what is stopped with them.
    pub(crate) fn with_dependents(
        &self,
        named: &[ServiceId],
        no_dependents: bool,
    ) -> Vec<(ServiceId, StopCause)> {
        let mut found: BTreeSet<ServiceId> = named.iter().copied().collect();
        let mut list: Vec<_> = unique(named).map(|id| (id, StopCause::Requested)).collect();
        let mut next = 0;
        while !no_dependents && let Some((cause, _)) = list.get(next).copied() {
            for dependent in &self.graph.node(cause).stops_with {
                if found.insert(*dependent) {
                    list.push((*dependent, StopCause::StoppedWith(cause)));
                }
            }
            next += 1;
        }
        list
    }

    /// A service that was up is down by itself: what is bound to it goes down too, and comes up
    /// again with it if it is to be restarted.
    pub(crate) fn take_down_bound(&mut self, id: ServiceId, restarts: bool, now: Moment) {
        for bound in self.graph.node(id).bound.clone() {
            for (dependent, cause) in self.with_dependents(&[bound], false) {
                let cause = if dependent == bound { StopCause::BoundTo(id) } else { cause };
                let service = self.get(dependent);
                // One that waits fails by its dependency; one that goes down goes on doing so.
                if !service.state.is_live() || matches!(service.goal, Goal::Down { .. }) {
                    continue;
                }
                if restarts {
                    self.set_goal(dependent, Goal::Cycle);
                } else {
                    self.supersede(dependent, |aim| aim != Aim::Down, now);
                    self.set_goal(dependent, Goal::Down { cause, manner: Manner::Graceful });
                }
            }
        }
    }

    /// Acts on goals until nothing changes, and lets rolls go on. Every turn brings a service nearer
    /// to its goal, the order has no cycle, and a roll has so many turns, so it ends.
    pub(crate) fn settle(&mut self, now: Moment) {
        loop {
            if let Some(id) = self.upholders.pop_first() {
                self.uphold(id, now);
            } else if let Some(id) = self.dirty.pop_first() {
                self.pursue(id, now);
            } else if let Some((id, trigger)) = self.triggers.pop_front() {
                // Only when all others have seen what that one came to.
                self.set_off(id, trigger, now);
            } else if !self.take_turns(now) {
                return;
            }
        }
    }

    fn pursue(&mut self, id: ServiceId, now: Moment) {
        let companion = self.companions.get(&id.companion());
        if !id.is_companion() && companion.is_some_and(|held| held.state == State::Waiting) {
            // It may start when the service may.
            self.dirty.insert(id.companion());
        }
        let service = self.get(id);
        match (&service.state, service.goal) {
            (State::Waiting | State::Backoff(_), Goal::Down { cause, .. }) => {
                self.enter(id, State::Stopped(cause), Cause::Stop(cause), now);
            }
            (State::Waiting, Goal::Cycle | Goal::Up) => {
                self.set_goal(id, Goal::Up);
                match self.verdict(id) {
                    Verdict::Go => self.start(id, now),
                    Verdict::Wait => {}
                    Verdict::Fail(reason) => self.give_up(id, reason, now),
                }
            }
            (State::Backoff(_), Goal::Cycle) => {
                self.set_goal(id, Goal::Up);
                self.enter(id, State::Waiting, Cause::Requested, now);
            }
            (state, Goal::Cycle) if state.is_at_rest() => {
                self.set_goal(id, Goal::Up);
                self.enter(id, State::Waiting, Cause::Requested, now);
            }
            (State::Stopping(_), Goal::Down { .. } | Goal::Cycle) => {
                if service.manner() == Manner::Force {
                    self.kill(id, now);
                }
            }
            // How the spawn goes must be known first.
            (State::Starting(starting), Goal::Down { .. } | Goal::Cycle)
                if starting.phase == StartPhase::Exec => {}
            (state, Goal::Down { .. } | Goal::Cycle) if state.is_live() => {
                if self.may_stop(id) {
                    self.begin_stop(id, now);
                }
            }
            // A stop that was called off may have kept a reload waiting.
            (State::Running(_), Goal::Up) => self.reload_if_asked(id, now),
            (_, Goal::Down { .. } | Goal::Cycle | Goal::Up) => {}
        }
    }

    /// Whom a waiting service waits for.
    pub(crate) fn waits_for(&self, id: ServiceId) -> impl Iterator<Item = ServiceId> {
        let predecessors = self.graph.predecessors(id).iter().copied();
        let coming = predecessors.filter(move |on| self.look_at(*on, id) == Look::Coming);
        let rivals = self.graph.rivals(id).iter().copied();
        coming.chain(rivals.filter(move |rival| self.has_live(*rival)))
    }

    pub(crate) fn verdict(&self, id: ServiceId) -> Verdict {
        let id = id.service();
        let tally = self.get(id).tally;
        let hopeless = |on: &&ServiceId| self.look_at(**on, id) == Look::Hopeless;
        if tally.hopeless > 0
            && let Some(dependency) = self.graph.predecessors(id).iter().find(hopeless)
        {
            Verdict::Fail(FailReason::Dependency(*dependency))
        } else if let Some((rival, stuck)) = self.rival_of(id) {
            if stuck { Verdict::Fail(FailReason::Conflict(rival)) } else { Verdict::Wait }
        } else if tally.coming > 0 {
            Verdict::Wait
        } else {
            Verdict::Go
        }
    }

    /// Whether nothing has to be gone before this one may be stopped.
    fn may_stop(&self, id: ServiceId) -> bool {
        let overdue = self.shutdown.is_some_and(|shutdown| shutdown.overdue);
        self.get(id).tally.in_the_way == 0 || overdue
    }
}

/// An item that ended as it began.
pub(crate) fn done(service: ServiceId, outcome: Outcome) -> Item {
    Item { service, named: true, aim: Aim::None, outcome: Some(outcome) }
}

/// The ids without repetitions, in their order.
pub(crate) fn unique(ids: &[ServiceId]) -> impl Iterator<Item = ServiceId> + use<> {
    let mut seen = BTreeSet::new();
    let list: Vec<_> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
    list.into_iter()
}
