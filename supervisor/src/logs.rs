//! Captures the services' output in a thread of its own, so that no flood of lines, no full disk
//! and no slow terminal delays the life of a service.
//!
//! Each captured stream is a pipe. What is read goes, complete lines at once, into the stream's
//! file, into the memory for reading back, onto the console and to those who follow. Bytes pass
//! unchanged: files hold what was written, but for stamps, for the notice after an outage, and for
//! a newline where a line was left unfinished and another writer goes on.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use supervisor_api::{LogLine, Stream};
use supervisor_engine::ServiceId;
use tokio::sync::{mpsc, oneshot};

use self::console::ConsoleCopy;
use self::fault::FaultSender;
use self::file::Rotation;
use self::mailbox::{Command, Mailbox, Registration};
use self::outputs::OutputMaker;
use self::sinks::Sinks;
use self::watch::Watch;
use self::worker::Worker;
use crate::config::{Console, LinePattern, LogConfig};

mod console;
mod fault;
mod file;
mod files;
mod follow;
mod lines;
mod mailbox;
mod outputs;
mod place;
mod ring;
mod sinks;
mod source;
mod stamp;
mod watch;
mod worker;

pub use fault::{Fault, FaultKind};
pub use follow::{Followed, Following};
pub use outputs::ServiceOutputs;

/// Stack of the log thread; only what is used takes memory.
const STACK: usize = 256 * 1024;

/// The log thread, to the rest of the daemon. All calls return at once, but for the end.
#[derive(Debug)]
pub struct Logs {
    mailbox: Arc<Mailbox>,
    outputs: OutputMaker,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Which lines somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of these services.
    pub services: Vec<ServiceId>,
    /// Of this stream; `None`: of both.
    pub stream: Option<Stream>,
    /// So many of the last lines, of all services together.
    pub lines: usize,
}

impl Logs {
    /// Starts the thread. Output is copied to the daemon's stdout as `console` says, names
    /// coloured if `color`; `names`, so far as they are known, get equal width. Also answers where
    /// faults of log files are told.
    pub fn start<'a>(
        console: Console,
        color: bool,
        names: impl Iterator<Item = &'a str>,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Fault>)> {
        // Without a stdout there is no console.
        let stdout = io::stdout().as_fd().try_clone_to_owned().ok();
        let mut copy = ConsoleCopy::new(console, color, stdout);
        names.for_each(|name| copy.register(name));
        Self::start_on(copy)
    }

    fn start_on(console: ConsoleCopy) -> io::Result<(Self, mpsc::UnboundedReceiver<Fault>)> {
        let (faults, fault_receiver) = mpsc::unbounded_channel();
        let mailbox = Arc::new(Mailbox::new()?);
        let inbox = Arc::clone(&mailbox);
        let thread = Builder::new().name("logs".to_owned()).stack_size(STACK).spawn(move || {
            let sinks = Sinks::new(console, FaultSender(faults));
            Worker::new(inbox, sinks).run();
        })?;
        let logs =
            Self { mailbox, outputs: OutputMaker::default(), thread: Mutex::new(Some(thread)) };
        Ok((logs, fault_receiver))
    }

    /// Registers a service and answers what its processes get as stdout and stderr; to be kept
    /// for all its starts. Pipes are given to the owner (user and group), so that it can open
    /// `/dev/stdout`. A service that is registered already gets new ones in place of the old; its
    /// companion has its own beside them, so that no line of one ends up in a line of the other.
    pub fn open(
        &self,
        unit: ServiceId,
        name: &str,
        config: &LogConfig,
        owner: Option<(u32, u32)>,
    ) -> io::Result<ServiceOutputs> {
        self.register(unit, name, config, owner, None)
    }

    /// As [`Self::open`], and answers when the first line comes out of the new outputs that matches
    /// the pattern; never, if they end before. What others still write into the old outputs of the
    /// service is read too, but does not count.
    pub fn watch(
        &self,
        unit: ServiceId,
        name: &str,
        config: &LogConfig,
        owner: Option<(u32, u32)>,
        pattern: LinePattern,
    ) -> io::Result<(ServiceOutputs, oneshot::Receiver<()>)> {
        let (watch, matched) = Watch::new(pattern);
        Ok((self.register(unit, name, config, owner, Some(watch))?, matched))
    }

    fn register(
        &self,
        unit: ServiceId,
        name: &str,
        config: &LogConfig,
        owner: Option<(u32, u32)>,
        watch: Option<Watch>,
    ) -> io::Result<ServiceOutputs> {
        let (outputs, captured) = self.outputs.make(config, owner)?;
        let rotation = config.rotate_size.map(|size| Rotation { size, keep: config.rotate_keep });
        self.mailbox.register(Registration {
            unit,
            name: name.into(),
            max_line: config.max_line.max(1),
            buffer: config.buffer,
            timestamp: config.timestamp,
            rotation,
            captured,
            watch,
        })?;
        Ok(outputs)
    }

    /// To be called when an invocation has ended: a line that it has not finished is passed on as
    /// it is, and the next invocation begins a new one.
    pub fn flush(&self, unit: ServiceId) {
        self.mailbox.send(Command::Flush(unit));
    }

    /// The last lines in memory, merged by time, all included that were written before the call.
    /// Fails only when the thread has ended.
    pub fn tail(&self, query: Query) -> oneshot::Receiver<Vec<LogLine>> {
        let (reply, lines) = oneshot::channel();
        self.mailbox.send(Command::Last(query, reply));
        lines
    }

    /// As [`Self::tail`], and then each further line, without gap or repetition in between.
    pub fn follow(&self, query: Query) -> (oneshot::Receiver<Vec<LogLine>>, Following) {
        let (reply, lines) = oneshot::channel();
        let (follower, following) = follow::follow(query.services.clone(), query.stream);
        self.mailbox.send(Command::Follow(query, follower, reply));
        (lines, following)
    }

    /// Opens all log files by their paths again, for those who move them away (`logrotate(8)`).
    pub fn reopen(&self) {
        self.mailbox.send(Command::Reopen);
    }

    /// Writes what the pipes still hold and ends the thread; waits for that. Takes up to a second
    /// when nobody reads the console. Further calls do nothing.
    pub fn shutdown(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            self.mailbox.send(Command::Shutdown);
            if thread.join().is_err() {
                tracing::error!("log thread has panicked");
            }
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.shutdown();
    }
}

#[cfg(test)]
mod tests;
