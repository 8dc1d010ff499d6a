//! Numbers with units.

/// A number, the letters behind it, and the rest without the space between.
pub fn part(text: &str) -> (&str, &str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    (number, unit, rest.trim_start())
}

/// `number × scale`, which has to be whole.
pub fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    let tenth_powers = u32::try_from(fraction.len()).ok()?;
    let divisor = 10_u128.checked_pow(tenth_powers)?;
    let fraction = u128::from(scale).checked_mul(fraction.parse().ok()?)?;
    if fraction % divisor != 0 {
        return None;
    }
    whole.checked_mul(scale)?.checked_add(u64::try_from(fraction / divisor).ok()?)
}
