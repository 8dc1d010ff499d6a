//! Beginning operations and waiting for them.

use std::time::Duration;

use hyper::StatusCode;
use supervisor_api::{ErrorCode, Operation, Plan, Verb};
use tokio::time::Instant;

use super::harness::{Daemon, operation, unknown_service};
use crate::control::Call;

const START: &str = r#"{"verb":"start","targets":["web"]}"#;
const START_AND_WAIT: &str = r#"{"verb":"start","targets":["web"],"wait":true}"#;
const START_AND_WAIT_5S: &str = r#"{"verb":"start","targets":["web"],"wait":true,"timeout":"5s"}"#;

#[tokio::test]
async fn it_is_answered_when_it_has_begun() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("POST", "/v1/operations", START);
    let Some(Call::Operate { request, caller, reply }) = calls.recv().await else { panic!() };
    assert_eq!((request.verb, request.targets), (Verb::Start, vec!["web".to_owned()]));
    assert_eq!(caller.uid, nix::unistd::geteuid().as_raw());
    assert_eq!(caller.gid, nix::unistd::getegid().as_raw());
    assert_eq!(caller.pid, Some(nix::unistd::getpid().as_raw()));
    reply.send(Ok(operation(7, false))).unwrap();
    let answer = asking.await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json::<Operation>(), operation(7, false));
}

#[tokio::test]
async fn one_that_ended_at_once_needs_no_wait() {
    let (daemon, mut calls) = Daemon::start();
    for body in [START, START_AND_WAIT] {
        let asking = daemon.asking("POST", "/v1/operations", body);
        let Some(Call::Operate { reply, .. }) = calls.recv().await else { panic!() };
        reply.send(Ok(operation(7, true))).unwrap();
        assert_eq!(asking.await.unwrap().status, StatusCode::OK);
    }
}

#[tokio::test]
async fn with_wait_it_is_answered_when_it_has_ended() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("POST", "/v1/operations", START_AND_WAIT);
    let Some(Call::Operate { reply, .. }) = calls.recv().await else { panic!() };
    reply.send(Ok(operation(7, false))).unwrap();
    let Some(Call::WaitOperation { id: 7, reply }) = calls.recv().await else { panic!() };
    reply.send(Ok(operation(7, true))).unwrap();
    let answer = asking.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json::<Operation>(), operation(7, true));
}

#[tokio::test(start_paused = true)]
async fn when_the_time_is_up_it_is_answered_as_it_is() {
    let (daemon, mut calls) = Daemon::start();
    let began = Instant::now();
    let asking = daemon.asking("POST", "/v1/operations", START_AND_WAIT_5S);
    let Some(Call::Operate { reply, .. }) = calls.recv().await else { panic!() };
    reply.send(Ok(operation(7, false))).unwrap();
    let Some(Call::WaitOperation { id: 7, reply: mut waiter }) = calls.recv().await else {
        panic!()
    };
    let Some(Call::Operation { id: 7, reply }) = calls.recv().await else { panic!() };
    assert!(began.elapsed() >= Duration::from_secs(5));
    waiter.closed().await;
    reply.send(Ok(operation(7, false))).unwrap();
    let answer = asking.await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json::<Operation>(), operation(7, false));
}

#[tokio::test]
async fn a_dry_run_answers_the_plan() {
    let (daemon, mut calls) = Daemon::start();
    let body = r#"{"verb":"stop","targets":["all"],"dry_run":true,"wait":true}"#;
    let asking = daemon.asking("POST", "/v1/operations", body);
    let Some(Call::Plan { request, reply }) = calls.recv().await else { panic!() };
    assert_eq!(request.verb, Verb::Stop);
    let plan = Plan {
        verb: Verb::Stop,
        waves: Vec::new(),
        worst_ms: None,
        longest_stop: None,
        warnings: Vec::new(),
    };
    reply.send(Ok(plan.clone())).unwrap();
    let answer = asking.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json::<Plan>(), plan);
}

#[tokio::test]
async fn a_refused_operation_is_not_waited_for() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("POST", "/v1/operations", START_AND_WAIT);
    let Some(Call::Operate { reply, .. }) = calls.recv().await else { panic!() };
    reply.send(Err(unknown_service())).unwrap();
    assert_eq!(asking.await.unwrap().error().code, ErrorCode::UnknownService);
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn an_operation_can_be_looked_at_later() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("GET", "/v1/operations/7", "");
    let Some(Call::Operation { id: 7, reply }) = calls.recv().await else { panic!() };
    reply.send(Ok(operation(7, false))).unwrap();
    assert_eq!(asking.await.unwrap().status, StatusCode::OK);
    let unknown = daemon.get("/v1/operations/seven").await;
    assert_eq!(unknown.error().code, ErrorCode::UnknownOperation);
}

#[tokio::test(start_paused = true)]
async fn an_operation_can_be_waited_for_later() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("GET", "/v1/operations/7?wait=infinity", "");
    let Some(Call::WaitOperation { id: 7, reply }) = calls.recv().await else { panic!() };
    reply.send(Ok(operation(7, true))).unwrap();
    assert!(asking.await.unwrap().json::<Operation>().done);

    let asking = daemon.asking("GET", "/v1/operations/7?wait=30s", "");
    let Some(Call::WaitOperation { id: 7, reply: _waiter }) = calls.recv().await else { panic!() };
    let Some(Call::Operation { id: 7, reply }) = calls.recv().await else { panic!() };
    reply.send(Ok(operation(7, false))).unwrap();
    let answer = asking.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.json::<Operation>().done);
}

#[tokio::test]
async fn a_client_that_goes_away_closes_its_reply() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("POST", "/v1/operations", START_AND_WAIT);
    let Some(Call::Operate { reply, .. }) = calls.recv().await else { panic!() };
    reply.send(Ok(operation(7, false))).unwrap();
    let Some(Call::WaitOperation { reply: mut waiter, .. }) = calls.recv().await else { panic!() };
    asking.abort();
    waiter.closed().await;
}
