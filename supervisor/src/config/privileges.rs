//! `no-new-privileges`, `capabilities`, `ambient-capabilities`: what the processes of a service may
//! do besides what their user may.

use super::decode::Decoder;
use super::reader::Reader;
use super::tree::Node;
use super::value::Bad;
use crate::suggest;

/// What the processes of a service may do besides what their user may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// Whether no program can give them more (`PR_SET_NO_NEW_PRIVS(2const)`).
    pub no_new: bool,
    /// All that they can ever have; `None`: as the daemon.
    pub bounding: Option<Capabilities>,
    /// What they have although their user is not root.
    pub ambient: Capabilities,
}

/// A set of `capabilities(7)`: bit `n` for the one with number `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    const ALL: Self = Self(u64::MAX);

    /// The set of these numbers, each below 64.
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Self {
        Self(numbers.into_iter().fold(0, |set, number| set | 1 << (number % 64)))
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The first that is not in the other set.
    fn missing_in(self, other: Self) -> Option<u32> {
        let missing = self.0 & !other.0;
        (missing != 0).then(|| missing.trailing_zeros())
    }
}

/// The names of `capabilities(7)` without `CAP_`; the place is the number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

pub(super) fn read(reader: &Reader<'_>) -> Privileges {
    let decoder = &reader.decoder;
    let bounding = reader.node("capabilities").and_then(|node| set(node, decoder));
    let ambient = reader.node("ambient-capabilities").and_then(|node| {
        let ambient = set(node, decoder)?;
        if let Some(missing) = ambient.missing_in(bounding.unwrap_or(Capabilities::ALL)) {
            let name = NAMES.get(missing as usize).unwrap_or(&"?");
            let bad = Bad::new(format!("{name} is not among `capabilities`"));
            return decoder.bad(node.place, bad.hint("what is not in the bound cannot be had"));
        }
        Some(ambient)
    });
    Privileges {
        no_new: reader.boolean("no-new-privileges").unwrap_or(false),
        bounding,
        ambient: ambient.unwrap_or_default(),
    }
}

fn set(node: &Node, decoder: &Decoder<'_>) -> Option<Capabilities> {
    let names = decoder.strings(node)?;
    let numbers: Vec<_> = names
        .iter()
        .map(|(place, name)| {
            let upper = name.to_ascii_uppercase();
            let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
            let number = NAMES.iter().zip(0..).find(|(known, _)| **known == plain);
            number.map(|(_, number)| number).or_else(|| {
                let hint = suggest::did_you_mean(plain, NAMES)
                    .unwrap_or_else(|| "the names are those of capabilities(7)".to_owned());
                decoder.bad(*place, Bad::new(format!("there is no capability `{name}`")).hint(hint))
            })
        })
        .collect();
    numbers.into_iter().collect::<Option<Vec<u32>>>().map(Capabilities::of)
}
