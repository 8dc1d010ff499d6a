//! Services that cannot be up together: who may come up, and who has to go for that.
//!
//! Of two that conflict at most one is wanted up at any time. Whoever is asked for, with all that it
//! requires, has its rivals stopped first; what is merely wanted by others yields to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::engine::Engine;
use crate::id::ServiceId;
use crate::input::Manner;
use crate::moment::Moment;
use crate::operation::Aim;
use crate::service::Goal;
use crate::state::{State, StopCause};
use crate::transition::Cause;

/// Who of those that are asked for, and of what they need, comes up.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// All that is to be up; no two of them conflict.
    pub(crate) up: BTreeSet<ServiceId>,
    /// Who is not started, each with the one that stands against it.
    pub(crate) denied: BTreeMap<ServiceId, ServiceId>,
}

impl Engine {
    /// Decides who comes up, and has those stopped that stand against it. `named` are asked for,
    /// the first one first; `wanted` are welcome.
    pub(crate) fn select(
        &mut self,
        named: &[ServiceId],
        wanted: &[ServiceId],
        now: Moment,
    ) -> Chosen {
        let chosen = self.choose(named, wanted);
        for (id, cause) in self.ousted(&chosen) {
            self.supersede(id, |aim| !matches!(aim, Aim::Down | Aim::None), now);
            self.set_goal(id, Goal::Down { cause, manner: Manner::Graceful });
        }
        for (id, rival) in &chosen.denied {
            self.deny(*id, *rival, now);
        }
        chosen
    }

    /// Brings up those of these that are at rest, with what they need, without a request.
    pub(crate) fn bring_up(
        &mut self,
        named: &[ServiceId],
        wanted: &[ServiceId],
        cause: &Cause,
        now: Moment,
    ) {
        let chosen = self.select(named, wanted, now);
        for id in chosen.up {
            if self.get(id).state.is_at_rest() && !self.get(id).is_leaving() {
                let meant = named.contains(&id) || wanted.contains(&id);
                let cause = if meant { cause.clone() } else { Cause::Requested };
                self.get_mut(id).trigger = None;
                self.set_goal(id, Goal::Up);
                self.enter(id, State::Waiting, cause, now);
            }
        }
    }

    /// Who would come up. What is to be removed does not, and needs nobody.
    pub(crate) fn choose(&self, named: &[ServiceId], wanted: &[ServiceId]) -> Chosen {
        let stays = |id: &ServiceId| !self.get(*id).is_leaving();
        let named: Vec<ServiceId> = named.iter().copied().filter(stays).collect();
        let wanted: Vec<ServiceId> = wanted.iter().copied().filter(stays).collect();
        let mut chosen = Chosen::default();
        if !self.graph.has_rivals() {
            chosen.up = self.graph.pulled_by(&named);
            chosen.up.append(&mut self.graph.pulled_by(&wanted));
            return chosen;
        }
        let mut open = VecDeque::new();
        for id in named {
            self.admit(id, true, &mut chosen, &mut open);
        }
        for id in wanted {
            self.admit(id, false, &mut chosen, &mut open);
        }
        while let Some(id) = open.pop_front() {
            for wanted in &self.graph.node(id).wanted {
                self.admit(*wanted, false, &mut chosen, &mut open);
            }
        }
        chosen
    }

    /// Takes a service in with all that it requires, unless a rival of one of them is in already,
    /// or, if it does not insist, is wanted up by others.
    fn admit(
        &self,
        id: ServiceId,
        insists: bool,
        chosen: &mut Chosen,
        open: &mut VecDeque<ServiceId>,
    ) {
        if chosen.up.contains(&id) || chosen.denied.contains_key(&id) {
            return;
        }
        let mut members = self.graph.required_by(id);
        members.retain(|member| !chosen.up.contains(member));
        let stands_against = |rival: &ServiceId| {
            let wanted = !insists && self.is_wanted(*rival);
            wanted || chosen.up.contains(rival) || members.contains(rival)
        };
        let mut rivals = members.iter().flat_map(|member| self.graph.rivals(*member));
        if let Some(rival) = rivals.find(|rival| stands_against(rival)).copied() {
            chosen.denied.insert(id, rival);
        } else {
            open.extend(&members);
            chosen.up.append(&mut members);
        }
    }

    /// Who has to go for these, with what cannot be without them, and why.
    pub(crate) fn ousted(&self, chosen: &Chosen) -> Vec<(ServiceId, StopCause)> {
        let mut ousted = BTreeMap::new();
        for id in &chosen.up {
            for rival in self.graph.rivals(*id).iter().filter(|rival| self.is_wanted(**rival)) {
                for (other, cause) in self.with_dependents(&[*rival], false) {
                    let cause = if other == *rival { StopCause::ConflictsWith(*id) } else { cause };
                    if self.is_wanted(other) && !chosen.up.contains(&other) {
                        ousted.entry(other).or_insert(cause);
                    }
                }
            }
        }
        ousted.into_iter().collect()
    }

    /// A rival of this one that is there still, and whether it will not go any more.
    pub(crate) fn rival_of(&self, id: ServiceId) -> Option<(ServiceId, bool)> {
        let rivals = self.graph.rivals(id).iter().filter(|rival| self.has_live(**rival));
        let found = rivals.map(|rival| (*rival, self.has_stuck(*rival)));
        found.max_by_key(|(_, stuck)| *stuck)
    }

    /// Whether it is up or on its way there.
    fn is_wanted(&self, id: ServiceId) -> bool {
        let service = self.get(id);
        !service.state.is_at_rest() && !matches!(service.goal, Goal::Down { .. })
    }

    /// Writes down why a service that rests goes on doing so.
    fn deny(&mut self, id: ServiceId, rival: ServiceId, now: Moment) {
        let cause = StopCause::ConflictsWith(rival);
        if matches!(self.get(id).state, State::Stopped(was) if was != cause) {
            self.set_goal(id, Goal::Down { cause, manner: Manner::Graceful });
            self.enter(id, State::Stopped(cause), Cause::Stop(cause), now);
        }
    }
}
