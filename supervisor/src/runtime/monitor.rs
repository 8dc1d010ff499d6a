//! What a service that was started by `on-failure` or `on-success` is told of the one that ended:
//! the `MONITOR_…` variables of `systemd.exec(5)`.

use supervisor_engine::{FailReason, ServiceId, Trigger};

use super::{Runtime, outcome};

type Variables = Vec<(&'static str, String)>;

impl Runtime {
    /// The variables for the main process of a service and for what is run before it; none unless
    /// its start is due to the end of another service. Of several ends the last one counts.
    pub(crate) fn monitor_variables(&self, id: ServiceId) -> Variables {
        let Some(trigger) = self.engine.service(id.service()).trigger() else { return Vec::new() };
        let mut variables = vec![
            ("MONITOR_UNIT", self.name(trigger.by).to_owned()),
            ("MONITOR_SERVICE_RESULT", result(trigger).to_owned()),
        ];
        if let Some(invocation) = trigger.invocation {
            variables.push(("MONITOR_INVOCATION_ID", self.invocation_id(invocation)));
        }
        if let Some((code, status)) = trigger.exit.and_then(outcome::exit_words) {
            variables.push(("MONITOR_EXIT_CODE", code.to_owned()));
            variables.push(("MONITOR_EXIT_STATUS", status));
        }
        variables
    }
}

/// In systemd's words (`$SERVICE_RESULT` of `systemd.exec(5)`); what could not be started because of
/// another service has the result `dependency`, as its jobs have.
const fn result(trigger: &Trigger) -> &'static str {
    match &trigger.failure {
        None => "success",
        Some(FailReason::StartLimit) => "start-limit-hit",
        Some(FailReason::Dependency(_) | FailReason::Conflict(_)) => "dependency",
        Some(FailReason::Ended(ending)) => outcome::of_ending(ending),
    }
}
