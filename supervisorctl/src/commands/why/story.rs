//! The states of services as paragraphs, each with what it speaks of, and what to do about it.

use std::collections::BTreeMap;

use supervisor_api::{Service, Snapshot, State};

use crate::duration::for_people;
use crate::ui::one_line;

/// Tells of services, of each at length only once.
pub(super) struct Story<'a> {
    now_ms: u64,
    services: BTreeMap<&'a str, &'a Service>,
    told: BTreeMap<&'a str, &'a Service>,
}

impl<'a> Story<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let services = snapshot.services.iter().map(|service| (service.name.as_str(), service));
        Self { now_ms: snapshot.now_ms, services: services.collect(), told: BTreeMap::new() }
    }

    /// A paragraph on the service: a line on it and one on what to do, then, further to the right,
    /// those on the services that its reason speaks of, and so on. `None` if another paragraph has
    /// told it.
    pub(super) fn tell(&mut self, service: &'a Service) -> Option<String> {
        if self.told.contains_key(service.name.as_str()) {
            return None;
        }
        let mut lines = Vec::new();
        // A chain can be as long as the spec: no recursion.
        let mut next = vec![(0, service)];
        while let Some((depth, service)) = next.pop() {
            let indent = "  ".repeat(depth);
            let is_new = self.told.insert(&service.name, service).is_none();
            let reasons = if is_new { self.reasons(service) } else { vec!["see above".to_owned()] };
            let colon = if reasons.is_empty() { "" } else { ": " };
            let (name, state, reasons) = (&service.name, words(service.state), reasons.join("; "));
            lines.push(format!("{indent}{name} {state}{colon}{reasons}"));
            if !is_new {
                continue;
            }
            lines.extend(advice(service).map(|advice| format!("{indent}  hint: {advice}")));
            let spoken_of = service.why.services.iter().rev();
            let others = spoken_of.filter_map(|name| self.services.get(name.as_str()));
            next.extend(others.map(|other| (depth + 1, *other)));
        }
        Some(lines.join("\n"))
    }

    /// All that were told of, by name.
    pub(super) fn told(&self) -> impl Iterator<Item = &'a Service> {
        self.told.values().copied()
    }

    /// The reason, what the service says of it, and when that ends.
    fn reasons(&self, service: &Service) -> Vec<String> {
        let mut reasons = Vec::new();
        if service.why.code != "up" {
            reasons.push(one_line(&service.why.message));
        }
        if let (true, Some(status)) = (is_busy(service.state), &service.status) {
            reasons.push(format!("it says \"{}\"", one_line(status)));
        }
        if let Some((deadline, what)) = service.deadline_ms.zip(at_deadline(service.state)) {
            let left = for_people(deadline.saturating_sub(self.now_ms));
            reasons.push(format!("{what} in {left}"));
        }
        reasons
    }
}

const fn words(state: State) -> &'static str {
    match state {
        State::Stopped => "is stopped",
        State::Waiting => "is waiting",
        State::Starting => "is starting",
        State::Running => "is running",
        State::Reloading => "is reloading",
        State::Stopping => "is stopping",
        State::Backoff => "is in backoff",
        State::Exited => "has exited",
        State::Failed => "has failed",
    }
}

/// Whether it works on its way to another state.
const fn is_busy(state: State) -> bool {
    match state {
        State::Starting | State::Reloading | State::Stopping => true,
        State::Stopped
        | State::Waiting
        | State::Running
        | State::Backoff
        | State::Exited
        | State::Failed => false,
    }
}

/// What happens when the state has lasted too long.
const fn at_deadline(state: State) -> Option<&'static str> {
    match state {
        State::Starting => Some("its start times out"),
        State::Reloading => Some("its time is up"),
        State::Stopping => Some("the next step of its stop comes"),
        State::Backoff => Some("tried again"),
        State::Stopped | State::Waiting | State::Running | State::Exited | State::Failed => None,
    }
}

/// What a person can do, if there is something.
fn advice(service: &Service) -> Option<String> {
    let name = &service.name;
    match (service.state, service.why.code.as_str()) {
        (State::Stopped, "shutdown") | (State::Waiting | State::Running, _) => None,
        (State::Stopped | State::Exited, _) => Some(format!("supervisorctl start {name}")),
        (State::Starting | State::Reloading, _) => Some(format!("supervisorctl logs {name}")),
        (State::Stopping, _) => {
            Some(format!("to kill it at once, supervisorctl stop --mode force {name}"))
        }
        (State::Backoff, _) => {
            Some(format!("supervisorctl logs {name}; to try now, supervisorctl start {name}"))
        }
        (State::Failed, "spawn" | "dependency") => {
            Some(format!("when that is mended, supervisorctl start {name}"))
        }
        (State::Failed, _) => Some(format!(
            "supervisorctl logs {name}; when it is mended, supervisorctl start {name}"
        )),
    }
}
