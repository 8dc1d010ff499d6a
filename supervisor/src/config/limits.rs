//! `limits`: resource limits by the names of `getrlimit(2)`.

use nix::sys::resource::Resource;

use super::Limit;
use super::decode::Decoder;
use super::reader::Reader;
use super::tree::{Node, Value};
use super::value::Bad;
use crate::suggest;

/// What a limit counts, and so how it is written.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Number,
    Bytes,
    Seconds,
    Microseconds,
}

const RESOURCES: [(&str, Resource, Unit); 16] = [
    ("as", Resource::RLIMIT_AS, Unit::Bytes),
    ("core", Resource::RLIMIT_CORE, Unit::Bytes),
    ("cpu", Resource::RLIMIT_CPU, Unit::Seconds),
    ("data", Resource::RLIMIT_DATA, Unit::Bytes),
    ("fsize", Resource::RLIMIT_FSIZE, Unit::Bytes),
    ("locks", Resource::RLIMIT_LOCKS, Unit::Number),
    ("memlock", Resource::RLIMIT_MEMLOCK, Unit::Bytes),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE, Unit::Bytes),
    ("nice", Resource::RLIMIT_NICE, Unit::Number),
    ("nofile", Resource::RLIMIT_NOFILE, Unit::Number),
    ("nproc", Resource::RLIMIT_NPROC, Unit::Number),
    ("rss", Resource::RLIMIT_RSS, Unit::Bytes),
    ("rtprio", Resource::RLIMIT_RTPRIO, Unit::Number),
    ("rttime", Resource::RLIMIT_RTTIME, Unit::Microseconds),
    ("sigpending", Resource::RLIMIT_SIGPENDING, Unit::Number),
    ("stack", Resource::RLIMIT_STACK, Unit::Bytes),
];

pub(super) fn read(reader: &Reader<'_>) -> Vec<Limit> {
    let decoder = &reader.decoder;
    let Some(node) = reader.node("limits") else {
        return Vec::new();
    };
    let Value::Table(table) = &node.value else {
        decoder.wrong_type::<()>(node, "a table", Some("write { nofile = 65536 }".to_owned()));
        return Vec::new();
    };
    let mut limits = Vec::new();
    for (name, entry) in &table.entries {
        let Some((name, resource, unit)) = RESOURCES.iter().find(|(known, ..)| known == name)
        else {
            let hint = suggest::did_you_mean(name, RESOURCES.iter().map(|(known, ..)| *known));
            let hint =
                hint.unwrap_or_else(|| "the names are those of setrlimit, like nofile".into());
            let bad = Bad::new(format!("there is no limit `{name}`")).hint(hint);
            decoder.bad::<()>(entry.key, bad);
            continue;
        };
        if let Some((soft, hard)) = pair(&entry.node, *unit, decoder) {
            limits.push(Limit { resource: *resource as u32, name, soft, hard });
        }
    }
    limits
}

/// One value for both, or `[soft, hard]`.
fn pair(node: &Node, unit: Unit, decoder: &Decoder<'_>) -> Option<(u64, u64)> {
    let Value::Array(items) = &node.value else {
        return one(node, unit, decoder).map(|limit| (limit, limit));
    };
    let [soft, hard] = items.as_slice() else {
        return decoder
            .bad(node.place, Bad::new("a list of limits has two").hint("write [soft, hard]"));
    };
    let (soft, hard) = (one(soft, unit, decoder), one(hard, unit, decoder));
    let (soft, hard) = (soft?, hard?);
    if soft > hard {
        return decoder.bad(
            node.place,
            Bad::new("the soft limit is above the hard limit").hint("write [soft, hard]"),
        );
    }
    Some((soft, hard))
}

fn one(node: &Node, unit: Unit, decoder: &Decoder<'_>) -> Option<u64> {
    if matches!(node.value.as_str(), Some("infinity" | "unlimited")) {
        return Some(u64::MAX);
    }
    // Nothing is nothing in every unit.
    if matches!(node.value, Value::Integer(Some(0), _)) {
        return Some(0);
    }
    match unit {
        Unit::Number => {
            decoder.integer(node, 0..=i64::MAX).and_then(|number| u64::try_from(number).ok())
        }
        Unit::Bytes => decoder.size(node),
        Unit::Seconds => decoder.finite(node).map(|duration| duration.as_secs()),
        Unit::Microseconds => {
            decoder.finite(node).and_then(|duration| u64::try_from(duration.as_micros()).ok())
        }
    }
}
