//! The time limit of a shutdown, shared out between the stops.
//!
//! When a step of a stop begins, everything that has to be gone before it is gone. So what is left of
//! the limit belongs to the step, to what follows in the same stop and to the heaviest chain of
//! stops that wait for that one. If all of it does not fit, each gets its part in proportion to the
//! time that its spec gives it. Along a chain in which everybody uses up what he has this is
//! `limit × up / (up + tail)`, where `up` is the time wanted up to the end of a stop and `tail` the
//! time wanted after it; and what somebody leaves over is shared out again with the next step.

use std::iter;
use std::time::Duration;

use crate::engine::Engine;
use crate::graph::Graph;
use crate::id::ServiceId;
use crate::input::Manner;
use crate::moment::Moment;
use crate::state::{State, Step, Stopping};
use crate::stopping::{Departure, KILL_PATIENCE};

/// The least that the kernel is given to carry out `KILL` while other stops wait.
const LEAST_KILL_PATIENCE: Duration = Duration::from_secs(1);

/// What the time limit of a shutdown meant for one stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Allotted {
    /// How long its steps would have lasted at most without the limit, from the begin of the stop. A
    /// step without a timeout counts as the whole limit.
    pub asked: Duration,
    /// By how much they were cut short; zero for what went in time.
    pub short: Duration,
}

/// The part of a step in the time of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share {
    /// When it was given.
    pub since: Moment,
    /// For how much of the step, by its timeout.
    pub wanted: Duration,
    /// The latest deadline that it allows.
    pub limit: Moment,
}

/// The stops that a shutdown with a time limit has yet to begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlook {
    /// What a step without a timeout counts as.
    whole: Duration,
    /// The time that each service wants whose stop is yet to begin.
    needs: Vec<Option<Duration>>,
    /// The heaviest chain of such stops behind each service.
    tails: Vec<Duration>,
    /// Whether the tails are those of other needs.
    stale: bool,
    /// All services, each behind those that stop later.
    order: Vec<ServiceId>,
}

impl Engine {
    /// The shutdown was asked for, or has less time than before: shares it out anew, also between
    /// those that are stopping already.
    pub(crate) fn share_out(&mut self, now: Moment) {
        let Some(until) = self.limit() else { return };
        self.outlook.whole = until - now;
        self.outlook.order = self.graph.start_order();
        // Also the places of what was removed, which want nothing.
        self.outlook.needs = self.graph.ids().map(|id| self.need(id)).collect();
        self.outlook.stale = true;
        for id in self.slots() {
            let State::Stopping(stopping) = &self.get(id).state else { continue };
            let mut stopping = stopping.clone();
            let left = stopping.left(now);
            self.limit_step(id, &mut stopping, left, until, now);
            self.touch(id, |state| *state = State::Stopping(stopping));
        }
    }

    /// Sets the times of a step that begins and may last for `timeout` by the spec.
    pub(crate) fn time_step(
        &mut self,
        id: ServiceId,
        stopping: &mut Stopping,
        timeout: Option<Duration>,
        now: Moment,
    ) {
        stopping.due = now.after(timeout);
        stopping.share = None;
        stopping.deadline = stopping.due;
        if let Some(until) = self.limit() {
            self.limit_step(id, stopping, timeout, until, now);
        }
    }

    /// Takes note of what is taken from a step whose part of the limit is used up.
    pub(crate) fn deny_step(&mut self, id: ServiceId, now: Moment) {
        self.touch(id, |state| {
            if let State::Stopping(stopping) = state {
                stopping.deny(stopping.due.map_or(Duration::ZERO, |due| due - now));
            }
        });
    }

    /// Takes note of what is taken from a stop that the end of the limit breaks off.
    pub(crate) fn deny_rest(&self, id: ServiceId, stopping: &mut Stopping, now: Moment) {
        stopping.deny(stopping.due.map_or(Duration::ZERO, |due| due - now));
        stopping.deny(self.time_behind(id, stopping));
    }

    /// Takes note of what is taken from a stop that the end of the limit forestalls.
    pub(crate) fn deny_all(&mut self, id: ServiceId, need: Duration) {
        self.touch(id, |state| {
            if let State::Stopping(stopping) = state {
                stopping.allotted = Some(Allotted { asked: need, short: need });
            }
        });
    }

    /// The time that a service wants whose stop is yet to begin; `None` for all others.
    pub(crate) fn need(&self, id: ServiceId) -> Option<Duration> {
        let service = self.get(id);
        if !service.state.is_live() || matches!(service.state, State::Stopping(_)) {
            return None;
        }
        let manner = service.manner();
        let departure = self.departure(id);
        Some(departure.map_or(Duration::ZERO, |departure| {
            self.sum(self.stop_timeouts(id, departure, manner).into_iter())
        }))
    }

    /// A service has changed: the tails of those that stop before it may have, too.
    pub(crate) fn note_need(&mut self, id: ServiceId) {
        if self.limit().is_none() {
            return;
        }
        let need = self.need(id);
        let Some(known) = self.outlook.needs.get_mut(id.index()) else { return };
        if std::mem::replace(known, need) != need {
            let mut earlier = self.graph.successors(id).iter();
            self.outlook.stale |= earlier.any(|id| self.get(*id).state.is_live());
        }
    }

    /// The timeouts of the steps of a stop that is yet to begin.
    pub(crate) fn stop_timeouts(
        &self,
        id: ServiceId,
        mut departure: Departure,
        manner: Manner,
    ) -> Vec<Option<Duration>> {
        match manner {
            Manner::Force => return Vec::new(),
            Manner::Mode(mode) => departure.mode = Some(mode),
            Manner::Graceful => {}
        }
        self.timeouts_from(Some(0), id, &departure)
    }

    /// The timeouts of the steps of the sequence from `index` on, as far as they concern what is
    /// there, and of what comes before `KILL`. `KILL` itself takes no time that is worth to be counted.
    fn timeouts_from(
        &self,
        index: Option<usize>,
        id: ServiceId,
        departure: &Departure,
    ) -> Vec<Option<Duration>> {
        let stop = &self.get(id).spec.stop;
        let drain = (departure.drains && !stop.drain.is_zero()).then_some(Some(stop.drain));
        let steps = index.and_then(|index| stop.sequence(departure.mode).get(index..));
        let steps = steps.unwrap_or_default().iter();
        let steps = steps.filter(|step| departure.concerns(step.how, stop.kill_mode));
        let last = match self.final_step(id, departure) {
            Some(Step::Final(_)) => Some(Some(KILL_PATIENCE)),
            Some(
                Step::Drain
                | Step::Sequence(..)
                | Step::Announced
                | Step::Abort(_)
                | Step::PostStop(_)
                | Step::Kill
                | Step::Stuck,
            )
            | None => None,
        };
        let steps = drain.into_iter().chain(steps.map(|step| step.timeout)).chain(last);
        steps.chain(self.timeouts_after(0, id)).collect()
    }

    /// The times of the commands after a stop, from `index` on.
    fn timeouts_after(
        &self,
        index: usize,
        id: ServiceId,
    ) -> impl Iterator<Item = Option<Duration>> + use<> {
        let spec = &self.get(id).spec;
        let count = spec.commands.post_stop.len().saturating_sub(index);
        iter::repeat_n(spec.stop.command_patience(), count)
    }

    /// The time that the steps behind the present one want.
    fn time_behind(&self, id: ServiceId, stopping: &Stopping) -> Duration {
        let next = match stopping.step {
            Step::Drain => Some(0),
            Step::Sequence(place, _) => Some(place + 1),
            Step::Announced | Step::Abort(_) => None,
            Step::PostStop(index) => return self.sum(self.timeouts_after(index + 1, id)),
            Step::Final(_) | Step::Kill if !stopping.cleaned => {
                return self.sum(self.timeouts_after(0, id));
            }
            Step::Final(_) | Step::Kill | Step::Stuck => return Duration::ZERO,
        };
        self.sum(self.timeouts_from(next, id, &stopping.departure()).into_iter())
    }

    fn limit_step(
        &mut self,
        id: ServiceId,
        stopping: &mut Stopping,
        wanted: Option<Duration>,
        until: Moment,
        now: Moment,
    ) {
        let tail = self.tail(id);
        match stopping.step {
            Step::Drain
            | Step::Sequence(..)
            | Step::Announced
            | Step::Abort(_)
            | Step::Final(_)
            | Step::PostStop(_) => {
                let wanted = wanted.unwrap_or(self.outlook.whole);
                let rest = self.time_behind(id, stopping);
                let asked = (now - stopping.since).saturating_add(wanted).saturating_add(rest);
                stopping.allotted.get_or_insert(Allotted { asked, short: Duration::ZERO });
                stopping.due.get_or_insert(now + wanted);
                let later = rest.saturating_add(tail);
                let limit = latest_end(wanted, later, until, now);
                stopping.share = Some(Share { since: now, wanted, limit });
                stopping.deadline = stopping.due.min(Some(limit));
            }
            // Who cannot even be killed must not use up what the others have.
            Step::Kill if !tail.is_zero() => {
                let fair = part(until - now, KILL_PATIENCE, KILL_PATIENCE.saturating_add(tail));
                let end = stopping.step_since + fair.max(LEAST_KILL_PATIENCE);
                stopping.deadline = stopping.deadline.map(|deadline| deadline.min(end));
            }
            Step::Kill | Step::Stuck => {}
        }
    }

    /// When the running shutdown is over at the latest, as long as that lies ahead.
    fn limit(&self) -> Option<Moment> {
        self.shutdown.and_then(|shutdown| shutdown.deadline)
    }

    /// The time that the heaviest chain of stops wants which wait for this one.
    fn tail(&mut self, id: ServiceId) -> Duration {
        let outlook = &mut self.outlook;
        if std::mem::take(&mut outlook.stale) {
            outlook.tails = vec![Duration::ZERO; outlook.needs.len()];
            for id in &outlook.order {
                let tail = self.graph.predecessors(*id).iter().filter_map(|later| {
                    let need = (*outlook.needs.get(later.index())?)?;
                    Some(need.saturating_add(*outlook.tails.get(later.index())?))
                });
                let tail = tail.max().unwrap_or_default();
                if let Some(place) = outlook.tails.get_mut(id.index()) {
                    *place = tail;
                }
            }
        }
        // What waits for a service waits for its companion too; what has come meanwhile has nobody
        // behind it yet.
        outlook.tails.get(id.service().index()).copied().unwrap_or_default()
    }

    fn sum(&self, timeouts: impl Iterator<Item = Option<Duration>>) -> Duration {
        let timeouts = timeouts.map(|timeout| timeout.unwrap_or(self.outlook.whole));
        timeouts.fold(Duration::ZERO, Duration::saturating_add)
    }
}

impl Stopping {
    /// What is left of the time that the present step wants: of one that was given less, the part
    /// that it has not used up yet.
    fn left(&self, now: Moment) -> Option<Duration> {
        let deadline = self.deadline?;
        match self.share.filter(|_| self.is_cut_short()) {
            Some(Share { since, wanted, .. }) => {
                Some(part(wanted, deadline - now, deadline - since))
            }
            None => self.due.map(|due| due - now),
        }
    }

    fn deny(&mut self, time: Duration) {
        if let Some(allotted) = &mut self.allotted {
            allotted.short = allotted.short.saturating_add(time);
        }
    }

    /// Whether the present step is over earlier than its own timeout says.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.share.is_some() && self.deadline < self.due
    }

    /// `EXTEND_TIMEOUT_USEC=`: later, but not at the cost of others.
    pub(crate) fn extend(&mut self, to: Moment) {
        let Some(due) = self.due.filter(|due| *due < to) else { return };
        if let Some(allotted) = &mut self.allotted {
            allotted.asked = allotted.asked.saturating_add(to - due);
        }
        self.due = Some(to);
        self.deadline = Some(to).into_iter().chain(self.share.map(|share| share.limit)).min();
    }
}

impl Graph {
    /// All services, each behind those that its start waits for.
    pub(crate) fn start_order(&self) -> Vec<ServiceId> {
        let mut waits_for: Vec<usize> = self.ids().map(|id| self.predecessors(id).len()).collect();
        let mut order: Vec<ServiceId> =
            self.ids().filter(|id| waits_for[id.index()] == 0).collect();
        let mut next = 0;
        while let Some(id) = order.get(next).copied() {
            next += 1;
            for successor in self.successors(id) {
                waits_for[successor.index()] -= 1;
                if waits_for[successor.index()] == 0 {
                    order.push(*successor);
                }
            }
        }
        order
    }
}

/// When a step must be over that wants so much, if `later` is wanted after it.
fn latest_end(wanted: Duration, later: Duration, until: Moment, now: Moment) -> Moment {
    let (left, all) = (until - now, wanted.saturating_add(later));
    if all <= left {
        // Nobody needs the rest: it may have more, if it asks for it.
        now + left.saturating_sub(later)
    } else {
        now + part(left, wanted, all)
    }
}

/// `time × share / all`, rounded down. Centuries count as one.
fn part(time: Duration, share: Duration, all: Duration) -> Duration {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let product = u128::from(nanos(time)) * u128::from(nanos(share));
    let part = product / u128::from(nanos(all)).max(1);
    Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_fits_may_last_until_the_others_need_the_time() {
        let now = Moment::new(100 * SECOND);
        let until = now + 30 * SECOND;
        assert_eq!(latest_end(10 * SECOND, 15 * SECOND, until, now), now + 15 * SECOND);
        assert_eq!(latest_end(10 * SECOND, 20 * SECOND, until, now), now + 10 * SECOND);
    }

    #[test]
    fn what_does_not_fit_is_scaled_down() {
        let now = Moment::new(100 * SECOND);
        let until = now + 6 * SECOND;
        assert_eq!(latest_end(10 * SECOND, 50 * SECOND, until, now), now + SECOND);
        assert_eq!(latest_end(10 * SECOND, Duration::ZERO, until, now), until);
        assert_eq!(latest_end(Duration::MAX, Duration::MAX, until, now), until);
        assert_eq!(latest_end(Duration::ZERO, 50 * SECOND, until, now), now);
    }
}
