//! Faults of log files, for whoever tells people about them.

use std::io;
use std::path::{Path, PathBuf};

use supervisor_engine::ServiceId;
use tokio::sync::mpsc::UnboundedSender;

/// A log file could not be written, or can be written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The service whose output met the fault.
    pub service: ServiceId,
    /// The file.
    pub path: PathBuf,
    /// What happened.
    pub kind: FaultKind,
}

/// What happened to a log file. Each is said once per outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Output does not reach the file; it is kept in memory as far as the buffer goes.
    WriteFailed {
        /// The operating system's reason.
        error: String,
    },
    /// Output reaches the file again.
    WriteResumed {
        /// How many bytes are missing in the file.
        lost: u64,
    },
    /// The file is larger than it should be; it is still written.
    RotationFailed {
        /// The operating system's reason.
        error: String,
    },
    /// The file was rotated after all.
    RotationResumed,
}

/// Says faults to the daemon's log and to the runtime.
#[derive(Clone, Debug)]
pub(super) struct FaultSender(pub(super) UnboundedSender<Fault>);

impl FaultSender {
    pub(super) fn write_failed(&self, service: ServiceId, path: &Path, error: &io::Error) {
        tracing::warn!(path = %path.display(), error = %error, "log file cannot be written");
        self.send(service, path, FaultKind::WriteFailed { error: error.to_string() });
    }

    pub(super) fn write_resumed(&self, service: ServiceId, path: &Path, lost: u64) {
        tracing::warn!(path = %path.display(), lost, "log file can be written again");
        self.send(service, path, FaultKind::WriteResumed { lost });
    }

    pub(super) fn rotation_failed(&self, service: ServiceId, path: &Path, error: &io::Error) {
        tracing::warn!(path = %path.display(), error = %error, "log file cannot be rotated");
        self.send(service, path, FaultKind::RotationFailed { error: error.to_string() });
    }

    pub(super) fn rotation_resumed(&self, service: ServiceId, path: &Path) {
        tracing::warn!(path = %path.display(), "log file can be rotated again");
        self.send(service, path, FaultKind::RotationResumed);
    }

    fn send(&self, service: ServiceId, path: &Path, kind: FaultKind) {
        // Nobody listens any more when the runtime is already gone.
        let _ = self.0.send(Fault { service, path: path.to_owned(), kind });
    }
}
