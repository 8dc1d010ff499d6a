//! What people have asked for, told again from the requests alone, to compare with what came of it.

use supervisor_engine::{Engine, Request, ServiceId, State, StopCause};

/// Whether each service is wanted up.
#[derive(Debug)]
pub(crate) struct Wishes(Vec<bool>);

impl Wishes {
    pub(crate) fn none(count: usize) -> Self {
        Self(vec![false; count])
    }

    /// Takes note of a request that is about to be made.
    pub(crate) fn hear(&mut self, request: &Request, engine: &Engine) {
        let graph = engine.graph();
        let over = engine.is_shutting_down();
        match request {
            Request::Boot if !over => {
                let enabled = engine.services().filter(|(_, service)| service.spec().enabled);
                let enabled: Vec<ServiceId> = enabled.map(|(id, _)| id).collect();
                self.set(graph.pulled_by(&enabled), true);
            }
            Request::Start(services) | Request::Restart { services, .. } if !over => {
                self.set(graph.pulled_by(services), true);
            }
            Request::Stop { services, no_dependents: true, .. } => {
                self.set(services.iter().copied(), false);
            }
            Request::Stop { services, no_dependents: false, .. } => {
                self.set(graph.stopped_with(services), false);
            }
            Request::Reset(services) => {
                let failed =
                    |id: &ServiceId| matches!(engine.service(*id).state(), State::Failed(_));
                self.set(services.iter().copied().filter(failed), false);
            }
            Request::Shutdown { .. } => self.0.fill(false),
            Request::Boot
            | Request::Start(_)
            | Request::Restart { .. }
            | Request::Reload(_)
            | Request::Signal { .. } => {}
        }
    }

    /// What is wanted has come true, or there is a reason why not.
    pub(crate) fn check(&self, engine: &Engine) -> Result<(), String> {
        for (id, service) in engine.services() {
            let state = service.state();
            let fine = if self.0[id.index()] {
                match state {
                    State::Stopped(cause) => match cause {
                        StopCause::StoppedWith(_) | StopCause::BoundTo(_) => true,
                        StopCause::NeverStarted
                        | StopCause::Requested
                        | StopCause::Shutdown
                        | StopCause::Replaced
                        | StopCause::Reset => false,
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
                state.is_at_rest() || state.is_stuck()
            };
            if !fine {
                let wanted = if self.0[id.index()] { "up" } else { "down" };
                return Err(format!("{id:?} is wanted {wanted} and is {state:?}"));
            }
        }
        Ok(())
    }

    fn set(&mut self, services: impl IntoIterator<Item = ServiceId>, up: bool) {
        for id in services {
            self.0[id.index()] = up;
        }
    }
}
