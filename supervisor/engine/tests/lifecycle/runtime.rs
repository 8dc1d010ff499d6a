//! The longest time that a service may be up.

use supervisor_engine::{
    Cause, Ending, ReloadHow, ReloadSpec, RestartPolicy, Signal, State, Status, StopCause,
};

use crate::case::{Case, Spec, command, millis, notify, secs, signal, simple};

fn short_lived() -> Spec {
    notify("db").with(|spec| spec.runtime_max = Some(secs(60)))
}

#[test]
fn what_is_up_for_too_long_is_stopped_with_all_steps_and_restarted() {
    let steps = [command(0, 5), signal(Signal::TERM, 5)];
    let mut case = Case::up([short_lived().stops_by(steps)]);
    case.after(millis(59_999));
    case.is("db", Status::Running);
    case.after(millis(1));
    case.does(["db stop-command 0"]);
    case.after(secs(5));
    case.does(["db KILL command", "db TERM all"]);
    case.command_is_killed("db");
    case.exits("db", 0);
    case.is("db", Status::Backoff);
    let last = case.transitions.last().expect("something changed");
    assert_eq!(last.cause, Cause::Ended(Ending::RuntimeMax));
}

#[test]
fn the_policy_decides_as_for_a_timeout() {
    use RestartPolicy::{Always, No, OnAbnormal, OnAbort, OnFailure, OnSuccess, OnWatchdog};
    for (policies, status) in [
        (vec![Always, OnFailure, OnAbnormal], Status::Backoff),
        (vec![No, OnSuccess, OnAbort, OnWatchdog], Status::Failed),
    ] {
        for policy in policies {
            let mut case = Case::up([short_lived().with(|spec| spec.restart.policy = policy)]);
            case.after(secs(60));
            case.exits("db", 0);
            case.is("db", status);
        }
    }
}

#[test]
fn the_time_counts_from_up_and_goes_on_during_a_reload() {
    let reload = ReloadSpec { how: ReloadHow::Command, timeout: None };
    let mut case = Case::of([short_lived().with(|spec| spec.reload = Some(reload))]);
    case.start("db");
    case.spawned("db");
    case.after(secs(50));
    case.says("db", "READY");
    case.after(secs(30));
    case.reload("db");
    case.command_exits("db", 0);
    case.after(secs(20));
    case.reload("db");
    case.after(secs(9));
    case.is("db", Status::Reloading);
    case.after(secs(1));
    case.is("db", Status::Stopping);
    let actions = case.actions();
    assert_eq!(actions[3..], ["db KILL command", "db TERM all"]);
}

#[test]
fn a_service_may_ask_for_more_time_while_it_runs() {
    let mut case = Case::up([short_lived()]);
    case.after(secs(59));
    case.notifies("db", |message| message.extend = Some(secs(30)));
    case.after(secs(29));
    case.is("db", Status::Running);
    case.after(secs(1));
    case.is("db", Status::Stopping);
}

#[test]
fn what_is_bound_to_it_goes_down_with_it_and_comes_up_again() {
    let mut case = Case::up([short_lived(), simple("web").binds_to("db")]);
    case.after(secs(60));
    case.does(["db TERM all"]);
    case.exits("db", 0);
    case.is("web", Status::Stopping);
    case.exits("web", 0);
    case.after(millis(100));
    case.comes_up("db");
    case.spawned("web");
    case.is("web", Status::Running);
}

#[test]
fn a_stop_that_was_asked_for_meanwhile_is_what_counts() {
    let mut case = Case::up([short_lived()]);
    case.after(secs(60));
    case.stop("db");
    case.exits("db", 0);
    assert_eq!(case.state("db"), &State::Stopped(StopCause::Requested));
}
