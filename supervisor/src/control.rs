//! The HTTP/1.1 API on the control socket.
//!
//! This module knows nothing of services: it turns each request into a [`Call`] to the runtime
//! loop and the reply into JSON. Nothing that a client does, or fails to do, can make the loop
//! wait: calls go through a bounded channel, replies through oneshot channels, events are pulled
//! by those who read them ([`EventLog`]), and everything a client may take its time over has a
//! limit, all of them below.

pub mod answer;
pub mod call;
pub mod events;
pub mod handlers;
pub mod listener;
pub mod query;
pub mod router;
pub mod server;
pub mod session;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod wire;

use std::time::Duration;

pub use call::{Call, Caller, LogStream, Readiness, Reply, Shutdown};
pub use events::{EventLog, Gone, Subscription};
pub use listener::{BindError, ControlListener};
pub use server::{ServerHandle, serve};

/// Longest request line and header fields together, in bytes; longer is answered with 431.
pub const MAX_HEAD: usize = 16 * 1024;
/// Longest request body in bytes; longer is answered with 413.
pub const MAX_BODY: usize = 1024 * 1024;
/// Most connections at a time, fewer where descriptors are scarce; one more is answered with 503
/// and closed.
pub const MAX_CONNECTIONS: usize = 256;
/// Connections taken before everything else on the runtime gets its turn.
pub const ACCEPTS_PER_TURN: usize = 8;
/// Longest time from the first byte of a request (or from connecting) to its last.
pub const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Longest time that a client may leave an answer unread before it is dropped.
pub const UNREAD_TIME: Duration = Duration::from_secs(30);
/// Longest time for answers under way when the daemon ends.
pub const CLOSE_TIME: Duration = Duration::from_secs(1);
/// Wait before the next try when no connection can be taken, as with `EMFILE`.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Lines of log that are answered if the request does not say how many.
pub const DEFAULT_TAIL: usize = 100;
/// Most lines of log that are answered; a greater `tail` means this.
pub const MAX_TAIL: usize = 10_000;
