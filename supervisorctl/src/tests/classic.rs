//! The verbs of Supervisor: what they print and how they exit is an interface.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn status_lists_all_services_in_supervisors_columns() {
    let daemon = Daemon::start(&[("GET /v1/services ", 200, &snapshot())]);
    let expected = [
        "a-waiting                        STARTING  waits for db",
        "backoff                          BACKOFF   exit status 1, next try in 5s",
        "exited                           EXITED    Nov 21 07:01 AM",
        "failed                           FATAL     too many starts",
        "never                            STOPPED   Not started",
        "stopped                          STOPPED   Nov 21 08:01 AM",
        "web@1                            RUNNING   pid 17271, uptime 0:00:06",
        "--- exit 3",
    ];
    assert_eq!(daemon.ctl(&["status"]).text(), expected.join("\n"));
    assert_eq!(daemon.ctl(&[]).text(), expected.join("\n"), "no verb is status");
    assert_eq!(daemon.ctl_live(&["status"]).text(), expected.join("\n"), "as plain on a terminal");
    assert_eq!(daemon.ctl(&["-q", "status"]).text(), "--- exit 3");
}

#[test]
fn the_names_column_grows_with_the_longest_name() {
    let name = "n".repeat(40);
    let snapshot =
        Snapshot { boot_id: "b".into(), rev: 1, now_ms: 1, services: vec![service(&name)] };
    let body = serde_json::to_string(&snapshot).unwrap();
    let daemon = Daemon::start(&[("GET /v1/services ", 200, &body)]);
    assert_eq!(daemon.ctl(&["status"]).out, format!("{name}   STOPPED   Not started\n"));
}

#[test]
fn status_of_names_lists_these_sorted_and_once() {
    let daemon = Daemon::start(&[("GET /v1/services ", 200, &snapshot())]);
    insta::assert_snapshot!(daemon.ctl(&["status web a-waiting", "front:*"]).text(), @r"
    a-waiting                        STARTING  waits for db
    web@1                            RUNNING   pid 17271, uptime 0:00:06
    --- exit 0
    ");
    insta::assert_snapshot!(daemon.ctl(&["status", "x", "y:*", "web"]).text(), @r"
    x: ERROR (no such process)
    y: ERROR (no such group)
    web@1                            RUNNING   pid 17271, uptime 0:00:06
    --- exit 4
    ");
    assert_eq!(daemon.ctl(&["status", "x", "stopped"]).code, 3);
}

#[test]
fn status_speaks_json_names_and_more_columns() {
    let daemon = Daemon::start(&[("GET /v1/services ", 200, &snapshot())]);
    assert_eq!(daemon.ctl(&["-o", "name", "status", "web", "never"]).out, "never\nweb@1\n");
    let json = daemon.ctl(&["status", "-o", "json", "web"]);
    let snapshot: Snapshot = serde_json::from_str(&json.out).unwrap();
    assert_eq!((snapshot.services.len(), snapshot.rev, json.code), (1, 9, 0));
    let lines = daemon.ctl(&["-o", "ndjson", "status", "front", "x"]);
    assert_eq!(serde_json::from_str::<Service>(&lines.out).unwrap().name, "web@1");
    assert_eq!((lines.err.as_str(), lines.code), ("error: no service \"x\"\n", 4));
    insta::assert_snapshot!(daemon.ctl(&["-o", "wide", "status", "web", "failed"]).text(), @r"
    NAME    STATE    SINCE    PID    READY  RESTARTS  GROUPS  WHY
    failed  failed   0:01:02  -      no     0         -       too many starts
    web@1   running  0:00:06  17271  yes    0         front   serving
    --- exit 3
    ");
    let colored = daemon.ctl(&["-o", "wide", "--color", "always", "status", "web"]);
    assert!(colored.out.contains("\x1b[32mrunning\x1b[0m"), "{colored:?}");
}

#[test]
fn start_prints_a_line_per_named_service() {
    let body = operation(
        true,
        &[
            ("a", true, "started", ""),
            ("b", true, "already-started", ""),
            ("db", false, "started", ""),
        ],
    );
    let daemon = Daemon::start(&[("POST /v1/operations ", 200, &body)]);
    insta::assert_snapshot!(daemon.ctl(&["start b a"]).text(), @r"
    b: ERROR (already started)
    a: started
    --- exit 0
    ");
    insta::assert_snapshot!(daemon.ctl(&["start", "all"]).text(), @r"
    a: started
    b: ERROR (already started)
    --- exit 0
    ");
    let expected = [
        r#"POST /v1/operations {"verb":"start","targets":["b","a"],"wait":true}"#,
        r#"POST /v1/operations {"verb":"start","targets":["all"],"wait":true}"#,
    ];
    assert_eq!(daemon.requests(), expected);
}

#[test]
fn failures_exit_as_supervisor_does_and_say_why_on_demand() {
    let body = operation(
        true,
        &[("a", true, "started", ""), ("b", true, "start-failed", "exit status 1")],
    );
    let daemon = Daemon::start(&[("POST /v1/operations ", 200, &body)]);
    insta::assert_snapshot!(daemon.ctl(&["start", "all"]).text(), @r"
    a: started
    b: ERROR (abnormal termination)
    --- exit 7
    ");
    insta::assert_snapshot!(daemon.ctl(&["-v", "start", "all"]).text(), @r"
    a: started
    b: ERROR (abnormal termination)
    --- stderr
      b: exit status 1
    --- exit 7
    ");
}

#[test]
fn unknown_names_have_their_lines_and_the_others_are_served() {
    let unknown = refusal("unknown-service", "no service \"x\"", &[]);
    let body = operation(true, &[("web@1", true, "started", "")]);
    let daemon = Daemon::start(&[
        ("POST /v1/operations ", 404, &unknown),
        ("GET /v1/services ", 200, &snapshot()),
        ("POST /v1/operations ", 200, &body),
    ]);
    insta::assert_snapshot!(daemon.ctl(&["start", "x", "web:"]).text(), @r"
    x: ERROR (no such process)
    web@1: started
    --- exit 1
    ");
    assert_eq!(
        daemon.requests()[2],
        r#"POST /v1/operations {"verb":"start","targets":["web@1"],"wait":true}"#
    );
    let daemon = Daemon::start(&[
        ("POST /v1/operations ", 404, &unknown),
        ("GET /v1/services ", 200, &snapshot()),
    ]);
    assert_eq!(daemon.ctl(&["start", "g:*"]).text(), "g: ERROR (no such group)\n--- exit 2");
    assert_eq!(daemon.ctl(&["stop", "g:*"]).text(), "g: ERROR (no such group)\n--- exit 1");
    assert_eq!(daemon.ctl(&["restart", "x"]).text(), "x: ERROR (no such process)\n--- exit 1");
}

#[test]
fn restart_prints_both_halves() {
    let body = operation(true, &[("a", true, "restarted", ""), ("b", true, "started", "")]);
    let daemon = Daemon::start(&[("POST /v1/operations ", 200, &body)]);
    insta::assert_snapshot!(daemon.ctl(&["restart", "a", "b", "--mode", "force"]).text(), @r"
    a: stopped
    a: started
    b: ERROR (not running)
    b: started
    --- exit 0
    ");
    let request =
        r#"POST /v1/operations {"verb":"restart","targets":["a","b"],"mode":"force","wait":true}"#;
    assert_eq!(daemon.requests(), [request]);
}

#[test]
fn a_failed_reload_says_why() {
    let body = operation(
        true,
        &[("a", true, "reloaded", ""), ("b", true, "reload-failed", "exit status 1")],
    );
    let daemon = Daemon::start(&[("POST /v1/operations ", 200, &body)]);
    insta::assert_snapshot!(daemon.ctl(&["-v", "reload", "a", "b"]).text(), @r"
    a: reloaded
    b: ERROR (reload failed: exit status 1)
    --- exit 1
    ");
}

#[test]
fn signal_takes_its_words_in_one() {
    let body = operation(true, &[("web", true, "signalled", ""), ("x", true, "not-running", "")]);
    let daemon = Daemon::start(&[("POST /v1/operations ", 200, &body)]);
    assert_eq!(
        daemon.ctl(&["signal HUP", "web", "x"]).text(),
        "web: signalled\nx: ERROR (not running)\n--- exit 7"
    );
    let request =
        r#"POST /v1/operations {"verb":"signal","targets":["web","x"],"signal":"HUP","wait":true}"#;
    assert_eq!(daemon.requests(), [request]);
    let body = refusal("invalid", "no signal \"FOO\"", &[]);
    let daemon = Daemon::start(&[("POST /v1/operations ", 422, &body)]);
    assert_eq!(
        daemon.ctl(&["signal", "FOO", "web"]).text(),
        "web: ERROR (bad signal name)\n--- exit 1"
    );
}

#[test]
fn a_verb_without_its_names_is_refused_before_a_daemon_is_needed() {
    insta::assert_snapshot!(ctl(&["start"]).text(), @r"
    Error: start requires a process name
    --- exit 2
    ");
    assert_eq!(ctl(&["stop"]).code, 2);
    assert_eq!(ctl(&["restart"]).code, 2);
    assert_eq!(ctl(&["signal", "HUP"]).code, 2);
    insta::assert_snapshot!(ctl(&["reload"]).text(), @r#"
    ERROR: "reload" without a name is not supported yet
    --- exit 1
    "#);
}

#[test]
fn waiting_goes_on_until_it_is_done() {
    let begun = operation(false, &[("web", true, "", "starting")]);
    let done = operation(true, &[("web", true, "started", "")]);
    let daemon = Daemon::start(&[
        ("POST /v1/operations ", 200, &begun),
        ("GET /v1/operations/7?wait=30s ", 200, &begun),
        ("GET /v1/operations/7?wait=30s ", 200, &done),
    ]);
    assert_eq!(daemon.ctl(&["start", "web"]).text(), "web: started\n--- exit 0");
    assert_eq!(daemon.requests().len(), 3);
}

#[test]
fn on_a_terminal_the_operation_is_followed_by_its_events() {
    let begun = operation(false, &[("web", true, "", "starting")]);
    let done = operation(true, &[("web", true, "started", "")]);
    let daemon = Daemon::start(&[
        ("GET /v1/events ", 200, ""),
        ("POST /v1/operations ", 202, &begun),
        ("GET /v1/operations/7?wait=30s ", 200, &done),
    ]);
    let outcome = daemon.ctl_live(&["start", "web"]);
    assert_eq!((outcome.out.as_str(), outcome.code), ("web: started\n", 0));
    assert_eq!(daemon.requests()[1], r#"POST /v1/operations {"verb":"start","targets":["web"]}"#);
}

#[test]
fn waiting_ends_with_the_timeout() {
    let body = operation(false, &[("web", true, "", "starting"), ("db", false, "started", "")]);
    let daemon = Daemon::start(&[("POST /v1/operations ", 200, &body)]);
    let outcome = daemon.ctl(&["start", "--timeout", "0s", "web"]);
    assert_eq!(outcome.text(), "web: ERROR (timed out)\n--- exit 124");
    let request =
        r#"POST /v1/operations {"verb":"start","targets":["web"],"timeout":"0ms","wait":true}"#;
    assert_eq!(daemon.requests(), [request]);
}

#[test]
fn without_waiting_the_operation_is_named() {
    let body = operation(false, &[("web", true, "", "")]);
    let daemon = Daemon::start(&[("POST /v1/operations ", 202, &body)]);
    assert_eq!(daemon.ctl(&["stop", "--no-wait", "web"]).text(), "operation 7\n--- exit 0");
    assert_eq!(daemon.requests(), [r#"POST /v1/operations {"verb":"stop","targets":["web"]}"#]);
}

#[test]
fn operations_speak_json() {
    let body = operation(true, &[("web", true, "spawn-failed", "no such file")]);
    let daemon = Daemon::start(&[("POST /v1/operations ", 200, &body)]);
    let json = daemon.ctl(&["-o", "json", "start", "web"]);
    let operation: supervisor_api::Operation = serde_json::from_str(&json.out).unwrap();
    assert_eq!((operation.id, json.code), (7, 7));
    insta::assert_snapshot!(daemon.ctl(&["-o", "wide", "start", "web"]).text(), @r"
    NAME  RESULT        NAMED  MESSAGE
    web   spawn-failed  yes    no such file
    --- exit 7
    ");
}

#[test]
fn pids_are_those_of_the_daemon_or_of_services() {
    let info = r#"{"version":"0.1.0","api_version":"v1","pid":42,"boot_id":"b","started_ms":1,"state":"running","spec_files":[],"rev":1}"#;
    let daemon = Daemon::start(&[("GET /v1 ", 200, info), ("GET /v1/services ", 200, &snapshot())]);
    assert_eq!(daemon.ctl(&["pid"]).text(), "42\n--- exit 0");
    assert_eq!(daemon.ctl(&["pid", "web"]).text(), "17271\n--- exit 0");
    assert_eq!(daemon.ctl(&["pid", "never"]).text(), "0\n--- exit 7");
    assert_eq!(daemon.ctl(&["pid", "x"]).text(), "No such process x\n--- exit 1");
    assert_eq!(daemon.ctl(&["pid", "all"]).out.lines().count(), 7);
}

const SHUTDOWN: &str = concat!(
    r#"{"type":"event","rev":1,"time_ms":1,"event":"transition","service":"web","from":"running","to":"stopping","cause":"shutdown"}"#,
    "\n",
    r#"{"type":"report","took_ms":1300,"services":[{"service":"web","took_ms":1250,"killed":true,"exit":{"signal":"KILL"},"phases":[{"step":"signal TERM","took_ms":1200,"result":"timeout"},{"step":"signal KILL","took_ms":50,"result":"gone"}]},{"service":"db","took_ms":40,"killed":false,"exit":{"code":0},"phases":[{"step":"signal TERM","took_ms":40,"result":"gone"}]}]}"#,
    "\n",
);

#[test]
fn shutdown_waits_for_the_report() {
    let daemon = Daemon::start(&[("POST /v1/shutdown ", 200, SHUTDOWN)]);
    let outcome = daemon.ctl(&["shutdown", "--timeout", "5s", "--mode", "force"]);
    assert_eq!(outcome.text(), "Shut down\n--- exit 0");
    let request = r#"POST /v1/shutdown {"mode":"force","timeout":"5000ms","wait":true}"#;
    assert_eq!(daemon.requests(), [request]);
    insta::assert_snapshot!(daemon.ctl(&["-v", "shutdown"]).text(), @r"
    NAME  STEP         TOOK  RESULT
    web   all          1.2s  killed
          signal TERM  1.2s  timeout
          signal KILL  50ms  gone
    db    all          40ms  exit status 0
          signal TERM  40ms  gone
    2 services in 1.3s
    Shut down
    --- exit 0
    ");
    assert_eq!(daemon.ctl(&["shutdown", "--no-wait"]).text(), "Shutting down\n--- exit 0");
    assert_eq!(daemon.ctl(&["-o", "ndjson", "shutdown"]).out.lines().count(), 2);
    assert!(daemon.ctl_live(&["shutdown"]).out.ends_with("in 1.3s\nShut down\n"));
}

#[test]
fn shutdown_says_when_it_cannot_know() {
    let daemon = Daemon::start(&[("POST /v1/shutdown ", 200, "")]);
    let text = "ERROR: the daemon went away without a report\n--- exit 1";
    assert_eq!(daemon.ctl(&["shutdown"]).text(), text);
    let body = refusal("conflict", "a longer budget is refused", &[]);
    let daemon = Daemon::start(&[("POST /v1/shutdown ", 409, &body)]);
    assert_eq!(daemon.ctl(&["shutdown"]).text(), "ERROR: already shutting down\n--- exit 0");
}

#[test]
fn a_daemon_that_cannot_be_reached_is_named_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let environment = Environment { socket: Some(socket.clone().into()), ..Environment::default() };
    let says = |verb: &str| {
        let text = ctl_with(&environment, &[verb], false).text();
        text.replace(dir.path().to_str().unwrap(), "")
    };
    assert_eq!(says("status"), "unix:///s no such file\n--- exit 4");
    assert_eq!(says("start x"), "unix:///s no such file\n--- exit 7");
    assert_eq!(says("pid"), "unix:///s no such file\n--- exit 7");
    assert_eq!(says("shutdown"), "unix:///s no such file\n--- exit 7");
    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(says("status"), "unix:///s refused connection\n--- exit 4");
    assert_eq!(says("stop x"), "unix:///s refused connection\n--- exit 7");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may use every socket.
    if !says("stop x").contains("refused connection") {
        assert_eq!(says("stop x"), "unix:///s permission denied\n--- exit 4");
        assert_eq!(says("status"), "unix:///s permission denied\n--- exit 4");
    }
}

#[test]
fn who_may_not_is_told_so() {
    let body = refusal("forbidden", "uid 1000 is a reader", &[]);
    let daemon = Daemon::start(&[("POST ", 403, &body)]);
    assert_eq!(daemon.ctl(&["stop", "x"]).text(), "ERROR: uid 1000 is a reader\n--- exit 4");
}

#[test]
fn the_version_is_ours() {
    assert_eq!(ctl(&["version"]).text(), format!("{}\n--- exit 0", env!("CARGO_PKG_VERSION")));
}
