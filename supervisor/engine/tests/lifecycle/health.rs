//! Liveness probes.

use supervisor_engine::{
    Ending, FailReason, Health, Probe, ReloadHow, ReloadSpec, Report, RestartPolicy, Signal, State,
    Status,
};

use crate::case::{Case, Spec, command, notify, secs, signal, simple};

fn watched(spec: Spec) -> Spec {
    spec.with(|spec| spec.liveness = true)
}

fn health(case: &Case) -> Option<Health> {
    case.state("db").health()
}

#[test]
fn it_is_watched_from_when_it_is_up_until_its_stop_begins() {
    let mut case = Case::of([watched(notify("db"))]);
    case.boot();
    case.spawned("db");
    case.does(["db spawn"]);
    case.says("db", "READY");
    case.does(["db start-liveness-probe"]);
    assert_eq!(health(&case), Some(Health::Unknown));
    case.report("db", Report::ProbeSucceeded(Probe::Liveness));
    assert_eq!(health(&case), Some(Health::Healthy));
    case.stop("db");
    case.does(["db stop-liveness-probe", "db TERM all"]);
    assert_eq!(health(&case), None);
}

#[test]
fn the_probes_follow_each_other() {
    let mut case = Case::of([watched(simple("db")).with(|spec| spec.probed = true)]);
    case.boot();
    case.spawned("db");
    case.probe_succeeds("db");
    case.does(["db spawn", "db start-probe", "db start-liveness-probe"]);
}

#[test]
fn what_does_not_answer_is_stopped_with_its_whole_sequence() {
    let steps = [command(0, 5), signal(Signal::TERM, 5)];
    let mut case = Case::up([watched(simple("db")).stops_by(steps)]);
    case.report("db", Report::ProbeFailed);
    case.does(["db stop-command 0"]);
    assert_eq!(health(&case), Some(Health::Unhealthy));
    case.command_exits("db", 0);
    case.after(secs(5));
    case.does(["db TERM all"]);
    case.exits("db", 0);
    case.is("db", Status::Backoff);
}

#[test]
fn the_restart_policy_decides_as_for_a_timeout() {
    for (policy, status) in [
        (RestartPolicy::No, Status::Failed),
        (RestartPolicy::OnSuccess, Status::Failed),
        (RestartPolicy::OnAbort, Status::Failed),
        (RestartPolicy::OnWatchdog, Status::Failed),
        (RestartPolicy::OnAbnormal, Status::Backoff),
        (RestartPolicy::OnFailure, Status::Backoff),
        (RestartPolicy::Always, Status::Backoff),
    ] {
        let mut case = Case::up([watched(simple("db")).with(|spec| spec.restart.policy = policy)]);
        case.report("db", Report::ProbeFailed);
        case.exits("db", 0);
        case.is("db", status);
    }
}

#[test]
fn a_stop_by_request_remains_one() {
    let mut case = Case::up([watched(simple("db"))]);
    case.report("db", Report::ProbeFailed);
    case.stop("db");
    case.exits("db", 0);
    case.is("db", Status::Stopped);
}

#[test]
fn a_reload_does_not_end_the_watch() {
    let reload = ReloadSpec { how: ReloadHow::Command, timeout: None };
    let spec = watched(simple("db")).with(|spec| {
        spec.reload = Some(reload);
        spec.restart.policy = RestartPolicy::No;
    });
    let mut case = Case::up([spec]);
    case.reload("db");
    case.does(["db reload-command"]);
    case.report("db", Report::ProbeFailed);
    case.does(["db KILL command", "db TERM all"]);
    case.command_is_killed("db");
    case.exits("db", 0);
    let failed = State::Failed(FailReason::Ended(Ending::Unhealthy));
    assert_eq!(*case.state("db"), failed);
}

#[test]
fn the_end_of_the_service_ends_the_watch() {
    let mut case = Case::up([watched(simple("db")).with(|spec| spec.remain_after_exit = true)]);
    case.exits("db", 0);
    case.does(["db stop-liveness-probe"]);
    let mut case = Case::up([watched(simple("db"))]);
    case.exits("db", 1);
    case.does(["db stop-liveness-probe", "db release"]);
}
