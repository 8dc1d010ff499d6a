//! The way of one service up, and how it can fail.

use supervisor_engine::{
    Cause, Ending, Exit, FailReason, Notification, Outcome, ReloadHow, ReloadSpec, Report, Signal,
    StartPhase, State, Status, StopCause, Why,
};

use crate::case::{
    Case, Spec, command, error, millis, notify, oneshot, secs, signal, simple, target,
};

#[test]
fn a_simple_service_is_up_once_its_process_is_there() {
    let mut case = Case::of([simple("web")]);
    let start = case.start("web");
    case.does(["web spawn"]);
    assert_eq!(case.engine.why(case.id("web")), Why::Starting(StartPhase::Exec));
    case.spawned("web");
    case.is("web", Status::Running);
    case.came_to(start, "web", &Outcome::Started);
    assert!(case.has_ended(start));
    assert_eq!(case.engine.poll_timeout(), None);
}

#[test]
fn a_probed_service_is_up_once_its_probe_has_succeeded() {
    let mut case = Case::of([simple("web").with(|spec| spec.probed = true)]);
    case.start("web");
    case.spawned("web");
    case.does(["web spawn", "web start-probe"]);
    case.is("web", Status::Starting);
    case.probe_succeeds("web");
    case.is("web", Status::Running);
    case.does([]);
}

#[test]
fn a_probe_ends_with_the_attempt_that_it_belongs_to() {
    for end in ["it exits", "its time is up", "it is stopped", "it announces its stop"] {
        let mut case = Case::of([simple("web").with(|spec| spec.probed = true)]);
        case.start("web");
        case.spawned("web");
        case.does(["web spawn", "web start-probe"]);
        match end {
            "it exits" => case.exits("web", 1),
            "its time is up" => case.after(secs(90)),
            "it is stopped" => _ = case.stop("web"),
            _ => case.says("web", "STOPPING"),
        }
        assert_eq!(case.actions()[0], "web stop-probe", "{end}");
    }
}

#[test]
fn a_notify_service_is_up_once_it_has_said_ready() {
    let mut case = Case::of([notify("db")]);
    case.start("db");
    case.spawned("db");
    case.is("db", Status::Starting);
    case.says("db", "READY");
    case.is("db", Status::Running);
    let causes: Vec<_> = case.transitions.iter().map(|change| &change.cause).collect();
    let expected = [&Cause::Requested, &Cause::DependenciesUp, &Cause::Spawned, &Cause::Ready];
    assert_eq!(causes, expected);
}

#[test]
fn a_second_ready_is_nothing_new() {
    let mut case = Case::up([notify("db")]);
    case.says("db", "READY");
    case.is("db", Status::Running);
    assert_eq!(case.transitions, []);
}

#[test]
fn stopping_wins_over_ready_and_ready_over_reloading() {
    for (message, status) in [
        (Notification { ready: true, stopping: true, ..said() }, Status::Stopping),
        (Notification { ready: true, reloading: true, ..said() }, Status::Running),
        (Notification { reloading: true, ..said() }, Status::Starting),
    ] {
        let mut case = Case::of([notify("db")]);
        case.start("db");
        case.spawned("db");
        case.report("db", Report::Notified(message));
        case.is("db", status);
    }
}

#[test]
fn reloading_before_the_first_ready_is_ended_by_it() {
    let mut case = Case::of([notify("db")]);
    case.start("db");
    case.spawned("db");
    case.says("db", "RELOADING");
    case.is("db", Status::Starting);
    case.says("db", "READY");
    case.is("db", Status::Running);
}

#[test]
fn a_notify_service_that_ends_well_without_ready_broke_the_protocol() {
    let mut case = Case::of([notify("db").with(|spec| spec.restart.policy = never())]);
    let start = case.start("db");
    case.spawned("db");
    case.exits("db", 0);
    let reason = FailReason::Ended(Ending::Protocol);
    assert_eq!(case.state("db"), &State::Failed(reason.clone()));
    case.came_to(start, "db", &Outcome::Failed(reason));
}

#[test]
fn a_process_that_ends_before_it_is_up_is_a_failed_start() {
    for (spec, code) in [(simple("a").with(|spec| spec.probed = true), 0), (notify("a"), 3)] {
        let mut case = Case::of([spec.with(|spec| spec.restart.policy = never())]);
        case.start("a");
        case.spawned("a");
        case.exits("a", code);
        assert!(case.state("a").is_at_rest());
    }
}

#[test]
fn a_process_that_cannot_be_started_is_a_failed_start() {
    for step in ["clone", "exec"] {
        let mut case = Case::of([simple("web").with(|spec| spec.restart.policy = never())]);
        let start = case.start("web");
        case.report("web", Report::SpawnFailed(error(step)));
        let reason = FailReason::Ended(Ending::SpawnFailed(error(step)));
        case.came_to(start, "web", &Outcome::Failed(reason));
        case.does(["web spawn", "web release"]);
    }
}

#[test]
fn a_service_that_is_not_up_in_time_is_stopped_without_its_stop_commands() {
    let spec = notify("db").with(|spec| {
        spec.restart.policy = never();
        spec.stop.steps.insert(0, command(0, 30));
    });
    let mut case = Case::of([spec]);
    case.start("db");
    case.after(secs(5));
    case.spawned("db");
    case.after(secs(84));
    case.is("db", Status::Starting);
    case.does(["db spawn"]);
    case.after(secs(1));
    case.is("db", Status::Stopping);
    case.does(["db TERM all"]);
    case.dies("db", Signal::TERM);
    assert_eq!(case.state("db"), &State::Failed(FailReason::Ended(Ending::StartTimeout)));
}

#[test]
fn extend_timeout_moves_the_start_timeout_and_only_later() {
    let mut case = Case::of([notify("db")]);
    case.start("db");
    case.spawned("db");
    case.after(secs(80));
    case.notifies("db", |message| message.extend = Some(secs(1)));
    case.after(secs(9));
    case.is("db", Status::Starting);
    case.notifies("db", |message| message.extend = Some(secs(30)));
    case.after(secs(29));
    case.is("db", Status::Starting);
    case.after(secs(1));
    case.is("db", Status::Stopping);
}

#[test]
fn a_oneshot_is_up_once_it_has_ended_well() {
    let mut case = Case::of([oneshot("init"), simple("web").requires("init")]);
    case.start("web");
    case.spawned("init");
    case.after(secs(1_000_000));
    case.is("init", Status::Starting);
    case.does(["init spawn"]);
    case.exits("init", 0);
    assert!(case.state("init").is_up());
    case.is("init", Status::Exited);
    case.does(["web spawn"]);
}

#[test]
fn a_oneshot_killed_by_a_polite_signal_has_failed() {
    let mut case = Case::of([oneshot("init")]);
    case.start("init");
    case.spawned("init");
    case.dies("init", Signal::TERM);
    case.is("init", Status::Failed);
}

#[test]
fn a_oneshot_that_does_not_remain_is_down_after_its_end() {
    let mut case = Case::of([oneshot("job").with(|spec| spec.remain_after_exit = false)]);
    let start = case.start("job");
    case.comes_up("job");
    case.does(["job spawn", "job release"]);
    case.came_to(start, "job", &Outcome::Started);
    assert!(case.state("job").is_at_rest());
    assert_eq!(case.engine.why(case.id("job")), Why::Ended);
}

#[test]
fn a_service_that_remains_after_exit_stays_up_with_and_without_others() {
    for others in [false, true] {
        let mut case = Case::up([simple("fork").with(|spec| spec.remain_after_exit = true)]);
        case.main_ends("fork", Exit::Code(0), others);
        assert!(case.state("fork").is_up());
        case.stop("fork");
        if others {
            case.does(["fork TERM all"]);
            case.others_are_gone("fork");
        }
        case.does(["fork release"]);
        assert_eq!(case.state("fork"), &State::Stopped(StopCause::Requested));
    }
}

#[test]
fn a_target_is_up_when_all_that_it_requires_is_up() {
    let mut case = Case::of([target("all").requires("a").requires("b"), simple("a"), simple("b")]);
    let start = case.start("all");
    case.does(["a spawn", "b spawn"]);
    case.spawned("a");
    case.is("all", Status::Waiting);
    assert_eq!(case.engine.why(case.id("all")), Why::WaitsFor(vec![case.id("b")]));
    case.spawned("b");
    case.is("all", Status::Running);
    assert!(case.has_ended(start));
}

#[test]
fn a_target_fails_with_what_it_requires() {
    let a = simple("a").with(|spec| spec.restart.policy = never());
    let mut case = Case::of([target("all").requires("a"), a]);
    let start = case.start("all");
    case.spawn_fails("a");
    case.came_to(start, "all", &Outcome::Failed(FailReason::Dependency(case.id("a"))));
}

#[test]
fn reports_of_an_invocation_that_is_over_are_dropped() {
    let mut case = Case::up([notify("db")]);
    let old = case.invocation("db");
    case.exits("db", 1);
    case.after(secs(1));
    case.does(["db release", "db spawn"]);
    for report in [Report::Spawned, Report::Emptied, Report::SpawnFailed(error("exec"))] {
        case.report_of(old, report);
    }
    case.report_of(old, Report::Notified(Notification { ready: true, ..said() }));
    assert!(matches!(case.state("db"), State::Starting(now) if now.phase == StartPhase::Exec));
    assert_ne!(case.invocation("db"), old, "no invocation is used twice");
}

fn never() -> supervisor_engine::RestartPolicy {
    supervisor_engine::RestartPolicy::No
}

fn said() -> Notification {
    Notification::default()
}

#[test]
fn a_service_that_settles_is_up_once_it_has_stayed_alive_long_enough() {
    let settling = |spec: Spec| spec.with(|spec| spec.settle_time = secs(3));
    for spec in [simple("app"), notify("app"), simple("app").with(|spec| spec.probed = true)] {
        let mut case = Case::of([settling(spec), simple("web").requires("app")]);
        let start = case.start("web");
        case.after(secs(50));
        case.comes_up("app");
        case.after(millis(2_999));
        assert_eq!(case.engine.why(case.id("app")), Why::Starting(StartPhase::Settle));
        case.is("web", Status::Waiting);
        case.after(millis(1));
        case.is("app", Status::Running);
        case.spawned("web");
        case.came_to(start, "app", &Outcome::Started);
        let causes: Vec<_> = case.transitions.iter().map(|change| &change.cause).collect();
        assert!(causes.contains(&&Cause::Settled));
    }
}

#[test]
fn an_end_within_the_settle_time_is_a_failed_start() {
    let settling = simple("app").with(|spec| {
        spec.settle_time = secs(3);
        spec.remain_after_exit = true;
    });
    let mut case = Case::of([settling]);
    let start = case.start("app");
    case.spawned("app");
    case.after(secs(2));
    case.exits("app", 0);
    case.is("app", Status::Backoff);
    let reason = FailReason::Ended(Ending::Unsettled(Exit::Code(0)));
    case.came_to(start, "app", &Outcome::Failed(reason));
    case.after(millis(100));
    case.spawned("app");
    case.dies("app", Signal::ABRT);
    let last = case.transitions.last().expect("something changed");
    let exit = Exit::Signal { signal: Signal::ABRT, core: false };
    assert_eq!(last.cause, Cause::Ended(Ending::Exited(exit)));
}

#[test]
fn an_announced_end_within_the_settle_time_is_a_failed_start_too() {
    let mut case = Case::of([notify("app").with(|spec| spec.settle_time = secs(3))]);
    case.start("app");
    case.comes_up("app");
    case.says("app", "STOPPING");
    case.exits("app", 0);
    case.is("app", Status::Backoff);
}

#[test]
fn a_stop_within_the_settle_time_runs_the_stop_command() {
    let settling = simple("app").with(|spec| spec.settle_time = secs(3));
    let mut case = Case::of([settling.stops_by([command(0, 9), signal(Signal::TERM, 9)])]);
    case.start("app");
    case.spawned("app");
    case.stop("app");
    case.does(["app spawn", "app stop-command 0"]);
    case.command_exits("app", 0);
    case.exits("app", 0);
    case.is("app", Status::Stopped);
}

#[test]
fn a_reload_waits_for_the_end_of_the_settle_time() {
    let reload = ReloadSpec { how: ReloadHow::Signal(Signal::HUP), timeout: None };
    let mut case = Case::of([notify("app").with(|spec| {
        spec.settle_time = secs(3);
        spec.reload = Some(reload);
    })]);
    case.start("app");
    case.comes_up("app");
    case.reload("app");
    case.notifies("app", |message| message.extend = Some(secs(30)));
    case.does(["app spawn"]);
    case.after(secs(3));
    case.does(["app HUP main"]);
}
