//! A restart without a gap: the new process comes up beside the old one and takes its place.

use supervisor_engine::{
    Cause, Ending, Exit, FailReason, Failure, Invocation, Manner, ModeId, Outcome, Overlap,
    PlanKind, Process, ReloadHow, ReloadSpec, Report, Request, RestartMode, RestartPolicy, Scaling,
    Signal, Status, StopCause,
};

use crate::case::{Case, Spec, error, millis, notify, secs, signal, simple};

fn overlapping(spec: Spec) -> Spec {
    spec.with(|spec| spec.restart.mode = RestartMode::Overlap)
}

fn web() -> Spec {
    overlapping(notify("web"))
}

/// How a new process does not come up.
type Fail = fn(&mut Case);

/// All of an old invocation ends.
fn ends(case: &mut Case, old: Invocation) {
    let exit = Exit::Code(0);
    case.report_of(old, Report::Exited { process: Process::Main, exit, remaining: false });
}

#[track_caller]
fn has(case: &Case, doing: Option<Overlap>) {
    assert_eq!(case.engine.overlap(case.id("web")).map(|(doing, _)| doing), doing);
}

#[test]
fn the_new_process_is_up_before_the_old_one_stops() {
    let mut case =
        Case::up([web(), simple("app").requires("web"), simple("bound").binds_to("web")]);
    for (new, place) in [("'", ""), ("", "'")] {
        let old = case.invocation("web");
        let restart = case.restart("web");
        assert_eq!(case.actions(), [format!("web{new} spawn")]);
        case.is("web", Status::Running);
        has(&case, Some(Overlap::Starting));
        case.spawned("web");
        case.does([]);
        case.says("web", "READY");
        assert_eq!(case.actions(), [format!("web{place} TERM all")]);
        has(&case, Some(Overlap::Stopping));
        assert_eq!(case.state("web").invocation(), Some(case.invocation("web")));
        assert!(!case.has_ended(restart), "the old one is still there");
        ends(&mut case, old);
        assert_eq!(case.actions(), [format!("web{place} release")]);
        case.came_to(restart, "web", &Outcome::Restarted);
        has(&case, None);
    }
    let of_web = case.transitions.iter().filter(|change| !change.companion);
    let seen: Vec<_> = of_web.map(|change| (change.from, change.to, &change.cause)).collect();
    let replaced = (Status::Running, Status::Running, &Cause::Replaced);
    assert_eq!(seen, [replaced, replaced]);
}

#[test]
fn both_processes_are_told_of_under_the_name_of_the_service() {
    let mut case = Case::up([web()]);
    let old = case.invocation("web");
    case.restart("web");
    case.comes_up("web");
    ends(&mut case, old);
    let told: Vec<_> = case
        .transitions
        .iter()
        .map(|change| (change.companion, change.invocation == Some(old), change.to))
        .collect();
    assert_eq!(
        told,
        [
            (true, false, Status::Waiting),
            (true, false, Status::Starting),
            (true, false, Status::Starting),
            (true, false, Status::Running),
            (false, false, Status::Running),
            (true, true, Status::Stopping),
            (true, true, Status::Stopped),
        ]
    );
    let run = case.transitions.last().and_then(|change| change.ended.as_ref());
    assert_eq!(run.map(|run| run.invocation), Some(old));
    assert!(case.transitions.iter().all(|change| change.service == case.id("web")));
}

#[test]
fn a_new_process_that_does_not_come_up_changes_nothing() {
    let reasons: [(Fail, Ending); 3] = [
        (|case| case.spawn_fails("web"), Ending::SpawnFailed(error("exec"))),
        (
            |case| {
                case.spawned("web");
                case.exits("web", 3);
            },
            Ending::Exited(Exit::Code(3)),
        ),
        (
            |case| {
                case.spawned("web");
                case.after(secs(90));
                case.dies("web", Signal::TERM);
            },
            Ending::StartTimeout,
        ),
    ];
    for (fail, ending) in reasons {
        let mut case = Case::up([web(), simple("app").binds_to("web")]);
        let old = case.state("web").clone();
        let restart = case.restart("web");
        fail(&mut case);
        case.came_to(restart, "web", &Outcome::Failed(FailReason::Ended(ending)));
        assert_eq!(case.state("web"), &old);
        has(&case, None);
        assert!(case.transitions.iter().all(|change| change.companion));
        case.after(secs(100));
        case.restart("web");
        case.comes_up("web");
        case.is("web", Status::Running);
        assert_ne!(case.state("web"), &old, "the next one is tried afresh");
    }
}

#[test]
fn a_stop_ends_the_new_process_too() {
    let mut case = Case::up([web()]);
    let old = case.invocation("web");
    let restart = case.restart("web");
    case.spawned("web");
    let stop = case.stop("web");
    case.does(["web' spawn", "web TERM all", "web' TERM all"]);
    case.came_to(restart, "web", &Outcome::Superseded);
    ends(&mut case, old);
    case.is("web", Status::Stopped);
    assert!(!case.has_ended(stop), "the new one is still there");
    case.exits("web", 0);
    case.came_to(stop, "web", &Outcome::Stopped);
}

#[test]
fn a_stop_waits_for_the_old_process_too_and_so_does_what_it_requires() {
    let mut case = Case::up([simple("db"), web().requires("db")]);
    let old = case.invocation("web");
    case.restart("web");
    case.comes_up("web");
    let stop = case.stop("db");
    case.exits("web", 0);
    case.is("web", Status::Stopped);
    case.is("db", Status::Running);
    ends(&mut case, old);
    case.is("db", Status::Stopping);
    case.came_to(stop, "web", &Outcome::Stopped);
}

#[test]
fn a_restart_of_what_it_requires_waits_for_the_old_process() {
    let mut case = Case::up([simple("db"), web().requires("db")]);
    let old = case.invocation("web");
    case.restart("web");
    case.comes_up("web");
    case.restart("db");
    case.exits("web", 0);
    case.is("db", Status::Running);
    ends(&mut case, old);
    case.is("db", Status::Stopping);
}

#[test]
fn a_shutdown_ends_both_and_ends_with_the_last() {
    let mut case = Case::up([web().stops_by([signal(Signal::TERM, 100)])]);
    let old = case.invocation("web");
    case.restart("web");
    case.spawned("web");
    let shutdown = case.shut_down(Some(5));
    ends(&mut case, old);
    assert!(!case.engine.is_down());
    case.after(secs(5));
    case.does(["web' spawn", "web TERM all", "web' TERM all", "web release", "web' KILL all"]);
    case.dies("web", Signal::KILL);
    assert!(case.engine.is_down());
    case.came_to(shutdown, "web", &Outcome::Stopped);
}

#[test]
fn the_new_process_takes_over_at_once_when_the_old_one_dies() {
    let mut case =
        Case::up([web(), simple("app").requires("web"), simple("bound").binds_to("web")]);
    let old = case.invocation("web");
    let restart = case.restart("web");
    case.spawned("web");
    let exit = Exit::Code(1);
    case.report_of(old, Report::Exited { process: Process::Main, exit, remaining: true });
    case.is("web", Status::Starting);
    assert_eq!(case.state("web").invocation(), Some(case.invocation("web")));
    case.is("app", Status::Running);
    case.is("bound", Status::Stopping);
    case.says("web", "READY");
    assert!(!case.has_ended(restart), "something of the old one is still there");
    case.report_of(old, Report::Emptied);
    case.came_to(restart, "web", &Outcome::Restarted);
    case.exits("bound", 0);
    case.is("bound", Status::Starting);
    case.after(secs(10));
    case.does([
        "web' spawn",
        "web TERM all",
        "bound TERM all",
        "web release",
        "bound release",
        "bound spawn",
    ]);
}

#[test]
fn one_that_dies_while_the_new_one_waits_restarts_as_any_other() {
    let mut case = Case::up([overlapping(simple("web")).requires("db"), simple("db")]);
    case.exits("db", 1);
    let restart = case.restart("web");
    has(&case, Some(Overlap::Waiting));
    case.exits("web", 1);
    has(&case, None);
    case.is("web", Status::Backoff);
    let failed = FailReason::Ended(Ending::Exited(Exit::Code(1)));
    case.came_to(restart, "web", &Outcome::Failed(failed));
    case.after(millis(100));
    case.comes_up("db");
    case.comes_up("web");
    case.is("web", Status::Running);
    has(&case, None);
}

#[test]
fn the_new_process_waits_for_what_the_service_requires() {
    let mut case = Case::up([web().requires("db"), simple("db")]);
    case.stop_alone("db");
    case.exits("db", 0);
    case.actions();
    let restart = case.restart("web");
    case.does(["db spawn"]);
    has(&case, Some(Overlap::Waiting));
    case.spawned("db");
    case.does(["web' spawn"]);
    case.spawn_fails("web");
    assert!(case.has_ended(restart));
}

#[test]
fn a_restart_asked_for_twice_is_one_and_a_later_one_waits_for_the_old_process() {
    let mut case = Case::up([web()]);
    let first = case.invocation("web");
    let one = case.restart("web");
    let same = case.restart("web");
    case.comes_up("web");
    case.does(["web' spawn", "web TERM all"]);
    let second = case.invocation("web");
    let other = case.restart("web");
    case.does([]);
    ends(&mut case, first);
    case.came_to(one, "web", &Outcome::Restarted);
    case.came_to(same, "web", &Outcome::Restarted);
    assert!(!case.has_ended(other));
    case.does(["web release", "web spawn"]);
    case.comes_up("web");
    ends(&mut case, second);
    case.came_to(other, "web", &Outcome::Restarted);
}

#[test]
fn an_old_process_that_cannot_be_killed_ends_the_restart_and_the_next_one() {
    let mut case = Case::up([web()]);
    let restart = case.restart("web");
    case.comes_up("web");
    case.after(secs(100));
    case.came_to(restart, "web", &Outcome::Stuck);
    let next = case.restart("web");
    case.came_to(next, "web", &Outcome::Stuck);
    case.is("web", Status::Running);
}

#[test]
fn signals_go_to_the_process_that_is_the_service_and_reloads_to_the_one_that_will_be() {
    let how = ReloadHow::Signal(Signal::HUP);
    let reloads =
        |spec: Spec| spec.with(|spec| spec.reload = Some(ReloadSpec { how, timeout: None }));
    let mut case = Case::up([reloads(web())]);
    case.restart("web");
    case.spawned("web");
    let reload = case.reload("web");
    let (services, signal) = (case.ids("web"), Signal::USR1);
    case.request(Request::Signal { services: services.clone(), signal });
    case.does(["web' spawn", "web USR1 main"]);
    case.says("web", "READY");
    case.request(Request::Signal { services, signal });
    case.does(["web' HUP main", "web TERM all", "web' USR1 main"]);
    case.came_to(reload, "web", &Outcome::Reloaded);

    let mut case = Case::up([reloads(web())]);
    case.restart("web");
    case.spawned("web");
    let reload = case.reload("web");
    case.exits("web", 1);
    case.does(["web' spawn", "web' release", "web HUP main"]);
    case.came_to(reload, "web", &Outcome::Reloaded);
}

#[test]
fn a_reload_under_way_is_done_by_the_new_process() {
    let how = ReloadHow::Command;
    let spec = web().with(|spec| spec.reload = Some(ReloadSpec { how, timeout: None }));
    let mut case = Case::up([spec]);
    let reload = case.reload("web");
    case.restart("web");
    case.comes_up("web");
    case.came_to(reload, "web", &Outcome::Reloaded);
    case.does(["web reload-command", "web' spawn", "web KILL command", "web TERM all"]);
}

#[test]
fn what_goes_down_with_another_is_restarted_with_it() {
    let mut case = Case::up([simple("db"), web().requires("db"), simple("app").requires("web")]);
    let restart = case.restart("db web");
    case.does(["app TERM all"]);
    for name in ["app", "web", "db"] {
        case.exits(name, 0);
    }
    for name in ["db", "web", "app"] {
        case.comes_up(name);
        case.came_to(restart, name, &Outcome::Restarted);
    }
}

#[test]
fn an_ordinary_restart_beside_it_takes_back_the_new_process() {
    let mut case = Case::up([simple("db"), web().requires("db")]);
    let old = case.invocation("web");
    let overlap = case.restart("web");
    case.spawned("web");
    case.restart("db");
    case.does(["web' spawn", "web TERM all", "web' TERM all"]);
    ends(&mut case, old);
    case.exits("web", 0);
    case.exits("db", 0);
    case.comes_up("db");
    case.comes_up("web");
    case.came_to(overlap, "web", &Outcome::Restarted);
}

#[test]
fn only_what_is_up_is_restarted_so_and_only_by_request() {
    let mut case = Case::of([overlapping(simple("web"))]);
    let start = case.restart("web");
    case.does(["web spawn"]);
    case.spawned("web");
    case.came_to(start, "web", &Outcome::Started);
    case.exits("web", 1);
    case.is("web", Status::Backoff);
    case.after(millis(100));
    case.does(["web release", "web spawn"]);
}

#[test]
fn the_restart_signal_is_for_the_old_process() {
    let spec = web().with(|spec| spec.stop.restart_signal = Some(Signal::USR2));
    let mut case = Case::up([spec]);
    let old = case.invocation("web");
    case.restart("web");
    case.comes_up("web");
    case.does(["web' spawn", "web USR2 all"]);
    ends(&mut case, old);
    let replaced = Cause::Stop(StopCause::Replaced);
    assert_eq!(case.transitions.last().map(|change| &change.cause), Some(&replaced));
}

#[test]
fn a_restart_by_force_or_of_a_mode_is_an_ordinary_one() {
    for (manner, does) in [
        (Manner::Force, ["web KILL all", "web release", "web spawn"]),
        (Manner::Mode(ModeId(0)), ["web INT all", "web release", "web spawn"]),
    ] {
        let steps = vec![signal(Signal::INT, 5)];
        let spec = web().with(|spec| _ = spec.stop.modes.insert(ModeId(0), steps));
        let mut case = Case::up([spec]);
        let services = case.ids("web");
        case.request(Request::Restart { services, manner, no_dependents: false });
        case.exits("web", 0);
        case.does(does);
    }
}

#[test]
fn a_restart_by_force_kills_both_processes() {
    let mut case = Case::up([web()]);
    let old = case.invocation("web");
    case.restart("web");
    case.comes_up("web");
    case.does(["web' spawn", "web TERM all"]);
    let services = case.ids("web");
    let (manner, no_dependents) = (Manner::Force, false);
    let restart = case.request(Request::Restart { services, manner, no_dependents });
    assert_eq!(case.actions(), ["web' KILL all", "web KILL all"]);
    ends(&mut case, old);
    case.exits("web", 0);
    case.comes_up("web");
    case.came_to(restart, "web", &Outcome::Restarted);
}

#[test]
fn a_condition_that_is_not_met_leaves_the_old_process() {
    let spec = web().with(|spec| spec.commands.condition = vec![Failure::Counts]);
    let mut case = Case::of([spec]);
    case.start("web");
    case.command_exits("web", 0);
    case.comes_up("web");
    case.actions();
    let old = case.state("web").clone();
    let restart = case.restart("web");
    case.command_exits("web", 1);
    case.does(["web' condition 1", "web' release"]);
    case.came_to(restart, "web", &Outcome::Skipped);
    assert_eq!(case.state("web"), &old);
}

#[test]
fn the_commands_around_a_service_are_run_for_each_of_the_two() {
    let spec = web().with(|spec| {
        spec.commands.pre_start = vec![Failure::Counts];
        spec.commands.post_start = vec![Failure::Counts];
        spec.commands.post_stop = vec![Failure::Counts];
        spec.stop.drain = secs(5);
    });
    let mut case = Case::of([spec]);
    case.start("web");
    case.command_exits("web", 0);
    case.comes_up("web");
    case.command_exits("web", 0);
    case.does(["web pre-start 1", "web spawn", "web post-start 1"]);
    let old = case.invocation("web");
    let restart = case.restart("web");
    case.command_exits("web", 0);
    case.comes_up("web");
    case.does(["web' pre-start 1", "web' spawn", "web' post-start 1"]);
    case.command_exits("web", 0);
    case.does([]);
    case.after(secs(5));
    case.does(["web TERM all"]);
    let exit = Exit::Code(0);
    case.report_of(old, Report::Exited { process: Process::Main, exit, remaining: false });
    case.does(["web post-stop 1"]);
    assert!(!case.has_ended(restart));
    case.report_of(old, Report::Exited { process: Process::Control, exit, remaining: false });
    case.does(["web release"]);
    case.came_to(restart, "web", &Outcome::Restarted);
}

#[test]
fn what_conflicts_with_it_waits_for_both_processes() {
    let mut case = Case::of([web(), simple("rival").conflicts("web")]);
    case.start("web");
    case.comes_up("web");
    let old = case.invocation("web");
    case.restart("web");
    case.comes_up("web");
    let start = case.start("rival");
    case.actions();
    case.exits("web", 0);
    case.is("web", Status::Stopped);
    case.is("rival", Status::Waiting);
    case.does(["web' release"]);
    ends(&mut case, old);
    case.does(["web release", "rival spawn"]);
    case.comes_up("rival");
    case.came_to(start, "rival", &Outcome::Started);
}

#[test]
fn only_the_end_of_the_service_counts_for_others() {
    let mut case = Case::up([
        web().on_failure("mend").with(|spec| spec.restart.policy = RestartPolicy::No),
        simple("mend").with(|spec| spec.enabled = false),
    ]);
    case.restart("web");
    case.spawn_fails("web");
    case.does(["web' spawn", "web' release"]);
    case.restart("web");
    case.comes_up("web");
    case.exits("web", 1);
    case.does(["web' spawn", "web TERM all", "web' release", "mend spawn"]);
}

#[test]
fn both_processes_get_their_part_of_a_shutdown() {
    let stops = || [signal(Signal::TERM, 10)];
    let mut case =
        Case::up([simple("db").stops_by(stops()), web().requires("db").stops_by(stops())]);
    let old = case.invocation("web");
    case.restart("web");
    case.comes_up("web");
    case.actions();
    case.shut_down(Some(10));
    case.does(["web' TERM all"]);
    // Half of the time is for what stops after them.
    case.after(secs(5));
    case.does(["web' KILL all", "web KILL all"]);
    ends(&mut case, old);
    case.dies("web", Signal::KILL);
    assert!(case.actions().contains(&"db TERM all".to_owned()));
}

#[test]
fn a_rolling_restart_goes_on_when_the_old_process_is_gone() {
    let other = overlapping(notify("other"));
    let mut case = Case::up([web(), other]);
    let (old, others) = (case.invocation("web"), case.invocation("other"));
    let roll = case.roll("web other");
    case.does(["web' spawn"]);
    case.comes_up("web");
    case.does(["web TERM all"]);
    ends(&mut case, old);
    case.does(["web release", "other' spawn"]);
    case.came_to(roll, "web", &Outcome::Restarted);
    case.comes_up("other");
    ends(&mut case, others);
    case.came_to(roll, "other", &Outcome::Restarted);
}

#[test]
fn a_rolling_restart_ends_with_a_new_process_that_does_not_come_up() {
    let mut case = Case::up([web(), overlapping(notify("other"))]);
    let roll = case.roll("web other");
    case.spawn_fails("web");
    case.does(["web' spawn", "web' release"]);
    let failed = FailReason::Ended(Ending::SpawnFailed(error("exec")));
    case.came_to(roll, "web", &Outcome::Failed(failed));
    case.came_to(roll, "other", &Outcome::NotTried);
    case.is("web", Status::Running);
}

#[test]
fn one_that_was_added_overlaps_too() {
    let mut case = Case::up([simple("app")]);
    case.revise([web()]);
    case.scale(Scaling::Start, "web");
    case.comes_up("web");
    case.restart("web");
    case.does(["web spawn", "web' spawn"]);
}

#[test]
fn one_is_removed_when_both_processes_are_gone_and_comes_back_beside_them() {
    let mut case = Case::up([simple("app"), web()]);
    let old = case.invocation("web");
    case.restart("web");
    case.comes_up("web");
    let remove = case.scale(Scaling::Remove, "web");
    case.exits("web", 0);
    assert!(!case.has_ended(remove), "the old one is still there");
    case.does(["web' spawn", "web TERM all", "web' TERM all", "web' release"]);
    case.revise([web()]);
    let start = case.scale(Scaling::Start, "web");
    case.comes_up("web");
    case.does(["web' spawn"]);
    ends(&mut case, old);
    case.does(["web release"]);
    case.came_to(start, "web", &Outcome::Started);
    case.restart("web");
    case.does(["web spawn"]);
}

#[test]
fn the_plan_stops_the_old_process_last() {
    let case = Case::up([web(), simple("app").requires("web")]);
    let plan = case.engine.plan_restart(&[case.id("web")], Manner::Graceful, false);
    let steps: Vec<_> = plan.waves.iter().flatten().map(|step| (step.service, step.what)).collect();
    let web = case.id("web");
    assert_eq!(steps, [(web, PlanKind::Start), (web, PlanKind::Stop)]);
}
