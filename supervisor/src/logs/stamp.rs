//! Time stamps of log lines: RFC 3339, UTC, milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Length of a stamp.
pub(super) const STAMP_LEN: usize = 24;

/// The clock as Unix time in milliseconds; 0 for a clock that stands before 1970.
pub(super) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `2026-11-24T13:11:36.123Z`. Years are written with four digits; those after 9999 lose the rest.
pub(super) fn rfc3339(unix_ms: u64) -> [u8; STAMP_LEN] {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let mut stamp = *b"0000-00-00T00:00:00.000Z";
    for (at, digits, value) in [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, ms / 3_600_000),
        (14, 2, ms / 60_000 % 60),
        (17, 2, ms / 1000 % 60),
        (20, 3, ms % 1000),
    ] {
        let mut rest = value;
        for digit in stamp.iter_mut().skip(at).take(digits).rev() {
            // A remainder of 10 always fits.
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    stamp
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar: Howard
/// Hinnant's `civil_from_days`, for which a year begins in March and its last day is the leap day.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(std::str::from_utf8(&rfc3339(ms)), Ok(expected));
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(0);
        for days in 1..200_000 {
            let (year, month, day) = civil(days);
            let follows = match before {
                (y, m, d) if d + 1 == day => (y, m) == (year, month) && day <= 31,
                (y, m, _) if m < 12 => (y, m + 1, 1) == (year, month, day),
                (y, _, 31) => (y + 1, 1, 1) == (year, month, day),
                _ => false,
            };
            assert!(follows, "{before:?} then {:?}", (year, month, day));
            before = (year, month, day);
        }
    }
}
