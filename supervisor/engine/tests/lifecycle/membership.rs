//! Services that come and go while the engine runs.

use supervisor_engine::{
    Dependency, DependencyKind, Kind, Outcome, Scaling, ServiceSpec, Signal, Status, StopCause,
    Until,
};

use crate::case::{Case, notify, simple};

#[test]
fn a_service_that_is_added_starts_when_it_is_asked_to() {
    let mut case = Case::up([simple("web1")]);
    case.revise([simple("web2"), simple("web3")]);
    case.does([]);
    let started = case.scale(Scaling::Start, "web2");
    let added = case.scale(Scaling::Add, "web3");
    let kept = case.scale(Scaling::Keep, "web1");
    case.does(["web2 spawn"]);
    case.came_to(added, "web3", &Outcome::Added);
    case.came_to(kept, "web1", &Outcome::Unchanged);
    case.comes_up("web2");
    case.came_to(started, "web2", &Outcome::Started);
    case.is("web3", Status::Stopped);
}

#[test]
fn what_waits_for_a_group_waits_for_who_comes_to_it() {
    let mut case = Case::of([simple("api").requires("web1"), notify("web1")]);
    case.boot();
    case.revise([simple("api").requires("web1").requires("web2"), notify("web2")]);
    case.scale(Scaling::Start, "web2");
    case.comes_up("web1");
    case.is("api", Status::Waiting);
    case.comes_up("web2");
    case.is("api", Status::Starting);
}

#[test]
fn what_is_up_already_stops_before_who_comes_to_its_group() {
    let mut case = Case::up([simple("api").requires("web1"), simple("web1")]);
    case.revise([simple("api").requires("web1").requires("web2"), simple("web2")]);
    case.scale(Scaling::Start, "web2");
    case.comes_up("web2");
    case.actions();
    case.shut_down(None);
    case.does(["api TERM all"]);
    case.dies("api", Signal::TERM);
    case.does(["api release", "web1 TERM all", "web2 TERM all"]);
}

#[test]
fn a_removed_service_is_stopped_and_then_not_there() {
    let mut case = Case::up([simple("api").requires("web1"), simple("web1"), simple("web2")]);
    let scale = case.scale(Scaling::Remove, "web2");
    case.is("web2", Status::Stopping);
    assert_eq!(case.outcome(scale, "web2"), None);
    case.dies("web2", Signal::TERM);
    case.came_to(scale, "web2", &Outcome::Removed);
    let left: Vec<_> = case.engine.services().map(|(id, _)| id).collect();
    assert_eq!(left, case.ids("api web1"));
    case.is("api", Status::Running);
}

#[test]
fn what_is_down_goes_at_once() {
    let mut case = Case::of([simple("web1"), simple("web2")]);
    let scale = case.scale(Scaling::Remove, "web2");
    case.came_to(scale, "web2", &Outcome::Removed);
    let told = case.transitions.last().expect("observers are told");
    assert_eq!((told.service, told.to), (case.id("web2"), Status::Stopped));
    assert!(case.engine.service(case.id("web2")).is_removed());
}

#[test]
fn one_that_waits_to_be_tried_again_goes_at_once() {
    let mut case = Case::up([simple("web1")]);
    case.exits("web1", 1);
    case.is("web1", Status::Backoff);
    let scale = case.scale(Scaling::Remove, "web1");
    case.came_to(scale, "web1", &Outcome::Removed);
    assert_eq!(case.engine.poll_timeout(), None);
}

#[test]
fn nobody_starts_what_is_leaving_but_it_can_be_forced_to_go() {
    let mut case = Case::up([simple("web1")]);
    let scale = case.scale(Scaling::Remove, "web1");
    for request in [case.start("web1"), case.restart("web1"), case.roll("web1")] {
        case.came_to(request, "web1", &Outcome::Superseded);
    }
    case.actions();
    case.force_stop("web1");
    case.does(["web1 KILL all"]);
    case.dies("web1", Signal::KILL);
    case.came_to(scale, "web1", &Outcome::Removed);
    assert!(case.engine.service(case.id("web1")).is_removed());
    let late = case.start("web1");
    case.came_to(late, "web1", &Outcome::Superseded);
    case.does(["web1 release"]);
}

#[test]
fn what_was_removed_comes_back_to_its_place_as_if_it_was_new() {
    let mut case = Case::up([simple("web1"), simple("web2")]);
    case.exits("web2", 1);
    case.scale(Scaling::Remove, "web2");
    case.revise([notify("web2")]);
    let scale = case.scale(Scaling::Start, "web2");
    case.comes_up("web2");
    case.came_to(scale, "web2", &Outcome::Started);
    let service = case.engine.service(case.id("web2"));
    assert_eq!((service.spec().kind, service.last_exit()), (Kind::Notify, None));
}

#[test]
fn one_that_is_leaving_comes_back_when_it_is_down() {
    let mut case = Case::up([simple("web1")]);
    let removal = case.scale(Scaling::Remove, "web1");
    case.revise([simple("web1")]);
    let back = case.scale(Scaling::Start, "web1");
    case.came_to(removal, "web1", &Outcome::Superseded);
    case.dies("web1", Signal::TERM);
    case.comes_up("web1");
    case.came_to(back, "web1", &Outcome::Started);
}

#[test]
fn a_removed_service_is_in_nobodys_way() {
    let mut case = Case::up([simple("db"), simple("web1").requires("db")]);
    case.scale(Scaling::Remove, "web1");
    case.dies("web1", Signal::TERM);
    case.revise([simple("db")]);
    case.actions();
    let stop = case.stop("db");
    case.does(["db TERM all"]);
    case.dies("db", Signal::TERM);
    assert_eq!(case.engine.operation(stop).map(|stop| stop.items.len()), Some(1));
}

#[test]
fn a_shutdown_takes_those_that_are_leaving_along() {
    let mut case = Case::up([simple("web1"), simple("web2")]);
    case.scale(Scaling::Remove, "web2");
    case.shut_down(None);
    case.dies("web2", Signal::TERM);
    case.dies("web1", Signal::TERM);
    assert!(case.engine.is_down());
    assert_eq!(case.state("web2"), &supervisor_engine::State::Stopped(StopCause::Removed));
}

#[test]
fn a_cycle_changes_nothing() {
    let mut case = Case::up([simple("web1"), simple("web2").requires("web1")]);
    let mut spec = ServiceSpec::new("web1", Kind::Simple);
    let on = case.id("web2");
    spec.dependencies.push(Dependency {
        kind: DependencyKind::After,
        on,
        until: Some(Until::Ready),
    });
    let cycles = case.engine.revise(vec![(case.id("web1"), spec)]).expect_err("it has a cycle");
    assert_eq!(cycles.len(), 1);
    let web1 = case.id("web1");
    assert!(case.engine.graph().predecessors(web1).is_empty());
    assert!(case.engine.service(web1).spec().dependencies.is_empty());
}
