//! Signs of life: armed from ready to the begin of the stop.

use supervisor_engine::{
    Cause, Ending, ReloadHow, ReloadSpec, Signal, State, Status, Step, WatchdogMessage,
    WatchdogSpec,
};

use crate::case::{Case, Spec, command, notify, secs};

fn watched() -> Spec {
    let (timeout, abort_timeout) = (secs(5), Some(secs(3)));
    let watchdog = WatchdogSpec { timeout, signal: Signal::ABRT, abort_timeout };
    notify("db").with(|spec| spec.watchdog = Some(watchdog))
}

#[test]
fn a_missed_watchdog_aborts_main_then_kills_then_restarts() {
    let mut case = Case::up([watched()]);
    case.after(secs(5));
    case.does(["db ABRT main"]);
    case.after(secs(3));
    case.does(["db KILL all"]);
    case.dies("db", Signal::KILL);
    case.is("db", Status::Backoff);
    let last = case.transitions.last().expect("something changed");
    assert_eq!(last.cause, Cause::Ended(Ending::Watchdog));
}

#[test]
fn every_sign_of_life_moves_the_deadline() {
    let mut case = Case::up([watched()]);
    for _ in 0..3 {
        case.after(secs(4));
        case.notifies("db", |message| message.watchdog = Some(WatchdogMessage::Alive));
    }
    case.is("db", Status::Running);
    case.after(secs(5));
    case.is("db", Status::Stopping);
}

#[test]
fn the_watchdog_is_not_armed_before_ready_nor_during_a_stop() {
    let mut case = Case::of([watched()]);
    case.start("db");
    case.spawned("db");
    case.notifies("db", |message| message.watchdog = Some(WatchdogMessage::Alive));
    case.after(secs(60));
    case.is("db", Status::Starting);
    case.says("db", "READY");
    case.stop("db");
    case.after(secs(9));
    case.does(["db spawn", "db TERM all"]);
}

#[test]
fn a_trigger_counts_as_missed_also_without_a_watchdog() {
    let mut case = Case::up([notify("db")]);
    case.notifies("db", |message| message.watchdog = Some(WatchdogMessage::Trigger));
    case.does(["db ABRT main"]);
    assert!(
        matches!(case.state("db"), State::Stopping(now) if now.step == Step::Abort(Signal::ABRT))
    );
}

#[test]
fn the_period_is_what_the_service_last_asked_for() {
    let mut case = Case::up([watched()]);
    case.notifies("db", |message| message.watchdog_period = Some(secs(20)));
    case.after(secs(19));
    case.is("db", Status::Running);
    case.notifies("db", |message| message.watchdog_period = Some(secs(0)));
    assert_eq!(case.engine.poll_timeout(), None);
}

#[test]
fn a_period_that_was_asked_for_before_ready_counts_from_ready() {
    let mut case = Case::of([watched()]);
    case.start("db");
    case.spawned("db");
    case.notifies("db", |message| message.watchdog_period = Some(secs(20)));
    case.says("db", "READY");
    case.after(secs(19));
    case.is("db", Status::Running);
    case.after(secs(1));
    case.is("db", Status::Stopping);
}

#[test]
fn extend_timeout_moves_the_watchdog_too() {
    let mut case = Case::up([watched()]);
    case.notifies("db", |message| message.extend = Some(secs(30)));
    case.after(secs(29));
    case.is("db", Status::Running);
    case.after(secs(1));
    case.is("db", Status::Stopping);
}

#[test]
fn a_watchdog_missed_during_a_reload_ends_the_reload_command_too() {
    let reload = ReloadSpec { how: ReloadHow::Command, timeout: Some(secs(20)) };
    let spec = watched().with(|spec| spec.reload = Some(reload)).stops_by([command(0, 9)]);
    let mut case = Case::up([spec]);
    case.reload("db");
    case.after(secs(5));
    case.does(["db reload-command", "db KILL command", "db ABRT main"]);
    case.dies("db", Signal::ABRT);
    case.is("db", Status::Stopping);
    case.command_is_killed("db");
    case.is("db", Status::Backoff);
}
