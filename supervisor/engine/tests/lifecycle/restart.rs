//! What follows an end by itself: back-off, limits, and when a count starts over.

use supervisor_engine::{
    Cause, Ending, Exit, FailReason, Outcome, ReloadHow, ReloadSpec, Report, RestartPolicy, Signal,
    SpawnError, State, Status, StopCause, Why,
};

use crate::case::{Case, Spec, command, millis, secs, signal, simple};

fn eager() -> Spec {
    simple("web").with(|spec| spec.restart.limit_burst = 0)
}

#[test]
fn a_failed_service_is_started_again_after_a_growing_delay() {
    let mut case = Case::up([eager()]);
    for (attempt, delay) in [(1, 100), (2, 200), (3, 400), (4, 800)] {
        case.exits("web", 1);
        case.does(["web release"]);
        let reason = FailReason::Ended(Ending::Exited(Exit::Code(1)));
        let until = case.now + millis(delay);
        let why = Why::Backoff { reason, until, attempt };
        assert_eq!(case.engine.why(case.id("web")), why);
        case.after(millis(delay - 1));
        case.does([]);
        case.after(millis(1));
        case.does(["web spawn"]);
        case.spawned("web");
    }
    assert_eq!(case.engine.service(case.id("web")).restarts(), 4);
    let restarts = case.transitions.iter().filter(|change| change.cause == Cause::Restart).count();
    assert_eq!(restarts, 4);
}

#[test]
fn the_delay_has_a_maximum() {
    let mut case = Case::up([eager().with(|spec| spec.restart.max_delay = millis(150))]);
    case.exits("web", 1);
    case.after(millis(100));
    case.spawned("web");
    case.exits("web", 1);
    case.after(millis(150));
    case.does(["web release", "web spawn", "web release", "web spawn"]);
}

#[test]
fn jitter_is_decided_by_the_seed_and_stays_within_its_share() {
    let delay = || {
        let mut case = Case::up([eager().with(|spec| spec.restart.jitter = 0.5)]);
        case.exits("web", 1);
        let wake = case.engine.poll_timeout().expect("it is tried again");
        wake.at - case.now
    };
    assert_eq!(delay(), delay());
    assert!((millis(50)..=millis(150)).contains(&delay()), "{:?}", delay());
}

#[test]
fn having_been_up_long_enough_starts_the_count_over() {
    for (uptime, delay) in [(59, 200), (60, 100)] {
        let mut case = Case::up([eager()]);
        case.exits("web", 1);
        case.after(millis(100));
        case.spawned("web");
        case.after(secs(uptime));
        case.exits("web", 1);
        case.after(millis(delay - 1));
        case.is("web", Status::Backoff);
        case.after(millis(1));
        case.is("web", Status::Starting);
    }
}

#[test]
fn the_policy_and_the_exit_lists_decide() {
    let clean = Exit::Code(0);
    let crash = Exit::Signal { signal: Signal::KILL, core: false };
    for (policy, exit, status) in [
        (RestartPolicy::No, crash, Status::Failed),
        (RestartPolicy::No, clean, Status::Exited),
        (RestartPolicy::Always, clean, Status::Backoff),
        (RestartPolicy::OnSuccess, clean, Status::Backoff),
        (RestartPolicy::OnSuccess, crash, Status::Failed),
        (RestartPolicy::OnFailure, clean, Status::Exited),
        (RestartPolicy::OnFailure, Exit::Code(1), Status::Backoff),
        (RestartPolicy::OnAbnormal, Exit::Code(1), Status::Failed),
        (RestartPolicy::OnAbort, crash, Status::Backoff),
        (RestartPolicy::OnWatchdog, crash, Status::Failed),
    ] {
        let mut case = Case::up([simple("web").with(|spec| spec.restart.policy = policy)]);
        case.main_ends("web", exit, false);
        assert_eq!(case.status("web"), status, "{policy:?} after {exit}");
    }
    let mut case = Case::up([simple("web").with(|spec| spec.restart.prevent_exit.codes.push(7))]);
    case.exits("web", 7);
    case.is("web", Status::Failed);
}

#[test]
fn too_many_starts_within_the_window_are_a_failure() {
    let spec = simple("web").with(|spec| {
        spec.restart.limit_burst = 3;
        spec.restart.limit_interval = secs(10);
    });
    let mut case = Case::up([spec]);
    for _ in 0..2 {
        case.exits("web", 1);
        case.after(secs(1));
        case.spawned("web");
    }
    case.exits("web", 1);
    case.after(secs(1));
    assert_eq!(case.state("web"), &State::Failed(FailReason::StartLimit));
    assert_eq!(case.engine.poll_timeout(), None);
}

#[test]
fn the_window_slides() {
    let spec = simple("web").with(|spec| {
        spec.restart.limit_burst = 2;
        spec.restart.limit_interval = secs(10);
        spec.restart.factor = 1.0;
    });
    let mut case = Case::up([spec]);
    for _ in 0..5 {
        case.after(secs(6));
        case.exits("web", 1);
        case.after(secs(1));
        case.spawned("web");
        case.is("web", Status::Running);
    }
}

#[test]
fn a_start_by_request_forgets_failures_and_does_not_wait() {
    let mut case = Case::up([simple("web").with(|spec| spec.restart.limit_burst = 2)]);
    case.exits("web", 1);
    case.after(millis(100));
    case.spawned("web");
    case.exits("web", 1);
    case.is("web", Status::Backoff);
    let start = case.start("web");
    case.spawned("web");
    case.came_to(start, "web", &Outcome::Started);
    assert_eq!(case.engine.service(case.id("web")).attempt(), 0);
}

/// `RESTART_RESET=1` counts while the service runs and while a stop command is at work.
#[test]
fn a_service_can_have_its_restarts_counted_anew() {
    let resets = |case: &mut Case| case.notifies("web", |message| message.restart_reset = true);
    let counts = |case: &Case| {
        let service = case.engine.service(case.id("web"));
        (service.attempt(), service.restarts())
    };
    let spec = || {
        eager().stops_by([command(0, 30), signal(Signal::TERM, 10)]).with(|spec| {
            spec.reload = Some(ReloadSpec { how: ReloadHow::Command, timeout: None });
            spec.runtime_max = Some(secs(30));
            spec.restart.policy = RestartPolicy::Always;
        })
    };
    // It has been restarted twice, and then this happens before it says so.
    let run = |what: fn(&mut Case), expected: (u32, u64)| {
        let mut case = Case::up([spec()]);
        for _ in 0..2 {
            case.exits("web", 1);
            case.after(millis(200));
            case.spawned("web");
        }
        assert_eq!(counts(&case), (2, 2));
        what(&mut case);
        resets(&mut case);
        assert_eq!(counts(&case), expected, "{:?}", case.state("web"));
        case
    };
    let mut case = run(|_| {}, (0, 0));
    case.exits("web", 1);
    assert_eq!(counts(&case), (1, 0), "the next delay is the first again");
    let mut case = run(|case| case.after(secs(30)), (0, 0));
    case.exits("web", 0);
    case.command_exits("web", 0);
    assert_eq!(counts(&case), (1, 0));
    run(
        |case| {
            case.reload("web");
        },
        (2, 2),
    );
    run(
        |case| {
            case.after(secs(30));
            case.command_exits("web", 1);
        },
        (2, 2),
    );
    run(|case| case.says("web", "STOPPING"), (2, 2));
    run(
        |case| {
            case.exits("web", 1);
            case.after(millis(400));
        },
        (3, 3),
    );
}

/// The start limit does not care: a service that fails again and again cannot talk itself out of it.
#[test]
fn counting_anew_takes_nothing_from_the_start_limit() {
    let mut case = Case::up([simple("web").with(|spec| spec.restart.limit_burst = 2)]);
    case.exits("web", 1);
    case.after(millis(100));
    case.spawned("web");
    case.notifies("web", |message| message.restart_reset = true);
    case.exits("web", 1);
    case.after(millis(100));
    assert_eq!(case.state("web"), &State::Failed(FailReason::StartLimit));
}

#[test]
fn reset_forgets_a_failure() {
    let mut case = Case::up([simple("web").with(|spec| spec.restart.policy = RestartPolicy::No)]);
    case.exits("web", 1);
    let reset = case.reset("web");
    case.came_to(reset, "web", &Outcome::Reset);
    assert_eq!(case.state("web"), &State::Stopped(StopCause::Reset));
    assert!(case.has_ended(reset));
}

#[test]
fn a_stop_during_back_off_is_done_at_once() {
    let mut case = Case::up([simple("web")]);
    case.exits("web", 1);
    let stop = case.stop("web");
    case.came_to(stop, "web", &Outcome::Stopped);
    assert_eq!(case.engine.poll_timeout(), None);
}

#[test]
fn a_service_that_ends_while_it_is_to_stop_is_not_started_again() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    case.stop("db");
    case.does(["web TERM all"]);
    case.exits("db", 1);
    case.is("db", Status::Stopped);
}

#[test]
fn want_of_resources_is_tried_again_without_limit() {
    let mut case = Case::of([simple("web").with(|spec| {
        spec.restart.limit_burst = 2;
        spec.restart.limit_interval = secs(3600);
    })]);
    case.boot();
    let scarce = SpawnError { step: "clone", errno: 11, message: "clone: try again".to_owned() };
    for _ in 0..9 {
        case.report("web", Report::SpawnFailed(scarce.clone()));
        case.is("web", Status::Backoff);
        case.after(secs(31));
    }
    case.spawned("web");
    case.is("web", Status::Running);
}
