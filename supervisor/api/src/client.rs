//! The client of the control API: one method per call, errors as data, streams line by line.
//!
//! It makes a connection per call. That costs some ten microseconds on a Unix socket and leaves
//! nothing to recover when the daemon goes away between two calls. It needs a running tokio
//! runtime with I/O and time; the single-threaded one is enough.

mod address;
mod connection;
mod encode;
mod error;
mod lines;

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use address::{Address, AddressError};
pub use error::ClientError;
pub use lines::Lines;

use crate::{
    Event, Info, LogLine, Operation, OperationRequest, Plan, ServiceDetail, ShutdownMessage,
    ShutdownRequest, Snapshot, Stream,
};
use encode::Query;

/// The largest answer that is read as a whole; ten thousand services need about 10 MB.
const MAX_ANSWER: usize = 64 << 20;

/// A client of one daemon. Cheap to make; connects when it is used.
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
}

/// What to read of the logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Names, groups or globs; empty: all services.
    pub names: Vec<String>,
    /// One output only.
    pub stream: Option<Stream>,
    /// At most this many of the last lines; absent: all that are kept.
    pub tail: Option<u64>,
    /// Go on with lines as they come.
    pub follow: bool,
}

impl Client {
    /// A client of the daemon at `address`.
    pub const fn new(address: Address) -> Self {
        Self { address }
    }

    /// Where it connects to.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// `GET /v1`: about the daemon.
    pub async fn info(&self) -> Result<Info, ClientError> {
        self.get("/v1").await
    }

    /// `GET /v1/services`: all services, or those that `name` (a name, group or glob) means.
    pub async fn services(&self, name: Option<&str>) -> Result<Snapshot, ClientError> {
        self.get(&Query::new("/v1/services").add_some("match", name).finish()).await
    }

    /// `GET /v1/services/{name}`: one service in full.
    pub async fn service(&self, name: &str) -> Result<ServiceDetail, ClientError> {
        self.get(&format!("/v1/services/{}", encode::encode(name))).await
    }

    /// `POST /v1/operations`: begins an operation; with [`OperationRequest::wait`] the answer
    /// comes when it has ended or the request's timeout is over.
    pub async fn operate(&self, request: &OperationRequest) -> Result<Operation, ClientError> {
        self.post("/v1/operations", request).await
    }

    /// `POST /v1/operations` with `dry_run`: what [`Self::operate`] would do.
    pub async fn plan(&self, request: &OperationRequest) -> Result<Plan, ClientError> {
        self.post("/v1/operations", &OperationRequest { dry_run: true, ..request.clone() }).await
    }

    /// `GET /v1/operations/{id}`: how far it is. With `wait` the answer comes when it has ended
    /// or after that time, in whole milliseconds, whichever is first.
    pub async fn operation(
        &self,
        id: u64,
        wait: Option<Duration>,
    ) -> Result<Operation, ClientError> {
        let wait = wait.map(|wait| match wait.subsec_millis() {
            0 => format!("{}s", wait.as_secs()),
            _ => format!("{}ms", wait.as_millis()),
        });
        let query = Query::new(format!("/v1/operations/{id}"));
        self.get(&query.add_some("wait", wait.as_deref()).finish()).await
    }

    /// `POST /v1/shutdown` without waiting: the answer means that the shutdown has begun.
    pub async fn begin_shutdown(&self, request: &ShutdownRequest) -> Result<(), ClientError> {
        let request = ShutdownRequest { wait: false, ..request.clone() };
        self.send(Method::POST, "/v1/shutdown", Some(&request)).await.map(drop)
    }

    /// `POST /v1/shutdown` with `wait`: the progress, then the report as the last line. The
    /// connection closes when the daemon is gone, which is when [`Lines::next`] says `None`.
    pub async fn shutdown(
        &self,
        request: &ShutdownRequest,
    ) -> Result<Lines<ShutdownMessage>, ClientError> {
        let request = ShutdownRequest { wait: true, ..request.clone() };
        self.send(Method::POST, "/v1/shutdown", Some(&request)).await.map(Lines::new)
    }

    /// `GET /v1/events`: what happens from now on, or all after the event `since`. An
    /// [`ErrorCode::Gone`](crate::ErrorCode::Gone) says that these are no longer kept.
    pub async fn events(&self, since: Option<u64>) -> Result<Lines<Event>, ClientError> {
        let since = since.map(|rev| rev.to_string());
        let path = Query::new("/v1/events").add_some("since", since.as_deref()).finish();
        self.stream(&path).await
    }

    /// `GET /v1/logs`: lines of output, merged by time.
    pub async fn logs(&self, query: &LogQuery) -> Result<Lines<LogLine>, ClientError> {
        let stream = query.stream.map(|stream| match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        });
        let tail = query.tail.map(|tail| tail.to_string());
        let mut path = Query::new("/v1/logs");
        for name in &query.names {
            path = path.add("match", name);
        }
        path = path.add_some("stream", stream).add_some("tail", tail.as_deref());
        path = path.add_some("follow", query.follow.then_some("true"));
        self.stream(&path.finish()).await
    }

    /// `GET /livez`: whether the daemon works.
    pub async fn is_live(&self) -> Result<bool, ClientError> {
        self.probe("/livez").await
    }

    /// `GET /readyz`: whether all that should be up is.
    pub async fn is_ready(&self) -> Result<bool, ClientError> {
        self.probe("/readyz").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        decode(self.send(Method::GET, path, None::<&()>).await?).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        decode(self.send(Method::POST, path, Some(body)).await?).await
    }

    async fn stream<T: DeserializeOwned>(&self, path: &str) -> Result<Lines<T>, ClientError> {
        self.send(Method::GET, path, None::<&()>).await.map(Lines::new)
    }

    async fn probe(&self, path: &str) -> Result<bool, ClientError> {
        let response = connection::exchange(&self.address, Method::GET, path, None).await?;
        match response.status() {
            status if status.is_success() => Ok(true),
            StatusCode::SERVICE_UNAVAILABLE => Ok(false),
            _ => Err(refusal(response).await),
        }
    }

    /// Sends a request; an answer that is not a success becomes an error.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Response<Incoming>, ClientError> {
        let body = body.map(serde_json::to_vec).transpose().map_err(ClientError::protocol)?;
        let response = connection::exchange(&self.address, method, path, body).await?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }
}

async fn decode<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, ClientError> {
    serde_json::from_slice(&read(response).await?).map_err(ClientError::protocol)
}

/// What the body of an answer that is not a success says.
async fn refusal(response: Response<Incoming>) -> ClientError {
    let status = response.status().as_u16();
    match read(response).await {
        Ok(body) => ClientError::from_refusal(status, &body),
        Err(error) => error,
    }
}

async fn read(response: Response<Incoming>) -> Result<Vec<u8>, ClientError> {
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
    let body = body.collect().await.map_err(ClientError::from_body)?;
    Ok(body.to_bytes().into())
}

#[cfg(test)]
mod tests;
