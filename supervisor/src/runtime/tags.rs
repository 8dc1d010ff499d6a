//! The tags by which the processes of services are found, also after they have left everything
//! else behind.

use supervisor_engine::ServiceId;

/// One tag for each service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tags {
    base: u64,
}

impl Tags {
    /// Tags that no other daemon has. Those of a daemon that is itself supervised by one are lower
    /// than its own tag, since without privilege a tag can only be lowered.
    pub(crate) fn new() -> Self {
        const HIGHEST: u64 = 1 << 56;
        // 24 bits are room for all services; a pid has 22 at most.
        Self { base: HIGHEST - (u64::from(std::process::id()) << 24) }
    }

    /// What all processes of this service are started with.
    pub(crate) fn of(self, id: ServiceId) -> u64 {
        self.base + u64::from(id.0)
    }
}
