//! A server with the test in the place of the runtime loop, and clients for it.

use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use supervisor_api::{
    DaemonState, ErrorBody, ErrorCode, ErrorResponse, EventKind, Info, Operation, Said, Service,
    ServiceDetail, Snapshot, State, Why,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::control::{Call, ControlListener, EventLog, MAX_CONNECTIONS, ServerHandle, serve};

pub(super) struct Daemon {
    pub(super) server: ServerHandle,
    pub(super) path: PathBuf,
    _dir: TempDir,
}

impl Daemon {
    /// A server, and where its calls come out.
    pub(super) fn start() -> (Self, mpsc::Receiver<Call>) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("control.sock");
        let listener = ControlListener::bind(&path, 0o600, None).unwrap();
        let (calls, loop_end) = mpsc::channel(16);
        let own_uid = nix::unistd::geteuid().as_raw();
        (
            Self { server: serve(listener, calls, own_uid, MAX_CONNECTIONS), path, _dir: dir },
            loop_end,
        )
    }

    /// A server whose loop says who it is and nothing else.
    pub(super) fn start_with_info() -> Self {
        let (daemon, mut calls) = Self::start();
        tokio::spawn(async move {
            while let Some(call) = calls.recv().await {
                if let Call::Info { reply } = call {
                    let _ = reply.send(Ok(info()));
                }
            }
        });
        daemon
    }

    pub(super) async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn open(&self, method: &str, path: &str, body: &str) -> Response<Incoming> {
        open(self.path.clone(), method, path, body).await
    }

    /// Sends a request and waits for the whole answer.
    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Answered {
        Answered::collect(self.open(method, path, body).await).await
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        self.ask("GET", path, "").await
    }

    /// Does the same while the test goes on.
    pub(super) fn asking(&self, method: &str, path: &str, body: &str) -> JoinHandle<Answered> {
        let (socket, method) = (self.path.clone(), method.to_owned());
        let (path, body) = (path.to_owned(), body.to_owned());
        tokio::spawn(
            async move { Answered::collect(open(socket, &method, &path, &body).await).await },
        )
    }
}

async fn open(socket: PathBuf, method: &str, path: &str, body: &str) -> Response<Incoming> {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Full::<Bytes>::from(body.to_owned()))
        .unwrap();
    sender.send_request(request).await.unwrap()
}

#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answered {
    async fn collect(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status, headers: head.headers, body }
    }

    #[track_caller]
    pub(super) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(super) fn lines<T: DeserializeOwned>(&self) -> Vec<T> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The error, after checking that it goes with the status.
    #[track_caller]
    pub(super) fn error(&self) -> ErrorBody {
        let ErrorResponse { error } = self.json();
        assert_eq!(self.status.as_u16(), error.code.status());
        error
    }
}

/// Sends bytes as they are and takes what comes until the end.
pub(super) async fn raw(stream: &mut UnixStream, bytes: &[u8]) -> String {
    // The server may answer and close before it has taken all.
    let _ = stream.write_all(bytes).await;
    read_to_end(stream).await
}

pub(super) async fn read_to_end(stream: &mut UnixStream) -> String {
    let mut received = Vec::new();
    // A reset is an end too, after what was received before it.
    let _ = stream.read_to_end(&mut received).await;
    String::from_utf8(received).unwrap()
}

/// Reads until this has come.
pub(super) async fn read_until(stream: &mut UnixStream, wanted: &str) -> String {
    let mut received = String::new();
    let mut buffer = [0; 4096];
    while !received.contains(wanted) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "the connection ended after {received:?}");
        received.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    received
}

pub(super) fn publish(log: &mut EventLog) -> u64 {
    let kind = EventKind::Transition {
        companion: false,
        service: "web".into(),
        invocation: Some(1),
        from: State::Starting,
        to: State::Running,
        cause: "it said READY=1".into(),
    };
    log.publish(kind, 1_700_000_000_000)
}

pub(super) fn info() -> Info {
    Info {
        version: "0.1.0".into(),
        api_version: "v1".into(),
        pid: 1,
        boot_id: "b".into(),
        started_ms: 1,
        state: DaemonState::Running,
        spec_files: vec!["/etc/supervisor.toml".into()],
        rev: 0,
    }
}

pub(super) fn snapshot() -> Snapshot {
    Snapshot { boot_id: "b".into(), rev: 3, now_ms: 5, services: vec![service()] }
}

pub(super) fn detail() -> ServiceDetail {
    ServiceDetail {
        service: service(),
        place: "a.toml:1".into(),
        command: vec!["web".into()],
        dependencies: Vec::new(),
        dependents: Vec::new(),
        log: None,
        stored_fds: Vec::new(),
        said: Said::default(),
        runs: Vec::new(),
    }
}

fn service() -> Service {
    Service {
        name: "web@1".into(),
        instance: Some("1".into()),
        groups: Vec::new(),
        description: String::new(),
        kind: "simple".into(),
        enabled: true,
        state: State::Running,
        since_ms: 2,
        pid: Some(7),
        processes: None,
        started_ms: Some(2),
        invocation: Some(1),
        status: None,
        ready: true,
        health: None,
        restarts: 0,
        exit: None,
        exited_ms: None,
        deadline_ms: None,
        why: Why { code: "requested".into(), services: Vec::new(), message: "up".into() },
    }
}

pub(super) fn operation(id: u64, done: bool) -> Operation {
    Operation { id, verb: "start".into(), done, ok: done, elapsed_ms: 1, items: Vec::new() }
}

pub(super) fn unknown_service() -> ErrorBody {
    ErrorBody {
        code: ErrorCode::UnknownService,
        message: "no service \"wbe\"".into(),
        hint: Some("did you mean \"web\"?".into()),
        details: vec!["web".into()],
    }
}
