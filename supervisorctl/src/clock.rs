//! Points in time as people and Supervisor's users read them: in local time.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time zone to show times in.
#[derive(Clone, Debug)]
pub(crate) struct Clock(TimeZone);

impl Clock {
    /// Local time as tzset(3) finds it, for this value of `TZ`. Whatever cannot be read is UTC,
    /// which is what a container without zone files has.
    pub(crate) fn local(tz: Option<&str>) -> Self {
        let zone = match tz.map(|tz| tz.strip_prefix(':').unwrap_or(tz)) {
            None => from_file(Path::new("/etc/localtime")),
            Some("") => None,
            // An absolute path stays as it is.
            Some(name) => from_file(&Path::new("/usr/share/zoneinfo").join(name))
                .or_else(|| TimeZone::posix(name).ok()),
        };
        Self(zone.unwrap_or(TimeZone::UTC))
    }

    /// `Nov 21 08:01 AM`, Supervisor's form.
    pub(crate) fn date(&self, unix_ms: u64) -> String {
        self.format("%b %d %I:%M %p", unix_ms)
    }

    /// `2026-11-21 08:01:02.345`.
    pub(crate) fn stamp(&self, unix_ms: u64) -> String {
        self.format("%Y-%m-%d %H:%M:%S%.3f", unix_ms)
    }

    fn format(&self, form: &str, unix_ms: u64) -> String {
        // A time beyond the year 9999 is nonsense, but no reason to fail.
        let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        time.unwrap_or(Timestamp::MAX).to_zoned_datetime(self.0.clone()).strftime(form).to_string()
    }
}

/// A span of time as Python writes it: `0:00:06`, `1 day, 7:18:14`, `5 days, 7:18:14`.
pub(crate) fn uptime(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let time = format!("{}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match seconds / 86_400 {
        0 => time,
        1 => format!("1 day, {time}"),
        days => format!("{days} days, {time}"),
    }
}

fn from_file(path: &Path) -> Option<TimeZone> {
    TimeZone::tzif("local", &std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_python_does() {
        let spans = [0, 6_999, 59_000, 3_600_000, 86_399_999, 86_400_000, 458_294_000].map(uptime);
        assert_eq!(
            spans,
            [
                "0:00:00",
                "0:00:06",
                "0:00:59",
                "1:00:00",
                "23:59:59",
                "1 day, 0:00:00",
                "5 days, 7:18:14"
            ]
        );
    }

    #[test]
    fn times_are_local() {
        const NOV: u64 = 1_763_712_062_345;
        let utc = Clock::local(Some(""));
        assert_eq!(utc.date(NOV), "Nov 21 08:01 AM");
        assert_eq!(utc.stamp(NOV), "2025-11-21 08:01:02.345");
        let new_york = Clock::local(Some("EST5EDT,M3.2.0,M11.1.0"));
        assert_eq!(new_york.date(NOV), "Nov 21 03:01 AM");
        assert_eq!(new_york.date(1_751_371_200_000), "Jul 01 08:00 AM");
        assert_eq!(Clock::local(Some("No/Such/Zone")).date(NOV), "Nov 21 08:01 AM");
        assert_eq!(utc.date(u64::MAX), "Dec 30 10:00 PM");
    }
}
