//! The commands around a main process, and several in its place.

use supervisor_engine::{
    Failure, KillMode, Manner, Outcome, RestartPolicy, Signal, State, Status, StopCause,
};

use crate::case::{Case, Spec, command, notify, oneshot, secs, signal, simple};

const COUNTS: Failure = Failure::Counts;

/// A service that is started, with one command of each kind.
fn all(spec: Spec) -> Case {
    let spec = spec.with(|spec| {
        spec.commands.condition = vec![COUNTS];
        spec.commands.pre_start = vec![COUNTS];
        spec.commands.post_start = vec![COUNTS];
        spec.commands.post_stop = vec![COUNTS];
    });
    let mut case = Case::of([spec]);
    case.start("a");
    case
}

#[test]
fn every_command_has_its_turn() {
    let mut case = all(notify("a"));
    case.command_exits("a", 0);
    case.command_exits("a", 0);
    case.spawned("a");
    case.does(["a condition 1", "a pre-start 1", "a spawn"]);
    case.says("a", "READY");
    case.is("a", Status::Starting);
    case.command_exits("a", 0);
    case.is("a", Status::Running);
    case.stop("a");
    case.exits("a", 0);
    case.is("a", Status::Stopping);
    case.command_exits("a", 1);
    case.is("a", Status::Stopped);
    case.does(["a post-start 1", "a TERM all", "a post-stop 1", "a release"]);
}

#[test]
fn a_condition_that_is_not_met_is_no_failure_and_no_start() {
    let spec = simple("a").with(|spec| {
        spec.commands.condition = vec![COUNTS];
        spec.restart.policy = RestartPolicy::Always;
        spec.restart.limit_burst = 1;
    });
    let mut case = Case::of([spec, simple("b").requires("a"), simple("c").binds_to("a")]);
    let operation = case.start("b c");
    case.command_exits("a", 1);
    assert_eq!(*case.state("a"), State::Stopped(StopCause::Condition));
    case.came_to(operation, "a", &Outcome::Skipped);
    case.is("b", Status::Starting);
    case.is("c", Status::Failed);
    let id = case.id("a");
    assert!(case.engine.service(id).attempt() == 0);
    // It is tried again by every start, and was not charged for the one before.
    case.actions();
    case.start("b");
    case.spawned("b");
    case.restart("b");
    case.exits("b", 0);
    assert!(case.actions().contains(&"a condition 1".to_owned()));
}

#[test]
fn a_condition_that_dies_is_a_failure() {
    let mut case = all(simple("a"));
    case.command_is_killed("a");
    case.command_exits("a", 0);
    case.is("a", Status::Backoff);
    case.does(["a condition 1", "a post-stop 1", "a release"]);
}

#[test]
fn the_signals_that_end_a_service_are_no_success_of_a_command() {
    let mut case = all(simple("a"));
    case.command_exits("a", 0);
    case.command_dies("a", Signal::TERM);
    case.command_exits("a", 0);
    case.is("a", Status::Backoff);
}

#[test]
fn one_time_limit_is_for_the_whole_start() {
    let mut case = all(notify("a").with(|spec| spec.start_timeout = Some(secs(10))));
    case.after(secs(4));
    case.command_exits("a", 0);
    case.after(secs(4));
    case.command_exits("a", 0);
    case.spawned("a");
    case.actions();
    case.after(secs(1));
    case.does([]);
    case.after(secs(1));
    case.does(["a TERM all"]);
}

#[test]
fn a_command_of_a_start_that_takes_too_long_is_killed() {
    let mut case = all(simple("a").with(|spec| spec.start_timeout = Some(secs(10))));
    case.actions();
    case.after(secs(10));
    case.does(["a KILL command", "a KILL all"]);
    case.command_is_killed("a");
    case.command_exits("a", 0);
    case.is("a", Status::Backoff);
}

#[test]
fn a_start_that_is_stopped_before_its_main_process_asks_its_command_to_end() {
    for (mode, whom) in [(KillMode::Group, "all"), (KillMode::Mixed, "command")] {
        let mut case = all(simple("a").with(|spec| spec.stop.kill_mode = mode));
        case.command_exits("a", 0);
        case.actions();
        let operation = case.stop("a");
        case.does([&format!("a TERM {whom}")]);
        case.after(secs(10));
        assert!(case.actions().contains(&"a KILL all".to_owned()));
        case.command_is_killed("a");
        case.does(["a post-stop 1"]);
        case.command_exits("a", 0);
        case.is("a", Status::Stopped);
        case.came_to(operation, "a", &Outcome::Stopped);
    }
}

#[test]
fn what_comes_after_waits_for_all_of_the_service() {
    let mut case = all(simple("a"));
    case.command_exits("a", 0);
    case.command_exits("a", 0);
    case.spawned("a");
    case.command_exits("a", 0);
    case.actions();
    case.exits_leaving_others("a", 1);
    case.does(["a TERM all"]);
    case.others_are_gone("a");
    case.does(["a post-stop 1"]);
    // What that leaves behind is killed.
    case.command_exits_leaving_others("a", 0);
    case.does(["a KILL all"]);
    case.others_are_gone("a");
    case.is("a", Status::Backoff);
}

#[test]
fn what_comes_after_runs_also_where_nothing_could_be_started() {
    let mut case = all(simple("a"));
    case.command_exits("a", 0);
    case.command_exits("a", 0);
    case.spawn_fails("a");
    case.is("a", Status::Stopping);
    case.command_cannot_start("a");
    case.is("a", Status::Backoff);
}

#[test]
fn what_comes_after_is_cut_short_by_force() {
    let mut case = all(simple("a"));
    case.command_exits("a", 1);
    case.actions();
    case.force_stop("a");
    case.does(["a KILL all"]);
    case.command_is_killed("a");
    case.does(["a release"]);
}

#[test]
fn a_main_process_that_dies_beside_its_post_start_takes_that_with_it() {
    let mut case = all(simple("a").stops_by([command(0, 5), signal(Signal::TERM, 5)]));
    case.command_exits("a", 0);
    case.command_exits("a", 0);
    case.spawned("a");
    case.actions();
    case.exits("a", 4);
    case.does(["a KILL command", "a KILL all"]);
    case.command_is_killed("a");
    case.does(["a post-stop 1"]);
}

#[test]
fn a_post_start_that_fails_ends_the_service_without_its_stop_commands() {
    let mut case = all(simple("a").stops_by([command(0, 5), signal(Signal::TERM, 5)]));
    case.command_exits("a", 0);
    case.command_exits("a", 0);
    case.spawned("a");
    case.actions();
    case.command_exits("a", 1);
    case.does(["a TERM all"]);
}

#[test]
fn the_watchdog_runs_from_ready_on() {
    let mut case = all(notify("a").with(|spec| {
        let (timeout, signal) = (secs(3), Signal::ABRT);
        spec.watchdog =
            Some(supervisor_engine::WatchdogSpec { timeout, signal, abort_timeout: None });
    }));
    case.command_exits("a", 0);
    case.command_exits("a", 0);
    case.spawned("a");
    case.after(secs(4));
    case.says("a", "READY");
    case.actions();
    case.after(secs(3));
    case.does(["a KILL command", "a ABRT main"]);
}

#[test]
fn the_commands_of_a_oneshot_run_in_order_until_one_fails() {
    let spec = oneshot("a").with(|spec| spec.commands.main = vec![Failure::IsIgnored, COUNTS]);
    let mut case = Case::of([spec]);
    case.start("a");
    case.spawned("a");
    case.exits("a", 1);
    case.spawned("a");
    case.is("a", Status::Starting);
    case.exits("a", 0);
    case.is("a", Status::Exited);
    case.restart("a");
    case.spawned("a");
    case.exits("a", 0);
    case.spawned("a");
    case.exits("a", 2);
    case.is("a", Status::Failed);
    case.does(["a spawn", "a spawn 1", "a release", "a spawn", "a spawn 1", "a release"]);
}

#[test]
fn a_service_that_is_up_drains_first() {
    let mut case = Case::up([simple("a").with(|spec| spec.stop.drain = secs(5))]);
    case.stop("a");
    case.is("a", Status::Stopping);
    case.does([]);
    case.after(secs(5));
    case.does(["a TERM all"]);

    let mut case = Case::up([simple("a").with(|spec| spec.stop.drain = secs(5))]);
    assert_eq!(
        case.engine.plan_stop(&case.ids("a"), Manner::Graceful, false).worst,
        Some(secs(15))
    );
    case.stop("a");
    case.exits("a", 0);
    case.does(["a release"]);

    let mut case = Case::up([simple("a").with(|spec| spec.stop.drain = secs(5))]);
    case.force_stop("a");
    case.does(["a KILL all"]);
}

#[test]
fn a_watchdog_that_is_missed_comes_to_something_also_where_main_is_survived() {
    let mut case = Case::of([notify("a").with(|spec| {
        let (timeout, signal) = (secs(1), Signal::ABRT);
        spec.watchdog =
            Some(supervisor_engine::WatchdogSpec { timeout, signal, abort_timeout: None });
        spec.exit_type = supervisor_engine::ExitType::All;
        spec.settle_time = secs(5);
    })]);
    case.start("a");
    case.spawned("a");
    case.says("a", "READY");
    case.exits_leaving_others("a", 0);
    case.is("a", Status::Starting);
    case.after(secs(1));
    case.is("a", Status::Stopping);
}
