//! One service: its spec, what is wanted of it, what it is doing, and what it has gone through.

use std::collections::VecDeque;

use crate::exit::Exit;
use crate::id::{OperationId, ServiceId};
use crate::input::Manner;
use crate::main_process::Main;
use crate::moment::Moment;
use crate::restart;
use crate::spec::{KillMode, RestartMode, ServiceSpec, StopHow};
use crate::standing::Tally;
use crate::state::{Backoff, FailReason, State, Step, StopCause};
use crate::trigger::Trigger;

/// A service as the engine knows it. Read-only for everybody else.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) spec: ServiceSpec,
    pub(crate) goal: Goal,
    /// How it goes down if it is to come up again.
    pub(crate) cycle_manner: Manner,
    pub(crate) state: State,
    pub(crate) since: Moment,
    /// Restarts in a row.
    pub(crate) attempt: u32,
    /// Automatic restarts since the start of the daemon or the last reset, which may be the service's
    /// own.
    pub(crate) restarts: u64,
    /// Starts within the window of the start limit.
    pub(crate) starts: VecDeque<Moment>,
    pub(crate) last_exit: Option<(Exit, Moment)>,
    /// Operations that wait for this service.
    pub(crate) operations: Vec<OperationId>,
    /// The neighbours that it has to wait for.
    pub(crate) tally: Tally,
    /// What its present start is due to, if that is the end of another service.
    pub(crate) trigger: Option<Trigger>,
    /// Where the runtime has the processes of its invocation.
    pub(crate) unit: ServiceId,
    /// Whether its companion has processes that can still be ended.
    pub(crate) accompanied: bool,
}

/// What is wanted of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Goal {
    /// To be down.
    Down {
        /// Why.
        cause: StopCause,
        /// How.
        manner: Manner,
    },
    /// To go down, if it is live, and then to be up.
    Cycle,
    /// To be up.
    Up,
}

impl Service {
    /// One that was never started; whom it waits for has to be counted.
    pub(crate) fn new(id: ServiceId, spec: ServiceSpec) -> Self {
        let cause = StopCause::NeverStarted;
        Self {
            spec,
            goal: Goal::Down { cause, manner: Manner::Graceful },
            cycle_manner: Manner::Graceful,
            state: State::Stopped(cause),
            since: Moment::default(),
            attempt: 0,
            restarts: 0,
            starts: VecDeque::new(),
            last_exit: None,
            operations: Vec::new(),
            tally: Tally::default(),
            trigger: None,
            unit: id,
            accompanied: false,
        }
    }

    /// Its spec.
    pub const fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    /// What is wanted of it.
    pub const fn goal(&self) -> Goal {
        self.goal
    }

    /// How it goes down, if it is to.
    pub const fn manner(&self) -> Manner {
        match self.goal {
            Goal::Down { manner, .. } => manner,
            Goal::Cycle => self.cycle_manner,
            Goal::Up => Manner::Graceful,
        }
    }

    /// What it is doing.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Since when it has had its status.
    pub const fn since(&self) -> Moment {
        self.since
    }

    /// Restarts in a row. They start over once it was up long enough, at the next one.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Automatic restarts since the start of the daemon or the last reset.
    pub const fn restarts(&self) -> u64 {
        self.restarts
    }

    /// How its last main process ended, and when.
    pub const fn last_exit(&self) -> Option<(Exit, Moment)> {
        self.last_exit
    }

    /// Where the runtime has the processes of its invocation: its own place or its companion's.
    /// Invocations keep their place when the two change theirs.
    pub const fn unit(&self) -> ServiceId {
        self.unit
    }

    /// Whether its main process has ended well if it has ended like this.
    pub fn counts_as_clean(&self, exit: Exit) -> bool {
        restart::is_clean(exit, self.spec.kind, &self.spec.restart)
    }

    /// The end of another service that its present or last start is due to.
    pub const fn trigger(&self) -> Option<&Trigger> {
        self.trigger.as_ref()
    }

    /// Whether it is being restarted in a way that its dependents are not to see.
    pub(crate) fn restarts_unseen(&self) -> bool {
        let ended =
            matches!(&self.state, State::Backoff(Backoff { reason: FailReason::Ended(_), .. }));
        ended && self.spec.restart.mode == RestartMode::Direct
    }

    /// Whether it is to go down, for good or to come up again.
    pub(crate) fn goes_down(&self) -> bool {
        self.goal != Goal::Up
    }

    /// Whether what it holds is to end so that another can take its place.
    pub(crate) fn is_followed(&self) -> bool {
        match self.goal {
            Goal::Cycle => true,
            Goal::Down { cause, .. } => cause == StopCause::Replaced,
            Goal::Up => false,
        }
    }

    /// Whether a stop is about its main process alone. One that nobody knows may be any of them.
    pub(crate) fn main_only(&self, main: Main) -> bool {
        self.spec.stop.kill_mode == KillMode::Process && main != Main::Unknown
    }

    /// Counts a start; `false` if it is one too many for the window.
    pub(crate) fn admit_start(&mut self, now: Moment) -> bool {
        let spec = &self.spec.restart;
        if spec.limit_burst == 0 {
            return true;
        }
        while self.starts.front().is_some_and(|start| now - *start >= spec.limit_interval) {
            self.starts.pop_front();
        }
        let admitted = self.starts.len() < spec.limit_burst as usize;
        if admitted {
            self.starts.push_back(now);
        }
        admitted
    }

    /// `RESTART_RESET=1`: its restarts are counted anew. As in systemd this counts while it runs and
    /// while a stop command is at work, and the start limit does not care.
    pub(crate) fn reset_restarts(&mut self) {
        let counts = match &self.state {
            State::Running(_) => true,
            State::Stopping(stopping) => {
                matches!(stopping.step, Step::Sequence(_, StopHow::Command(_)))
            }
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Reloading(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => false,
        };
        if counts {
            self.attempt = 0;
            self.restarts = 0;
        }
    }

    /// Forgets what earlier failures led to.
    pub(crate) fn forgive(&mut self) {
        self.trigger = None;
        self.attempt = 0;
        self.starts.clear();
    }
}
