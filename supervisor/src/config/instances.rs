//! `instances`: how often a service is there, and under which names.

use std::collections::BTreeSet;

use super::decode::Decoder;
use super::tree::{Node, Value};
use super::value::{self, Bad};

/// More than that is a slip of the keyboard.
const MOST: i64 = 10_000;

/// The parts behind `@`.
pub(super) fn read(node: &Node, decoder: &Decoder<'_>) -> Vec<String> {
    if let Value::Array(_) = node.value {
        let mut seen = BTreeSet::new();
        let mut names = Vec::new();
        for (place, name) in decoder.strings(node).unwrap_or_default() {
            if let Err(bad) = value::name(&name) {
                decoder.bad::<()>(place, bad);
            } else if seen.insert(name.clone()) {
                names.push(name);
            } else {
                decoder.bad::<()>(
                    place,
                    Bad::new(format!("instance `{name}` is there twice"))
                        .hint("take one of them away"),
                );
            }
        }
        if names.is_empty() && seen.is_empty() {
            decoder.bad::<()>(
                node.place,
                Bad::new("a service has at least one instance")
                    .hint("for none set `enabled = false`"),
            );
        }
        return names;
    }
    if !matches!(node.value, Value::Integer(..)) {
        let hint = Some(r#"write 4 or ["blue", "green"]"#.to_owned());
        decoder.wrong_type::<()>(node, "a number or a list of names", hint);
        return Vec::new();
    }
    let count = decoder.integer(node, 1..=MOST).unwrap_or(0);
    (1..=count).map(|number| number.to_string()).collect()
}
