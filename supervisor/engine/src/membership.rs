//! Services that come and go while the engine runs.
//!
//! Two steps change the set of services: [`Engine::revise`] says what there is from now on, and a
//! request says what becomes of it: [`Request::Scale`](crate::Request::Scale) starts what came and
//! removes what has to go. An id is never given to another service: what is removed leaves its
//! place, and comes back to it.

use std::collections::BTreeSet;

use crate::engine::Engine;
use crate::goals::done;
use crate::graph::{Graph, Hop};
use crate::id::{OperationId, ServiceId};
use crate::input::Manner;
use crate::moment::Moment;
use crate::operation::{Aim, Item, Outcome, Verb};
use crate::service::{Goal, Service};
use crate::spec::ServiceSpec;
use crate::state::{State, StopCause};
use crate::transition::Cause;

/// What becomes of a service when the number of instances changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// It is new, and is to be up.
    Start,
    /// It is new, and stays down until somebody asks for it.
    Add,
    /// It was there before and stays.
    Keep,
    /// It is stopped for good and forgotten.
    Remove,
}

impl Engine {
    /// Takes these specs for the services with these ids, and decides nothing: the next request
    /// does. Ids behind the last one add services, in their order; the id of a removed service
    /// brings it back as if it was new. Of a service that is live only the relations change.
    ///
    /// # Errors
    /// The cycles of the order that there would be; then nothing has changed.
    ///
    /// # Panics
    /// If a dependency is on an id that there is not, as with [`Engine::new`].
    pub fn revise(&mut self, specs: Vec<(ServiceId, ServiceSpec)>) -> Result<(), Vec<Vec<Hop>>> {
        let mut all: Vec<ServiceSpec> = self.services.iter().map(relevant_spec).collect();
        for (id, spec) in &specs {
            match all.get_mut(id.index()) {
                Some(known) => known.clone_from(spec),
                None => all.push(spec.clone()),
            }
        }
        self.graph = Graph::new(&all)?;
        for (id, spec) in specs {
            match self.services.get_mut(id.index()) {
                None => self.services.push(Service::new(id, spec)),
                Some(service) if service.is_removed() => service.come_back(id, spec),
                Some(service) => service.revise(spec),
            }
        }
        self.accompany();
        self.recount();
        Ok(())
    }

    /// What has come comes up, what has to go is removed.
    pub(crate) fn scale(&mut self, services: &[(ServiceId, Scaling)], now: Moment) -> OperationId {
        let mut items = Vec::new();
        let to_start = services.iter().filter(|(_, what)| *what == Scaling::Start);
        let to_start: Vec<ServiceId> = to_start.map(|(id, _)| *id).collect();
        self.want_up(&to_start, &mut items, now);
        let started: BTreeSet<ServiceId> = items.iter().map(|item| item.service).collect();
        for (id, what) in services {
            match what {
                Scaling::Start => {}
                // Needed by one that starts.
                Scaling::Add | Scaling::Keep if started.contains(id) => {}
                Scaling::Add => items.push(done(*id, Outcome::Added)),
                Scaling::Keep => items.push(done(*id, Outcome::Unchanged)),
                Scaling::Remove => items.push(self.remove(*id, now)),
            }
        }
        self.begin(Verb::Scale, items, now)
    }

    fn remove(&mut self, id: ServiceId, now: Moment) -> Item {
        let cause = StopCause::Removed;
        self.supersede(id, |aim| !matches!(aim, Aim::Down | Aim::None), now);
        self.want_gone(id, cause, Manner::Graceful);
        if self.get(id).state.is_at_rest() {
            self.enter(id, State::Stopped(cause), Cause::Stop(cause), now);
        }
        if self.is_all_at_rest(id) {
            return done(id, Outcome::Removed);
        }
        Item { service: id, named: true, aim: Aim::Down, outcome: None }
    }
}

impl Service {
    /// Whether it is to be removed, or was: nobody can start it any more.
    pub fn is_leaving(&self) -> bool {
        matches!(self.goal, Goal::Down { cause: StopCause::Removed, .. }) || self.is_removed()
    }

    /// Whether it is gone for good.
    pub const fn is_removed(&self) -> bool {
        matches!(self.state, State::Stopped(StopCause::Removed))
    }

    /// It is as if it was new, beside what its companion may still have.
    fn come_back(&mut self, id: ServiceId, spec: ServiceSpec) {
        let (unit, accompanied) = (self.unit, self.accompanied);
        *self = Self { unit, accompanied, ..Self::new(id, spec) };
    }

    /// One that was to be removed stays after all, but goes down first.
    fn revise(&mut self, spec: ServiceSpec) {
        if let Goal::Down { cause: StopCause::Removed, manner } = self.goal {
            self.goal = Goal::Down { cause: StopCause::Requested, manner };
        }
        if self.state.is_live() {
            self.spec.dependencies = spec.dependencies;
            self.spec.reload_propagates_to = spec.reload_propagates_to;
        } else {
            self.spec = spec;
        }
    }
}

/// What is removed relates to nobody.
fn relevant_spec(service: &Service) -> ServiceSpec {
    let mut spec = service.spec.clone();
    if service.is_removed() {
        spec.dependencies.clear();
        spec.reload_propagates_to.clear();
    }
    spec
}
