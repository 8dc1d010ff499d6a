//! One connection: who is there, what it asks, request after request.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Request;
use hyper::Response;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use supervisor_api::ErrorCode;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::answer::{Answer, AnswerBody, Failure};
use super::call::{Call, Caller};
use super::handlers::{self, Asked};
use super::query::Query;
use super::router::Route;
use super::wire::{Answering, Progress, Wire};
use super::{CLOSE_TIME, MAX_BODY, MAX_HEAD};

/// What hyper may buffer of a connection in each direction, in bytes. A body passes through it,
/// and a pipelined request waits in it.
const BUFFER: usize = 64 * 1024;

/// One connection.
#[derive(Debug)]
pub struct Session {
    caller: Caller,
    allowed: bool,
    calls: mpsc::Sender<Call>,
    progress: Progress,
}

impl Session {
    /// Answers requests until the client is done or breaks a limit. When `closing` becomes true
    /// it ends with the answer under way, and soon.
    pub async fn run(
        stream: UnixStream,
        caller: Caller,
        own_uid: u32,
        calls: mpsc::Sender<Call>,
        mut closing: watch::Receiver<bool>,
    ) {
        let session =
            Self { caller, allowed: caller.may(own_uid), calls, progress: Progress::new() };
        let hangup = Hangup::of(&stream);
        let io = TokioIo::new(Wire::new(stream, session.progress.clone()));
        let service = service_fn(async |request| Ok::<_, Infallible>(session.serve(request).await));
        let connection = http1::Builder::new()
            .max_header_size(MAX_HEAD)
            .max_buf_size(BUFFER)
            .header_read_timeout(None)
            // Who has nothing more to ask may say so and still waits for the answer, as socat does.
            .half_close(true)
            .serve_connection(io, service);
        let mut connection = pin!(connection);
        let result = tokio::select! {
            result = &mut connection => result,
            // Nobody is left to read an answer, which may never end.
            () = Hangup::wait(hangup) => Ok(()),
            () = closed(&mut closing) => {
                connection.as_mut().graceful_shutdown();
                timeout(CLOSE_TIME, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = result {
            tracing::debug!(uid = caller.uid, pid = caller.pid, %error, "control session ended");
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<Tracked> {
        self.progress.begin();
        let asked = self.receive(request).await;
        let answering = self.progress.answer();
        let answer = match asked {
            Ok(asked) => handlers::answer(&self.calls, asked).await,
            Err(failure) => Err(failure),
        };
        let mut answer: Answer = answer.unwrap_or_else(Failure::answer);
        if !self.allowed {
            // Those who may only probe do not get to hold a connection.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer.map(|body| Tracked { body, _answering: answering })
    }

    /// Takes a request in, as far as its route and the caller's rights let it.
    async fn receive(&self, request: Request<Incoming>) -> Result<Asked, Failure> {
        let (head, body) = request.into_parts();
        let route = Route::find(&head.method, head.uri.path());
        if !self.allowed && !route.as_ref().is_ok_and(Route::is_open) {
            return Err(self.forbidden());
        }
        let route = route?;
        let query = Query::parse(head.uri.query())?;
        let body = if route.takes_body() { collect(body).await? } else { Bytes::new() };
        Ok(Asked { route, query, body, caller: self.caller })
    }

    fn forbidden(&self) -> Failure {
        Failure::new(ErrorCode::Forbidden, "permission denied").hint(format!(
            "only root and the daemon's own user may use this socket, not uid {}",
            self.caller.uid
        ))
    }
}

/// The end of a connection in both directions; that of one alone is none.
struct Hangup(AsyncFd<OwnedFd>);

impl Hangup {
    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    fn of(stream: &UnixStream) -> io::Result<Self> {
        // epoll knows a descriptor once, with one interest: this one, shared, is told of a hangup
        // but not of what there is to read.
        let same = stream.as_fd().try_clone_to_owned()?;
        // SAFETY: it owns the descriptor, which stays what it is until it is dropped.
        let socket = unsafe { AsyncFd::register_with_interest(same, Interest::PRIORITY) }?;
        Ok(Self(socket))
    }

    /// Without it, for want of descriptors, a client that is gone is found out by writing to it.
    async fn wait(hangup: io::Result<Self>) {
        let Ok(Self(socket)) = hangup else { return std::future::pending().await };
        while let Ok(mut event) = socket.ready(Interest::PRIORITY).await {
            if event.ready().is_read_closed() {
                return;
            }
            event.clear_ready();
        }
    }
}

/// Waits until the server ends, be it without saying so.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Reads a whole body of at most [`MAX_BODY`] bytes.
async fn collect(body: Incoming) -> Result<Bytes, Failure> {
    let too_large = || Failure::new(ErrorCode::TooLarge, "the body is longer than 1 MiB");
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Failure::new(ErrorCode::BadRequest, "the body is not complete")),
    }
}

/// A body that says when hyper has done with it.
#[derive(Debug)]
struct Tracked {
    body: AnswerBody,
    _answering: Answering,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
