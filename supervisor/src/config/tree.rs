//! A TOML document that knows where each of its parts stands, and can be overridden by another.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::fault::{Draft, Faults};
use super::source::Place;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    /// The number, and how it is written but for its prefix; `None` if it does not fit.
    Integer(Option<i64>, String),
    Float(f64, String),
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    /// What it is, with article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(..) | Self::Float(..) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where the key stands.
    pub(super) key: Place,
    pub(super) node: Node,
    /// Whether it comes from `[defaults]`.
    pub(super) default: bool,
}

impl Table {
    /// Takes over what was parsed from a file. A NUL, which no process can be given, is a fault.
    pub(super) fn new(file: u32, table: &DeTable<'_>, faults: &Faults) -> Self {
        let entries = table.iter().map(|(key, value)| {
            let place = Place::new(file, &key.span());
            let name: &str = key.get_ref();
            refuse_nul(name, place, faults);
            let node = Node::new(file, value, faults);
            (name.to_owned(), Entry { key: place, node, default: false })
        });
        Self { entries: entries.collect() }
    }

    /// Tables are overridden key by key, everything else is replaced.
    pub(super) fn overridden_by(&mut self, other: Self) {
        for (name, entry) in other.entries {
            match (self.entries.get_mut(&name), entry) {
                (
                    Some(Entry { node: Node { value: Value::Table(mine), .. }, .. }),
                    Entry { node: Node { value: Value::Table(theirs), .. }, .. },
                ) => mine.overridden_by(theirs),
                (_, entry) => {
                    self.entries.insert(name, entry);
                }
            }
        }
    }
}

impl Node {
    fn new(file: u32, value: &toml::Spanned<DeValue<'_>>, faults: &Faults) -> Self {
        let place = Place::new(file, &value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => {
                refuse_nul(text, place, faults);
                Value::String(text.clone().into_owned())
            }
            DeValue::Integer(number) => Value::Integer(
                i64::from_str_radix(number.as_str(), number.radix()).ok(),
                number.as_str().to_owned(),
            ),
            DeValue::Float(number) => Value::Float(
                number.as_str().parse().unwrap_or(f64::NAN),
                number.as_str().to_owned(),
            ),
            DeValue::Boolean(yes) => Value::Boolean(*yes),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => {
                Value::Array(items.iter().map(|item| Self::new(file, item, faults)).collect())
            }
            DeValue::Table(table) => Value::Table(Table::new(file, table, faults)),
        };
        Self { place, value }
    }
}

fn refuse_nul(text: &str, place: Place, faults: &Faults) {
    if text.contains('\0') {
        faults.add(
            Draft::new(place, "a string must not contain NUL").hint("no process can be given one"),
        );
    }
}
