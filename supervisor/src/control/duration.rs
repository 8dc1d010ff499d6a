//! Durations as requests write them: `500ms`, `10s`, `2min`, `1h30m`, `infinity`.

use std::time::Duration;

/// Reads a duration; the inner `None` is `infinity`. `None`: it cannot be read. A number needs its
/// unit, one of `ms s m min h d`; several add up, each unit smaller than the one before it.
pub fn parse(text: &str) -> Option<Option<Duration>> {
    if text == "infinity" {
        return Some(None);
    }
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut bigger = u64::MAX;
    loop {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) =
            after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let unit_ms = unit_ms(unit).filter(|&unit_ms| unit_ms < bigger)?;
        total_ms = total_ms.checked_add(number.parse::<u64>().ok()?.checked_mul(unit_ms)?)?;
        bigger = unit_ms;
        rest = after;
        if rest.is_empty() {
            return Some(Some(Duration::from_millis(total_ms)));
        }
    }
}

/// What to write, for messages.
pub const HINT: &str = r#"a duration is written "500ms", "30s", "1h30m" or "infinity""#;

fn unit_ms(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_spec_allows() {
        for (text, ms) in [
            ("500ms", 500),
            ("0s", 0),
            ("10s", 10_000),
            ("2min", 120_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(parse(text), Some(Some(Duration::from_millis(ms))), "{text}");
        }
        assert_eq!(parse("infinity"), Some(None));
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "10",
            "s",
            "ms5",
            "-1s",
            "+1s",
            "1.5s",
            "10 s",
            "30s1h",
            "1s1s",
            "1x",
            "1S",
            "٣s",
            "99999999999999999999s",
            "18446744073709551615s",
            "Infinity",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
