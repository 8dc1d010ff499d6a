//! A table of the spec, read key by key; what nobody asked for is an unknown key.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use supervisor_engine::{ExitSet, Signal};

use super::decode::Decoder;
use super::fault::Draft;
use super::keys::{self, Later};
use super::source::Place;
use super::tree::{Entry, Node, Table, Value};
use super::value::Bad;
use crate::suggest;

/// Reads one table. [`Reader::finish`] has to be called at the end.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    table: &'a Table,
    /// As it is shown: `[service.web]`, `log`.
    title: String,
    pub(super) decoder: Decoder<'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a Table, title: impl Into<String>, decoder: Decoder<'a>) -> Self {
        Self { table, title: title.into(), decoder, asked: RefCell::default() }
    }

    /// Goes on with other variables.
    pub(super) fn with<'b>(&'b self, decoder: Decoder<'b>) -> Reader<'b> {
        Reader { table: self.table, title: self.title.clone(), decoder, asked: RefCell::default() }
    }

    /// Marks what the other reader of the same table has asked for as asked for.
    pub(super) fn join(&self, other: &Reader<'_>) {
        self.asked.borrow_mut().extend(other.asked.borrow().iter());
    }

    pub(super) fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key);
        self.table.entries.get(key)
    }

    pub(super) fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(super) fn string(&self, key: &'static str) -> Option<String> {
        self.node(key).and_then(|node| self.decoder.string(node))
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.node(key).and_then(|node| self.decoder.boolean(node))
    }

    pub(super) fn count(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        self.node(key).and_then(|node| self.decoder.count(node, range))
    }

    pub(super) fn float(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        self.node(key).and_then(|node| self.decoder.float(node, range))
    }

    /// A duration; the inner `None` is infinity.
    #[expect(clippy::option_option, reason = "no value, no limit and a limit are three things")]
    pub(super) fn duration(&self, key: &'static str) -> Option<Option<Duration>> {
        self.node(key).and_then(|node| self.decoder.duration(node))
    }

    /// A duration that ends.
    pub(super) fn finite(&self, key: &'static str) -> Option<Duration> {
        self.node(key).and_then(|node| self.decoder.finite(node))
    }

    /// A duration that ends, but not at once.
    pub(super) fn positive(&self, key: &'static str) -> Option<Duration> {
        self.node(key).and_then(|node| self.decoder.positive(node))
    }

    pub(super) fn signal(&self, key: &'static str) -> Option<Signal> {
        self.node(key).and_then(|node| self.decoder.signal(node))
    }

    pub(super) fn exits(&self, key: &'static str) -> Option<ExitSet> {
        self.node(key).and_then(|node| self.decoder.exits(node))
    }

    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<(Place, String)>> {
        self.node(key).and_then(|node| self.decoder.strings(node))
    }

    pub(super) fn command(&self, key: &'static str) -> Option<Vec<String>> {
        self.node(key).and_then(|node| self.decoder.command(node))
    }

    pub(super) fn mode(&self, key: &'static str) -> Option<u32> {
        self.node(key).and_then(|node| self.decoder.mode(node))
    }

    pub(super) fn choice<T: Copy>(&self, key: &'static str, of: &[(&str, T)]) -> Option<T> {
        self.node(key).and_then(|node| self.decoder.choice(node, of))
    }

    /// The table below this key.
    pub(super) fn table(&self, key: &'static str) -> Option<Self> {
        let node = self.node(key)?;
        let Value::Table(table) = &node.value else {
            return self.decoder.wrong_type(node, "a table", Some("write { … }".to_owned()));
        };
        Some(Self::new(table, format!("`{key}`"), self.decoder))
    }

    /// At most one of the keys may be set; tells where the others are.
    pub(super) fn exclusive(&self, keys: &[&'static str], why: &str) {
        let mut set = keys.iter().filter_map(|key| Some((*key, self.table.entries.get(*key)?)));
        if let (Some((first, one)), Some((second, other))) = (set.next(), set.next()) {
            let message = format!("`{second}` cannot be set beside `{first}`");
            let fault =
                Draft::new(other.key, message).related(one.key, format!("`{first}` is here"));
            self.decoder.faults.add(fault.hint(why));
        }
    }

    /// Checks the keys that are known but not there yet: they may be set to what means "off".
    pub(super) fn later(&self, keys: &[(&'static str, Later)]) {
        for (key, later) in keys {
            if let Some(entry) = self.entry(key)
                && later.is_off(&self.decoder, &entry.node) == Some(false)
            {
                self.decoder.bad::<()>(entry.key, not_supported(&format!("\"{key}\"")));
            }
        }
    }

    /// Tells the keys that nobody asked for.
    pub(super) fn finish(&self) {
        let mut asked = self.asked.borrow_mut();
        if self.table.entries.keys().any(|name| !asked.contains(&name.as_str())) {
            let mut seen = BTreeSet::new();
            asked.retain(|key| seen.insert(*key));
        }
        for (name, entry) in &self.table.entries {
            // What is wrong in [defaults] is told there.
            if entry.default || asked.contains(&name.as_str()) {
                continue;
            }
            let alias = keys::meant_by(name).filter(|meant| asked.contains(meant));
            let meant = alias.or_else(|| suggest::nearest(name, asked.iter().copied()));
            let message = format!("unknown key `{name}` in {}", self.title);
            let hint = match meant {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("known are {}", list(&asked)),
            };
            self.decoder.faults.add(Draft::new(entry.key, message).hint(hint));
        }
    }
}

/// For what the spec knows and the supervisor does not do yet.
pub(super) fn not_supported(quoted: &str) -> Bad {
    Bad::new(format!("{quoted} is not supported yet")).hint("take it away")
}

/// Keys as a sentence has them, not too many.
pub(super) fn list(keys: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = keys.iter().take(SHOWN).map(|key| format!("`{key}`")).collect();
    match keys.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} others", shown.join(", ")),
        _ => shown.join(", "),
    }
}
