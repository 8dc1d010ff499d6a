//! What the engine asks the runtime to do.

use std::fmt;

use crate::id::{Invocation, ServiceId};
use crate::signal::Signal;

/// One thing to do. Every action names the invocation that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The service, or its companion: [`Service::unit`](crate::Service::unit) of the invocation,
    /// which stays the same as long as it lives.
    pub service: ServiceId,
    /// The invocation.
    pub invocation: Invocation,
    /// What to do with it.
    pub what: ActionKind,
}

/// The kinds of action, with the report that each must be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Start the main process: its command with this index, of which only a oneshot has several.
    /// Answer: `Spawned` or `SpawnFailed`; later `Exited`.
    Spawn(usize),
    /// Start a control process. Answer: `ControlFailed` or, when it ends, `Exited`.
    Run(ControlCommand),
    /// Send a signal. No answer; whom it does not reach has gone or is about to.
    Signal {
        /// Which signal. All but `KILL` and `CONT` are followed by `CONT`, for stopped processes.
        signal: Signal,
        /// Whom to send it to.
        whom: Whom,
    },
    /// Find out which process is the main one, now that the one that was started has ended. Answer:
    /// `MainFound`, `MainUnknown` or, if all of it ends meanwhile, `Emptied`.
    FindMain,
    /// Start this probe; one at a time. Answer: `ProbeSucceeded`, if ever, and of the liveness probe
    /// `ProbeFailed`, if ever.
    StartProbe(Probe),
    /// Stop this probe. No answer.
    StopProbe(Probe),
    /// The invocation is over: forget it. Reports about it are not expected any more.
    Release,
}

/// What is found out by trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Probe {
    /// Whether a service that starts is up.
    Readiness,
    /// Whether a service that is up still works.
    Liveness,
}

/// A command that runs on behalf of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControlCommand {
    /// The condition with this index: whether the service is started at all.
    Condition(usize),
    /// The command with this index of those before the main process.
    PreStart(usize),
    /// The command with this index of those after the main process has shown that it is there.
    PostStart(usize),
    /// The stop command with this index.
    Stop(usize),
    /// The reload command.
    Reload,
    /// The command with this index of those after all of the service is gone.
    PostStop(usize),
}

/// As people count: from 1.
impl fmt::Display for ControlCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition(index) => write!(f, "condition {}", index + 1),
            Self::PreStart(index) => write!(f, "pre-start {}", index + 1),
            Self::PostStart(index) => write!(f, "post-start {}", index + 1),
            Self::Stop(_) => f.write_str("stop command"),
            Self::Reload => f.write_str("reload command"),
            Self::PostStop(index) => write!(f, "post-stop {}", index + 1),
        }
    }
}

/// Which processes of an invocation get a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whom {
    /// The main process alone.
    Main,
    /// The control process and its children.
    Control,
    /// Everything that belongs to the service.
    All,
}
