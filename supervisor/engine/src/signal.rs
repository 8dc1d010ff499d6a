//! Signals by number, with the names that people write.

use std::fmt;

/// A signal, by its Linux number (`signal(7)`), 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// The standard signals of Linux on every architecture that the project builds for.
const NAMES: [(u8, &str); 33] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (6, "IOT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (16, "STKFLT"),
    (17, "CHLD"),
    (18, "CONT"),
    (19, "STOP"),
    (20, "TSTP"),
    (21, "TTIN"),
    (22, "TTOU"),
    (23, "URG"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (26, "VTALRM"),
    (27, "PROF"),
    (28, "WINCH"),
    (29, "IO"),
    (29, "POLL"),
    (30, "PWR"),
    (31, "SYS"),
];

/// glibc and musl keep 32 and 33 (musl also 34) for themselves; `SIGRTMIN` of glibc is what shells
/// and container tools mean by the name.
const RT_MIN: u8 = 34;
const RT_MAX: u8 = 64;

impl Signal {
    /// The hangup signal, by custom a request to reload.
    pub const HUP: Self = Self(1);
    /// Interrupt from a keyboard.
    pub const INT: Self = Self(2);
    /// Quit from a keyboard.
    pub const QUIT: Self = Self(3);
    /// Abort, by default with a core dump.
    pub const ABRT: Self = Self(6);
    /// Cannot be caught, blocked or ignored.
    pub const KILL: Self = Self(9);
    /// First signal for the program's own use.
    pub const USR1: Self = Self(10);
    /// Second signal for the program's own use.
    pub const USR2: Self = Self(12);
    /// Write to a pipe without reader.
    pub const PIPE: Self = Self(13);
    /// The polite request to end.
    pub const TERM: Self = Self(15);
    /// Continues what was stopped.
    pub const CONT: Self = Self(18);

    /// The signal with this number, if there is one.
    pub fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number).ok().filter(|n| (1..=RT_MAX).contains(n)).map(Self)
    }

    /// Reads a name with or without `SIG`, in any case, `RTMIN+3`, `RTMAX-1`, or a number.
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Ok(number) = name.parse::<i32>() {
            return Self::from_number(number);
        }
        let real_time = |rest: &str, base: i32| -> Option<Self> {
            let offset = if rest.is_empty() { 0 } else { rest.parse::<i32>().ok()? };
            let number = u8::try_from(base + offset).ok()?;
            (RT_MIN..=RT_MAX).contains(&number).then_some(Self(number))
        };
        if let Some(rest) = name.strip_prefix("RTMIN") {
            return real_time(rest, i32::from(RT_MIN));
        }
        if let Some(rest) = name.strip_prefix("RTMAX") {
            return real_time(rest, i32::from(RT_MAX));
        }
        NAMES.iter().find(|(_, known)| *known == name).map(|(number, _)| Self(*number))
    }

    /// The number, as `kill(2)` takes it.
    pub const fn number(self) -> i32 {
        self.0 as i32
    }
}

impl fmt::Display for Signal {
    /// The name without `SIG`: `TERM`, `RTMIN+3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = NAMES.iter().find(|(number, _)| *number == self.0) {
            f.write_str(name)
        } else if self.0 >= RT_MIN {
            match self.0 - RT_MIN {
                0 => f.write_str("RTMIN"),
                offset => write!(f, "RTMIN+{offset}"),
            }
        } else {
            write!(f, "{}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Signal;

    #[test]
    fn names_and_numbers_are_read() {
        for (text, number) in [
            ("TERM", 15),
            ("sigterm", 15),
            ("9", 9),
            ("RTMIN+3", 37),
            ("SIGRTMIN", 34),
            ("RTMAX-1", 63),
            ("IOT", 6),
        ] {
            assert_eq!(Signal::parse(text).map(Signal::number), Some(number), "{text}");
        }
        for text in ["", "0", "65", "-1", "TERMINATE", "RTMIN+31", "RTMIN-1", "RTMAX+1"] {
            assert_eq!(Signal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_signal_reads_its_own_name() {
        for signal in (1..=64).filter_map(Signal::from_number) {
            assert_eq!(Signal::parse(&signal.to_string()), Some(signal));
        }
    }
}
