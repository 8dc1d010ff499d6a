//! `requires`, `wants`, `binds-to`, `part-of`, `after`, `before`: relations to others, by name.

use supervisor_engine::{DependencyKind, Kind};

use super::fault::{Draft, Faults};
use super::reader::Reader;
use super::source::Place;
use super::tree::{Node, Value};
use super::value::Bad;

/// A relation to whatever has this name.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) kind: DependencyKind,
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) ordered: bool,
    /// Where it says `until = "exited"`, if it does.
    pub(super) until_exited: Option<Place>,
}

const KINDS: [(&str, DependencyKind); 6] = [
    ("requires", DependencyKind::Requires),
    ("wants", DependencyKind::Wants),
    ("binds-to", DependencyKind::BindsTo),
    ("part-of", DependencyKind::PartOf),
    ("after", DependencyKind::After),
    ("before", DependencyKind::Before),
];

/// The keys of all relations.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(key, _)| *key)
}

/// The key of a kind of relation.
pub(super) fn key(kind: DependencyKind) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == kind).map(|(key, _)| *key).unwrap_or_default()
}

pub(super) fn read(reader: &Reader<'_>) -> Vec<Relation> {
    let mut relations = Vec::new();
    for (key, kind) in KINDS {
        if let Some(node) = reader.node(key) {
            let items = reader.decoder.list(node).unwrap_or_default();
            relations.extend(items.iter().filter_map(|item| relation(item, kind, reader)));
        }
    }
    relations
}

fn relation(node: &Node, kind: DependencyKind, reader: &Reader<'_>) -> Option<Relation> {
    let decoder = reader.decoder;
    let Value::Table(table) = &node.value else {
        let (name, place) = (decoder.string(node)?, node.place);
        return Some(Relation { kind, name, place, ordered: true, until_exited: None });
    };
    let inner = Reader::new(table, format!("an item of `{}`", key(kind)), decoder);
    let service = inner.node("service");
    let name = service.and_then(|node| decoder.string(node));
    let ordered = inner.entry("ordered");
    if let Some(entry) = ordered {
        let why = match kind {
            DependencyKind::Requires | DependencyKind::Wants | DependencyKind::BindsTo => None,
            DependencyKind::After | DependencyKind::Before => Some("is nothing but an order"),
            DependencyKind::PartOf => Some("makes no order"),
        };
        if let Some(why) = why {
            decoder.bad::<()>(
                entry.key,
                Bad::new(format!("`{}` {why}", key(kind))).hint("take `ordered` away"),
            );
        }
    }
    let ordered = ordered.and_then(|entry| decoder.boolean(&entry.node)).unwrap_or(true);
    let untils = [("ready", Some(false)), ("exited", Some(true)), ("started", None)];
    let until = inner.node("until");
    let exited = inner.choice_so_far("until", &untils).unwrap_or(false);
    inner.finish();
    if service.is_none() {
        return decoder.bad(
            node.place,
            Bad::new("`service` is missing").hint("write { service = \"NAME\" }"),
        );
    }
    Some(Relation {
        kind,
        name: name?,
        place: service?.place,
        ordered,
        until_exited: until.filter(|_| exited).map(|node| node.place),
    })
}

/// Tells an `until = "exited"` of something that does not exit.
pub(super) fn check_until(relation: &Relation, kind: Kind, name: &str, faults: &Faults) {
    if let Some(place) = relation.until_exited
        && kind != Kind::Oneshot
    {
        let fault = Draft::new(place, format!("`{name}` is not a oneshot"));
        faults.add(fault.hint("only a oneshot ends well; write \"ready\""));
    }
}
