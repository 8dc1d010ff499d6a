//! The log thread: waits, reads what there is, does what it is told.
//!
//! Waiting is one `epoll_wait` without a limit as long as nothing is cooling, no file fails and
//! the console takes what it gets: a silent daemon sleeps.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use supervisor_api::LogLine;
use supervisor_engine::ServiceId;
use tokio::sync::oneshot;

use super::Query;
use super::console::GRACE;
use super::file::Rotation;
use super::follow::Follower;
use super::outputs::Captured;
use super::ring::Ring;
use super::sinks::{Service, Sinks};
use super::source::{COOLING, Next, Pace, Read, Source, SourceId};

/// Events that are taken at once.
const EVENTS: usize = 64;

/// Most that is read of one source to come to its end: more than a pipe holds, unless its writer
/// goes on writing.
const DRAIN_MAX: usize = 1024 * 1024;

/// What the log thread is told.
#[derive(Debug)]
pub(super) enum Command {
    Open(Registration),
    Flush(ServiceId),
    Last(Query, oneshot::Sender<Vec<LogLine>>),
    Follow(Query, Follower, oneshot::Sender<Vec<LogLine>>),
    Reopen,
    Shutdown,
}

/// A service and the streams of it that are captured.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) service: ServiceId,
    pub(super) name: Box<str>,
    pub(super) max_line: usize,
    pub(super) buffer: usize,
    pub(super) timestamp: bool,
    pub(super) rotation: Option<Rotation>,
    pub(super) captured: Vec<Captured>,
}

/// Commands on their way into the log thread.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// `None` when nobody will read them any more.
    commands: Mutex<Option<Vec<Command>>>,
    wake: EventFd,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = EventFd::from_flags(flags)?;
        Ok(Self { commands: Mutex::new(Some(Vec::new())), wake })
    }

    /// Leaves a command, or drops it if the thread has ended.
    pub(super) fn send(&self, command: Command) {
        let mut commands = self.lock();
        let Some(commands) = commands.as_mut() else { return };
        commands.push(command);
        if commands.len() == 1 {
            // Only a full counter refuses, and then the thread is awake.
            let _ = self.wake.write(1);
        }
    }

    fn take(&self) -> Vec<Command> {
        // Before the commands: one that comes in between wakes once too often, not too seldom.
        let _ = self.wake.read();
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn close(&self) {
        // Dropping the commands tells those who wait for an answer.
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Command>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the log thread.
#[derive(Debug)]
pub(super) struct Worker {
    mailbox: Arc<Mailbox>,
    epoll: Epoll,
    sources: BTreeMap<SourceId, Source>,
    last_source: SourceId,
    /// Sources that cool, with the end of it, in order.
    cooling: VecDeque<(Instant, SourceId)>,
    sinks: Sinks,
    buffer: Vec<u8>,
    running: bool,
}

impl Worker {
    pub(super) fn new(mailbox: Arc<Mailbox>, epoll: Epoll, sinks: Sinks) -> Self {
        Self {
            mailbox,
            epoll,
            sources: BTreeMap::new(),
            last_source: SourceId::DAEMON,
            cooling: VecDeque::new(),
            sinks,
            buffer: Vec::new(),
            running: true,
        }
    }

    /// An epoll that knows of the mailbox.
    pub(super) fn epoll(mailbox: &Mailbox) -> io::Result<Epoll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&mailbox.wake, EpollEvent::new(EpollFlags::EPOLLIN, SourceId::DAEMON.0))?;
        Ok(epoll)
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
                    source => self.read(source),
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
            let timeout = wake_at.map(|at| TimeSpec::from(at.saturating_duration_since(now)));
            // The epoll is readable when it has events.
            let wait_for = if held { self.mailbox.wake.as_fd() } else { self.epoll.0.as_fd() };
            let first = PollFd::new(wait_for, PollFlags::POLLIN);
            let polled = match self.sinks.console.blocked() {
                Some(fd) => {
                    let mut fds = [first, PollFd::new(fd, PollFlags::POLLOUT)];
                    ppoll(&mut fds, timeout, None).map(|_| fds[1].any() == Some(true))
                }
                None => ppoll(&mut [first], timeout, None).map(|_| false),
            };
            match polled {
                Ok(true) => self.sinks.console.send(Instant::now()),
                Ok(false) | Err(Errno::EINTR) => {}
                Err(error) => pause(error),
            }
            limit = EpollTimeout::ZERO;
        }
        if held {
            return None;
        }
        Some(self.epoll.wait(events, limit).unwrap_or_else(|error| {
            if error != Errno::EINTR {
                pause(error);
            }
            0
        }))
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
        if let Err(error) = self.epoll.modify(&source.reader, &mut EpollEvent::new(armed, id.0)) {
            tracing::error!(%error, "pipe of a service cannot be waited for");
        }
    }

    fn obey(&mut self, now: Instant) {
        for command in self.mailbox.take() {
            match command {
                Command::Open(registration) => self.open(registration, now),
                Command::Flush(service) => {
                    for id in self.sources_of(service) {
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

    fn open(&mut self, registration: Registration, now: Instant) {
        let service = registration.service;
        for id in self.sources_of(service) {
            self.drain(id, now);
            self.remove(id, now);
        }
        self.sinks.console.register(&registration.name);
        let mut sources = [None; 2];
        for (captured, slot) in registration.captured.into_iter().zip(&mut sources) {
            self.last_source.0 += 1;
            let id = self.last_source;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, id.0);
            if let Err(error) = self.epoll.add(&captured.reader, event) {
                tracing::error!(service = registration.name, %error, "output is not captured");
                continue;
            }
            let source = Source {
                id,
                service,
                stream: captured.stream,
                reader: captured.reader,
                file: self.sinks.files.get(captured.path, registration.rotation),
                timestamp: registration.timestamp,
                max_line: registration.max_line,
                begun: Vec::new(),
                pace: Pace::default(),
            };
            self.sources.insert(id, source);
            *slot = Some(id);
        }
        let service = Service {
            name: registration.name,
            ring: Ring::new(registration.buffer),
            max_line: registration.max_line,
            sources,
        };
        self.sinks.services.insert(registration.service, service);
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

    fn sources_of(&self, service: ServiceId) -> impl Iterator<Item = SourceId> + use<> {
        let sources = self.sinks.services.get(&service).map(|service| service.sources);
        sources.into_iter().flatten().flatten()
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
        if let Err(error) = self.epoll.delete(&source.reader) {
            tracing::error!(%error, "pipe of a service is still waited for");
        }
        if let Some(service) = self.sinks.services.get_mut(&source.service) {
            for slot in service.sources.iter_mut().filter(|slot| **slot == Some(id)) {
                *slot = None;
            }
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
fn pause(error: Errno) {
    tracing::error!(%error, "log thread cannot wait");
    std::thread::sleep(Duration::from_millis(100));
}
