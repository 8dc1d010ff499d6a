//! What is known of the main process of an invocation.

use crate::exit::Exit;

/// Where the main process of an invocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Main {
    /// It was never there: what comes before it has not ended, or it could not be started.
    Absent,
    /// It is there.
    Alive,
    /// The service has forked, and which of its processes is the main one cannot be told.
    Unknown,
    /// It is gone, and ended like this.
    Gone(Exit),
}

impl Main {
    /// Whether there is a process to signal and to wait for.
    pub const fn is_alive(self) -> bool {
        match self {
            Self::Alive => true,
            Self::Absent | Self::Unknown | Self::Gone(_) => false,
        }
    }

    /// Whether a service that has not ended lives in its other processes.
    pub const fn is_survived(self) -> bool {
        match self {
            Self::Unknown | Self::Gone(_) => true,
            Self::Absent | Self::Alive => false,
        }
    }

    /// How it ended, if it was there and has.
    pub const fn exit(self) -> Option<Exit> {
        match self {
            Self::Gone(exit) => Some(exit),
            Self::Absent | Self::Alive | Self::Unknown => None,
        }
    }
}
