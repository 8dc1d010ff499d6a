//! Accepts connections, never more than the limits allow, and ends them in the end.

use std::convert::Infallible;
use std::io::{self, Write};

use supervisor_api::{ErrorCode, ErrorResponse};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;

use super::answer::{Failure, to_json};
use super::call::{Call, Caller};
use super::listener::ControlListener;
use super::session::Session;
use super::{ACCEPT_PAUSE, ACCEPTS_PER_TURN, MAX_CONNECTIONS};

/// Serves the API on this socket in a task of the present runtime. Requests become `calls`;
/// `own_uid` is the user who may do everything besides root. More than `connections`, or
/// [`MAX_CONNECTIONS`], are refused.
pub fn serve(
    listener: ControlListener,
    calls: mpsc::Sender<Call>,
    own_uid: u32,
    connections: usize,
) -> ServerHandle {
    let (running, closing) = oneshot::channel();
    let server = Server {
        calls,
        own_uid,
        connections: connections.min(MAX_CONNECTIONS),
        sessions: watch::Sender::new(false),
        troubled: false,
    };
    ServerHandle { running, task: tokio::spawn(server.run(listener, closing)) }
}

/// A running server. Dropping it ends the server as [`ServerHandle::close`] does.
#[derive(Debug)]
pub struct ServerHandle {
    /// Nothing is ever sent: the server runs until this is dropped.
    running: oneshot::Sender<Infallible>,
    task: JoinHandle<()>,
}

impl ServerHandle {
    /// Removes the socket, lets answers under way finish for at most [`super::CLOSE_TIME`], and
    /// cuts off the rest. Event and log streams end when their source does: drop the
    /// [`super::EventLog`] first, or they are cut off.
    pub async fn close(self) {
        drop(self.running);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the control server ended by itself");
        }
    }
}

struct Server {
    calls: mpsc::Sender<Call>,
    own_uid: u32,
    /// Most at a time.
    connections: usize,
    /// Tells the sessions to end. Each has one receiver, which is how they are counted.
    sessions: watch::Sender<bool>,
    /// Whether the last accept failed, so that only the first of a series is logged.
    troubled: bool,
}

impl Server {
    async fn run(mut self, listener: ControlListener, mut closing: oneshot::Receiver<Infallible>) {
        let mut accepted = 0;
        loop {
            let stream = tokio::select! {
                biased;
                _ = &mut closing => break,
                stream = listener.accept() => stream,
            };
            match stream {
                Ok(stream) => self.admit(stream),
                Err(error) => self.pause(&error).await,
            }
            accepted += 1;
            if accepted % ACCEPTS_PER_TURN == 0 {
                yield_now().await;
            }
        }
        drop(listener);
        self.sessions.send_replace(true);
        self.sessions.closed().await;
    }

    fn admit(&mut self, stream: UnixStream) {
        self.troubled = false;
        if self.sessions.receiver_count() >= self.connections {
            tracing::debug!(limit = self.connections, "control connection refused");
            refuse(stream, self.connections);
            return;
        }
        // It fails only for a connection that is of no use any more.
        if let Ok(caller) = Caller::of(&stream) {
            let (calls, closing) = (self.calls.clone(), self.sessions.subscribe());
            tokio::spawn(Session::run(stream, caller, self.own_uid, calls, closing));
        }
    }

    /// Nothing can be accepted now, most likely for want of file descriptors. The connection stays
    /// in the queue and the socket readable, so going on at once would spin.
    async fn pause(&mut self, error: &io::Error) {
        if !self.troubled {
            tracing::warn!(%error, "cannot accept control connections");
        }
        self.troubled = true;
        sleep(ACCEPT_PAUSE).await;
    }
}

/// Says that there are too many connections, if that can be said without waiting.
fn refuse(stream: UnixStream, limit: usize) {
    let body = to_json(&ErrorResponse {
        error: Failure::new(ErrorCode::Unavailable, "too many connections")
            .hint(format!("at most {limit} are served at a time"))
            .body,
    });
    let mut answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    // Not through tokio, which would first wait to hear that the socket is writable.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(&answer);
    }
}
