//! Items 43 to 52: when a service counts as up.

use supervisor_api::{ItemResult, State};

use super::speaker::{Speaker, app, spec};
use crate::harness::{Daemon, wait_until};

#[test]
fn item_043_those_that_require_it_wait_for_its_ready() {
    let (daemon, speaker) = app(
        "[service.after]
         requires = [\"app\"]
         command = [\"${FIXTURE}\", \"after\"]",
        &[],
    );
    speaker.tell("STATUS=not yet");
    assert_eq!((daemon.state("app"), daemon.state("after")), (State::Starting, State::Waiting));
    assert_eq!(daemon.happened("start", "after"), []);
    speaker.tell("READY=1");
    daemon.wait_state("after", State::Running);
}

#[test]
fn item_044_ready_of_a_command_before_the_main_process_does_not_count() {
    let daemon = Daemon::start(&spec(
        "notify-access = \"all\"
         pre-start = [\"${FIXTURE} before --ready --barrier --exit 0\"]",
        &["--await", "${DIR}/gate", "--ready"],
    ));
    daemon.wait_record("barrier", "before", 1);
    daemon.wait_record("start", "app", 1);
    assert_eq!(daemon.state("app"), State::Starting);
    daemon.open("gate");
    daemon.wait_state("app", State::Running);
}

#[test]
fn item_045_a_second_ready_changes_nothing() {
    let (daemon, speaker) = app("", &[]);
    speaker.tell("READY=1");
    let before = daemon.service("app");
    assert_eq!(before.state, State::Running);
    for _ in 0..3 {
        speaker.tell("READY=1\nREADY=1");
    }
    assert_eq!(daemon.service("app"), before);
}

#[test]
fn item_046_an_end_with_0_before_ready_is_a_fault_of_the_protocol() {
    let daemon = Daemon::start(&spec("", &["--exit", "0"]));
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "protocol");
    assert_eq!(app.exit.and_then(|exit| exit.code), Some(0));
}

#[test]
fn item_047_an_end_with_another_status_before_ready_is_that_failure() {
    let daemon = Daemon::start(&spec("", &["--exit", "5"]));
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "exit");
    assert_eq!(app.exit.and_then(|exit| exit.code), Some(5));
    let failed = daemon.operate("start", &["app"]);
    assert_eq!(failed.items[0].result, Some(ItemResult::StartFailed), "{failed:?}");
}

/// systemd goes on waiting for the helper's word.
#[test]
fn item_048_an_end_before_ready_is_a_fault_also_where_a_helper_could_still_say_it() {
    let (daemon, speaker) = app(
        "notify-access = \"all\"\nremain-after-exit = true\nstop-timeout = \"1min\"",
        &["--child", "--relay --term-awaits ${DIR}/gate", "--await", "${DIR}/end", "--exit", "0"],
    );
    let helper = Speaker::of(&daemon, "app.child");
    speaker.barrier();
    daemon.open("end");
    daemon.wait_state("app", State::Stopping);
    helper.tell("READY=1");
    assert_eq!(daemon.state("app"), State::Stopping);
    daemon.open("gate");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "protocol");
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn item_049_ready_does_not_change_other_types_but_ends_a_reload() {
    let daemon = Daemon::start(
        r#"
        [defaults]
        notify-access = "main"
        restart = "no"
        [service.simple]
        command = "${FIXTURE} ${SERVICE} --relay"
        [service.probed]
        readiness-probe = { file = "${DIR}/never", period = "10ms" }
        command = "${FIXTURE} ${SERVICE} --relay"
        [service.oneshot]
        type = "oneshot"
        command = "${FIXTURE} ${SERVICE} --relay""#,
    );
    let expected =
        [("simple", State::Running), ("probed", State::Starting), ("oneshot", State::Starting)];
    for (name, state) in expected {
        let speaker = Speaker::of(&daemon, name);
        speaker.tell("READY=1");
        assert_eq!(daemon.state(name), state, "{name}");
    }
    let speaker = Speaker::of(&daemon, "simple");
    speaker.tell("RELOADING=1");
    assert_eq!(daemon.state("simple"), State::Reloading);
    speaker.tell("READY=1");
    assert_eq!(daemon.state("simple"), State::Running);
}

#[test]
fn item_050_a_start_that_takes_too_long_is_terminated_then_killed_without_the_stop_command() {
    let daemon = Daemon::start(
        r#"[service.app]
        type = "notify"
        restart = "no"
        start-timeout = "50ms"
        stop-timeout = "50ms"
        stop-command = ["${FIXTURE}", "stop", "--exit", "0"]
        command = "${FIXTURE} ${SERVICE} --ignore TERM""#,
    );
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "start-timeout");
    assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some("KILL"));
    let signals = daemon.happened("signal", "app");
    // On a busy machine it may be killed before it could write that down.
    assert!(signals.iter().all(|signal| signal.detail == "TERM"), "{signals:?}");
    assert_eq!(daemon.happened("start", "stop"), []);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn item_051_with_main_pid_in_the_same_message_the_new_process_counts() {
    let (daemon, speaker) = app("", &["--child", "--relay"]);
    let child = Speaker::of(&daemon, "app.child");
    let pid = daemon.wait_record("relays", "app.child", 1).pid;
    speaker.tell(format!("READY=1\nMAINPID={pid}"));
    let app = daemon.service("app");
    assert_eq!((app.state, app.pid), (State::Running, Some(pid)));
    child.tell("STATUS=main now");
    assert_eq!(daemon.service("app").status.as_deref(), Some("main now"));
}

#[test]
fn item_052_stopping_before_ready_prevents_the_start() {
    let (daemon, speaker) = app("", &["--await", "${DIR}/end", "--exit", "0"]);
    speaker.tell("STOPPING=1");
    speaker.tell("READY=1");
    assert_eq!(daemon.state("app"), State::Stopping);
    daemon.open("end");
    wait_until("the end", &mut (), |()| daemon.service("app").pid.is_none().then_some(()));
    let app = daemon.wait_service("app", "down", |app| app.state != State::Stopping);
    assert!(!app.ready, "{app:?}");
    assert_eq!(daemon.detail("app").runs[0].ready_after_ms, None);
    assert_eq!(daemon.happened("signal", "app"), []);
}
