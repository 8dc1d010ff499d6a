//! Durations: read from the command line, written for people.

use std::time::Duration;

/// How long to wait at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// `infinity`.
    Forever,
    /// This long.
    AtMost(Duration),
}

impl Limit {
    /// The duration, if there is an end.
    pub(crate) const fn duration(self) -> Option<Duration> {
        match self {
            Self::Forever => None,
            Self::AtMost(duration) => Some(duration),
        }
    }

    /// As the API wants it.
    pub(crate) fn to_wire(self) -> String {
        match self {
            Self::Forever => "infinity".into(),
            Self::AtMost(duration) => format!("{}ms", duration.as_millis()),
        }
    }
}

/// Reads `500ms`, `10s`, `2min`, `1h30m` or `infinity`, as in the spec.
pub(crate) fn parse(text: &str) -> Result<Limit, String> {
    if text == "infinity" {
        return Ok(Limit::Forever);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("a number needs a unit: \"{text}s\""));
    }
    let wrong = || "write it as \"500ms\", \"10s\", \"2min\", \"1h30m\" or \"infinity\"".to_owned();
    let (mut rest, mut total) = (text, Duration::ZERO);
    loop {
        let unit = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(unit);
        let next = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(next);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let milliseconds = match unit {
            "ms" => Some(number),
            "s" | "sec" => number.checked_mul(1000),
            "m" | "min" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            "d" => number.checked_mul(86_400_000),
            _ => None,
        };
        let part = Duration::from_millis(milliseconds.ok_or_else(wrong)?);
        total = total.checked_add(part).ok_or_else(wrong)?;
        if behind.is_empty() {
            return Ok(Limit::AtMost(total));
        }
        rest = behind;
    }
}

/// Milliseconds with as much detail as people need: `120ms`, `1.2s`, `2min 3s`, `1h 30min`.
pub(crate) fn for_people(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        60..3600 => format!("{}min {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_the_spec() {
        let read = |text| parse(text).unwrap().duration().map(|duration| duration.as_millis());
        assert_eq!(read("500ms"), Some(500));
        assert_eq!(read("10s"), Some(10_000));
        assert_eq!(read("2min"), Some(120_000));
        assert_eq!(read("1h30m"), Some(5_400_000));
        assert_eq!(read("0s"), Some(0));
        assert_eq!(read("infinity"), None);
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        assert_eq!(parse("5").unwrap_err(), "a number needs a unit: \"5s\"");
        for text in [
            "",
            "s",
            "5 s",
            "-1s",
            "1.5s",
            "5x",
            "5s5",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_for_people() {
        let written = [0, 999, 1000, 1234, 59_999, 60_000, 123_456, 5_400_000].map(for_people);
        let expected = ["0ms", "999ms", "1.0s", "1.2s", "59.9s", "1min 0s", "2min 3s", "1h 30min"];
        assert_eq!(written, expected);
    }
}
