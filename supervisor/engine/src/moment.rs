//! Time as the engine sees it: passed in, never read.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time on the clock that the runtime drives (`CLOCK_MONOTONIC`, since its zero).
///
/// Unlike `std::time::Instant` it can be made from a number, so tests own the clock and a state
/// can be carried over a re-execution of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The moment that lies `since_zero` after the clock's zero.
    pub const fn new(since_zero: Duration) -> Self {
        Self(since_zero)
    }

    /// Time since the clock's zero.
    pub const fn since_zero(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `timeout` from here; `None`, never, when there is no timeout.
    pub fn after(self, timeout: Option<Duration>) -> Option<Self> {
        timeout.map(|timeout| self + timeout)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Saturates at the end of time, so that an absurd timeout is merely never reached.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}
