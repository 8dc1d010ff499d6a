//! How durations are written, in specs, in requests and on the command line.

use std::time::Duration;

use crate::quantity::{part, scaled};

/// What is wrong with a text that should be a duration, and how to write it right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {hint}")]
pub struct NotADuration {
    /// What is wrong.
    pub message: String,
    /// How to write it right.
    pub hint: String,
}

/// Nanoseconds in each unit of time.
const TIME_UNITS: [(&str, u64); 9] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// Far enough, and no clock overflows when it is added.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

/// Reads `10s`, `1h30m`, `1.5s`; `None` for `infinity`.
pub fn parse(text: &str) -> Result<Option<Duration>, NotADuration> {
    if text == "infinity" {
        return Ok(None);
    }
    let wrong = |hint: &str| NotADuration {
        message: format!("{text:?} is not a duration"),
        hint: hint.to_owned(),
    };
    let example = r#"write it like "500ms", "10s", "2min", "1h30m" or "infinity""#;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong(example));
    }
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let (number, unit, next) = part(rest);
        if unit.is_empty() && !number.is_empty() && next.is_empty() && number == text {
            return Err(wrong(&format!("a duration has a unit: write \"{text}s\"")));
        }
        let Some((_, scale)) = TIME_UNITS.iter().find(|(name, _)| *name == unit) else {
            let meant = long_unit(unit).map(|meant| format!("write \"{number}{meant}\""));
            return Err(wrong(meant.as_deref().unwrap_or(example)));
        };
        let value = scaled(number, *scale).ok_or_else(|| wrong(example))?;
        nanos = nanos.checked_add(value).ok_or_else(too_long)?;
        rest = next;
    }
    let duration = Duration::from_nanos(nanos);
    if duration > LONGEST { Err(too_long()) } else { Ok(Some(duration)) }
}

fn long_unit(unit: &str) -> Option<&'static str> {
    match unit.to_ascii_lowercase().as_str() {
        "sec" | "secs" | "second" | "seconds" => Some("s"),
        "mins" | "minute" | "minutes" => Some("min"),
        "hr" | "hrs" | "hour" | "hours" => Some("h"),
        "day" | "days" => Some("d"),
        "msec" | "millis" | "millisecond" | "milliseconds" => Some("ms"),
        "usec" | "microsecond" | "microseconds" => Some("us"),
        _ => None,
    }
}

fn too_long() -> NotADuration {
    NotADuration {
        message: "the duration is longer than 100 years".to_owned(),
        hint: r#"for no limit write "infinity""#.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("2min", 120_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1.5s", 1_500),
            ("0s", 0),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Some(Duration::from_millis(millis))), "{text}");
        }
        assert_eq!(parse("infinity"), Ok(None));
    }

    #[test]
    fn a_wrong_duration_is_refused_with_a_right_one() {
        for (text, hint) in [
            ("10", "write \"10s\""),
            ("10sec", "write \"10s\""),
            ("ten", "write it like"),
            ("", "write it like"),
            ("-1s", "write it like"),
            ("1.s", "write it like"),
            ("1.2.3s", "write it like"),
            ("s", "write it like"),
            ("99999999999999999999s", "write it like"),
            ("40000d", "infinity"),
            ("5h5", "write it like"),
        ] {
            let bad = parse(text).expect_err(text);
            let found = bad.hint;
            assert!(found.contains(hint), "{text}: {found}");
        }
    }

    #[test]
    fn every_duration_reads_back() {
        for (hours, minutes, millis) in [(0, 0, 0), (999, 59, 59_999), (1, 0, 1), (0, 30, 7)] {
            let text = format!("{hours}h{minutes}min{millis}ms");
            let expected = hours * 3_600_000 + minutes * 60_000 + millis;
            assert_eq!(parse(&text), Ok(Some(Duration::from_millis(expected))), "{text}");
        }
    }
}
