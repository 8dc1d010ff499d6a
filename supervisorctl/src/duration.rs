//! Durations: read from the command line, written for people.

use std::time::Duration;

use supervisor_api::duration::{self, NotADuration};

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
            Self::AtMost(duration) if duration.subsec_nanos() % 1_000_000 == 0 => {
                format!("{}ms", duration.as_millis())
            }
            Self::AtMost(duration) => format!("{}ns", duration.as_nanos()),
        }
    }
}

/// Reads `500ms`, `10s`, `2min`, `1h30m` or `infinity`, as in the spec.
pub(crate) fn parse(text: &str) -> Result<Limit, NotADuration> {
    Ok(duration::parse(text)?.map_or(Limit::Forever, Limit::AtMost))
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
    fn limits_are_read_as_in_the_spec_and_passed_on() {
        for (text, wire) in [
            ("1h30m", "5400000ms"),
            ("1.5s", "1500ms"),
            ("5us", "5000ns"),
            ("0s", "0ms"),
            ("infinity", "infinity"),
        ] {
            let limit = parse(text).unwrap();
            assert_eq!(limit.to_wire(), wire);
            assert_eq!(parse(wire), Ok(limit));
        }
        assert!(parse("5").unwrap_err().to_string().ends_with("write \"5s\""));
    }

    #[test]
    fn durations_are_written_for_people() {
        let written = [0, 999, 1000, 1234, 59_999, 60_000, 123_456, 5_400_000].map(for_people);
        let expected = ["0ms", "999ms", "1.0s", "1.2s", "59.9s", "1min 0s", "2min 3s", "1h 30min"];
        assert_eq!(written, expected);
    }
}
