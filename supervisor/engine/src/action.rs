//! What the engine asks the runtime to do.

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
    /// Start the main process. Answer: `Spawned` or `SpawnFailed`; later `Exited`.
    Spawn,
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
    /// The stop command with this index.
    Stop(usize),
    /// The reload command.
    Reload,
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
