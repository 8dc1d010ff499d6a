//! The units of all services, and of their companions.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use supervisor_engine::{Engine, ServiceId};

use super::unit::Unit;

/// Every place where processes can be. An invocation has the same one for as long as it lives, also
/// when the service and its companion change theirs ([`supervisor_engine::Service::unit`]).
#[derive(Debug)]
pub(crate) struct Units {
    services: Vec<Unit>,
    companions: BTreeMap<ServiceId, Unit>,
}

impl Units {
    pub(crate) fn new(engine: &Engine) -> Self {
        let mut units = Self { services: Vec::new(), companions: BTreeMap::new() };
        units.extend(engine);
        units
    }

    /// Makes a unit for everybody who has none.
    pub(crate) fn extend(&mut self, engine: &Engine) {
        for (id, _) in engine.services() {
            while self.services.len() <= id.index() {
                self.services.push(Unit::default());
            }
            if engine.has_companion(id) {
                self.companions.entry(id.companion()).or_default();
            }
        }
    }
}

impl Index<ServiceId> for Units {
    type Output = Unit;

    fn index(&self, id: ServiceId) -> &Unit {
        self.companions.get(&id).unwrap_or_else(|| &self.services[id.service().index()])
    }
}

impl IndexMut<ServiceId> for Units {
    fn index_mut(&mut self, id: ServiceId) -> &mut Unit {
        let own = &mut self.services[id.service().index()];
        self.companions.get_mut(&id).unwrap_or(own)
    }
}
