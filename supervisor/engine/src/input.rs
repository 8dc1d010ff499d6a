//! What the engine is told: requests of people and reports of the operating system.

use std::time::Duration;

use crate::action::Probe;
use crate::exit::{Exit, SpawnError};
use crate::id::{ModeId, ServiceId};
use crate::membership::Scaling;
use crate::moment::Moment;
use crate::signal::Signal;

/// What somebody asks for. Each request becomes an [`Operation`](crate::Operation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Start all enabled services.
    Boot,
    /// Start these and what they need.
    Start(Vec<ServiceId>),
    /// Stop these and what cannot be without them.
    Stop {
        /// The services.
        services: Vec<ServiceId>,
        /// How.
        manner: Manner,
        /// Leave their dependents running.
        no_dependents: bool,
    },
    /// Stop these and start them again, with what cannot be without them.
    Restart {
        /// The services.
        services: Vec<ServiceId>,
        /// How they stop.
        manner: Manner,
        /// Leave their dependents running.
        no_dependents: bool,
    },
    /// Restart these one after the other, each when the one before it is up again, and leave their
    /// dependents running.
    Roll(Vec<ServiceId>),
    /// What becomes of the services that [`Engine::revise`](crate::Engine::revise) has added or
    /// that are there no more.
    Scale(Vec<(ServiceId, Scaling)>),
    /// Let these reload their configuration, as soon as they are up.
    Reload(Vec<ServiceId>),
    /// Send a signal to the main process of these.
    Signal {
        /// The services.
        services: Vec<ServiceId>,
        /// The signal.
        signal: Signal,
    },
    /// Forget failures, restart counts and start limits of these.
    Reset(Vec<ServiceId>),
    /// Stop everything in order and start nothing any more.
    ///
    /// Asked again with less time it tightens the running shutdown; more time changes nothing.
    Shutdown {
        /// When everything is killed that is not gone by then; `None` is never.
        within: Option<Duration>,
        /// How everything is stopped.
        manner: Manner,
    },
}

/// How a stop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manner {
    /// By the service's sequence.
    Graceful,
    /// By the service's sequence of this name; by its default one if it has none of this name.
    Mode(ModeId),
    /// `KILL` at once.
    Force,
}

/// News of one invocation. The runtime sends each with the invocation that it is about; the engine
/// drops what is not about the live one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// `exec` of the main process has succeeded.
    Spawned,
    /// The main process could not be started.
    SpawnFailed(SpawnError),
    /// A process has ended.
    Exited {
        /// Which one.
        process: Process,
        /// How.
        exit: Exit,
        /// Whether other processes of the service are still there, its control process aside.
        /// Counts once main is gone.
        remaining: bool,
    },
    /// The control process could not be started.
    ControlFailed(SpawnError),
    /// After an [`Exited`](Self::Exited) with `remaining`, unless there is a main process again: now
    /// the last other process is gone too, control process aside.
    Emptied,
    /// An authorised message of the notify protocol.
    Notified(Notification),
    /// The probe has succeeded as often as it should. Only the readiness probe ends by that.
    ProbeSucceeded(Probe),
    /// The liveness probe has failed too often and has ended.
    ProbeFailed,
    /// This invocation, which was without a main process that is known, has one. Not after its end.
    MainFound,
    /// Which process is the main one cannot be told, or not any more; `Emptied` will tell when the last one is gone.
    MainUnknown,
}

/// The processes of an invocation that the engine tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// The one that is the service.
    Main,
    /// The command that runs on its behalf; one at a time.
    Control,
}

/// What of a notify message (`sd_notify(3)`) the lifecycle depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line that is there or not")]
pub struct Notification {
    /// `READY=1`.
    pub ready: bool,
    /// `RELOADING=1`.
    pub reloading: bool,
    /// `MONOTONIC_USEC=`: when the reload that `reloading` tells of began.
    pub reload_began: Option<Moment>,
    /// `STOPPING=1`.
    pub stopping: bool,
    /// `EXTEND_TIMEOUT_USEC=`.
    pub extend: Option<Duration>,
    /// `WATCHDOG=1` or `WATCHDOG=trigger`.
    pub watchdog: Option<WatchdogMessage>,
    /// `WATCHDOG_USEC=`: the new period; zero turns the watchdog off.
    pub watchdog_period: Option<Duration>,
    /// `RESTART_RESET=1`.
    pub restart_reset: bool,
}

/// What a `WATCHDOG=` line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogMessage {
    /// `1`: alive.
    Alive,
    /// `trigger`: treat it as missed.
    Trigger,
}
