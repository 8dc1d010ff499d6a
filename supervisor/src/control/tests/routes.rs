//! Every route, with what it asks of the loop, and every way to get a request wrong.

use hyper::StatusCode;
use supervisor_api::{ErrorCode, Info, ServiceDetail, Snapshot};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use super::harness::{Daemon, detail, info, raw, snapshot, unknown_service};
use crate::control::session::Session;
use crate::control::{Call, Caller, Readiness};

#[tokio::test]
async fn the_daemon_describes_itself() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("GET", "/v1", "");
    let Some(Call::Info { reply }) = calls.recv().await else { panic!() };
    reply.send(Ok(info())).unwrap();
    let answer = asking.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json::<Info>(), info());
}

#[tokio::test]
async fn services_can_be_matched() {
    let (daemon, mut calls) = Daemon::start();
    for (path, wanted) in [
        ("/v1/services", None),
        ("/v1/services?match=", None),
        ("/v1/services?match=web%40*", Some("web@*")),
    ] {
        let asking = daemon.asking("GET", path, "");
        let Some(Call::Services { matching, reply }) = calls.recv().await else { panic!() };
        assert_eq!(matching.first().map(String::as_str), wanted, "{path}");
        reply.send(Ok(snapshot())).unwrap();
        assert_eq!(asking.await.unwrap().json::<Snapshot>(), snapshot());
    }
}

#[tokio::test]
async fn one_service_in_full() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("GET", "/v1/services/web%401", "");
    let Some(Call::Service { name, reply }) = calls.recv().await else { panic!() };
    assert_eq!(name, "web@1");
    reply.send(Ok(detail())).unwrap();
    assert_eq!(asking.await.unwrap().json::<ServiceDetail>(), detail());
}

#[tokio::test]
async fn errors_of_the_loop_are_passed_on() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("GET", "/v1/services/wbe", "");
    let Some(Call::Service { reply, .. }) = calls.recv().await else { panic!() };
    reply.send(Err(unknown_service())).unwrap();
    let answer = asking.await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.error(), unknown_service());
}

#[tokio::test]
async fn the_loop_being_gone_is_unavailable() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("GET", "/v1", "");
    drop(calls.recv().await);
    assert_eq!(asking.await.unwrap().error().code, ErrorCode::Unavailable);
    drop(calls);
    assert_eq!(daemon.get("/v1").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(daemon.get("/livez").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(daemon.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn alive_while_the_loop_answers() {
    let daemon = Daemon::start_with_info();
    assert_eq!(daemon.get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn ready_or_the_reasons_why_not() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("GET", "/readyz", "");
    let Some(Call::Ready { name: None, reply }) = calls.recv().await else { panic!() };
    reply.send(Ok(Readiness { ready: true, reasons: Vec::new() })).unwrap();
    assert_eq!(asking.await.unwrap().status, StatusCode::OK);

    let asking = daemon.asking("GET", "/readyz/web", "");
    let Some(Call::Ready { name: Some(name), reply }) = calls.recv().await else { panic!() };
    assert_eq!(name, "web");
    reply.send(Ok(Readiness { ready: false, reasons: vec!["web is starting".into()] })).unwrap();
    let error = asking.await.unwrap().error();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert_eq!(error.details, ["web is starting"]);
}

#[tokio::test]
async fn wrong_paths_and_methods() {
    let daemon = Daemon::start_with_info();
    for path in ["/", "/v2", "/v1/", "/v1/nothing", "/v1/services/a/b"] {
        assert_eq!(daemon.get(path).await.error().code, ErrorCode::NotFound, "{path}");
    }
    for (method, path, allowed) in [
        ("DELETE", "/v1", "GET"),
        ("GET", "/v1/operations", "POST"),
        ("POST", "/v1/operations/1", "GET"),
        ("PUT", "/v1/shutdown", "POST"),
        ("BREW", "/livez", "GET"),
    ] {
        let answer = daemon.ask(method, path, "").await;
        assert_eq!(answer.error().code, ErrorCode::MethodNotAllowed, "{method} {path}");
        assert_eq!(answer.headers["allow"], allowed);
    }
}

#[tokio::test]
async fn wrong_queries_never_reach_the_loop() {
    let (daemon, mut calls) = Daemon::start();
    for path in [
        "/v1?x",
        "/v1/services?mtach=web",
        "/v1/logs?tail=1&tail=2",
        "/v1/services?match=%zz",
        "/v1/services?match=%ff",
        "/v1/services/%",
        "/v1/services/web?match=x",
        "/v1/operations/1?wait=30",
        "/v1/operations/1?wait=",
        "/v1/events?since=-1",
        "/v1/events?since=99999999999999999999",
        "/v1/logs?tail=all",
        "/v1/logs?follow=perhaps",
        "/v1/logs?stream=stdin",
        "/livez?verbose",
        "/readyz?x=1",
    ] {
        assert_eq!(daemon.get(path).await.error().code, ErrorCode::BadRequest, "{path}");
    }
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn wrong_bodies_never_reach_the_loop() {
    let (daemon, mut calls) = Daemon::start();
    for (path, body, code) in [
        ("/v1/operations", "", ErrorCode::BadRequest),
        ("/v1/operations", "{", ErrorCode::BadRequest),
        ("/v1/operations", "verb=start", ErrorCode::BadRequest),
        ("/v1/operations", "{} x", ErrorCode::Invalid),
        ("/v1/operations", "[]", ErrorCode::Invalid),
        ("/v1/operations", r#"{"verb":"fly","targets":["a"]}"#, ErrorCode::Invalid),
        ("/v1/operations", r#"{"verb":"start"}"#, ErrorCode::Invalid),
        ("/v1/operations", r#"{"verb":"start","targets":["a"],"wiat":true}"#, ErrorCode::Invalid),
        ("/v1/operations", r#"{"verb":"stop","targets":[],"timeout":"5"}"#, ErrorCode::Invalid),
        ("/v1/shutdown", r#"{"timeout":"soon"}"#, ErrorCode::Invalid),
        ("/v1/shutdown?wait", "", ErrorCode::BadRequest),
    ] {
        assert_eq!(daemon.ask("POST", path, body).await.error().code, code, "{path} {body}");
    }
    // Deeper than the JSON reader goes.
    let deep = "[".repeat(500_000);
    assert_eq!(
        daemon.ask("POST", "/v1/shutdown", &deep).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn strangers_may_probe_and_nothing_else() {
    let (calls, mut loop_end) = mpsc::channel(1);
    let closing = watch::Sender::new(false);
    let stranger = Caller { uid: 4711, gid: 4711, pid: None };
    for (request, status) in [
        ("GET /livez", "200"),
        ("GET /readyz", "200"),
        ("GET /v1", "403"),
        ("GET /v1/nothing", "403"),
        ("POST /livez", "403"),
        ("POST /v1/shutdown", "403"),
    ] {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (calls, closing) = (calls.clone(), closing.subscribe());
        let session = tokio::spawn(Session::run(server, stranger, 4712, calls, closing));
        let text = format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n");
        let asking = tokio::spawn(async move { raw(&mut client, text.as_bytes()).await });
        if status == "200" {
            let call = loop_end.recv().await.unwrap();
            if let Call::Info { reply } = call {
                reply.send(Ok(info())).unwrap();
            } else if let Call::Ready { reply, .. } = call {
                reply.send(Ok(Readiness { ready: true, reasons: Vec::new() })).unwrap();
            }
        }
        // It ends by itself: there is no keep-alive for strangers.
        let answer = asking.await.unwrap();
        session.await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert_eq!(answer.contains("permission denied"), status == "403", "{answer}");
    }
    assert!(loop_end.try_recv().is_err());
}

#[test]
fn root_and_the_own_user_may_all() {
    let caller = |uid| Caller { uid, gid: 0, pid: None };
    assert!(caller(0).may(1000) && caller(1000).may(1000) && caller(0).may(0));
    assert!(!caller(1000).may(0) && !caller(1001).may(1000));
}
