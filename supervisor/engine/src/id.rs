//! The names by which the engine and the runtime speak of things.

use std::fmt;

/// A service: its place in the list of specs that the engine was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

impl ServiceId {
    /// The place in a slice that is laid out like the engine's list of services.
    pub const fn index(self) -> usize {
        self.0 as usize
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
