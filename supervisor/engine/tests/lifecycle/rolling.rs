//! Rolling restarts: one at a time, in order, and no further than the first that fails.

use supervisor_engine::{FailReason, Outcome, RestartPolicy, Signal, Status};

use crate::case::{Case, Spec, notify, secs, simple};

fn three() -> [Spec; 3] {
    [notify("web1"), notify("web2"), notify("web3")]
}

/// Its stop and its start, until it says that it is ready.
fn is_restarted(case: &mut Case, name: &str) {
    case.dies(name, Signal::TERM);
    case.comes_up(name);
}

#[test]
fn each_is_up_again_before_the_next_goes_down() {
    let mut case = Case::up(three());
    let roll = case.roll("web1 web2 web3");
    case.does(["web1 TERM all"]);
    case.dies("web1", Signal::TERM);
    case.spawned("web1");
    case.does(["web1 release", "web1 spawn"]);
    case.says("web1", "READY");
    case.does(["web2 TERM all"]);
    case.came_to(roll, "web1", &Outcome::Restarted);
    is_restarted(&mut case, "web2");
    is_restarted(&mut case, "web3");
    case.came_to(roll, "web3", &Outcome::Restarted);
    assert!(case.has_ended(roll));
}

#[test]
fn one_that_settles_is_up_only_then() {
    let settling = |name| notify(name).with(|spec| spec.settle_time = secs(3));
    let mut case = Case::of([settling("web1"), settling("web2")]);
    case.boot();
    case.comes_up("web1");
    case.comes_up("web2");
    case.after(secs(3));
    case.actions();
    case.roll("web1 web2");
    is_restarted(&mut case, "web1");
    case.does(["web1 TERM all", "web1 release", "web1 spawn"]);
    case.after(secs(3));
    case.does(["web2 TERM all"]);
}

#[test]
fn they_go_in_the_order_of_starts_and_then_of_the_request() {
    let mut case = Case::up([simple("api").requires("db"), simple("db"), simple("b"), simple("a")]);
    case.roll("b api a db");
    let mut order = Vec::new();
    for _ in 0..4 {
        let actions = case.actions();
        let name = actions.iter().find_map(|action| action.strip_suffix(" TERM all"));
        let name = name.expect("somebody's turn has come").to_owned();
        is_restarted(&mut case, &name);
        order.push(name);
    }
    assert_eq!(order, ["b", "a", "db", "api"]);
}

#[test]
fn the_first_that_does_not_come_up_ends_it_and_the_rest_stays_up() {
    let mut case = Case::up(three());
    let roll = case.roll("web1 web2 web3");
    is_restarted(&mut case, "web1");
    case.dies("web2", Signal::TERM);
    case.spawned("web2");
    case.exits("web2", 1);
    case.came_to(roll, "web1", &Outcome::Restarted);
    assert!(matches!(case.outcome(roll, "web2"), Some(Outcome::Failed(FailReason::Ended(_)))));
    case.came_to(roll, "web3", &Outcome::NotTried);
    assert!(case.has_ended(roll));
    case.is("web3", Status::Running);
}

#[test]
fn one_that_dies_after_its_turn_ends_it() {
    let mut case = Case::up(three());
    let roll = case.roll("web1 web2 web3");
    is_restarted(&mut case, "web1");
    case.exits("web1", 1);
    is_restarted(&mut case, "web2");
    case.came_to(roll, "web2", &Outcome::Restarted);
    case.came_to(roll, "web3", &Outcome::NotTried);
}

#[test]
fn what_is_down_stays_down_unless_it_is_the_only_one() {
    let mut case = Case::up(three());
    case.stop("web1");
    case.dies("web1", Signal::TERM);
    let roll = case.roll("web1 web2");
    case.came_to(roll, "web1", &Outcome::AlreadyDown);
    is_restarted(&mut case, "web2");
    assert!(case.has_ended(roll));
    case.is("web1", Status::Stopped);
    let roll = case.roll("web1");
    case.comes_up("web1");
    case.came_to(roll, "web1", &Outcome::Started);
}

#[test]
fn a_stop_takes_one_out_whose_turn_has_not_come() {
    let mut case = Case::up(three());
    let roll = case.roll("web1 web2 web3");
    case.stop("web2");
    case.came_to(roll, "web2", &Outcome::Superseded);
    case.dies("web2", Signal::TERM);
    is_restarted(&mut case, "web1");
    is_restarted(&mut case, "web3");
    case.came_to(roll, "web3", &Outcome::Restarted);
    case.is("web2", Status::Stopped);
}

#[test]
fn a_restart_takes_one_out_and_is_waited_for() {
    let mut case = Case::up(three());
    let roll = case.roll("web1 web2 web3");
    case.restart("web2");
    case.came_to(roll, "web2", &Outcome::Superseded);
    is_restarted(&mut case, "web1");
    case.actions();
    case.dies("web2", Signal::TERM);
    case.does(["web2 release", "web2 spawn"]);
    case.comes_up("web2");
    case.does(["web3 TERM all"]);
}

#[test]
fn a_second_one_takes_over_and_takes_nobody_down_meanwhile() {
    let mut case = Case::up(three());
    let first = case.roll("web1 web2 web3");
    let second = case.roll("web2 web3 web1");
    case.does(["web1 TERM all"]);
    is_restarted(&mut case, "web1");
    case.came_to(first, "web1", &Outcome::Restarted);
    case.came_to(first, "web3", &Outcome::Superseded);
    case.does(["web1 release", "web1 spawn", "web2 TERM all"]);
    for name in ["web2", "web3", "web1"] {
        is_restarted(&mut case, name);
        case.came_to(second, name, &Outcome::Restarted);
    }
}

#[test]
fn dependents_are_left_alone() {
    let mut case =
        Case::up([simple("db1"), simple("db2"), simple("api").requires("db1").requires("db2")]);
    case.roll("db1 db2");
    case.dies("db1", Signal::TERM);
    case.is("api", Status::Running);
}

#[test]
fn nobody_goes_down_who_could_not_come_up_again() {
    let mut case = Case::up([simple("db"), notify("web1").requires("db"), notify("web2")]);
    case.stop_alone("db");
    case.dies("db", Signal::TERM);
    let roll = case.roll("web2 web1");
    is_restarted(&mut case, "web2");
    let db = FailReason::Dependency(case.id("db"));
    case.came_to(roll, "web1", &Outcome::Failed(db));
    case.is("web1", Status::Running);
}

#[test]
fn a_shutdown_ends_it() {
    let mut case = Case::up(three());
    let roll = case.roll("web1 web2 web3");
    case.shut_down(None);
    case.came_to(roll, "web1", &Outcome::Superseded);
    case.came_to(roll, "web3", &Outcome::Superseded);
    let late = case.roll("web1 web2");
    case.came_to(late, "web1", &Outcome::Superseded);
}

#[test]
fn one_that_gave_up_meanwhile_is_passed_over() {
    let fragile = notify("web2").with(|spec| spec.restart.policy = RestartPolicy::No);
    let mut case = Case::up([notify("web1"), fragile, notify("web3")]);
    let roll = case.roll("web1 web2 web3");
    case.exits("web2", 1);
    is_restarted(&mut case, "web1");
    case.came_to(roll, "web2", &Outcome::AlreadyDown);
    is_restarted(&mut case, "web3");
    case.came_to(roll, "web3", &Outcome::Restarted);
}
