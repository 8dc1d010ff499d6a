//! The one place that reads the engine's clock, and the wall clock beside it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use supervisor_engine::Moment;

/// Now, on the clock that the engine counts by (`CLOCK_MONOTONIC`).
pub(crate) fn now() -> Moment {
    // The clock exists on every Linux; zero would merely fire timers late.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    Moment::new(time)
}

/// Both clocks at one moment, to show engine time to people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    moment: Moment,
    unix: Duration,
}

impl Wall {
    /// Reads both clocks.
    pub(crate) fn now() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { moment: now(), unix }
    }

    /// Unix time of this reading in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        millis(self.unix)
    }

    /// Unix time in milliseconds of a moment before or after this reading.
    pub(crate) fn at_ms(&self, moment: Moment) -> u64 {
        let unix = if moment >= self.moment {
            self.unix + (moment - self.moment)
        } else {
            self.unix.saturating_sub(self.moment - moment)
        };
        millis(unix)
    }
}

/// Whole milliseconds, `u64::MAX` at most.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_by_the_wall_clock_of_one_reading() {
        let moment = Moment::new(Duration::from_secs(100));
        let wall = Wall { moment, unix: Duration::from_secs(1_000) };
        assert_eq!(wall.now_ms(), 1_000_000);
        assert_eq!(wall.at_ms(moment), 1_000_000);
        assert_eq!(wall.at_ms(moment + Duration::from_millis(1_500)), 1_001_500);
        assert_eq!(wall.at_ms(Moment::new(Duration::from_secs(99))), 999_000);
    }

    #[test]
    fn a_clock_that_was_never_set_shows_the_begin_of_time() {
        let moment = Moment::new(Duration::from_secs(100));
        let wall = Wall { moment, unix: Duration::from_secs(1) };
        assert_eq!(wall.at_ms(Moment::new(Duration::from_secs(50))), 0);
    }

    #[test]
    fn milliseconds_have_an_end() {
        assert_eq!(millis(Duration::from_micros(1_999)), 1);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
