//! A case: services, a clock that only the test moves, and everything that the engine asked for.
//!
//! Services are called by name and actions are compared as words, so that a test reads as the
//! story that it tells.

use std::time::Duration;

use supervisor_engine::{
    Action, ActionKind, ControlCommand, Dependency, DependencyKind, Engine, Exit, Invocation, Kind,
    Manner, Moment, Notification, OperationId, Outcome, Probe, Process, Report, Request, Scaling,
    ServiceId, ServiceSpec, Signal, SpawnError, State, Status, StopHow, StopStep, Transition,
    Until, Whom,
};

/// Services in some situation.
pub(crate) struct Case {
    pub(crate) engine: Engine,
    pub(crate) now: Moment,
    pub(crate) transitions: Vec<Transition>,
    done: Vec<String>,
    ended: Vec<OperationId>,
    latest: Vec<Option<Invocation>>,
    /// By id, also those that were removed.
    names: Vec<String>,
}

/// A spec under construction: dependencies by name.
pub(crate) struct Spec {
    spec: ServiceSpec,
    dependencies: Vec<(DependencyKind, &'static str, Option<Until>)>,
}

pub(crate) fn simple(name: &str) -> Spec {
    service(name, Kind::Simple)
}

pub(crate) fn notify(name: &str) -> Spec {
    service(name, Kind::Notify)
}

pub(crate) fn forking(name: &str) -> Spec {
    service(name, Kind::Forking)
}

pub(crate) fn oneshot(name: &str) -> Spec {
    service(name, Kind::Oneshot)
}

pub(crate) fn target(name: &str) -> Spec {
    service(name, Kind::Target)
}

/// Restart delays are exact unless a case wants them otherwise.
fn service(name: &str, kind: Kind) -> Spec {
    let mut spec = ServiceSpec::new(name, kind);
    spec.restart.jitter = 0.0;
    Spec { spec, dependencies: Vec::new() }
}

impl Spec {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut ServiceSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    pub(crate) fn stops_by(self, steps: impl IntoIterator<Item = StopStep>) -> Self {
        self.with(|spec| spec.stop.steps = steps.into_iter().collect())
    }

    pub(crate) fn requires(self, on: &'static str) -> Self {
        self.depends(DependencyKind::Requires, on)
    }

    pub(crate) fn wants(self, on: &'static str) -> Self {
        self.depends(DependencyKind::Wants, on)
    }

    pub(crate) fn binds_to(self, on: &'static str) -> Self {
        self.depends(DependencyKind::BindsTo, on)
    }

    pub(crate) fn part_of(self, on: &'static str) -> Self {
        self.depends(DependencyKind::PartOf, on)
    }

    pub(crate) fn after(self, on: &'static str) -> Self {
        self.depends(DependencyKind::After, on)
    }

    pub(crate) fn conflicts(self, on: &'static str) -> Self {
        self.depends(DependencyKind::Conflicts, on)
    }

    pub(crate) fn upholds(self, on: &'static str) -> Self {
        self.depends(DependencyKind::Upholds, on)
    }

    pub(crate) fn on_failure(self, on: &'static str) -> Self {
        self.depends(DependencyKind::OnFailure, on)
    }

    pub(crate) fn on_success(self, on: &'static str) -> Self {
        self.depends(DependencyKind::OnSuccess, on)
    }

    pub(crate) fn before(self, on: &'static str) -> Self {
        self.depends(DependencyKind::Before, on)
    }

    /// Takes the order out of the dependency that was named last.
    pub(crate) fn unordered(self) -> Self {
        self.until(None)
    }

    /// Lets the dependency that was named last wait for its process only.
    pub(crate) fn started(self) -> Self {
        self.until(Some(Until::Started))
    }

    fn until(mut self, until: Option<Until>) -> Self {
        self.dependencies.last_mut().expect("a dependency was named").2 = until;
        self
    }

    pub(crate) fn depends(mut self, kind: DependencyKind, on: &'static str) -> Self {
        self.dependencies.push((kind, on, Some(Until::Ready)));
        self
    }
}

/// A stop step that sends a signal.
pub(crate) fn signal(signal: Signal, timeout: u64) -> StopStep {
    StopStep { how: StopHow::Signal(signal), timeout: Some(secs(timeout)), wait: true }
}

/// A stop step that runs a command and waits for the service to be gone.
pub(crate) fn command(index: usize, timeout: u64) -> StopStep {
    StopStep { how: StopHow::Command(index), timeout: Some(secs(timeout)), wait: true }
}

/// A stop step that leaves the service alone.
pub(crate) fn sleep(timeout: u64) -> StopStep {
    StopStep { how: StopHow::Sleep, timeout: Some(secs(timeout)), wait: true }
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Case {
    pub(crate) fn of(specs: impl IntoIterator<Item = Spec>) -> Self {
        let specs: Vec<Spec> = specs.into_iter().collect();
        let names: Vec<String> = specs.iter().map(|spec| spec.spec.name.clone()).collect();
        let services = specs.into_iter().map(|spec| resolve(spec, &names));
        let engine = Engine::new(services.collect(), 1).expect("the case has no cycle");
        Self {
            latest: vec![None; names.len()],
            engine,
            now: Moment::new(secs(1_000)),
            transitions: Vec::new(),
            done: Vec::new(),
            ended: Vec::new(),
            names,
        }
    }

    /// As `of`, and all are started and up; what that took is forgotten.
    pub(crate) fn up(specs: impl IntoIterator<Item = Spec>) -> Self {
        let mut case = Self::of(specs);
        case.boot();
        for _ in 0..case.latest.len() {
            for id in (0..).map(ServiceId).take(case.latest.len()) {
                let name = case.engine.service(id).spec().name.clone();
                if case.status(&name) == Status::Starting {
                    case.comes_up(&name);
                }
            }
        }
        case.done.clear();
        case.transitions.clear();
        case
    }

    // What people ask for.

    pub(crate) fn request(&mut self, request: Request) -> OperationId {
        let operation = self.engine.request(request, self.now);
        self.take_all();
        operation
    }

    pub(crate) fn boot(&mut self) -> OperationId {
        self.request(Request::Boot)
    }

    pub(crate) fn start(&mut self, names: &str) -> OperationId {
        self.request(Request::Start(self.ids(names)))
    }

    pub(crate) fn stop(&mut self, names: &str) -> OperationId {
        let services = self.ids(names);
        self.request(Request::Stop { services, manner: Manner::Graceful, no_dependents: false })
    }

    pub(crate) fn force_stop(&mut self, names: &str) -> OperationId {
        let services = self.ids(names);
        self.request(Request::Stop { services, manner: Manner::Force, no_dependents: false })
    }

    pub(crate) fn stop_alone(&mut self, names: &str) -> OperationId {
        let services = self.ids(names);
        self.request(Request::Stop { services, manner: Manner::Graceful, no_dependents: true })
    }

    pub(crate) fn restart(&mut self, names: &str) -> OperationId {
        let services = self.ids(names);
        self.request(Request::Restart { services, manner: Manner::Graceful, no_dependents: false })
    }

    pub(crate) fn restart_alone(&mut self, names: &str) -> OperationId {
        let services = self.ids(names);
        self.request(Request::Restart { services, manner: Manner::Graceful, no_dependents: true })
    }

    pub(crate) fn roll(&mut self, names: &str) -> OperationId {
        self.request(Request::Roll(self.ids(names)))
    }

    /// Gives the services with these names these specs, or adds them.
    pub(crate) fn revise(&mut self, specs: impl IntoIterator<Item = Spec>) {
        let specs: Vec<Spec> = specs.into_iter().collect();
        for spec in &specs {
            if !self.names.contains(&spec.spec.name) {
                self.names.push(spec.spec.name.clone());
                self.latest.push(None);
            }
        }
        let specs =
            specs.into_iter().map(|spec| (self.id(&spec.spec.name), resolve(spec, &self.names)));
        self.engine.revise(specs.collect()).expect("the case has no cycle");
    }

    pub(crate) fn scale(&mut self, what: Scaling, names: &str) -> OperationId {
        let services = self.ids(names).into_iter().map(|id| (id, what));
        self.request(Request::Scale(services.collect()))
    }

    pub(crate) fn reload(&mut self, names: &str) -> OperationId {
        self.request(Request::Reload(self.ids(names)))
    }

    pub(crate) fn reset(&mut self, names: &str) -> OperationId {
        self.request(Request::Reset(self.ids(names)))
    }

    pub(crate) fn shut_down(&mut self, within: Option<u64>) -> OperationId {
        self.request(Request::Shutdown { within: within.map(secs), manner: Manner::Graceful })
    }

    // What the world reports.

    pub(crate) fn report(&mut self, name: &str, report: Report) {
        let invocation = self.latest[self.id(name).index()].expect("it was spawned");
        self.report_of(invocation, report);
    }

    pub(crate) fn report_of(&mut self, invocation: Invocation, report: Report) {
        self.engine.report(invocation, report, self.now);
        self.take_all();
    }

    pub(crate) fn spawned(&mut self, name: &str) {
        self.report(name, Report::Spawned);
    }

    pub(crate) fn spawn_fails(&mut self, name: &str) {
        self.report(name, Report::SpawnFailed(error("exec")));
    }

    /// All that it takes until it is up.
    pub(crate) fn comes_up(&mut self, name: &str) {
        self.spawned(name);
        let spec = self.engine.service(self.id(name)).spec();
        match spec.kind {
            Kind::Notify => self.says(name, "READY"),
            Kind::Oneshot => self.exits(name, 0),
            Kind::Forking => {
                self.exits_leaving_others(name, 0);
                self.report(name, Report::MainFound);
            }
            Kind::Simple if spec.probed => self.probe_succeeds(name),
            Kind::Simple | Kind::Target => {}
        }
    }

    /// The readiness probe.
    pub(crate) fn probe_succeeds(&mut self, name: &str) {
        self.report(name, Report::ProbeSucceeded(Probe::Readiness));
    }

    /// The main process exits, and nothing is left.
    pub(crate) fn exits(&mut self, name: &str, code: u8) {
        self.main_ends(name, Exit::Code(code), false);
    }

    pub(crate) fn exits_leaving_others(&mut self, name: &str, code: u8) {
        self.main_ends(name, Exit::Code(code), true);
    }

    pub(crate) fn dies(&mut self, name: &str, signal: Signal) {
        self.main_ends(name, Exit::Signal { signal, core: false }, false);
    }

    pub(crate) fn main_ends(&mut self, name: &str, exit: Exit, remaining: bool) {
        self.report(name, Report::Exited { process: Process::Main, exit, remaining });
    }

    pub(crate) fn command_exits(&mut self, name: &str, code: u8) {
        self.command_ends(name, Exit::Code(code), false);
    }

    pub(crate) fn command_exits_leaving_others(&mut self, name: &str, code: u8) {
        self.command_ends(name, Exit::Code(code), true);
    }

    pub(crate) fn command_is_killed(&mut self, name: &str) {
        self.command_ends(name, Exit::Signal { signal: Signal::KILL, core: false }, false);
    }

    pub(crate) fn command_dies(&mut self, name: &str, signal: Signal) {
        self.command_ends(name, Exit::Signal { signal, core: false }, false);
    }

    fn command_ends(&mut self, name: &str, exit: Exit, remaining: bool) {
        self.report(name, Report::Exited { process: Process::Control, exit, remaining });
    }

    pub(crate) fn command_cannot_start(&mut self, name: &str) {
        self.report(name, Report::ControlFailed(error("exec")));
    }

    pub(crate) fn others_are_gone(&mut self, name: &str) {
        self.report(name, Report::Emptied);
    }

    /// A notify message: `READY`, `RELOADING`, `STOPPING`.
    pub(crate) fn says(&mut self, name: &str, word: &str) {
        self.notifies(name, |message| match word {
            "READY" => message.ready = true,
            "RELOADING" => message.reloading = true,
            "STOPPING" => message.stopping = true,
            _ => panic!("no such message: {word}"),
        });
    }

    pub(crate) fn notifies(&mut self, name: &str, fill: impl FnOnce(&mut Notification)) {
        let mut message = Notification::default();
        fill(&mut message);
        self.report(name, Report::Notified(message));
    }

    /// Time passes; what is due on the way is done when it is due.
    pub(crate) fn after(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(wake) = self.engine.poll_timeout().filter(|wake| wake.at <= end) {
            self.now = self.now.max(wake.at);
            self.engine.handle_timeout(self.now);
            self.take_all();
        }
        self.now = end;
    }

    // What is expected.

    /// Compares all actions since the last comparison: `db spawn`, `db TERM all`, `db stop-command
    /// 0`, `db release`. What is in the place of its companion is `db'`.
    #[track_caller]
    pub(crate) fn does<const N: usize>(&mut self, expected: [&str; N]) {
        assert_eq!(self.actions(), expected);
    }

    /// All actions since the last comparison.
    pub(crate) fn actions(&mut self) -> Vec<String> {
        std::mem::take(&mut self.done)
    }

    pub(crate) fn status(&self, name: &str) -> Status {
        self.state(name).status()
    }

    pub(crate) fn state(&self, name: &str) -> &State {
        self.engine.service(self.id(name)).state()
    }

    #[track_caller]
    pub(crate) fn is(&self, name: &str, status: Status) {
        assert_eq!(self.status(name), status, "{name}");
    }

    /// What came of one service of an operation; `None` while it runs.
    pub(crate) fn outcome(&self, operation: OperationId, name: &str) -> Option<Outcome> {
        let operation = self.engine.operation(operation).expect("it is known");
        let item = operation.items.iter().find(|item| item.service == self.id(name));
        item.expect("it is part of the operation").outcome.clone()
    }

    #[track_caller]
    pub(crate) fn came_to(&self, operation: OperationId, name: &str, outcome: &Outcome) {
        assert_eq!(self.outcome(operation, name).as_ref(), Some(outcome), "{name}");
    }

    pub(crate) fn has_ended(&self, operation: OperationId) -> bool {
        self.ended.contains(&operation)
    }

    pub(crate) fn id(&self, name: &str) -> ServiceId {
        place(name, &self.names)
    }

    pub(crate) fn ids(&self, names: &str) -> Vec<ServiceId> {
        names.split_whitespace().map(|name| self.id(name)).collect()
    }

    pub(crate) fn invocation(&self, name: &str) -> Invocation {
        self.latest[self.id(name).index()].expect("it was spawned")
    }

    fn take_all(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            let latest = &mut self.latest[action.service.service().index()];
            *latest = (*latest).max(Some(action.invocation));
            let word = self.word(action);
            self.done.push(word);
        }
        self.transitions.extend(std::iter::from_fn(|| self.engine.poll_transition()));
        self.ended.extend(std::iter::from_fn(|| self.engine.poll_ended()));
    }

    fn word(&self, action: Action) -> String {
        let name = &self.engine.service(action.service).spec().name;
        let mark = if action.service.is_companion() { "'" } else { "" };
        let name = format!("{name}{mark}");
        match action.what {
            ActionKind::Spawn(0) => format!("{name} spawn"),
            ActionKind::Spawn(index) => format!("{name} spawn {index}"),
            ActionKind::Run(ControlCommand::Stop(index)) => format!("{name} stop-command {index}"),
            ActionKind::Run(ControlCommand::Reload) => format!("{name} reload-command"),
            ActionKind::Run(
                command @ (ControlCommand::Condition(_)
                | ControlCommand::PreStart(_)
                | ControlCommand::PostStart(_)
                | ControlCommand::PostStop(_)),
            ) => format!("{name} {command}"),
            ActionKind::Signal { signal, whom: Whom::Main } => format!("{name} {signal} main"),
            ActionKind::Signal { signal, whom: Whom::Control } => {
                format!("{name} {signal} command")
            }
            ActionKind::Signal { signal, whom: Whom::All } => format!("{name} {signal} all"),
            ActionKind::FindMain => format!("{name} find-main"),
            ActionKind::StartProbe(Probe::Readiness) => format!("{name} start-probe"),
            ActionKind::StopProbe(Probe::Readiness) => format!("{name} stop-probe"),
            ActionKind::StartProbe(Probe::Liveness) => format!("{name} start-liveness-probe"),
            ActionKind::StopProbe(Probe::Liveness) => format!("{name} stop-liveness-probe"),
            ActionKind::Release => format!("{name} release"),
        }
    }
}

fn resolve(Spec { mut spec, dependencies }: Spec, names: &[String]) -> ServiceSpec {
    let depends = |(kind, on, until)| Dependency { kind, on: place(on, names), until };
    spec.dependencies = dependencies.into_iter().map(depends).collect();
    spec
}

fn place(name: &str, names: &[String]) -> ServiceId {
    let place = names.iter().position(|known| known == name).expect("it is in the case");
    ServiceId(u32::try_from(place).expect("cases are small"))
}

pub(crate) fn error(step: &'static str) -> SpawnError {
    SpawnError { step, errno: 2, message: format!("{step}: No such file or directory") }
}
