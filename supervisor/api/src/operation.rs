//! Operations: requests that are followed to their end. Durations are milliseconds.

use serde::{Deserialize, Serialize};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Bring up, with what it needs.
    Start,
    /// Bring down, with what cannot be without it.
    Stop,
    /// Down and up again.
    Restart,
    /// Let it read its configuration again.
    Reload,
    /// Send a signal to the main process.
    Signal,
    /// Forget failures and start limits.
    Reset,
    /// Change how many instances there are.
    Scale,
}

impl Verb {
    /// The word in JSON and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Signal => "signal",
            Self::Reset => "reset",
            Self::Scale => "scale",
        }
    }
}

/// Body of `POST /v1/operations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the JSON object")]
pub struct OperationRequest {
    /// What to do.
    pub verb: Verb,
    /// Names, groups, `group:*`, globs or `all`.
    pub targets: Vec<String>,
    /// Longest time to wait for the end, `"30s"`; the operation itself goes on after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// The stop mode: `graceful` (default), `force`, or one that a spec names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// For `signal`: name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Answer the plan instead of doing it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Answer when it has ended instead of at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wait: bool,
    /// Leave dependents alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_dependents: bool,
    /// For `restart`: one after the other, each when the one before it is up again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolling: bool,
    /// For `scale`: how many instances each target is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
}

/// An operation and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its number, for `/v1/operations/{id}`.
    pub id: u64,
    /// What it does; `boot` and `shutdown` are the daemon's own.
    pub verb: String,
    /// Whether it has ended.
    pub done: bool,
    /// Whether every item ended well; `false` while it runs.
    pub ok: bool,
    /// Since it began, or how long it took.
    pub elapsed_ms: u64,
    /// The services it touches: the named ones first, then those pulled in.
    pub items: Vec<Item>,
}

/// One service of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The service.
    pub service: String,
    /// Whether the caller named it; else it was pulled in by a dependency.
    pub named: bool,
    /// How it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ItemResult>,
    /// For people: what it is doing or why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemResult {
    /// It is up (and was not before).
    Started,
    /// It was not to be started: a condition is not met.
    Skipped,
    /// It was up already.
    AlreadyStarted,
    /// It is down (and was not before).
    Stopped,
    /// It was down already.
    NotRunning,
    /// It was up, went down and is up again.
    Restarted,
    /// It has read its configuration again.
    Reloaded,
    /// The signal is sent.
    Signalled,
    /// Failures and limits are forgotten.
    Reset,
    /// It is there now, and down.
    Added,
    /// It was there before.
    Unchanged,
    /// It is down, and not there any more.
    Removed,
    /// The process could not be started.
    SpawnFailed,
    /// The process ended, or was ended, before it was up.
    StartFailed,
    /// Something that it requires failed.
    DependencyFailed,
    /// Too many starts in too short a time.
    StartLimit,
    /// It has no way to reload, or its reload failed.
    ReloadFailed,
    /// It is still there after `KILL`.
    StopFailed,
    /// A later request asked for the opposite.
    Superseded,
    /// Another service, with which it cannot be up together, is to be up or does not go.
    Conflict,
    /// It was left as it is, because one before it failed.
    NotTried,
}

impl ItemResult {
    /// Whether what was asked for is now true.
    pub const fn is_ok(self) -> bool {
        match self {
            Self::Started
            | Self::Skipped
            | Self::AlreadyStarted
            | Self::Stopped
            | Self::NotRunning
            | Self::Restarted
            | Self::Reloaded
            | Self::Signalled
            | Self::Reset
            | Self::Added
            | Self::Unchanged
            | Self::Removed => true,
            Self::SpawnFailed
            | Self::StartFailed
            | Self::DependencyFailed
            | Self::StartLimit
            | Self::ReloadFailed
            | Self::StopFailed
            | Self::Superseded
            | Self::Conflict
            | Self::NotTried => false,
        }
    }
}

/// Answer to `dry_run`: what would happen, wave by wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What would be done.
    pub verb: Verb,
    /// Each wave begins when the one before it is done.
    pub waves: Vec<PlanWave>,
    /// Longest time by the configured timeouts; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_ms: Option<u64>,
    /// For people: the chain of stops that takes longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_stop: Option<String>,
    /// For people: what a shutdown would cut short.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Services that are handled at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanWave {
    /// Sorted by name.
    pub steps: Vec<PlanStep>,
}

/// What happens to one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// The service.
    pub service: String,
    /// `start`, `stop`, `add` or `remove`.
    pub action: String,
    /// `named`, or the relation that pulls it in: `required by web`.
    pub why: String,
    /// Longest time by its configured timeouts; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_ms: Option<u64>,
}

/// Body of `POST /v1/shutdown`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShutdownRequest {
    /// `graceful` (default), `force`, or one that a spec names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Budget, `"30s"`; only ever shortens a running one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Stream the progress and end with the report.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wait: bool,
}

/// One line of the answer to a shutdown with `wait`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ShutdownMessage {
    /// A service changed its state.
    Event(super::Event),
    /// The last line.
    Report(Report),
}

/// How a shutdown went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// From the request to the end.
    pub took_ms: u64,
    /// Services that were up, in the order in which they were gone.
    pub services: Vec<ReportService>,
}

/// How one service was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportService {
    /// The service.
    pub service: String,
    /// From the first step to the end.
    pub took_ms: u64,
    /// What its steps would have taken at most without the time limit of the shutdown; one without a
    /// timeout counts as the whole limit. Absent: there was no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_ms: Option<u64>,
    /// By how much the limit cut them short.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub short_ms: u64,
    /// Whether it had to be killed.
    pub killed: bool,
    /// How its main process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<super::Exit>,
    /// The steps, in order.
    pub phases: Vec<StopPhase>,
}

/// One step of a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPhase {
    /// `command`, `signal TERM`, `sleep`, `signal KILL`, `announced` (it said `STOPPING=1`), …
    pub step: String,
    /// How long the step took.
    pub took_ms: u64,
    /// `gone`, `timeout`, `failed: exit status 1`, …
    pub result: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
