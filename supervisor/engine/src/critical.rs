//! The heaviest chain of stops: what a shutdown takes at most, and because of whom.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::Engine;
use crate::exit::Exit;
use crate::id::{Invocation, ServiceId};
use crate::input::Manner;
use crate::main_process::Main;
use crate::moment::Moment;
use crate::spec::Kind;
use crate::state::Running;
use crate::stopping::Departure;

/// Stops that wait for each other, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The services that take any time, each with the most that it takes by its timeouts; `None`: no
    /// limit.
    pub links: Vec<(ServiceId, Option<Duration>)>,
    /// All of it together; `None`: no limit.
    pub worst: Option<Duration>,
}

impl Chain {
    /// The one that takes longer.
    pub(crate) fn or_heavier(self, other: Self) -> Self {
        let weight = |chain: &Self| chain.worst.unwrap_or(Duration::MAX);
        if weight(&other) > weight(&self) { other } else { self }
    }
}

impl Engine {
    /// The heaviest chain of a shutdown when all is up that is started with the daemon.
    pub fn longest_shutdown(&self) -> Chain {
        let enabled = self.services().filter(|(_, service)| service.spec.enabled);
        let enabled: Vec<ServiceId> = enabled.map(|(id, _)| id).collect();
        let all = self.graph.pulled_by(&enabled).into_iter();
        self.critical(&all.map(|id| (id, self.worst_once_up(id))).collect())
    }

    /// The heaviest chain of these stops.
    pub(crate) fn critical(&self, stops: &BTreeMap<ServiceId, Option<Duration>>) -> Chain {
        let weight = |worst: &Option<Duration>| worst.unwrap_or(Duration::MAX);
        // The weight of the heaviest chain that ends with each, and whom it comes from.
        let mut heaviest: BTreeMap<ServiceId, (Duration, Option<ServiceId>)> = BTreeMap::new();
        for id in self.graph.start_order().into_iter().rev() {
            let Some(worst) = stops.get(&id) else { continue };
            let earlier = self.graph.successors(id).iter();
            let earlier = earlier.filter_map(|on| Some((heaviest.get(on)?.0, Some(*on)))).max();
            let (before, from) = earlier.unwrap_or_default();
            heaviest.insert(id, (before.saturating_add(weight(worst)), from));
        }
        let mut next = heaviest.iter().max_by_key(|(_, (sum, _))| *sum).map(|(id, _)| *id);
        let mut links = Vec::new();
        while let Some(id) = next {
            links.push((id, stops.get(&id).copied().flatten()));
            next = heaviest.get(&id).and_then(|(_, from)| *from);
        }
        links.retain(|(_, worst)| *worst != Some(Duration::ZERO));
        links.reverse();
        let worst = links.iter().try_fold(Duration::ZERO, |sum, (_, worst)| {
            worst.map(|worst| sum.saturating_add(worst))
        });
        Chain { links, worst }
    }

    /// The longest time that the stop of a service takes that has come up.
    fn worst_once_up(&self, id: ServiceId) -> Option<Duration> {
        let spec = &self.get(id).spec;
        let (up, started) = (Moment::default(), Moment::default());
        let (invocation, main) = (None, Main::Alive);
        let running =
            Running { invocation, started, up, main, health: None, watchdog: None, expires: None };
        let departure = Departure::new(Invocation(0), &running);
        let departure = match spec.kind {
            Kind::Simple | Kind::Notify | Kind::Forking => {
                Departure { commands: true, drains: true, ..departure }
            }
            // Its process has done its work.
            Kind::Oneshot if spec.remain_after_exit => {
                let main = Main::Gone(Exit::Code(0));
                Departure { commands: true, main, ..departure }
            }
            Kind::Target | Kind::Oneshot => return Some(Duration::ZERO),
        };
        worst(self.stop_timeouts(id, departure, Manner::Graceful))
    }
}

/// All these times together; `None`: no limit.
pub(crate) fn worst(timeouts: Vec<Option<Duration>>) -> Option<Duration> {
    timeouts
        .into_iter()
        .try_fold(Duration::ZERO, |sum, timeout| timeout.map(|timeout| sum.saturating_add(timeout)))
}
