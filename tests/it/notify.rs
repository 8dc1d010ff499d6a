//! The server side of the notify protocol, spoken to by the fixture.

use std::time::{SystemTime, UNIX_EPOCH};

use supervisor_api::{ItemResult, State};

use crate::harness::{Daemon, alive, wait_until};

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

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
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
fn the_start_timeout_can_be_extended() {
    let daemon = app(
        "start-timeout = \"300ms\"",
        &["--notify", "EXTEND_TIMEOUT_USEC=60000000", "--await", "${DIR}/gate", "--ready"],
    );
    let app = daemon.wait_service("app", "given more time", |app| {
        app.deadline_ms.is_some_and(|deadline| deadline > now_ms() + 30_000)
    });
    let begin = app.started_ms.unwrap();
    wait_until("the old timeout to pass", &mut (), |()| (now_ms() > begin + 400).then_some(()));
    assert_eq!(daemon.state("app"), State::Starting);
    daemon.open("gate");
    daemon.wait_state("app", State::Running);
}

#[test]
fn a_missed_watchdog_ends_the_service() {
    let daemon = app(
        "watchdog = \"400ms\"\nlimits = { core = 0 }",
        &[
            "--env",
            "WATCHDOG_USEC",
            "--env",
            "WATCHDOG_PID",
            "--ready",
            "--ping-until",
            "${DIR}/hang",
        ],
    );
    let app = daemon.wait_state("app", State::Running);
    let seen = daemon.happened("env", "app");
    assert_eq!(seen[0].detail, "WATCHDOG_USEC=400000");
    assert_eq!(seen[1].detail, format!("WATCHDOG_PID={}", seen[1].pid));
    let begin = app.started_ms.unwrap();
    // It is fed: it lives on beyond its period.
    wait_until("two periods to pass", &mut (), |()| (now_ms() > begin + 900).then_some(()));
    assert_eq!(daemon.state("app"), State::Running);
    daemon.open("hang");
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "watchdog");
    assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some("ABRT"));
}

#[test]
fn a_service_can_ask_to_be_treated_as_hanging() {
    let daemon = app(
        "watchdog = \"10min\"\nwatchdog-signal = \"KILL\"",
        &["--ready", "--await", "${DIR}/gate", "--notify", "WATCHDOG=trigger"],
    );
    daemon.wait_state("app", State::Running);
    daemon.open("gate");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "watchdog");
}

#[test]
fn a_service_that_says_it_is_stopping_is_left_to_it() {
    let daemon = app(
        "stop-timeout = \"1min\"",
        &[
            "--ready",
            "--await",
            "${DIR}/gate",
            "--notify",
            "STOPPING=1",
            "--await",
            "${DIR}/end",
            "--exit",
            "0",
        ],
    );
    daemon.wait_state("app", State::Running);
    daemon.open("gate");
    assert!(!daemon.wait_state("app", State::Stopping).ready);
    daemon.open("end");
    daemon.wait_state("app", State::Exited);
    assert_eq!(daemon.happened("signal", "app"), []);
}

#[test]
fn a_service_that_announced_its_stop_but_stays_is_ended_by_force() {
    let daemon = app("stop-timeout = \"200ms\"", &["--ready", "--notify", "STOPPING=1"]);
    daemon.wait_service("app", "gone", |app| app.exit.is_some() && app.pid.is_none());
    assert_eq!(daemon.started(), Vec::<i32>::new());
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
fn a_reload_that_is_not_answered_fails_and_the_service_stays_up() {
    let daemon = notify_reload("reload-timeout = \"100ms\"\nreload-signal = \"USR1\"", "--reloads");
    let main = daemon.pid_of("app");
    let operation = daemon.operate("reload", &["app"]);
    assert_eq!(operation.items[0].result, Some(ItemResult::ReloadFailed), "{operation:?}");
    assert_eq!(daemon.happened("signal", "app")[0].detail, "USR1");
    assert_eq!((daemon.state("app"), daemon.pid_of("app")), (State::Running, main));
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
