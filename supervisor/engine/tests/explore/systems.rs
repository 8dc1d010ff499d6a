//! The small systems that are explored.

use std::time::Duration;

use supervisor_engine::{
    Dependency, DependencyKind, ExitType, Failure, KillMode, Kind, ModeId, ReloadHow, ReloadSpec,
    RestartMode, RestartPolicy, ServiceId, ServiceSpec, Signal, StopHow, StopStep, Until,
    WatchdogSpec,
};

const SECOND: Duration = Duration::from_secs(1);

/// One service of each kind, with the settings that make a difference.
pub(crate) fn single() -> Vec<(String, ServiceSpec)> {
    let reload = |how| Some(ReloadSpec { how, timeout: Some(5 * SECOND) });
    let variants: Vec<(&str, ServiceSpec)> = vec![
        ("target", spec(Kind::Target, |_| {})),
        ("simple", spec(Kind::Simple, |_| {})),
        ("never again", spec(Kind::Simple, |spec| spec.restart.policy = RestartPolicy::No)),
        ("probed", spec(Kind::Simple, |spec| spec.probed = true)),
        ("settling", spec(Kind::Notify, |spec| spec.settle_time = 2 * SECOND)),
        (
            "settling, probed, stop command",
            spec(Kind::Simple, |spec| {
                spec.probed = true;
                spec.settle_time = 2 * SECOND;
                spec.stop.steps.insert(0, command(0));
            }),
        ),
        (
            "at most so long, reload command",
            spec(Kind::Notify, |spec| {
                spec.runtime_max = Some(3 * SECOND);
                spec.reload = reload(ReloadHow::Command);
            }),
        ),
        (
            "restart signal, final signal, hang-up",
            spec(Kind::Simple, |spec| {
                spec.stop.steps.insert(0, command(0));
                spec.stop.restart_signal = Some(Signal::USR2);
                spec.stop.final_signal = Some(Signal::QUIT);
                spec.stop.send_sighup = true;
            }),
        ),
        (
            "final signal, mixed",
            spec(Kind::Notify, |spec| {
                spec.stop.kill_mode = KillMode::Mixed;
                spec.stop.final_signal = Some(Signal::QUIT);
            }),
        ),
        (
            "two ways to stop",
            spec(Kind::Simple, |spec| {
                let user = StopStep { how: StopHow::Signal(Signal::USR1), ..term() };
                spec.stop.modes.insert(ModeId(0), vec![command(0), user]);
            }),
        ),
        (
            "reload signal that is answered",
            spec(Kind::Notify, |spec| {
                spec.settle_time = SECOND;
                spec.reload = reload(ReloadHow::Handshake(Signal::HUP));
            }),
        ),
        ("remaining", spec(Kind::Simple, |spec| spec.remain_after_exit = true)),
        (
            "always, two starts at most",
            spec(Kind::Simple, |spec| {
                spec.restart.policy = RestartPolicy::Always;
                spec.restart.limit_burst = 2;
            }),
        ),
        (
            "two commands",
            spec(Kind::Simple, |spec| {
                spec.stop.steps = vec![command(0), command(1), term()];
            }),
        ),
        (
            "mixed",
            spec(Kind::Simple, |spec| {
                spec.stop.kill_mode = KillMode::Mixed;
                spec.stop.steps = vec![command(0), term()];
            }),
        ),
        (
            "process, reload command",
            spec(Kind::Notify, |spec| {
                spec.stop.kill_mode = KillMode::Process;
                spec.stop.steps = vec![command(0), term()];
                spec.reload = reload(ReloadHow::Command);
            }),
        ),
        (
            "never killed",
            spec(Kind::Notify, |spec| {
                spec.stop.send_sigkill = false;
                spec.reload = reload(ReloadHow::Command);
            }),
        ),
        (
            "watchdog, reload signal",
            spec(Kind::Notify, |spec| {
                let (timeout, abort_timeout) = (3 * SECOND, Some(SECOND));
                let signal = Signal::ABRT;
                spec.watchdog = Some(WatchdogSpec { timeout, signal, abort_timeout });
                spec.reload = reload(ReloadHow::Signal(Signal::HUP));
            }),
        ),
        (
            "remaining, reload command, stop command",
            spec(Kind::Notify, |spec| {
                spec.remain_after_exit = true;
                spec.reload = reload(ReloadHow::Command);
                spec.stop.steps = vec![command(0)];
            }),
        ),
        (
            "no steps, no wait",
            spec(Kind::Notify, |spec| {
                spec.stop.steps = vec![StopStep { wait: false, ..command(0) }];
            }),
        ),
        (
            "condition, pre-start, post-stop",
            spec(Kind::Simple, |spec| {
                spec.commands.condition = vec![Failure::Counts];
                spec.commands.pre_start = vec![Failure::Counts];
                spec.commands.post_stop = vec![Failure::Counts];
            }),
        ),
        (
            "two of each that may fail, mixed",
            spec(Kind::Simple, |spec| {
                spec.stop.kill_mode = KillMode::Mixed;
                spec.commands.condition = vec![Failure::IsIgnored];
                spec.commands.post_start = vec![Failure::IsIgnored, Failure::Counts];
                spec.commands.post_stop = vec![Failure::IsIgnored, Failure::Counts];
            }),
        ),
        (
            "watchdog, post-start, settling",
            spec(Kind::Notify, |spec| {
                let (timeout, abort_timeout) = (3 * SECOND, Some(SECOND));
                let signal = Signal::ABRT;
                spec.watchdog = Some(WatchdogSpec { timeout, signal, abort_timeout });
                spec.settle_time = SECOND;
                spec.commands.post_start = vec![Failure::Counts];
            }),
        ),
        (
            "draining, stop command",
            spec(Kind::Simple, |spec| {
                spec.stop.drain = SECOND;
                spec.stop.steps.insert(0, command(0));
            }),
        ),
        (
            "two commands, post-start, post-stop",
            spec(Kind::Oneshot, |spec| {
                spec.commands.main = vec![Failure::IsIgnored, Failure::Counts];
                spec.commands.post_start = vec![Failure::Counts];
                spec.commands.post_stop = vec![Failure::Counts];
            }),
        ),
        ("forking", spec(Kind::Forking, |_| {})),
        (
            "forking, post-start, settling, mixed, stop command",
            spec(Kind::Forking, |spec| {
                spec.settle_time = 2 * SECOND;
                spec.stop.kill_mode = KillMode::Mixed;
                spec.commands.post_start = vec![Failure::Counts];
                spec.stop.steps.insert(0, command(0));
            }),
        ),
        (
            "forking, probed, process, reload signal",
            spec(Kind::Forking, |spec| {
                spec.probed = true;
                spec.stop.kill_mode = KillMode::Process;
                spec.reload = reload(ReloadHow::Signal(Signal::HUP));
            }),
        ),
        (
            "to the last process, post-start, settling",
            spec(Kind::Notify, |spec| {
                spec.exit_type = ExitType::All;
                spec.settle_time = 2 * SECOND;
                spec.commands.post_start = vec![Failure::IsIgnored];
            }),
        ),
        (
            "to the last process, remaining, liveness",
            spec(Kind::Simple, |spec| {
                spec.exit_type = ExitType::All;
                spec.remain_after_exit = true;
                spec.liveness = true;
                spec.reload = reload(ReloadHow::Command);
            }),
        ),
        (
            "liveness, reload command, stop command",
            spec(Kind::Simple, |spec| {
                spec.liveness = true;
                spec.reload = reload(ReloadHow::Command);
                spec.stop.steps.insert(0, command(0));
            }),
        ),
        ("oneshot", spec(Kind::Oneshot, |spec| spec.stop.steps.insert(0, command(0)))),
        ("passing oneshot", spec(Kind::Oneshot, |spec| spec.remain_after_exit = false)),
    ];
    variants.into_iter().map(|(name, spec)| (name.to_owned(), spec)).collect()
}

/// Services that are restarted without a gap. With two processes at a time there are too many
/// situations for all of them.
pub(crate) fn overlapping() -> Vec<(String, ServiceSpec)> {
    let mut commands = overlap(Kind::Simple);
    commands.commands.condition = vec![Failure::Counts];
    commands.commands.post_stop = vec![Failure::Counts];
    commands.stop.drain = SECOND;
    let kinds = [Kind::Notify, Kind::Simple, Kind::Forking];
    let kinds = kinds.map(|kind| (format!("{kind:?} overlap"), overlap(kind)));
    kinds.into_iter().chain([("overlap with commands".to_owned(), commands)]).collect()
}

/// Two services for each kind of dependency, in order or not where that makes a difference; the
/// other one comes up late, and fails or is tried again.
pub(crate) fn pairs() -> Vec<(String, Vec<ServiceSpec>)> {
    use DependencyKind::{
        After, Before, BindsTo, Conflicts, OnFailure, PartOf, Requires, Upholds, Wants,
    };
    let ordered = [Requires, Wants, BindsTo, After, Before].map(|kind| (kind, true));
    let unordered = [Requires, BindsTo, PartOf].map(|kind| (kind, false));
    let mut pairs = Vec::new();
    for (kind, ordered) in ordered.into_iter().chain(unordered) {
        for policy in [RestartPolicy::No, RestartPolicy::Always] {
            let other = spec(Kind::Notify, |spec| spec.restart.policy = policy);
            let one = depends(spec(Kind::Simple, |_| {}), kind, 0, ordered);
            let name = format!("{kind:?}, ordered {ordered}, {policy:?}");
            pairs.push((name, vec![other, one]));
        }
    }
    for kind in [Requires, BindsTo, After] {
        let one = depends(overlap(Kind::Notify), kind, 0, true);
        pairs.push((format!("overlap, {kind:?}"), vec![spec(Kind::Simple, |_| {}), one]));
        let one = depends(spec(Kind::Simple, |_| {}), kind, 0, true);
        pairs.push((format!("{kind:?} overlap"), vec![overlap(Kind::Notify), one]));
    }
    for kind in [Conflicts, Upholds, OnFailure] {
        let other = spec(Kind::Simple, |spec| spec.restart.policy = RestartPolicy::No);
        let one = depends(overlap(Kind::Notify), kind, 0, kind == Upholds);
        pairs.push((format!("overlap, {kind:?}"), vec![other, one]));
    }
    pairs.extend(related());
    let reload = |how| Some(ReloadSpec { how, timeout: Some(5 * SECOND) });
    let mut other = spec(Kind::Notify, |spec| spec.reload = reload(ReloadHow::Command));
    other.reload_propagates_to = vec![ServiceId(1)];
    let mut one = spec(Kind::Notify, |spec| spec.reload = reload(ReloadHow::Signal(Signal::HUP)));
    one.reload_propagates_to = vec![ServiceId(0)];
    pairs.push(("reloaded with each other".to_owned(), vec![other, one]));
    for kind in [Requires, BindsTo] {
        let other = spec(Kind::Simple, |spec| {
            spec.restart.policy = RestartPolicy::Always;
            spec.commands.condition = vec![Failure::Counts];
            spec.commands.post_stop = vec![Failure::Counts];
        });
        let one = depends(spec(Kind::Simple, |_| {}), kind, 0, true);
        pairs.push((format!("{kind:?} on a condition"), vec![other, one]));
    }
    pairs
}

/// Two services of which one stops, keeps up or starts the other, or does not see it restart.
fn related() -> Vec<(String, Vec<ServiceSpec>)> {
    use DependencyKind::{BindsTo, Conflicts, OnFailure, OnSuccess, Requires, Upholds};
    let limited = |kind, policy| {
        spec(kind, |spec| {
            spec.restart.policy = policy;
            spec.restart.limit_burst = 2;
            spec.restart.limit_interval = 5 * SECOND;
        })
    };
    let simple = || spec(Kind::Simple, |_| {});
    let never = || limited(Kind::Simple, RestartPolicy::No);
    let direct = || {
        let mut spec = limited(Kind::Notify, RestartPolicy::Always);
        spec.restart.mode = RestartMode::Direct;
        spec
    };
    let mut early = depends(simple(), Requires, 0, true);
    early.dependencies[0].until = Some(Until::Started);
    let mut fails = depends(never(), OnFailure, 1, false);
    fails = depends(fails, OnSuccess, 1, false);
    [
        ("conflict", vec![simple(), depends(simple(), Conflicts, 0, false)]),
        ("upheld", vec![never(), depends(simple(), Upholds, 0, true)]),
        ("start each other", vec![fails, depends(never(), OnFailure, 0, false)]),
        ("bound to a direct one", vec![direct(), depends(simple(), BindsTo, 0, true)]),
        ("early", vec![limited(Kind::Notify, RestartPolicy::No), early]),
    ]
    .map(|(name, specs)| (name.to_owned(), specs))
    .into()
}

/// The name of services that are removed and restarted one by one.
pub(crate) const INSTANCE: &str = "instance";

/// Two instances: alone, and behind a service that they require.
pub(crate) fn instances() -> Vec<(String, Vec<ServiceSpec>)> {
    let instance = |kind| spec(kind, |spec| INSTANCE.clone_into(&mut spec.name));
    let both = |kind| vec![instance(kind), instance(kind)];
    let mut overlaps = vec![overlap(Kind::Notify), overlap(Kind::Notify)];
    for spec in &mut overlaps {
        INSTANCE.clone_into(&mut spec.name);
    }
    let mut behind = vec![spec(Kind::Simple, |_| {})];
    behind.extend(
        both(Kind::Simple).into_iter().map(|one| depends(one, DependencyKind::Requires, 0, true)),
    );
    [
        ("simple", both(Kind::Simple)),
        ("notify", both(Kind::Notify)),
        ("overlap", overlaps),
        ("behind another", behind),
    ]
    .map(|(name, specs)| (name.to_owned(), specs))
    .into()
}

/// Three services: in a row, through a target, and two bound to one.
pub(crate) fn triples() -> Vec<(String, Vec<ServiceSpec>)> {
    use DependencyKind::{BindsTo, Conflicts, PartOf, Requires, Upholds};
    let simple = || spec(Kind::Simple, |_| {});
    let row =
        vec![simple(), depends(simple(), Requires, 0, true), depends(simple(), BindsTo, 1, true)];
    let target = vec![
        simple(),
        depends(spec(Kind::Target, |_| {}), Requires, 0, true),
        depends(simple(), Requires, 1, true),
    ];
    let fan =
        vec![simple(), depends(simple(), BindsTo, 0, true), depends(simple(), PartOf, 0, true)];
    let conflict = vec![
        simple(),
        depends(simple(), Requires, 0, true),
        depends(simple(), Conflicts, 0, false),
    ];
    let upheld = vec![
        spec(Kind::Simple, |spec| spec.restart.policy = RestartPolicy::No),
        depends(simple(), Requires, 0, true),
        depends(simple(), Upholds, 1, true),
    ];
    [
        ("row", row),
        ("through a target", target),
        ("fan", fan),
        ("conflict", conflict),
        ("upheld", upheld),
    ]
    .map(|(name, specs)| (name.to_owned(), specs))
    .into()
}

/// Delays that do not grow and times that are short keep the number of situations small.
fn spec(kind: Kind, change: impl FnOnce(&mut ServiceSpec)) -> ServiceSpec {
    let mut spec = ServiceSpec::new("service", kind);
    spec.start_timeout = spec.start_timeout.map(|_| 4 * SECOND);
    spec.stop.steps = vec![term()];
    spec.restart.delay = SECOND;
    spec.restart.factor = 1.0;
    spec.restart.jitter = 0.0;
    spec.restart.limit_burst = 0;
    change(&mut spec);
    spec
}

fn overlap(kind: Kind) -> ServiceSpec {
    spec(kind, |spec| {
        spec.restart.mode = RestartMode::Overlap;
        spec.restart.policy = RestartPolicy::No;
    })
}

fn depends(mut spec: ServiceSpec, kind: DependencyKind, on: u32, ordered: bool) -> ServiceSpec {
    let until = ordered.then_some(Until::Ready);
    spec.dependencies.push(Dependency { kind, on: ServiceId(on), until });
    spec
}

fn term() -> StopStep {
    StopStep { how: StopHow::Signal(Signal::TERM), timeout: Some(2 * SECOND), wait: true }
}

fn command(index: usize) -> StopStep {
    StopStep { how: StopHow::Command(index), timeout: Some(2 * SECOND), wait: true }
}
