//! The names by which the engine and the runtime speak of things.

use std::fmt;

/// A service: its place in the list of specs that the engine was built with. Or its companion, which
/// holds its second process while one takes the place of the other (`restart-mode = "overlap"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

impl ServiceId {
    /// What the id of a companion has and no other.
    const COMPANION: u32 = 1 << 31;

    /// The place in a slice that is laid out like the engine's list of services.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The companion of a service.
    #[must_use]
    pub const fn companion(self) -> Self {
        Self(self.0 | Self::COMPANION)
    }

    /// Whether it is a companion.
    pub const fn is_companion(self) -> bool {
        self.0 & Self::COMPANION != 0
    }

    /// The service, of itself or of its companion.
    #[must_use]
    pub const fn service(self) -> Self {
        Self(self.0 & !Self::COMPANION)
    }
}

/// One execution of a service, from the decision to spawn until all of its processes are gone.
///
/// Never used twice by one engine, so that a late report can be told from news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Invocation(pub u64);

/// A way to stop that specs have a name for. Who makes the specs gives out the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModeId(pub u32);

/// A request that is followed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
