//! Whole command lines.
use supervisor_api::{Service, State, Why};

/// A stopped service.
pub(crate) fn service(name: &str) -> Service {
    Service {
        name: name.into(),
        instance: None,
        groups: Vec::new(),
        description: String::new(),
        kind: "simple".into(),
        enabled: true,
        state: State::Stopped,
        since_ms: 0,
        pid: None,
        started_ms: None,
        invocation: None,
        status: None,
        ready: false,
        restarts: 0,
        exit: None,
        exited_ms: None,
        deadline_ms: None,
        why: Why { code: "never-started".into(), services: Vec::new(), message: String::new() },
    }
}
