//! Relations between services: who waits for whom, who goes with whom.

use supervisor_engine::{
    Cause, DependencyKind, FailReason, Goal, Outcome, RestartPolicy, Signal, State, Status,
    StopCause,
};

use crate::case::{Case, Spec, notify, oneshot, secs, simple, target};

/// `web` with one dependency on `db`.
fn pair(kind: DependencyKind) -> [Spec; 2] {
    [notify("db").with(|spec| spec.restart.policy = RestartPolicy::No), {
        simple("web").depends(kind, "db")
    }]
}

/// Columns of the table of dependencies: whether `start web` starts `db`, whether `web` waits for
/// it, whether `web` fails with it, whether `stop db` stops `web`, whether its death does.
#[test]
fn the_kinds_of_dependency_do_what_the_table_says() {
    use DependencyKind::{After, Before, BindsTo, PartOf, Requires, Wants};
    for (kind, pulls, waits, fails, stops_with, dies_with) in [
        (Requires, true, true, true, true, false),
        (Wants, true, true, false, false, false),
        (BindsTo, true, true, true, true, true),
        (PartOf, false, false, false, true, false),
        (After, false, true, false, false, false),
        (Before, false, false, false, false, false),
    ] {
        let mut case = Case::of(pair(kind));
        case.start("web");
        assert_eq!(case.status("db") == Status::Starting, pulls, "{kind:?} pulls");

        let mut case = Case::of(pair(kind));
        case.boot();
        assert_eq!(case.status("web") == Status::Waiting, waits, "{kind:?} waits");
        if kind != Before {
            case.spawn_fails("db");
            assert_eq!(case.status("web") == Status::Failed, fails, "{kind:?} fails");
        }

        let mut case = Case::up(pair(kind));
        case.stop("db");
        let goes_down = case.engine.service(case.id("web")).goal() != Goal::Up;
        assert_eq!(goes_down, stops_with, "{kind:?} stops with");

        let mut case = Case::up(pair(kind));
        case.exits("db", 1);
        assert_eq!(case.status("web") == Status::Stopping, dies_with, "{kind:?} dies with");
    }
}

#[test]
fn a_oneshot_that_ended_well_is_enough_also_if_it_does_not_remain() {
    let setup = || oneshot("setup").with(|spec| spec.remain_after_exit = false);
    let mut case = Case::of([setup(), simple("web").requires("setup")]);
    case.boot();
    case.spawned("setup");
    case.does(["setup spawn"]);
    case.exits("setup", 0);
    assert_eq!(case.status("setup"), Status::Exited);
    assert_eq!(case.status("web"), Status::Starting);

    let mut case = Case::of([setup(), simple("web").requires("setup")]);
    case.boot();
    case.spawned("setup");
    case.exits("setup", 1);
    assert_eq!(case.status("web"), Status::Failed);
}

#[test]
fn a_service_starts_when_all_that_it_requires_is_up() {
    let mut case = Case::of([simple("web").requires("a").requires("b"), notify("a"), notify("b")]);
    case.start("web");
    case.comes_up("b");
    case.does(["a spawn", "b spawn"]);
    case.comes_up("a");
    case.does(["web spawn"]);
}

#[test]
fn stops_run_in_reverse_and_starts_in_order() {
    let specs = || [simple("a"), simple("b").requires("a"), simple("c").requires("b")];
    let mut case = Case::of(specs());
    case.start("c");
    for name in ["a", "b", "c"] {
        case.spawned(name);
    }
    case.does(["a spawn", "b spawn", "c spawn"]);
    case.stop("a");
    for name in ["c", "b", "a"] {
        case.dies(name, Signal::TERM);
    }
    case.does(["c TERM all", "c release", "b TERM all", "b release", "a TERM all", "a release"]);
    assert_eq!(case.state("b"), &State::Stopped(StopCause::StoppedWith(case.id("a"))));
}

#[test]
fn before_is_after_the_other_way_round() {
    let mut case = Case::of([simple("early").before("late"), simple("late")]);
    case.boot();
    case.does(["early spawn"]);
    case.spawned("early");
    case.does(["late spawn"]);
    case.spawned("late");
    case.shut_down(None);
    case.does(["late TERM all"]);
}

#[test]
fn order_alone_starts_nothing_and_stops_nothing() {
    let mut case = Case::of([simple("web").after("db"), simple("db")]);
    case.start("web");
    case.spawned("web");
    case.does(["web spawn"]);
    case.is("db", Status::Stopped);
    case.start("db");
    case.spawned("db");
    case.stop("db");
    case.is("web", Status::Running);
}

#[test]
fn a_requirement_without_order_starts_both_at_once() {
    let mut case = Case::of([simple("web").requires("db").unordered(), simple("db")]);
    case.start("web");
    case.does(["web spawn", "db spawn"]);
}

#[test]
fn what_is_only_wanted_may_fail() {
    let db = notify("db").with(|spec| spec.restart.policy = RestartPolicy::No);
    let mut case = Case::of([simple("web").wants("db"), db]);
    let start = case.start("web");
    case.does(["db spawn"]);
    case.spawn_fails("db");
    case.does(["db release", "web spawn"]);
    case.spawned("web");
    case.came_to(start, "web", &Outcome::Started);
    assert!(matches!(case.outcome(start, "db"), Some(Outcome::Failed(_))));
}

#[test]
fn who_merely_wants_a_service_does_not_wait_for_its_second_try() {
    let mut case = Case::of([simple("web").wants("db"), notify("db")]);
    case.start("web");
    case.spawn_fails("db");
    case.is("db", Status::Backoff);
    case.is("web", Status::Starting);
}

#[test]
fn nor_for_one_that_waits_for_a_second_try() {
    let specs = [simple("db"), simple("web").requires("db"), simple("log").after("web")];
    let mut case = Case::of(specs);
    let boot = case.boot();
    case.spawn_fails("db");
    case.is("web", Status::Waiting);
    case.is("log", Status::Starting);
    case.spawned("log");
    assert!(case.has_ended(boot));
}

#[test]
fn who_requires_a_service_waits_for_its_second_try_but_the_request_has_its_answer() {
    let mut case = Case::of([simple("web").requires("db"), notify("db")]);
    let start = case.start("web");
    case.spawn_fails("db");
    case.is("web", Status::Waiting);
    let reason = FailReason::Dependency(case.id("db"));
    case.came_to(start, "web", &Outcome::Failed(reason));
    assert!(case.has_ended(start));
    case.after(secs(1));
    case.comes_up("db");
    case.is("web", Status::Starting);
}

#[test]
fn a_failure_goes_up_the_whole_chain() {
    let a = simple("a").with(|spec| spec.restart.policy = RestartPolicy::No);
    let mut case = Case::of([a, simple("b").requires("a"), simple("c").requires("b")]);
    let start = case.start("c");
    case.spawn_fails("a");
    case.is("c", Status::Failed);
    case.came_to(start, "c", &Outcome::Failed(FailReason::Dependency(case.id("b"))));
}

#[test]
fn a_required_service_that_dies_and_comes_back_leaves_its_dependents_alone() {
    let mut case = Case::up([simple("web").requires("db"), simple("db")]);
    case.exits("db", 1);
    case.after(secs(1));
    case.spawned("db");
    case.does(["db release", "db spawn"]);
    case.is("web", Status::Running);
}

#[test]
fn what_is_bound_to_a_service_that_is_started_again_comes_back_with_it() {
    let mut case = Case::up([simple("web").binds_to("db"), simple("db")]);
    case.exits("db", 1);
    case.does(["db release", "web TERM all"]);
    case.dies("web", Signal::TERM);
    case.is("web", Status::Waiting);
    case.after(secs(1));
    case.spawned("db");
    case.does(["web release", "db spawn", "web spawn"]);
}

#[test]
fn what_is_bound_to_a_service_that_ended_for_good_stays_down() {
    for code in [0, 1] {
        let db = simple("db").with(|spec| spec.restart.policy = RestartPolicy::No);
        let mut case = Case::up([simple("web").binds_to("db"), db, simple("ui").requires("web")]);
        case.exits("db", code);
        case.does(["db release", "ui TERM all"]);
        case.dies("ui", Signal::TERM);
        case.dies("web", Signal::TERM);
        let bound = StopCause::BoundTo(case.id("db"));
        assert_eq!(case.state("web"), &State::Stopped(bound));
    }
}

#[test]
fn what_is_bound_to_a_service_that_fails_by_its_own_dependency_goes_down_too() {
    let disk = simple("disk").with(|spec| spec.restart.policy = RestartPolicy::No);
    let mut case = Case::up([simple("web").binds_to("db"), simple("db").requires("disk"), disk]);
    case.exits("disk", 1);
    case.restart_alone("db");
    case.is("web", Status::Running);
    case.does(["disk release", "db TERM all", "disk spawn"]);
    case.spawn_fails("disk");
    case.dies("db", Signal::TERM);
    case.is("db", Status::Failed);
    case.is("web", Status::Stopping);
}

#[test]
fn what_is_part_of_a_service_goes_and_comes_with_it_in_no_order() {
    let mut case = Case::up([simple("helper").part_of("web"), simple("web")]);
    case.restart("web");
    case.does(["helper TERM all", "web TERM all"]);
    case.dies("web", Signal::TERM);
    case.does(["web release", "web spawn"]);
    case.dies("helper", Signal::TERM);
    case.does(["helper release", "helper spawn"]);
    case.stop("helper");
    case.is("web", Status::Starting);
}

#[test]
fn a_start_waits_for_the_stop_of_what_it_comes_after() {
    let mut case = Case::up([simple("a"), simple("b").after("a")]);
    case.stop("a b");
    case.dies("b", Signal::TERM);
    case.does(["b TERM all", "b release", "a TERM all"]);
    case.start("b");
    case.does([]);
    case.dies("a", Signal::TERM);
    case.does(["a release", "b spawn"]);
}

#[test]
fn nobody_waits_for_what_is_stuck() {
    let specs = [simple("a"), simple("b").requires("a"), simple("c").requires("b")];
    let mut case = Case::up(specs);
    let stop = case.stop("b");
    case.dies("c", Signal::TERM);
    case.after(secs(20));
    case.came_to(stop, "b", &Outcome::Stuck);
    case.actions();

    let start = case.start("c");
    case.came_to(start, "c", &Outcome::Failed(FailReason::Dependency(case.id("b"))));
    assert!(case.has_ended(start));

    let stop = case.stop("a");
    case.does(["a TERM all"]);
    case.dies("a", Signal::TERM);
    case.came_to(stop, "a", &Outcome::Stopped);
}

#[test]
fn targets_pass_starts_and_stops_on() {
    let specs = [simple("a"), target("net").requires("a"), simple("web").requires("net")];
    let mut case = Case::up(specs);
    case.stop("a");
    case.dies("web", Signal::TERM);
    case.does(["web TERM all", "web release", "a TERM all"]);
    case.is("net", Status::Stopped);
}

#[test]
fn a_oneshot_that_was_undone_is_done_again_for_its_dependents() {
    let mut case = Case::up([oneshot("mount"), simple("web").requires("mount")]);
    case.restart("mount");
    case.dies("web", Signal::TERM);
    case.does(["web TERM all", "web release", "mount release", "mount spawn"]);
    case.comes_up("mount");
    case.does(["web spawn"]);
    assert!(case.transitions.iter().any(|change| change.cause == Cause::Cycle));
}
