//! What a request would do, without doing it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::engine::Engine;
use crate::id::ServiceId;
use crate::spec::{Kind, StopHow};
use crate::state::{Exited, State};

/// What a request would do: waves of steps, each beginning when the one before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The waves, in order. Stops come before starts.
    pub waves: Vec<Vec<PlanStep>>,
    /// Longest time by the timeouts of the services, along the heaviest chain; `None`: no limit.
    pub worst: Option<Duration>,
}

/// What would happen to one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    /// The service.
    pub service: ServiceId,
    /// What would happen.
    pub what: PlanKind,
    /// Who pulls it in; `None` if it was named.
    pub because_of: Option<ServiceId>,
    /// Longest time by its timeouts; `None`: no limit.
    pub worst: Option<Duration>,
}

/// What would happen to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanKind {
    /// It would be started.
    Start,
    /// It would be stopped.
    Stop,
}

/// Why each service of a plan is in it.
type Reasons = BTreeMap<ServiceId, Option<ServiceId>>;

impl Engine {
    /// What starting these would do.
    pub fn plan_start(&self, named: &[ServiceId]) -> Plan {
        let down = self
            .start_reasons(named)
            .into_iter()
            .filter(|(id, _)| !self.get(*id).state.is_up())
            .collect();
        self.plan(&[(PlanKind::Start, &down)])
    }

    /// What stopping these would do.
    pub fn plan_stop(&self, named: &[ServiceId], no_dependents: bool) -> Plan {
        let reasons = self.stop_reasons(named, no_dependents);
        self.plan(&[(PlanKind::Stop, &reasons)])
    }

    /// What restarting these would do.
    pub fn plan_restart(&self, named: &[ServiceId], no_dependents: bool) -> Plan {
        let (overlapping, cycled) = self.part_overlapping(named, no_dependents);
        let stops = self.stop_reasons(&cycled, no_dependents);
        // Their old processes stop when the new ones are up.
        let replaced: Reasons = overlapping.into_iter().map(|id| (id, None)).collect();
        let mut starts: Reasons =
            stops.iter().chain(&replaced).map(|(id, why)| (*id, *why)).collect();
        for (id, reason) in self.start_reasons(named) {
            if !self.get(id).state.is_up() {
                starts.entry(id).or_insert(reason);
            }
        }
        self.plan(&[
            (PlanKind::Stop, &stops),
            (PlanKind::Start, &starts),
            (PlanKind::Stop, &replaced),
        ])
    }

    fn start_reasons(&self, named: &[ServiceId]) -> Reasons {
        reasons(named, |id| {
            let node = self.graph.node(id);
            node.required.iter().map(|(id, _)| *id).chain(node.wanted.iter().copied()).collect()
        })
    }

    fn stop_reasons(&self, named: &[ServiceId], no_dependents: bool) -> Reasons {
        let reasons = reasons(named, |id| {
            if no_dependents { Vec::new() } else { self.graph.node(id).stops_with.clone() }
        });
        reasons.into_iter().filter(|(id, _)| !self.get(*id).state.is_at_rest()).collect()
    }

    fn plan(&self, parts: &[(PlanKind, &Reasons)]) -> Plan {
        let mut waves = Vec::new();
        let mut worst = Some(Duration::ZERO);
        for (what, reasons) in parts {
            let (mut part, longest) = self.waves(*what, reasons);
            waves.append(&mut part);
            worst = worst.zip(longest).map(|(a, b)| a.saturating_add(b));
        }
        Plan { waves, worst }
    }

    /// Groups services by the longest chain that leads to each; also the heaviest chain.
    fn waves(&self, what: PlanKind, reasons: &Reasons) -> (Vec<Vec<PlanStep>>, Option<Duration>) {
        let before = |id: ServiceId| match what {
            PlanKind::Start => self.graph.predecessors(id),
            PlanKind::Stop => self.graph.successors(id),
        };
        let after = |id: ServiceId| match what {
            PlanKind::Start => self.graph.successors(id),
            PlanKind::Stop => self.graph.predecessors(id),
        };
        let members: BTreeSet<ServiceId> = reasons.keys().copied().collect();
        let inside = |list: &[ServiceId]| -> Vec<ServiceId> {
            list.iter().copied().filter(|id| members.contains(id)).collect()
        };
        let mut open: BTreeMap<ServiceId, usize> =
            members.iter().map(|id| (*id, inside(before(*id)).len())).collect();
        // When a service's turn may come at the latest, by the timeouts of those before it.
        let mut ready: BTreeMap<ServiceId, Option<Duration>> = BTreeMap::new();
        let mut longest = Some(Duration::ZERO);
        let mut waves = Vec::new();
        let mut wave: Vec<ServiceId> =
            open.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        while !wave.is_empty() {
            let mut next = BTreeSet::new();
            for id in &wave {
                let begin = ready.get(id).copied().unwrap_or(Some(Duration::ZERO));
                let end = begin.zip(self.worst(*id, what)).map(|(a, b)| a.saturating_add(b));
                longest = longest.zip(end).map(|(a, b)| a.max(b));
                for later in inside(after(*id)) {
                    let slot = ready.entry(later).or_insert(Some(Duration::ZERO));
                    *slot = slot.zip(end).map(|(a, b)| a.max(b));
                    if let Some(count) = open.get_mut(&later) {
                        *count -= 1;
                        if *count == 0 {
                            next.insert(later);
                        }
                    }
                }
            }
            let step = |id: &ServiceId| PlanStep {
                service: *id,
                what,
                because_of: reasons.get(id).copied().flatten(),
                worst: self.worst(*id, what),
            };
            waves.push(wave.iter().map(step).collect());
            wave = next.into_iter().collect();
        }
        (waves, longest)
    }

    /// The longest time that a start or stop of this service may take by its timeouts.
    fn worst(&self, id: ServiceId, what: PlanKind) -> Option<Duration> {
        let spec = &self.get(id).spec;
        match (spec.kind, what) {
            (Kind::Target, _) => Some(Duration::ZERO),
            (Kind::Simple | Kind::Notify | Kind::Oneshot, PlanKind::Start) => {
                // One without a probe is there as soon as its process is.
                let at_once = spec.kind == Kind::Simple && !spec.probed;
                let proven = if at_once { Some(Duration::ZERO) } else { spec.start_timeout };
                proven.map(|time| time.saturating_add(spec.settles_for().unwrap_or_default()))
            }
            (Kind::Simple | Kind::Notify | Kind::Oneshot, PlanKind::Stop) => {
                let state = &self.get(id).state;
                let was_up = !matches!(state, State::Starting(_));
                let empty = matches!(
                    state,
                    State::Exited(Exited { held: Some(held), .. }) if !held.remaining
                );
                let steps = spec.stop.steps.iter().filter(|step| match step.how {
                    StopHow::Command(_) => was_up && state.is_live(),
                    StopHow::Signal(_) | StopHow::Sleep => state.is_live() && !empty,
                });
                // `KILL` itself takes no time that is worth to be counted.
                steps.map(|step| step.timeout).try_fold(Duration::ZERO, |sum, timeout| {
                    timeout.map(|timeout| sum.saturating_add(timeout))
                })
            }
        }
    }
}

/// `named` and all they pull in, each with who pulled it in.
fn reasons(named: &[ServiceId], pulls: impl Fn(ServiceId) -> Vec<ServiceId>) -> Reasons {
    let mut reasons: Reasons = named.iter().map(|id| (*id, None)).collect();
    let mut open: Vec<ServiceId> = reasons.keys().copied().collect();
    while let Some(cause) = open.pop() {
        for id in pulls(cause) {
            reasons.entry(id).or_insert_with(|| {
                open.push(id);
                Some(cause)
            });
        }
    }
    reasons
}
