//! One service: its spec, what is wanted of it, what it is doing, and what it has gone through.

use std::collections::VecDeque;

use crate::exit::Exit;
use crate::id::OperationId;
use crate::input::Manner;
use crate::moment::Moment;
use crate::spec::{KillMode, ServiceSpec};
use crate::standing::Tally;
use crate::state::{State, StopCause};

/// A service as the engine knows it. Read-only for everybody else.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) spec: ServiceSpec,
    pub(crate) goal: Goal,
    pub(crate) state: State,
    pub(crate) since: Moment,
    /// Restarts in a row.
    pub(crate) attempt: u32,
    /// Automatic restarts since the start of the daemon or the last reset.
    pub(crate) restarts: u64,
    /// Starts within the window of the start limit.
    pub(crate) starts: VecDeque<Moment>,
    pub(crate) last_exit: Option<(Exit, Moment)>,
    /// Operations that wait for this service.
    pub(crate) operations: Vec<OperationId>,
    /// The neighbours that it has to wait for.
    pub(crate) tally: Tally,
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
    pub(crate) fn new(spec: ServiceSpec) -> Self {
        let cause = StopCause::NeverStarted;
        Self {
            spec,
            goal: Goal::Down { cause, manner: Manner::Graceful },
            state: State::Stopped(cause),
            since: Moment::default(),
            attempt: 0,
            restarts: 0,
            starts: VecDeque::new(),
            last_exit: None,
            operations: Vec::new(),
            tally: Tally::default(),
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

    /// Whether it is to go down, for good or to come up again.
    pub(crate) fn goes_down(&self) -> bool {
        self.goal != Goal::Up
    }

    /// Whether the end of its main process is the end of it.
    pub(crate) fn main_only(&self) -> bool {
        self.spec.stop.kill_mode == KillMode::Process
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

    /// Forgets what earlier failures led to.
    pub(crate) fn forgive(&mut self) {
        self.attempt = 0;
        self.starts.clear();
    }
}
