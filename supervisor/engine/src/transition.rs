//! What observers may know: every change of a service, with its cause.

use std::time::Duration;

use crate::exit::{Ending, Exit};
use crate::id::{Invocation, ServiceId};
use crate::moment::Moment;
use crate::state::{FailReason, Status, Step, StopCause, StopPhase};

/// A change of one service. `from` and `to` are equal when only the step of a stop changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The service.
    pub service: ServiceId,
    /// Whether it is about the second process of a restart that overlaps: the new one until it is
    /// up, the old one from then on. The service itself is up all the while.
    pub companion: bool,
    /// The invocation that it is about, if there is one.
    pub invocation: Option<Invocation>,
    /// Before.
    pub from: Status,
    /// After.
    pub to: Status,
    /// When.
    pub at: Moment,
    /// Why.
    pub cause: Cause,
    /// The invocation that this change ended.
    pub ended: Option<Box<Run>>,
}

/// Why a service changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// It is to be started.
    Requested,
    /// It is started again by itself.
    Restart,
    /// What it waited for is there.
    DependenciesUp,
    /// Its process was started.
    Spawned,
    /// It has said `READY=1`.
    Ready,
    /// Its probe succeeded.
    Probed,
    /// It has stayed alive for its settle time.
    Settled,
    /// Its process has done its work.
    Completed(Exit),
    /// It reads its configuration again.
    Reload,
    /// It has done so.
    Reloaded,
    /// It did not do so in time.
    ReloadTimeout,
    /// Its reload command failed.
    ReloadFailed,
    /// It is to go down.
    Stop(StopCause),
    /// It is to go down and come up again.
    Cycle,
    /// A new process has taken the place of the old one.
    Replaced,
    /// A step of its stop has begun.
    Step(Step),
    /// It ended, or has to.
    Ended(Ending),
    /// It gave up.
    Failed(FailReason),
}

/// An invocation that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which one.
    pub invocation: Invocation,
    /// When its spawn was asked for.
    pub started: Moment,
    /// When it came up, if it did.
    pub up: Option<Moment>,
    /// When all of it was gone.
    pub ended: Moment,
    /// How the main process ended, if it was ever there.
    pub exit: Option<Exit>,
    /// Why it ended; `None`: by request.
    pub ending: Option<Ending>,
    /// From the begin of its stop to the end, and its steps, if it was stopped.
    pub stop: Option<(Duration, Vec<StopPhase>)>,
}

impl Run {
    /// Whether `KILL`, or what comes instead of it, was needed.
    pub fn killed(&self) -> bool {
        self.stop.iter().flat_map(|(_, phases)| phases).any(|phase| match phase.step {
            Step::Final(_) | Step::Kill | Step::Stuck => true,
            Step::Sequence(..) | Step::Announced | Step::Abort(_) => false,
        })
    }
}
