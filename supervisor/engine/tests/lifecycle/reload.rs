//! Reloads: never before the service is up, one at a time, and never a reason to stop it.

use std::time::Duration;

use supervisor_engine::{
    Exit, Moment, Outcome, ReloadHow, ReloadPhase, ReloadSpec, ServiceId, Signal, Status, Why,
};

use crate::case::{Case, Spec, error, millis, notify, secs, simple};

fn by_signal() -> Spec {
    let reload = ReloadSpec { how: ReloadHow::Signal(Signal::HUP), timeout: Some(secs(20)) };
    notify("db").with(|spec| spec.reload = Some(reload))
}

fn by_command() -> Spec {
    let reload = ReloadSpec { how: ReloadHow::Command, timeout: Some(secs(20)) };
    notify("db").with(|spec| spec.reload = Some(reload))
}

#[test]
fn a_reload_asked_for_during_the_start_waits_until_the_service_is_ready() {
    let mut case = Case::of([by_signal()]);
    case.start("db");
    let reload = case.reload("db");
    case.spawned("db");
    case.does(["db spawn"]);
    case.says("db", "READY");
    case.does(["db HUP main"]);
    case.came_to(reload, "db", &Outcome::Reloaded);
}

#[test]
fn a_reload_waits_for_a_start_that_waits_itself() {
    let mut case = Case::of([by_signal().requires("disk"), simple("disk")]);
    case.start("db");
    let reload = case.reload("db");
    case.spawned("disk");
    case.comes_up("db");
    case.does(["disk spawn", "db spawn", "db HUP main"]);
    case.came_to(reload, "db", &Outcome::Reloaded);
}

#[test]
fn a_reload_that_waits_ends_with_a_start_that_fails() {
    let mut case = Case::of([by_signal()]);
    case.start("db");
    let reload = case.reload("db");
    case.spawn_fails("db");
    assert!(matches!(case.outcome(reload, "db"), Some(Outcome::Failed(_))));
}

#[test]
fn a_reload_asked_for_before_a_stop_that_is_called_off_is_done_then() {
    let mut case = Case::up([by_signal(), simple("web").requires("db")]);
    case.stop("db");
    let reload = case.reload("db");
    case.does(["web TERM all"]);
    case.start("db");
    case.does(["db HUP main"]);
    case.came_to(reload, "db", &Outcome::Reloaded);
}

#[test]
fn a_service_without_a_way_to_reload_says_so() {
    let mut case = Case::up([simple("web"), by_signal()]);
    let reload = case.reload("web");
    case.came_to(reload, "web", &Outcome::CannotReload);
    case.exits("db", 0);
    let reload = case.reload("db");
    case.came_to(reload, "db", &Outcome::NotRunning);
}

#[test]
fn a_reload_command_is_waited_for() {
    let mut case = Case::up([by_command()]);
    let reload = case.reload("db");
    case.does(["db reload-command"]);
    case.is("db", Status::Reloading);
    assert!(case.state("db").is_up());
    case.command_exits("db", 0);
    case.is("db", Status::Running);
    case.came_to(reload, "db", &Outcome::Reloaded);
}

#[test]
fn a_reload_command_that_fails_leaves_the_service_up() {
    let mut case = Case::up([by_command()]);
    let reload = case.reload("db");
    case.command_exits("db", 2);
    case.came_to(reload, "db", &Outcome::ReloadFailed(Exit::Code(2)));
    let reload = case.reload("db");
    case.command_cannot_start("db");
    case.came_to(reload, "db", &Outcome::ReloadNotStarted(error("exec")));
    case.is("db", Status::Running);
}

#[test]
fn a_second_reload_is_not_merged_into_the_one_that_runs() {
    let mut case = Case::up([by_command()]);
    let (first, second) = (case.reload("db"), case.reload("db"));
    let third = case.reload("db");
    case.does(["db reload-command"]);
    case.command_exits("db", 0);
    case.came_to(first, "db", &Outcome::Reloaded);
    assert_eq!(case.outcome(second, "db"), None);
    case.does(["db reload-command"]);
    case.command_exits("db", 0);
    case.came_to(second, "db", &Outcome::Reloaded);
    case.came_to(third, "db", &Outcome::Reloaded);
}

#[test]
fn a_service_that_announces_a_reload_is_reloading_until_ready() {
    let mut case = Case::up([by_signal()]);
    case.says("db", "RELOADING");
    case.is("db", Status::Reloading);
    assert_eq!(case.engine.why(case.id("db")), Why::Reloading(ReloadPhase::Announced));
    case.says("db", "READY");
    case.is("db", Status::Running);
}

#[test]
fn an_announced_reload_that_never_ends_leaves_the_service_up() {
    let mut case = Case::up([by_signal()]);
    case.says("db", "RELOADING");
    case.after(secs(20));
    case.is("db", Status::Running);
    case.does([]);
}

#[test]
fn a_command_during_which_the_service_announces_a_reload_ends_with_its_ready() {
    let mut case = Case::up([by_command()]);
    let reload = case.reload("db");
    case.says("db", "RELOADING");
    case.command_exits("db", 0);
    assert_eq!(case.outcome(reload, "db"), None);
    case.says("db", "READY");
    case.came_to(reload, "db", &Outcome::Reloaded);

    let reload = case.reload("db");
    case.says("db", "RELOADING");
    case.says("db", "READY");
    assert_eq!(case.outcome(reload, "db"), None);
    case.command_exits("db", 0);
    case.came_to(reload, "db", &Outcome::Reloaded);
}

#[test]
fn a_reload_command_that_takes_too_long_is_killed_and_the_service_stays_up() {
    let mut case = Case::up([by_command()]);
    let reload = case.reload("db");
    case.after(secs(20));
    case.does(["db reload-command", "db KILL command"]);
    case.came_to(reload, "db", &Outcome::ReloadTimeout);
    let again = case.reload("db");
    case.does([]);
    case.command_is_killed("db");
    case.does(["db reload-command"]);
    case.command_exits("db", 0);
    case.came_to(again, "db", &Outcome::Reloaded);
}

#[test]
fn extend_timeout_moves_the_reload_timeout() {
    let mut case = Case::up([by_signal()]);
    case.says("db", "RELOADING");
    case.notifies("db", |message| message.extend = Some(secs(60)));
    case.after(secs(59));
    case.is("db", Status::Reloading);
    case.after(secs(1));
    case.is("db", Status::Running);
}

#[test]
fn a_service_that_ends_during_a_reload_ends_it() {
    let mut case = Case::up([by_command()]);
    let reload = case.reload("db");
    case.exits("db", 1);
    case.does(["db reload-command", "db KILL command", "db KILL all"]);
    case.came_to(reload, "db", &Outcome::NotRunning);
    case.command_is_killed("db");
    case.is("db", Status::Backoff);
}

#[test]
fn a_service_that_remains_up_without_main_during_a_reload_is_stopped_after_its_command() {
    let spec = by_command().with(|spec| spec.remain_after_exit = true);
    let mut case = Case::up([spec.stops_by([crate::case::command(0, 5)])]);
    case.reload("db");
    case.exits("db", 0);
    case.is("db", Status::Exited);
    case.does(["db reload-command", "db KILL command"]);
    case.stop("db");
    case.does(["db KILL command"]);
    case.command_is_killed("db");
    case.does(["db stop-command 0"]);
    case.command_exits("db", 0);
    case.does(["db release"]);
}

fn by_handshake() -> Spec {
    let reload = ReloadSpec { how: ReloadHow::Handshake(Signal::HUP), timeout: Some(secs(20)) };
    notify("db").with(|spec| spec.reload = Some(reload))
}

/// `RELOADING=1` with the time of its begin, and perhaps `READY=1` at once.
fn reloads(case: &mut Case, began: Option<Moment>, ready: bool) {
    case.notifies("db", |message| {
        (message.reloading, message.reload_began, message.ready) = (true, began, ready);
    });
}

#[test]
fn a_signal_that_is_answered_is_waited_for() {
    let mut case = Case::of([by_handshake()]);
    case.start("db");
    let reload = case.reload("db");
    case.spawned("db");
    case.does(["db spawn"]);
    case.says("db", "READY");
    case.does(["db HUP main"]);
    case.is("db", Status::Reloading);
    assert!(case.state("db").is_up());
    case.after(secs(1));
    let now = Some(case.now);
    reloads(&mut case, now, false);
    assert_eq!(case.engine.why(case.id("db")), Why::Reloading(ReloadPhase::Announced));
    assert_eq!(case.outcome(reload, "db"), None);
    case.says("db", "READY");
    case.came_to(reload, "db", &Outcome::Reloaded);
    case.is("db", Status::Running);
}

#[test]
fn an_answer_may_be_one_message() {
    let mut case = Case::up([by_handshake()]);
    let reload = case.reload("db");
    let now = Some(case.now);
    reloads(&mut case, now, true);
    case.came_to(reload, "db", &Outcome::Reloaded);
}

#[test]
fn what_began_before_the_request_or_without_a_time_is_no_answer() {
    let mut case = Case::up([by_handshake()]);
    let early = Some(case.now);
    case.after(millis(1));
    let reload = case.reload("db");
    reloads(&mut case, early, false);
    case.says("db", "READY");
    reloads(&mut case, early, true);
    reloads(&mut case, None, true);
    assert_eq!(case.outcome(reload, "db"), None);
    case.after(secs(20));
    case.came_to(reload, "db", &Outcome::ReloadTimeout);
    case.is("db", Status::Running);
    case.does(["db HUP main"]);
    let again = case.reload("db");
    let now = Some(case.now);
    reloads(&mut case, now, true);
    case.came_to(again, "db", &Outcome::Reloaded);
}

#[test]
fn the_answer_is_as_fine_as_a_microsecond() {
    let mut case = Case::up([by_handshake()]);
    case.after(Duration::from_nanos(1_999));
    let reload = case.reload("db");
    let asked = case.now.since_zero().as_micros();
    let told = Duration::from_micros(u64::try_from(asked).expect("it is not that late"));
    reloads(&mut case, Some(Moment::new(told)), true);
    case.came_to(reload, "db", &Outcome::Reloaded);
}

#[test]
fn a_reload_that_never_becomes_ready_ends_with_its_timeout() {
    let mut case = Case::up([by_handshake()]);
    let (reload, second) = (case.reload("db"), case.reload("db"));
    let now = Some(case.now);
    case.after(secs(5));
    reloads(&mut case, now, false);
    case.after(secs(15));
    case.came_to(reload, "db", &Outcome::ReloadTimeout);
    assert_eq!(case.outcome(second, "db"), None);
    case.does(["db HUP main", "db HUP main"]);
}

#[test]
fn a_stop_ends_a_reload_that_waits_for_its_answer() {
    let mut case = Case::up([by_handshake()]);
    let reload = case.reload("db");
    case.stop("db");
    case.came_to(reload, "db", &Outcome::Superseded);
    case.does(["db HUP main", "db TERM all"]);
}

#[test]
fn a_reload_goes_on_to_others_that_run_and_can_reload() {
    let reloading = |name: &str, to: &[u32]| {
        let reload = ReloadSpec { how: ReloadHow::Signal(Signal::HUP), timeout: None };
        notify(name).with(|spec| {
            spec.reload = Some(reload);
            spec.reload_propagates_to = to.iter().copied().map(ServiceId).collect();
        })
    };
    let mut case = Case::of([
        reloading("a", &[1, 2, 4]),
        reloading("b", &[0, 3]),
        simple("deaf"),
        reloading("late", &[]),
        reloading("down", &[]),
    ]);
    case.start("a b deaf late");
    case.comes_up("a");
    case.comes_up("b");
    case.spawned("deaf");
    case.spawned("late");
    case.actions();
    let reload = case.reload("a");
    case.does(["a HUP main", "b HUP main"]);
    case.came_to(reload, "b", &Outcome::Reloaded);
    assert!(!case.has_ended(reload));
    case.says("late", "READY");
    case.does(["late HUP main"]);
    assert!(case.has_ended(reload));
    let services = case.engine.operation(reload).expect("it is known").items.len();
    assert_eq!(services, 3);
}

#[test]
fn a_reload_ends_with_the_process_that_was_to_answer_also_if_it_comes_up_again() {
    let mut case = Case::up([by_handshake(), simple("web").requires("db")]);
    let reload = case.reload("db");
    case.restart("db");
    case.exits("db", 0);
    case.is("db", Status::Starting);
    case.came_to(reload, "db", &Outcome::NotRunning);
}
