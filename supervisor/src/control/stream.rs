//! Bodies that go on: NDJSON, made line by line as the client takes them.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, pending};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde::Serialize;
use supervisor_api::{
    ErrorBody, ErrorCode, ErrorResponse, Event, LogLine, Report, ShutdownMessage,
};
use tokio::sync::{mpsc, oneshot};

use super::answer::to_json;
use super::call::{LogStream, Shutdown};
use super::events::{Lagged, Subscription};

/// Where the lines of a body come from.
pub trait Lines: Send + 'static {
    /// Waits for a line, then adds what there is until the chunk is full. `Break` with the last.
    fn fill(&mut self, chunk: &mut Chunk) -> impl Future<Output = ControlFlow<()>> + Send;
}

/// Lines that are sent at once.
#[derive(Debug, Default)]
pub struct Chunk(Vec<u8>);

impl Chunk {
    /// From this many bytes on it is sent. A single line may be longer.
    const FULL: usize = 16 * 1024;

    fn add<T: Serialize>(&mut self, line: &T) {
        self.0.append(&mut to_json(line));
        self.0.push(b'\n');
    }

    /// The last line of a stream that cannot go on.
    fn add_error(&mut self, error: ErrorBody) {
        self.add(&ErrorResponse { error });
    }

    fn is_full(&self) -> bool {
        self.0.len() >= Self::FULL
    }
}

/// `GET /v1/events`: an [`Event`] per line. A client that is too slow gets an [`ErrorResponse`]
/// as its last line.
#[derive(Debug)]
pub struct EventLines(pub Subscription);

impl Lines for EventLines {
    async fn fill(&mut self, chunk: &mut Chunk) -> ControlFlow<()> {
        let mut next = self.0.next().await;
        if next.is_none() {
            return ControlFlow::Break(());
        }
        while let Some(event) = next {
            match event {
                Ok(event) => chunk.add(&event),
                Err(lagged) => {
                    chunk.add_error(lagged.into());
                    return ControlFlow::Break(());
                }
            }
            next = if chunk.is_full() { None } else { self.0.try_next() };
        }
        ControlFlow::Continue(())
    }
}

/// `POST /v1/shutdown` with `wait`: a [`ShutdownMessage`] per line, the report last. Here a client
/// that is too slow misses events, never the report.
#[derive(Debug)]
pub struct ShutdownLines {
    /// `None` when there will be no more.
    events: Option<Subscription>,
    report: oneshot::Receiver<Report>,
}

impl From<Shutdown> for ShutdownLines {
    fn from(shutdown: Shutdown) -> Self {
        Self { events: Some(shutdown.events), report: shutdown.report }
    }
}

impl Lines for ShutdownLines {
    async fn fill(&mut self, chunk: &mut Chunk) -> ControlFlow<()> {
        tokio::select! {
            // Events first: the report is sent after the last of them.
            biased;
            event = next_event(&mut self.events) => {
                match event {
                    Some(Ok(event)) => chunk.add(&ShutdownMessage::Event(event)),
                    Some(Err(Lagged { .. })) => {}
                    None => self.events = None,
                }
                ControlFlow::Continue(())
            }
            report = &mut self.report => {
                match report {
                    Ok(report) => chunk.add(&ShutdownMessage::Report(report)),
                    Err(_) => chunk.add_error(ErrorBody {
                        code: ErrorCode::Unavailable,
                        message: "the shutdown ended without a report".into(),
                        hint: None,
                        details: Vec::new(),
                    }),
                }
                ControlFlow::Break(())
            }
        }
    }
}

async fn next_event(events: &mut Option<Subscription>) -> Option<Result<Event, Lagged>> {
    match events {
        Some(events) => events.next().await,
        None => pending().await,
    }
}

/// `GET /v1/logs`: a [`LogLine`] per line, first what is kept, then what follows.
#[derive(Debug)]
pub struct LogLines {
    backlog: vec::IntoIter<LogLine>,
    live: Option<mpsc::Receiver<LogLine>>,
}

impl From<LogStream> for LogLines {
    fn from(logs: LogStream) -> Self {
        Self { backlog: logs.backlog.into_iter(), live: logs.live }
    }
}

impl Lines for LogLines {
    async fn fill(&mut self, chunk: &mut Chunk) -> ControlFlow<()> {
        if self.backlog.len() > 0 {
            for line in self.backlog.by_ref() {
                chunk.add(&line);
                if chunk.is_full() {
                    break;
                }
            }
            return ControlFlow::Continue(());
        }
        let Some(following) = &mut self.live else {
            return ControlFlow::Break(());
        };
        let mut next = following.recv().await;
        if next.is_none() {
            return ControlFlow::Break(());
        }
        while let Some(line) = next {
            chunk.add(&line);
            next = if chunk.is_full() { None } else { following.try_recv().ok() };
        }
        ControlFlow::Continue(())
    }
}

/// The body itself. It asks for the next chunk only when the one before has been taken.
pub struct LineBody<L> {
    filling: Option<Filling<L>>,
}

type Filling<L> = Pin<Box<dyn Future<Output = (L, Chunk, ControlFlow<()>)> + Send>>;

impl<L: Lines> LineBody<L> {
    /// A body of these lines.
    pub fn new(lines: L) -> Self {
        Self { filling: Some(Self::fill(lines)) }
    }

    fn fill(mut lines: L) -> Filling<L> {
        Box::pin(async move {
            let mut chunk = Chunk::default();
            let flow = lines.fill(&mut chunk).await;
            (lines, chunk, flow)
        })
    }
}

impl<L: Lines> Body for LineBody<L> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            let Some(filling) = &mut self.filling else {
                return Poll::Ready(None);
            };
            let (lines, chunk, flow) = ready!(filling.as_mut().poll(cx));
            self.filling = flow.is_continue().then(|| Self::fill(lines));
            if !chunk.0.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(chunk.0.into()))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.filling.is_none()
    }
}

impl<L> fmt::Debug for LineBody<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineBody").field("ended", &self.filling.is_none()).finish()
    }
}
