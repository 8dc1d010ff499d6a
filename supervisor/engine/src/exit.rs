//! How processes and invocations end.

use std::fmt;

use crate::action::ControlCommand;
use crate::main_process::Main;
use crate::signal::Signal;

/// How one process ended (`waitid(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// It called `exit` with this status, 0 to 255.
    Code(u8),
    /// A signal ended it.
    Signal {
        /// Which one.
        signal: Signal,
        /// Whether it left a core dump.
        core: bool,
    },
    /// It ended, but how could not be learnt: it was not our child.
    Unknown,
}

impl Exit {
    /// The exit status that a shell would show: the code, or 128 + n for signal n.
    pub fn shell_status(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal { signal, .. } => u8::try_from(128 + signal.number()).unwrap_or(u8::MAX),
            Self::Unknown => 1,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal { signal, core: false } => write!(f, "killed by SIG{signal}"),
            Self::Signal { signal, core: true } => write!(f, "killed by SIG{signal} (core dumped)"),
            Self::Unknown => f.write_str("ended with unknown status"),
        }
    }
}

/// A process that could not be started: the step that failed and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpawnError {
    /// The step of the set-up: `clone`, `chdir`, `setuid`, `exec`, …
    pub step: &'static str,
    /// `errno(3)` of that step.
    pub errno: i32,
    /// The whole as a sentence: `exec: No such file or directory: /x`.
    pub message: String,
}

impl SpawnError {
    /// Whether the system was short of something (`errno(3)`: `EAGAIN`, `ENOMEM`, `ENFILE`,
    /// `EMFILE`), so that the same start may well work later.
    pub const fn is_scarcity(&self) -> bool {
        matches!(self.errno, 11 | 12 | 23 | 24)
    }
}

/// Why an invocation is over, or has to end, other than by request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The main process ended by itself.
    Exited(Exit),
    /// The main process could not be started.
    SpawnFailed(SpawnError),
    /// It was not up within `start-timeout`.
    StartTimeout,
    /// It was up for longer than `runtime-max`.
    RuntimeMax,
    /// `WATCHDOG=1` did not come in time, or the service asked for it by `WATCHDOG=trigger`.
    Watchdog,
    /// The main process of a `notify` service ended well without having said `READY=1`.
    Protocol,
    /// The main process ended well, like this, before its settle time was over.
    Unsettled(Exit),
    /// A command of its start ended badly.
    CommandFailed(ControlCommand, Exit),
    /// A command of its start could not be started.
    CommandNotStarted(ControlCommand, SpawnError),
    /// It is not to be started now: the condition with this index ended with this code.
    Unmet {
        /// Which one.
        condition: usize,
        /// Its exit code, not 0.
        code: u8,
    },
    /// A service that forks left no process that stays.
    NothingLeft,
    /// The last process of a service ended of which it is not known which one was the main process.
    Emptied,
    /// Its liveness probe failed too often.
    Unhealthy,
}

impl Ending {
    /// Of a service that ended by itself while it was up.
    pub(crate) fn of(main: Main) -> Self {
        match main {
            Main::Unknown => Self::Emptied,
            Main::Absent | Main::Alive | Main::Gone(_) => {
                Self::Exited(main.exit().unwrap_or(Exit::Unknown))
            }
        }
    }

    /// How the main process ended, if it did so by itself and it is known which one that was.
    pub(crate) const fn exit(&self) -> Option<Exit> {
        match self {
            Self::Exited(exit) | Self::Unsettled(exit) => Some(*exit),
            Self::SpawnFailed(_)
            | Self::StartTimeout
            | Self::RuntimeMax
            | Self::Watchdog
            | Self::Protocol
            | Self::CommandFailed(..)
            | Self::CommandNotStarted(..)
            | Self::Unmet { .. }
            | Self::NothingLeft
            | Self::Emptied
            | Self::Unhealthy => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(exit) => exit.fmt(f),
            Self::SpawnFailed(error) => f.write_str(&error.message),
            Self::StartTimeout => f.write_str("not ready within its start timeout"),
            Self::RuntimeMax => f.write_str("up for longer than its runtime-max"),
            Self::Watchdog => f.write_str("watchdog timeout"),
            Self::Protocol => f.write_str("ended before it said READY=1"),
            Self::Unsettled(exit) => write!(f, "ended before its settle time was over: {exit}"),
            Self::CommandFailed(command, exit) => write!(f, "{command}: {exit}"),
            Self::CommandNotStarted(command, error) => write!(f, "{command}: {}", error.message),
            Self::Unmet { condition, code } => {
                let condition = ControlCommand::Condition(*condition);
                write!(f, "{condition} is not met: {}", Exit::Code(*code))
            }
            Self::NothingLeft => f.write_str("its processes were gone before it was up"),
            Self::Emptied => f.write_str("its last process has ended"),
            Self::Unhealthy => f.write_str("its liveness probe failed"),
        }
    }
}

/// A set of exit codes and signals, as `success-exit` and its kin list them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitSet {
    /// Exit codes.
    pub codes: Vec<u8>,
    /// Signals, with or without core dump.
    pub signals: Vec<Signal>,
}

impl ExitSet {
    /// Whether the set lists this exit.
    pub fn contains(&self, exit: Exit) -> bool {
        match exit {
            Exit::Code(code) => self.codes.contains(&code),
            Exit::Signal { signal, .. } => self.signals.contains(&signal),
            Exit::Unknown => false,
        }
    }
}
