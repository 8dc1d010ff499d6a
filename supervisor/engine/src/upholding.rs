//! `upholds`: services that are started again whenever they end by themselves.
//!
//! What is upheld is tried again after its restart delay, whatever its restart policy says, and
//! where its start limit stands against that, as soon as that allows. What somebody has stopped
//! stays down until it is started, or who upholds it starts anew.

use std::time::Duration;

use crate::engine::Engine;
use crate::exit::Exit;
use crate::id::ServiceId;
use crate::moment::Moment;
use crate::restart::{self, Verdict};
use crate::service::Goal;
use crate::state::{Backoff, Exited, FailReason, State};
use crate::transition::Cause;

/// The shortest time between two tries of what could not even be started, where no process takes
/// any time in between.
const PAUSE: Duration = Duration::from_secs(1);

impl Engine {
    /// Who keeps this service up: one that is up or on its way there.
    pub(crate) fn upholder(&self, id: ServiceId) -> Option<ServiceId> {
        let mut upholders = self.graph.node(id).upholders.iter().copied();
        upholders.find(|upholder| {
            let service = self.get(*upholder);
            !service.state.is_at_rest() && !matches!(service.goal, Goal::Down { .. })
        })
    }

    /// What becomes of a service that ended by itself, if its restart policy says this.
    pub(crate) fn unless_upheld(&self, id: ServiceId, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Rest | Verdict::Fail if self.upholder(id).is_some() => Verdict::Restart,
            // What its conditions speak against is not to be up.
            Verdict::Skip | Verdict::Restart | Verdict::Rest | Verdict::Fail => verdict,
        }
    }

    /// A service comes up, and what it upholds with it.
    pub(crate) fn uphold(&mut self, id: ServiceId, now: Moment) {
        let upheld = self.graph.node(id).upheld.clone();
        if !self.is_shutting_down() {
            self.bring_up(&[], &upheld, &Cause::UpheldBy(id), now);
        }
    }

    /// A service that could not be started has failed, unless it is upheld.
    pub(crate) fn give_up(&mut self, id: ServiceId, reason: FailReason, now: Moment) {
        let cause = Cause::Failed(reason.clone());
        let upheld = self.upholder(id).is_some();
        if upheld {
            let until = self.next_try(id, &reason, now);
            self.enter(id, State::Backoff(Backoff { until, reason }), cause, now);
        } else {
            self.enter(id, State::Failed(reason), cause, now);
        }
        self.take_down_bound(id, upheld, now);
    }

    /// When what could not be started may be tried again.
    fn next_try(&mut self, id: ServiceId, reason: &FailReason, now: Moment) -> Moment {
        if *reason == FailReason::StartLimit
            && let Some(first) = self.get(id).starts.front()
        {
            return *first + self.get(id).spec.restart.limit_interval;
        }
        now + self.restart_delay(id).max(PAUSE)
    }

    /// Counts one more try in a row; answers how long to wait for it.
    pub(crate) fn restart_delay(&mut self, id: ServiceId) -> Duration {
        let random = self.jitter.next();
        let service = self.get_mut(id);
        service.attempt = service.attempt.saturating_add(1);
        restart::delay(&service.spec.restart, service.attempt, random)
    }

    /// The time for the next try has come.
    pub(crate) fn on_next_try(&mut self, id: ServiceId, now: Moment) {
        let service = self.get(id);
        let State::Backoff(Backoff { reason, .. }) = &service.state else { return };
        let verdict = match reason {
            FailReason::Ended(ending) => {
                restart::verdict(ending, service.spec.kind, &service.spec.restart)
            }
            FailReason::StartLimit | FailReason::Dependency(_) | FailReason::Conflict(_) => {
                Verdict::Fail
            }
        };
        let reason = reason.clone();
        match (verdict, self.upholder(id)) {
            (Verdict::Restart, _) => {
                self.get_mut(id).restarts += 1;
                self.enter(id, State::Waiting, Cause::Restart, now);
            }
            (Verdict::Rest | Verdict::Skip | Verdict::Fail, Some(upholder)) => {
                self.get_mut(id).restarts += 1;
                let cause = Cause::UpheldBy(upholder);
                self.enter(id, State::Waiting, cause.clone(), now);
                self.bring_up(&[], &self.given_up_needs(id), &cause, now);
            }
            // Nobody upholds it any more.
            (Verdict::Rest, None) => self.rest(id, reason, now),
            (Verdict::Skip | Verdict::Fail, None) => {
                let cause = Cause::Failed(reason.clone());
                self.enter(id, State::Failed(reason), cause, now);
                self.take_down_bound(id, false, now);
            }
        }
    }

    /// It has ended well, and is left at that.
    fn rest(&mut self, id: ServiceId, reason: FailReason, now: Moment) {
        if let FailReason::Ended(ending) = reason {
            let exit = ending.exit().unwrap_or(Exit::Unknown);
            let exited = Exited { exit, held: None };
            self.enter(id, State::Exited(exited), Cause::Ended(ending), now);
            self.take_down_bound(id, false, now);
        }
    }

    /// What a service requires that has ended by itself: without that it would never come up.
    fn given_up_needs(&self, id: ServiceId) -> Vec<ServiceId> {
        let mut needs = self.graph.required_by(id);
        needs.retain(|need| match &self.get(*need).state {
            State::Failed(_) => true,
            State::Exited(exited) => exited.held.is_none(),
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Stopping(_)
            | State::Backoff(_) => false,
        });
        needs.into_iter().collect()
    }
}
