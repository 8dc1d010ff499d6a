//! What each route does: read the request, call the runtime loop, write the answer.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use supervisor_api::{ErrorBody, ErrorCode, Operation, OperationRequest, ShutdownRequest, Stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::answer::{Answer, Failure, json, ndjson};
use super::call::{Call, Caller, Reply};
use super::query::Query;
use super::router::Route;
use super::stream::{EventLines, LogLines, ShutdownLines};
use super::{DEFAULT_TAIL, MAX_TAIL};
use crate::config::{self, Bad};

/// A request that has arrived whole.
#[derive(Debug)]
pub struct Asked {
    /// What it is for.
    pub route: Route,
    /// Its query parameters.
    pub query: Query,
    /// Its body, if the route takes one.
    pub body: Bytes,
    /// Who sent it.
    pub caller: Caller,
}

type Answered = Result<Answer, Failure>;

/// Answers one request.
pub async fn answer(calls: &mpsc::Sender<Call>, asked: Asked) -> Answered {
    let Asked { route, query, body, caller } = asked;
    match route {
        Route::Info => info(calls, query).await,
        Route::Services => services(calls, query).await,
        Route::Service(name) => service(calls, query, name).await,
        Route::Operate => operate(calls, query, &body, caller).await,
        Route::Operation(id) => operation(calls, query, id).await,
        Route::Shutdown => shutdown(calls, query, &body, caller).await,
        Route::Events => events(calls, query).await,
        Route::Logs => logs(calls, query).await,
        Route::Live => live(calls, query).await,
        Route::Ready(name) => ready(calls, query, name).await,
    }
}

async fn info(calls: &mpsc::Sender<Call>, query: Query) -> Answered {
    query.finish()?;
    Ok(json(StatusCode::OK, &ask(calls, |reply| Call::Info { reply }).await?))
}

async fn services(calls: &mpsc::Sender<Call>, mut query: Query) -> Answered {
    let matching = query.matches();
    query.finish()?;
    Ok(json(StatusCode::OK, &ask(calls, |reply| Call::Services { matching, reply }).await?))
}

async fn service(calls: &mpsc::Sender<Call>, query: Query, name: String) -> Answered {
    query.finish()?;
    Ok(json(StatusCode::OK, &ask(calls, |reply| Call::Service { name, reply }).await?))
}

async fn operate(
    calls: &mpsc::Sender<Call>,
    query: Query,
    body: &[u8],
    caller: Caller,
) -> Answered {
    query.finish()?;
    let request: OperationRequest = read(body)?;
    let limit = read_timeout(request.timeout.as_deref())?;
    if request.dry_run {
        let plan = ask(calls, |reply| Call::Plan { request, reply }).await?;
        return Ok(json(StatusCode::OK, &plan));
    }
    let wait = request.wait;
    let mut operation = ask(calls, |reply| Call::Operate { request, caller, reply }).await?;
    if wait && !operation.done {
        operation = wait_for(calls, operation.id, limit).await?;
    }
    let status = if operation.done { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(json(status, &operation))
}

async fn operation(calls: &mpsc::Sender<Call>, mut query: Query, id: u64) -> Answered {
    let wait = query.duration("wait")?;
    query.finish()?;
    let operation = match wait {
        Some(limit) => wait_for(calls, id, limit).await?,
        None => ask(calls, |reply| Call::Operation { id, reply }).await?,
    };
    Ok(json(StatusCode::OK, &operation))
}

async fn shutdown(
    calls: &mpsc::Sender<Call>,
    query: Query,
    body: &[u8],
    caller: Caller,
) -> Answered {
    query.finish()?;
    let request = if body.is_empty() { ShutdownRequest::default() } else { read(body)? };
    read_timeout(request.timeout.as_deref())?;
    let wait = request.wait;
    let shutdown = ask(calls, |reply| Call::Shutdown { request, caller, reply }).await?;
    if wait {
        Ok(ndjson(ShutdownLines::from(shutdown)))
    } else {
        Ok(json(StatusCode::ACCEPTED, &Begun {}))
    }
}

async fn events(calls: &mpsc::Sender<Call>, mut query: Query) -> Answered {
    let since = query.number("since")?;
    query.finish()?;
    let subscription = ask(calls, |reply| Call::Events { since, reply }).await?;
    Ok(ndjson(EventLines(subscription)))
}

async fn logs(calls: &mpsc::Sender<Call>, mut query: Query) -> Answered {
    let words = [("stdout", Stream::Stdout), ("stderr", Stream::Stderr)];
    let matching = query.matches();
    let stream = query.one_of("stream", &words, "\"stdout\" or \"stderr\"")?;
    let tail = query.number("tail")?.unwrap_or(DEFAULT_TAIL).min(MAX_TAIL);
    let follow = query.flag("follow")?;
    query.finish()?;
    let logs = ask(calls, |reply| Call::Logs { matching, stream, tail, follow, reply }).await?;
    Ok(ndjson(LogLines::from(logs)))
}

/// The daemon is alive if its loop answers.
async fn live(calls: &mpsc::Sender<Call>, query: Query) -> Answered {
    query.finish()?;
    ask(calls, |reply| Call::Info { reply }).await?;
    Ok(json(StatusCode::OK, &Live { live: true }))
}

async fn ready(calls: &mpsc::Sender<Call>, query: Query, name: Option<String>) -> Answered {
    query.finish()?;
    let readiness = ask(calls, |reply| Call::Ready { name, reply }).await?;
    if readiness.ready {
        return Ok(json(StatusCode::OK, &Ready { ready: true }));
    }
    Err(Failure::from(ErrorBody {
        code: ErrorCode::Unavailable,
        message: "not ready".into(),
        hint: None,
        details: readiness.reasons,
    }))
}

/// The operation when it has ended, or as it is when the time is up.
async fn wait_for(
    calls: &mpsc::Sender<Call>,
    id: u64,
    limit: Option<Duration>,
) -> Result<Operation, Failure> {
    let ended = ask(calls, |reply| Call::WaitOperation { id, reply });
    let Some(limit) = limit else {
        return ended.await;
    };
    match timeout(limit, ended).await {
        Ok(ended) => ended,
        Err(_) => ask(calls, |reply| Call::Operation { id, reply }).await,
    }
}

/// Sends a call to the runtime loop and waits for the reply.
async fn ask<T>(
    calls: &mpsc::Sender<Call>,
    call: impl FnOnce(Reply<T>) -> Call,
) -> Result<T, Failure> {
    let (reply, answer) = oneshot::channel();
    // If this fails the reply has been dropped too, which is what the next line finds.
    let _ = calls.send(call(reply)).await;
    match answer.await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::new(ErrorCode::Unavailable, "the daemon does not answer")
            .hint("it is probably just ending; ask again once it runs")),
    }
}

/// Reads a JSON body: 400 if it is no JSON, 422 if it says the wrong things.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let (code, what) = match error.classify() {
            Category::Data => (ErrorCode::Invalid, "the body cannot be used"),
            Category::Syntax | Category::Eof | Category::Io => {
                (ErrorCode::BadRequest, "the body is not JSON")
            }
        };
        Failure::new(code, format!("{what}: {error}"))
    })
}

/// The inner `None` of a missing timeout and of `infinity` are the same.
fn read_timeout(text: Option<&str>) -> Result<Option<Duration>, Failure> {
    let Some(text) = text else {
        return Ok(None);
    };
    config::duration(text).map_err(|Bad { message, hint }| {
        let failure = Failure::new(ErrorCode::Invalid, format!("timeout: {message}"));
        Failure { body: ErrorBody { hint, ..failure.body }, ..failure }
    })
}

/// Answer to a shutdown that nobody waits for.
#[derive(Serialize)]
struct Begun {}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
}
