//! All short histories of small systems: every situation that a sequence of inputs leads to, with
//! all checks after every input.
//!
//! Situations that differ in nothing that matters for what comes next count as one. From each, two
//! ends are tried as well: a shutdown in which all processes do as they are told, and one in which
//! none does. Both must come to their end.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use supervisor_engine::{
    Exit, Invocation, Kind, Manner, Moment, Notification, Probe, Process, ReloadHow, ReloadSpec,
    Report, Request, Scaling, ServiceId, ServiceSpec, Signal, State, Status, WatchdogMessage,
};

use diagram::Diagram;
use ledger::{Execution, Main, Search};
use observed::{Effects, Observed};
use situation::{fingerprint, slots};

#[path = "explore/diagram.rs"]
mod diagram;
#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/observed.rs"]
mod observed;
#[path = "explore/situation.rs"]
mod situation;
#[path = "explore/systems.rs"]
mod systems;

/// One thing that can happen.
#[derive(Clone, Debug)]
enum Input {
    Request(Request),
    Report(ServiceId, Report),
    /// News of an invocation that is over.
    Late(Invocation),
    /// A service is removed, or comes back.
    Scale(ServiceId, Scaling),
    /// Time goes on to the next deadline.
    Time,
}

/// A situation and how it came about.
#[derive(Clone)]
struct Node {
    world: Observed,
    depth: usize,
    /// The place of the situation before, and what happened then.
    before: Option<(usize, Input)>,
}

/// What an exploration has come to.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    situations: usize,
    transitions: usize,
}

#[test]
fn one_service_of_each_kind_keeps_all_rules_in_all_situations() {
    let mut diagram = Diagram::default();
    let mut total = Count::default();
    for (name, spec) in systems::single() {
        let count = explore(&name, vec![spec], usize::MAX, &mut diagram);
        total.situations += count.situations;
        total.transitions += count.transitions;
    }
    report("one service", total);
    diagram.check();
}

#[test]
fn two_services_with_each_dependency_keep_all_rules_in_all_short_histories() {
    let mut total = Count::default();
    for (name, specs) in systems::pairs() {
        let count = explore(&name, specs, 6, &mut Diagram::default());
        total.situations += count.situations;
        total.transitions += count.transitions;
    }
    report("two services", total);
}

#[test]
fn one_service_with_two_processes_keeps_all_rules_in_all_short_histories() {
    let mut total = Count::default();
    for (name, spec) in systems::overlapping() {
        let count = explore(&name, vec![spec], 8, &mut Diagram::default());
        total.situations += count.situations;
        total.transitions += count.transitions;
    }
    report("two processes", total);
}

#[test]
fn instances_that_come_and_go_and_are_rolled_keep_all_rules_in_all_short_histories() {
    let mut total = Count::default();
    for (name, specs) in systems::instances() {
        let count = explore(&name, specs, 5, &mut Diagram::default());
        total.situations += count.situations;
        total.transitions += count.transitions;
    }
    report("instances", total);
}

#[test]
fn three_services_keep_all_rules_in_all_short_histories() {
    let mut total = Count::default();
    for (name, specs) in systems::triples() {
        let count = explore(&name, specs, 5, &mut Diagram::default());
        total.situations += count.situations;
        total.transitions += count.transitions;
    }
    report("three services", total);
}

#[expect(clippy::print_stdout, reason = "the extent of the search is worth knowing")]
fn report(what: &str, count: Count) {
    println!("{what}: {} situations, {} transitions", count.situations, count.transitions);
}

/// Breadth first, so that the history of a broken rule is a shortest one.
fn explore(name: &str, specs: Vec<ServiceSpec>, depth: usize, diagram: &mut Diagram) -> Count {
    let start = Observed::new(specs, 1, Moment::new(Duration::from_secs(1_000)));
    let mut seen = BTreeSet::from([fingerprint(&start)]);
    let mut nodes = vec![Node { world: start, depth: 0, before: None }];
    let mut open = VecDeque::from([0]);
    let mut transitions = 0;
    while let Some(place) = open.pop_front() {
        if nodes[place].depth == depth {
            continue;
        }
        for input in inputs(&nodes[place].world) {
            let mut world = nodes[place].world.clone();
            transitions += 1;
            let effects = apply(&mut world, &input);
            let before = Some((place, input));
            match effects {
                Ok(effects) => diagram.draw(&effects.changes),
                Err(rule) => panic!("{name}: {rule}\n{}", history(&nodes, before.as_ref())),
            }
            if !seen.insert(fingerprint(&world)) {
                continue;
            }
            for obedient in [true, false] {
                if let Err(rule) = comes_to_an_end(world.clone(), obedient) {
                    let history = history(&nodes, before.as_ref());
                    panic!("{name}: {rule} (obedient: {obedient})\n{history}");
                }
            }
            open.push_back(nodes.len());
            nodes.push(Node { world, depth: nodes[place].depth + 1, before });
        }
    }
    Count { situations: seen.len(), transitions }
}

fn apply(world: &mut Observed, input: &Input) -> Result<Effects, String> {
    match input {
        Input::Request(request) => world.request(request.clone()),
        Input::Report(id, report) => world.report(*id, report.clone()),
        Input::Late(old) => {
            world.late_report(*old, Report::Emptied)?;
            world.late_report(*old, Report::Spawned)?;
            Ok(Effects::default())
        }
        Input::Scale(id, what) => {
            if *what == Scaling::Start {
                world.revise(vec![(*id, world.engine.service(*id).spec().clone())])?;
            }
            world.request(Request::Scale(vec![(*id, *what)]))
        }
        Input::Time => {
            let next = world.engine.poll_timeout().map_or(world.now, |wake| wake.at);
            world.time(next)
        }
    }
}

/// Everything that can happen in a situation.
fn inputs(world: &Observed) -> Vec<Input> {
    let mut inputs = Vec::new();
    let ids: Vec<ServiceId> = world.engine.services().map(|(id, _)| id).collect();
    for id in &ids {
        let spec = world.engine.service(*id).spec();
        inputs.extend(requests(*id, spec, ids.len()).into_iter().map(Input::Request));
    }
    for unit in world.ledger.units() {
        if let Some(execution) = world.ledger.execution(unit) {
            let mut news = news(execution, world.engine.service(unit).spec(), world.now);
            // What has ended has no main process that could be found.
            let place = world.engine.live(execution.invocation).unwrap_or(unit);
            let ended = world.engine.service(place).state().status() == Status::Exited;
            news.retain(|report| !ended || *report != Report::MainFound);
            inputs.extend(news.into_iter().map(|report| Input::Report(unit, report)));
        }
    }
    inputs.extend(for_instances(world));
    let within = Some(Duration::from_secs(3));
    inputs.push(Input::Request(Request::Shutdown { within: None, manner: Manner::Graceful }));
    inputs.push(Input::Request(Request::Shutdown { within, manner: Manner::Graceful }));
    inputs.push(Input::Request(Request::Shutdown { within: None, manner: Manner::Force }));
    // The last one that was released, or one that never was.
    let units = world.ledger.units();
    let live = units.into_iter().filter_map(|unit| world.ledger.execution(unit));
    let old = live.map(|execution| execution.invocation.0).min().unwrap_or(1) - 1;
    inputs.push(Input::Late(Invocation(old)));
    if world.engine.poll_timeout().is_some() {
        inputs.push(Input::Time);
    }
    inputs
}

/// What happens to instances alone: they are restarted one by one, removed and brought back.
fn for_instances(world: &Observed) -> Vec<Input> {
    let id = |place: usize| ServiceId(u32::try_from(place).expect("systems are small"));
    let all: Vec<ServiceId> = (0..world.ledger.accounts.len()).map(id).collect();
    let is_instance = |id: &ServiceId| world.engine.service(*id).spec().name == systems::INSTANCE;
    let instances: Vec<ServiceId> = all.into_iter().filter(is_instance).collect();
    let Some(last) = instances.last().copied() else { return Vec::new() };
    let leaving = world.engine.service(last).is_leaving();
    let what = if leaving { Scaling::Start } else { Scaling::Remove };
    vec![Input::Request(Request::Roll(instances)), Input::Scale(last, what)]
}

fn requests(id: ServiceId, spec: &ServiceSpec, of: usize) -> Vec<Request> {
    let services = vec![id];
    let mut requests = vec![
        Request::Start(services.clone()),
        Request::Stop {
            services: services.clone(),
            manner: Manner::Graceful,
            no_dependents: false,
        },
        Request::Stop { services: services.clone(), manner: Manner::Force, no_dependents: false },
        restart(&services, Manner::Graceful, false),
    ];
    for mode in spec.stop.modes.keys() {
        let manner = Manner::Mode(*mode);
        requests.push(restart(&services, manner, false));
        requests.push(restart(&services, Manner::Force, false));
        let services = services.clone();
        requests.push(Request::Stop { services, manner, no_dependents: false });
        requests.push(Request::Shutdown { within: None, manner });
    }
    if spec.reload.is_some() {
        requests.push(Request::Reload(services.clone()));
    }
    if of == 1 {
        requests.push(Request::Reset(services));
    } else {
        requests.push(restart(&services, Manner::Graceful, true));
        requests.push(Request::Stop { services, manner: Manner::Graceful, no_dependents: true });
    }
    requests
}

fn restart(services: &[ServiceId], manner: Manner, no_dependents: bool) -> Request {
    Request::Restart { services: services.to_vec(), manner, no_dependents }
}

/// What the processes of an invocation can give news of.
fn news(execution: &Execution, spec: &ServiceSpec, now: Moment) -> Vec<Report> {
    let error =
        || supervisor_engine::SpawnError { step: "exec", errno: 2, message: "exec".to_owned() };
    let said = |fill: fn(&mut Notification)| {
        let mut message = Notification::default();
        fill(&mut message);
        Report::Notified(message)
    };
    let mut news = Vec::new();
    match execution.main {
        Main::Ordered => news.extend([Report::Spawned, Report::SpawnFailed(error())]),
        Main::Alive => {
            for (code, remaining) in [(0, false), (0, true), (1, false), (1, true)] {
                news.push(ended(Process::Main, code, remaining));
            }
            if spec.kind == Kind::Notify {
                news.push(said(|message| message.ready = true));
                news.push(said(|message| message.reloading = true));
                news.push(said(|message| message.stopping = true));
            }
            if let Some(ReloadSpec { how: ReloadHow::Handshake(_), .. }) = spec.reload {
                for (began, ready) in [(Moment::default(), false), (now, false), (now, true)] {
                    let reload_began = Some(began);
                    let answer =
                        Notification { reloading: true, reload_began, ready, ..said_nothing() };
                    news.push(Report::Notified(answer));
                }
            }
            if execution.search == Search::Found {
                news.push(Report::MainUnknown);
            }
            if spec.watchdog.is_some() {
                let alive = Some(WatchdogMessage::Alive);
                news.push(Report::Notified(Notification { watchdog: alive, ..said_nothing() }));
                news.push(said(|message| message.extend = Some(Duration::from_secs(7))));
                news.push(said(|message| message.restart_reset = true));
            }
        }
        Main::Gone { others: true } => {
            news.push(Report::Emptied);
            if execution.search == Search::Open {
                news.push(Report::MainUnknown);
            }
            if execution.search == Search::Open || execution.lives_on(spec) {
                news.push(Report::MainFound);
            }
        }
        Main::Absent { others: true } => news.push(Report::Emptied),
        Main::Gone { others: false } | Main::Absent { others: false } => {}
    }
    if execution.control {
        for (code, remaining) in [(0, false), (0, true), (1, false), (1, true)] {
            news.push(ended(Process::Control, code, remaining));
        }
        news.push(Report::ControlFailed(error()));
        if !spec.commands.condition.is_empty() {
            let exit = Exit::Signal { signal: Signal::ABRT, core: false };
            news.push(Report::Exited { process: Process::Control, exit, remaining: false });
        }
    }
    match execution.probe {
        Some(Probe::Readiness) => news.push(Report::ProbeSucceeded(Probe::Readiness)),
        Some(Probe::Liveness) => {
            news.extend([Report::ProbeSucceeded(Probe::Liveness), Report::ProbeFailed]);
        }
        None => {}
    }
    news
}

fn ended(process: Process, code: u8, remaining: bool) -> Report {
    Report::Exited { process, exit: Exit::Code(code), remaining }
}

fn said_nothing() -> Notification {
    Notification::default()
}

/// Shuts down and lets the world do as it is told, or nothing but what the kernel does by itself.
fn comes_to_an_end(mut world: Observed, obedient: bool) -> Result<(), String> {
    world.request(Request::Shutdown { within: None, manner: Manner::Graceful })?;
    for _ in 0..200 {
        let units = world.ledger.units().into_iter();
        let answer = { units }.find_map(|unit| Some((unit, answer(&world, unit, obedient)?)));
        match (answer, world.engine.poll_timeout()) {
            (Some((id, report)), _) => _ = world.report(id, report)?,
            (None, Some(wake)) => _ = world.time(wake.at)?,
            (None, None) => break,
        }
    }
    let left = slots(&world).into_iter().any(|id| {
        let state = world.engine.service(id).state();
        state.is_live() && (obedient || !state.is_stuck())
    });
    let ended = world.engine.is_down() && world.pending.is_empty();
    let armed = world.engine.poll_timeout();
    if !left && ended && armed.is_none() {
        Ok(())
    } else {
        Err(format!("every shutdown comes to its end: {:?} {armed:?}", world.engine))
    }
}

fn answer(world: &Observed, id: ServiceId, obedient: bool) -> Option<Report> {
    let execution = world.ledger.execution(id)?;
    let slot = world.engine.live(execution.invocation)?;
    let stopping = world.engine.service(slot).state().status() == Status::Stopping;
    match execution.main {
        Main::Ordered => Some(Report::Spawned),
        Main::Alive if stopping && obedient => Some(ended(Process::Main, 0, false)),
        Main::Gone { others: true } | Main::Absent { others: true } if stopping && obedient => {
            Some(Report::Emptied)
        }
        Main::Absent { .. } | Main::Alive | Main::Gone { .. } if execution.control && obedient => {
            Some(ended(Process::Control, 0, false))
        }
        Main::Absent { .. } | Main::Alive | Main::Gone { .. } => None,
    }
}

/// How a situation came about, one input a line.
fn history<'a>(nodes: &'a [Node], mut before: Option<&'a (usize, Input)>) -> String {
    let mut lines = Vec::new();
    let mut last: Vec<State> = Vec::new();
    while let Some((place, input)) = before {
        if last.is_empty() {
            let states = nodes[*place].world.engine.services();
            last = states.map(|(_, service)| service.state().clone()).collect();
        }
        lines.push(format!("  {input:?}"));
        before = nodes[*place].before.as_ref();
    }
    lines.reverse();
    format!("after\n{}\nfrom {last:#?}", lines.join("\n"))
}
