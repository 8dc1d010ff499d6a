//! Liveness probes: what does not answer any more is stopped, and then restarted or not.

use nix::sys::signal::Signal;
use supervisor_api::{Health, State};

use crate::harness::{Daemon, free_port, send_signal};

#[test]
fn a_service_that_does_not_answer_any_more_is_stopped_and_started_again() {
    let daemon = Daemon::boot(
        r#"[service.app]
        command = "${FIXTURE} app"
        restart = "on-abnormal"
        restart-delay = "1ms"
        liveness-probe = { exec = ["test", "!", "-e", "${DIR}/sick"], period = "10ms", failures = 2 }"#,
    );
    let app = daemon.wait_service("app", "healthy", |app| app.health == Some(Health::Healthy));
    assert_eq!((app.state, app.why.message.as_str()), (State::Running, "up, healthy"));
    daemon.open("sick");
    assert_eq!(daemon.wait_record("signal", "app", 1).detail, "TERM");
    std::fs::remove_file(daemon.path("sick")).unwrap();
    daemon.wait_record("start", "app", 2);
    daemon.wait_service("app", "healthy again", |app| app.health == Some(Health::Healthy));
    let runs = daemon.detail("app").runs;
    assert!(runs.iter().all(|run| run.reason == "its liveness probe failed"), "{runs:?}");
}

#[test]
fn what_never_answers_is_unhealthy_after_as_many_failures_in_a_row() {
    let port = free_port();
    let daemon = Daemon::boot(&format!(
        r#"[service.app]
        command = "${{FIXTURE}} app --term-awaits ${{DIR}}/gate"
        restart = "no"
        liveness-probe = {{ tcp = "127.0.0.1:{port}", period = "10ms" }}"#
    ));
    let stopping = daemon.wait_state("app", State::Stopping);
    assert_eq!(stopping.health, Some(Health::Unhealthy));
    daemon.open("gate");
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!((app.why.code.as_str(), app.health), ("unhealthy", None));
}

#[test]
fn a_stop_ends_the_probe() {
    let mut daemon = Daemon::boot(
        r#"[service.app]
        command = "${FIXTURE} app"
        liveness-probe = { exec = ["${FIXTURE}", "probe", "--ignore", "TERM"], timeout = "1min" }"#,
    );
    daemon.wait_record("start", "probe", 1);
    assert_eq!(daemon.service("app").health, Some(Health::Unknown));
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_service_that_hangs_is_found_by_its_probe() {
    let port = free_port();
    let daemon = Daemon::boot(&format!(
        r#"[service.app]
        command = "${{FIXTURE}} app --http {port} --http-ok"
        restart = "no"
        readiness-probe = {{ http = "http://127.0.0.1:{port}/", period = "10ms" }}
        liveness-probe = {{ http = "http://127.0.0.1:{port}/", period = "10ms", timeout = "100ms", failures = 1 }}"#
    ));
    daemon.wait_service("app", "healthy", |app| app.health == Some(Health::Healthy));
    send_signal(daemon.pid_of("app"), Signal::SIGSTOP);
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "unhealthy");
}
