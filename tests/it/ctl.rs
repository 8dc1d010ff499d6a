//! `supervisorctl` as scripts and configuration management read it: exact lines, exact statuses.

use supervisor_api::State;

use crate::harness::{Daemon, Output, SUPERVISORCTL};

fn boot() -> Daemon {
    Daemon::boot(
        r#"
        [service.web]
        command = "${FIXTURE} ${SERVICE}"
        [service.idle]
        enabled = false
        command = "${FIXTURE} ${SERVICE}"
        [group.pair]
        members = ["web", "idle"]"#,
    )
}

/// A service that cannot be started, for one reason or the other.
fn boot_broken() -> Daemon {
    Daemon::boot(
        r#"
        [defaults]
        restart = "no"
        enabled = false
        [service.ghost]
        command = ["/nonexistent/ghost"]
        [service.crash]
        type = "notify"
        command = "${FIXTURE} ${SERVICE} --exit 1""#,
    )
}

fn line(name: &str, state: &str, text: &str) -> String {
    format!("{name:<33}{state:<10}{text}")
}

#[test]
fn status_shows_a_line_per_service_and_3_if_one_is_down() {
    let daemon = boot();
    let output = daemon.ctl(&["status"]);
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{output:?}");
    assert_eq!(lines[0], line("idle", "STOPPED", "Not started"));
    let running = format!("pid {}, uptime 0:00:", daemon.pid_of("web"));
    assert!(lines[1].starts_with(&line("web", "RUNNING", &running)), "{output:?}");
    assert_eq!(lines[1].len(), line("web", "RUNNING", &running).len() + 2);
    assert_eq!(output.code, 3);
    assert_eq!(daemon.ctl(&["status", "web"]).code, 0);
    assert_eq!(daemon.ctl(&["status", "pair:*"]).stdout, output.stdout);
}

#[test]
fn status_shows_when_a_service_was_stopped() {
    let daemon = boot();
    daemon.ctl(&["stop", "web"]);
    let output = daemon.ctl(&["status", "web"]);
    let text = output.stdout.strip_prefix(&line("web", "STOPPED", "")).unwrap();
    // Nov 21 08:01 AM
    let words: Vec<_> = text.trim_end().split(' ').collect();
    assert!(matches!(words[..], [_, _, _, "AM" | "PM"]), "{text}");
    assert_eq!(output.code, 3);
}

#[test]
fn status_shows_failed_services_as_fatal() {
    let daemon = boot_broken();
    daemon.ctl(&["start", "crash"]);
    let output = daemon.ctl(&["status", "crash"]);
    assert!(output.stdout.starts_with(&line("crash", "FATAL", "")), "{output:?}");
    assert_eq!(output.code, 3);
}

#[test]
fn status_shows_a_service_that_is_not_ready_as_starting() {
    let daemon =
        Daemon::start("[service.web]\ntype = \"notify\"\ncommand = \"${FIXTURE} ${SERVICE}\"");
    daemon.wait_state("web", State::Starting);
    let output = daemon.ctl(&["status"]);
    assert!(output.stdout.starts_with(&line("web", "STARTING", "")), "{output:?}");
    assert_eq!(output.code, 0);
}

#[test]
fn why_follows_the_reasons_to_where_they_begin() {
    let daemon = Daemon::start(
        r#"
        [service.app]
        command = "${FIXTURE} ${SERVICE}"
        requires = ["db"]
        [service.db]
        type = "notify"
        command = "${FIXTURE} ${SERVICE} --exit 7"
        restart-delay = "1h"
        restart-max-delay = "1h"
        [service.idle]
        enabled = false
        command = "${FIXTURE} ${SERVICE}""#,
    );
    daemon.wait_state("db", State::Backoff);
    let output = daemon.ctl(&["why"]);
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{output:?}");
    assert_eq!(lines[0], "app is waiting: waits for db");
    assert!(lines[1].starts_with("  db is in backoff: exit status 7; "), "{output:?}");
    assert!(lines[1].contains("; tried again in "), "{output:?}");
    assert!(lines[2].contains("supervisorctl logs db"), "{output:?}");
    assert_eq!(output.code, 0);
    let output = daemon.ctl(&["why", "idle"]);
    assert!(output.stdout.starts_with("idle is stopped: not started\n"), "{output:?}");
    assert_eq!(daemon.ctl(&["-o", "name", "why"]).stdout, "app\ndb\n");
    let output = daemon.ctl(&["why", "ap"]);
    assert!(output.stderr.contains("did you mean \"app\"?") && output.code == 1, "{output:?}");
}

#[test]
fn status_of_an_unknown_name_is_4() {
    boot().ctl(&["status", "nope"]).assert("nope: ERROR (no such process)", 4);
}

#[test]
fn start_says_what_became_of_each_service() {
    let daemon = boot();
    daemon.ctl(&["start", "idle"]).assert("idle: started", 0);
    daemon.ctl(&["start", "idle"]).assert("idle: ERROR (already started)", 0);
    daemon.ctl(&["start", "nope"]).assert("nope: ERROR (no such process)", 1);
    let output = daemon.ctl(&["start", "nope:*"]);
    assert!(output.stdout.contains("ERROR (no such group)"), "{output:?}");
    assert_eq!(output.code, 2);
}

#[test]
fn start_tells_a_spawn_error_from_an_early_end() {
    let daemon = boot_broken();
    daemon.ctl(&["start", "ghost"]).assert("ghost: ERROR (spawn error)", 7);
    daemon.ctl(&["start", "crash"]).assert("crash: ERROR (abnormal termination)", 7);
}

#[test]
fn stop_says_what_became_of_each_service() {
    let daemon = boot();
    daemon.ctl(&["stop", "web"]).assert("web: stopped", 0);
    daemon.ctl(&["stop", "web"]).assert("web: ERROR (not running)", 0);
    daemon.ctl(&["stop", "nope"]).assert("nope: ERROR (no such process)", 1);
}

#[test]
fn reload_says_why_it_failed() {
    let daemon = Daemon::boot(
        r#"
        [service.plain]
        command = "${FIXTURE} ${SERVICE}"
        [service.picky]
        command = "${FIXTURE} ${SERVICE}"
        reload-command = ["sh", "-c", "exit 3"]"#,
    );
    let reason = "it has no reload-command and no reload-signal";
    daemon.ctl(&["reload", "plain"]).assert(&format!("plain: ERROR (reload failed: {reason})"), 1);
    let reason = "reload command: exit status 3";
    daemon.ctl(&["reload", "picky"]).assert(&format!("picky: ERROR (reload failed: {reason})"), 1);
}

/// Also of a request that is done as soon as it is made.
#[test]
fn a_request_is_logged_before_what_comes_of_it() {
    let daemon = boot();
    daemon.ctl(&["signal", "HUP", "web"]).assert("web: signalled", 0);
    let log = daemon.stderr();
    let place = |text| log.find(text).unwrap_or_else(|| panic!("{text} is not in {log}"));
    assert!(place("verb=signal targets=web") < place("verb=signal ok=true"), "{log}");
}

#[test]
fn restart_is_a_stop_and_a_start() {
    let daemon = boot();
    daemon.ctl(&["restart", "web"]).assert("web: stopped\nweb: started", 0);
    daemon.ctl(&["restart", "idle"]).assert("idle: ERROR (not running)\nidle: started", 0);
}

#[test]
fn signal_says_what_became_of_it() {
    let daemon = boot();
    daemon.wait_record("start", "web", 1);
    daemon.ctl(&["signal", "HUP", "web"]).assert("web: signalled", 0);
    assert_eq!(daemon.wait_record("signal", "web", 1).detail, "HUP");
    daemon.ctl(&["signal HUP", "web"]).assert("web: signalled", 0);
    daemon.ctl(&["signal", "NOPE", "web"]).assert("web: ERROR (bad signal name)", 1);
    daemon.ctl(&["signal", "HUP", "idle"]).assert("idle: ERROR (not running)", 7);
    daemon.ctl(&["signal", "HUP", "nope"]).assert("nope: ERROR (no such process)", 1);
}

#[test]
fn pid_prints_the_daemon_or_a_service() {
    let daemon = boot();
    daemon.ctl(&["pid"]).assert(&daemon.pid().to_string(), 0);
    daemon.ctl(&["pid", "web"]).assert(&daemon.pid_of("web").to_string(), 0);
    daemon.ctl(&["pid", "idle"]).assert("0", 7);
}

#[test]
fn version_prints_the_version() {
    boot().ctl(&["version"]).assert(env!("CARGO_PKG_VERSION"), 0);
}

#[test]
fn shutdown_waits_until_the_daemon_is_gone() {
    let mut daemon = boot();
    let output = daemon.ctl(&["shutdown"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stdout.lines().last(), Some("Shut down"), "{output:?}");
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_wrong_use_is_2() {
    let daemon = boot();
    for arguments in [&["explode"][..], &["start"], &["status", "--explode"]] {
        assert_eq!(daemon.ctl(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn a_daemon_that_cannot_be_reached_is_7_and_for_status_4() {
    let mut daemon = boot();
    assert_eq!(daemon.terminate(), 0);
    for (arguments, code) in
        [(&["status"][..], 4), (&["start", "web"], 7), (&["pid"], 7), (&["shutdown"], 7)]
    {
        let output = daemon.ctl(arguments);
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        let text = output.stdout + &output.stderr;
        assert!(text.contains(daemon.socket().to_str().unwrap()), "{text}");
    }
}

#[test]
fn no_wait_returns_at_once() {
    let daemon = Daemon::boot(
        r#"[service.web]
        type = "notify"
        enabled = false
        command = "${FIXTURE} ${SERVICE} --await ${DIR}/gate --ready""#,
    );
    assert_eq!(daemon.ctl(&["start", "--no-wait", "web"]).code, 0);
    assert_ne!(daemon.state("web"), State::Running);
    daemon.open("gate");
    daemon.wait_state("web", State::Running);
}

#[test]
fn status_as_json_is_what_the_api_answers() {
    let daemon = boot();
    let output = daemon.ctl(&["-o", "json", "status"]);
    let value: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(value.to_string().contains("\"idle\""), "{value}");
}

#[test]
fn the_socket_may_come_from_the_environment() {
    let daemon = boot();
    let mut command = std::process::Command::new(SUPERVISORCTL);
    command.args(["pid"]).env("SUPERVISOR_SOCKET", format!("unix://{}", daemon.socket().display()));
    Output::of(&mut command).assert(&daemon.pid().to_string(), 0);
}

#[test]
fn events_are_followed() {
    let daemon = boot();
    let rev = daemon.info().rev.to_string();
    let mut events = daemon.follow(&["-o", "ndjson", "events", "--since", &rev]);
    assert!(daemon.operate("restart", &["web"]).ok);
    events.wait_for("\"service\":\"web\"");
}

#[test]
fn a_service_may_be_named_as_the_word_for_all() {
    let daemon = Daemon::boot(
        "[service.all]\ncommand = \"sleep 1000\"\n[service.web]\ncommand = \"sleep 1000\"",
    );
    assert_eq!(daemon.services().services.len(), 2);
    assert_eq!(daemon.ctl(&["status"]).stdout.lines().count(), 2);
    assert!(daemon.operate("stop", &["all"]).ok);
    assert_eq!(daemon.state("web"), State::Running);
}
