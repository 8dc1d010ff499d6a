//! Random orders of services, random times and whatever happens meanwhile: what a shutdown with a
//! time limit may do with the deadlines of stops, and what it must not.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use supervisor_engine::{
    ActionKind, Dependency, DependencyKind, Engine, Exit, Kind, Manner, Moment, Process, Report,
    Request, ServiceId, ServiceSpec, Signal, State, Status, Step, StopHow, StopStep, Transition,
    Until,
};

/// A system that is up, and a clock.
struct Run {
    engine: Engine,
    now: Moment,
    /// When the shutdown is over at the latest.
    until: Moment,
    /// Since when each service has been stopping, and its last deadline.
    stops: Vec<Option<(Moment, Moment)>>,
}

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// Nobody does anything until the next deadline, or until a part of the way to it is over.
    Time(u32),
    /// One of those that are stopping ends.
    Ends(usize),
    /// One dies that is perhaps not to stop yet.
    Dies(usize),
    /// The shutdown has only a part of its time left.
    Tightened(u32),
    /// One of those that are stopping asks for more time.
    Extends(usize),
}

/// Timeouts of the steps of one service, in milliseconds.
type Steps = Vec<Option<u64>>;

fn systems() -> impl Strategy<Value = (Vec<Steps>, Vec<(usize, usize)>)> {
    let step = prop_oneof![1 => Just(None), 9 => (1_u64..20_000).prop_map(Some)];
    let services = prop::collection::vec(prop::collection::vec(step, 1..4), 1..10);
    services.prop_flat_map(|services| {
        let count = services.len();
        (Just(services), prop::collection::vec((0..count, 0..count), 0..2 * count))
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (1_u32..=100).prop_map(Event::Time),
        3 => any::<usize>().prop_map(Event::Ends),
        1 => any::<usize>().prop_map(Event::Dies),
        1 => (10_u32..100).prop_map(Event::Tightened),
        1 => any::<usize>().prop_map(Event::Extends),
    ];
    prop::collection::vec(event, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_stop_has_its_part_of_the_time_whatever_happens(
        (services, edges) in systems(), within in 1_u64..60_000, events in events(),
    ) {
        let mut run = Run::up(&services, &edges);
        run.shut_down(Duration::from_millis(within))?;
        for event in events {
            run.happens(&event)?;
        }
        while run.pass(100)? {}
        prop_assert!(run.engine.is_down());
        prop_assert!(run.now <= run.until, "all are gone when the time is up");
    }

    #[test]
    fn deadlines_never_decrease_along_the_order_of_stops(
        (services, edges) in systems(), within in 1_u64..60_000,
    ) {
        let mut run = Run::up(&services, &edges);
        run.shut_down(Duration::from_millis(within))?;
        while run.pass(100)? {}
        for (id, _) in run.engine.services() {
            let end = run.stops[id.index()].expect("it was stopped").1;
            prop_assert!(end <= run.until);
            for later in run.engine.graph().predecessors(id) {
                let (begin, later) = run.stops[later.index()].expect("it was stopped");
                prop_assert!(end <= begin && begin < later);
            }
        }
    }
}

impl Run {
    /// Services with these steps. An edge means that the one with the higher number requires the
    /// other.
    fn up(services: &[Steps], edges: &[(usize, usize)]) -> Self {
        let mut specs: Vec<ServiceSpec> = services
            .iter()
            .map(|steps| {
                let mut spec = ServiceSpec::new("service", Kind::Notify);
                let steps = steps.iter().map(|timeout| StopStep {
                    how: StopHow::Signal(Signal::TERM),
                    timeout: timeout.map(Duration::from_millis),
                    wait: true,
                });
                spec.stop.steps = steps.collect();
                spec
            })
            .collect();
        for (one, other) in edges.iter().filter(|(one, other)| one != other) {
            let on = ServiceId(u32::try_from(*one.min(other)).expect("few"));
            let kind = DependencyKind::Requires;
            specs[*one.max(other)].dependencies.push(Dependency {
                kind,
                on,
                until: Some(Until::Ready),
            });
        }
        let now = Moment::new(Duration::from_secs(1_000));
        let engine = Engine::new(specs, 1).expect("the order has no cycle");
        let mut run = Self { engine, now, until: now, stops: vec![None; services.len()] };
        run.engine.request(Request::Boot, now);
        let mut actions = VecDeque::new();
        loop {
            actions.extend(std::iter::from_fn(|| run.engine.poll_action()));
            let Some(action) = actions.pop_front() else { break };
            if action.what == ActionKind::Spawn(0) {
                run.engine.report(action.invocation, Report::Spawned, now);
                actions.extend(std::iter::from_fn(|| run.engine.poll_action()));
                let ready = supervisor_engine::Notification { ready: true, ..Default::default() };
                run.engine.report(action.invocation, Report::Notified(ready), now);
            }
        }
        while run.engine.poll_transition().is_some() {}
        run
    }

    fn shut_down(&mut self, within: Duration) -> Result<(), TestCaseError> {
        self.until = self.now + within;
        let manner = Manner::Graceful;
        self.engine.request(Request::Shutdown { within: Some(within), manner }, self.now);
        self.look()
    }

    fn happens(&mut self, event: &Event) -> Result<(), TestCaseError> {
        let live = |run: &Self, status: Option<Status>| -> Vec<ServiceId> {
            let services = run.engine.services();
            let found = services.filter(|(_, service)| {
                let state = service.state();
                state.is_live() && status.is_none_or(|status| state.status() == status)
            });
            found.map(|(id, _)| id).collect()
        };
        let one_of =
            |ids: Vec<ServiceId>, choice: usize| ids.get(choice % ids.len().max(1)).copied();
        match event {
            Event::Time(percent) => self.pass(*percent).map(drop),
            Event::Ends(choice) => match one_of(live(self, Some(Status::Stopping)), *choice) {
                Some(id) => self.ends(id, Exit::Code(0)),
                None => Ok(()),
            },
            Event::Dies(choice) => match one_of(live(self, None), *choice) {
                Some(id) => self.ends(id, Exit::Code(1)),
                None => Ok(()),
            },
            Event::Tightened(percent) => self.shut_down((self.until - self.now) * *percent / 100),
            Event::Extends(choice) => match one_of(live(self, Some(Status::Stopping)), *choice) {
                Some(id) => {
                    let extend = Some(Duration::from_secs(100));
                    let message = supervisor_engine::Notification { extend, ..Default::default() };
                    self.report(id, Report::Notified(message))
                }
                None => Ok(()),
            },
        }
    }

    /// Goes a part of the way to the next deadline; `false` if there is none.
    fn pass(&mut self, percent: u32) -> Result<bool, TestCaseError> {
        let Some(wake) = self.engine.poll_timeout() else { return Ok(false) };
        prop_assert!(wake.at <= self.until, "nothing is due after the end: {wake:?}");
        self.now = self.now + (wake.at - self.now) * percent / 100;
        self.engine.handle_timeout(self.now);
        self.look()?;
        Ok(true)
    }

    fn ends(&mut self, id: ServiceId, exit: Exit) -> Result<(), TestCaseError> {
        self.report(id, Report::Exited { process: Process::Main, exit, remaining: false })
    }

    fn report(&mut self, id: ServiceId, report: Report) -> Result<(), TestCaseError> {
        let invocation = self.engine.service(id).state().invocation().expect("it is live");
        self.engine.report(invocation, report, self.now);
        self.look()
    }

    /// Whoever gets `KILL` is gone at once. Checks what has changed.
    fn look(&mut self) -> Result<(), TestCaseError> {
        loop {
            let transitions: Vec<Transition> =
                std::iter::from_fn(|| self.engine.poll_transition()).collect();
            for change in &transitions {
                let begins = change.from != Status::Stopping && change.to == Status::Stopping;
                if begins && self.now < self.until {
                    self.check_begin(change.service)?;
                }
            }
            self.check_deadlines()?;
            while self.engine.poll_action().is_some() {}
            let killed = self.engine.services().find_map(|(_, service)| match service.state() {
                State::Stopping(now) if now.step == Step::Kill => Some(now.invocation),
                State::Stopped(_)
                | State::Waiting
                | State::Starting(_)
                | State::Running(_)
                | State::Reloading(_)
                | State::Stopping(_)
                | State::Backoff(_)
                | State::Exited(_)
                | State::Failed(_) => None,
            });
            let Some(killed) = killed else { return Ok(()) };
            let exit = Exit::Signal { signal: Signal::KILL, core: false };
            let report = Report::Exited { process: Process::Main, exit, remaining: false };
            self.engine.report(killed, report, self.now);
        }
    }

    /// A stop that begins before the time is up has a part of it.
    fn check_begin(&mut self, id: ServiceId) -> Result<(), TestCaseError> {
        let State::Stopping(stopping) = self.engine.service(id).state() else { return Ok(()) };
        if stopping.step == Step::Kill {
            return Ok(());
        }
        let deadline = stopping.deadline.expect("it has one");
        prop_assert!(self.now < deadline && deadline <= self.until, "{stopping:?}");
        self.stops[id.index()] = Some((self.now, deadline));
        Ok(())
    }

    /// No deadline lies after the end of the time.
    fn check_deadlines(&mut self) -> Result<(), TestCaseError> {
        for (id, service) in self.engine.services() {
            let State::Stopping(stopping) = service.state() else { continue };
            if matches!(stopping.step, Step::Kill | Step::Stuck) {
                continue;
            }
            let deadline = stopping.deadline.expect("it has one");
            prop_assert!(deadline <= self.until, "{stopping:?}");
            if let Some((_, last)) = &mut self.stops[id.index()] {
                *last = deadline;
            }
        }
        Ok(())
    }
}
