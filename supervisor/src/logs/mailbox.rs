//! How the log thread is told what to do.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use supervisor_api::LogLine;
use supervisor_engine::ServiceId;
use tokio::sync::oneshot;

use super::Query;
use super::file::Rotation;
use super::follow::Follower;
use super::outputs::Captured;
use super::source::SourceId;
use super::watch::Watch;

/// What the log thread is told.
#[derive(Debug)]
pub(super) enum Command {
    /// With the ids of its streams.
    Open(Registration, Vec<SourceId>),
    Flush(ServiceId),
    Last(Query, oneshot::Sender<Vec<LogLine>>),
    Follow(Query, Follower, oneshot::Sender<Vec<LogLine>>),
    Reopen,
    Shutdown,
}

/// A service and the streams of it that are captured.
#[derive(Debug)]
pub(super) struct Registration {
    /// The service, or its companion: then beside those of the service.
    pub(super) unit: ServiceId,
    pub(super) name: Box<str>,
    pub(super) max_line: usize,
    pub(super) buffer: usize,
    pub(super) timestamp: bool,
    pub(super) rotation: Option<Rotation>,
    pub(super) captured: Vec<Captured>,
    /// What to look for in them; then the older ones of the unit stay.
    pub(super) watch: Option<Watch>,
}

/// What the log thread and those who tell it something share.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Mutex<Mail>,
    /// Readable when there is a command.
    pub(super) wake: EventFd,
    /// All that the thread waits for: `wake` as [`SourceId::DAEMON`], and the sources.
    pub(super) epoll: Epoll,
}

#[derive(Debug)]
struct Mail {
    /// In order; `None` when nobody will read them any more.
    commands: Option<Vec<Command>>,
    /// Whether the thread knows that there is something.
    woken: bool,
    last_source: SourceId,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, SourceId::DAEMON.0))?;
        let last_source = SourceId::DAEMON;
        let state = Mail { commands: Some(Vec::new()), woken: false, last_source };
        Ok(Self { state: Mutex::new(state), wake, epoll })
    }

    /// Leaves a registration. Nobody is woken: its pipes do that when there is something in them.
    pub(super) fn register(&self, registration: Registration) -> io::Result<()> {
        let mut mail = self.lock();
        let mut streams = Vec::with_capacity(registration.captured.len());
        for captured in &registration.captured {
            mail.last_source.0 += 1;
            let id = mail.last_source;
            self.epoll.add(&captured.reader, EpollEvent::new(EpollFlags::EPOLLIN, id.0))?;
            streams.push(id);
        }
        if let Some(commands) = &mut mail.commands {
            commands.push(Command::Open(registration, streams));
        }
        Ok(())
    }

    /// Leaves a command, or drops it if the thread has ended.
    pub(super) fn send(&self, command: Command) {
        let mut mail = self.lock();
        let Some(commands) = &mut mail.commands else { return };
        commands.push(command);
        if !std::mem::replace(&mut mail.woken, true) {
            // Only a full counter refuses, and then the thread is awake.
            let _ = self.wake.write(1);
        }
    }

    /// All commands, in order.
    pub(super) fn take(&self) -> Vec<Command> {
        let mut mail = self.lock();
        if std::mem::take(&mut mail.woken) {
            let _ = self.wake.read();
        }
        mail.commands.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nobody will read commands any more.
    pub(super) fn close(&self) {
        // Dropping the commands tells those who wait for an answer.
        self.lock().commands.take();
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
