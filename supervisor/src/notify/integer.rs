//! Integers as systemd reads them (`safe_atollu` in its `parse-util.c`).

/// Reads a number: blanks in front, `+`, and the prefixes `0x`, `0o`, `0b` and `0` (octal) are
/// fine; a minus, anything behind the digits and overflow are not.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r']);
    let text = text.strip_prefix('+').unwrap_or(text);
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (text.get(2..)?, 16),
        [b'0', b'o' | b'O', ..] => (text.get(2..)?, 8),
        [b'0', b'b' | b'B', ..] => (text.get(2..)?, 2),
        [b'0', ..] => (text, 8),
        _ => (text, 10),
    };
    // `from_str_radix` would accept a sign here.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_are_read_as_systemd_does() {
        for (text, expected) in [
            ("0", Some(0)),
            ("42", Some(42)),
            ("  \t42", Some(42)),
            ("+42", Some(42)),
            ("0x2a", Some(42)),
            ("0X2A", Some(42)),
            ("0o52", Some(42)),
            ("052", Some(42)),
            ("00", Some(0)),
            ("0b101010", Some(42)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("0x10000000000000000", None),
            ("", None),
            (" ", None),
            ("+", None),
            ("-1", None),
            ("-0", None),
            ("+-1", None),
            ("++1", None),
            ("0x", None),
            ("0x+1", None),
            ("0b2", None),
            ("08", None),
            ("1 ", None),
            ("1s", None),
            ("1.5", None),
            ("1_000", None),
            ("٣", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
