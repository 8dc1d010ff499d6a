//! What requests come to: every operation ends, and each service of it with the right result.

use supervisor_engine::{
    ENDED_OPERATIONS_KEPT, Ending, Exit, FailReason, Goal, Manner, Outcome, Request, RestartPolicy,
    Signal, Status, Verb,
};

use crate::case::{Case, notify, secs, simple};

#[test]
fn what_is_so_already_ends_at_once() {
    let mut case = Case::of([simple("a")]);
    let stop = case.stop("a");
    case.came_to(stop, "a", &Outcome::AlreadyDown);
    case.start("a");
    case.spawned("a");
    let start = case.start("a");
    case.came_to(start, "a", &Outcome::AlreadyUp);
    assert!(case.has_ended(stop) && case.has_ended(start));
}

#[test]
fn a_request_that_names_nothing_ends_at_once() {
    let mut case = Case::of([simple("a").with(|spec| spec.enabled = false)]);
    for request in [Request::Boot, Request::Start(vec![]), Request::Reload(vec![])] {
        let operation = case.request(request);
        assert!(case.has_ended(operation));
    }
    case.does([]);
}

#[test]
fn a_service_that_is_named_twice_is_one_item() {
    let mut case = Case::of([simple("a")]);
    let start = case.start("a a");
    assert_eq!(case.engine.operation(start).map(|start| start.items.len()), Some(1));
}

#[test]
fn what_is_named_and_pulled_in_by_another_is_one_item() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    case.stop("web");
    case.dies("web", Signal::TERM);
    let restart = case.restart("db web");
    assert_eq!(case.engine.operation(restart).map(|restart| restart.items.len()), Some(2));
    case.dies("db", Signal::TERM);
    case.spawned("db");
    case.spawned("web");
    case.came_to(restart, "db", &Outcome::Restarted);
    case.came_to(restart, "web", &Outcome::Started);
}

#[test]
fn an_operation_knows_what_was_asked_and_what_was_pulled_in() {
    let mut case = Case::of([simple("web").requires("db"), simple("db")]);
    let start = case.start("web");
    let operation = case.engine.operation(start).expect("it runs");
    let named: Vec<_> = operation.items.iter().map(|item| item.named).collect();
    assert_eq!((operation.verb, operation.ended, named), (Verb::Start, None, vec![true, false]));
    case.spawned("db");
    case.after(secs(1));
    case.spawned("web");
    assert_eq!(case.engine.operation(start).and_then(|start| start.ended), Some(case.now));
}

#[test]
fn a_stop_supersedes_a_start_and_the_other_way_round() {
    let mut case = Case::of([notify("db")]);
    let start = case.start("db");
    let stop = case.stop("db");
    case.came_to(start, "db", &Outcome::Superseded);
    let again = case.start("db");
    case.came_to(stop, "db", &Outcome::Superseded);
    case.comes_up("db");
    case.came_to(again, "db", &Outcome::Started);
    case.does(["db spawn"]);
}

#[test]
fn a_start_during_a_stop_comes_up_after_it() {
    let mut case = Case::up([simple("a")]);
    case.stop("a");
    let start = case.start("a");
    case.dies("a", Signal::TERM);
    case.does(["a TERM all", "a release", "a spawn"]);
    case.spawned("a");
    case.came_to(start, "a", &Outcome::Started);
}

#[test]
fn a_stop_that_has_not_begun_is_called_off_by_a_start() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    let stop = case.stop("db");
    let start = case.start("db");
    case.came_to(start, "db", &Outcome::AlreadyUp);
    case.came_to(stop, "db", &Outcome::Superseded);
    case.dies("web", Signal::TERM);
    case.came_to(stop, "web", &Outcome::Stopped);
    case.does(["web TERM all", "web release"]);
    case.is("db", Status::Running);
}

#[test]
fn a_restart_goes_down_and_up_with_its_dependents_in_order() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    let restart = case.restart("db");
    case.dies("web", Signal::TERM);
    case.dies("db", Signal::TERM);
    case.spawned("db");
    assert_eq!(case.outcome(restart, "web"), None);
    case.spawned("web");
    case.does([
        "web TERM all",
        "web release",
        "db TERM all",
        "db release",
        "db spawn",
        "web spawn",
    ]);
    case.came_to(restart, "db", &Outcome::Restarted);
    case.came_to(restart, "web", &Outcome::Restarted);
}

#[test]
fn without_dependents_only_what_was_named_moves() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    case.restart_alone("db");
    case.dies("db", Signal::TERM);
    case.spawned("db");
    case.stop_alone("db");
    case.does(["db TERM all", "db release", "db spawn", "db TERM all"]);
    case.is("web", Status::Running);
}

#[test]
fn a_restart_of_what_is_down_starts_it_but_not_its_dependents() {
    let mut case = Case::of([simple("db"), simple("web").requires("db")]);
    let restart = case.restart("db");
    case.spawned("db");
    case.came_to(restart, "db", &Outcome::Started);
    case.does(["db spawn"]);
}

#[test]
fn a_restart_starts_what_it_needs_if_that_is_down_or_going_down() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    case.stop_alone("db");
    let restart = case.restart("web");
    case.dies("db", Signal::TERM);
    case.dies("web", Signal::TERM);
    case.spawned("db");
    case.spawned("web");
    case.came_to(restart, "web", &Outcome::Restarted);
    case.came_to(restart, "db", &Outcome::Started);
}

#[test]
fn a_restart_of_what_waits_to_be_stopped_restarts_it() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    let stop = case.stop("db");
    let restart = case.restart("db");
    case.came_to(stop, "db", &Outcome::Superseded);
    case.dies("web", Signal::TERM);
    case.dies("db", Signal::TERM);
    case.spawned("db");
    case.came_to(restart, "db", &Outcome::Restarted);
    case.is("web", Status::Stopped);
}

#[test]
fn a_start_during_a_restart_that_waits_ends_with_the_restart() {
    let mut case = Case::up([notify("db"), simple("web").requires("db")]);
    let (restart, start) = (case.restart("db"), case.start("db"));
    case.says("db", "RELOADING");
    case.says("db", "READY");
    assert_eq!((case.outcome(restart, "db"), case.outcome(start, "db")), (None, None));
    case.dies("web", Signal::TERM);
    case.dies("db", Signal::TERM);
    case.comes_up("db");
    assert!(case.has_ended(start));
}

#[test]
fn a_restart_that_fails_says_why() {
    let db = simple("db").with(|spec| spec.restart.policy = RestartPolicy::No);
    let mut case = Case::up([db, simple("web").requires("db")]);
    let restart = case.restart("db");
    case.dies("web", Signal::TERM);
    case.dies("db", Signal::TERM);
    case.spawn_fails("db");
    assert!(matches!(case.outcome(restart, "db"), Some(Outcome::Failed(FailReason::Ended(_)))));
    let reason = FailReason::Dependency(case.id("db"));
    case.came_to(restart, "web", &Outcome::Failed(reason));
}

#[test]
fn requests_end_also_while_what_they_wait_for_fails_again_and_again() {
    let db = simple("db").with(|spec| spec.restart.limit_burst = 0);
    let mut case = Case::up([db, simple("web").requires("db")]);
    case.exits("db", 1);
    let restart = case.restart("web");
    case.dies("web", Signal::TERM);
    case.after(secs(1));
    case.spawn_fails("db");
    let reason = FailReason::Dependency(case.id("db"));
    case.came_to(restart, "web", &Outcome::Failed(reason));
    case.is("web", Status::Waiting);
}

#[test]
fn so_do_requests_for_what_waits_at_the_end_of_a_chain() {
    let db = simple("db").with(|spec| spec.restart.limit_burst = 0);
    let mut case = Case::of([db, simple("app").requires("db"), simple("web").requires("app")]);
    case.start("web");
    case.spawn_fails("db");
    let restart = case.restart("web");
    case.after(secs(1));
    case.spawn_fails("db");
    let reason = FailReason::Dependency(case.id("app"));
    case.came_to(restart, "web", &Outcome::Failed(reason));
}

#[test]
fn a_start_ends_with_the_first_try_and_the_service_goes_on_trying() {
    let mut case = Case::of([simple("a").with(|spec| spec.probed = true)]);
    let start = case.start("a");
    case.spawned("a");
    case.exits("a", 4);
    let reason = FailReason::Ended(Ending::Exited(Exit::Code(4)));
    case.came_to(start, "a", &Outcome::Failed(reason));
    case.is("a", Status::Backoff);
    assert_eq!(case.engine.service(case.id("a")).goal(), Goal::Up);
}

#[test]
fn what_has_ended_can_be_looked_up_until_many_others_have() {
    let mut case = Case::of([simple("a")]);
    let first = case.stop("a");
    for _ in 1..ENDED_OPERATIONS_KEPT {
        case.stop("a");
    }
    assert!(case.engine.operation(first).is_some());
    case.stop("a");
    assert!(case.engine.operation(first).is_none());
}

#[test]
fn an_operation_can_be_looked_up_when_its_end_is_told_however_many_end_at_once() {
    let mut case = Case::of([notify("a")]);
    let starts: Vec<_> = (0..2 * ENDED_OPERATIONS_KEPT).map(|_| case.start("a")).collect();
    let mut engine = case.engine;
    engine.request(Request::Shutdown { within: None, manner: Manner::Force }, case.now);
    let mut told = 0;
    while let Some(ended) = engine.poll_ended() {
        assert!(engine.operation(ended).is_some());
        told += usize::from(starts.contains(&ended));
    }
    assert_eq!(told, starts.len());
}

#[test]
fn only_some_outcomes_mean_that_what_was_asked_for_is_true() {
    for (outcome, ok) in [
        (Outcome::Started, true),
        (Outcome::AlreadyUp, true),
        (Outcome::Stopped, true),
        (Outcome::AlreadyDown, true),
        (Outcome::Restarted, true),
        (Outcome::Reloaded, true),
        (Outcome::Signalled, true),
        (Outcome::Reset, true),
        (Outcome::Failed(FailReason::StartLimit), false),
        (Outcome::NotRunning, false),
        (Outcome::CannotReload, false),
        (Outcome::ReloadFailed(Exit::Code(1)), false),
        (Outcome::ReloadNotStarted(crate::case::error("exec")), false),
        (Outcome::ReloadTimeout, false),
        (Outcome::Stuck, false),
        (Outcome::Superseded, false),
    ] {
        assert_eq!(outcome.is_ok(), ok, "{outcome:?}");
    }
}
