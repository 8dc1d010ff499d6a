//! Ten thousand services: that a whole boot and a whole shutdown take no time that grows with the
//! square of their number. The times are printed, not asserted: they depend on the machine. With
//! `cargo test --release -p supervisor-engine --test scale -- --nocapture` each should stay below
//! 50 ms.

use std::collections::VecDeque;
use std::time::Duration;

use supervisor_engine::{
    Action, ActionKind, Dependency, DependencyKind, Engine, Exit, Kind, Manner, Moment, Process,
    Report, Request, ServiceId, ServiceSpec, Until,
};

const COUNT: u32 = 10_000;

#[test]
fn a_chain_boots_and_shuts_down() {
    boots_and_shuts_down("chain", |id| if id > 0 { vec![id - 1] } else { vec![] });
}

#[test]
fn many_services_that_require_one_boot_and_shut_down() {
    boots_and_shuts_down("all require one", |id| if id > 0 { vec![0] } else { vec![] });
}

#[test]
fn one_service_that_requires_many_boots_and_shuts_down() {
    let last = COUNT - 1;
    let all = |id| if id == last { (0..last).collect() } else { vec![] };
    boots_and_shuts_down("one requires all", all);
}

#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "real time is the point")]
#[expect(clippy::print_stdout, reason = "the times are for people to read")]
fn boots_and_shuts_down(name: &str, requires: impl Fn(u32) -> Vec<u32>) {
    let mut engine = Engine::new(specs(requires), 1).expect("the order has no cycle");
    let now = Moment::new(Duration::from_secs(1));
    let begin = std::time::Instant::now();
    engine.request(Request::Boot, now);
    carry_out(&mut engine, now);
    let booted = begin.elapsed();
    assert!(engine.services().all(|(_, service)| service.state().is_up()));

    let mut with_limit = engine.clone();
    let begin = std::time::Instant::now();
    engine.request(Request::Shutdown { within: None, manner: Manner::Graceful }, now);
    carry_out(&mut engine, now);
    let down = begin.elapsed();
    assert!(engine.is_down());

    // What is stopping already when the time gets shorter has to be looked at too.
    let begin = std::time::Instant::now();
    let mut actions = VecDeque::new();
    for within in [60, 30].map(Duration::from_secs) {
        let within = Some(within);
        with_limit.request(Request::Shutdown { within, manner: Manner::Graceful }, now);
        actions.extend(std::iter::from_fn(|| with_limit.poll_action()));
    }
    carry_out_from(&mut with_limit, actions, now);
    let limited = begin.elapsed();
    assert!(with_limit.is_down());
    println!(
        "{name}: {COUNT} services up in {booted:?}, down in {down:?}, within a limit in {limited:?}"
    );
}

fn specs(requires: impl Fn(u32) -> Vec<u32>) -> Vec<ServiceSpec> {
    let specs = (0..COUNT).map(|id| {
        let mut spec = ServiceSpec::new(format!("service-{id}"), Kind::Simple);
        let dependency = |on| Dependency {
            kind: DependencyKind::Requires,
            on: ServiceId(on),
            until: Some(Until::Ready),
        };
        spec.dependencies = requires(id).into_iter().map(dependency).collect();
        spec
    });
    specs.collect()
}

/// Lets every process do at once what it is told.
fn carry_out(engine: &mut Engine, now: Moment) {
    carry_out_from(engine, VecDeque::new(), now);
}

/// As `carry_out`, with what it was told before.
fn carry_out_from(engine: &mut Engine, mut actions: VecDeque<Action>, now: Moment) {
    loop {
        actions.extend(std::iter::from_fn(|| engine.poll_action()));
        while engine.poll_transition().is_some() {}
        while engine.poll_ended().is_some() {}
        let Some(action) = actions.pop_front() else { return };
        let report = match action.what {
            ActionKind::Spawn(_) => Report::Spawned,
            ActionKind::Signal { signal, .. } => Report::Exited {
                process: Process::Main,
                exit: Exit::Signal { signal, core: false },
                remaining: false,
            },
            ActionKind::Run(_)
            | ActionKind::FindMain
            | ActionKind::StartProbe(_)
            | ActionKind::StopProbe(_)
            | ActionKind::Release => continue,
        };
        engine.report(action.invocation, report, now);
    }
}
