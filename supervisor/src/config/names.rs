//! What the names in dependencies and groups stand for, and whether anything waits for itself.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use supervisor_engine::{Dependency, DependencyKind, Graph, Hop, ServiceId, ServiceSpec};

use super::decode::Decoder;
use super::dependency;
use super::fault::{Draft, Faults};
use super::reader::Reader;
use super::sections::Sections;
use super::service::Built;
use super::source::Place;
use super::{GroupConfig, ServiceConfig};
use crate::suggest;

/// Groups in groups deeper than that are a mistake, and the stack has an end.
const DEEPEST: usize = 64;

/// For so many dangling names a similar one is looked for.
const MOST_HINTS: usize = 100;

/// Gives every service its number and resolves all names. What is wrong is told; then the answer
/// is worth nothing.
pub(super) fn resolve(
    mut built: Vec<Built>,
    main: Option<ServiceConfig>,
    instanced: &BTreeMap<String, Vec<String>>,
    sections: &Sections,
    decoder: Decoder<'_>,
) -> (Vec<ServiceConfig>, BTreeMap<String, GroupConfig>) {
    built.sort_by(|a, b| a.config.spec.name.cmp(&b.config.spec.name));
    let mut names = Names {
        ids: BTreeMap::new(),
        groups: BTreeMap::new(),
        decoder,
        sections,
        looked_up: Cell::new(0),
    };
    let mut configs: Vec<ServiceConfig> = Vec::with_capacity(built.len() + 1);
    let mut relations = Vec::with_capacity(built.len() + 1);
    let mut reloads = Vec::with_capacity(built.len() + 1);
    for item in built {
        configs.push(item.config);
        relations.push(item.relations);
        reloads.push(item.reloads);
    }
    if let Some(main) = main {
        let at = configs.partition_point(|config| config.spec.name < main.spec.name);
        configs.insert(at, main);
        relations.insert(at, Vec::new());
        reloads.insert(at, Vec::new());
    }
    names.ids =
        (0..).map(ServiceId).zip(&configs).map(|(id, c)| (c.spec.name.clone(), id)).collect();
    for (name, list) in instanced {
        let members = list.iter().filter_map(|i| names.ids.get(&format!("{name}@{i}")).copied());
        names.groups.insert(name.clone(), members.collect());
    }
    let mut groups = names.implicit(&configs);
    groups.extend(names.explicit());

    let mut places: Vec<Vec<Place>> = Vec::with_capacity(configs.len());
    for (index, relations) in relations.iter().enumerate() {
        let mut dependencies = Vec::new();
        let mut own_places = Vec::new();
        for relation in relations {
            for on in names.lookup(&relation.name, relation.place) {
                // In a group that it belongs to, a service means the others.
                let direct = names.ids.contains_key(&relation.name);
                if on.index() == index && !direct {
                    continue;
                }
                if let Some(other) = configs.get(on.index()) {
                    let spec = &other.spec;
                    dependency::check_until(relation, spec.kind, &spec.name, decoder.faults);
                }
                let id = ServiceId(u32::try_from(index).unwrap_or(u32::MAX));
                dependency::check_itself(relation, id, on, decoder.faults);
                let (kind, until) = (relation.kind, relation.until);
                dependencies.push(Dependency { kind, on, until });
                own_places.push(relation.place);
            }
        }
        if let Some(config) = configs.get_mut(index) {
            config.spec.dependencies = dependencies;
        }
        places.push(own_places);
    }
    for (config, reloads) in configs.iter_mut().zip(&reloads) {
        let found = reloads.iter().flat_map(|(place, name)| names.lookup(name, *place));
        config.spec.reload_propagates_to = found.collect();
    }
    let specs: Vec<ServiceSpec> = configs.iter().map(|config| config.spec.clone()).collect();
    match Graph::new(&specs) {
        Ok(graph) => refuse_rivals_in_need(&graph, &specs, &places, decoder.faults),
        Err(cycles) => {
            for cycle in cycles {
                decoder.faults.add(describe(&cycle, &specs, &places));
            }
        }
    }
    (configs, groups)
}

struct Names<'a> {
    ids: BTreeMap<String, ServiceId>,
    /// Groups whose members are known: flat, sorted.
    groups: BTreeMap<String, BTreeSet<ServiceId>>,
    decoder: Decoder<'a>,
    sections: &'a Sections,
    /// For how many names a similar one was looked up.
    looked_up: Cell<usize>,
}

impl Names<'_> {
    /// One group for each service with instances.
    fn implicit(&self, configs: &[ServiceConfig]) -> BTreeMap<String, GroupConfig> {
        let groups = self.groups.iter().map(|(name, members)| {
            let first = members.first().and_then(|id| configs.get(id.index()));
            let description = first.map(|config| config.description.clone()).unwrap_or_default();
            let members = members.iter().copied().collect();
            (name.clone(), GroupConfig { description, members })
        });
        groups.collect()
    }

    /// `[group.NAME]`, nested ones flattened.
    fn explicit(&mut self) -> BTreeMap<String, GroupConfig> {
        let mut direct = BTreeMap::new();
        let mut groups = BTreeMap::new();
        for (name, group) in &self.sections.groups {
            let reader = Reader::new(&group.table, format!("[group.{name}]"), self.decoder);
            let members = reader.strings("members");
            if reader.node("members").is_none() {
                let fault = Draft::new(group.place, format!("group `{name}` has no `members`"));
                self.decoder.faults.add(fault.hint("write members = [\"NAME\"]"));
            }
            let description = reader.string("description").unwrap_or_default();
            reader.finish();
            direct.insert(name.as_str(), members.unwrap_or_default());
            groups.insert(name.clone(), GroupConfig { description, members: Vec::new() });
        }
        for (name, config) in &mut groups {
            let members = self.flatten(name, &direct, &mut vec![name.clone()]);
            config.members = members.into_iter().collect();
        }
        groups
    }

    fn flatten(
        &mut self,
        name: &str,
        direct: &BTreeMap<&str, Vec<(Place, String)>>,
        path: &mut Vec<String>,
    ) -> BTreeSet<ServiceId> {
        if let Some(known) = self.groups.get(name) {
            return known.clone();
        }
        let mut all = BTreeSet::new();
        for (place, member) in direct.get(name).into_iter().flatten() {
            if !direct.contains_key(member.as_str()) {
                all.extend(self.lookup(member, *place));
                continue;
            }
            let start = path.iter().position(|name| name == member);
            path.push(member.clone());
            if start.is_some() || path.len() > DEEPEST {
                let circle = path[start.unwrap_or(0)..].join(" → ");
                let message = if start.is_some() {
                    format!("a group contains itself: {circle}")
                } else {
                    format!("groups are nested deeper than {DEEPEST}")
                };
                self.decoder.faults.add(Draft::new(*place, message).hint("take this member away"));
            } else {
                all.extend(self.flatten(member, direct, path));
            }
            path.pop();
        }
        self.groups.insert(name.to_owned(), all.clone());
        all
    }

    /// The services of this name or in the group of this name; none if there is no such thing, and
    /// that is told.
    fn lookup(&self, name: &str, place: Place) -> Vec<ServiceId> {
        if let Some(id) = self.ids.get(name) {
            return vec![*id];
        }
        if let Some(members) = self.groups.get(name) {
            return members.iter().copied().collect();
        }
        let message = if self.sections.sockets.contains_key(name) {
            format!("`{name}` is a socket, not a service")
        } else {
            format!("there is no service or group `{name}`")
        };
        // To look through all names takes long if there are thousands of both.
        self.looked_up.set(self.looked_up.get() + 1);
        if self.looked_up.get() > MOST_HINTS {
            self.decoder.faults.add(Draft::new(place, message).hint(there_is_none(name)));
            return Vec::new();
        }
        let known = self.ids.keys().chain(self.groups.keys()).chain(self.sections.groups.keys());
        let hint = suggest::did_you_mean(name, known.map(String::as_str));
        let hint = hint.unwrap_or_else(|| there_is_none(name));
        self.decoder.faults.add(Draft::new(place, message).hint(hint));
        Vec::new()
    }
}

fn there_is_none(name: &str) -> String {
    format!("add [service.{name}], or take the name away")
}

/// Tells a service that conflicts with one that it pulls in, or that pulls it in.
fn refuse_rivals_in_need(
    graph: &Graph,
    specs: &[ServiceSpec],
    places: &[Vec<Place>],
    faults: &Faults,
) {
    for ((id, spec), places) in (0..).map(ServiceId).zip(specs).zip(places) {
        for (dependency, place) in spec.dependencies.iter().zip(places) {
            let on = dependency.on;
            let Some(other) = specs.get(on.index()).filter(|_| on != id) else { continue };
            if dependency.kind != DependencyKind::Conflicts {
                continue;
            }
            let (needs, needed) = if graph.pulled_by(&[id]).contains(&on) {
                (spec, other)
            } else if graph.pulled_by(&[on]).contains(&id) {
                (other, spec)
            } else {
                continue;
            };
            let message = format!("`{}` and `{}` cannot be up together", spec.name, other.name);
            let what = format!("`{}` needs `{}`", needs.name, needed.name);
            let fault = Draft::new(*place, message).label(what);
            faults.add(fault.hint("take the conflict or the dependency away"));
        }
    }
}

/// A cycle as its path, each hop with its place.
fn describe(cycle: &[Hop], specs: &[ServiceSpec], places: &[Vec<Place>]) -> Draft {
    let name = |id: ServiceId| specs.get(id.index()).map_or("", |spec| spec.name.as_str());
    let place = |hop: &Hop| places.get(hop.declared_by.index())?.get(hop.dependency).copied();
    let mut path: Vec<&str> = cycle.iter().map(|hop| name(hop.from)).collect();
    path.extend(path.first().copied());
    let message = format!("these wait for each other: {}", path.join(" → "));
    let hint = "take one of them away, or let a requirement not wait: \
                { service = \"NAME\", ordered = false }";
    let mut places = cycle.iter().filter_map(|hop| {
        let what = format!("`{}` waits for `{}`", name(hop.from), name(hop.to));
        Some((place(hop)?, what))
    });
    let Some((first, what)) = places.next() else {
        return Draft::placeless(message).hint(hint);
    };
    let fault = Draft::new(first, message).label(what).hint(hint);
    places.fold(fault, |fault, (place, what)| fault.related(place, what))
}
