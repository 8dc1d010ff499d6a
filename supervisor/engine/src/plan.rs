//! What a request would do, without doing it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::critical::{self, Chain};
use crate::engine::Engine;
use crate::id::ServiceId;
use crate::input::Manner;
use crate::spec::Kind;
use crate::state::{State, StopCause};

/// What a request would do: waves of steps, each beginning when the one before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The waves, in order. Stops come before starts.
    pub waves: Vec<Vec<PlanStep>>,
    /// Longest time by the timeouts of the services, along the heaviest chain; `None`: no limit.
    pub worst: Option<Duration>,
    /// The heaviest chain of its stops.
    pub critical: Chain,
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

/// The longest time that each service of a plan takes; `None`: no limit.
type Times = BTreeMap<ServiceId, Option<Duration>>;

impl Engine {
    /// What starting these would do.
    pub fn plan_start(&self, named: &[ServiceId]) -> Plan {
        let (stops, mut starts) = self.start_reasons(named);
        starts.retain(|id, _| !self.get(*id).state.is_up());
        self.plan(&[(PlanKind::Stop, &stops), (PlanKind::Start, &starts)], Manner::Graceful)
    }

    /// What stopping these would do.
    pub fn plan_stop(&self, named: &[ServiceId], manner: Manner, no_dependents: bool) -> Plan {
        let reasons = self.stop_reasons(named, no_dependents);
        self.plan(&[(PlanKind::Stop, &reasons)], manner)
    }

    /// What restarting these would do.
    pub fn plan_restart(&self, named: &[ServiceId], manner: Manner, no_dependents: bool) -> Plan {
        let (overlapping, cycled) = self.part_overlapping(named, manner, no_dependents);
        let mut stops = self.stop_reasons(&cycled, no_dependents);
        // Their old processes stop when the new ones are up.
        let replaced: Reasons = overlapping.into_iter().map(|id| (id, None)).collect();
        let mut starts: Reasons =
            stops.iter().chain(&replaced).map(|(id, why)| (*id, *why)).collect();
        let (ousted, started) = self.start_reasons(named);
        stops.extend(ousted);
        for (id, reason) in started {
            if !self.get(id).state.is_up() {
                starts.entry(id).or_insert(reason);
            }
        }
        let phases =
            [(PlanKind::Stop, &stops), (PlanKind::Start, &starts), (PlanKind::Stop, &replaced)];
        self.plan(&phases, manner)
    }

    /// What a rolling restart of these would do.
    pub fn plan_roll(&self, named: &[ServiceId]) -> Plan {
        let worst = Some(Duration::ZERO);
        let critical = Chain { links: Vec::new(), worst };
        let mut whole = Plan { waves: Vec::new(), worst, critical };
        let order = self.roll_order(named);
        let only = order.len() == 1;
        for id in order {
            if !only && self.is_to_be_down(id) {
                continue;
            }
            let mut part = self.plan_restart(&[id], Manner::Graceful, true);
            whole.waves.append(&mut part.waves);
            let sum = |(a, b): (Duration, Duration)| a.saturating_add(b);
            whole.worst = whole.worst.zip(part.worst).map(sum);
            whole.critical.links.append(&mut part.critical.links);
            whole.critical.worst = whole.critical.worst.zip(part.critical.worst).map(sum);
        }
        whole
    }

    /// The longest time that a start of this service may take by its timeouts; `None`: no limit.
    pub fn start_limit(&self, id: ServiceId) -> Option<Duration> {
        self.worst(id, PlanKind::Start, Manner::Graceful)
    }

    /// What is stopped for a start, because of a conflict, and what is started.
    fn start_reasons(&self, named: &[ServiceId]) -> (Reasons, Reasons) {
        let chosen = self.choose(named, &[]);
        let stops = self.ousted(&chosen).into_iter().map(|(id, cause)| {
            let because_of = match cause {
                StopCause::ConflictsWith(other) | StopCause::StoppedWith(other) => Some(other),
                StopCause::NeverStarted
                | StopCause::Requested
                | StopCause::BoundTo(_)
                | StopCause::Shutdown
                | StopCause::Reset
                | StopCause::Condition
                | StopCause::Replaced
                | StopCause::Removed => None,
            };
            (id, because_of)
        });
        let mut starts = reasons(named, |id| {
            let node = self.graph.node(id);
            node.required.iter().map(|(id, _)| *id).chain(node.wanted.iter().copied()).collect()
        });
        starts.retain(|id, _| chosen.up.contains(id));
        (stops.collect(), starts)
    }

    fn stop_reasons(&self, named: &[ServiceId], no_dependents: bool) -> Reasons {
        let reasons = reasons(named, |id| {
            if no_dependents { Vec::new() } else { self.graph.node(id).stops_with.clone() }
        });
        reasons.into_iter().filter(|(id, _)| !self.get(*id).state.is_at_rest()).collect()
    }

    fn plan(&self, parts: &[(PlanKind, &Reasons)], manner: Manner) -> Plan {
        let mut waves = Vec::new();
        let mut worst = Some(Duration::ZERO);
        let mut critical = Chain { links: Vec::new(), worst };
        for (what, reasons) in parts {
            let times = reasons.keys().map(|id| (*id, self.worst(*id, *what, manner))).collect();
            let (mut part, longest) = self.waves(*what, reasons, &times);
            match what {
                PlanKind::Start => {}
                PlanKind::Stop => critical = critical.or_heavier(self.critical(&times)),
            }
            waves.append(&mut part);
            worst = worst.zip(longest).map(|(a, b)| a.saturating_add(b));
        }
        Plan { waves, worst, critical }
    }

    /// Groups services by the longest chain that leads to each; also the heaviest chain.
    fn waves(
        &self,
        what: PlanKind,
        reasons: &Reasons,
        times: &Times,
    ) -> (Vec<Vec<PlanStep>>, Option<Duration>) {
        let worst = |id: &ServiceId| times.get(id).copied().flatten();
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
                let end = begin.zip(worst(id)).map(|(a, b)| a.saturating_add(b));
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
                worst: worst(id),
            };
            waves.push(wave.iter().map(step).collect());
            wave = next.into_iter().collect();
        }
        (waves, longest)
    }

    /// The longest time that a start or stop of this service may take by its timeouts.
    fn worst(&self, id: ServiceId, what: PlanKind, manner: Manner) -> Option<Duration> {
        let spec = &self.get(id).spec;
        match (spec.kind, what) {
            (Kind::Target, _) => Some(Duration::ZERO),
            (Kind::Simple | Kind::Notify | Kind::Forking | Kind::Oneshot, PlanKind::Start) => {
                // One without a probe is there as soon as its process is.
                let commands = &spec.commands;
                let lists = [&commands.condition, &commands.pre_start, &commands.post_start];
                let bare = lists.iter().all(|list| list.is_empty());
                let at_once = spec.kind == Kind::Simple && !spec.probed && bare;
                let proven = if at_once { Some(Duration::ZERO) } else { spec.start_timeout };
                proven.map(|time| time.saturating_add(spec.settles_for().unwrap_or_default()))
            }
            (Kind::Simple | Kind::Notify | Kind::Forking | Kind::Oneshot, PlanKind::Stop) => {
                let departure = match &self.get(id).state {
                    State::Stopping(stopping) => Some(stopping.departure()),
                    State::Stopped(_)
                    | State::Waiting
                    | State::Starting(_)
                    | State::Running(_)
                    | State::Reloading(_)
                    | State::Backoff(_)
                    | State::Exited(_)
                    | State::Failed(_) => self.departure(id),
                };
                departure.map_or(Some(Duration::ZERO), |departure| {
                    critical::worst(self.stop_timeouts(id, departure, manner))
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
