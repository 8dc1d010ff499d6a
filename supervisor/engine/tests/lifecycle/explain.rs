//! Plans say what then happens; reasons say what a service waits for.

use supervisor_engine::{
    Ending, Exit, FailReason, Main, Manner, Plan, PlanKind, ReloadPhase, RestartPolicy, ServiceId,
    Signal, StartPhase, Status, Step, StopCause, StopHow, Why,
};

use crate::case::{Case, Spec, command, notify, oneshot, secs, signal, simple, target};

/// A diamond with a part and a wish: `app` needs `left` and `right`, both need `db`.
fn diamond() -> Vec<Spec> {
    vec![
        simple("db"),
        simple("left").requires("db"),
        notify("right").requires("db").wants("cache"),
        target("app").requires("left").requires("right"),
        simple("cache"),
        simple("helper").part_of("left"),
        simple("other").after("app"),
    ]
}

#[test]
fn a_start_happens_as_planned() {
    for name in ["db", "left", "right", "app", "cache", "helper", "other"] {
        let mut case = Case::of(diamond());
        let plan = case.engine.plan_start(&case.ids(name));
        case.start(name);
        happens_as_planned(&mut case, &plan);
    }
}

#[test]
fn a_stop_happens_as_planned() {
    for alone in [false, true] {
        for name in ["db", "left", "right", "app", "cache", "helper", "other"] {
            let mut case = Case::up(diamond());
            let plan = case.engine.plan_stop(&case.ids(name), Manner::Graceful, alone);
            if alone {
                case.stop_alone(name)
            } else {
                case.stop(name)
            };
            happens_as_planned(&mut case, &plan);
        }
    }
}

#[test]
fn a_restart_happens_as_planned() {
    for alone in [false, true] {
        for name in ["db", "left", "right", "app", "cache", "helper", "other"] {
            for stopped in ["", "cache", "db"] {
                let mut case = Case::up(diamond());
                case.stop_alone(stopped);
                if !stopped.is_empty() {
                    case.dies(stopped, Signal::TERM);
                }
                case.transitions.clear();
                let plan = case.engine.plan_restart(&case.ids(name), Manner::Graceful, alone);
                if alone {
                    case.restart_alone(name)
                } else {
                    case.restart(name)
                };
                happens_as_planned(&mut case, &plan);
            }
        }
    }
}

/// Lets every process do as it is told, the one with the longest name first, and compares the
/// order of what happens with the waves.
fn happens_as_planned(case: &mut Case, plan: &Plan) {
    let names: Vec<String> =
        case.engine.services().map(|(_, service)| service.spec().name.clone()).collect();
    let mut moves = true;
    while moves {
        moves = false;
        for name in names.iter().rev() {
            match case.status(name) {
                Status::Starting => case.comes_up(name),
                Status::Stopping => case.dies(name, Signal::TERM),
                Status::Stopped
                | Status::Waiting
                | Status::Running
                | Status::Reloading
                | Status::Backoff
                | Status::Exited
                | Status::Failed => continue,
            }
            moves = true;
        }
    }
    let is_target = |id| case.engine.service(id).spec().kind == supervisor_engine::Kind::Target;
    let happened: Vec<_> = case
        .transitions
        .iter()
        .filter(|change| change.from != change.to)
        .filter_map(|change| match change.to {
            Status::Starting => Some((change.service, PlanKind::Start)),
            Status::Stopping => Some((change.service, PlanKind::Stop)),
            Status::Stopped
            | Status::Waiting
            | Status::Running
            | Status::Reloading
            | Status::Backoff
            | Status::Exited
            | Status::Failed => None,
        })
        .collect();
    let waves = plan.waves.iter().map(|wave| wave.iter().filter(|step| !is_target(step.service)));
    let wave_of: Vec<(usize, _)> = waves
        .enumerate()
        .flat_map(|(number, wave)| wave.map(move |step| (number, (step.service, step.what))))
        .collect();
    assert_eq!(happened.len(), wave_of.len(), "{plan:#?} {happened:?}");
    for (_, step) in &wave_of {
        assert!(happened.contains(step), "{step:?} was planned: {happened:?}");
    }
    let wave = |wanted| wave_of.iter().find(|(_, step)| step == wanted).expect("planned").0;
    for (place, step) in happened.iter().enumerate() {
        for later in &happened[place + 1..] {
            assert!(!waits(case, *step, *later), "{step:?} came before {later:?}");
            assert!(!waits(case, *later, *step) || wave(later) > wave(step), "{plan:#?}");
        }
    }
}

/// Whether the order wants that the first comes after the second.
fn waits(case: &Case, first: (ServiceId, PlanKind), second: (ServiceId, PlanKind)) -> bool {
    let graph = case.engine.graph();
    let before = match first.1 {
        PlanKind::Start => graph.predecessors(first.0),
        PlanKind::Stop => graph.successors(first.0),
    };
    first.1 == second.1 && before.contains(&second.0)
}

#[test]
fn a_plan_tells_waves_reasons_and_the_longest_time() {
    let case = Case::up(diamond());
    let plan = case.engine.plan_stop(&case.ids("db"), Manner::Graceful, false);
    let told: Vec<Vec<_>> = plan
        .waves
        .iter()
        .map(|wave| wave.iter().map(|step| (step.service, step.because_of)).collect())
        .collect();
    let [db, left, right, app, helper] =
        ["db", "left", "right", "app", "helper"].map(|name| case.id(name));
    assert_eq!(told[0][0].0, app);
    assert_eq!(told[0][1], (helper, Some(left)));
    assert_eq!(told[1], [(left, Some(db)), (right, Some(db))]);
    assert_eq!(told[2], [(db, None)]);
    assert_eq!(plan.worst, Some(secs(20)), "left or right, then db; the target takes no time");
    let critical = &plan.critical;
    assert_eq!(critical.worst, plan.worst);
    assert_eq!(critical.links, [(right, Some(secs(10))), (db, Some(secs(10)))]);
    let forced = case.engine.plan_stop(&case.ids("db"), Manner::Force, false);
    assert_eq!((forced.worst, forced.critical.links), (Some(secs(0)), vec![]));
}

#[test]
fn the_longest_time_of_a_stop_depends_on_what_is_there() {
    let steps = [command(0, 30), signal(Signal::TERM, 10)];
    let worst = |case: &Case, name: &str| {
        case.engine.plan_stop(&case.ids(name), Manner::Graceful, false).worst
    };
    let mut case = Case::up([
        simple("web").stops_by(steps),
        oneshot("mount").stops_by(steps),
        simple("endless").with(|spec| spec.stop.steps[0].timeout = None),
        notify("slow").stops_by(steps),
    ]);
    assert_eq!(worst(&case, "web"), Some(secs(40)));
    assert_eq!(worst(&case, "mount"), Some(secs(30)));
    assert_eq!(worst(&case, "endless"), None);
    case.exits("slow", 1);
    assert_eq!(worst(&case, "slow"), Some(secs(0)), "it waits to be started again");
    case.after(secs(1));
    case.spawned("slow");
    assert_eq!(worst(&case, "slow"), Some(secs(10)), "it is not up yet");
}

#[test]
fn the_longest_shutdown_is_that_of_all_that_is_started_with_the_daemon() {
    let disabled = simple("later").requires("web").with(|spec| spec.enabled = false);
    let oneshot = oneshot("mount").stops_by([command(0, 5), signal(Signal::TERM, 50)]);
    let endless = |name| simple(name).with(|spec| spec.stop.steps[0].timeout = None);
    let web = simple("web").requires("middle").with(|spec| {
        spec.stop.final_signal = Some(Signal::QUIT);
    });
    let case = Case::of([oneshot, target("middle").requires("mount"), web, disabled]);
    let chain = case.engine.longest_shutdown();
    let [mount, web] = ["mount", "web"].map(|name| case.id(name));
    assert_eq!(chain.links, [(web, Some(secs(20))), (mount, Some(secs(5)))]);
    assert_eq!(chain.worst, Some(secs(25)));
    let case = Case::of([simple("quick"), endless("endless")]);
    let chain = case.engine.longest_shutdown();
    assert_eq!((chain.links, chain.worst), (vec![(case.id("endless"), None)], None));
}

#[test]
fn the_longest_time_of_a_start_is_that_of_the_heaviest_chain() {
    let case = Case::of(diamond());
    assert_eq!(case.engine.plan_start(&case.ids("left")).worst, Some(secs(0)));
    assert_eq!(case.engine.plan_start(&case.ids("app")).worst, Some(secs(90)));
    let case = Case::of([oneshot("init"), notify("web").requires("init")]);
    assert_eq!(case.engine.plan_start(&case.ids("web")).worst, None);
}

#[test]
fn every_state_has_its_reason() {
    let db = notify("db").with(|spec| spec.restart.policy = RestartPolicy::No);
    let mut case = Case::of([db, simple("web").requires("db")]);
    let (db, web) = (case.id("db"), case.id("web"));
    assert_eq!(case.engine.why(db), Why::Down(StopCause::NeverStarted));
    case.start("web");
    assert_eq!(case.engine.why(web), Why::WaitsFor(vec![db]));
    case.spawned("db");
    assert_eq!(case.engine.why(db), Why::Starting(StartPhase::Ready));
    case.says("db", "READY");
    case.spawned("web");
    assert_eq!(case.engine.why(db), Why::Up { main: Main::Alive, health: None });
    case.says("db", "RELOADING");
    assert_eq!(case.engine.why(db), Why::Reloading(ReloadPhase::Announced));
    case.stop("db");
    assert_eq!(case.engine.why(db), Why::StopWaitsFor(vec![web]));
    let step = Step::Sequence(0, StopHow::Signal(Signal::TERM));
    assert_eq!(case.engine.why(web), Why::Stopping { step, ending: None });
    case.dies("web", Signal::TERM);
    assert_eq!(case.engine.why(web), Why::Down(StopCause::StoppedWith(db)));
    case.exits("db", 0);
    case.start("db");
    case.comes_up("db");
    case.exits("db", 1);
    let ending = Ending::Exited(Exit::Code(1));
    assert_eq!(case.engine.why(db), Why::Failed(FailReason::Ended(ending)));
    case.start("db");
    case.comes_up("db");
    case.exits("db", 0);
    assert_eq!(case.engine.why(db), Why::Ended);
}
