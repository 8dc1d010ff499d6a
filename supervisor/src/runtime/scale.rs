//! Changing how many instances a service has.
//!
//! The spec is made again from its text as it was read, on a thread that may wait for disks and for
//! name services. One such request is dealt with after the other.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use supervisor_api as api;
use supervisor_api::{ErrorBody, ErrorCode};
use supervisor_engine::{Goal, Manner, Request, Scaling, ServiceId};

use super::Runtime;
use super::calls::{error, refuse_strangers};
use super::membership::Change;
use crate::config::{Config, Counts, Instances, LoadError, MOST_INSTANCES};
use crate::control::{Caller, Reply};

/// A spec that was made again.
pub(crate) type Remade = Result<Config, LoadError>;

/// A request that waits for its turn, or for its spec.
#[derive(Debug)]
pub(crate) struct ScaleCall {
    pub(crate) request: api::OperationRequest,
    pub(crate) caller: Caller,
    pub(crate) reply: Reply<api::Operation>,
}

impl Runtime {
    /// Answers a call when its turn has come and its spec is made.
    pub(crate) fn on_scale_call(&mut self, call: ScaleCall) {
        self.scale_calls.push_back(call);
        if self.scale_calls.len() == 1 {
            self.prepare_scaling();
        }
    }

    /// A spec was made for the first request in the queue.
    pub(crate) fn on_remade(&mut self, remade: Remade) {
        if let Some(call) = self.scale_calls.pop_front() {
            let answer = match remade {
                Ok(config) => self.scale(&call, Some(config)),
                Err(error) => Err(spec_fault(&error)),
            };
            // Who has gone away does not need it.
            drop(call.reply.send(answer));
            self.prepare_scaling();
        }
    }

    /// Has the spec made for the first request in the queue that needs one.
    fn prepare_scaling(&mut self) {
        while let Some(call) = self.scale_calls.front() {
            match self.wanted_counts(&call.request) {
                Ok(wanted) if self.changes_nothing(&wanted) => {
                    if let Some(call) = self.scale_calls.pop_front() {
                        let answer = self.scale(&call, None);
                        drop(call.reply.send(answer));
                    }
                }
                Ok(wanted) => {
                    let Some(recipe) = self.config.recipe.clone() else { return };
                    let mut counts = self.counts();
                    counts.extend(wanted);
                    let news = self.remade_news.clone();
                    tokio::task::spawn_blocking(move || {
                        // The loop may have ended meanwhile.
                        drop(news.send(recipe.with(&counts)));
                    });
                    return;
                }
                Err(error) => {
                    if let Some(call) = self.scale_calls.pop_front() {
                        drop(call.reply.send(Err(error)));
                    }
                }
            }
        }
    }

    /// How many instances each target is to have.
    fn wanted_counts(&self, request: &api::OperationRequest) -> Result<Counts, ErrorBody> {
        refuse_strangers(request)?;
        if self.engine.is_shutting_down() {
            let message = "the supervisor is shutting down".to_owned();
            return Err(error(ErrorCode::ShuttingDown, message));
        }
        let invalid = |message: String, hint: Option<String>| {
            Err(ErrorBody { hint, ..error(ErrorCode::Invalid, message) })
        };
        let count = match request.instances {
            None => return invalid("`instances` is missing".to_owned(), None),
            Some(0) => {
                let stop = format!("to stop all: supervisorctl stop {}", request.targets.join(" "));
                return invalid("a service has at least one instance".to_owned(), Some(stop));
            }
            Some(count @ 1..=MOST_INSTANCES) => count,
            Some(_) => {
                let message = format!("a service has at most {MOST_INSTANCES} instances");
                return invalid(message, None);
            }
        };
        if request.targets.is_empty() {
            return invalid("no targets are given".to_owned(), None);
        }
        let mut counts = Counts::new();
        for target in &request.targets {
            match self.config.instances.get(target) {
                Some(Instances::Number(_)) => _ = counts.insert(target.clone(), count),
                Some(Instances::Names) => {
                    let hint = Some("change the list in the spec".to_owned());
                    return invalid(format!("{target} has named instances"), hint);
                }
                None if self.names.find(target).is_empty() => {
                    return Err(self.names.unknown(target));
                }
                None => {
                    let hint = "only a service with a number of `instances` in its spec has";
                    let message = format!("{target} has no number of instances");
                    return invalid(message, Some(hint.to_owned()));
                }
            }
        }
        Ok(counts)
    }

    /// All numbers of instances that there are now.
    fn counts(&self) -> Counts {
        let numbers = self.config.instances.iter().filter_map(|(name, how)| match how {
            Instances::Number(count) => Some((name.clone(), *count)),
            Instances::Names => None,
        });
        numbers.collect()
    }

    fn changes_nothing(&self, wanted: &Counts) -> bool {
        let now = self.counts();
        wanted.iter().all(|(name, count)| now.get(name) == Some(count))
    }

    /// Takes the spec over, if there is another one, and starts and removes instances.
    fn scale(
        &mut self,
        call: &ScaleCall,
        remade: Option<Config>,
    ) -> Result<api::Operation, ErrorBody> {
        let wanted = self.wanted_counts(&call.request)?;
        let wanted_up = |name: &String| {
            let members = self.members(name);
            members.iter().any(|id| !matches!(self.engine.service(*id).goal(), Goal::Down { .. }))
        };
        let starts: BTreeMap<String, bool> =
            wanted.keys().map(|name| (name.clone(), wanted_up(name))).collect();
        let change = match remade {
            Some(config) => self.adopt(config)?,
            None => Change::default(),
        };
        let mut services = Vec::new();
        for (name, starts) in starts {
            let members = self.members(&name);
            let is_new = |id: &ServiceId| change.added.contains(id);
            let grows = members.iter().any(is_new);
            let leaving = change.gone.iter().copied().filter(|id| self.template(*id) == name);
            let mut leaving: Vec<ServiceId> = leaving.collect();
            leaving.sort_by(|a, b| self.by_instance(*a, *b));
            let unchanged = !grows && leaving.is_empty();
            for id in members {
                if is_new(&id) {
                    services.push((id, if starts { Scaling::Start } else { Scaling::Add }));
                } else if unchanged {
                    services.push((id, Scaling::Keep));
                }
            }
            services.extend(leaving.into_iter().rev().map(|id| (id, Scaling::Remove)));
        }
        let id = self.begin(Request::Scale(services));
        tracing::info!(
            operation = id.0,
            verb = api::Verb::Scale.as_str(),
            targets = call.request.targets.join(" "),
            instances = call.request.instances,
            uid = call.caller.uid,
            pid = call.caller.pid,
            "operation requested"
        );
        self.drain();
        self.operation(id.0)
    }

    /// What scaling would do. It is not tried whether the spec can be made that way.
    pub(crate) fn plan_scale(
        &self,
        request: &api::OperationRequest,
    ) -> Result<api::Plan, ErrorBody> {
        let mut steps = Vec::new();
        let mut worst = Some(0);
        for (name, count) in self.wanted_counts(request)? {
            let step = |service: String, action: &str, worst_ms: Option<u64>| api::PlanStep {
                service,
                action: action.to_owned(),
                why: "named".to_owned(),
                worst_ms,
            };
            let (mut there, mut leaving) = (0, Vec::new());
            for id in self.members(&name) {
                there += 1;
                if there > count {
                    leaving.push(id);
                }
            }
            for id in leaving {
                let plan = self.engine.plan_stop(&[id], Manner::Graceful, true);
                let longest = plan.worst.map(crate::clock::millis);
                worst = worst.zip(longest).map(|(a, b)| a.max(b));
                steps.push(step(self.name(id).to_owned(), "remove", longest));
            }
            let first = self.members(&name).first().copied();
            for number in there + 1..=count {
                let start = first.map(|id| self.engine.start_limit(id));
                let longest = start.flatten().map(crate::clock::millis);
                worst = worst.zip(longest).map(|(a, b)| a.max(b));
                steps.push(step(format!("{name}@{number}"), "add", longest));
            }
        }
        let waves = if steps.is_empty() { Vec::new() } else { vec![api::PlanWave { steps }] };
        let (longest_stop, warnings) = (None, Vec::new());
        Ok(api::Plan { verb: api::Verb::Scale, waves, worst_ms: worst, longest_stop, warnings })
    }

    /// The instances of a service in their order.
    fn members(&self, name: &str) -> Vec<ServiceId> {
        let group = self.config.groups.get(name);
        let mut members = group.map(|group| group.members.clone()).unwrap_or_default();
        members.sort_by(|a, b| self.by_instance(*a, *b));
        members
    }

    /// The name of a service without its instance.
    fn template(&self, id: ServiceId) -> &str {
        let name = self.name(id);
        name.split_once('@').map_or(name, |(template, _)| template)
    }

    /// By name, but instances by number where they have one.
    pub(crate) fn by_instance(&self, a: ServiceId, b: ServiceId) -> Ordering {
        let key = |id: ServiceId| {
            let instance = self.config(id).instance.as_deref().unwrap_or_default();
            (self.template(id), instance.parse::<u32>().unwrap_or(0), instance)
        };
        key(a).cmp(&key(b))
    }
}

/// The first fault of a spec that cannot be made with other numbers; the others as details.
fn spec_fault(error: &LoadError) -> ErrorBody {
    let faults = error.faults();
    let told = |fault: &crate::config::Fault| {
        let at = fault.location.as_ref();
        let at = at.map(|at| format!("{}:{}: ", at.file.display(), at.line)).unwrap_or_default();
        format!("{at}{}", fault.message)
    };
    ErrorBody {
        code: ErrorCode::Invalid,
        message: faults.first().map(told).unwrap_or_default(),
        hint: faults.first().and_then(|fault| fault.hint.clone()),
        details: faults.iter().skip(1).map(told).collect(),
    }
}
