//! The event stream: numbers events, keeps the last ones, and lets subscribers read at their pace.
//!
//! Subscribers pull from the one ring, each with a place of its own: publishing costs the same
//! whether nobody listens or hundreds do, and a slow subscriber costs nothing. When the ring has
//! moved past its place it is told so and has to begin again from a snapshot.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use supervisor_api::{ErrorBody, ErrorCode, Event, EventKind};
use tokio::sync::watch;

/// How many events are kept.
pub const KEPT: usize = 1024;

/// The publishing end, owned by the runtime loop. Dropping it ends all subscriptions after what
/// they have not read yet.
#[derive(Debug)]
pub struct EventLog {
    ring: Arc<Mutex<Ring>>,
    published: watch::Sender<u64>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new()
    }
}

impl EventLog {
    /// No event yet; the first gets the number 1.
    pub fn new() -> Self {
        Self { ring: Arc::default(), published: watch::Sender::new(0) }
    }

    /// The number of the last event; 0 before the first.
    pub fn rev(&self) -> u64 {
        *self.published.borrow()
    }

    /// How many subscriptions there are.
    pub fn subscribers(&self) -> usize {
        self.published.receiver_count()
    }

    /// Numbers an event, keeps it and wakes the subscribers. `time_ms` is Unix time.
    pub fn publish(&mut self, kind: EventKind, time_ms: u64) -> u64 {
        let rev = lock(&self.ring).push(kind, time_ms);
        self.published.send_replace(rev);
        rev
    }

    /// Subscribes to all events after `since`, or from now on.
    pub fn subscribe(&self, since: Option<u64>) -> Result<Subscription, Gone> {
        let last = self.rev();
        let since = since.unwrap_or(last);
        let oldest = lock(&self.ring).oldest();
        if since > last || since + 1 < oldest {
            return Err(Gone { since, oldest, last });
        }
        Ok(Subscription {
            ring: Arc::clone(&self.ring),
            published: self.published.subscribe(),
            next: since + 1,
        })
    }
}

/// One reader of the events.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Mutex<Ring>>,
    published: watch::Receiver<u64>,
    next: u64,
}

impl Subscription {
    /// The next event, `None` when there will be none. After [`Lagged`] it goes on with the oldest
    /// event that is kept. Cancel safe: no event is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        loop {
            // Marked as seen before looking: what is published after the look wakes us.
            let closed = self.published.has_changed().is_err();
            self.published.mark_unchanged();
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if closed {
                return None;
            }
            // An error means closed, and the next turn takes what was published before that.
            let _ = self.published.changed().await;
        }
    }

    /// The next event if it has happened already.
    pub fn try_next(&mut self) -> Option<Result<Event, Lagged>> {
        let ring = lock(&self.ring);
        let oldest = ring.oldest();
        if self.next < oldest {
            let missed = oldest - self.next;
            self.next = oldest;
            return Some(Err(Lagged { missed }));
        }
        let event = ring.get(self.next)?.clone();
        self.next += 1;
        Some(Ok(event))
    }
}

/// The subscriber was too slow: events that it has not read are no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{missed} events were missed because they were not read in time")]
pub struct Lagged {
    /// How many.
    pub missed: u64,
}

impl From<Lagged> for ErrorBody {
    fn from(lagged: Lagged) -> Self {
        gone(lagged.to_string())
    }
}

/// A subscription asked for events that are not kept any more, or that never were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the events after {since} are not kept, only {oldest} to {last}")]
pub struct Gone {
    /// What was asked for.
    pub since: u64,
    /// The oldest event that is kept.
    pub oldest: u64,
    /// The newest.
    pub last: u64,
}

impl From<Gone> for ErrorBody {
    fn from(gone_error: Gone) -> Self {
        gone(gone_error.to_string())
    }
}

fn gone(message: String) -> ErrorBody {
    ErrorBody {
        code: ErrorCode::Gone,
        message,
        hint: Some("take a snapshot from /v1/services and go on from its `rev`".into()),
        details: Vec::new(),
    }
}

/// The last events; their numbers have no gaps, so a number is a place.
#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    last: u64,
}

impl Ring {
    fn push(&mut self, kind: EventKind, time_ms: u64) -> u64 {
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.last += 1;
        self.events.push_back(Event { rev: self.last, time_ms, kind });
        self.last
    }

    /// The number of the oldest event that is kept, or of the first to come.
    fn oldest(&self) -> u64 {
        self.events.front().map_or(self.last + 1, |event| event.rev)
    }

    fn get(&self, rev: u64) -> Option<&Event> {
        let place = usize::try_from(rev.checked_sub(self.oldest())?).ok()?;
        self.events.get(place)
    }
}

/// Nothing panics while it holds the lock, so a poisoned one is as good as any.
fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
