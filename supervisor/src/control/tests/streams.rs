//! Events, logs and the report of a shutdown, line by line.

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use supervisor_api::{
    ErrorCode, ErrorResponse, Event, LogLine, Report, ShutdownMessage, ShutdownRequest, Stream,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};

use super::harness::{Daemon, publish, read_until};
use crate::control::events::KEPT;
use crate::control::{Call, EventLog, LogStream, MAX_TAIL, Shutdown};

#[tokio::test]
async fn events_come_as_they_happen() {
    let (daemon, mut calls) = Daemon::start();
    let mut log = EventLog::new();
    publish(&mut log);
    publish(&mut log);
    let opening = daemon.open("GET", "/v1/events?since=1", "");
    let (response, ()) = tokio::join!(opening, serve_events(&mut calls, &log));
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let mut body = response.into_body();
    assert_eq!(next_line::<Event>(&mut body).await.rev, 2);
    publish(&mut log);
    assert_eq!(next_line::<Event>(&mut body).await.rev, 3);
    drop(log);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn events_that_are_not_kept_are_gone() {
    let (daemon, mut calls) = Daemon::start();
    let mut log = EventLog::new();
    for _ in 0..KEPT + 2 {
        publish(&mut log);
    }
    let (answer, ()) =
        tokio::join!(daemon.get("/v1/events?since=1"), serve_events(&mut calls, &log));
    assert_eq!(answer.status, StatusCode::GONE);
    assert_eq!(answer.error().code, ErrorCode::Gone);
}

#[tokio::test]
async fn a_slow_reader_of_events_is_told_and_let_go() {
    let (daemon, mut calls) = Daemon::start();
    let mut log = EventLog::new();
    let mut stream = daemon.connect().await;
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    serve_events(&mut calls, &log).await;
    read_until(&mut stream, "\r\n\r\n").await;
    // It does not read: what the socket and hyper take is used up, then the ring goes past it.
    let mut published = 0;
    while published < 20_000 {
        publish(&mut log);
        published += 1;
        if published % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let rest = read_until(&mut stream, "\r\n0\r\n\r\n").await;
    assert!(rest.contains(r#"{"error":{"code":"gone""#));
    assert!(!rest.contains(&format!(r#""rev":{published},"#)));
    assert_eq!(log.subscribers(), 0);
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_its_subscription() {
    let (daemon, mut calls) = Daemon::start();
    let mut log = EventLog::new();
    let (response, ()) =
        tokio::join!(daemon.open("GET", "/v1/events", ""), serve_events(&mut calls, &log));
    assert_eq!(log.subscribers(), 1);
    drop(response);
    while log.subscribers() > 0 {
        tokio::task::yield_now().await;
    }
    publish(&mut log);
}

#[tokio::test]
async fn logs_first_what_is_kept_then_what_follows() {
    let (daemon, mut calls) = Daemon::start();
    let opening = daemon.open("GET", "/v1/logs?match=web&stream=stderr&tail=7&follow=true", "");
    let (lines, live) = mpsc::channel(4);
    let (response, ()) = tokio::join!(opening, async {
        let Some(Call::Logs { matching, stream, tail, follow, reply }) = calls.recv().await else {
            panic!()
        };
        assert_eq!(matching, ["web"]);
        assert_eq!((stream, tail, follow), (Some(Stream::Stderr), 7, true));
        let backlog = vec![log_line("a"), log_line("b")];
        reply.send(Ok(LogStream { backlog, live: Some(live) })).unwrap();
    });
    let mut body = response.into_body();
    let kept = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(kept.split(|&byte| byte == b'\n').count(), 3, "both lines in one piece");
    lines.send(log_line("c")).await.unwrap();
    assert_eq!(next_line::<LogLine>(&mut body).await, log_line("c"));
    drop(lines);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn all_of_a_long_log_comes() {
    let (daemon, mut calls) = Daemon::start();
    for (path, wanted) in
        [("/v1/logs?tail=99999999", MAX_TAIL), ("/v1/logs?tail=0", 0), ("/v1/logs", 100)]
    {
        let asking = daemon.asking("GET", path, "");
        let Some(Call::Logs { tail, follow: false, stream: None, reply, .. }) = calls.recv().await
        else {
            panic!()
        };
        assert_eq!(tail, wanted);
        let backlog: Vec<_> = (0..tail).map(|number| log_line(&number.to_string())).collect();
        reply.send(Ok(LogStream { backlog: backlog.clone(), live: None })).unwrap();
        assert_eq!(asking.await.unwrap().lines::<LogLine>(), backlog);
    }
}

#[tokio::test]
async fn a_shutdown_that_is_not_waited_for() {
    let (daemon, mut calls) = Daemon::start();
    let log = EventLog::new();
    let asking = daemon.asking("POST", "/v1/shutdown", "");
    let (request, _report) = serve_shutdown(&mut calls, &log).await;
    assert_eq!(request, ShutdownRequest::default());
    let answer = asking.await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json::<serde_json::Value>(), serde_json::json!({}));
    assert_eq!(log.subscribers(), 0);
}

#[tokio::test]
async fn a_shutdown_streams_its_events_and_ends_with_the_report() {
    let (daemon, mut calls) = Daemon::start();
    let mut log = EventLog::new();
    let asking = daemon.asking("POST", "/v1/shutdown", r#"{"wait":true,"timeout":"9s"}"#);
    let (request, report) = serve_shutdown(&mut calls, &log).await;
    assert_eq!(request.timeout.as_deref(), Some("9s"));
    for _ in 0..100 {
        publish(&mut log);
    }
    report.send(a_report()).unwrap();
    drop(log);
    let messages: Vec<ShutdownMessage> = asking.await.unwrap().lines();
    assert_eq!(messages.len(), 101);
    for (message, rev) in messages.iter().zip(1..=100) {
        assert!(matches!(message, ShutdownMessage::Event(event) if event.rev == rev));
    }
    assert_eq!(messages.last(), Some(&ShutdownMessage::Report(a_report())));
}

#[tokio::test]
async fn too_many_events_do_not_cost_the_report() {
    let (daemon, mut calls) = Daemon::start();
    let mut log = EventLog::new();
    let asking = daemon.asking("POST", "/v1/shutdown", r#"{"wait":true}"#);
    let (_, report) = serve_shutdown(&mut calls, &log).await;
    for _ in 0..KEPT * 3 {
        publish(&mut log);
    }
    report.send(a_report()).unwrap();
    let messages: Vec<ShutdownMessage> = asking.await.unwrap().lines();
    assert_eq!(messages.len(), KEPT + 1);
    assert_eq!(messages.last(), Some(&ShutdownMessage::Report(a_report())));
}

#[tokio::test]
async fn a_shutdown_without_a_report_is_an_error() {
    let (daemon, mut calls) = Daemon::start();
    let log = EventLog::new();
    let asking = daemon.asking("POST", "/v1/shutdown", r#"{"wait":true}"#);
    let (_, report) = serve_shutdown(&mut calls, &log).await;
    drop((log, report));
    let lines: Vec<ErrorResponse> = asking.await.unwrap().lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].error.code, ErrorCode::Unavailable);
}

async fn serve_events(calls: &mut mpsc::Receiver<Call>, log: &EventLog) {
    let Some(Call::Events { since, reply }) = calls.recv().await else { panic!() };
    reply.send(log.subscribe(since).map_err(Into::into)).unwrap();
}

/// Begins a shutdown; the report goes where this says.
pub(super) async fn serve_shutdown(
    calls: &mut mpsc::Receiver<Call>,
    log: &EventLog,
) -> (ShutdownRequest, oneshot::Sender<Report>) {
    let Some(Call::Shutdown { request, reply, .. }) = calls.recv().await else { panic!() };
    let (sender, report) = oneshot::channel();
    let events = log.subscribe(None).unwrap();
    reply.send(Ok(Shutdown { events, report })).unwrap();
    (request, sender)
}

pub(super) fn a_report() -> Report {
    Report { took_ms: 5, services: Vec::new() }
}

/// The next frame, which has to be one line.
async fn next_line<T: serde::de::DeserializeOwned>(body: &mut Incoming) -> T {
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    serde_json::from_slice(&frame).unwrap()
}

fn log_line(line: &str) -> LogLine {
    LogLine { service: "web".into(), stream: Stream::Stderr, time_ms: 1, line: line.into() }
}
