use std::time::Duration;

use supervisor_engine::{
    Dependency, DependencyKind, Kind, Moment, Report, Request, ServiceSpec, Signal, SpawnError,
    Until,
};

use super::*;

fn at(seconds: u64) -> Moment {
    Moment::new(Duration::from_secs(seconds))
}

/// `db`, and `web`, which requires it.
fn engine() -> Engine {
    let mut web = ServiceSpec::new("web", Kind::Simple);
    web.dependencies =
        vec![Dependency { on: DB, kind: DependencyKind::Requires, until: Some(Until::Ready) }];
    Engine::new(vec![ServiceSpec::new("db", Kind::Notify), web], 1).unwrap()
}

fn settle(engine: &mut Engine) -> Vec<supervisor_engine::Action> {
    while engine.poll_transition().is_some() {}
    std::iter::from_fn(|| engine.poll_action()).collect()
}

const DB: ServiceId = ServiceId(0);
const WEB: ServiceId = ServiceId(1);

#[test]
fn why_says_who_is_waited_for() {
    let mut engine = engine();
    assert_eq!(why(&engine, WEB).code, "never-started");
    engine.request(Request::Boot, at(1));
    let spawn = settle(&mut engine)[0];
    let waits = why(&engine, WEB);
    assert_eq!((waits.code.as_str(), waits.message.as_str()), ("waits-for", "waits for db"));
    assert_eq!(waits.services, ["db"]);
    engine.report(spawn.invocation, Report::Spawned, at(2));
    settle(&mut engine);
    assert_eq!(why(&engine, DB).message, "waits for READY=1");
}

#[test]
fn an_operation_shows_what_is_left_and_then_what_came_of_it() {
    let mut engine = engine();
    let id = engine.request(Request::Start(vec![WEB]), at(1));
    let spawn = settle(&mut engine)[0];
    let shown = operation(&engine, id, engine.operation(id).unwrap(), at(3));
    assert_eq!((shown.verb.as_str(), shown.done, shown.ok), ("start", false, false));
    assert_eq!(shown.elapsed_ms, 2_000);
    let web = shown.items.iter().find(|item| item.service == "web").unwrap();
    assert_eq!((web.named, web.result), (true, None));
    assert_eq!(web.message, "waits for db");

    let error = SpawnError { step: "exec", errno: 2, message: "exec: gone".to_owned() };
    engine.report(spawn.invocation, Report::SpawnFailed(error), at(4));
    settle(&mut engine);
    let shown = operation(&engine, id, engine.operation(id).unwrap(), at(9));
    assert_eq!((shown.done, shown.ok, shown.elapsed_ms), (true, false, 3_000));
    let result = |name| shown.items.iter().find(|item| item.service == name).unwrap().result;
    assert_eq!(result("db"), Some(api::ItemResult::SpawnFailed));
    assert_eq!(result("web"), Some(api::ItemResult::DependencyFailed));
}

#[test]
fn an_exit_has_a_code_or_a_signal() {
    let code = exit(Exit::Code(3)).unwrap();
    assert_eq!((code.code, code.signal), (Some(3), None));
    let killed = exit(Exit::Signal { signal: Signal::KILL, core: true }).unwrap();
    assert_eq!((killed.code, killed.signal.as_deref(), killed.core), (None, Some("KILL"), true));
    assert_eq!(exit(Exit::Unknown), None);
}

#[test]
fn steps_have_words_for_programs() {
    for (shown, word) in [
        (Step::Sequence(0, StopHow::Command(0)), "command"),
        (Step::Sequence(1, StopHow::Signal(Signal::TERM)), "signal TERM"),
        (Step::Sequence(2, StopHow::Sleep), "sleep"),
        (Step::Announced, "announced"),
        (Step::Abort(Signal::ABRT), "abort ABRT"),
        (Step::Final(Signal::QUIT), "signal QUIT"),
        (Step::Kill, "signal KILL"),
        (Step::Stuck, "stuck"),
    ] {
        assert_eq!(step(shown), word);
    }
}

#[test]
fn a_stop_is_shown_with_all_its_phases() {
    let phase = |step, took, end| StopPhase { step, took: Duration::from_millis(took), end };
    let term = Step::Sequence(1, StopHow::Signal(Signal::TERM));
    let shown = phases(&[
        phase(Step::Sequence(0, StopHow::Command(0)), 5, PhaseEnd::CommandFailed(Exit::Code(3))),
        phase(term, 90_000, PhaseEnd::Timeout),
        phase(Step::Kill, 1, PhaseEnd::Gone),
    ]);
    let shown: Vec<_> =
        shown.iter().map(|p| (p.step.as_str(), p.took_ms, p.result.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("command", 5, "failed: exit status 3"),
            ("signal TERM", 90_000, "timeout"),
            ("signal KILL", 1, "gone"),
        ]
    );
}
