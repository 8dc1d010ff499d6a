//! The event stream and log lines, both NDJSON.

use serde::{Deserialize, Serialize};

use crate::service::State;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up from 1 with each start of the daemon, without gaps.
    pub rev: u64,
    /// Unix time in milliseconds.
    pub time_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// A service changed its state.
    Transition {
        /// The service.
        service: String,
        /// Whether it is about the second process of a restart that overlaps (`restart-mode`): the
        /// new one until it is up, the old one from then on. The service is up all the while.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        companion: bool,
        /// The invocation that it is about, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invocation: Option<u64>,
        /// State before.
        from: State,
        /// State after.
        to: State,
        /// For people, one sentence: why.
        cause: String,
    },
    /// A service said something about itself by `STATUS=`.
    Status {
        /// The service.
        service: String,
        /// What it said; empty: nothing any more.
        text: String,
    },
    /// There is a service that was not there before. It is stopped, and may be started next.
    ServiceAdded {
        /// The service.
        service: String,
    },
    /// A service is gone for good.
    ServiceRemoved {
        /// The service.
        service: String,
    },
    /// An operation has begun or ended.
    Operation {
        /// Its number.
        id: u64,
        /// What it does.
        verb: String,
        /// Whether it has ended.
        done: bool,
        /// Whether it ended well.
        ok: bool,
    },
}

/// Which output of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The service.
    pub service: String,
    /// Which output.
    pub stream: Stream,
    /// Unix time in milliseconds at which the daemon read it.
    pub time_ms: u64,
    /// The line without its newline; bytes that are not UTF-8 are replaced.
    pub line: String,
}
