//! The end of everything: in order, within a time, or at once.

use supervisor_engine::{Manner, Outcome, Request, Signal, State, Status, StopCause};

use crate::case::{Case, Spec, millis, secs, simple, target};

fn pair() -> [Spec; 2] {
    [simple("db"), simple("web").requires("db")]
}

#[test]
fn a_shutdown_stops_everything_in_order_and_starts_nothing_any_more() {
    let mut case = Case::up(pair());
    let shutdown = case.shut_down(None);
    case.does(["web TERM all"]);
    let start = case.start("web");
    case.came_to(start, "web", &Outcome::Superseded);
    let restart = case.restart("db");
    case.came_to(restart, "db", &Outcome::Superseded);
    case.dies("web", Signal::TERM);
    assert!(!case.engine.is_down());
    case.dies("db", Signal::TERM);
    assert!(case.has_ended(shutdown) && case.engine.is_down());
    assert_eq!(case.state("db"), &State::Stopped(StopCause::Shutdown));
    assert_eq!(case.engine.poll_timeout(), None);
}

#[test]
fn a_shutdown_with_nothing_to_stop_is_done_at_once_and_arms_no_timer() {
    let mut case = Case::of([simple("a"), target("all")]);
    let shutdown = case.shut_down(Some(60));
    assert!(case.has_ended(shutdown) && case.engine.is_down());
    assert_eq!(case.engine.poll_timeout(), None);
}

#[test]
fn when_the_time_is_up_everything_has_been_killed() {
    let mut case = Case::up(pair());
    case.shut_down(Some(4));
    case.after(secs(3));
    case.does(["web TERM all", "web KILL all", "db TERM all"]);
    case.after(secs(1));
    case.does(["db KILL all"]);
    case.dies("db", Signal::KILL);
    case.dies("web", Signal::KILL);
    assert!(case.engine.is_down());
    assert_eq!(case.engine.poll_timeout(), None);
}

#[test]
fn what_was_just_being_spawned_when_the_time_was_up_is_killed_when_it_is_there() {
    let mut case = Case::up([simple("db"), simple("web").after("db")]);
    case.restart_alone("db");
    case.dies("db", Signal::TERM);
    case.shut_down(Some(1));
    case.after(secs(1));
    case.does(["db TERM all", "db release", "db spawn", "web TERM all", "web KILL all"]);
    case.spawned("db");
    case.does(["db KILL all"]);
}

#[test]
fn a_second_shutdown_tightens_the_first_and_never_loosens_it() {
    let mut case = Case::up(pair());
    let first = case.shut_down(None);
    case.shut_down(Some(5));
    case.shut_down(Some(50));
    case.shut_down(None);
    case.after(millis(2_499));
    case.does(["web TERM all"]);
    case.after(millis(1));
    case.does(["web KILL all"]);
    case.dies("web", Signal::KILL);
    case.after(millis(2_500));
    case.does(["web release", "db TERM all", "db KILL all"]);
    assert!(!case.has_ended(first));
}

#[test]
fn a_forced_shutdown_kills_in_order() {
    let mut case = Case::up(pair());
    case.shut_down(None);
    case.request(Request::Shutdown { within: None, manner: Manner::Force });
    case.does(["web TERM all", "web KILL all"]);
    case.dies("web", Signal::KILL);
    case.does(["web release", "db KILL all"]);
}

#[test]
fn a_service_that_is_tried_again_is_down_at_once() {
    let mut case = Case::up([simple("a")]);
    case.exits("a", 1);
    case.is("a", Status::Backoff);
    case.shut_down(None);
    assert_eq!(case.state("a"), &State::Stopped(StopCause::Shutdown));
    assert!(case.engine.is_down());
}

#[test]
fn a_failure_stays_one() {
    let mut case = Case::up([simple("a").with(|spec| {
        spec.restart.policy = supervisor_engine::RestartPolicy::No;
    })]);
    case.exits("a", 1);
    case.shut_down(None);
    case.is("a", Status::Failed);
}

#[test]
fn what_is_stuck_does_not_hold_up_the_shutdown() {
    let mut case = Case::up(pair());
    let shutdown = case.shut_down(None);
    case.after(secs(20));
    case.does(["web TERM all", "web KILL all", "db TERM all"]);
    case.dies("db", Signal::TERM);
    assert!(case.has_ended(shutdown) && case.engine.is_down());
    case.came_to(shutdown, "web", &Outcome::Stuck);
    case.came_to(shutdown, "db", &Outcome::Stopped);
}
