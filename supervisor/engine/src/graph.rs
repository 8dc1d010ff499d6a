//! The relations between services as edges in both directions, with the order checked for cycles.

use std::collections::BTreeSet;

use crate::id::ServiceId;
use crate::spec::{Dependency, DependencyKind, ServiceSpec, Until};

/// The relations of all services, looked up by service.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    has_rivals: bool,
}

/// The relations of one service; each list is sorted and free of duplicates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Whom this one's start waits for; those stop later than this one.
    pub(crate) predecessors: Vec<ServiceId>,
    /// Those of them whose process need only run.
    pub(crate) early: Vec<ServiceId>,
    /// Whose start waits for this one; those stop earlier than this one.
    pub(crate) successors: Vec<ServiceId>,
    /// Whom this one cannot do without (`requires`, `binds-to`), and whether it waits for them.
    pub(crate) required: Vec<(ServiceId, bool)>,
    /// Whom this one would like to have (`wants`, `upholds`).
    pub(crate) wanted: Vec<ServiceId>,
    /// Whom this one keeps up (`upholds`).
    pub(crate) upheld: Vec<ServiceId>,
    /// Who keeps this one up (their `upholds`).
    pub(crate) upholders: Vec<ServiceId>,
    /// With whom this one cannot be up together (`conflicts` of either).
    pub(crate) rivals: Vec<ServiceId>,
    /// Who is started when this one has failed.
    pub(crate) on_failure: Vec<ServiceId>,
    /// Who is started when this one has ended well.
    pub(crate) on_success: Vec<ServiceId>,
    /// Who is stopped and restarted with this one (their `requires`, `binds-to`, `part-of`).
    pub(crate) stops_with: Vec<ServiceId>,
    /// Who is stopped when this one dies by itself (their `binds-to`).
    pub(crate) bound: Vec<ServiceId>,
}

static ALONE: Node = Node {
    predecessors: Vec::new(),
    early: Vec::new(),
    successors: Vec::new(),
    required: Vec::new(),
    wanted: Vec::new(),
    upheld: Vec::new(),
    upholders: Vec::new(),
    rivals: Vec::new(),
    on_failure: Vec::new(),
    on_success: Vec::new(),
    stops_with: Vec::new(),
    bound: Vec::new(),
};

/// How a service depends on one that its start waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tie {
    pub(crate) bond: Bond,
    /// How far the other one must be.
    pub(crate) until: Until,
}

/// How much a service needs one that its start waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bond {
    /// It only comes after it.
    Order,
    /// It requires it.
    Need,
    /// It cannot be without it.
    Bound,
}

/// One step of a cycle: `from` waits for `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The service that waits.
    pub from: ServiceId,
    /// The service that it waits for.
    pub to: ServiceId,
    /// Whose spec says so: `from`, or `to` if it is a `before`.
    pub declared_by: ServiceId,
    /// The place in that spec's list of dependencies.
    pub dependency: usize,
}

impl Graph {
    /// Builds the graph; answers the cycles if the order has any, at least one for each group of
    /// services that wait for each other.
    pub fn new(specs: &[ServiceSpec]) -> Result<Self, Vec<Vec<Hop>>> {
        let mut nodes = vec![Node::default(); specs.len()];
        for (id, spec) in ids(specs) {
            for dependency in &spec.dependencies {
                let on = dependency.on;
                let node = &mut nodes[id.index()];
                let waits = dependency.until.is_some();
                match dependency.kind {
                    DependencyKind::Requires => node.required.push((on, waits)),
                    DependencyKind::BindsTo => {
                        node.required.push((on, waits));
                        nodes[on.index()].bound.push(id);
                    }
                    DependencyKind::Wants => node.wanted.push(on),
                    DependencyKind::Upholds => {
                        node.wanted.push(on);
                        node.upheld.push(on);
                        nodes[on.index()].upholders.push(id);
                    }
                    DependencyKind::Conflicts => {
                        node.rivals.push(on);
                        nodes[on.index()].rivals.push(id);
                    }
                    DependencyKind::OnFailure => node.on_failure.push(on),
                    DependencyKind::OnSuccess => node.on_success.push(on),
                    DependencyKind::PartOf | DependencyKind::After | DependencyKind::Before => {}
                }
                if matches!(
                    dependency.kind,
                    DependencyKind::Requires | DependencyKind::BindsTo | DependencyKind::PartOf
                ) {
                    nodes[on.index()].stops_with.push(id);
                }
            }
        }
        let mut patient = BTreeSet::new();
        for (hop, until) in hops(specs) {
            nodes[hop.from.index()].predecessors.push(hop.to);
            nodes[hop.to.index()].successors.push(hop.from);
            match until {
                Until::Started => nodes[hop.from.index()].early.push(hop.to),
                Until::Ready => _ = patient.insert((hop.from, hop.to)),
            }
        }
        for (id, node) in (0..).map(ServiceId).zip(&mut nodes) {
            node.early.retain(|on| !patient.contains(&(id, *on)));
        }
        for node in &mut nodes {
            for list in [
                &mut node.predecessors,
                &mut node.early,
                &mut node.successors,
                &mut node.wanted,
                &mut node.upheld,
                &mut node.upholders,
                &mut node.rivals,
                &mut node.on_failure,
                &mut node.on_success,
                &mut node.stops_with,
                &mut node.bound,
            ] {
                list.sort_unstable();
                list.dedup();
            }
            node.required.sort_unstable();
            node.required.dedup();
        }
        let has_rivals = nodes.iter().any(|node| !node.rivals.is_empty());
        let graph = Self { nodes, has_rivals };
        let cycles = graph.cycles(specs);
        if cycles.is_empty() { Ok(graph) } else { Err(cycles) }
    }

    /// All services.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ServiceId> + use<> {
        (0..).map(ServiceId).take(self.nodes.len())
    }

    /// A companion has no relations of its own.
    pub(crate) fn node(&self, id: ServiceId) -> &Node {
        if id.is_companion() { &ALONE } else { &self.nodes[id.index()] }
    }

    /// Whom the start of this service waits for; they stop later than it.
    pub fn predecessors(&self, id: ServiceId) -> &[ServiceId] {
        &self.node(id).predecessors
    }

    /// Whose start waits for this service; they stop earlier than it.
    pub fn successors(&self, id: ServiceId) -> &[ServiceId] {
        &self.node(id).successors
    }

    /// Whether `dependent` requires `on` and waits for it.
    pub(crate) fn waits_in_need(&self, dependent: ServiceId, on: ServiceId) -> bool {
        self.node(dependent).required.binary_search(&(on, true)).is_ok()
    }

    /// How `dependent`, whose start waits for `on`, depends on it.
    pub(crate) fn tie(&self, dependent: ServiceId, on: ServiceId) -> Tie {
        let bond = if !self.waits_in_need(dependent, on) {
            Bond::Order
        } else if self.node(on).bound.binary_search(&dependent).is_ok() {
            Bond::Bound
        } else {
            Bond::Need
        };
        let early = self.node(dependent).early.binary_search(&on).is_ok();
        Tie { bond, until: if early { Until::Started } else { Until::Ready } }
    }

    /// With whom this service cannot be up together.
    pub fn rivals(&self, id: ServiceId) -> &[ServiceId] {
        &self.node(id).rivals
    }

    /// Whether any two services cannot be up together.
    pub(crate) const fn has_rivals(&self) -> bool {
        self.has_rivals
    }

    /// `seeds` and everything that starting them starts, sorted.
    pub fn pulled_by(&self, seeds: &[ServiceId]) -> BTreeSet<ServiceId> {
        self.closure(seeds, |node, visit| {
            node.required.iter().map(|(id, _)| *id).for_each(&mut *visit);
            node.wanted.iter().copied().for_each(&mut *visit);
        })
    }

    /// This service and all that it requires, sorted.
    pub fn required_by(&self, id: ServiceId) -> BTreeSet<ServiceId> {
        self.closure(&[id], |node, visit| node.required.iter().map(|(id, _)| *id).for_each(visit))
    }

    /// `seeds` and everything that is stopped or restarted with them, sorted.
    pub fn stopped_with(&self, seeds: &[ServiceId]) -> BTreeSet<ServiceId> {
        self.closure(seeds, |node, visit| node.stops_with.iter().copied().for_each(visit))
    }

    fn closure(
        &self,
        seeds: &[ServiceId],
        neighbours: impl Fn(&Node, &mut dyn FnMut(ServiceId)),
    ) -> BTreeSet<ServiceId> {
        let mut found: BTreeSet<ServiceId> = seeds.iter().copied().collect();
        let mut open: Vec<ServiceId> = seeds.to_vec();
        while let Some(id) = open.pop() {
            neighbours(self.node(id), &mut |next| {
                if found.insert(next) {
                    open.push(next);
                }
            });
        }
        found
    }

    /// The length of the longest chain that leads to each service: in the order of these numbers
    /// nobody comes before whom it waits for.
    pub(crate) fn depths(&self) -> Vec<u32> {
        let mut waits_for: Vec<usize> = self.nodes.iter().map(|n| n.predecessors.len()).collect();
        let mut depths = vec![0; self.nodes.len()];
        let mut free: Vec<usize> = (0..self.nodes.len()).filter(|i| waits_for[*i] == 0).collect();
        while let Some(index) = free.pop() {
            for successor in self.nodes[index].successors.iter().map(|id| id.index()) {
                depths[successor] = depths[successor].max(depths[index] + 1);
                waits_for[successor] -= 1;
                if waits_for[successor] == 0 {
                    free.push(successor);
                }
            }
        }
        depths
    }

    /// Takes away whoever waits for nobody that is left (Kahn); what stays waits in circles.
    fn cycles(&self, specs: &[ServiceSpec]) -> Vec<Vec<Hop>> {
        let mut waits_for: Vec<usize> = self.nodes.iter().map(|n| n.predecessors.len()).collect();
        let mut gone = vec![false; self.nodes.len()];
        let mut free: Vec<usize> = (0..self.nodes.len()).filter(|i| waits_for[*i] == 0).collect();
        let mut cycles = Vec::new();
        let mut next = 0;
        loop {
            while let Some(index) = free.pop() {
                if std::mem::replace(&mut gone[index], true) {
                    continue;
                }
                for successor in &self.nodes[index].successors {
                    waits_for[successor.index()] -= 1;
                    if waits_for[successor.index()] == 0 {
                        free.push(successor.index());
                    }
                }
            }
            while next < gone.len() && gone[next] {
                next += 1;
            }
            if next == gone.len() {
                return cycles;
            }
            let path = self.circle_from(next, &gone);
            // Taking the whole circle away lets the search go on to the next one.
            free.extend(path.iter().map(|id| id.index()));
            cycles.push(describe(&path, specs));
        }
    }

    /// Walks from a service that is left to one it waits for, and so on, until it meets itself.
    fn circle_from(&self, start: usize, gone: &[bool]) -> Vec<ServiceId> {
        let mut path: Vec<ServiceId> = Vec::new();
        let mut place = vec![usize::MAX; self.nodes.len()];
        let mut at = start;
        while place[at] == usize::MAX {
            place[at] = path.len();
            path.push(ServiceId(u32::try_from(at).unwrap_or(u32::MAX)));
            let waited_for = self.nodes[at].predecessors.iter().find(|id| !gone[id.index()]);
            at = waited_for.map_or(at, |id| id.index());
        }
        let mut circle = path.split_off(place[at]);
        let smallest = (0..circle.len()).min_by_key(|i| circle[*i]).unwrap_or(0);
        circle.rotate_left(smallest);
        circle
    }
}

/// All services with their ids.
fn ids(specs: &[ServiceSpec]) -> impl Iterator<Item = (ServiceId, &ServiceSpec)> {
    (0..).map(ServiceId).zip(specs)
}

/// Every relation that orders two services, with how far the one must be for the other.
fn hops(specs: &[ServiceSpec]) -> impl Iterator<Item = (Hop, Until)> {
    ids(specs).flat_map(|(id, spec)| {
        spec.dependencies.iter().enumerate().filter_map(move |(index, dependency)| {
            let Dependency { kind, on, until } = *dependency;
            let (from, to) = match kind {
                DependencyKind::Requires
                | DependencyKind::Wants
                | DependencyKind::BindsTo
                | DependencyKind::Upholds
                | DependencyKind::After => (id, on),
                DependencyKind::Before => (on, id),
                DependencyKind::PartOf
                | DependencyKind::Conflicts
                | DependencyKind::OnFailure
                | DependencyKind::OnSuccess => return None,
            };
            Some((Hop { from, to, declared_by: id, dependency: index }, until?))
        })
    })
}

fn describe(circle: &[ServiceId], specs: &[ServiceSpec]) -> Vec<Hop> {
    let all: Vec<Hop> = hops(specs).map(|(hop, _)| hop).collect();
    (0..circle.len())
        .filter_map(|i| {
            let (from, to) = (circle[i], circle[(i + 1) % circle.len()]);
            all.iter().find(|hop| hop.from == from && hop.to == to).copied()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Dependency, Kind};

    fn specs(edges: &[(u32, DependencyKind, u32)], count: u32) -> Vec<ServiceSpec> {
        let mut specs: Vec<_> =
            (0..count).map(|i| ServiceSpec::new(format!("s{i}"), Kind::Simple)).collect();
        for (from, kind, to) in edges {
            specs[*from as usize].dependencies.push(Dependency {
                kind: *kind,
                on: ServiceId(*to),
                until: Some(Until::Ready),
            });
        }
        specs
    }

    #[test]
    fn a_cycle_is_answered_as_its_path() {
        use DependencyKind::{After, Before, Requires};
        let cycles = Graph::new(&specs(&[(0, Requires, 1), (1, After, 2), (0, Before, 2)], 4))
            .expect_err("it has a cycle");
        let path: Vec<_> = cycles[0].iter().map(|hop| (hop.from.0, hop.to.0)).collect();
        assert_eq!(path, [(0, 1), (1, 2), (2, 0)]);
        assert_eq!(cycles[0][2].declared_by, ServiceId(0), "the `before` stands in s0");
        assert_eq!(cycles.len(), 1);
    }

    #[test]
    fn each_circle_is_found_once_and_one_service_can_be_a_circle() {
        use DependencyKind::Requires;
        let edges = [(0, Requires, 0), (1, Requires, 2), (2, Requires, 1), (3, Requires, 1)];
        let cycles = Graph::new(&specs(&edges, 4)).expect_err("it has cycles");
        assert_eq!(cycles.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn part_of_and_unordered_relations_make_no_order() {
        let mut list =
            specs(&[(0, DependencyKind::Requires, 1), (1, DependencyKind::PartOf, 0)], 2);
        assert!(Graph::new(&list).is_ok());
        list[1].dependencies.push(Dependency {
            kind: DependencyKind::Requires,
            on: ServiceId(0),
            until: None,
        });
        assert!(Graph::new(&list).is_ok());
    }

    #[test]
    fn a_chain_of_ten_thousand_is_no_problem() {
        let edges: Vec<_> = (1..10_000).map(|i| (i, DependencyKind::Requires, i - 1)).collect();
        let graph = Graph::new(&specs(&edges, 10_000)).expect("a chain has no cycle");
        assert_eq!(graph.pulled_by(&[ServiceId(9_999)]).len(), 10_000);
        assert_eq!(graph.stopped_with(&[ServiceId(0)]).len(), 10_000);
    }
}
