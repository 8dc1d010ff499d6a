//! What observers may know: every change of a service, with its cause.

use std::time::Duration;

use crate::budget::Allotted;
use crate::exit::{Ending, Exit};
use crate::id::{Invocation, ServiceId};
use crate::moment::Moment;
use crate::state::{FailReason, StartPhase, Status, Step, StopCause, StopPhase};

/// A change of one service. `from` and `to` are equal when only the phase of a start or the step of
/// a stop changed.
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
    /// It is to be started because this one has ended.
    TriggeredBy(ServiceId),
    /// It is to be started because this one upholds it.
    UpheldBy(ServiceId),
    /// What it waited for is there.
    DependenciesUp,
    /// A phase of its start has begun.
    Phase(StartPhase),
    /// Its process was started.
    Spawned,
    /// It has said `READY=1`.
    Ready,
    /// Its probe succeeded.
    Probed,
    /// Its commands after the start have ended well.
    PostStarted,
    /// It has forked, and the process that did so has ended well.
    Forked,
    /// A process of it is its main process from now on.
    MainFound,
    /// It is up without anybody knowing which of its processes is the main one.
    MainUnknown,
    /// Its main process ended like this, and it goes on without.
    MainGone(Exit),
    /// Its liveness probe has found out that it works.
    Healthy,
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
    /// How the main process ended, if it was ever there: the last one of a oneshot with several.
    pub exit: Option<Exit>,
    /// Why it ended; `None`: by request.
    pub ending: Option<Ending>,
    /// From the begin of its stop to the end, and its steps, if it was stopped.
    pub stop: Option<(Duration, Vec<StopPhase>)>,
    /// What the time limit of a shutdown meant for the stop.
    pub allotted: Option<Allotted>,
}

impl Run {
    /// Whether `KILL`, or what comes instead of it, was needed.
    pub fn killed(&self) -> bool {
        self.stop.iter().flat_map(|(_, phases)| phases).any(|phase| match phase.step {
            Step::Final(_) | Step::Kill | Step::Stuck => true,
            Step::Drain
            | Step::Sequence(..)
            | Step::Announced
            | Step::Abort(_)
            | Step::PostStop(_) => false,
        })
    }
}
