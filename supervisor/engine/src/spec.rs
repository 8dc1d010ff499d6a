//! What the engine knows of a service: validated once, immutable after.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::commands::Commands;
use crate::exit::ExitSet;
use crate::id::{ModeId, ServiceId};
use crate::signal::Signal;
use crate::state::Step;

/// Description of one service. `None` as a timeout means that there is none.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct ServiceSpec {
    /// Unique name, for messages.
    pub name: String,
    /// What counts as up.
    pub kind: Kind,
    /// Whether [`Request::Boot`](crate::Request::Boot) starts it.
    pub enabled: bool,
    /// Whether it is up only once a readiness probe has succeeded.
    pub probed: bool,
    /// Whether a liveness probe watches it while it is up.
    pub liveness: bool,
    /// Whose end is the end of it.
    pub exit_type: ExitType,
    /// Whether it still counts as up after its main process has ended well.
    pub remain_after_exit: bool,
    /// What is run before, after and as its main process.
    pub commands: Commands,
    /// Longest time from the first command of a start to up.
    pub start_timeout: Option<Duration>,
    /// How long it must stay alive, once it has shown that it is there, before it counts as up. Zero
    /// is not at all. Not for a oneshot, which is up by its end.
    pub settle_time: Duration,
    /// Longest time that it may be up, across reloads.
    pub runtime_max: Option<Duration>,
    /// How it is stopped.
    pub stop: StopSpec,
    /// When it is started again.
    pub restart: RestartSpec,
    /// How often it must say `WATCHDOG=1`.
    pub watchdog: Option<WatchdogSpec>,
    /// How it reloads its configuration, if it can.
    pub reload: Option<ReloadSpec>,
    /// What is reloaded too, as far as it is up or coming up, when a reload of this one is asked for.
    pub reload_propagates_to: Vec<ServiceId>,
    /// What it needs of others.
    pub dependencies: Vec<Dependency>,
}

impl ServiceSpec {
    /// A service with the defaults that `spec` files have.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        let oneshot = kind == Kind::Oneshot;
        Self {
            name: name.into(),
            kind,
            enabled: true,
            probed: false,
            liveness: false,
            exit_type: ExitType::Main,
            remain_after_exit: oneshot,
            commands: Commands::default(),
            settle_time: Duration::ZERO,
            start_timeout: (!oneshot).then_some(Duration::from_secs(90)),
            runtime_max: None,
            stop: StopSpec::default(),
            restart: RestartSpec {
                policy: if oneshot { RestartPolicy::No } else { RestartPolicy::OnFailure },
                ..RestartSpec::default()
            },
            watchdog: None,
            reload: None,
            reload_propagates_to: Vec::new(),
            dependencies: Vec::new(),
        }
    }

    /// Whether it answers the signal of a reload.
    pub const fn reloads_by_handshake(&self) -> bool {
        matches!(self.reload, Some(ReloadSpec { how: ReloadHow::Handshake(_), .. }))
    }

    /// How long it must stay alive before it counts as up, if that makes a difference for its kind.
    pub(crate) fn settles_for(&self) -> Option<Duration> {
        let lives_on = match self.kind {
            Kind::Simple | Kind::Notify | Kind::Forking => true,
            Kind::Target | Kind::Oneshot => false,
        };
        Some(self.settle_time).filter(|time| lives_on && !time.is_zero())
    }
}

/// What a service is, and so what counts as up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing runs; up when all it requires is up.
    Target,
    /// Up once `exec` has succeeded.
    Simple,
    /// Up once it has said `READY=1`.
    Notify,
    /// Up once its process has ended well and left another one, which is the main process from then
    /// on.
    Forking,
    /// Up once its process has ended well.
    Oneshot,
}

/// Whose end is the end of a service (`ExitType=` of `systemd.service(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitType {
    /// That of its main process.
    Main,
    /// That of its last process; the main process decides whether it was a good one.
    All,
}

/// A relation to another service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// What kind of relation.
    pub kind: DependencyKind,
    /// The other service.
    pub on: ServiceId,
    /// How far the other one must be before this one starts; `None` is systemd's `Requires=` without
    /// `After=`. Counts only where the kind makes an order.
    pub until: Option<Until>,
}

/// How far a service must be for one that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Its process runs.
    Started,
    /// It is up.
    Ready,
}

/// The kinds of relation. `A` has the dependency, `B` is the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DependencyKind {
    /// `B` is started first; if it fails, `A` fails; `A` is stopped and restarted with `B`.
    Requires,
    /// `B` is started first and waited for, up or failed.
    Wants,
    /// As `Requires`, and `A` is stopped too when `B` dies by itself.
    BindsTo,
    /// `A` is stopped and restarted with `B`. No order.
    PartOf,
    /// Order only: if both are being started, `B` is up before `A` starts; stops run in reverse.
    After,
    /// Order only: the reverse of `After`.
    Before,
    /// `A` and `B` are never up together: who is started has the other stopped first.
    Conflicts,
    /// As `Wants`, and `B` is started again whenever it ends by itself while `A` is to be up.
    Upholds,
    /// `B` is started when `A` has failed.
    OnFailure,
    /// `B` is started when `A` has ended well.
    OnSuccess,
}

impl DependencyKind {
    /// Whether `A` cannot start without `B`.
    pub const fn is_need(self) -> bool {
        match self {
            Self::Requires | Self::BindsTo => true,
            Self::Wants
            | Self::PartOf
            | Self::After
            | Self::Before
            | Self::Conflicts
            | Self::Upholds
            | Self::OnFailure
            | Self::OnSuccess => false,
        }
    }
}

/// How long a step of a stop takes unless something else is said.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How a service is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopSpec {
    /// How long it is left alone first, if it is up, so that nobody sends it work any more.
    pub drain: Duration,
    /// The steps, in order; each ends when the service is gone or its time is up.
    pub steps: Vec<StopStep>,
    /// Other sequences, to be asked for by name.
    pub modes: BTreeMap<ModeId, Vec<StopStep>>,
    /// Whether `KILL` follows the last step.
    pub send_sigkill: bool,
    /// What comes instead of `KILL`, which follows only if that does not help either.
    pub final_signal: Option<Signal>,
    /// What takes the place of the first signal of the steps when the service is to come up again.
    pub restart_signal: Option<Signal>,
    /// Whether `HUP` follows each signal of the steps, for shells; not the restart signal.
    pub send_sighup: bool,
    /// Who gets the signals.
    pub kill_mode: KillMode,
}

impl StopSpec {
    /// The sequence of this mode; the default one if there is none.
    pub(crate) fn sequence(&self, mode: Option<ModeId>) -> &[StopStep] {
        mode.and_then(|mode| self.modes.get(&mode)).unwrap_or(&self.steps)
    }

    /// How long a service that ends without having been signalled by a step may take: as after
    /// the last signal, or, where none is sent, as in the last step.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let signal = self.steps.iter().rev().find(|step| match step.how {
            StopHow::Signal(_) => true,
            StopHow::Command(_) | StopHow::Sleep => false,
        });
        signal.or(self.steps.last()).map_or(Some(Duration::ZERO), |step| step.timeout)
    }

    /// How long each command after the stop may take: as long as the service itself, but one that
    /// is killed without being asked has commands that need some time all the same.
    pub(crate) fn command_patience(&self) -> Option<Duration> {
        self.patience().map(|time| if time.is_zero() { STOP_TIMEOUT } else { time })
    }

    /// Whether `HUP` follows: after a signal of the steps other than `HUP` and `KILL`, unless the
    /// restart signal has taken its place.
    pub(crate) fn hangs_up(&self, mode: Option<ModeId>, step: Step) -> bool {
        let Step::Sequence(place, StopHow::Signal(signal)) = step else { return false };
        let own =
            self.sequence(mode).get(place).map(|step| step.how) == Some(StopHow::Signal(signal));
        self.send_sighup && own && ![Signal::HUP, Signal::KILL].contains(&signal)
    }
}

impl Default for StopSpec {
    fn default() -> Self {
        Self {
            drain: Duration::ZERO,
            steps: vec![StopStep {
                how: StopHow::Signal(Signal::TERM),
                timeout: Some(STOP_TIMEOUT),
                wait: true,
            }],
            modes: BTreeMap::new(),
            send_sigkill: true,
            final_signal: None,
            restart_signal: None,
            send_sighup: false,
            kill_mode: KillMode::Group,
        }
    }
}

/// One step of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopStep {
    /// What is done.
    pub how: StopHow,
    /// How long the service may then take to be gone.
    pub timeout: Option<Duration>,
    /// Whether a command that ended well is followed by waiting for the service to be gone, until
    /// the time is up. `false`: the next step begins at once, as systemd does.
    pub wait: bool,
}

/// What a step of a stop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopHow {
    /// Runs the stop command with this index in the service's list.
    Command(usize),
    /// Sends a signal.
    Signal(Signal),
    /// Leaves the service alone for the step's time.
    Sleep,
}

/// Who gets the signals of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillMode {
    /// Every process of the service.
    Group,
    /// The main process; `KILL` goes to all.
    Mixed,
    /// The main process alone; what else runs is left running.
    Process,
}

/// When a service is started again after it ended by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct RestartSpec {
    /// Which endings call for a restart.
    pub policy: RestartPolicy,
    /// Delay before the first restart in a row.
    pub delay: Duration,
    /// Longest delay.
    pub max_delay: Duration,
    /// What each further delay is multiplied with.
    pub factor: f64,
    /// Share by which a delay is randomly longer or shorter, 0 to 1.
    pub jitter: f64,
    /// Up this long: the count of restarts in a row starts over.
    pub reset: Duration,
    /// Starts allowed within `limit_interval`; 0 is no limit.
    pub limit_burst: u32,
    /// Length of the window for `limit_burst`.
    pub limit_interval: Duration,
    /// Exits that count as clean besides status 0.
    pub success_exit: ExitSet,
    /// Exits that are never followed by a restart.
    pub prevent_exit: ExitSet,
    /// Exits that are always followed by a restart.
    pub force_exit: ExitSet,
    /// How it is done.
    pub mode: RestartMode,
}

impl Default for RestartSpec {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::OnFailure,
            delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(30),
            factor: 2.0,
            jitter: 0.1,
            reset: Duration::from_mins(1),
            limit_burst: 10,
            limit_interval: Duration::from_mins(1),
            success_exit: ExitSet::default(),
            prevent_exit: ExitSet::default(),
            force_exit: ExitSet::default(),
            mode: RestartMode::Normal,
        }
    }
}

/// Which endings call for a restart (`Restart=` of `systemd.service(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// None.
    No,
    /// All.
    Always,
    /// Clean ones.
    OnSuccess,
    /// All but clean ones.
    OnFailure,
    /// Unclean signals and timeouts.
    OnAbnormal,
    /// Unclean signals.
    OnAbort,
    /// A missed watchdog.
    OnWatchdog,
}

/// How a restart goes (`RestartMode=` of `systemd.service(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartMode {
    /// The service is down in between, and its dependents see that.
    Normal,
    /// Its dependents see nothing of a restart by its policy: what is bound to it stays up, and what
    /// waits for it goes on waiting.
    Direct,
    /// As `Normal`; on request the new one starts first.
    Overlap,
}

/// How a service must show that it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchdogSpec {
    /// Longest time between two `WATCHDOG=1`.
    pub timeout: Duration,
    /// What it gets when it missed one.
    pub signal: Signal,
    /// How long it may then take to die before `KILL`.
    pub abort_timeout: Option<Duration>,
}

/// How a service is made to reload its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReloadSpec {
    /// What is done.
    pub how: ReloadHow,
    /// Longest time that a reload may take.
    pub timeout: Option<Duration>,
}

/// What a reload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadHow {
    /// Sends a signal to the main process; done when sent.
    Signal(Signal),
    /// Sends a signal to the main process; done when it has said `RELOADING=1`, with a
    /// `MONOTONIC_USEC=` that is not earlier than the request, and then `READY=1`
    /// (`Type=notify-reload` of `systemd.service(5)`).
    Handshake(Signal),
    /// Runs the reload command; done when it has ended.
    Command,
}
