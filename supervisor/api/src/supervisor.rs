//! The daemon as the API shows it.

use serde::{Deserialize, Serialize};

/// Answer to `GET /v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Version of `supervisord`.
    pub version: String,
    /// Version of the API.
    pub api_version: String,
    /// Pid of the daemon, in its own pid namespace.
    pub pid: u32,
    /// Changes with each start of the daemon.
    pub boot_id: String,
    /// When it started, Unix time in milliseconds.
    pub started_ms: u64,
    /// What it is doing.
    pub state: DaemonState,
    /// The spec files.
    pub spec_files: Vec<String>,
    /// The last event.
    pub rev: u64,
}

/// What the daemon is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DaemonState {
    /// Brings up the enabled services.
    Starting,
    /// All that should be up is, or has failed.
    Running,
    /// Shuts down.
    Stopping,
}
