//! `instances`: how often a service is there, and under which names.

use std::collections::{BTreeMap, BTreeSet};

use super::decode::Decoder;
use super::tree::{Node, Value};
use super::value::{self, Bad};

/// More than that is a slip of the keyboard.
pub const MOST_INSTANCES: u32 = 10_000;

/// Instead of the numbers that the spec says: for each of these services another one.
pub type Counts = BTreeMap<String, u32>;

/// What `instances` of a service says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// A number, or what it was changed to.
    Number(u32),
    /// A list of names.
    Names,
}

/// What it says, and the parts behind `@`.
pub(super) fn read(
    node: &Node,
    decoder: &Decoder<'_>,
    instead: Option<u32>,
) -> (Instances, Vec<String>) {
    if let Value::Array(_) = node.value {
        return (Instances::Names, names(node, decoder));
    }
    if !matches!(node.value, Value::Integer(..)) {
        let hint = Some(r#"write 4 or ["blue", "green"]"#.to_owned());
        decoder.wrong_type::<()>(node, "a number or a list of names", hint);
        return (Instances::Names, Vec::new());
    }
    let said = decoder.integer(node, 1..=i64::from(MOST_INSTANCES));
    let said = said.and_then(|count| u32::try_from(count).ok());
    let count = instead.or(said).unwrap_or(0);
    (Instances::Number(count), (1..=count).map(|number| number.to_string()).collect())
}

fn names(node: &Node, decoder: &Decoder<'_>) -> Vec<String> {
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
                Bad::new(format!("instance `{name}` is there twice")).hint("take one of them away"),
            );
        }
    }
    if names.is_empty() && seen.is_empty() {
        decoder.bad::<()>(
            node.place,
            Bad::new("a service has at least one instance").hint("for none set `enabled = false`"),
        );
    }
    names
}
