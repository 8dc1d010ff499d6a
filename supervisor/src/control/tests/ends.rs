//! How the server ends.

use std::time::Duration;

use http_body_util::BodyExt;
use supervisor_api::ShutdownMessage;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::harness::{Daemon, info, publish, raw, read_to_end, read_until};
use super::streams::{a_report, serve_shutdown};
use crate::control::{CLOSE_TIME, Call, EventLog};

#[tokio::test]
async fn closing_removes_the_socket_and_ends_idle_connections() {
    let daemon = Daemon::start_with_info();
    let mut fresh = daemon.connect().await;
    let mut idle = daemon.connect().await;
    idle.write_all(b"GET /v1 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_until(&mut idle, "}").await;
    daemon.server.close().await;
    assert!(!daemon.path.exists());
    assert!(UnixStream::connect(&daemon.path).await.is_err());
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(read_to_end(&mut fresh).await, "");
}

#[tokio::test(start_paused = true)]
async fn an_answer_under_way_is_finished() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("GET", "/v1", "");
    let Some(Call::Info { reply }) = calls.recv().await else { panic!() };
    let began = Instant::now();
    tokio::join!(daemon.server.close(), async { reply.send(Ok(info())).unwrap() });
    assert_eq!(asking.await.unwrap().status, 200);
    assert!(began.elapsed() < CLOSE_TIME);
}

#[tokio::test(start_paused = true)]
async fn the_report_of_the_shutdown_gets_out() {
    let (daemon, mut calls) = Daemon::start();
    let mut log = EventLog::new();
    let asking = daemon.asking("POST", "/v1/shutdown", r#"{"wait":true}"#);
    let (_, report) = serve_shutdown(&mut calls, &log).await;
    publish(&mut log);
    report.send(a_report()).unwrap();
    drop(log);
    let began = Instant::now();
    daemon.server.close().await;
    assert!(began.elapsed() < CLOSE_TIME);
    let messages: Vec<ShutdownMessage> = asking.await.unwrap().lines();
    assert_eq!(messages.last(), Some(&ShutdownMessage::Report(a_report())));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_is_cut_off_after_a_second() {
    let (daemon, mut calls) = Daemon::start();
    let log = EventLog::new();
    let (response, ()) = tokio::join!(daemon.open("GET", "/v1/events", ""), async {
        let Some(Call::Events { reply, .. }) = calls.recv().await else { panic!() };
        reply.send(log.subscribe(None).map_err(Into::into)).unwrap();
    });
    let began = Instant::now();
    daemon.server.close().await;
    assert!(began.elapsed() >= CLOSE_TIME);
    assert!(began.elapsed() < CLOSE_TIME + Duration::from_millis(100));
    let frame = response.into_body().frame().await;
    assert!(matches!(frame, Some(Err(_))), "a stream that is cut off does not look whole");
    assert_eq!(log.subscribers(), 0);
}

#[tokio::test]
async fn dropping_the_handle_closes_too() {
    let (daemon, mut calls) = Daemon::start();
    let mut idle = daemon.connect().await;
    let asking =
        tokio::spawn(async move { raw(&mut idle, b"GET /v1 HTTP/1.1\r\nhost: x\r\n\r\n").await });
    let Some(Call::Info { reply }) = calls.recv().await else { panic!() };
    let (server, path) = (daemon.server, daemon.path);
    drop(server);
    reply.send(Ok(info())).unwrap();
    assert!(asking.await.unwrap().starts_with("HTTP/1.1 200 "));
    assert!(calls.recv().await.is_none());
    assert!(!path.exists());
}
