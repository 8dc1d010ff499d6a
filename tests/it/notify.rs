//! The server side of the notify protocol, spoken to by the fixture.

use supervisor_api::State;

use crate::harness::{Daemon, alive};

/// A notify service with these lines and steps, each step a word.
fn app(lines: &str, steps: &[&str]) -> Daemon {
    Daemon::start(&format!(
        "[service.app]
         type = \"notify\"
         restart = \"no\"
         command = [\"${{FIXTURE}}\", \"app\", {}]
         {lines}",
        steps.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>().join(", ")
    ))
}

/// Such as squid's, where a child says that the service is ready.
#[test]
fn a_refused_message_is_told_once() {
    let refused = "may not speak for it, see notify-access";
    let mut daemon = app(
        "",
        &["--run", "--notify READY=1 --status up --exit 0", "--barrier", "--await", "${DIR}/gate"],
    );
    daemon.wait_record("barrier", "app", 1);
    assert_eq!(daemon.state("app"), State::Starting);
    let child = daemon.wait_record("start", "app.run", 1).pid;
    let told: Vec<_> =
        daemon.stderr().lines().filter(|line| line.contains(refused)).map(str::to_owned).collect();
    assert!(told.len() == 1 && told[0].contains(&format!("pid={child}")), "{told:?}");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn the_exit_status_that_it_announces_is_shown_until_the_next_start() {
    let daemon = app("", &["--await", "${DIR}/gate", "--notify", "EXIT_STATUS=3", "--exit", "3"]);
    daemon.open("gate");
    daemon.wait_state("app", State::Failed);
    assert_eq!(daemon.detail("app").said.exit_status, Some(3));
    std::fs::remove_file(daemon.path("gate")).unwrap();
    daemon.operation(&serde_json::json!({ "verb": "start", "targets": ["app"] }));
    daemon.wait_record("start", "app", 2);
    assert_eq!(daemon.detail("app").said.exit_status, None);
}

#[test]
fn a_new_main_process_is_followed() {
    let mut daemon = app("notify-access = \"all\"", &["--hand-over"]);
    daemon.wait_state("app", State::Running);
    let new = daemon.wait_record("start", "app.new", 1).pid;
    daemon.wait_record("exit", "app", 1);
    daemon.wait_service("app", "led by the new process", |app| app.pid == Some(new));
    assert_eq!(daemon.state("app"), State::Running);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.happened("signal", "app.new")[0].detail, "TERM");
}

#[test]
fn a_reload_of_a_notify_service_waits_until_it_is_ready() {
    let daemon = app("reload-signal = \"HUP\"", &["--await", "${DIR}/gate", "--ready"]);
    daemon.wait_record("start", "app", 1);
    let request = serde_json::json!({ "verb": "reload", "targets": ["app"] });
    let operation = daemon.operation(&request);
    assert!(!operation.done);
    assert_eq!(daemon.happened("signal", "app"), []);
    daemon.open("gate");
    assert_eq!(daemon.wait_record("signal", "app", 1).detail, "HUP");
    daemon.wait_state("app", State::Running);
}

#[test]
fn the_socket_stays_when_a_service_is_restarted() {
    let daemon = app("", &["--env", "NOTIFY_SOCKET", "--ready"]);
    daemon.wait_state("app", State::Running);
    let first = daemon.wait_record("start", "app", 1).pid;
    assert!(daemon.operate("restart", &["app"]).ok);
    assert!(!alive(first));
    let seen = daemon.happened("env", "app");
    assert_eq!(seen[0].detail, seen[1].detail);
}

#[test]
fn a_service_can_have_its_restarts_counted_anew() {
    let daemon = Daemon::start(
        r#"[service.app]
        notify-access = "main"
        restart-delay = "0s"
        command = "${FIXTURE} ${SERVICE} --fail-first 2 --await ${DIR}/gate --notify RESTART_RESET=1""#,
    );
    daemon.wait_record("start", "app", 3);
    assert_eq!(daemon.service("app").restarts, 2);
    daemon.open("gate");
    daemon.wait_service("app", "counted anew", |app| app.restarts == 0);
}

fn notify_reload(lines: &str, steps: &str) -> Daemon {
    let daemon = Daemon::boot(&format!(
        r#"[service.app]
        type = "notify-reload"
        command = "${{FIXTURE}} ${{SERVICE}} {steps} --ready"
        {lines}"#
    ));
    daemon.wait_state("app", State::Running);
    daemon
}

#[test]
fn a_notify_reload_service_answers_its_reload() {
    let daemon = notify_reload("", "--reloads");
    assert_eq!(daemon.service("app").kind, "notify-reload");
    for times in 1..=2 {
        let operation = daemon.operate("reload", &["app"]);
        assert!(operation.ok, "{operation:?}");
        let seen = daemon.happened("signal", "app");
        assert_eq!((seen.len(), seen[0].detail.as_str()), (times, "HUP"));
        assert_eq!(daemon.state("app"), State::Running);
    }
}

#[test]
fn a_reload_may_go_on_to_others() {
    let daemon = Daemon::boot(
        r#"[defaults]
        type = "notify-reload"
        [service.app]
        command = "${FIXTURE} ${SERVICE} --reloads --ready"
        reload-propagates-to = ["web"]
        [service.web]
        command = "${FIXTURE} ${SERVICE} --reloads --ready""#,
    );
    let operation = daemon.operate("reload", &["app"]);
    assert!(operation.ok, "{operation:?}");
    assert_eq!(operation.items.len(), 2);
    assert_eq!(daemon.happened("signal", "web")[0].detail, "HUP");
}
