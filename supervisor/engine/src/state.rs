//! What a service is doing, with everything that is true only then.

use crate::budget::{Allotted, Share};
use crate::exit::{Ending, Exit};
use crate::id::{Invocation, ModeId, ServiceId};
use crate::main_process::Main;
use crate::moment::Moment;
use crate::signal::Signal;
use crate::spec::StopHow;

/// State of a service. Deadlines live in the variant: leaving a state cancels its timer because
/// the timer is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not running, and nothing will start it but a request or a dependent.
    Stopped(StopCause),
    /// To be started as soon as what it waits for allows.
    Waiting,
    /// Its process is there, or about to be, but it is not up yet.
    Starting(Starting),
    /// Up.
    Running(Running),
    /// Up, and reads its configuration again.
    Reloading(Reloading),
    /// On its way down.
    Stopping(Stopping),
    /// Ended, or could not be started, and is tried again at a moment.
    Backoff(Backoff),
    /// Ended well, not to be restarted.
    Exited(Exited),
    /// Gave up; needs a person.
    Failed(FailReason),
}

/// Data of [`State::Starting`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Starting {
    /// This execution.
    pub invocation: Invocation,
    /// When its spawn was asked for.
    pub since: Moment,
    /// When it has taken too long, commands and all; not counted while a process is being started,
    /// which cannot be stopped. While it settles: when it has done so.
    pub deadline: Option<Moment>,
    /// The watchdog period that it has asked for by `WATCHDOG_USEC=`; zero is none at all.
    pub watchdog: Option<std::time::Duration>,
    /// The watchdog, armed once the service has shown that it is there.
    pub armed: Option<Watchdog>,
    /// Which of its commands is the main process, or the next one to be.
    pub command: usize,
    /// Where its main process is. While others live without it (see [`Main::is_survived`]), it goes
    /// on.
    pub main: Main,
    /// Whether other processes are there; known while main is not.
    pub remaining: bool,
    /// What it waits for.
    pub phase: StartPhase,
}

/// What a starting service waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StartPhase {
    /// The condition with this index.
    Condition(usize),
    /// The command with this index of those before the main process.
    PreStart(usize),
    /// The news that its process was started, or not.
    Exec,
    /// That the process that forks the service has ended; until then that is its main process.
    Fork,
    /// The news which of its processes is the main one.
    MainPid,
    /// `READY=1`.
    Ready,
    /// Its readiness probe.
    Probe,
    /// The end of its process.
    Completion,
    /// The command with this index of those that follow once it has shown that it is there.
    PostStart(usize),
    /// That it has stayed alive for its settle time.
    Settle,
}

/// Data of [`State::Running`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Running {
    /// This execution; `None` for a target.
    pub invocation: Option<Invocation>,
    /// When its spawn was asked for.
    pub started: Moment,
    /// When it came up.
    pub up: Moment,
    /// Where its main process is. Without one, and not as a target, it lives in its other processes.
    pub main: Main,
    /// What its liveness probe has found out, if it has one.
    pub health: Option<Health>,
    /// The watchdog, if it is armed.
    pub watchdog: Option<Watchdog>,
    /// When it has been up for too long.
    pub expires: Option<Moment>,
}

/// What the liveness probe of a service has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Nothing yet.
    Unknown,
    /// It answers.
    Healthy,
    /// It does not answer any more: it is being stopped for that.
    Unhealthy,
}

/// An armed watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watchdog {
    /// Longest time between two signs of life.
    pub period: std::time::Duration,
    /// When the next must have come.
    pub deadline: Moment,
}

/// Data of [`State::Reloading`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reloading {
    /// What holds while it is up.
    pub running: Running,
    /// What the reload waits for.
    pub phase: ReloadPhase,
    /// When it has taken too long.
    pub deadline: Option<Moment>,
}

/// What a reload waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReloadPhase {
    /// The reload command; after it `READY=1` if the service has said `RELOADING=1` meanwhile. One
    /// that took too long is killed and stays until it is gone, without a deadline.
    Command {
        /// Whether it has said so.
        announced: bool,
    },
    /// `RELOADING=1` in answer to the signal.
    Signalled {
        /// When the reload was asked for: what began earlier is no answer.
        asked: Moment,
    },
    /// `READY=1`, after the service has said `RELOADING=1`.
    Announced,
}

/// Data of [`State::Stopping`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Stopping {
    /// This execution.
    pub invocation: Invocation,
    /// When its spawn was asked for.
    pub started: Moment,
    /// When it came up, if it did.
    pub up: Option<Moment>,
    /// When the stop began.
    pub since: Moment,
    /// Why it ends, if not by request. The first reason stays.
    pub ending: Option<Ending>,
    /// Where its main process is.
    pub main: Main,
    /// Whether other processes are there; known once main is not.
    pub remaining: bool,
    /// Whether a control process runs.
    pub control: bool,
    /// The stop command whose turn it is, as soon as the control process before it is gone.
    pub queued: Option<usize>,
    /// Whether stop commands are run: not for one that died uncleanly or was not up.
    pub commands: bool,
    /// The sequence that its steps are of; `None` is the default one.
    pub mode: Option<ModeId>,
    /// Whether the commands after it have had their turn, which they get once.
    pub cleaned: bool,
    /// The present step.
    pub step: Step,
    /// When that began.
    pub step_since: Moment,
    /// When it has taken too long.
    pub deadline: Option<Moment>,
    /// When it would have by the service's own times; later than the deadline where a shutdown has
    /// too little time.
    pub due: Option<Moment>,
    /// The part of the present step in the time of a shutdown.
    pub share: Option<Share>,
    /// What the time limit of a shutdown has meant so far.
    pub allotted: Option<Allotted>,
    /// The steps before it.
    pub trail: Vec<StopPhase>,
}

/// Where a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// It is left alone, so that nobody sends it work any more.
    Drain,
    /// This step of the service's sequence.
    Sequence(usize, StopHow),
    /// The service has said `STOPPING=1` and is left alone.
    Announced,
    /// It missed its watchdog and got the watchdog signal.
    Abort(Signal),
    /// It got the signal that comes instead of `KILL`.
    Final(Signal),
    /// It got `KILL`.
    Kill,
    /// It is gone; the command with this index of those after it.
    PostStop(usize),
    /// It is there after all that; nothing more is tried.
    Stuck,
}

/// A step of a stop that is over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StopPhase {
    /// Which step.
    pub step: Step,
    /// How long it took.
    pub took: std::time::Duration,
    /// How it ended.
    pub end: PhaseEnd,
}

/// How a step of a stop ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseEnd {
    /// The service is gone.
    Gone,
    /// Its time was up.
    Timeout,
    /// Its command ended well and the step does not wait (`wait = false`).
    Done,
    /// Its command ended badly.
    CommandFailed(Exit),
    /// Its command could not be started.
    CommandNotStarted(String),
    /// A request wanted `KILL` at once, or the shutdown had no more time for it.
    CutShort,
}

/// Data of [`State::Backoff`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backoff {
    /// When the next try begins.
    pub until: Moment,
    /// Why the last one came to nothing.
    pub reason: FailReason,
}

/// Data of [`State::Exited`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exited {
    /// How the main process ended.
    pub exit: Exit,
    /// What is left of a service that counts as up after its end (`remain-after-exit`).
    pub held: Option<Held>,
}

/// A service that counts as up although its main process has ended well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// The execution that made it so.
    pub invocation: Invocation,
    /// When its spawn was asked for.
    pub started: Moment,
    /// When it came up.
    pub up: Moment,
    /// Whether processes of it are still there.
    pub remaining: bool,
    /// Whether a control process runs: a reload command that is told to end.
    pub control: bool,
}

/// Why a service is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopCause {
    /// It was not started yet.
    NeverStarted,
    /// Somebody asked for it.
    Requested,
    /// It cannot be without this one, which was stopped.
    StoppedWith(ServiceId),
    /// It is bound to this one, which ended.
    BoundTo(ServiceId),
    /// The supervisor shuts down.
    Shutdown,
    /// Its failure was reset.
    Reset,
    /// A condition of its start is not met.
    Condition,
    /// This one is to be up, and the two cannot be up together.
    ConflictsWith(ServiceId),
    /// A new process has taken its place.
    Replaced,
    /// It is not one of the services any more.
    Removed,
}

/// Why a service has failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailReason {
    /// It ended, and its policy says no restart.
    Ended(Ending),
    /// More starts than allowed in too short a time.
    StartLimit,
    /// This one, which it requires, failed or is down.
    Dependency(ServiceId),
    /// This one, with which it cannot be up together, is still there after `KILL`.
    Conflict(ServiceId),
}

/// The public names of the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// See [`State::Stopped`].
    Stopped,
    /// See [`State::Waiting`].
    Waiting,
    /// See [`State::Starting`].
    Starting,
    /// See [`State::Running`].
    Running,
    /// See [`State::Reloading`].
    Reloading,
    /// See [`State::Stopping`].
    Stopping,
    /// See [`State::Backoff`].
    Backoff,
    /// See [`State::Exited`].
    Exited,
    /// See [`State::Failed`].
    Failed,
}

impl State {
    /// The public name.
    pub const fn status(&self) -> Status {
        match self {
            Self::Stopped(_) => Status::Stopped,
            Self::Waiting => Status::Waiting,
            Self::Starting(_) => Status::Starting,
            Self::Running(_) => Status::Running,
            Self::Reloading(_) => Status::Reloading,
            Self::Stopping(_) => Status::Stopping,
            Self::Backoff(_) => Status::Backoff,
            Self::Exited(_) => Status::Exited,
            Self::Failed(_) => Status::Failed,
        }
    }

    /// When something must happen if nothing else does.
    pub fn deadline(&self) -> Option<Moment> {
        match self {
            Self::Starting(starting) => starting.deadline(),
            Self::Running(running) => running.deadline(),
            Self::Reloading(reloading) => {
                reloading.deadline.into_iter().chain(reloading.running.deadline()).min()
            }
            Self::Stopping(stopping) => stopping.deadline,
            Self::Backoff(backoff) => Some(backoff.until),
            Self::Stopped(_) | Self::Waiting | Self::Exited(_) | Self::Failed(_) => None,
        }
    }

    /// The execution that is live, if one is.
    pub fn invocation(&self) -> Option<Invocation> {
        match self {
            Self::Starting(starting) => Some(starting.invocation),
            Self::Running(running) => running.invocation,
            Self::Reloading(reloading) => reloading.running.invocation,
            Self::Stopping(stopping) => Some(stopping.invocation),
            Self::Exited(exited) => exited.held.as_ref().map(|held| held.invocation),
            Self::Stopped(_) | Self::Waiting | Self::Backoff(_) | Self::Failed(_) => None,
        }
    }

    /// Whether what requires it may run.
    pub const fn is_up(&self) -> bool {
        match self {
            Self::Running(_) | Self::Reloading(_) => true,
            Self::Exited(exited) => exited.held.is_some(),
            Self::Stopped(_)
            | Self::Waiting
            | Self::Starting(_)
            | Self::Stopping(_)
            | Self::Backoff(_)
            | Self::Failed(_) => false,
        }
    }

    /// Where its main process is.
    pub const fn main(&self) -> Main {
        match self {
            Self::Starting(starting) => starting.main,
            Self::Running(running) | Self::Reloading(Reloading { running, .. }) => running.main,
            Self::Stopping(stopping) => stopping.main,
            Self::Stopped(_)
            | Self::Waiting
            | Self::Backoff(_)
            | Self::Exited(_)
            | Self::Failed(_) => Main::Absent,
        }
    }

    /// What its liveness probe has found out, if it is up, or on its way down because of that.
    pub fn health(&self) -> Option<Health> {
        match self {
            Self::Running(running) | Self::Reloading(Reloading { running, .. }) => running.health,
            Self::Stopping(stopping) => {
                (stopping.ending == Some(Ending::Unhealthy)).then_some(Health::Unhealthy)
            }
            Self::Stopped(_)
            | Self::Waiting
            | Self::Starting(_)
            | Self::Backoff(_)
            | Self::Exited(_)
            | Self::Failed(_) => None,
        }
    }

    /// Whether it has to be stopped before it is down: it is up, or has processes.
    pub const fn is_live(&self) -> bool {
        match self {
            Self::Starting(_) | Self::Stopping(_) => true,
            Self::Running(_) | Self::Reloading(_) | Self::Exited(_) => self.is_up(),
            Self::Stopped(_) | Self::Waiting | Self::Backoff(_) | Self::Failed(_) => false,
        }
    }

    /// Whether it is there after all that could be done to end it.
    pub fn is_stuck(&self) -> bool {
        matches!(self, Self::Stopping(stopping) if stopping.step == Step::Stuck)
    }

    /// Whether nothing will happen without a request.
    pub const fn is_at_rest(&self) -> bool {
        match self {
            Self::Stopped(_) | Self::Failed(_) => true,
            Self::Exited(_) => !self.is_up(),
            Self::Waiting
            | Self::Starting(_)
            | Self::Running(_)
            | Self::Reloading(_)
            | Self::Stopping(_)
            | Self::Backoff(_) => false,
        }
    }
}

impl Starting {
    /// When its time, or that of its watchdog, is over.
    fn deadline(&self) -> Option<Moment> {
        let armed = self.armed.map(|watchdog| watchdog.deadline);
        let limit = self.deadline.filter(|_| self.phase != StartPhase::Exec);
        armed.into_iter().chain(limit).min()
    }
}

impl Running {
    /// When its watchdog or its time is over, whichever comes first.
    fn deadline(&self) -> Option<Moment> {
        let watchdog = self.watchdog.map(|watchdog| watchdog.deadline);
        watchdog.into_iter().chain(self.expires).min()
    }
}

impl Stopping {
    /// Whether a step of this kind ends now: everything that it waits for is gone.
    pub const fn is_gone(&self, main_only: bool) -> bool {
        let others = self.remaining && !main_only;
        !self.main.is_alive() && !others && !self.control
    }
}
