//! smoke
use std::time::Duration;
use supervisor_engine::*;
#[test]
fn smoke() {
    let at = |ms: u64| Moment::new(Duration::from_millis(1000 + ms));
    let mut db = ServiceSpec::new("db", Kind::Notify);
    let mut web = ServiceSpec::new("web", Kind::Simple);
    web.dependencies.push(Dependency {
        kind: DependencyKind::Requires,
        on: ServiceId(0),
        ordered: true,
    });
    db.stop.steps[0].timeout = Some(Duration::from_secs(5));
    let mut e = Engine::new(vec![db, web], 1).unwrap();
    let boot = e.request(Request::Boot, at(0));
    let a = e.poll_action().unwrap();
    assert_eq!((a.service, a.what), (ServiceId(0), ActionKind::Spawn));
    assert_eq!(e.poll_action(), None);
    e.report(a.invocation, Report::Spawned, at(1));
    assert_eq!(e.poll_action(), None);
    e.report(
        a.invocation,
        Report::Notified(Notification { ready: true, ..Notification::default() }),
        at(2),
    );
    let w = e.poll_action().unwrap();
    assert_eq!((w.service, w.what), (ServiceId(1), ActionKind::Spawn));
    e.report(w.invocation, Report::Spawned, at(3));
    assert_eq!(e.poll_ended(), Some(boot));
    assert_eq!(e.poll_timeout(), None);
    let down = e.request(Request::Shutdown { within: None, force: false }, at(4));
    let t = e.poll_action().unwrap();
    assert_eq!(t.service, ServiceId(1));
    assert_eq!(e.poll_action(), None);
    e.report(
        w.invocation,
        Report::Exited {
            process: Process::Main,
            exit: Exit::Signal { signal: Signal::TERM, core: false },
            remaining: false,
        },
        at(5),
    );
    assert_eq!(e.poll_action().unwrap().what, ActionKind::Release);
    let t = e.poll_action().unwrap();
    assert_eq!(t.service, ServiceId(0));
    assert_eq!(e.poll_action(), None);
    e.handle_timeout(at(5100));
    assert!(matches!(
        e.poll_action().unwrap().what,
        ActionKind::Signal { signal: Signal::KILL, .. }
    ));
    e.report(
        a.invocation,
        Report::Exited {
            process: Process::Main,
            exit: Exit::Signal { signal: Signal::KILL, core: false },
            remaining: false,
        },
        at(5200),
    );
    e.poll_action();
    assert_eq!(e.poll_ended(), Some(down));
    assert!(e.is_down());
    while let Some(t) = e.poll_transition() {
        println!("{t:?}");
    }
}
