//! engine
mod action;
mod exit;
mod graph;
mod id;
mod input;
mod moment;
mod signal;
mod spec;
pub use action::*;
pub use exit::*;
pub use graph::*;
pub use id::*;
pub use input::*;
pub use moment::*;
pub use signal::*;
pub use spec::*;
