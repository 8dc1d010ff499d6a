//! Random systems: services of all kinds and settings, and what their processes are like.

use std::time::Duration;

use supervisor_engine::{
    Commands, Dependency, DependencyKind, Engine, ExitSet, ExitType, Failure, KillMode, Kind,
    ModeId, ReloadHow, ReloadSpec, RestartMode, RestartPolicy, ServiceId, ServiceSpec, Signal,
    StopHow, StopStep, Until, WatchdogSpec,
};

use crate::dice::Dice;

/// What the processes of a service are like; chances in percent.
#[derive(Clone, Debug)]
pub(crate) struct Nature {
    /// That a spawn fails.
    pub(crate) spawn_fails: u32,
    /// That it never says that it is up.
    pub(crate) silent: u32,
    /// That it dies by itself before long.
    pub(crate) frail: u32,
    /// That it leaves processes behind when its main process ends.
    pub(crate) leaves_others: u32,
    /// That it does nothing when it is asked to end.
    pub(crate) stubborn: u32,
    /// That not even `KILL` ends it soon.
    pub(crate) immortal: u32,
    /// That a command fails, or takes very long.
    pub(crate) clumsy: u32,
    /// That it sends a message of its own accord.
    pub(crate) talkative: u32,
}

pub(crate) fn draw(dice: &mut Dice) -> Vec<(ServiceSpec, Nature)> {
    let count = 2 + dice.below(11);
    // Some worlds are calm, some are hell.
    let trouble = dice.one_of(&[0, 5, 20, 50]);
    let related = dice.percent(60);
    let mut passing = Vec::new();
    let mut system: Vec<_> = (0..count)
        .map(|id| {
            let mut spec = spec(id, count, dice);
            spec.dependencies.retain(|dependency| related || !moves_others(*dependency));
            if related && spec.restart.mode == RestartMode::Overlap {
                spec.restart.mode = RestartMode::Normal;
            }
            // What is upheld and never stays up may be waited for without end.
            spec.dependencies.retain(|dependency| {
                dependency.kind != DependencyKind::Upholds || !passing.contains(&dependency.on)
            });
            if spec.kind == Kind::Oneshot && !spec.remain_after_exit {
                passing.push(ServiceId(id));
            }
            let nature = nature(&spec, trouble, dice);
            (spec, nature)
        })
        .collect();
    // A target goes up and down within one input, where these books see no order.
    let targets: Vec<bool> = system.iter().map(|(spec, _)| spec.kind == Kind::Target).collect();
    for (place, (spec, _)) in system.iter_mut().enumerate() {
        spec.dependencies.retain(|dependency| {
            let one_is_target = targets[place] || targets[dependency.on.index()];
            dependency.kind != DependencyKind::Conflicts || !one_is_target
        });
    }
    system
}

/// Whether services of this system start or stop others without a request.
pub(crate) fn are_related(specs: &[ServiceSpec]) -> bool {
    specs.iter().flat_map(|spec| &spec.dependencies).copied().any(moves_others)
}

fn moves_others(dependency: Dependency) -> bool {
    match dependency.kind {
        DependencyKind::Conflicts
        | DependencyKind::Upholds
        | DependencyKind::OnFailure
        | DependencyKind::OnSuccess => true,
        DependencyKind::Requires
        | DependencyKind::Wants
        | DependencyKind::BindsTo
        | DependencyKind::PartOf
        | DependencyKind::After
        | DependencyKind::Before => false,
    }
}

/// The services whose relations change when `new` comes, which is like `like`. If it joins, whoever
/// depends on the one depends on the other too.
pub(crate) fn with_another(
    engine: &Engine,
    like: ServiceId,
    new: ServiceId,
    joins: bool,
) -> Vec<(ServiceId, ServiceSpec)> {
    revised(engine, |spec| {
        let on_like = spec.dependencies.iter().filter(|dependency| dependency.on == like && joins);
        let more: Vec<Dependency> =
            on_like.map(|dependency| Dependency { on: new, ..*dependency }).collect();
        spec.dependencies.extend(more);
    })
}

/// The services whose relations change when this one goes.
pub(crate) fn without(engine: &Engine, id: ServiceId) -> Vec<(ServiceId, ServiceSpec)> {
    revised(engine, |spec| {
        spec.dependencies.retain(|dependency| dependency.on != id);
        spec.reload_propagates_to.retain(|on| *on != id);
    })
}

fn revised(engine: &Engine, change: impl Fn(&mut ServiceSpec)) -> Vec<(ServiceId, ServiceSpec)> {
    let stays = engine.services().filter(|(_, service)| !service.is_leaving());
    let changed = stays.filter_map(|(id, service)| {
        let mut spec = service.spec().clone();
        change(&mut spec);
        (spec.dependencies != service.spec().dependencies).then_some((id, spec))
    });
    changed.collect()
}

fn spec(id: u32, count: u32, dice: &mut Dice) -> ServiceSpec {
    let kinds = [
        Kind::Simple,
        Kind::Simple,
        Kind::Notify,
        Kind::Notify,
        Kind::Forking,
        Kind::Oneshot,
        Kind::Target,
    ];
    let kind = dice.one_of(&kinds);
    let mut spec = ServiceSpec::new(format!("s{id}"), kind);
    spec.enabled = dice.percent(70);
    spec.dependencies = dependencies(id, count, dice);
    if kind == Kind::Target {
        return spec;
    }
    spec.probed = matches!(kind, Kind::Simple | Kind::Forking) && dice.percent(30);
    if dice.percent(15) {
        spec.remain_after_exit = !spec.remain_after_exit;
    }
    if dice.percent(20) {
        spec.settle_time = dice.millis(0, 3_000);
    }
    spec.runtime_max = dice.percent(10).then(|| dice.millis(1, 20_000));
    let endless = dice.percent(if kind == Kind::Oneshot { 50 } else { 10 });
    spec.start_timeout = (!endless).then(|| dice.millis(100, 20_000));
    if kind != Kind::Oneshot {
        spec.liveness = dice.percent(20);
        // Who is left by its main process may wait for ever to be up.
        if !endless && dice.percent(20) {
            spec.exit_type = ExitType::All;
        }
    }
    spec.stop.steps = (0..dice.below(4)).map(|_| step(dice)).collect();
    spec.stop.send_sigkill = dice.percent(90);
    spec.stop.kill_mode = dice.one_of(&[KillMode::Group, KillMode::Mixed, KillMode::Process]);
    if dice.percent(20) {
        let steps = (0..dice.below(3)).map(|_| step(dice)).collect();
        spec.stop.modes.insert(ModeId(0), steps);
    }
    spec.stop.final_signal = dice.percent(20).then_some(Signal::PIPE);
    spec.stop.restart_signal = dice.percent(20).then_some(Signal::USR2);
    spec.stop.send_sighup = dice.percent(20);
    if dice.percent(20) {
        spec.reload_propagates_to = vec![ServiceId(dice.below(count))];
    }
    spec.commands = commands(kind, dice);
    if dice.percent(10) {
        spec.stop.drain = dice.millis(0, 2_000);
    }
    restart(&mut spec, dice);
    let lives_on = matches!(kind, Kind::Simple | Kind::Notify);
    if lives_on && dice.percent(40) {
        spec.restart.mode = RestartMode::Overlap;
    }
    if spec.restart.mode == RestartMode::Direct {
        // Who waits for it waits until it is up: its commands have to have the time.
        spec.start_timeout = spec.start_timeout.map(|time| time.max(Duration::from_secs(10)));
    }
    if kind == Kind::Notify && dice.percent(30) {
        spec.watchdog = Some(WatchdogSpec {
            timeout: dice.millis(500, 5_000),
            signal: Signal::ABRT,
            abort_timeout: dice.percent(50).then(|| dice.millis(0, 2_000)),
        });
    }
    spec.reload = dice.percent(50).then(|| ReloadSpec {
        how: match kind {
            Kind::Notify => dice.one_of(&[
                ReloadHow::Command,
                ReloadHow::Signal(Signal::HUP),
                ReloadHow::Handshake(Signal::HUP),
            ]),
            Kind::Target | Kind::Simple | Kind::Forking | Kind::Oneshot => {
                dice.one_of(&[ReloadHow::Command, ReloadHow::Signal(Signal::HUP)])
            }
        },
        timeout: Some(dice.millis(0, 5_000)),
    });
    spec
}

fn restart(spec: &mut ServiceSpec, dice: &mut Dice) {
    use RestartPolicy::{Always, No, OnAbnormal, OnAbort, OnFailure, OnSuccess, OnWatchdog};
    let restart = &mut spec.restart;
    restart.policy =
        dice.one_of(&[No, Always, OnSuccess, OnFailure, OnAbnormal, OnAbort, OnWatchdog]);
    if spec.kind != Kind::Oneshot && dice.percent(20) {
        restart.mode = RestartMode::Direct;
    }
    restart.delay = dice.millis(0, 500);
    restart.max_delay = dice.millis(0, 10_000);
    restart.reset = dice.millis(0, 5_000);
    restart.limit_burst = dice.one_of(&[0, 1, 3, 10]);
    restart.limit_interval = dice.millis(0, 60_000);
    let set = |dice: &mut Dice| ExitSet {
        codes: if dice.percent(20) { vec![2] } else { vec![] },
        signals: vec![],
    };
    restart.success_exit = set(dice);
    restart.prevent_exit = set(dice);
    restart.force_exit = set(dice);
}

/// Most services have none.
fn commands(kind: Kind, dice: &mut Dice) -> Commands {
    let list = |dice: &mut Dice| -> Vec<Failure> {
        let count = if dice.percent(15) { 1 + dice.below(2) } else { 0 };
        let failure = |dice: &mut Dice| {
            if dice.percent(20) { Failure::IsIgnored } else { Failure::Counts }
        };
        (0..count).map(|_| failure(dice)).collect()
    };
    Commands {
        condition: list(dice),
        pre_start: list(dice),
        main: if kind == Kind::Oneshot { list(dice) } else { Vec::new() },
        post_start: list(dice),
        post_stop: list(dice),
    }
}

fn step(dice: &mut Dice) -> StopStep {
    let how = match dice.below(4) {
        0 => StopHow::Command(dice.below(2) as usize),
        1 => StopHow::Sleep,
        _ => StopHow::Signal(dice.one_of(&[Signal::TERM, Signal::INT, Signal::QUIT])),
    };
    // Nobody sleeps for ever.
    let endless = how != StopHow::Sleep && dice.percent(8);
    let timeout = (!endless).then(|| dice.millis(0, 5_000));
    StopStep { how, timeout, wait: dice.percent(70) }
}

/// What is ordered points to lower numbers, so that there is no cycle.
fn dependencies(id: u32, count: u32, dice: &mut Dice) -> Vec<Dependency> {
    use DependencyKind::{
        After, Before, BindsTo, Conflicts, OnFailure, OnSuccess, PartOf, Requires, Upholds, Wants,
    };
    let mut dependencies = Vec::new();
    for _ in 0..dice.below(4) {
        let kind =
            dice.one_of(&[Requires, Requires, Wants, BindsTo, BindsTo, PartOf, After, Before]);
        let until = if dice.percent(20) { Until::Started } else { Until::Ready };
        let until = dice.percent(80).then_some(until);
        let choice = if kind == Before { id + 1..count } else { 0..id };
        if choice.is_empty() {
            continue;
        }
        let on = choice.start + dice.below(choice.end - choice.start);
        dependencies.push(Dependency { kind, on: ServiceId(on), until });
    }
    for kind in [Conflicts, Upholds, OnFailure, OnSuccess] {
        // Only who is upheld is waited for.
        let choice = if kind == Upholds { id } else { count };
        if choice > 0 && dice.percent(12) {
            let on = dice.below(choice);
            let until = Some(Until::Ready).filter(|_| kind == Upholds);
            if on != id {
                dependencies.push(Dependency { kind, on: ServiceId(on), until });
            }
        }
    }
    dependencies
}

/// Where there is no limit in time, nobody may do nothing for ever.
fn nature(spec: &ServiceSpec, trouble: u32, dice: &mut Dice) -> Nature {
    let chance = |dice: &mut Dice| if dice.percent(50) { trouble } else { 0 };
    let endless_start = spec.start_timeout.is_none();
    let mut steps = spec.stop.modes.values().flatten().chain(&spec.stop.steps);
    let endless_stop = steps.any(|step| step.timeout.is_none());
    Nature {
        spawn_fails: chance(dice),
        silent: if endless_start { 0 } else { chance(dice) },
        frail: chance(dice),
        leaves_others: chance(dice),
        stubborn: if endless_stop { 0 } else { chance(dice) },
        immortal: if endless_stop { 0 } else { chance(dice) / 4 },
        clumsy: chance(dice),
        talkative: chance(dice),
    }
}

/// The longest time that a stop may take by the spec; `None`: no limit.
pub(crate) fn longest_stop(spec: &ServiceSpec) -> Option<Duration> {
    let abort = spec.watchdog.and_then(|watchdog| watchdog.abort_timeout).unwrap_or_default();
    // Once as steps, once as the patience with one that ends by itself.
    let last = if spec.stop.final_signal.is_some() { 2 } else { 1 };
    let kill = last * supervisor_engine::KILL_PATIENCE;
    let command = spec.stop.steps.iter().filter_map(|step| step.timeout).max().unwrap_or_default();
    let command = command.max(Duration::from_secs(10)) + supervisor_engine::KILL_PATIENCE;
    let after = u32::try_from(spec.commands.post_stop.len()).expect("there are few") * command;
    // Which of the sequences it will be is not known.
    let mut steps = spec.stop.modes.values().flatten().chain(&spec.stop.steps);
    let rest = abort + kill + after + spec.stop.drain;
    steps.try_fold(rest, |sum, step| step.timeout.map(|timeout| sum + 2 * timeout))
}
