//! How durations, sizes, modes and names are written.

use std::time::Duration;

use supervisor_api::duration::{self, NotADuration};
use supervisor_api::quantity::{part, scaled};

/// What is wrong with a text, and how to write it right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Bad {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// `"10s"`, `"1h30m"`, `"1.5s"`; `None` for `"infinity"`.
pub(crate) fn duration(text: &str) -> Result<Option<Duration>, Bad> {
    duration::parse(text).map_err(|NotADuration { message, hint }| Bad::new(message).hint(hint))
}

/// `"64KiB"`, `"2GB"`.
pub(super) fn size(text: &str) -> Result<u64, Bad> {
    let wrong = || Bad::new(format!("{text:?} is not a size"));
    let example = r#"write it like "64KiB", "10MiB" or "2GB""#;
    let (number, unit, rest) = part(text.trim());
    if number.is_empty() || !rest.is_empty() {
        return Err(wrong().hint(example));
    }
    let Some((_, scale)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        let hint = match unit.to_ascii_uppercase().as_str() {
            "" => format!("a size has a unit: write \"{number}B\" or \"{number}KiB\""),
            letter @ ("K" | "M" | "G" | "T") => {
                format!("write \"{number}{letter}iB\" (1024) or \"{number}{letter}B\" (1000)")
            }
            _ => example.to_owned(),
        };
        return Err(wrong().hint(hint));
    };
    scaled(number, *scale).ok_or_else(|| wrong().hint(example))
}

/// A bare number of bytes as a size, in the largest unit that it is a multiple of.
pub(super) fn write_size(number: &str) -> String {
    let bytes: Option<u64> = number.replace('_', "").parse().ok().filter(|bytes| *bytes > 0);
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let whole = bytes.and_then(|bytes| {
        let (unit, scale) = units.into_iter().find(|(_, scale)| bytes % scale == 0)?;
        Some(format!("{}{unit}", bytes / scale))
    });
    whole.unwrap_or_else(|| format!("{number}B"))
}

/// Permission bits in octal, `"0644"`.
pub(super) fn mode(text: &str) -> Result<u32, Bad> {
    let octal = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = if octal { u32::from_str_radix(text, 8).ok() } else { None };
    mode.filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        Bad::new(format!("{text:?} is not a mode")).hint(r#"write it in octal, like "0644""#)
    })
}

/// Whether it can name a service, a group, a socket or an instance.
pub(super) fn name(text: &str) -> Result<(), Bad> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    if text.is_empty() {
        return Err(Bad::new("a name must not be empty").hint("write a name like `web`"));
    }
    if text.len() > 128 {
        return Err(Bad::new("a name must not be longer than 128 bytes").hint("shorten it"));
    }
    if text.chars().all(allowed) {
        return Ok(());
    }
    let bad = Bad::new(format!("{text:?} is not a name"));
    if text.contains('@') {
        return Err(bad.hint("`web@1`, `web@2`, … are made by `instances` in `[service.web]`"));
    }
    Err(bad.hint("letters, digits, `_`, `.`, `:` and `-` are allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_and_modes_are_read() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("2GB"), Ok(2_000_000_000));
        assert_eq!(size("1.5KiB"), Ok(1_536));
        for text in ["", "KiB", "10", "10M", "-1B", "1KiB2", "99999999TiB", "0.0001B"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(mode("0600"), Ok(0o600));
        assert_eq!(mode("22"), Ok(0o22));
        for text in ["", "8", "0o600", "77777", "+7", "99999999999"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(name("a.B_c:1-2"), Ok(()));
        for text in ["", "a b", "a/b", "web@1", "ä", &"a".repeat(129)] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_reads_back(hours in 0_u64..1_000, minutes in 0_u64..60, millis in 0_u64..60_000) {
            let text = format!("{hours}h{minutes}min{millis}ms");
            let expected = hours * 3_600_000 + minutes * 60_000 + millis;
            prop_assert_eq!(duration(&text), Ok(Some(Duration::from_millis(expected))));
        }

        #[test]
        fn every_size_reads_back(number in 0_u64..1 << 20, unit in 0..SIZE_UNITS.len()) {
            let (unit, scale) = SIZE_UNITS[unit];
            prop_assert_eq!(size(&format!("{number}{unit}")), Ok(number * scale));
        }

        #[test]
        fn no_text_makes_them_panic(text in "[0-9.a-zµ -]{0,24}|\\PC{0,12}") {
            let _ = duration(&text);
            let _ = size(&text);
            let _ = mode(&text);
            let _ = name(&text);
        }
    }
}
