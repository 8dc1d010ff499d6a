//! The commands around a service: conditions, before and after its start, after its stop; and
//! draining.

use serde_json::json;
use supervisor_api::{State, StopPhase};

use crate::harness::Daemon;

/// A service with these lines that says `READY=1` after these steps.
fn app(lines: &str, steps: &str) -> Daemon {
    Daemon::start(&format!(
        r#"[service.app]
        type = "notify"
        restart = "no"
        command = "${{FIXTURE}} app {steps} --ready"
        {lines}"#
    ))
}

/// What a command of the stop was told of the end of its service.
fn told(daemon: &Daemon, command: &str) -> Vec<String> {
    daemon.wait_record("exit", command, 1);
    daemon.happened("env", command).into_iter().map(|happening| happening.detail).collect()
}

const TELL: &str = "--env SERVICE_RESULT --env EXIT_CODE --env EXIT_STATUS --exit 0";

fn steps(phases: &[StopPhase]) -> Vec<(&str, &str)> {
    phases.iter().map(|phase| (phase.step.as_str(), phase.result.as_str())).collect()
}

fn last_stop(daemon: &Daemon) -> Vec<StopPhase> {
    daemon.detail("app").runs.into_iter().next().unwrap().stop
}

#[test]
fn commands_run_in_order_around_the_main_process() {
    let daemon = app(
        r#"condition = ["${FIXTURE} condition --exit 0"]
        pre-start = ["${FIXTURE} before-1 --exit 0", ["-", "${FIXTURE}", "before-2", "--exit", "1"]]
        post-start = ["${FIXTURE} after --env MAINPID --exit 0"]
        post-stop = ["${FIXTURE} last-1 --exit 0", "${FIXTURE} last-2 --exit 0"]"#,
        "",
    );
    let app = daemon.wait_state("app", State::Running);
    let pid = app.pid.unwrap();
    assert_eq!(daemon.happened("env", "after")[0].detail, format!("MAINPID={pid}"));
    assert!(daemon.operate("stop", &["app"]).ok);
    let order = ["condition", "before-1", "before-2", "app", "after", "last-1", "last-2"];
    assert_eq!(daemon.order("start"), order);
    let stop = last_stop(&daemon);
    let expected = [("signal TERM", "gone"), ("post-stop 1", "done"), ("post-stop 2", "done")];
    assert_eq!(steps(&stop), expected);
}

#[test]
fn a_condition_that_is_not_met_skips_the_start() {
    let daemon = Daemon::boot(&format!(
        r#"[service.app]
        command = "${{FIXTURE}} app"
        restart = "always"
        condition = ["test -e ${{DIR}}/wanted"]
        post-stop = ["${{FIXTURE}} last {TELL}"]
        [service.needs]
        command = "${{FIXTURE}} needs"
        requires = ["app"]"#
    ));
    let app = daemon.service("app");
    assert_eq!((app.state, app.why.code.as_str()), (State::Stopped, "condition"));
    assert_eq!(
        told(&daemon, "last"),
        ["SERVICE_RESULT=exec-condition", "EXIT_CODE=(unset)", "EXIT_STATUS=(unset)"]
    );
    assert_eq!(daemon.state("needs"), State::Running);
    assert!(daemon.happened("start", "app").is_empty());
    let run = &daemon.detail("app").runs[0];
    assert_eq!(run.reason, "condition 1 is not met: exit status 1");
    daemon.ctl(&["start", "app"]).assert("app: skipped (its condition is not met)", 0);
    daemon.open("wanted");
    daemon.ctl(&["start", "app"]).assert("app: started", 0);
}

#[test]
fn a_command_before_the_start_that_fails_is_the_end_of_the_start() {
    let daemon = app(
        &format!(
            r#"pre-start = ["${{FIXTURE}} before --exit 3"]
            stop-command = "${{FIXTURE}} stopper"
            post-stop = ["${{FIXTURE}} last {TELL}"]"#
        ),
        "",
    );
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(
        (app.why.code.as_str(), app.why.message.as_str()),
        ("command", "pre-start 1: exit status 3")
    );
    assert_eq!(daemon.order("start"), ["before", "last"]);
    assert_eq!(
        told(&daemon, "last"),
        ["SERVICE_RESULT=exit-code", "EXIT_CODE=(unset)", "EXIT_STATUS=(unset)"]
    );
}

#[test]
fn a_start_that_takes_too_long_ends_with_its_command() {
    let daemon = app(
        r#"start-timeout = "200ms"
        pre-start = ["${FIXTURE} before --ignore TERM"]"#,
        "",
    );
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "start-timeout");
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_post_start_that_fails_ends_the_service_without_its_stop_commands() {
    let daemon = app(
        r#"post-start = ["${FIXTURE} after --exit 1"]
        stop-command = "${FIXTURE} stopper --exit 0""#,
        "",
    );
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.message, "post-start 1: exit status 1");
    assert!(daemon.happened("start", "stopper").is_empty());
}

#[test]
fn commands_after_a_crash_come_before_the_restart_and_know_of_it() {
    let daemon = Daemon::boot(&format!(
        r#"[service.app]
        command = "${{FIXTURE}} app --fail-first 1"
        restart-delay = "1ms"
        post-stop = ["${{FIXTURE}} last {TELL}"]"#
    ));
    daemon.wait_record("start", "app", 2);
    assert_eq!(daemon.order("start"), ["app", "last", "app"]);
    let expected = ["SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=1"];
    assert_eq!(told(&daemon, "last"), expected);
}

#[test]
fn a_command_after_the_stop_that_hangs_is_killed_with_what_it_left_behind() {
    let daemon = app(
        r#"stop-timeout = "200ms"
        post-stop = ["${FIXTURE} last --daemon --ready --ignore TERM", "${FIXTURE} never"]"#,
        "",
    );
    daemon.wait_state("app", State::Running);
    assert!(daemon.operate("stop", &["app"]).ok);
    let stop = last_stop(&daemon);
    let expected = [("signal TERM", "gone"), ("post-stop 1", "timeout"), ("signal KILL", "gone")];
    assert_eq!(steps(&stop), expected);
    assert_eq!(daemon.started(), Vec::<i32>::new());
    assert!(daemon.happened("start", "never").is_empty());
}

#[test]
fn force_skips_the_commands_after_the_stop() {
    let daemon = app(r#"post-stop = ["${FIXTURE} last"]"#, "");
    daemon.wait_state("app", State::Running);
    let request = json!({ "verb": "stop", "targets": ["app"], "mode": "force" });
    daemon.operation(&request);
    daemon.wait_state("app", State::Stopped);
    assert!(daemon.happened("start", "last").is_empty());
}

#[test]
fn a_service_that_drains_is_not_ready_and_left_alone() {
    let daemon = app("drain = \"10min\"", "--ready --await ${DIR}/done --exit 0");
    daemon.wait_state("app", State::Running);
    daemon.operation(&json!({ "verb": "stop", "targets": ["app"] }));
    let app = daemon.wait_state("app", State::Stopping);
    assert!(!app.ready);
    assert_eq!(app.why.message, "is left alone until its work is done");
    assert!(daemon.happened("signal", "app").is_empty());
    daemon.open("done");
    daemon.wait_state("app", State::Stopped);
    assert_eq!(steps(&last_stop(&daemon)), [("drain", "gone")]);
}
