//! The HTTP API over the control socket.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use supervisor_api::{
    DaemonState, ErrorCode, ErrorResponse, Event, EventKind, ItemResult, LogLine, Operation, Plan,
    ShutdownMessage, State,
};

use crate::harness::{Daemon, Response, wait_until};

/// A chain `web` → `db`, and an `idle` that is not enabled.
fn boot() -> Daemon {
    Daemon::boot(
        r#"
        [defaults]
        type = "notify"
        [group.all-of-it]
        members = ["db", "web"]
        [service.db]
        command = "${FIXTURE} ${SERVICE} --ready"
        [service.web]
        description = "serves pages"
        command = "${FIXTURE} ${SERVICE} --ready"
        requires = ["db"]
        [service.idle]
        enabled = false
        command = "${FIXTURE} ${SERVICE} --ready""#,
    )
}

#[track_caller]
fn assert_refused(answer: &Response, code: ErrorCode) -> ErrorResponse {
    let error: ErrorResponse = answer.json();
    assert_eq!((answer.status, error.error.code), (code.status(), code), "{}", answer.body);
    assert!(!error.error.message.is_empty());
    error
}

#[test]
fn the_daemon_describes_itself() {
    let daemon = boot();
    let info = daemon.info();
    assert_eq!(info.pid.cast_signed(), daemon.pid());
    assert_eq!(info.state, DaemonState::Running);
    assert_eq!(info.api_version, "v1");
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(info.spec_files, [daemon.path("supervisor.toml").to_str().unwrap()]);
    assert_eq!(info.boot_id, daemon.services().boot_id);
}

#[test]
fn head_is_answered_without_content() {
    let daemon = boot();
    let head = |path| format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for path in ["/v1", "/livez", "/readyz/web"] {
        let answer = daemon.http().raw(head(path).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    // Of one that never ends as well.
    let answer = daemon.http().raw(head("/v1/events").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let answer = daemon.http().raw(head("/v1/shutdown").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

/// As `printf … | socat - UNIX-CONNECT:…` does.
#[test]
fn a_client_that_sends_nothing_more_gets_its_answer() {
    let daemon = boot();
    let answer = daemon.http().raw(b"GET /livez HTTP/1.0\r\n\r\n");
    assert!(answer.ends_with("{\"live\":true}\n"), "{answer}");
    let body = r#"{"verb":"restart","targets":["db"],"wait":true}"#;
    let head = "POST /v1/operations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let length = body.len();
    let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    let answer = daemon.http().raw(request.as_bytes());
    assert!(answer.contains("\"result\":\"restarted\""), "{answer}");
}

/// Else those that watched and left would use up all connections.
#[test]
fn a_client_that_leaves_a_silent_stream_is_noticed() {
    let daemon = boot();
    let rev = daemon.info().rev;
    for _ in 0..300 {
        let mut socket = daemon.http().connect().unwrap();
        write!(socket, "GET /v1/events?since={rev} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut first = [0; 15];
        socket.read_exact(&mut first).unwrap();
        assert_eq!(first, *b"HTTP/1.1 200 OK");
    }
}

#[test]
fn the_snapshot_lists_all_services_by_name() {
    let daemon = boot();
    let snapshot = daemon.services();
    let names: Vec<_> = snapshot.services.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["db", "idle", "web"]);
    let web = &snapshot.services[2];
    assert_eq!(web.kind, "notify");
    assert_eq!(web.description, "serves pages");
    assert_eq!(web.groups, ["all-of-it"]);
    assert!(web.enabled && web.ready);
    assert!(web.started_ms.unwrap() <= snapshot.now_ms);
    let some: supervisor_api::Snapshot = daemon.http().get("/v1/services?match=*e*").json();
    let names: Vec<_> = some.services.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["idle", "web"]);
}

#[test]
fn one_service_is_shown_with_its_place_relations_and_runs() {
    let daemon = boot();
    assert!(daemon.operate("restart", &["web"]).ok);
    let web = daemon.detail("web");
    assert!(web.place.contains("supervisor.toml:"), "{}", web.place);
    assert_eq!(web.command[1..], ["web", "--ready"]);
    assert_eq!(web.log.as_deref(), daemon.path("log/web.log").to_str());
    let on = &web.dependencies[0];
    assert_eq!((on.kind.as_str(), on.name.as_str(), on.state), ("requires", "db", State::Running));
    assert_eq!(daemon.detail("db").dependents[0].name, "web");
    assert_eq!(web.runs.len(), 1);
    assert!(web.runs[0].ready_after_ms.is_some());
    assert_eq!(web.runs[0].exit.as_ref().and_then(|exit| exit.code), Some(0));
}

#[test]
fn an_unknown_service_is_answered_with_the_closest_name() {
    let daemon = boot();
    let error = assert_refused(&daemon.http().get("/v1/services/weeb"), ErrorCode::UnknownService);
    assert!(error.error.details.contains(&"web".to_owned()), "{error:?}");
    let request = json!({ "verb": "start", "targets": ["weeb"], "wait": true });
    let answer = daemon.http().post("/v1/operations", &request);
    assert_refused(&answer, ErrorCode::UnknownService);
}

#[test]
fn an_operation_is_waited_for_or_followed() {
    let daemon = boot();
    let started = daemon.operate("start", &["idle"]);
    assert!(started.done && started.ok);
    assert_eq!(started.items[0].result, Some(ItemResult::Started));
    let again = daemon.operate("start", &["idle"]);
    assert_eq!(again.items[0].result, Some(ItemResult::AlreadyStarted));
    let request = json!({ "verb": "stop", "targets": ["idle"] });
    let answer = daemon.http().post("/v1/operations", &request);
    assert_eq!(answer.status, 202);
    let id = answer.json::<Operation>().id;
    let path = format!("/v1/operations/{id}?wait=30s");
    let ended: Operation = daemon.http().get(&path).json();
    assert!(ended.done && ended.ok, "{ended:?}");
    assert_eq!(ended.items[0].result, Some(ItemResult::Stopped));
    assert_refused(&daemon.http().get("/v1/operations/999999"), ErrorCode::UnknownOperation);
}

#[test]
fn an_operation_lists_the_services_that_it_pulls_in() {
    let daemon = boot();
    let operation = daemon.operate("stop", &["db"]);
    let items: Vec<_> =
        operation.items.iter().map(|item| (item.service.as_str(), item.named)).collect();
    assert_eq!(items, [("db", true), ("web", false)]);
}

#[test]
fn groups_globs_and_all_name_services() {
    let daemon = boot();
    for target in ["all-of-it", "all-of-it:*", "*b"] {
        assert!(daemon.operate("stop", &[target]).ok, "{target}");
        assert_eq!(daemon.state("web"), State::Stopped, "{target}");
        assert_eq!(daemon.state("db"), State::Stopped, "{target}");
        assert!(daemon.operate("start", &[target]).ok, "{target}");
        assert_eq!(daemon.state("web"), State::Running, "{target}");
    }
    assert!(daemon.operate("stop", &["all"]).ok);
    assert!(daemon.services().services.iter().all(|one| one.state == State::Stopped));
}

#[test]
fn a_dry_run_answers_the_plan_and_does_nothing() {
    let daemon = boot();
    let plan = |verb: &str, target: &str| -> Plan {
        let request = json!({ "verb": verb, "targets": [target], "dry_run": true });
        daemon.http().post("/v1/operations", &request).json()
    };
    let stop = plan("stop", "db");
    let waves: Vec<Vec<_>> = stop
        .waves
        .iter()
        .map(|wave| wave.steps.iter().map(|step| step.service.as_str()).collect())
        .collect();
    assert_eq!(waves, [["web"], ["db"]]);
    assert_eq!(stop.waves[1].steps[0].why, "named");
    assert_eq!(daemon.state("web"), State::Running);
    assert!(daemon.operate("stop", &["db"]).ok);
    assert_eq!(plan("start", "web").waves.len(), 2);
    assert_eq!(daemon.state("web"), State::Stopped);
}

#[test]
fn a_signal_reaches_the_main_process() {
    let daemon = boot();
    let request = json!({ "verb": "signal", "targets": ["web"], "signal": "USR1", "wait": true });
    assert_eq!(daemon.operation(&request).items[0].result, Some(ItemResult::Signalled));
    assert_eq!(daemon.wait_record("signal", "web", 1).detail, "USR1");
}

#[test]
fn events_come_as_they_happen_and_can_be_read_again() {
    let daemon = boot();
    let rev = daemon.info().rev;
    let is_stop = |event: &Event| {
        matches!(&event.kind, EventKind::Transition { service, to: State::Stopped, .. }
            if service == "web")
    };
    let live = daemon.http().stream(&format!("/v1/events?since={rev}"));
    assert!(daemon.operate("stop", &["web"]).ok);
    let events = live.map(|line| serde_json::from_str::<Event>(&line).unwrap());
    let mut seen = Vec::new();
    for event in events {
        seen.push(event.clone());
        if is_stop(&event) {
            break;
        }
    }
    assert_eq!(seen[0].rev, rev + 1);
    assert!(seen.windows(2).all(|two| two[0].rev + 1 == two[1].rev), "{seen:?}");
    let again = daemon.http().stream(&format!("/v1/events?since={rev}"));
    let again: Vec<Event> =
        again.take(seen.len()).map(|line| serde_json::from_str(&line).unwrap()).collect();
    assert_eq!(again, seen);
}

#[test]
fn log_lines_can_be_read() {
    let daemon = Daemon::boot("[service.web]\ncommand = \"${FIXTURE} ${SERVICE} --count 20\"");
    let lines = wait_until("twenty lines", &mut (), |()| {
        let lines: Vec<LogLine> = daemon.http().get("/v1/logs?match=web&tail=100").lines();
        (lines.len() == 20).then_some(lines)
    });
    assert_eq!(lines[19].line, "line 20");
    let last: Vec<LogLine> = daemon.http().get("/v1/logs?match=web&tail=2").lines();
    assert_eq!(last, lines[18..]);
}

#[test]
fn a_shutdown_that_is_waited_for_ends_with_the_report() {
    let mut daemon = boot();
    let messages: Vec<ShutdownMessage> =
        daemon.http().post("/v1/shutdown", &json!({ "wait": true })).lines();
    assert_eq!(daemon.wait_exit(), 0);
    let Some(ShutdownMessage::Report(report)) = messages.last() else {
        panic!("no report at the end: {messages:?}");
    };
    let gone: Vec<_> = report.services.iter().map(|one| one.service.as_str()).collect();
    assert_eq!(gone, ["web", "db"]);
    assert!(report.services.iter().all(|one| !one.killed));
    assert_eq!(report.services[0].phases[0].step, "signal TERM");
    assert!(messages.len() > 1, "progress comes before the report");
}

#[test]
fn livez_and_readyz_follow_the_daemon() {
    let daemon = Daemon::start(
        r#"[service.web]
        type = "notify"
        stop-timeout = "1min"
        command = "${FIXTURE} ${SERVICE} --await ${DIR}/gate --ready --term-awaits ${DIR}/end""#,
    );
    daemon.wait_record("start", "web", 1);
    assert_eq!(daemon.http().get("/livez").status, 200);
    let not_yet = daemon.http().get("/readyz");
    assert_eq!(not_yet.status, 503);
    assert!(not_yet.body.contains("web"), "{}", not_yet.body);
    daemon.open("gate");
    daemon.wait_booted();
    assert_eq!(daemon.http().get("/readyz").status, 200);
    assert_eq!(daemon.http().get("/readyz/web").status, 200);
    assert_eq!(daemon.http().get("/readyz/none").status, 404);
    daemon.http().post("/v1/shutdown", &json!({}));
    daemon.wait_state("web", State::Stopping);
    assert_eq!(daemon.http().get("/livez").status, 200);
    assert_eq!(daemon.http().get("/readyz").status, 503);
    let request = json!({ "verb": "start", "targets": ["web"] });
    let answer = daemon.http().post("/v1/operations", &request);
    assert_refused(&answer, ErrorCode::ShuttingDown);
    daemon.open("end");
}

#[test]
fn requests_that_make_no_sense_are_refused_one_by_one() {
    let daemon = boot();
    let http = daemon.http();
    let post = |body: Value| http.post("/v1/operations", &body);
    assert_refused(&http.get("/v1/nothing"), ErrorCode::NotFound);
    assert_refused(&http.request("POST", "/v1/services", "").unwrap(), ErrorCode::MethodNotAllowed);
    let broken = http.request("POST", "/v1/operations", "{\"verb\":").unwrap();
    assert_refused(&broken, ErrorCode::BadRequest);
    for body in [json!({ "verb": "explode", "targets": ["web"] }), json!([1]), json!({})] {
        let status = post(body.clone()).status;
        assert!(matches!(status, 400 | 422), "{body}: {status}");
    }
    for body in [
        json!({ "verb": "stop", "targets": [] }),
        json!({ "verb": "stop", "targets": ["web"], "mode": "sideways" }),
        json!({ "verb": "stop", "targets": ["web"], "timeout": "soon" }),
        json!({ "verb": "signal", "targets": ["web"], "signal": "NOPE" }),
        json!({ "verb": "signal", "targets": ["web"] }),
    ] {
        assert_refused(&post(body), ErrorCode::Invalid);
    }
    let large = "x".repeat(2 << 20);
    assert_refused(&http.request("POST", "/v1/operations", &large).unwrap(), ErrorCode::TooLarge);
    assert_eq!(daemon.state("web"), State::Running);
}

#[test]
fn garbage_and_silent_clients_do_not_hurt() {
    let mut daemon = boot();
    let http = daemon.http();
    let mut silent = Vec::new();
    for _ in 0..50 {
        let mut client = http.connect().unwrap();
        client.write_all(b"GET /v1/serv").unwrap();
        silent.push(client);
    }
    for garbage in [
        &b"\0\xff\xfe\x01"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/operations HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/operations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/services/%00%ff/../../etc HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/logs?tail=-1&match=[[[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/events?since=99999999999999999999999 HTTP/1.1\r\nHost: x\r\n\r\n",
        &"A".repeat(100_000).into_bytes(),
        b"",
    ] {
        http.raw(garbage);
    }
    assert!(daemon.operate("restart", &["web"]).ok);
    assert_eq!(daemon.terminate(), 0);
    drop(silent);
}

#[test]
fn the_socket_is_for_its_owner_alone() {
    let daemon = boot();
    let mode = daemon.socket().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
