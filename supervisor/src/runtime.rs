//! The loop: one thing happens, the engine decides, the runtime acts.
//!
//! Each turn has one order: what the operating system reports, our own signals, news of probes,
//! calls of the API, time. Only this module tree calls the engine, and only `perform` carries out
//! what it asks for. Logs have a thread of their own and API clients tasks of their own, so neither
//! can delay a service.

mod calls;
mod names;
mod notices;
mod perform;
mod poller;
mod probes;
mod publish;
mod reaper;
mod unit;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use nix::unistd::Pid;
use supervisor_api::{Operation, Report as ShutdownReport, ReportService};
use supervisor_engine::{
    Action, Engine, Invocation, Moment, OperationId, Report, Request, ServiceId, Signal,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use self::names::Names;
use self::notices::NotifyBuffer;
use self::poller::Poller;
use self::probes::ProbeNews;
use self::reaper::Owner;
use self::unit::Unit;
use crate::clock::{self, millis};
use crate::config::{Config, ServiceConfig};
use crate::control::{Call, EventLog, Reply};
use crate::logs::{Fault, Logs};
use crate::process::{Session, Spawner, Tree};
use crate::signals::{OwnSignal, Signals};
use crate::upstream::Upstream;

/// A second `INT` or `TERM` leaves this much time.
const HURRY: Duration = Duration::from_secs(1);
/// Calls of the API that are answered in one turn.
const CALLS_PER_TURN: usize = 16;
/// Turns without a wait after which everything else on the thread gets its turn.
const TURNS_WITHOUT_WAIT: u32 = 16;

/// What the runtime works with.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The spec.
    pub config: Config,
    /// The engine, with the services of the spec.
    pub engine: Engine,
    /// The log thread.
    pub logs: Logs,
    /// Where the log thread tells its faults.
    pub faults: mpsc::UnboundedReceiver<Fault>,
    /// Calls of the API.
    pub calls: mpsc::Receiver<Call>,
    /// Our own signals.
    pub signals: Signals,
    /// Who started us.
    pub upstream: Upstream,
    /// An existing directory for the notify sockets.
    pub notify_dir: PathBuf,
    /// 16 hexadecimal digits that differ with each start of the daemon.
    pub boot_id: String,
    /// Unix time of the start in milliseconds.
    pub started_ms: u64,
    /// The daemon's own stdin, for a service that gets it.
    pub own_stdin: Option<OwnedFd>,
    /// The service that gets all signals of the daemon, if it is a one-command init.
    pub init: Option<ServiceId>,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The status of the service whose end shut everything down.
    pub exit_status: Option<u8>,
    /// Whether a service had to be killed.
    pub killed: bool,
}

/// Everything that the loop works with.
#[derive(Debug)]
pub(crate) struct Runtime {
    engine: Engine,
    config: Config,
    names: Names,
    units: Vec<Unit>,
    logs: Logs,
    upstream: Upstream,
    events: EventLog,
    poller: Poller,
    spawner: Spawner,
    tree: Tree,
    /// Every process that was started and is not reaped.
    pids: HashMap<Pid, Owner>,
    /// Services whose main process has ended and whose other processes have not.
    leftovers: BTreeSet<ServiceId>,
    /// What the engine has asked for and is not done yet.
    todo: VecDeque<Action>,
    /// Who waits for the end of operations.
    waiters: BTreeMap<OperationId, Vec<Reply<Operation>>>,
    probe_news: mpsc::UnboundedSender<ProbeNews>,
    notify_buffer: Box<NotifyBuffer>,
    notify_dir: PathBuf,
    /// The services' tags are this plus their id.
    tag_base: u64,
    main_session: Session,
    own_stdin: Option<OwnedFd>,
    init: Option<ServiceId>,
    boot_id: String,
    started_ms: u64,
    /// The operation that starts the enabled services, until it has ended.
    boot: Option<OperationId>,
    /// The operation that stops everything.
    shutdown: Option<OperationId>,
    shutdown_began: Moment,
    /// Who waits for the report of the shutdown.
    reporters: Vec<oneshot::Sender<ShutdownReport>>,
    report: Vec<ReportService>,
    exit_status: Option<u8>,
    shut_down_wanted: bool,
    killed: bool,
    over: bool,
}

/// What the loop waits for and the runtime itself does not need.
struct Inboxes {
    calls: mpsc::Receiver<Call>,
    signals: Signals,
    faults: mpsc::UnboundedReceiver<Fault>,
    probes: mpsc::UnboundedReceiver<ProbeNews>,
}

/// Runs the services of a spec until they are shut down. Needs tokio's I/O and time drivers.
pub(crate) async fn run(parts: Parts) -> io::Result<Ended> {
    let (runtime, inboxes) = Runtime::new(parts)?;
    runtime.run(inboxes).await
}

impl Runtime {
    fn new(parts: Parts) -> io::Result<(Self, Inboxes)> {
        let Parts { config, engine, logs, faults, calls, signals, .. } = parts;
        let (probe_news, probes) = mpsc::unbounded_channel();
        let units = config.services.iter().map(|_| Unit::default()).collect();
        let runtime = Self {
            names: Names::new(&config),
            engine,
            config,
            units,
            logs,
            upstream: parts.upstream,
            events: EventLog::new(),
            poller: Poller::new()?,
            spawner: Spawner::new()?,
            tree: Tree::new()?,
            pids: HashMap::new(),
            leftovers: BTreeSet::new(),
            todo: VecDeque::new(),
            waiters: BTreeMap::new(),
            probe_news,
            notify_buffer: Box::new(NotifyBuffer::new()),
            notify_dir: parts.notify_dir,
            tag_base: tag_base(),
            main_session: Session::Own,
            own_stdin: parts.own_stdin,
            init: parts.init,
            boot_id: parts.boot_id,
            started_ms: parts.started_ms,
            boot: None,
            shutdown: None,
            shutdown_began: clock::now(),
            reporters: Vec::new(),
            report: Vec::new(),
            exit_status: None,
            shut_down_wanted: false,
            killed: false,
            over: false,
        };
        Ok((runtime, Inboxes { calls, signals, faults, probes }))
    }

    async fn run(mut self, mut inboxes: Inboxes) -> io::Result<Ended> {
        let boot = self.engine.request(Request::Boot, clock::now());
        self.boot = Some(boot);
        self.drain();
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut turns = 0_u32;
        loop {
            self.perform();
            self.on_time();
            if self.over && self.todo.is_empty() {
                break;
            }
            let wake = self.engine.poll_timeout().map(|wake| wake.at - clock::now());
            if let Some(wait) = wake {
                timer.as_mut().reset(Instant::now() + wait);
            }
            turns += 1;
            if turns.is_multiple_of(TURNS_WITHOUT_WAIT) {
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                ready = self.poller.ready() => ready?,
                signal = inboxes.signals.next() => self.on_signal(signal),
                Some(news) = inboxes.probes.recv() => self.on_probe_news(news),
                Some(call) = inboxes.calls.recv() => self.on_call(call),
                Some(fault) = inboxes.faults.recv() => self.on_log_fault(&fault),
                () = timer.as_mut(), if wake.is_some() => {}
                () = std::future::ready(()), if !self.todo.is_empty() => {}
            }
            self.on_os_events();
            while let Some(signal) = inboxes.signals.try_next() {
                self.on_signal(signal);
            }
            while let Ok(news) = inboxes.probes.try_recv() {
                self.on_probe_news(news);
            }
            for _ in 0..CALLS_PER_TURN {
                let Ok(call) = inboxes.calls.try_recv() else { break };
                self.on_call(call);
            }
        }
        Ok(self.end().await)
    }

    /// What is due is done.
    fn on_time(&mut self) {
        if std::mem::take(&mut self.shut_down_wanted) {
            self.shut_down(None, false);
        }
        self.engine.handle_timeout(clock::now());
        self.drain();
    }

    /// Asks the engine for something.
    fn request(&mut self, request: Request) -> OperationId {
        let id = self.begin(request);
        self.drain();
        id
    }

    /// The same without hearing what the engine has to say to it, which is up to the caller.
    fn begin(&mut self, request: Request) -> OperationId {
        let id = self.engine.request(request, clock::now());
        if let Some(operation) = self.engine.operation(id)
            && operation.ended.is_none()
        {
            let verb = view::verb(operation.verb).to_owned();
            let event =
                supervisor_api::EventKind::Operation { id: id.0, verb, done: false, ok: false };
            self.publish(event);
        }
        id
    }

    /// Tells the engine what has happened to an invocation.
    fn report(&mut self, invocation: Invocation, report: Report) {
        self.engine.report(invocation, report, clock::now());
        self.drain();
    }

    fn shut_down(&mut self, within: Option<Duration>, force: bool) {
        let within = match self.shutdown {
            // The budget of the spec counts from the first request.
            None => within.into_iter().chain(self.config.daemon.shutdown_timeout).min(),
            Some(_) => within,
        };
        if self.shutdown.is_none() {
            self.shutdown_began = clock::now();
            self.upstream.stopping();
        }
        // Set before the engine answers: with nothing to stop the operation ends at once.
        let id = self.engine.request(Request::Shutdown { within, force }, clock::now());
        self.shutdown = Some(id);
        self.drain();
    }

    fn on_signal(&mut self, signal: OwnSignal) {
        match (signal, self.init) {
            (OwnSignal::Child, _) => self.on_child_signal(),
            (OwnSignal::Other(signal), Some(main)) if !self.engine.is_shutting_down() => {
                self.request(Request::Signal { services: vec![main], signal });
            }
            (OwnSignal::Other(signal), _) => self.on_own_signal(signal),
        }
    }

    fn on_own_signal(&mut self, signal: Signal) {
        match signal {
            Signal::INT | Signal::TERM if self.engine.is_shutting_down() => {
                tracing::warn!(%signal, "second signal: everything is killed in {HURRY:?}");
                self.shut_down(Some(HURRY), false);
            }
            Signal::HUP => {
                tracing::warn!("reading the spec again is not supported yet: SIGHUP is ignored");
            }
            Signal::USR1 => {
                tracing::info!("log files are opened again");
                self.logs.reopen();
            }
            Signal::USR2 => {
                tracing::warn!("re-execution is not supported yet: SIGUSR2 is ignored");
            }
            signal if !self.engine.is_shutting_down() => {
                tracing::info!(%signal, "shutting down");
                self.shut_down(None, false);
            }
            _ => {}
        }
    }

    fn on_log_fault(&self, fault: &Fault) {
        tracing::warn!(
            service = %self.name(fault.service),
            path = %fault.path.display(),
            kind = ?fault.kind,
            "log file"
        );
    }

    /// All services are down: whatever else descends from the daemon goes too, then the report is
    /// handed out.
    async fn end(mut self) -> Ended {
        self.kill_strays();
        let report = ShutdownReport {
            took_ms: millis(clock::now() - self.shutdown_began),
            services: std::mem::take(&mut self.report),
        };
        tracing::info!(elapsed_ms = report.took_ms, killed = self.killed, "all services are down");
        for reporter in std::mem::take(&mut self.reporters) {
            drop(reporter.send(report.clone()));
        }
        self.logs.shutdown();
        // Streams of events end with their log; let their tasks see it.
        drop(self.events);
        tokio::task::yield_now().await;
        Ended { exit_status: self.exit_status, killed: self.killed }
    }

    /// Kills what nobody could attribute to a service, so that no process is left behind.
    fn kill_strays(&mut self) {
        /// Enough for chains of processes that lose their parents one after another.
        const ROUNDS: usize = 100;
        for _ in 0..ROUNDS {
            self.on_child_signal();
            let strays: Vec<Pid> =
                self.orphans().into_iter().map(|orphan| orphan.stat.pid).collect();
            if strays.is_empty() {
                return;
            }
            tracing::warn!(count = strays.len(), "killing processes of no service");
            if let Err(error) = self.kill_strays_now(&strays) {
                tracing::error!(%error, "processes that belong to no service are left");
                return;
            }
        }
    }

    fn unit(&self, id: ServiceId) -> &Unit {
        &self.units[id.index()]
    }

    fn unit_mut(&mut self, id: ServiceId) -> &mut Unit {
        &mut self.units[id.index()]
    }

    fn config(&self, id: ServiceId) -> &ServiceConfig {
        &self.config.services[id.index()]
    }

    fn name(&self, id: ServiceId) -> &str {
        &self.config(id).spec.name
    }

    fn tag(&self, id: ServiceId) -> u64 {
        self.tag_base + u64::from(id.0)
    }
}

/// A base for tags that no other daemon has: lower for a daemon that is itself supervised by one,
/// since a tag can only be lowered without privilege.
fn tag_base() -> u64 {
    const HIGHEST: u64 = 1 << 56;
    HIGHEST - (u64::from(std::process::id()) << 24)
}
