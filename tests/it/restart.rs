//! When a service that has ended is started again, how soon, and when that is given up.

use supervisor_api::State;

use crate::harness::Daemon;

/// Microseconds.
const MS: u64 = 1000;

/// A service `app` with these lines and steps.
fn app(steps: &str, lines: &str) -> Daemon {
    Daemon::start(&format!(
        r#"
        [defaults]
        restart-delay = "10ms"
        restart-jitter = 0.0
        [service.app]
        command = "${{FIXTURE}} ${{SERVICE}} {steps}"
        {lines}"#
    ))
}

#[test]
fn a_service_that_fails_is_started_again() {
    let daemon = app("--fail-first 2", "");
    daemon.wait_record("start", "app", 3);
    let app = daemon.wait_service("app", "restarted twice", |service| {
        service.restarts == 2 && service.state == State::Running
    });
    assert_eq!(app.exit.and_then(|exit| exit.code), Some(1));
}

#[test]
fn the_delay_grows_with_every_restart_up_to_its_maximum() {
    let daemon = app(
        "--fail-first 5",
        "restart-delay = \"40ms\"\nrestart-factor = 2.0\nrestart-max-delay = \"80ms\"",
    );
    daemon.wait_record("start", "app", 6);
    let (starts, exits) = (daemon.happened("start", "app"), daemon.happened("exit", "app"));
    for (number, least) in [40, 80, 80, 80, 80].into_iter().enumerate() {
        let delay = starts[number + 1].time - exits[number].time;
        assert!(delay >= least * MS, "restart {number} came after {delay} µs");
    }
}

#[test]
fn the_time_of_the_next_try_is_shown() {
    let daemon = app("--exit 1", "restart-delay = \"10min\"\nrestart-max-delay = \"10min\"");
    let app = daemon.wait_state("app", State::Backoff);
    assert_eq!(app.why.code, "backoff");
    let left = app.deadline_ms.unwrap() - daemon.services().now_ms;
    assert!((500_000..=600_000).contains(&left), "{left} ms");
}

#[test]
fn too_many_starts_in_a_row_are_given_up() {
    let daemon = app("--exit 1", "start-limit-burst = 3\nrestart-delay = \"1ms\"");
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "start-limit");
    assert_eq!(daemon.happened("start", "app").len(), 3);
}

#[test]
fn reset_forgets_the_start_limit() {
    let daemon = app("--fail-first 2", "start-limit-burst = 2\nrestart-delay = \"1ms\"");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-limit");
    assert!(daemon.operate("reset", &["app"]).ok);
    assert!(daemon.operate("start", &["app"]).ok);
    assert_eq!(daemon.state("app"), State::Running);
}

#[test]
fn a_service_that_ends_well_is_not_started_again() {
    let daemon = app("--exit 0", "");
    let app = daemon.wait_state("app", State::Exited);
    assert_eq!(app.exit.and_then(|exit| exit.code), Some(0));
    assert_eq!(daemon.happened("start", "app").len(), 1);
}

#[test]
fn restart_always_restarts_what_ends_well() {
    let daemon = app("--exit 0", "restart = \"always\"\nstart-limit-burst = 3");
    daemon.wait_state("app", State::Failed);
    assert_eq!(daemon.happened("start", "app").len(), 3);
}

#[test]
fn restart_no_restarts_nothing() {
    let daemon = app("--exit 4", "restart = \"no\"");
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "exit");
    assert_eq!(app.exit.and_then(|exit| exit.code), Some(4));
    assert_eq!(daemon.happened("start", "app").len(), 1);
}

#[test]
fn listed_exits_count_as_success() {
    let daemon = app("--exit 42", "success-exit = [42, \"USR1\"]");
    daemon.wait_state("app", State::Exited);
    let daemon = app("--die USR1", "success-exit = [42, \"USR1\"]");
    let app = daemon.wait_state("app", State::Exited);
    assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some("USR1"));
}

#[test]
fn listed_exits_prevent_or_force_a_restart() {
    let daemon = app("--exit 5", "restart-prevent-exit = [5]");
    daemon.wait_state("app", State::Failed);
    assert_eq!(daemon.happened("start", "app").len(), 1);
    let daemon = app("--exit 0", "restart-force-exit = [0]\nstart-limit-burst = 2");
    daemon.wait_state("app", State::Failed);
    assert_eq!(daemon.happened("start", "app").len(), 2);
}

#[test]
fn on_abort_restarts_after_a_signal_but_not_after_an_exit_status() {
    let lines = "restart = \"on-abort\"\nstart-limit-burst = 2";
    let daemon = app("--exit 1", lines);
    daemon.wait_state("app", State::Failed);
    assert_eq!(daemon.happened("start", "app").len(), 1);
    let daemon = app("--die KILL", lines);
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-limit");
    assert_eq!(daemon.happened("start", "app").len(), 2);
}

#[test]
fn a_stop_during_the_backoff_ends_it() {
    let daemon = app("--exit 1", "restart-delay = \"10min\"\nrestart-max-delay = \"10min\"");
    daemon.wait_state("app", State::Backoff);
    assert!(daemon.operate("stop", &["app"]).ok);
    assert_eq!(daemon.state("app"), State::Stopped);
}

#[test]
fn a_start_during_the_backoff_does_not_wait_for_it() {
    let lines = "restart-delay = \"10min\"\nrestart-max-delay = \"10min\"";
    let daemon = app("--fail-first 1", lines);
    daemon.wait_state("app", State::Backoff);
    assert!(daemon.operate("start", &["app"]).ok);
    assert_eq!(daemon.state("app"), State::Running);
}

#[test]
fn a_stop_by_request_is_never_followed_by_a_restart() {
    let daemon = app("--term-exit 9", "restart = \"always\"");
    daemon.wait_record("start", "app", 1);
    assert!(daemon.operate("stop", &["app"]).ok);
    assert_eq!(daemon.state("app"), State::Stopped);
    assert_eq!(daemon.happened("start", "app").len(), 1);
}

#[test]
fn failure_action_shuts_down_with_the_status_of_the_service() {
    let spec = |steps: &str| {
        format!(
            r#"
            [service.app]
            restart = "no"
            failure-action = "shutdown"
            command = "${{FIXTURE}} ${{SERVICE}} --await ${{DIR}}/gate {steps}"
            [service.other]
            type = "notify"
            command = "${{FIXTURE}} ${{SERVICE}} --ready""#
        )
    };
    for (steps, status) in [("--exit 7", 7), ("--die KILL", 137)] {
        let mut daemon = Daemon::boot(&spec(steps));
        daemon.open("gate");
        assert_eq!(daemon.wait_exit(), status);
        assert_eq!(daemon.order("exit").last().map(String::as_str), Some("other"));
        assert_eq!(daemon.started(), Vec::<i32>::new());
    }
}

#[test]
fn success_action_shuts_down_when_the_service_ends_well() {
    let mut daemon = app("--await ${DIR}/gate --exit 0", "success-action = \"shutdown\"");
    daemon.open("gate");
    assert_eq!(daemon.wait_exit(), 0);
}

#[test]
fn a_service_that_was_started_too_often_gives_no_status_of_success() {
    let mut daemon = Daemon::builder()
        .spec(
            r#"[service.app]
            command = "${FIXTURE} ${SERVICE} --exit 0"
            restart = "always"
            restart-delay = "1ms"
            start-limit-burst = 2
            failure-action = "shutdown""#,
        )
        .spawn();
    assert_eq!(daemon.wait_exit(), 1);
}

#[test]
fn a_oneshot_that_stays_up_has_not_come_to_its_success_action() {
    let mut daemon = Daemon::boot(
        r#"
        [service.setup]
        type = "oneshot"
        command = "${FIXTURE} ${SERVICE} --exit 0"
        success-action = "shutdown"
        [service.web]
        command = "${FIXTURE} ${SERVICE} --await ${DIR}/gate --exit 0"
        requires = ["setup"]
        success-action = "shutdown""#,
    );
    daemon.wait_state("web", State::Running);
    assert!(daemon.service("setup").ready);
    daemon.open("gate");
    assert_eq!(daemon.wait_exit(), 0);
}

#[test]
fn what_fails_during_a_shutdown_decides_nothing() {
    let mut daemon = Daemon::boot(
        r#"[service.app]
        command = "${FIXTURE} ${SERVICE} --term-exit 7"
        failure-action = "shutdown""#,
    );
    daemon.wait_record("start", "app", 1);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_service_that_is_up_for_too_long_is_stopped_and_restarted() {
    let daemon = app("", "runtime-max = \"100ms\"\nstop-signal = \"INT\"");
    daemon.wait_record("start", "app", 2);
    assert_eq!(daemon.happened("signal", "app")[0].detail, "INT");
    let first = daemon.detail("app").runs.pop().unwrap();
    assert_eq!(first.reason, "up for longer than its runtime-max");
    assert!(first.lasted_ms >= 100, "{first:?}");
}

#[test]
fn a_service_that_is_up_for_too_long_and_is_not_to_be_restarted_has_failed() {
    let daemon = app("", "runtime-max = \"100ms\"\nrestart = \"no\"");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "runtime-max");
}
