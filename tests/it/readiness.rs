//! When a service counts as up: probes, and the time that a start may take.

use supervisor_api::{ItemResult, State};

use crate::harness::{Daemon, free_port};

/// A service that goes on with `steps` when the gate opens, and the probe that finds out.
fn probed(probe: &str, first: &str, then: &str) -> Daemon {
    let daemon = Daemon::start(&format!(
        r#"
        [service.app]
        command = "${{FIXTURE}} ${{SERVICE}} {first} --await ${{DIR}}/gate {then}"
        readiness-probe = {{ {probe}, period = "10ms" }}
        [service.after]
        command = "${{FIXTURE}} ${{SERVICE}}"
        requires = ["app"]"#
    ));
    daemon.wait_record("start", "app", 1);
    daemon
}

#[track_caller]
fn is_up_only_when_the_gate_opens(daemon: &Daemon) {
    daemon.wait_state("app", State::Starting);
    assert!(!daemon.service("app").ready);
    assert_eq!(daemon.state("after"), State::Waiting);
    daemon.open("gate");
    assert!(daemon.wait_state("app", State::Running).ready);
    daemon.wait_state("after", State::Running);
}

#[test]
fn a_command_that_ends_well_makes_ready() {
    let daemon = probed(r#"exec = ["test", "-e", "${DIR}/probed"]"#, "", "--touch ${DIR}/probed");
    is_up_only_when_the_gate_opens(&daemon);
}

#[test]
fn a_file_that_exists_makes_ready() {
    let daemon = probed(r#"file = "${DIR}/probed""#, "", "--touch ${DIR}/probed");
    is_up_only_when_the_gate_opens(&daemon);
}

#[test]
fn an_accepted_tcp_connection_makes_ready() {
    let port = free_port();
    let probe = format!(r#"tcp = "127.0.0.1:{port}""#);
    is_up_only_when_the_gate_opens(&probed(&probe, "", &format!("--tcp {port}")));
}

#[test]
fn an_accepted_connection_to_a_unix_socket_makes_ready() {
    let daemon = probed(r#"unix = "${DIR}/probed""#, "", "--unix ${DIR}/probed");
    is_up_only_when_the_gate_opens(&daemon);
}

#[test]
fn a_good_http_answer_makes_ready_and_a_bad_one_does_not() {
    let port = free_port();
    let probe = format!(r#"http = "http://127.0.0.1:{port}/health?full=1""#);
    let daemon = probed(&probe, &format!("--http {port}"), "--http-ok");
    let request = daemon.wait_record("http", "app", 3);
    assert_eq!(request.detail, "GET /health?full=1 HTTP/1.1");
    is_up_only_when_the_gate_opens(&daemon);
}

/// A service that says and does these, and has this probe.
fn telling(probe: &str, steps: &str) -> Daemon {
    Daemon::start(&format!(
        r#"
        [service.app]
        command = "${{FIXTURE}} ${{SERVICE}} {steps}"
        readiness-probe = {{ {probe} }}
        [service.after]
        command = "${{FIXTURE}} ${{SERVICE}}"
        requires = ["app"]"#
    ))
}

#[test]
fn a_newline_on_its_descriptor_makes_ready() {
    let steps = "--write 7 not --await ${DIR}/gate --newline 7";
    let daemon = telling("fd = 7", steps);
    daemon.wait_record("wrote", "app", 1);
    is_up_only_when_the_gate_opens(&daemon);
}

#[test]
fn a_descriptor_that_is_closed_without_a_newline_does_not_make_ready() {
    let daemon = Daemon::start(
        r#"[service.app]
        command = ["sh", "-c", "exec 3>&-; sleep 1000"]
        readiness-probe = { fd = 3 }
        start-timeout = "100ms"
        restart = "no""#,
    );
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-timeout");
}

#[test]
fn a_line_that_matches_makes_ready() {
    for step in ["--print", "--print-err"] {
        let steps = format!("--print 'not ready' --await ${{DIR}}/gate {step} 'ready at last'");
        is_up_only_when_the_gate_opens(&telling(r#"log = "^ready""#, &steps));
    }
}

#[test]
fn a_line_of_an_earlier_start_does_not_make_ready() {
    let daemon = telling(r#"log = "ready""#, "--await ${DIR}/gate --print 'ready now'");
    is_up_only_when_the_gate_opens(&daemon);
    std::fs::remove_file(daemon.path("gate")).unwrap();
    assert_eq!(daemon.ctl(&["restart", "--no-wait", "app"]).code, 0);
    daemon.wait_record("start", "app", 2);
    is_up_only_when_the_gate_opens(&daemon);
    let lines = daemon.ctl(&["logs", "app"]).stdout;
    assert_eq!(lines, "ready now\nready now\n");
}

#[test]
fn any_http_status_in_the_range_makes_ready() {
    let port = free_port();
    let probe = format!(r#"http = "http://127.0.0.1:{port}", status = "200-299,503""#);
    let daemon = probed(&probe, &format!("--http {port}"), "");
    daemon.wait_state("app", State::Running);
}

#[test]
fn several_successes_in_a_row_can_be_asked_for() {
    let port = free_port();
    let probe = format!(r#"http = "http://127.0.0.1:{port}/", successes = 3"#);
    let daemon = probed(&probe, &format!("--http {port} --http-ok"), "");
    daemon.wait_state("app", State::Running);
    assert!(daemon.happened("http", "app").len() >= 3);
}

#[test]
fn a_probe_command_that_hangs_is_ended_when_its_time_is_up() {
    let hangs = r#"exec = ["${FIXTURE}", "probe", "--ignore", "TERM"], timeout = "20ms""#;
    let mut daemon = probed(hangs, "", "");
    daemon.wait_record("start", "probe", 3);
    assert_eq!(daemon.state("app"), State::Starting);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_service_that_is_not_ready_in_time_is_stopped_and_fails() {
    let daemon = Daemon::start(
        r#"[service.app]
        type = "notify"
        start-timeout = "200ms"
        restart = "no"
        command = "${FIXTURE} ${SERVICE}""#,
    );
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "start-timeout");
    assert_eq!(daemon.wait_record("signal", "app", 1).detail, "TERM");
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_probe_that_never_succeeds_is_a_start_timeout() {
    let daemon = Daemon::start(
        r#"[service.app]
        readiness-probe = { file = "${DIR}/never", period = "10ms" }
        start-timeout = "100ms"
        restart = "no"
        command = "${FIXTURE} ${SERVICE}""#,
    );
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-timeout");
}

#[test]
fn a_service_that_dies_before_its_probe_succeeds_has_failed() {
    let daemon = Daemon::start(
        r#"[service.app]
        readiness-probe = { file = "${DIR}/never", period = "10ms" }
        restart = "no"
        command = "${FIXTURE} ${SERVICE} --exit 6""#,
    );
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "exit");
    assert_eq!(app.exit.and_then(|exit| exit.code), Some(6));
}

#[test]
fn a_service_counts_as_up_once_it_has_stayed_alive_for_its_settle_time() {
    let daemon = Daemon::start(
        r#"[service.app]
        settle-time = "300ms"
        command = "${FIXTURE} ${SERVICE}"
        [service.after]
        command = "${FIXTURE} ${SERVICE}"
        requires = ["app"]"#,
    );
    let after = daemon.wait_record("start", "after", 1);
    let waited = after.time - daemon.wait_record("start", "app", 1).time;
    // The record is written by the process itself, some time after its start.
    assert!(waited >= 150_000, "{waited} µs");
}

#[test]
fn an_end_within_the_settle_time_is_a_failed_start() {
    let daemon = Daemon::start(
        r#"[defaults]
        settle-time = "10min"
        restart = "no"
        [service.well]
        command = "${FIXTURE} ${SERVICE} --exit 0"
        [service.badly]
        command = "${FIXTURE} ${SERVICE} --exit 7""#,
    );
    assert_eq!(daemon.wait_state("well", State::Failed).why.code, "settle-time");
    assert_eq!(daemon.wait_state("badly", State::Failed).why.code, "exit");
    let failed = daemon.operate("start", &["well"]);
    assert_eq!(failed.items[0].result, Some(ItemResult::StartFailed), "{failed:?}");
}
