//! Services that come and go while the daemon runs.

use std::collections::{BTreeSet, HashMap};
use std::mem;

use supervisor_api::{ErrorBody, ErrorCode, EventKind};
use supervisor_engine::{ServiceId, ServiceSpec};

use super::Runtime;
use super::calls::error;
use super::names::Names;
use crate::config::{Config, ServiceConfig};

/// Who has come by a spec, and who is not in it any more.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// In the engine, and stopped.
    pub(crate) added: BTreeSet<ServiceId>,
    /// Still as they were; nobody depends on them any more.
    pub(crate) gone: BTreeSet<ServiceId>,
}

impl Runtime {
    /// Takes over which services there are and how they relate. What services that were there before
    /// are like does not change.
    pub(crate) fn adopt(&mut self, made: Config) -> Result<Change, ErrorBody> {
        let Config { services: mut made_services, mut groups, instances, .. } = made;
        let ids = self.ids_of(&made_services);
        // The ids of the engine instead of the places in the new list.
        let translate = |on: &mut ServiceId| {
            if let Some(id) = ids.get(on.index()) {
                *on = *id;
            }
        };
        for ServiceConfig { spec, .. } in &mut made_services {
            spec.dependencies.iter_mut().for_each(|dependency| translate(&mut dependency.on));
            spec.reload_propagates_to.iter_mut().for_each(translate);
        }
        groups.values_mut().flat_map(|group| &mut group.members).for_each(translate);

        let there: BTreeSet<ServiceId> = self
            .engine
            .services()
            .filter(|(_, service)| !service.is_leaving())
            .map(|(id, _)| id)
            .collect();
        let stays: BTreeSet<ServiceId> = ids.iter().copied().collect();
        let mut come: Vec<(ServiceId, ServiceConfig)> = Vec::new();
        let mut revised: Vec<(ServiceId, ServiceSpec)> = Vec::new();
        for (id, mut made) in ids.into_iter().zip(made_services) {
            if there.contains(&id) {
                let known = &self.config(id).spec;
                let dependencies = made.spec.dependencies;
                let reload_propagates_to = made.spec.reload_propagates_to;
                if known.dependencies != dependencies
                    || known.reload_propagates_to != reload_propagates_to
                {
                    let spec = ServiceSpec { dependencies, reload_propagates_to, ..known.clone() };
                    revised.push((id, spec));
                }
            } else {
                self.descriptors.limit(&mut made);
                revised.push((id, made.spec.clone()));
                come.push((id, made));
            }
        }
        self.engine.revise(revised.clone()).map_err(|_| {
            // The loader has told cycles with their places, so none is left here.
            error(ErrorCode::Conflict, "services would wait for each other".to_owned())
        })?;

        let change = Change {
            added: come.iter().map(|(id, _)| *id).collect(),
            gone: there.difference(&stays).copied().collect(),
        };
        for (id, made) in come {
            if let Some(known) = self.config.services.get_mut(id.index()) {
                *known = made;
            } else {
                self.config.services.push(made);
            }
        }
        self.units.extend(&self.engine);
        for (id, spec) in revised {
            if let Some(known) = self.config.services.get_mut(id.index()) {
                known.spec = spec;
            }
        }
        self.config.groups = groups;
        self.config.instances = instances;
        self.names = Names::new(&self.config, |id| !self.engine.service(id).is_removed());
        for id in &change.added {
            let service = self.name(*id).to_owned();
            tracing::info!(service, "service added");
            self.publish(EventKind::ServiceAdded { service });
        }
        Ok(change)
    }

    /// The id of each of these: the one that a service of this name has, or had, or else the next.
    fn ids_of(&self, services: &[ServiceConfig]) -> Vec<ServiceId> {
        let known = (0..).map(ServiceId).zip(&self.config.services);
        let known: HashMap<&str, ServiceId> =
            known.map(|(id, config)| (config.spec.name.as_str(), id)).collect();
        let first = u32::try_from(self.config.services.len()).unwrap_or(u32::MAX);
        let mut next = (first..).map(ServiceId);
        let place = |config: &ServiceConfig| known.get(config.spec.name.as_str()).copied();
        services.iter().filter_map(|config| place(config).or_else(|| next.next())).collect()
    }

    /// A service is down for good: it has no name any more, and soon nothing else.
    pub(crate) fn on_removed(&mut self, id: ServiceId) {
        self.removed.push(id);
        let service = self.name(id).to_owned();
        self.names.forget(&service);
        tracing::info!(service, "service removed");
        self.publish(EventKind::ServiceRemoved { service });
    }

    /// Closes what removed services have left, once the engine wants nothing of them any more.
    pub(crate) fn clear_removed(&mut self) {
        if !self.todo.is_empty() {
            return;
        }
        for id in mem::take(&mut self.removed) {
            if !self.engine.service(id).is_removed() {
                continue;
            }
            self.release_all_stored(id);
            let companion = self.engine.has_companion(id).then_some(id.companion());
            for id in companion.into_iter().chain([id]) {
                let unit = mem::take(self.unit_mut(id));
                if let Some(socket) = &unit.notify {
                    self.poller.remove(socket);
                }
            }
        }
    }
}
