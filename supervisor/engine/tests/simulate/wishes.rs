//! What people have asked for, told again from the requests alone, to compare with what came of it.

use std::collections::BTreeSet;

use supervisor_engine::{DependencyKind, Engine, Request, Scaling, ServiceId, State, StopCause};

/// Whether another service may have started this one, or what needs it, without a request.
fn is_started_by_others(engine: &Engine, id: ServiceId) -> bool {
    engine.services().flat_map(|(_, service)| &service.spec().dependencies).any(|dependency| {
        let starts = match dependency.kind {
            DependencyKind::Upholds | DependencyKind::OnFailure | DependencyKind::OnSuccess => true,
            DependencyKind::Requires
            | DependencyKind::Wants
            | DependencyKind::BindsTo
            | DependencyKind::PartOf
            | DependencyKind::After
            | DependencyKind::Before
            | DependencyKind::Conflicts => false,
        };
        starts && engine.graph().pulled_by(&[dependency.on]).contains(&id)
    })
}

/// What is wanted of the services.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Whether each service is wanted up; `None` where a conflict decides.
    up: Vec<Option<bool>>,
    /// Those that others may have started: also by relations that are gone by now.
    started_by_others: BTreeSet<ServiceId>,
}

impl Wishes {
    pub(crate) fn none(count: usize) -> Self {
        Self { up: vec![Some(false); count], started_by_others: BTreeSet::new() }
    }

    /// Takes note of a new service.
    pub(crate) fn add(&mut self) {
        self.up.push(Some(false));
    }

    /// Takes note of a request that is about to be made.
    pub(crate) fn hear(&mut self, request: &Request, engine: &Engine) {
        let graph = engine.graph();
        let all = engine.services().map(|(id, _)| id);
        self.started_by_others.extend(all.filter(|id| is_started_by_others(engine, *id)));
        let over = engine.is_shutting_down();
        let stays = |id: &ServiceId| !engine.service(*id).is_leaving();
        match request {
            Request::Boot if !over => {
                let enabled = engine.services().filter(|(_, service)| service.spec().enabled);
                let enabled: Vec<ServiceId> = enabled.map(|(id, _)| id).filter(stays).collect();
                self.set_up(&enabled, engine);
            }
            Request::Start(services) | Request::Restart { services, .. } if !over => {
                let stay: Vec<ServiceId> = services.iter().copied().filter(stays).collect();
                self.set_up(&stay, engine);
            }
            // The only one is started too; of several those that are down stay so.
            Request::Roll(services) if !over && services.iter().all(|id| *id == services[0]) => {
                let stay: Vec<ServiceId> = services.iter().copied().filter(stays).collect();
                self.set_up(&stay, engine);
            }
            Request::Scale(services) => {
                for (id, what) in services {
                    match what {
                        Scaling::Start if !over => self.set_up(&[*id], engine),
                        Scaling::Start | Scaling::Add | Scaling::Remove => {
                            self.set([*id], Some(false));
                        }
                        Scaling::Keep => {}
                    }
                }
            }
            Request::Stop { services, no_dependents: true, .. } => {
                self.set(services.iter().copied(), Some(false));
            }
            Request::Stop { services, no_dependents: false, .. } => {
                self.set(graph.stopped_with(services), Some(false));
            }
            Request::Reset(services) => {
                let failed =
                    |id: &ServiceId| matches!(engine.service(*id).state(), State::Failed(_));
                self.set(services.iter().copied().filter(failed), Some(false));
            }
            Request::Shutdown { .. } => self.up.fill(Some(false)),
            Request::Boot
            | Request::Start(_)
            | Request::Restart { .. }
            | Request::Roll(_)
            | Request::Reload(_)
            | Request::Signal { .. } => {}
        }
    }

    /// What is wanted has come true, or there is a reason why not.
    pub(crate) fn check(&self, engine: &Engine) -> Result<(), String> {
        for (id, service) in engine.services() {
            let state = service.state();
            let Some(wanted) = self.up[id.index()] else { continue };
            let fine = if wanted {
                match state {
                    State::Stopped(cause) => match cause {
                        StopCause::StoppedWith(_)
                        | StopCause::BoundTo(_)
                        | StopCause::Condition
                        | StopCause::ConflictsWith(_) => true,
                        StopCause::NeverStarted
                        | StopCause::Requested
                        | StopCause::Shutdown
                        | StopCause::Replaced
                        | StopCause::Reset
                        | StopCause::Removed => false,
                    },
                    State::Waiting
                    | State::Starting(_)
                    | State::Running(_)
                    | State::Reloading(_)
                    | State::Stopping(_)
                    | State::Backoff(_)
                    | State::Exited(_)
                    | State::Failed(_) => true,
                }
            } else {
                state.is_at_rest() || state.is_stuck() || self.started_by_others.contains(&id)
            };
            if !fine {
                let wanted = if wanted { "up" } else { "down" };
                return Err(format!("{id:?} is wanted {wanted} and is {state:?}"));
            }
        }
        Ok(())
    }

    fn set_up(&mut self, named: &[ServiceId], engine: &Engine) {
        let graph = engine.graph();
        let pulled = graph.pulled_by(named);
        let contested = pulled.iter().any(|id| !graph.rivals(*id).is_empty());
        self.set(pulled, (!contested).then_some(true));
    }

    fn set(&mut self, services: impl IntoIterator<Item = ServiceId>, up: Option<bool>) {
        for id in services {
            self.up[id.index()] = up;
        }
    }
}
