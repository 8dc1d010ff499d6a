//! `[defaults]`: what a service takes that it does not set.

use super::dependency;
use super::keys;
use super::output;
use super::reader::Reader;
use super::tree::{Table, Value};
use super::value::Bad;

/// `[defaults]` under a service's own table. Tables that hold many independent things are put
/// together key by key; of keys that exclude each other the service's own counts.
pub(super) fn with_defaults(own: &Table, defaults: &Table) -> Table {
    let mut whole = own.clone();
    for (name, entry) in &defaults.entries {
        let name = name.as_str();
        if not_as_default().any(|key| key == name) {
            continue;
        }
        let excluded = EXCLUSIVE.iter().any(|(one, others)| {
            (*one == name && others.iter().any(|other| own.entries.contains_key(*other)))
                || (others.contains(&name) && own.entries.contains_key(*one))
        });
        if excluded {
            continue;
        }
        let inner = output::as_table(name, &entry.node);
        let mine = whole.entries.get(name).map(|mine| output::as_table(name, &mine.node));
        match (mine, inner) {
            (None, _) => {
                let mut entry = entry.clone();
                entry.default = true;
                whole.entries.insert(name.to_owned(), entry);
            }
            (Some(Some(mut mine)), Some(inner)) if MERGED.contains(&name) => {
                for (key, entry) in inner.entries {
                    mine.entries.entry(key).or_insert(entry);
                }
                if let Some(target) = whole.entries.get_mut(name) {
                    target.node.value = Value::Table(mine);
                }
            }
            (Some(_), _) => {}
        }
    }
    whole
}

/// The tables of a service that are put together with those of `[defaults]`.
const MERGED: [&str; 3] = ["environment", "limits", "log"];

/// Keys that cannot be set beside the others.
const EXCLUSIVE: [(&str, &[&str]); 2] = [
    ("stop-sequence", &["stop-command", "stop-signal", "stop-timeout"]),
    ("reload-command", &["reload-signal"]),
];

/// What one service alone can have.
pub(super) fn refuse(reader: &Reader<'_>) {
    for key in not_as_default() {
        if let Some(entry) = reader.entry(key) {
            reader.decoder.bad::<()>(
                entry.key,
                Bad::new(format!("`{key}` cannot be a default")).hint("set it in the services"),
            );
        }
    }
}

fn not_as_default() -> impl Iterator<Item = &'static str> {
    let relations = keys::RELATIONS.iter().map(|(key, _)| *key);
    ["command", "reload-propagates-to"].into_iter().chain(dependency::keys()).chain(relations)
}
