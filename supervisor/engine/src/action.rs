//! What the engine asks the runtime to do.

use std::fmt;

use crate::id::{Invocation, ServiceId};
use crate::signal::Signal;

/// One thing to do. Every action names the invocation that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The service.
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
    /// Start the readiness probe. Answer: `ProbeSucceeded`, if ever.
    StartProbe,
    /// Stop the readiness probe. No answer.
    StopProbe,
    /// The invocation is over: forget it. Reports about it are not expected any more.
    Release,
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
