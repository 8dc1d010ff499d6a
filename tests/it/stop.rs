//! How one service is stopped: commands, signals, who gets them, and what is reported.

use serde_json::{Value, json};
use supervisor_api::{State, StopPhase};

use crate::harness::{Daemon, alive};

/// A notify service that is up, with these lines and steps.
fn app(lines: &str, steps: &str) -> Daemon {
    let daemon = Daemon::boot(&format!(
        r#"[service.app]
        type = "notify"
        command = "${{FIXTURE}} ${{SERVICE}} {steps} --ready"
        {lines}"#
    ));
    daemon.wait_state("app", State::Running);
    daemon
}

/// Stops it and answers how.
fn stop(daemon: &Daemon) -> Vec<StopPhase> {
    let operation = daemon.operate("stop", &["app"]);
    assert!(operation.ok, "{operation:?}");
    assert_eq!(daemon.state("app"), State::Stopped);
    assert_eq!(daemon.started(), Vec::<i32>::new());
    daemon.detail("app").runs.into_iter().next().unwrap().stop
}

fn steps(phases: &[StopPhase]) -> Vec<(&str, &str)> {
    phases.iter().map(|phase| (phase.step.as_str(), phase.result.as_str())).collect()
}

#[test]
fn a_service_is_stopped_by_term() {
    let daemon = app("", "");
    assert_eq!(steps(&stop(&daemon)), [("signal TERM", "gone")]);
    assert_eq!(daemon.happened("signal", "app").len(), 1);
}

#[test]
fn a_service_may_choose_its_signal() {
    let daemon = app("stop-signal = \"SIGINT\"", "");
    assert_eq!(steps(&stop(&daemon)), [("signal INT", "gone")]);
    assert_eq!(daemon.happened("signal", "app")[0].detail, "INT");
}

#[test]
fn a_service_that_ignores_its_signal_is_killed_when_its_time_is_up() {
    let daemon = app("stop-timeout = \"100ms\"", "--ignore TERM");
    let phases = stop(&daemon);
    assert_eq!(steps(&phases), [("signal TERM", "timeout"), ("signal KILL", "gone")]);
    assert!(phases[0].took_ms >= 100, "{phases:?}");
    let exit = daemon.service("app").exit.unwrap();
    assert_eq!(exit.signal.as_deref(), Some("KILL"));
}

#[test]
fn death_by_the_very_signal_of_the_stop_is_success() {
    let daemon = Daemon::boot("[service.app]\ncommand = [\"sleep\", \"infinity\"]");
    assert_eq!(steps(&stop(&daemon)), [("signal TERM", "gone")]);
    assert_eq!(daemon.service("app").why.code, "requested");
}

#[test]
fn a_stop_command_is_waited_for_and_nothing_is_signalled() {
    // The command is asynchronous: it returns while the service is still finishing.
    let daemon = Daemon::boot(
        r#"[service.app]
        type = "notify"
        stop-command = "${FIXTURE} stopper --env MAINPID --touch ${DIR}/quit --exit 0"
        command = "${FIXTURE} ${SERVICE} --ready --await ${DIR}/quit --await ${DIR}/finish --exit 0""#,
    );
    let main = daemon.pid_of("app");
    daemon.operation(&json!({ "verb": "stop", "targets": ["app"] }));
    daemon.wait_record("exit", "stopper", 1);
    assert_eq!(daemon.happened("env", "stopper")[0].detail, format!("MAINPID={main}"));
    assert_eq!(daemon.state("app"), State::Stopping);
    assert!(alive(main));
    daemon.open("finish");
    daemon.wait_state("app", State::Stopped);
    assert_eq!(daemon.happened("signal", "app"), []);
    assert_eq!(steps(&daemon.detail("app").runs[0].stop), [("command", "gone")]);
}

#[test]
fn a_synchronous_stop_command_that_returns_after_the_service_is_no_fault() {
    let daemon = Daemon::boot(
        r#"[service.app]
        type = "notify"
        stop-command = "${FIXTURE} stopper --touch ${DIR}/quit --await ${DIR}/end --exit 0"
        command = "${FIXTURE} ${SERVICE} --ready --await ${DIR}/quit --exit 0""#,
    );
    daemon.operation(&json!({ "verb": "stop", "targets": ["app"] }));
    daemon.wait_record("exit", "app", 1);
    daemon.open("end");
    daemon.wait_state("app", State::Stopped);
    assert_eq!(daemon.happened("signal", "stopper"), []);
    assert_eq!(steps(&daemon.detail("app").runs[0].stop), [("command", "gone")]);
}

#[test]
fn what_a_stop_command_leaves_behind_is_stopped_too() {
    let daemon = Daemon::boot(
        r#"[service.app]
        type = "notify"
        stop-timeout = "300ms"
        stop-command = [
            "${FIXTURE}", "stopper", "--touch", "${DIR}/quit", "--await", "${DIR}/gone",
            "--daemon", "", "--exit", "0",
        ]
        command = "${FIXTURE} ${SERVICE} --ready --await ${DIR}/quit --exit 0""#,
    );
    daemon.operation(&json!({ "verb": "stop", "targets": ["app"] }));
    daemon.wait_service("app", "without its main process", |app| app.pid.is_none());
    daemon.open("gone");
    daemon.wait_state("app", State::Stopped);
    assert_eq!(daemon.started(), Vec::<i32>::new());
    assert_eq!(daemon.happened("start", "stopper.daemon.child").len(), 1);
}

#[test]
fn a_stop_command_that_fails_is_followed_by_the_signal() {
    let daemon = app("stop-command = \"${FIXTURE} stopper --exit 3\"", "");
    let phases = stop(&daemon);
    assert_eq!(steps(&phases), [("command", "failed: exit status 3"), ("signal TERM", "gone")]);
}

#[test]
fn a_stop_command_that_cannot_be_started_is_followed_by_the_signal() {
    let daemon = app("stop-command = [\"/nonexistent/stop\"]", "");
    let phases = stop(&daemon);
    assert_eq!(phases[0].step, "command");
    assert!(phases[0].result.starts_with("failed"), "{phases:?}");
    assert_eq!((phases[1].step.as_str(), phases[1].result.as_str()), ("signal TERM", "gone"));
}

#[test]
fn a_stop_command_that_hangs_is_followed_by_the_signal_and_ended() {
    let daemon =
        app("stop-command = \"${FIXTURE} stopper --ignore TERM\"\nstop-timeout = \"200ms\"", "");
    let phases = stop(&daemon);
    assert_eq!(steps(&phases)[..2], [("command", "timeout"), ("signal TERM", "gone")]);
}

#[test]
fn a_stop_sequence_goes_through_its_steps() {
    let daemon = app(
        r#"stop-sequence = [
            { command = ["${FIXTURE}", "stopper", "--exit", "0"], timeout = "50ms", wait = false },
            { signal = "USR1", timeout = "50ms" },
            { sleep = "50ms" },
            { signal = "QUIT", timeout = "1min" },
        ]"#,
        "",
    );
    let phases = stop(&daemon);
    let names: Vec<_> = phases.iter().map(|phase| phase.step.as_str()).collect();
    assert_eq!(names, ["command", "signal USR1", "sleep", "signal QUIT"]);
    let signals: Vec<_> =
        daemon.happened("signal", "app").into_iter().map(|one| one.detail).collect();
    assert_eq!(signals, ["USR1", "QUIT"]);
}

#[test]
fn force_kills_at_once() {
    let daemon = app("stop-timeout = \"5min\"", "--ignore TERM");
    let request = json!({ "verb": "stop", "targets": ["app"], "mode": "force", "wait": true });
    assert!(daemon.operation(&request).ok);
    assert_eq!(daemon.happened("signal", "app"), []);
    assert_eq!(daemon.service("app").exit.unwrap().signal.as_deref(), Some("KILL"));
}

#[test]
fn a_stopped_service_that_finishes_slowly_is_shown_as_stopping_with_its_deadline() {
    let daemon = app("stop-timeout = \"10min\"", "--term-awaits ${DIR}/gate");
    daemon.operation(&json!({ "verb": "stop", "targets": ["app"] }));
    let service = daemon.wait_state("app", State::Stopping);
    assert!(!service.ready);
    let left = service.deadline_ms.unwrap() - daemon.services().now_ms;
    assert!((500_000..=600_000).contains(&left), "{left} ms");
    daemon.open("gate");
    daemon.wait_state("app", State::Stopped);
}

fn signals(daemon: &Daemon) -> Vec<String> {
    daemon.happened("signal", "app").into_iter().map(|seen| seen.detail).collect()
}

/// A service that knows a mode, and one that does not.
fn lame_duck() -> Daemon {
    let daemon = Daemon::boot(
        r#"[service.app]
        command = "${FIXTURE} ${SERVICE}"
        stop-modes.lame-duck = { sequence = [{ signal = "INT", timeout = "1min" }] }
        [service.web]
        command = "${FIXTURE} ${SERVICE}"
        requires = ["app"]"#,
    );
    daemon.wait_record("start", "web", 1);
    daemon
}

#[test]
fn a_mode_is_another_way_to_stop() {
    let daemon = lame_duck();
    let output = daemon.ctl(&["stop", "app", "--mode", "lame-duck"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(signals(&daemon), ["INT"]);
    assert_eq!(daemon.happened("signal", "web")[0].detail, "TERM", "it goes down with it");
}

#[test]
fn a_restart_may_be_of_a_mode_and_so_may_its_plan() {
    let daemon = lame_duck();
    let plan = daemon.ctl(&["plan", "restart", "app", "--mode", "lame-duck"]).stdout;
    assert!(plan.contains("longest stop: web 10s → app 60s, 70s in all"), "{plan}");
    let output = daemon.ctl(&["restart", "app", "--mode", "lame-duck"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(signals(&daemon), ["INT"]);
    assert_eq!(daemon.state("app"), State::Running);
    assert_eq!(daemon.ctl(&["restart", "app", "--mode", "force"]).code, 0);
    assert_eq!(daemon.detail("app").runs[0].stop[0].step, "signal KILL");
}

#[test]
fn a_shutdown_may_be_of_a_mode() {
    let mut daemon = lame_duck();
    let output = daemon.ctl(&["shutdown", "--mode", "lame-duck"]);
    assert_eq!(output.code, 0, "{output:?}");
    daemon.wait_exit();
    assert_eq!(signals(&daemon), ["INT"]);
    assert_eq!(daemon.happened("signal", "web")[0].detail, "TERM");
}

#[test]
fn a_mode_that_no_service_knows_is_refused() {
    let daemon = lame_duck();
    for path in ["/v1/operations", "/v1/shutdown"] {
        let request = json!({ "verb": "stop", "targets": ["app"], "mode": "lame" });
        let request = if path.ends_with("shutdown") { json!({ "mode": "lame" }) } else { request };
        let answer = daemon.http().post(path, &request);
        assert_eq!(answer.status, 422, "{path}");
        let body: Value = answer.json();
        assert_eq!(body["error"]["message"], "no stop mode \"lame\"");
        assert_eq!(body["error"]["hint"], "known are graceful, force, lame-duck");
    }
    assert_eq!(daemon.state("app"), State::Running);
}
