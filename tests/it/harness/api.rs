//! Asking the daemon about its services.

use serde_json::{Value, json};
use supervisor_api::{DaemonState, Info, Operation, Service, ServiceDetail, Snapshot, State};

use super::wait::try_until;
use super::{Daemon, wait_until};

impl Daemon {
    /// `GET /v1`.
    pub(crate) fn info(&self) -> Info {
        self.http().get("/v1").json()
    }

    /// All services.
    pub(crate) fn services(&self) -> Snapshot {
        self.http().get("/v1/services").json()
    }

    /// One service.
    pub(crate) fn service(&self, name: &str) -> Service {
        self.detail(name).service
    }

    /// One service in full.
    pub(crate) fn detail(&self, name: &str) -> ServiceDetail {
        let answer = self.http().get(&format!("/v1/services/{name}"));
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        answer.json()
    }

    /// State of one service.
    pub(crate) fn state(&self, name: &str) -> State {
        self.service(name).state
    }

    /// Pid of a service that runs.
    pub(crate) fn pid_of(&self, name: &str) -> i32 {
        self.service(name).pid.unwrap_or_else(|| panic!("{name} has no main process"))
    }

    /// Waits until a service is in this state.
    pub(crate) fn wait_state(&self, name: &str, state: State) -> Service {
        self.wait_service(name, state.as_str(), |service| service.state == state)
    }

    /// Waits until a service is as the condition says.
    pub(crate) fn wait_service(
        &self,
        name: &str,
        what: &str,
        condition: impl Fn(&Service) -> bool,
    ) -> Service {
        let mut last = None;
        try_until(&mut last, |last| {
            let service = self.service(name);
            let found = condition(&service).then(|| service.clone());
            *last = Some(service);
            found
        })
        .unwrap_or_else(|| panic!("{name} never became {what}; last seen: {last:#?}"))
    }

    /// Waits until all that should be up is, or has failed.
    pub(crate) fn wait_booted(&self) {
        wait_until("the daemon to have started everything", &mut (), |()| {
            (self.info().state == DaemonState::Running).then_some(())
        });
    }

    /// Does something to services and waits for its end; answers how it ended.
    pub(crate) fn operate(&self, verb: &str, targets: &[&str]) -> Operation {
        self.operation(&json!({ "verb": verb, "targets": targets, "wait": true }))
    }

    /// `POST /v1/operations`, which must be accepted.
    pub(crate) fn operation(&self, request: &Value) -> Operation {
        let answer = self.http().post("/v1/operations", request);
        assert!(matches!(answer.status, 200 | 202), "{request}: {answer:?}");
        answer.json()
    }
}
