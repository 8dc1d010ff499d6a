//! The log thread: waits, reads what there is, does what it is told.
//!
//! Waiting is one `epoll_wait` without a limit as long as nothing is cooling, no file fails and
//! the console takes what it gets: a silent daemon sleeps.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use supervisor_api::LogLine;
use supervisor_engine::ServiceId;

use super::Query;
use super::console::GRACE;
use super::mailbox::{Command, Mailbox, Registration};
use super::ring::Ring;
use super::sinks::{Service, Sinks};
use super::source::{COOLING, Next, Pace, Read, Source, SourceId};

/// Events that are taken at once.
const EVENTS: usize = 64;

/// Most that is read of one source to come to its end: more than a pipe holds, unless its writer
/// goes on writing.
const DRAIN_MAX: usize = 1024 * 1024;

/// The state of the log thread.
#[derive(Debug)]
pub(super) struct Worker {
    mailbox: Arc<Mailbox>,
    sources: BTreeMap<SourceId, Source>,
    /// Sources that cool, with the end of it, in order.
    cooling: VecDeque<(Instant, SourceId)>,
    sinks: Sinks,
    buffer: Vec<u8>,
    running: bool,
}

impl Worker {
    pub(super) fn new(mailbox: Arc<Mailbox>, sinks: Sinks) -> Self {
        Self {
            mailbox,
            sources: BTreeMap::new(),
            cooling: VecDeque::new(),
            sinks,
            buffer: Vec::new(),
            running: true,
        }
    }

    /// Works until it is told to shut down, and then until the pipes are empty.
    pub(super) fn run(mut self) {
        while self.running {
            let mut events = [EpollEvent::empty(); EVENTS];
            let count = self.wait(&mut events);
            let mut told = count.is_none();
            for event in events.iter().take(count.unwrap_or(0)) {
                match SourceId(event.data()) {
                    SourceId::DAEMON => told = true,
                    source if self.sources.contains_key(&source) => self.read(source),
                    // Registered since we last looked.
                    _ => told = true,
                }
            }
            if count.is_some() {
                self.read_cooled();
            }
            let now = Instant::now();
            if told {
                self.obey(now);
            }
            self.sinks.files.retry(now, &self.sinks.faults);
        }
        self.finish();
    }

    /// Waits for something to do, and answers how many events there are; `None` while the sources
    /// have to wait for the console.
    fn wait(&mut self, events: &mut [EpollEvent; EVENTS]) -> Option<usize> {
        let now = Instant::now();
        let held = self.sinks.console.holds(now);
        let cooled = self.cooling.front().map(|&(at, _)| at).filter(|_| !held);
        let hold_until = self.sinks.console.hold_until().filter(|_| held);
        let wake_at = [cooled, hold_until, self.sinks.files.retry_at()].into_iter().flatten().min();
        let mut limit = EpollTimeout::NONE;
        if wake_at.is_some() || self.sinks.console.blocked().is_some() {
            let timeout = wake_at.map(|at| at.saturating_duration_since(now));
            let something = self.poll(held, timeout);
            if held {
                return None;
            }
            if !something {
                return Some(0);
            }
            limit = EpollTimeout::ZERO;
        }
        Some(self.mailbox.epoll.wait(events, limit).unwrap_or_else(|error| {
            if error != Errno::EINTR {
                pause(error);
            }
            0
        }))
    }

    /// Waits with a limit finer than that of `epoll_wait(2)`, and for the console too. Answers
    /// whether there are events, or, while the sources are held, commands.
    fn poll(&mut self, held: bool, timeout: Option<Duration>) -> bool {
        let console = self.sinks.console.blocked();
        // The epoll is readable when it has events.
        let wait_for = if held { self.mailbox.wake.as_fd() } else { self.mailbox.epoll.0.as_fd() };
        let mut fds = [
            PollFd::new(wait_for, PollFlags::POLLIN),
            PollFd::new(console.unwrap_or(wait_for), PollFlags::POLLOUT),
        ];
        let count = if console.is_some() { 2 } else { 1 };
        let polled = ppoll(&mut fds[..count], timeout.map(TimeSpec::from), None);
        let [something, writable] = fds.map(|fd| fd.any() == Some(true));
        match polled {
            Ok(_) if writable => self.sinks.console.send(Instant::now()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => pause(error),
        }
        something
    }

    fn read_cooled(&mut self) {
        let now = Instant::now();
        while let Some((_, id)) = self.cooling.pop_front_if(|&mut (at, _)| at <= now) {
            self.read(id);
        }
    }

    /// Reads a source once.
    fn read(&mut self, id: SourceId) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        let read = source.read(&mut self.buffer);
        let now = Instant::now();
        let next = match read {
            Read::Some(len, ready) => {
                self.sinks.write(source, ready, now);
                source.pace.after(len, now)
            }
            Read::Nothing => source.pace.after(0, now),
            Read::End => return self.remove(id, now),
        };
        let armed = match next {
            Next::Wait => return,
            Next::CoolOn => return self.cooling.push_back((now + COOLING, id)),
            Next::Cool { first } => {
                if first {
                    source.grow();
                }
                self.cooling.push_back((now + COOLING, id));
                EpollFlags::empty()
            }
            Next::WaitAgain => EpollFlags::EPOLLIN,
        };
        if let Err(error) =
            self.mailbox.epoll.modify(&source.reader, &mut EpollEvent::new(armed, id.0))
        {
            tracing::error!(%error, "pipe of a service cannot be waited for");
        }
    }

    fn obey(&mut self, now: Instant) {
        for command in self.mailbox.take() {
            match command {
                Command::Open(registration, streams) => self.open(registration, streams, now),
                Command::Flush(unit) => {
                    for id in self.sources_of_unit(unit) {
                        self.drain(id, now);
                        self.flush(id, now);
                    }
                }
                Command::Last(query, reply) => {
                    // Whoever asked may be gone already.
                    let _ = reply.send(self.last(&query, now));
                }
                Command::Follow(query, follower, reply) => {
                    let _ = reply.send(self.last(&query, now));
                    self.sinks.followers.retain(|follower| !follower.is_gone());
                    self.sinks.followers.push(follower);
                }
                Command::Reopen => self.sinks.files.reopen(now, &self.sinks.faults),
                Command::Shutdown => self.running = false,
            }
        }
    }

    fn open(&mut self, registration: Registration, streams: Vec<SourceId>, now: Instant) {
        let unit = registration.unit;
        let service = unit.service();
        let watch = registration.watch.map(Rc::new);
        // With a watch each start has its own: those before it end when their writers do.
        if watch.is_none() {
            for id in self.sources_of_unit(unit) {
                self.drain(id, now);
                self.remove(id, now);
            }
        }
        let older = self.sinks.services.remove(&service);
        let older = older.filter(|older| watch.is_some() || !older.sources.is_empty());
        self.sinks.console.register(&registration.name);
        let (ring, mut sources) = match older {
            Some(older) => (older.ring, older.sources),
            None => (Ring::new(registration.buffer), Vec::new()),
        };
        for (captured, id) in registration.captured.into_iter().zip(streams) {
            let source = Source {
                id,
                service,
                unit,
                stream: captured.stream,
                reader: captured.reader,
                file: self.sinks.files.get(captured.path, registration.rotation),
                timestamp: registration.timestamp,
                max_line: registration.max_line,
                begun: Vec::new(),
                pace: Pace::default(),
                watch: watch.clone(),
            };
            self.sources.insert(id, source);
            sources.push(id);
        }
        let heard =
            Service { name: registration.name, ring, max_line: registration.max_line, sources };
        self.sinks.services.insert(service, heard);
    }

    /// The last lines, those included that nobody has read yet.
    fn last(&mut self, query: &Query, now: Instant) -> Vec<LogLine> {
        for &service in &query.services {
            for id in self.sources_of(service) {
                self.drain(id, now);
            }
        }
        self.sinks.last(query)
    }

    fn sources_of(&self, service: ServiceId) -> Vec<SourceId> {
        self.sinks.services.get(&service).map(|service| service.sources.clone()).unwrap_or_default()
    }

    fn sources_of_unit(&self, unit: ServiceId) -> Vec<SourceId> {
        let mut sources = self.sources_of(unit.service());
        sources.retain(|id| self.sources.get(id).is_some_and(|source| source.unit == unit));
        sources
    }

    /// Reads a source until it has nothing more.
    fn drain(&mut self, id: SourceId, now: Instant) {
        let mut drained = 0;
        while drained < DRAIN_MAX {
            let Some(source) = self.sources.get_mut(&id) else { return };
            match source.read(&mut self.buffer) {
                Read::Some(len, ready) => {
                    self.sinks.write(source, ready, now);
                    drained += len;
                }
                Read::Nothing => return,
                Read::End => return self.remove(id, now),
            }
        }
    }

    /// Passes on the line that the source has begun: nothing will end it.
    fn flush(&mut self, id: SourceId, now: Instant) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        let begun = std::mem::take(&mut source.begun);
        self.sinks.write(source, &begun, now);
        self.sinks.abandon(source);
    }

    fn remove(&mut self, id: SourceId, now: Instant) {
        self.flush(id, now);
        let Some(source) = self.sources.remove(&id) else { return };
        // Before it is closed: a copy of the descriptor in another process would keep it.
        if let Err(error) = self.mailbox.epoll.delete(&source.reader) {
            tracing::error!(%error, "pipe of a service is still waited for");
        }
        if let Some(service) = self.sinks.services.get_mut(&source.service) {
            service.sources.retain(|source| *source != id);
        }
        drop(source);
        self.sinks.files.tidy();
    }

    /// The last work: what the pipes still hold. A console that is stuck gets its grace once.
    fn finish(mut self) {
        let deadline = Instant::now() + GRACE;
        while let Some(&id) = self.sources.keys().next() {
            let now = Instant::now();
            self.drain(id, now);
            self.remove(id, now);
            self.sinks.console.finish(deadline);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// What should not be can at least not keep the processor busy.
#[expect(clippy::disallowed_methods, reason = "the thread of the logs, not the loop, is to wait")]
fn pause(error: Errno) {
    tracing::error!(%error, "log thread cannot wait");
    std::thread::sleep(Duration::from_millis(100));
}
