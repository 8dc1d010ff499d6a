//! What of a situation matters for what can come next, as a number.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use supervisor_engine::{
    Aim, Backoff, Exited, Held, Invocation, Moment, ReloadPhase, Reloading, Running, ServiceId,
    ServiceSpec, Share, Starting, State, Stopping,
};

use crate::observed::Observed;

/// Where all situations have their "now".
const NOW: Duration = Duration::from_secs(1 << 20);

/// Equal for situations that differ only in the time of day, in names that were given out, and in
/// what is written down for people. The hash has fixed keys: the same in every run.
pub(crate) fn fingerprint(world: &Observed) -> u64 {
    let mut hasher = DefaultHasher::new();
    for id in slots(world) {
        let service = world.engine.service(id);
        service.goal().hash(&mut hasher);
        service.manner().hash(&mut hasher);
        relative(service.state(), service.spec(), world.now).hash(&mut hasher);
        service.unit().is_companion().hash(&mut hasher);
        let execution = world.ledger.execution(service.unit()).copied();
        let execution = execution.map(|mut execution| {
            execution.invocation = Invocation(0);
            execution
        });
        execution.hash(&mut hasher);
        let starts = world.ledger.accounts[id.service().index()].starts;
        starts.min(service.spec().restart.limit_burst).hash(&mut hasher);
    }
    world.engine.is_shutting_down().hash(&mut hasher);
    world.ledger.overdue.hash(&mut hasher);
    world.ledger.deadline.map(|at| shifted(at, world.now)).hash(&mut hasher);
    waited_for(world).hash(&mut hasher);
    hasher.finish()
}

/// All services and their companions.
pub(crate) fn slots(world: &Observed) -> Vec<ServiceId> {
    let ids: Vec<ServiceId> = world.engine.services().map(|(id, _)| id).collect();
    let companions = ids.iter().filter(|id| world.engine.has_companion(**id));
    let companions: Vec<ServiceId> = companions.map(|id| id.companion()).collect();
    ids.into_iter().chain(companions).collect()
}

/// What the running operations wait for; two that wait for the same are like one.
fn waited_for(world: &Observed) -> BTreeSet<Vec<(u32, u8)>> {
    let operations = world.pending.iter().filter_map(|id| world.engine.operation(*id));
    operations
        .map(|operation| {
            let open = operation.items.iter().filter(|item| item.outcome.is_none());
            open.map(|item| (item.service.0, number(item.aim))).collect()
        })
        .collect()
}

fn number(aim: Aim) -> u8 {
    match aim {
        Aim::Up => 0,
        Aim::Down => 1,
        Aim::Cycle { was_down: false } => 2,
        Aim::Cycle { was_down: true } => 3,
        Aim::Overlap { replaced: false } => 9,
        Aim::Overlap { replaced: true } => 8,
        Aim::Reload { begun: false } => 4,
        Aim::Reload { begun: true } => 5,
        Aim::Turn => 6,
        Aim::None => 7,
    }
}

/// A state with its moments as seen from `NOW` and without what is only told to people.
fn relative(state: &State, spec: &ServiceSpec, now: Moment) -> State {
    let shift = |at: Moment| shifted(at, now);
    let up =
        |up: Moment| Moment::new(Duration::from_secs(u64::from(now - up >= spec.restart.reset)));
    let running = |running: &Running| Running {
        invocation: running.invocation.map(|_| Invocation(0)),
        started: Moment::default(),
        up: up(running.up),
        main: running.main,
        health: running.health,
        watchdog: running.watchdog.map(|mut watchdog| {
            watchdog.deadline = shift(watchdog.deadline);
            watchdog
        }),
        expires: running.expires.map(shift),
    };
    match state {
        State::Starting(starting) => State::Starting(Starting {
            invocation: Invocation(0),
            since: Moment::default(),
            // While a process is being started it may pass.
            deadline: starting.deadline.map(|at| shift(at.max(now))),
            armed: starting.armed.map(|mut watchdog| {
                watchdog.deadline = shift(watchdog.deadline);
                watchdog
            }),
            ..starting.clone()
        }),
        State::Running(now) => State::Running(running(now)),
        State::Reloading(reloading) => State::Reloading(Reloading {
            running: running(&reloading.running),
            phase: match reloading.phase {
                // All that is said now is later, whenever that was.
                ReloadPhase::Signalled { .. } => {
                    ReloadPhase::Signalled { asked: Moment::default() }
                }
                phase @ (ReloadPhase::Command { .. } | ReloadPhase::Announced) => phase,
            },
            deadline: reloading.deadline.map(shift),
        }),
        State::Stopping(stopping) => State::Stopping(Stopping {
            invocation: Invocation(0),
            started: Moment::default(),
            up: stopping.up.map(up),
            since: Moment::default(),
            step_since: Moment::default(),
            deadline: stopping.deadline.map(shift),
            due: stopping.due.map(shift),
            share: stopping.share.map(|share| Share {
                since: shift(share.since),
                limit: shift(share.limit),
                ..share
            }),
            allotted: None,
            trail: Vec::new(),
            ..stopping.clone()
        }),
        State::Backoff(backoff) => {
            State::Backoff(Backoff { until: shift(backoff.until), reason: backoff.reason.clone() })
        }
        State::Exited(exited) => State::Exited(Exited {
            exit: exited.exit,
            held: exited.held.as_ref().map(|held| Held {
                invocation: Invocation(0),
                started: Moment::default(),
                up: up(held.up),
                ..held.clone()
            }),
        }),
        State::Stopped(_) | State::Waiting | State::Failed(_) => state.clone(),
    }
}

fn shifted(at: Moment, now: Moment) -> Moment {
    let ahead = at.since(now);
    Moment::new((NOW + ahead).saturating_sub(now.since(at)))
}
