//! When a service that has ended is started again, how soon, and when that is given up.

use supervisor_api::State;

use crate::harness::Daemon;

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
fn the_time_of_the_next_try_is_shown() {
    let daemon = app("--exit 1", "restart-delay = \"10min\"\nrestart-max-delay = \"10min\"");
    let app = daemon.wait_state("app", State::Backoff);
    assert_eq!(app.why.code, "backoff");
    let left = app.deadline_ms.unwrap() - daemon.services().now_ms;
    assert!((500_000..=600_000).contains(&left), "{left} ms");
}

#[test]
fn a_service_that_ends_well_is_not_started_again() {
    let daemon = app("--exit 0", "");
    let app = daemon.wait_state("app", State::Exited);
    assert_eq!(app.exit.and_then(|exit| exit.code), Some(0));
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
