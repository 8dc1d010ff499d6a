//! Requests followed to their end: what each service of a request has come to.

mod follow_up;

use std::collections::{BTreeMap, VecDeque};

use crate::exit::{Exit, SpawnError};
use crate::id::{OperationId, ServiceId};
use crate::moment::Moment;
use crate::state::FailReason;

/// How many ended operations can still be looked up.
pub const ENDED_OPERATIONS_KEPT: usize = 64;

/// A request and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was asked for.
    pub verb: Verb,
    /// When.
    pub began: Moment,
    /// When its last item ended.
    pub ended: Option<Moment>,
    /// One for each service that it touches: the named ones first, in the order of the request.
    pub items: Vec<Item>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// [`Request::Boot`](crate::Request::Boot).
    Boot,
    /// [`Request::Start`](crate::Request::Start).
    Start,
    /// [`Request::Stop`](crate::Request::Stop).
    Stop,
    /// [`Request::Restart`](crate::Request::Restart) or [`Request::Roll`](crate::Request::Roll).
    Restart,
    /// [`Request::Reload`](crate::Request::Reload).
    Reload,
    /// [`Request::Signal`](crate::Request::Signal).
    Signal,
    /// [`Request::Reset`](crate::Request::Reset).
    Reset,
    /// [`Request::Scale`](crate::Request::Scale).
    Scale,
    /// [`Request::Shutdown`](crate::Request::Shutdown).
    Shutdown,
}

/// One service of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The service.
    pub service: ServiceId,
    /// Whether the request named it; else a dependency pulled it in.
    pub named: bool,
    /// What it is to come to.
    pub aim: Aim,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
}

/// What an item waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// To be up.
    Up,
    /// To be down.
    Down,
    /// To have been down, and then up.
    Cycle {
        /// Whether it has been down.
        was_down: bool,
    },
    /// To have a new process that has taken the place of the old one.
    Overlap {
        /// Whether it has, so that only the old one is to end.
        replaced: bool,
    },
    /// To have reloaded.
    Reload {
        /// Whether the reload that runs now is the one that was asked for.
        begun: bool,
    },
    /// To be restarted when its turn has come.
    Turn,
    /// Nothing: it was done at once.
    None,
}

/// How an item ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is up now.
    Started,
    /// It was not to be started: a condition is not met.
    Skipped,
    /// It was up before.
    AlreadyUp,
    /// It is down now.
    Stopped,
    /// It was down before.
    AlreadyDown,
    /// It was down in between and is up now.
    Restarted,
    /// It has reloaded.
    Reloaded,
    /// The signal was sent.
    Signalled,
    /// Its failures are forgotten.
    Reset,
    /// It is one of the services now, and down.
    Added,
    /// It was one of the services before.
    Unchanged,
    /// It is down and not one of the services any more.
    Removed,
    /// It did not come up. It may be tried again by its restart policy.
    Failed(FailReason),
    /// It has no process that could be signalled or reloaded.
    NotRunning,
    /// It lives, but without a main process that is known, which is what would be signalled.
    NoMain,
    /// Its spec says no way to reload.
    CannotReload,
    /// The reload command ended like this.
    ReloadFailed(Exit),
    /// The reload command could not be started.
    ReloadNotStarted(SpawnError),
    /// The reload took too long; the service is still up.
    ReloadTimeout,
    /// It is there even after `KILL`.
    Stuck,
    /// A later request asked for the opposite, or one before that is for good.
    Superseded,
    /// It is not started: this one, which is to be up too, conflicts with it or with what it needs.
    ConflictsWith(ServiceId),
    /// Its turn did not come, because one before it failed.
    NotTried,
}

impl Outcome {
    /// Whether what was asked for is true now.
    pub const fn is_ok(&self) -> bool {
        match self {
            Self::Started
            | Self::Skipped
            | Self::AlreadyUp
            | Self::Stopped
            | Self::AlreadyDown
            | Self::Restarted
            | Self::Reloaded
            | Self::Signalled
            | Self::Reset
            | Self::Added
            | Self::Unchanged
            | Self::Removed => true,
            Self::Failed(_)
            | Self::NotRunning
            | Self::NoMain
            | Self::CannotReload
            | Self::ReloadFailed(_)
            | Self::ReloadNotStarted(_)
            | Self::ReloadTimeout
            | Self::Stuck
            | Self::Superseded
            | Self::ConflictsWith(_)
            | Self::NotTried => false,
        }
    }
}

/// All operations that run, and the last that have ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    known: BTreeMap<OperationId, Tracked>,
    /// Ended ones that were told of, the first first.
    ended: VecDeque<OperationId>,
    /// Ended ones that nobody was told of yet.
    news: VecDeque<OperationId>,
    last: u64,
}

#[derive(Clone, Debug)]
struct Tracked {
    operation: Operation,
    pending: usize,
    /// Where each service's item is.
    places: BTreeMap<ServiceId, usize>,
}

impl Operations {
    /// Takes note of a new operation; one without pending items has ended at once.
    pub(crate) fn begin(&mut self, verb: Verb, items: Vec<Item>, now: Moment) -> OperationId {
        self.last += 1;
        let id = OperationId(self.last);
        let pending = items.iter().filter(|item| item.outcome.is_none()).count();
        let places = items.iter().enumerate().map(|(place, item)| (item.service, place)).collect();
        let operation = Operation { verb, began: now, ended: None, items };
        self.known.insert(id, Tracked { operation, pending, places });
        if pending == 0 {
            self.end(id, now);
        }
        id
    }

    pub(crate) fn get(&self, id: OperationId) -> Option<&Operation> {
        self.known.get(&id).map(|tracked| &tracked.operation)
    }

    pub(crate) fn item(&self, id: OperationId, service: ServiceId) -> Option<&Item> {
        let tracked = self.known.get(&id)?;
        tracked.operation.items.get(*tracked.places.get(&service)?)
    }

    pub(crate) fn set_aim(&mut self, id: OperationId, service: ServiceId, aim: Aim) {
        if let Some(tracked) = self.known.get_mut(&id)
            && let Some(place) = tracked.places.get(&service)
        {
            tracked.operation.items[*place].aim = aim;
        }
    }

    /// Ends the item of one service, and the operation with its last one.
    pub(crate) fn resolve(
        &mut self,
        id: OperationId,
        service: ServiceId,
        outcome: Outcome,
        now: Moment,
    ) {
        let Some(tracked) = self.known.get_mut(&id) else { return };
        let Some(place) = tracked.places.get(&service) else { return };
        let item = &mut tracked.operation.items[*place];
        if item.outcome.is_none() {
            item.outcome = Some(outcome);
            tracked.pending -= 1;
            if tracked.pending == 0 {
                self.end(id, now);
            }
        }
    }

    /// The next that has ended. Those that were told of longest ago are forgotten.
    pub(crate) fn poll_ended(&mut self) -> Option<OperationId> {
        let id = self.news.pop_front()?;
        self.ended.push_back(id);
        if self.ended.len() > ENDED_OPERATIONS_KEPT
            && let Some(oldest) = self.ended.pop_front()
        {
            self.known.remove(&oldest);
        }
        Some(id)
    }

    fn end(&mut self, id: OperationId, now: Moment) {
        if let Some(tracked) = self.known.get_mut(&id) {
            tracked.operation.ended = Some(now);
        }
        self.news.push_back(id);
    }
}
