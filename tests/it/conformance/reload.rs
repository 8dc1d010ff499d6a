//! Items 84 to 92: reading the configuration again.

use nix::sys::signal::Signal;
use serde_json::json;
use supervisor_api::{ItemResult, Operation, State};

use super::app::{app, begin, say, signals};
use crate::harness::{Daemon, process_state, send_signal, wait_until};

/// A service of type notify-reload that says this when it gets HUP.
fn answering(lines: &str, answer: &str) -> Daemon {
    let lines = format!("type = \"notify-reload\"\n{lines}");
    let daemon = app(&lines, &["--answer", "HUP", answer, "--relay", "--ready"]);
    daemon.wait_state("app", State::Running);
    daemon
}

fn assert_failed(daemon: &Daemon, operation: &Operation) {
    assert_eq!(operation.items[0].result, Some(ItemResult::ReloadFailed), "{operation:?}");
    assert_eq!(daemon.state("app"), State::Running);
    assert_eq!(daemon.happened("start", "app").len(), 1);
}

/// Waits for an operation that was begun.
fn end_of(daemon: &Daemon, id: u64) -> Operation {
    wait_until("the operation to end", &mut (), |()| {
        let operation: Operation = daemon.http().get(&format!("/v1/operations/{id}")).json();
        operation.done.then_some(operation)
    })
}

#[test]
fn item_084_a_reload_is_answered_with_a_time_that_is_no_older() {
    let daemon = answering("", "RELOADING=1\nMONOTONIC_USEC=@NOW@");
    let id = begin(&daemon, "reload");
    daemon.wait_record("said", "app", 2);
    assert_eq!(daemon.state("app"), State::Reloading);
    say(&daemon, "READY=1");
    assert!(end_of(&daemon, id).ok);

    let daemon = answering("reload-timeout = \"100ms\"", "RELOADING=1\nMONOTONIC_USEC=1\nREADY=1");
    let operation = daemon.operate("reload", &["app"]);
    assert_failed(&daemon, &operation);
}

#[test]
fn item_085_a_reload_without_a_time_fails_and_the_service_stays_up() {
    for answer in ["RELOADING=1\nREADY=1", "RELOADING=1\nMONOTONIC_USEC=now\nREADY=1", "READY=1"] {
        let daemon = answering("reload-timeout = \"100ms\"", answer);
        let operation = daemon.operate("reload", &["app"]);
        assert_failed(&daemon, &operation);
        assert!(operation.elapsed_ms >= 100, "{operation:?}");
        // What it is worth is seen at its end: a failed reload is no failure of the service.
        assert!(daemon.operate("stop", &["app"]).ok);
        assert_eq!(daemon.detail("app").runs[0].reason, "by request");
    }
}

#[test]
fn item_086_a_reload_may_begin_and_end_in_one_message() {
    let daemon = answering("", "RELOADING=1\nREADY=1\nMONOTONIC_USEC=@NOW@");
    let operation = daemon.operate("reload", &["app"]);
    assert!(operation.ok, "{operation:?}");
    // Unasked it is over at once.
    say(&daemon, "RELOADING=1\nREADY=1");
    assert_eq!(daemon.state("app"), State::Running);
}

/// Decided otherwise: a service is reloaded by a command or by a signal, not by both. What a command
/// makes it say counts as it would after a signal.
#[test]
fn item_087_a_reload_command_may_be_answered_too() {
    let daemon = app(
        "reload-command = \"${FIXTURE} reloader --env MAINPID --await ${DIR}/done --exit 0\"",
        &["--relay", "--ready"],
    );
    daemon.wait_state("app", State::Running);
    let id = begin(&daemon, "reload");
    daemon.wait_record("env", "reloader", 1);
    say(&daemon, "RELOADING=1");
    daemon.open("done");
    daemon.wait_record("exit", "reloader", 1);
    daemon.wait_service("app", "about to be ready again", |app| {
        app.why.message == "waits for READY=1 after RELOADING=1"
    });
    say(&daemon, "READY=1");
    assert!(end_of(&daemon, id).ok);
    assert_eq!(signals(&daemon, "app"), [""; 0]);

    // Both while the command runs: its end is the end of the reload.
    std::fs::remove_file(daemon.path("done")).unwrap();
    let id = begin(&daemon, "reload");
    daemon.wait_record("env", "reloader", 2);
    say(&daemon, "RELOADING=1");
    say(&daemon, "READY=1");
    assert_eq!(daemon.state("app"), State::Reloading);
    daemon.open("done");
    assert!(end_of(&daemon, id).ok);

    let daemon = app("reload-command = [\"false\"]", &["--ready"]);
    daemon.wait_state("app", State::Running);
    let operation = daemon.operate("reload", &["app"]);
    assert_failed(&daemon, &operation);
}

/// Decided otherwise: only a reload that is asked for goes on to others.
#[test]
fn item_088_a_reload_of_its_own_is_shown_and_stays_its_own() {
    let daemon = app(
        "reload-propagates-to = [\"other\"]
         [service.other]
         type = \"notify-reload\"
         command = \"${FIXTURE} other --reloads --ready\"",
        &["--relay", "--ready"],
    );
    daemon.wait_state("app", State::Running);
    daemon.wait_state("other", State::Running);
    say(&daemon, "RELOADING=1");
    let app = daemon.service("app");
    assert_eq!((app.state, app.ready), (State::Reloading, true));
    assert_eq!(daemon.state("other"), State::Running);
    assert_eq!(signals(&daemon, "other"), [""; 0]);
}

#[test]
fn item_089_ready_ends_a_reload() {
    let daemon = answering("", "");
    for _ in 0..3 {
        say(&daemon, "RELOADING=1");
        assert_eq!(daemon.state("app"), State::Reloading);
        say(&daemon, "READY=1");
        assert_eq!(daemon.state("app"), State::Running);
    }
    // One that says no more of it is taken back after the time that a reload may take.
    let daemon = answering("reload-timeout = \"100ms\"", "");
    say(&daemon, "RELOADING=1");
    assert_eq!(daemon.wait_state("app", State::Running).pid, Some(daemon.pid_of("app")));
}

#[test]
fn item_090_death_while_reloading_is_a_death() {
    for (end, restart, code) in [
        ("--exit 1", "no", "exit"),
        ("--exit 1", "on-failure", "start-limit"),
        ("--die KILL", "on-abort", "start-limit"),
    ] {
        let mut steps = vec!["--ready", "--notify", "RELOADING=1", "--await", "${DIR}/gate"];
        steps.extend(end.split(' '));
        let daemon = app(&format!("restart = {restart:?}\nstart-limit-burst = 2"), &steps);
        daemon.wait_state("app", State::Reloading);
        daemon.open("gate");
        assert_eq!(daemon.wait_state("app", State::Failed).why.code, code, "{end} {restart}");
    }

    let daemon = answering("", "");
    let id = begin(&daemon, "reload");
    daemon.wait_record("signal", "app", 1);
    send_signal(daemon.pid_of("app"), Signal::SIGKILL);
    let operation = end_of(&daemon, id);
    assert_eq!(operation.items[0].result, Some(ItemResult::ReloadFailed), "{operation:?}");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "exit");
}

#[test]
fn item_091_an_operation_tells_how_its_reload_went_and_a_second_one_is_run_again() {
    let daemon = answering("", "RELOADING=1\nMONOTONIC_USEC=@NOW@");
    let first = begin(&daemon, "reload");
    daemon.wait_record("said", "app", 2);
    let second = begin(&daemon, "reload");
    assert_eq!(signals(&daemon, "app"), ["HUP"]);
    say(&daemon, "READY=1");
    assert!(end_of(&daemon, first).ok);
    daemon.wait_record("said", "app", 3);
    assert_eq!(signals(&daemon, "app"), ["HUP", "HUP"]);
    say(&daemon, "READY=1");
    assert!(end_of(&daemon, second).ok);
    assert_eq!(daemon.state("app"), State::Running);
}

#[test]
fn item_092_the_reload_signal_and_cont_go_to_main_only() {
    let daemon = app(
        "type = \"notify-reload\"\nreload-signal = \"USR1\"",
        &[
            "--ignore",
            "CONT",
            "--answer",
            "USR1",
            "RELOADING=1\nREADY=1\nMONOTONIC_USEC=@NOW@",
            "--child",
            "--ignore CONT",
            "--ready",
            "--await",
            "${DIR}/gate",
            "--stop-self",
        ],
    );
    daemon.wait_state("app", State::Running);
    daemon.wait_record("start", "app.child", 1);
    daemon.open("gate");
    let main = daemon.pid_of("app");
    wait_until("it to stand still", &mut (), |()| (process_state(main) == Some('T')).then_some(()));
    let operation =
        daemon.operation(&json!({ "verb": "reload", "targets": ["app"], "wait": true }));
    assert!(operation.ok, "{operation:?}");
    daemon.wait_record("signal", "app", 2);
    let mut seen = signals(&daemon, "app");
    seen.sort();
    assert_eq!(seen, ["CONT", "USR1"]);
    assert_eq!(signals(&daemon, "app.child"), [""; 0]);
}

/// Patroni dies of HUP until it has installed its handler.
#[test]
fn a_reload_right_after_a_start_never_kills_and_is_never_lost() {
    let daemon = app(
        "enabled = false\nreload-signal = \"HUP\"\nstart-limit-burst = 0",
        &["--late", "--handle", "--ready"],
    );
    for cycle in 1..=200 {
        begin(&daemon, "start");
        let operation = daemon.operate("reload", &["app"]);
        assert!(operation.ok, "{cycle}: {operation:?}");
        assert!(daemon.operate("stop", &["app"]).ok);
        let seen = signals(&daemon, "app");
        let reloads = seen.iter().filter(|name| *name == "HUP").count();
        assert_eq!((reloads, seen.len()), (cycle, 2 * cycle), "each got HUP and TERM");
    }
    assert_eq!(daemon.happened("exit", "app").len(), 200);
}
