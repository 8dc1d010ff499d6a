//! Services as the API shows them. Times are Unix time in milliseconds, durations milliseconds.

use serde::{Deserialize, Serialize};

/// State of all services at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Changes with each start of the daemon; `rev` counts within it.
    pub boot_id: String,
    /// The last event that this snapshot includes.
    pub rev: u64,
    /// When it was taken.
    pub now_ms: u64,
    /// Sorted by name.
    pub services: Vec<Service>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Full name, with `@instance`.
    pub name: String,
    /// The part behind `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Groups that it is a member of, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `simple`, `notify`, `notify-reload`, `forking`, `oneshot` or `target`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is started with the daemon.
    pub enabled: bool,
    /// What it is doing.
    pub state: State,
    /// Since when.
    pub since_ms: u64,
    /// Pid of the main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// How many processes it has, where it goes on although its main process is gone or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<usize>,
    /// When the main process was started, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<u64>,
    /// Number of the present or last invocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<u64>,
    /// Last `STATUS=` of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Whether it counts as up.
    pub ready: bool,
    /// What its liveness probe has found out, if it is up and has one, or is stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Automatic restarts since the daemon started or `reset`.
    pub restarts: u64,
    /// How the last main process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exited_ms: Option<u64>,
    /// When the present wait ends by itself: the next try, `KILL`, the start timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Why it is in its state.
    pub why: Why,
}

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not running, and nothing will start it but a request.
    Stopped,
    /// Waits for dependencies.
    Waiting,
    /// Started, not up yet.
    Starting,
    /// Up.
    Running,
    /// Up, and reads its configuration again.
    Reloading,
    /// On its way down.
    Stopping,
    /// Waits before the next try.
    Backoff,
    /// Ended well and is not to be restarted.
    Exited,
    /// Gave up; needs a person.
    Failed,
}

impl State {
    /// The word in JSON and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Reloading => "reloading",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Exited => "exited",
            Self::Failed => "failed",
        }
    }
}

/// What a liveness probe has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Nothing yet.
    Unknown,
    /// The service answers.
    Healthy,
    /// It did not, too often in a row.
    Unhealthy,
}

/// Why a service is in its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// For programs, kebab-case: `requested`, `never-started`, `dependency`, `start-limit`,
    /// `exit`, `start-timeout`, `watchdog`, `unhealthy`, `protocol`, `spawn`, `waits-for`, `backoff`, …
    pub code: String,
    /// The services that it speaks of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// For people, one sentence, lower case, without full stop.
    pub message: String,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, 0 to 255, if it called `exit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// Name of the signal that ended it, without `SIG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Whether it left a core dump.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub core: bool,
}

/// One service in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDetail {
    /// What the snapshot shows too.
    #[serde(flatten)]
    pub service: Service,
    /// Where it is written: `file:line`.
    pub place: String,
    /// Its command.
    pub command: Vec<String>,
    /// What it needs, each as `requires db`, and the state of that.
    pub dependencies: Vec<Relation>,
    /// What needs it.
    pub dependents: Vec<Relation>,
    /// Where its output goes, if into a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Names of the file descriptors that are kept for its next start, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stored_fds: Vec<String>,
    /// What it has said of its failure or end since its last start.
    #[serde(default, skip_serializing_if = "Said::is_empty")]
    pub said: Said,
    /// The last invocations that have ended, newest first, 20 at most.
    pub runs: Vec<Run>,
}

/// What a service has said of its failure or end; nothing follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// `ERRNO=`: a number of `errno(3)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<u16>,
    /// `BUSERROR=`: a D-Bus error name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus_error: Option<String>,
    /// `VARLINKERROR=`: a Varlink error name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub varlink_error: Option<String>,
    /// `EXIT_STATUS=`: the status that it would exit with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<u8>,
}

impl Said {
    /// Whether it has said nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A dependency or a dependent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// `requires`, `wants`, `binds-to`, `part-of`, `after`, `before`.
    pub kind: String,
    /// The other service.
    pub name: String,
    /// Its state.
    pub state: State,
}

/// One invocation that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its number.
    pub invocation: u64,
    /// When it began.
    pub started_ms: u64,
    /// From spawn to up, if it came up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_after_ms: Option<u64>,
    /// From spawn until all was gone.
    pub lasted_ms: u64,
    /// How its main process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// One word or sentence on why it ended.
    pub reason: String,
    /// How its stop went, if it was stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<super::StopPhase>,
}
