//! `requires`, `wants`, `conflicts`, `on-failure` and the like: relations to others, by name.

use supervisor_engine::{DependencyKind, Kind, ServiceId, Until};

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
    /// How far the other one must be; `None`: it is not waited for.
    pub(super) until: Option<Until>,
    /// Where it says `until = "exited"`, if it does.
    pub(super) until_exited: Option<Place>,
}

const KINDS: [(&str, DependencyKind); 10] = [
    ("requires", DependencyKind::Requires),
    ("wants", DependencyKind::Wants),
    ("binds-to", DependencyKind::BindsTo),
    ("part-of", DependencyKind::PartOf),
    ("after", DependencyKind::After),
    ("before", DependencyKind::Before),
    ("conflicts", DependencyKind::Conflicts),
    ("upholds", DependencyKind::Upholds),
    ("on-failure", DependencyKind::OnFailure),
    ("on-success", DependencyKind::OnSuccess),
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
        let until = makes_order(kind).then_some(Until::Ready);
        return Some(Relation { kind, name, place, until, until_exited: None });
    };
    let inner = Reader::new(table, format!("an item of `{}`", key(kind)), decoder);
    let service = inner.node("service");
    let name = service.and_then(|node| decoder.string(node));
    let ordered = inner.entry("ordered");
    let is_order = matches!(kind, DependencyKind::After | DependencyKind::Before);
    if let Some(entry) = ordered.filter(|_| is_order || !makes_order(kind)) {
        let why = if is_order { "is nothing but an order" } else { "makes no order" };
        let bad = Bad::new(format!("`{}` {why}", key(kind)));
        decoder.bad::<()>(entry.key, bad.hint("take `ordered` away"));
    }
    if let Some(entry) = inner.entry("until").filter(|_| !makes_order(kind)) {
        let bad = Bad::new(format!("`{}` does not wait", key(kind)));
        decoder.bad::<()>(entry.key, bad.hint("take `until` away"));
    }
    let ordered = ordered.and_then(|entry| decoder.boolean(&entry.node)).unwrap_or(true);
    // A oneshot is up once it has ended well.
    let untils = [
        ("ready", (Until::Ready, false)),
        ("exited", (Until::Ready, true)),
        ("started", (Until::Started, false)),
    ];
    let until_node = inner.node("until");
    let (until, exited) = inner.choice("until", &untils).unwrap_or((Until::Ready, false));
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
        until: Some(until).filter(|_| ordered && makes_order(kind)),
        until_exited: until_node.filter(|_| exited).map(|node| node.place),
    })
}

/// Whether one of the two starts before the other.
const fn makes_order(kind: DependencyKind) -> bool {
    match kind {
        DependencyKind::Requires
        | DependencyKind::Wants
        | DependencyKind::BindsTo
        | DependencyKind::Upholds
        | DependencyKind::After
        | DependencyKind::Before => true,
        DependencyKind::PartOf
        | DependencyKind::Conflicts
        | DependencyKind::OnFailure
        | DependencyKind::OnSuccess => false,
    }
}

/// Tells a relation of a service to itself, where that is not told as an order that has no end.
pub(super) fn check_itself(relation: &Relation, id: ServiceId, on: ServiceId, faults: &Faults) {
    let message = match relation.kind {
        DependencyKind::Conflicts => "a service cannot conflict with itself",
        DependencyKind::Upholds if relation.until.is_none() => "a service cannot uphold itself",
        DependencyKind::OnFailure | DependencyKind::OnSuccess => {
            "a service is not started by its own end"
        }
        DependencyKind::Requires
        | DependencyKind::Wants
        | DependencyKind::BindsTo
        | DependencyKind::PartOf
        | DependencyKind::After
        | DependencyKind::Before
        | DependencyKind::Upholds => return,
    };
    if id == on {
        let conflict = relation.kind == DependencyKind::Conflicts;
        let hint = if conflict { "take the name away" } else { "use `restart` for that" };
        faults.add(Draft::new(relation.place, message).hint(hint));
    }
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
