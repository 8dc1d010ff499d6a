//! Items 93 to 106: how a service goes down.

use nix::sys::signal::Signal;
use serde_json::json;
use supervisor_api::{ItemResult, State};

use super::app::{TELL, app, begin, left, pass, signals, steps, told};
use crate::harness::{Daemon, alive, process_state, send_signal, wait_until};

/// A stop command that records that it ran, and with which main process.
const STOPPER: &str = "stop-command = \"${FIXTURE} stopper --env MAINPID --exit 1\"\n";

/// Stops `app` and waits for its end.
fn stop(daemon: &Daemon) {
    let operation = daemon.operate("stop", &["app"]);
    assert!(operation.ok, "{operation:?}");
    assert_eq!(daemon.state("app"), State::Stopped);
}

fn assert_steps(daemon: &Daemon, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(step, end)| (step.to_string(), end.to_string())).collect();
    assert_eq!(steps(daemon), expected);
}

#[test]
fn item_093_a_service_that_says_it_is_stopping_is_left_to_it_for_its_time() {
    let lines = format!("restart = \"always\"\nstop-timeout = \"10min\"\n{STOPPER}");
    let daemon = app(
        &lines,
        &[
            "--ready",
            "--await",
            "${DIR}/gate",
            "--notify",
            "STOPPING=1",
            "--await",
            "${DIR}/end",
            "--exit",
            "0",
        ],
    );
    daemon.wait_state("app", State::Running);
    daemon.open("gate");
    assert!(!daemon.wait_state("app", State::Stopping).ready);
    assert!(left(&daemon) > 500_000);
    daemon.open("end");
    daemon.wait_record("start", "app", 2);
    assert_eq!(signals(&daemon, "app"), [""; 0]);
    assert_eq!(daemon.happened("start", "stopper"), []);
    assert_eq!(daemon.detail("app").runs.last().unwrap().stop[0].step, "announced");

    let lines = format!("restart = \"no\"\nstop-timeout = \"100ms\"\n{STOPPER}");
    let daemon = app(&lines, &["--ready", "--notify", "STOPPING=1"]);
    daemon.wait_state("app", State::Failed);
    assert_steps(&daemon, &[("announced", "timeout"), ("signal KILL", "gone")]);
    assert_eq!(signals(&daemon, "app"), [""; 0]);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn item_094_a_stop_that_is_asked_for_after_stopping_sends_nothing() {
    let daemon = app(
        &format!("stop-timeout = \"10min\"\nrestart = \"always\"\n{STOPPER}"),
        &["--ready", "--notify", "STOPPING=1", "--await", "${DIR}/end", "--exit", "3"],
    );
    daemon.wait_state("app", State::Stopping);
    let operation = daemon.operation(&json!({ "verb": "stop", "targets": ["app"] }));
    assert!(!operation.done);
    daemon.open("end");
    daemon.wait_state("app", State::Stopped);
    assert_eq!(signals(&daemon, "app"), [""; 0]);
    assert_eq!(daemon.happened("start", "stopper"), []);
}

#[test]
fn item_095_the_stop_command_is_for_what_was_up_and_did_not_die() {
    // It never came up: its time is over, it ends by itself, somebody stops it.
    let daemon = app(&format!("start-timeout = \"50ms\"\n{STOPPER}"), &[]);
    daemon.wait_state("app", State::Failed);
    assert_eq!(daemon.happened("start", "stopper"), []);
    for status in ["0", "1"] {
        let daemon = app(STOPPER, &["--exit", status]);
        daemon.wait_state("app", State::Failed);
        assert_eq!(daemon.happened("start", "stopper"), [], "{status}");
    }
    let daemon = app(STOPPER, &[]);
    daemon.wait_record("start", "app", 1);
    stop(&daemon);
    assert_eq!(daemon.happened("start", "stopper"), []);

    // It was up.
    let daemon = app(STOPPER, &["--ready"]);
    daemon.wait_state("app", State::Running);
    let main = daemon.pid_of("app");
    stop(&daemon);
    assert_eq!(daemon.wait_record("env", "stopper", 1).detail, format!("MAINPID={main}"));
    let daemon = app(STOPPER, &["--ready", "--exit", "0"]);
    daemon.wait_state("app", State::Exited);
    assert_eq!(daemon.wait_record("env", "stopper", 1).detail, "MAINPID=(unset)");
    for end in [["--exit", "1"], ["--die", "KILL"]] {
        let daemon = app(STOPPER, &["--ready", end[0], end[1]]);
        daemon.wait_state("app", State::Failed);
        assert_eq!(daemon.happened("start", "stopper"), [], "{end:?}");
    }
}

/// Decided otherwise: a stop before the main process is no failure.
#[test]
fn item_096_post_stop_is_run_after_every_end_and_told_of_it() {
    for (lines, steps, expected) in [
        ("", &["--ready"][..], ["success", "exited", "0"]),
        ("", &["--ready", "--exit", "0"], ["success", "exited", "0"]),
        ("", &["--ready", "--exit", "4"], ["exit-code", "exited", "4"]),
        ("", &["--exit", "4"], ["exit-code", "exited", "4"]),
        ("", &["--exit", "0"], ["protocol", "exited", "0"]),
        ("", &["--ready", "--die", "KILL"], ["signal", "killed", "KILL"]),
        ("", &["--ready", "--die", "TERM"], ["success", "killed", "TERM"]),
        ("start-timeout = \"50ms\"\nstop-signal = \"KILL\"", &[], ["timeout", "killed", "KILL"]),
        ("watchdog = \"50ms\"", &["--ready"], ["watchdog", "killed", "ABRT"]),
        ("condition = [\"false\"]", &[], ["exec-condition", "(unset)", "(unset)"]),
        ("pre-start = [\"false\"]", &[], ["exit-code", "(unset)", "(unset)"]),
        ("post-start = [\"false\"]", &["--ready"], ["exit-code", "exited", "0"]),
    ] {
        let lines = format!("{lines}\npost-stop = [\"${{FIXTURE}} last {TELL}\"]");
        let daemon = app(&lines, steps);
        if (lines.starts_with('\n'), steps) == (true, &["--ready"][..]) {
            daemon.wait_state("app", State::Running);
            stop(&daemon);
        }
        assert_eq!(told(&daemon), expected, "{lines} {steps:?}");
    }
    let daemon = Daemon::start(&format!(
        "[service.app]
         restart = \"no\"
         command = [\"/nonexistent/app\"]
         post-stop = [\"${{FIXTURE}} last {TELL}\"]"
    ));
    assert_eq!(told(&daemon), ["resources", "(unset)", "(unset)"]);
}

/// Decided otherwise: with `group` a helper that outlives main is part of the stop, and gets neither a
/// second signal nor a second time.
#[test]
fn item_097_the_kill_mode_says_who_gets_signals() {
    // A helper that does not want to go, and a main process that does.
    let run = |mode: &str| {
        let daemon = app(
            &format!("kill-mode = {mode:?}\nstop-timeout = \"200ms\""),
            &[
                "--child",
                "--setsid --ignore TERM --touch ${DIR}/helper",
                "--await",
                "${DIR}/helper",
                "--ready",
            ],
        );
        daemon.wait_state("app", State::Running);
        let helper = daemon.wait_record("start", "app.child", 1).pid;
        stop(&daemon);
        assert_eq!(signals(&daemon, "app"), ["TERM"], "{mode}");
        (daemon, helper)
    };
    let (daemon, helper) = run("group");
    assert_eq!(signals(&daemon, "app.child"), ["TERM"]);
    assert_steps(&daemon, &[("signal TERM", "timeout"), ("signal KILL", "gone")]);
    assert!(!alive(helper));

    let (daemon, helper) = run("mixed");
    assert_eq!(signals(&daemon, "app.child"), [""; 0]);
    assert!(!alive(helper));

    let (daemon, helper) = run("process");
    assert_eq!(signals(&daemon, "app.child"), [""; 0]);
    assert_steps(&daemon, &[("signal TERM", "gone")]);
    assert!(alive(helper));
}

#[test]
fn item_098_mixed_kills_the_helpers_as_soon_as_main_is_gone() {
    let daemon = app(
        "kill-mode = \"mixed\"\nstop-timeout = \"10min\"",
        &[
            "--child",
            "--setsid --touch ${DIR}/helper",
            "--await",
            "${DIR}/helper",
            "--term-awaits",
            "${DIR}/end",
            "--ready",
        ],
    );
    daemon.wait_state("app", State::Running);
    let helper = daemon.wait_record("start", "app.child", 1).pid;
    begin(&daemon, "stop");
    daemon.wait_record("signal", "app", 1);
    assert!(alive(helper));
    daemon.open("end");
    daemon.wait_state("app", State::Stopped);
    assert!(!alive(helper));
    assert_steps(&daemon, &[("signal TERM", "gone"), ("signal KILL", "gone")]);
}

/// Decided otherwise: HUP is not left out in a restart, unless that has a signal of its own.
#[test]
fn item_099_cont_follows_each_signal_and_hup_where_it_is_asked_for() {
    // What is pending is taken in the order of the numbers, so what came is sorted.
    let got = |lines: &str, verb: &str, count| {
        let daemon = app(
            &format!("kill-mode = \"process\"\nstop-timeout = \"10min\"\n{lines}"),
            &["--ignore", "CONT", "--ignore", "TERM", "--ignore", "INT", "--ready"],
        );
        daemon.wait_state("app", State::Running);
        begin(&daemon, verb);
        daemon.wait_record("signal", "app", count);
        assert_eq!(daemon.state("app"), State::Stopping);
        let mut seen = signals(&daemon, "app");
        seen.sort();
        seen
    };
    assert_eq!(got("", "stop", 2), ["CONT", "TERM"]);
    // CONT comes for each of the two, and one that is pending already is not counted again.
    let seen = got("send-sighup = true", "stop", 3);
    assert_eq!(
        (&seen[0][..], &seen[seen.len() - 2..]),
        ("CONT", &["HUP".to_owned(), "TERM".to_owned()][..])
    );
    let seen = got("send-sighup = true", "restart", 3);
    assert_eq!(seen[seen.len() - 2..], ["HUP", "TERM"]);
    assert_eq!(got("send-sighup = true\nrestart-signal = \"INT\"", "restart", 2), ["CONT", "INT"]);
}

#[test]
fn item_100_the_restart_signal_is_for_restarts_that_are_asked_for() {
    let daemon = app("restart-signal = \"INT\"", &["--ready"]);
    daemon.wait_state("app", State::Running);
    assert!(daemon.operate("restart", &["app"]).ok);
    assert_eq!(signals(&daemon, "app"), ["INT"]);
    stop(&daemon);
    assert_eq!(signals(&daemon, "app"), ["INT", "TERM"]);

    let lines = "restart-signal = \"INT\"\nrestart = \"always\"\nruntime-max = \"50ms\"";
    let daemon = app(lines, &["--ready"]);
    daemon.wait_record("signal", "app", 1);
    assert_eq!(signals(&daemon, "app")[0], "TERM");
}

/// Decided otherwise: what may not be killed and does not go is shown as it is, stopping and stuck.
#[test]
fn item_101_the_final_signal_and_what_may_not_be_killed() {
    let daemon =
        app("stop-timeout = \"50ms\"\nfinal-signal = \"QUIT\"", &["--ignore", "TERM", "--ready"]);
    daemon.wait_state("app", State::Running);
    stop(&daemon);
    assert_steps(&daemon, &[("signal TERM", "timeout"), ("signal QUIT", "gone")]);
    assert_eq!(signals(&daemon, "app"), ["TERM", "QUIT"]);

    let daemon = app(
        "stop-timeout = \"50ms\"\nsend-sigkill = false\nrestart = \"always\"",
        &["--ignore", "TERM", "--ready"],
    );
    daemon.wait_state("app", State::Running);
    let main = daemon.pid_of("app");
    let operation = daemon.operate("stop", &["app"]);
    assert_eq!(operation.items[0].result, Some(ItemResult::StopFailed), "{operation:?}");
    let app = daemon.service("app");
    assert_eq!((app.state, app.deadline_ms, alive(main)), (State::Stopping, None, true));
    assert_eq!(signals(&daemon, "app"), ["TERM"]);
    // It is not started beside what is left, and its end is seen.
    send_signal(main, Signal::SIGKILL);
    daemon.wait_state("app", State::Stopped);
    assert_eq!(daemon.happened("start", "app").len(), 1);
}

/// Decided otherwise: a service that reloads is up, so its stop command is run.
#[test]
fn item_102_a_stop_command_is_run_during_a_reload_but_not_during_a_start() {
    let daemon = app(STOPPER, &["--notify", "STATUS=loading"]);
    daemon.wait_record("said", "app", 1);
    stop(&daemon);
    assert_steps(&daemon, &[("signal TERM", "gone")]);
    assert_eq!(daemon.happened("start", "stopper"), []);

    let lines = "pre-start = [\"${FIXTURE} before\"]";
    let daemon = app(&format!("{STOPPER}{lines}"), &["--ready"]);
    daemon.wait_record("start", "before", 1);
    stop(&daemon);
    assert_eq!(daemon.order("start"), ["before"]);

    let lines = "reload-command = \"${FIXTURE} reloader --ignore TERM\"";
    let daemon = app(&format!("{STOPPER}{lines}"), &["--ready"]);
    daemon.wait_state("app", State::Running);
    let id = begin(&daemon, "reload");
    daemon.wait_record("start", "reloader", 1);
    stop(&daemon);
    assert_steps(&daemon, &[("command", "failed: exit status 1"), ("signal TERM", "gone")]);
    assert_eq!(daemon.started(), Vec::<i32>::new());
    let reload: supervisor_api::Operation =
        daemon.http().get(&format!("/v1/operations/{id}")).json();
    assert!(reload.done && !reload.ok, "{reload:?}");
}

#[test]
fn item_103_a_stop_during_the_restart_delay_is_immediate() {
    let daemon = app(
        "restart = \"always\"\nrestart-delay = \"10min\"\nrestart-max-delay = \"10min\"",
        &["--exit", "1"],
    );
    daemon.wait_state("app", State::Backoff);
    stop(&daemon);
    assert_eq!(daemon.service("app").why.code, "requested");
    assert_eq!(daemon.happened("start", "app").len(), 1);
}

#[test]
fn item_104_a_service_is_down_when_all_of_it_is_and_who_waits_waits_for_that() {
    let daemon = app(
        "stop-timeout = \"10min\"
         requires = [\"db\"]
         [service.db]
         command = \"${FIXTURE} db --ready\"",
        &[
            "--daemon",
            "--term-awaits ${DIR}/end --touch ${DIR}/helper",
            "--await",
            "${DIR}/helper",
            "--ready",
        ],
    );
    daemon.wait_state("app", State::Running);
    begin(&daemon, "stop");
    daemon.operation(&json!({ "verb": "stop", "targets": ["db"] }));
    daemon.wait_record("exit", "app", 1);
    daemon.wait_service("app", "without main", |app| app.pid.is_none());
    assert_eq!((daemon.state("app"), daemon.state("db")), (State::Stopping, State::Running));
    daemon.open("end");
    daemon.wait_state("db", State::Stopped);
    assert_eq!(daemon.state("app"), State::Stopped);
    let gone = daemon.happened("exit", "app.daemon.child")[0].time;
    assert!(gone <= daemon.happened("signal", "db")[0].time);

    let daemon = app(
        "post-stop = [\"${FIXTURE} last --await ${DIR}/end --exit 0\"]
         requires = [\"db\"]
         [service.db]
         command = \"${FIXTURE} db --ready\"",
        &["--ready"],
    );
    daemon.wait_state("app", State::Running);
    daemon.operation(&json!({ "verb": "stop", "targets": ["db"] }));
    daemon.wait_record("start", "last", 1);
    assert_eq!((daemon.state("app"), daemon.state("db")), (State::Stopping, State::Running));
    daemon.open("end");
    daemon.wait_state("db", State::Stopped);
    assert!(daemon.happened("exit", "last")[0].time <= daemon.happened("signal", "db")[0].time);
}

#[test]
fn item_105_a_stopped_process_can_be_stopped() {
    let daemon = app("stop-timeout = \"10min\"", &["--ready", "--stop-self"]);
    let main = daemon.wait_state("app", State::Running).pid.unwrap();
    wait_until("it to stand still", &mut (), |()| (process_state(main) == Some('T')).then_some(()));
    stop(&daemon);
    assert_steps(&daemon, &[("signal TERM", "gone")]);
}

/// What a service leaves behind is its own till it ends, as process 1 and as any other.
#[test]
fn item_106_orphans_are_reaped_and_belong_to_who_started_them() {
    let daemon = app(
        "notify-access = \"all\"
         restart = \"always\"
         [service.other]
         notify-access = \"all\"
         command = [\"${FIXTURE}\", \"other\", \"--daemon\", \"--ready\"]",
        &["--daemon", "--ready --await ${DIR}/end --exit 1"],
    );
    daemon.wait_state("app", State::Running);
    daemon.wait_state("other", State::Running);
    let orphan = daemon.wait_record("start", "app.daemon.child", 1).pid;
    daemon.open("end");
    wait_until("the orphan to be reaped", &mut (), |()| {
        process_state(orphan).is_none().then_some(())
    });
    // Its end is nobody's.
    assert_eq!(daemon.state("app"), State::Running);
    assert_eq!(daemon.happened("start", "app").len(), 1);
    let other = daemon.wait_record("start", "other.daemon.child", 1).pid;
    stop(&daemon);
    pass(50);
    assert!(alive(other) && daemon.state("other") == State::Running);
}
