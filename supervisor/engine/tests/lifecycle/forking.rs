//! Services whose main process is not the one that was started, or ends before they do.

use supervisor_engine::{
    Ending, Exit, ExitType, FailReason, KillMode, Main, Outcome, ReloadHow, ReloadSpec, Report,
    Request, RestartPolicy, Signal, StartPhase, State, Status, Why,
};

use crate::case::{Case, Spec, command, forking, notify, oneshot, secs, signal, simple};

fn once(spec: Spec) -> Spec {
    spec.with(|spec| spec.restart.policy = RestartPolicy::No)
}

fn to_the_last(spec: Spec) -> Spec {
    once(spec).with(|spec| spec.exit_type = ExitType::All)
}

/// A service that has forked; which of its processes is the main one is searched for.
fn forked(spec: Spec) -> Case {
    let mut case = Case::of([once(spec)]);
    case.boot();
    case.spawned("db");
    case.exits_leaving_others("db", 0);
    case.does(["db spawn", "db find-main"]);
    case
}

#[track_caller]
fn has_failed(case: &Case, ending: Ending) {
    assert_eq!(*case.state("db"), State::Failed(FailReason::Ended(ending)));
}

fn main_of(case: &Case) -> Main {
    case.state("db").main()
}

#[test]
fn it_is_up_once_its_main_process_is_found() {
    let mut case = Case::of([forking("db"), simple("app").requires("db")]);
    case.boot();
    case.spawned("db");
    assert_eq!(case.engine.why(case.id("db")), Why::Starting(StartPhase::Fork));
    case.exits_leaving_others("db", 0);
    assert_eq!(case.engine.why(case.id("db")), Why::Starting(StartPhase::MainPid));
    case.is("app", Status::Waiting);
    case.report("db", Report::MainFound);
    case.is("db", Status::Running);
    case.does(["db spawn", "db find-main", "app spawn"]);
    assert_eq!(case.engine.service(case.id("db")).last_exit(), None, "the end of who forked it");
}

#[test]
fn who_forks_it_must_end_well_in_time_and_leave_something() {
    let start = || {
        let mut case = Case::of([once(forking("db"))]);
        case.boot();
        case.spawned("db");
        case
    };
    let mut case = start();
    case.exits("db", 0);
    has_failed(&case, Ending::NothingLeft);
    let mut case = start();
    case.exits("db", 7);
    has_failed(&case, Ending::Exited(Exit::Code(7)));
    let mut case = start();
    case.exits_leaving_others("db", 7);
    case.is("db", Status::Stopping);
    case.does(["db spawn", "db TERM all"]);
    let mut case = start();
    case.after(secs(90));
    case.exits("db", 0);
    has_failed(&case, Ending::StartTimeout);
}

#[test]
fn a_search_that_finds_nothing_in_time_is_a_failed_start() {
    let mut case = forked(forking("db"));
    case.after(secs(90));
    case.does(["db TERM all"]);
    case.others_are_gone("db");
    has_failed(&case, Ending::StartTimeout);

    let mut case = forked(forking("db"));
    case.others_are_gone("db");
    has_failed(&case, Ending::NothingLeft);
    case.does(["db release"]);
}

#[test]
fn what_comes_after_the_search_is_as_for_others() {
    let mut case = forked(forking("db").with(|spec| spec.probed = true));
    case.report("db", Report::MainFound);
    case.does(["db start-probe"]);
    case.is("db", Status::Starting);
    case.probe_succeeds("db");
    case.is("db", Status::Running);

    let mut case = forked(forking("db").with(|spec| spec.settle_time = secs(2)));
    case.report("db", Report::MainUnknown);
    case.is("db", Status::Starting);
    case.others_are_gone("db");
    has_failed(&case, Ending::NothingLeft);
}

#[test]
fn the_end_of_the_main_process_is_the_end() {
    let mut case = Case::up([once(forking("db"))]);
    case.main_ends("db", Exit::Unknown, false);
    has_failed(&case, Ending::Exited(Exit::Unknown));
    let mut case = Case::up([once(forking("db"))]);
    case.exits("db", 0);
    case.is("db", Status::Exited);
}

#[test]
fn without_a_main_process_that_is_known_it_ends_with_its_last_one() {
    for (policy, status) in [
        (RestartPolicy::OnFailure, Status::Exited),
        (RestartPolicy::OnAbnormal, Status::Exited),
        (RestartPolicy::OnSuccess, Status::Backoff),
        (RestartPolicy::Always, Status::Backoff),
    ] {
        let mut case = Case::of([forking("db").with(|spec| spec.restart.policy = policy)]);
        case.boot();
        case.spawned("db");
        case.exits_leaving_others("db", 0);
        case.report("db", Report::MainUnknown);
        case.is("db", Status::Running);
        assert_eq!(main_of(&case), Main::Unknown);
        case.others_are_gone("db");
        case.is("db", status);
        assert_eq!(case.transitions.last().unwrap().ended.as_ref().unwrap().exit, None);
    }
}

#[test]
fn a_stop_of_one_whose_main_process_is_not_known_goes_to_all_of_it() {
    for mode in [KillMode::Group, KillMode::Mixed, KillMode::Process] {
        let steps = [signal(Signal::TERM, 5)];
        let spec = forking("db").stops_by(steps).with(|spec| spec.stop.kill_mode = mode);
        let mut case = forked(spec);
        case.report("db", Report::MainUnknown);
        case.stop("db");
        case.does(["db TERM all"]);
        case.after(secs(5));
        case.does(["db KILL all"]);
        case.others_are_gone("db");
        case.does(["db release"]);
        case.is("db", Status::Stopped);
    }
}

#[test]
fn a_process_that_nobody_knows_gets_no_signal_by_hand_and_no_reload() {
    let reload = ReloadSpec { how: ReloadHow::Signal(Signal::HUP), timeout: None };
    let mut case = forked(forking("db").with(|spec| spec.reload = Some(reload)));
    case.report("db", Report::MainUnknown);
    let services = case.ids("db");
    let asked = case.request(Request::Signal { services, signal: Signal::USR1 });
    case.came_to(asked, "db", &Outcome::NoMain);
    let asked = case.reload("db");
    case.came_to(asked, "db", &Outcome::NoMain);
    case.does([]);
    // It may say later which one it is.
    case.report("db", Report::MainFound);
    let asked = case.reload("db");
    case.came_to(asked, "db", &Outcome::Reloaded);
    case.does(["db HUP main"]);
    // And one that was a guess may have forked in turn.
    case.report("db", Report::MainUnknown);
    assert_eq!(main_of(&case), Main::Unknown);
}

#[test]
fn to_the_last_process_means_that_the_end_of_main_is_not_the_end() {
    let killed = Exit::Signal { signal: Signal::KILL, core: false };
    for (exit, ending) in
        [(Exit::Code(0), None), (Exit::Code(3), Some(Exit::Code(3))), (killed, Some(killed))]
    {
        let mut case = Case::up([to_the_last(simple("db"))]);
        case.main_ends("db", exit, true);
        case.is("db", Status::Running);
        assert_eq!(main_of(&case), Main::Gone(exit));
        case.does([]);
        case.others_are_gone("db");
        match ending {
            None => case.is("db", Status::Exited),
            Some(exit) => has_failed(&case, Ending::Exited(exit)),
        }
        case.does(["db release"]);
    }
}

#[test]
fn to_the_last_process_counts_before_it_is_up_too() {
    let mut case = Case::of([to_the_last(notify("db"))]);
    case.boot();
    case.spawned("db");
    case.exits_leaving_others("db", 0);
    case.is("db", Status::Starting);
    case.says("db", "READY");
    case.is("db", Status::Running);

    let mut case = Case::of([to_the_last(notify("db"))]);
    case.boot();
    case.spawned("db");
    case.exits_leaving_others("db", 0);
    case.others_are_gone("db");
    has_failed(&case, Ending::Protocol);

    let mut case = Case::of([to_the_last(oneshot("db"))]);
    case.boot();
    case.spawned("db");
    case.exits_leaving_others("db", 0);
    case.is("db", Status::Exited);
}

#[test]
fn what_outlives_its_main_process_is_stopped_as_a_whole() {
    let steps = || [command(0, 5), signal(Signal::TERM, 5)];
    let mut case = Case::up([to_the_last(simple("db")).stops_by(steps())]);
    case.exits_leaving_others("db", 0);
    case.stop("db");
    case.does(["db stop-command 0"]);
    case.command_exits_leaving_others("db", 0);
    case.after(secs(5));
    case.does(["db TERM all"]);
    case.others_are_gone("db");
    case.is("db", Status::Stopped);

    let mixed = to_the_last(simple("db")).with(|spec| spec.stop.kill_mode = KillMode::Mixed);
    let mut case = Case::up([mixed]);
    case.exits_leaving_others("db", 0);
    case.stop("db");
    case.does(["db KILL all"]);
}

#[test]
fn a_reload_command_that_ends_last_ends_the_service() {
    let reload = ReloadSpec { how: ReloadHow::Command, timeout: None };
    let mut case = Case::up([to_the_last(simple("db")).with(|spec| spec.reload = Some(reload))]);
    case.exits_leaving_others("db", 0);
    case.reload("db");
    case.is("db", Status::Reloading);
    case.command_exits("db", 0);
    case.is("db", Status::Exited);
    case.does(["db reload-command", "db release"]);
}
