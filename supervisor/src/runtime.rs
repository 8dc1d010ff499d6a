//! The loop: one thing happens, the engine decides, the runtime acts.
//!
//! Each turn has one order, whatever has begun it: what the operating system reports, our own
//! signals, news of probes, calls of the API, time. Each takes a share, so that no flood of one
//! keeps the others waiting. Only this module tree calls the engine, and only `perform` carries out
//! what it asks for. Logs have a thread of their own and API clients tasks of their own, so neither
//! can delay a service.

mod calls;
mod fd_store;
mod main_pid;
mod membership;
mod monitor;
mod names;
mod notices;
mod outcome;
mod perform;
mod poller;
mod probes;
mod publish;
mod reaper;
mod scale;
mod shutdown;
mod tags;
mod unit;
mod units;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use nix::unistd::Pid;
use supervisor_api::Operation;
use supervisor_engine::{
    Action, Engine, Invocation, Manner, Moment, OperationId, Report, Request, Service, ServiceId,
    Signal,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::names::Names;
use self::notices::NotifyBuffer;
use self::poller::Poller;
use self::probes::ProbeNews;
use self::reaper::Owner;
use self::scale::{Remade, ScaleCall};
use self::shutdown::Shutdown;
use self::tags::Tags;
use self::unit::Unit;
use self::units::Units;
use crate::clock;
use crate::config::{Config, ServiceConfig};
use crate::control::{Call, EventLog, Reply};
use crate::descriptors::Share;
use crate::logs::{Fault, Logs};
use crate::process::{Session, Spawner, Tree};
use crate::signals::{OwnMeaning, OwnSignal, Signals};
use crate::upstream::Upstream;

/// A second `INT` or `TERM` leaves this much time.
const HURRY: Duration = Duration::from_secs(1);
/// How many inputs of each kind are taken in one turn.
const SHARE: usize = 16;
/// How long the loop may work before everything else on the thread gets its turn: clients, of whom
/// an answer takes several.
const TIME_WITHOUT_YIELD: Duration = Duration::from_millis(2);
/// When processes are looked for again that could not be looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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
    /// How descriptors are shared out.
    pub descriptors: Share,
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
    units: Units,
    logs: Logs,
    upstream: Upstream,
    /// When who started us must be told again that we are alive, if they watch.
    alive_due: Option<Moment>,
    events: EventLog,
    poller: Poller,
    spawner: Spawner,
    /// What services lead.
    session: Session,
    tree: Tree,
    /// Every process that was started and is not reaped.
    pids: HashMap<Pid, Owner>,
    /// Services whose main process has ended and whose other processes have not.
    leftovers: BTreeSet<ServiceId>,
    /// Whether it could not be found out which processes are left.
    look_again: bool,
    /// What the engine has asked for and is not done yet.
    todo: VecDeque<Action>,
    /// Who waits for the end of operations.
    waiters: BTreeMap<OperationId, Vec<Reply<Operation>>>,
    /// Requests for other numbers of instances; for the first one a spec is being made.
    scale_calls: VecDeque<ScaleCall>,
    remade_news: mpsc::UnboundedSender<Remade>,
    /// Services that were removed and may have left something.
    removed: Vec<ServiceId>,
    probe_news: mpsc::UnboundedSender<ProbeNews>,
    notify_buffer: Box<NotifyBuffer>,
    notify_dir: PathBuf,
    tags: Tags,
    descriptors: Share,
    own_stdin: Option<OwnedFd>,
    init: Option<ServiceId>,
    boot_id: String,
    started_ms: u64,
    /// The operation that starts the enabled services, until it has ended.
    boot: Option<OperationId>,
    shutdown: Shutdown,
}

/// What the loop waits for, besides the operating system and time.
struct Inboxes {
    signals: Signals,
    probes: mpsc::UnboundedReceiver<ProbeNews>,
    calls: mpsc::Receiver<Call>,
    remade: mpsc::UnboundedReceiver<Remade>,
    faults: mpsc::UnboundedReceiver<Fault>,
}

/// One thing that has happened, in the order in which they are handled in one turn.
enum Input {
    Signal(OwnSignal),
    Probe(ProbeNews),
    Call(Call),
    Remade(Remade),
    LogFault(Fault),
}

impl Inboxes {
    /// Waits for the next input. Cancel safe: it is taken only when it is returned.
    async fn next(&mut self) -> Input {
        tokio::select! {
            biased;
            signal = self.signals.next() => Input::Signal(signal),
            Some(news) = self.probes.recv() => Input::Probe(news),
            Some(call) = self.calls.recv() => Input::Call(call),
            Some(remade) = self.remade.recv() => Input::Remade(remade),
            Some(fault) = self.faults.recv() => Input::LogFault(fault),
        }
    }

    /// A turn's share of what has arrived, in order, with the one that was waited for.
    fn take(&mut self, first: Option<Input>) -> Vec<Input> {
        let mut inputs: Vec<Input> = first.into_iter().collect();
        inputs.extend(iter::from_fn(|| self.signals.try_next()).take(SHARE).map(Input::Signal));
        inputs.extend(iter::from_fn(|| self.probes.try_recv().ok()).take(SHARE).map(Input::Probe));
        inputs.extend(iter::from_fn(|| self.calls.try_recv().ok()).take(SHARE).map(Input::Call));
        // One at a time is made.
        inputs.extend(self.remade.try_recv().ok().map(Input::Remade));
        inputs
            .extend(iter::from_fn(|| self.faults.try_recv().ok()).take(SHARE).map(Input::LogFault));
        // Stable: only the first one is out of its place.
        inputs.sort_by_key(Input::place);
        inputs
    }
}

impl Input {
    const fn place(&self) -> u8 {
        match self {
            Self::Signal(_) => 0,
            Self::Probe(_) => 1,
            Self::Call(_) => 2,
            Self::Remade(_) => 3,
            Self::LogFault(_) => 4,
        }
    }
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
        let (remade_news, remade) = mpsc::unbounded_channel();
        let runtime = Self {
            names: Names::new(&config, |_| true),
            units: Units::new(&engine),
            engine,
            config,
            logs,
            alive_due: parts.upstream.watchdog().map(|_| clock::now()),
            upstream: parts.upstream,
            events: EventLog::new(),
            poller: Poller::new()?,
            spawner: Spawner::new()?,
            session: Session::apart_from_terminal(),
            tree: Tree::new()?,
            pids: HashMap::new(),
            leftovers: BTreeSet::new(),
            look_again: false,
            todo: VecDeque::new(),
            waiters: BTreeMap::new(),
            scale_calls: VecDeque::new(),
            remade_news,
            removed: Vec::new(),
            probe_news,
            notify_buffer: Box::new(NotifyBuffer::new()),
            notify_dir: parts.notify_dir,
            tags: Tags::new(),
            descriptors: parts.descriptors,
            own_stdin: parts.own_stdin,
            init: parts.init,
            boot_id: parts.boot_id,
            started_ms: parts.started_ms,
            boot: None,
            shutdown: Shutdown::default(),
        };
        Ok((runtime, Inboxes { signals, probes, calls, remade, faults }))
    }

    async fn run(mut self, mut inboxes: Inboxes) -> io::Result<Ended> {
        self.boot = Some(self.engine.request(Request::Boot, clock::now()));
        self.drain();
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut yielded = clock::now();
        loop {
            self.perform();
            self.clear_removed();
            self.on_time();
            if self.shutdown.is_over() && self.todo.is_empty() {
                break;
            }
            if clock::now() - yielded > TIME_WITHOUT_YIELD {
                tokio::task::yield_now().await;
                yielded = clock::now();
            }
            let wait = self.time_to_wait();
            if let Some(wait) = wait {
                timer.as_mut().reset(Instant::now() + wait);
            }
            let input = tokio::select! {
                biased;
                ready = self.poller.ready() => {
                    ready?;
                    None
                }
                input = inboxes.next() => Some(input),
                () = timer.as_mut(), if wait.is_some() => None,
                () = std::future::ready(()), if !self.todo.is_empty() => None,
            };
            self.on_os_events();
            for input in inboxes.take(input) {
                match input {
                    Input::Signal(signal) => self.on_signal(signal),
                    Input::Probe(news) => self.on_probe_news(news),
                    Input::Call(call) => self.on_call(call),
                    Input::Remade(remade) => self.on_remade(remade),
                    Input::LogFault(fault) => self.on_log_fault(&fault),
                }
            }
        }
        Ok(self.end().await)
    }

    /// What is due is done.
    fn on_time(&mut self) {
        let now = clock::now();
        if self.engine.poll_timeout().is_some_and(|wake| wake.at <= now) {
            // What was said in time counts, also where this process has not run for a while.
            self.on_os_events();
        }
        self.engine.handle_timeout(clock::now());
        self.drain();
        self.shut_down_if_due();
        if let Some(period) = self.upstream.watchdog()
            && self.alive_due.is_some_and(|due| due <= clock::now())
        {
            self.upstream.alive();
            self.alive_due = Some(clock::now() + period / 2);
        }
    }

    /// How long until something is due; `None`: nothing will be.
    fn time_to_wait(&self) -> Option<Duration> {
        let engine = self.engine.poll_timeout().map(|wake| wake.at);
        let due = engine.into_iter().chain(self.alive_due).min().map(|at| at - clock::now());
        due.into_iter().chain(self.look_again.then_some(LOOK_AGAIN)).min()
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

    fn on_signal(&mut self, signal: OwnSignal) {
        let lives = |id: &ServiceId| self.present_unit(*id).main_pid().is_some();
        match (signal, self.init.filter(lives)) {
            (OwnSignal::Child, _) => self.on_child_signal(),
            (OwnSignal::Other(signal), Some(command)) if !self.engine.is_shutting_down() => {
                self.request(Request::Signal { services: vec![command], signal });
            }
            (OwnSignal::Other(signal), _) => self.on_own_signal(signal),
        }
    }

    /// A signal that is meant for the daemon itself, or for a command that is gone already.
    fn on_own_signal(&mut self, signal: Signal) {
        match OwnMeaning::of(signal) {
            OwnMeaning::ShutDown if !self.engine.is_shutting_down() => {
                tracing::info!(%signal, "shutting down");
                self.shut_down(None, Manner::Graceful);
            }
            OwnMeaning::ShutDown if matches!(signal, Signal::INT | Signal::TERM) => {
                tracing::warn!(%signal, "second signal: everything is killed in {HURRY:?}");
                self.shut_down(Some(HURRY), Manner::Graceful);
            }
            OwnMeaning::ReopenLogs => {
                tracing::info!("log files are opened again");
                self.logs.reopen();
            }
            OwnMeaning::NotSupported(what) => {
                tracing::warn!(%signal, "{what} is not supported yet: the signal is ignored");
            }
            OwnMeaning::ShutDown | OwnMeaning::Nothing => {}
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

    fn unit(&self, id: ServiceId) -> &Unit {
        &self.units[id]
    }

    fn unit_mut(&mut self, id: ServiceId) -> &mut Unit {
        &mut self.units[id]
    }

    /// Where the process is that the service is now.
    fn present_unit(&self, id: ServiceId) -> &Unit {
        self.unit(self.engine.service(id).unit())
    }

    /// Who has the invocation of this unit now: the service or its companion.
    fn holder(&self, unit: ServiceId) -> &Service {
        let execution = self.unit(unit).execution.as_ref();
        let holder = execution.and_then(|execution| self.engine.live(execution.invocation));
        self.engine.service(holder.unwrap_or(unit))
    }

    /// Of a service or its companion.
    fn config(&self, id: ServiceId) -> &ServiceConfig {
        &self.config.services[id.service().index()]
    }

    fn name(&self, id: ServiceId) -> &str {
        &self.config(id).spec.name
    }
}
