//! The connection with its patience: how long a request may take to arrive and an answer to leave.
//!
//! hyper's own timer covers the head alone and also ends connections that are only idle.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{REQUEST_TIME, UNREAD_TIME};

/// How far the present request of a connection is, shared by [`Wire`] and the one who answers.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Mutex<Phase>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A request is on its way; the whole of it has to be there by then.
    Receiving(Instant),
    /// It is being answered; the client has nothing to do but read.
    Answering,
    /// Between two requests, for as long as the client likes.
    Idle,
}

impl Progress {
    /// For a new connection, which has to send a request.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Phase::Receiving(Instant::now() + REQUEST_TIME))))
    }

    /// A request has begun to arrive.
    pub fn begin(&self) {
        if !matches!(self.get(), Phase::Receiving(_)) {
            self.set(Phase::Receiving(Instant::now() + REQUEST_TIME));
        }
    }

    /// The request has arrived; it is answered until the guard is dropped.
    pub fn answer(&self) -> Answering {
        self.set(Phase::Answering);
        Answering(self.clone())
    }

    fn get(&self) -> Phase {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// Kept for as long as an answer is under way.
#[derive(Debug)]
pub struct Answering(Progress);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(Phase::Idle);
    }
}

/// A stream that fails with [`io::ErrorKind::TimedOut`] when a request takes longer than
/// [`REQUEST_TIME`], or when nothing of an answer is taken for [`UNREAD_TIME`].
#[derive(Debug)]
pub struct Wire {
    stream: UnixStream,
    progress: Progress,
    /// Runs while a request is awaited; made only if it does not come at once.
    request: Option<Pin<Box<Sleep>>>,
    /// Runs while the client does not read.
    unread: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// A connection on which nothing has happened yet.
    pub const fn new(stream: UnixStream, progress: Progress) -> Self {
        Self { stream, progress, request: None, unread: None }
    }

    /// Passes on the result of a write, and gives up on a client that does not read.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.unread = None;
            return result;
        }
        let unread = self.unread.get_or_insert_with(|| Box::pin(sleep(UNREAD_TIME)));
        ready!(unread.as_mut().poll(cx));
        Poll::Ready(Err(timed_out("the client does not read its answer")))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        match (self.progress.get(), result.is_pending()) {
            (Phase::Receiving(by), true) => {
                let request = self.request.get_or_insert_with(|| Box::pin(sleep_until(by)));
                if request.deadline() != by {
                    request.as_mut().reset(by);
                }
                ready!(request.as_mut().poll(cx));
                Poll::Ready(Err(timed_out("the request takes too long to arrive")))
            }
            (Phase::Receiving(_), false) => result,
            (phase @ (Phase::Answering | Phase::Idle), _) => {
                self.request = None;
                if phase == Phase::Idle && buf.filled().len() > before {
                    self.progress.begin();
                }
                result
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn timed_out(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}
