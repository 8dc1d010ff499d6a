//! Whole courses of events, as they were seen with systemd, and as they go here.
//!
//! The numbers are those of the list that they were written down in.

use supervisor_api::{ItemResult, State};

use super::app::{TELL, app, begin, pass, say, signals, steps, told};
use crate::harness::{Daemon, alive, wait_until};

/// A stop command that records that it ran, and with which main process.
const STOPPER: &str = "stop-command = \"${FIXTURE} stopper --env MAINPID --exit 0\"\n";

fn failed_with(daemon: &Daemon, code: &str) {
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, code, "{}", app.why.message);
}

fn stop(daemon: &Daemon) {
    assert!(daemon.operate("stop", &["app"]).ok);
    assert_eq!(daemon.state("app"), State::Stopped);
}

fn assert_steps(daemon: &Daemon, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(step, end)| (step.to_string(), end.to_string())).collect();
    assert_eq!(steps(daemon), expected);
}

#[test]
fn trace_01_exit_0_while_running() {
    let daemon = app(STOPPER, &["--ready", "--exit", "0"]);
    daemon.wait_state("app", State::Exited);
    assert_eq!(daemon.wait_record("env", "stopper", 1).detail, "MAINPID=(unset)");
    assert_eq!(daemon.detail("app").runs[0].reason, "exit status 0");
}

#[test]
fn trace_02_exit_3_while_running() {
    let daemon = app(STOPPER, &["--ready", "--exit", "3"]);
    failed_with(&daemon, "exit");
    assert_eq!(daemon.happened("start", "stopper"), []);
    assert_eq!(daemon.service("app").exit.and_then(|exit| exit.code), Some(3));
}

#[test]
fn trace_03_exit_0_before_ready() {
    let daemon = app(&format!("enabled = false\n{STOPPER}"), &["--exit", "0"]);
    let operation = daemon.operate("start", &["app"]);
    assert_eq!(operation.items[0].result, Some(ItemResult::StartFailed));
    assert_eq!(operation.items[0].message, "ended before it said READY=1");
    failed_with(&daemon, "protocol");
    assert_eq!(daemon.happened("start", "stopper"), []);
}

/// With systemd the ping in the handler arms the watchdog again, and ends the service by ABRT.
#[test]
fn trace_04_a_ping_in_the_handler_of_the_stop() {
    let daemon = app(
        "watchdog = \"200ms\"\nstop-timeout = \"400ms\"",
        &["--ignore", "TERM", "--answer", "TERM", "WATCHDOG=1", "--ready"],
    );
    daemon.wait_state("app", State::Running);
    stop(&daemon);
    assert_steps(&daemon, &[("signal TERM", "timeout"), ("signal KILL", "gone")]);
}

/// With systemd the first ping arms the watchdog, and the start fails by it.
#[test]
fn trace_05_a_ping_at_the_begin_and_ready_much_later() {
    let steps = ["--notify", "WATCHDOG=1", "--await", "${DIR}/gate", "--ready"];
    let daemon = app("watchdog = \"200ms\"", &steps);
    daemon.wait_record("said", "app", 1);
    pass(400);
    daemon.open("gate");
    daemon.wait_record("said", "app", 2);
    failed_with(&daemon, "watchdog");
    assert!(daemon.detail("app").runs[0].ready_after_ms >= Some(400));
}

#[test]
fn trace_06_more_time_beside_ready_moves_the_watchdog() {
    let daemon = app("watchdog = \"50ms\"", &["--notify", "READY=1\nEXTEND_TIMEOUT_USEC=400000"]);
    failed_with(&daemon, "watchdog");
    let run = &daemon.detail("app").runs[0];
    assert!(run.lasted_ms >= 400, "{run:?}");
}

/// With systemd a text that is not UTF-8 clears the old one, and backslashes are eaten.
#[test]
fn trace_07_texts() {
    let daemon = app("", &["--relay", "--ready"]);
    daemon.wait_state("app", State::Running);
    let longest = |size: usize| format!("STATUS={}", "x".repeat(size - "STATUS=".len()));
    let (fits, too_long) = (longest(4096), longest(4097));
    for (message, text) in [
        ("STATUS=good", Some("good")),
        ("STATUS=C:\\dir\\x", Some("C:\\dir\\x")),
        ("STATUS=end\\", Some("end\\")),
        ("STATUS=nul\0inside", Some("end\\")),
        ("STATUS=nul\0", Some("nul")),
        (&too_long, Some("nul")),
        (&fits, Some(&fits["STATUS=".len()..])),
        ("STATUS=cr\rREADY=1\r\n", Some("cr")),
        ("STATUS=first\nSTATUS=second", Some("first")),
        ("STATUS=", None),
    ] {
        say(&daemon, message);
        assert_eq!(daemon.service("app").status.as_deref(), text, "{message:.40}");
    }
}

#[test]
fn trace_08_the_number_of_an_error() {
    let daemon = app("", &["--relay", "--ready"]);
    daemon.wait_state("app", State::Running);
    for said in ["ERRNO=ENOENT", "ERRNO=99999"] {
        say(&daemon, said);
        assert_eq!(daemon.detail("app").said.errno, Some(2), "{said}");
    }
}

#[test]
fn trace_09_stopping_of_a_service_that_then_stays() {
    let daemon = app(
        &format!("restart = \"always\"\n{STOPPER}stop-timeout = \"400ms\""),
        &["--ignore", "TERM", "--ready", "--notify", "STOPPING=1"],
    );
    daemon.wait_state("app", State::Stopping);
    // Asked for besides, it is a stop by hand.
    stop(&daemon);
    assert_steps(&daemon, &[("announced", "timeout"), ("signal KILL", "gone")]);
    assert_eq!(signals(&daemon, "app"), [""; 0]);
    assert_eq!(daemon.happened("start", "stopper"), []);
    assert_eq!(daemon.happened("start", "app").len(), 1);
}

/// With systemd `control-group` signals the helper a second time and gives it a second time-out, and
/// then the service has failed.
#[test]
fn trace_10_a_helper_that_does_not_want_to_go() {
    for (mode, seen, is_left, stopped) in [
        ("group", &["TERM"][..], false, &[("signal TERM", "timeout"), ("signal KILL", "gone")][..]),
        ("mixed", &[], false, &[("signal TERM", "gone"), ("signal KILL", "gone")]),
        ("process", &[], true, &[("signal TERM", "gone")]),
    ] {
        let daemon = app(
            &format!("kill-mode = {mode:?}\nstop-timeout = \"300ms\""),
            &[
                "--child",
                "--ignore TERM --touch ${DIR}/helper",
                "--await",
                "${DIR}/helper",
                "--ready",
            ],
        );
        daemon.wait_state("app", State::Running);
        let helper = daemon.wait_record("start", "app.child", 1).pid;
        stop(&daemon);
        assert_steps(&daemon, stopped);
        assert_eq!(signals(&daemon, "app.child"), seen, "{mode}");
        assert_eq!(alive(helper), is_left, "{mode}");
    }
}

#[test]
fn trace_11_the_signals_of_a_restart_and_of_a_stop() {
    let daemon = app("restart-signal = \"INT\"", &["--ready"]);
    daemon.wait_state("app", State::Running);
    assert!(daemon.operate("restart", &["app"]).ok);
    stop(&daemon);
    assert_eq!(signals(&daemon, "app"), ["INT", "TERM"]);

    let daemon = app("send-sighup = true", &["--ignore", "TERM", "--ignore", "CONT", "--ready"]);
    daemon.wait_state("app", State::Running);
    begin(&daemon, "stop");
    daemon.wait_record("signal", "app", 3);
    let mut seen = signals(&daemon, "app");
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["CONT", "HUP", "TERM"]);
}

/// With systemd the word of a child that its parent has reaped at once is lost.
#[test]
fn trace_12_whose_ready_counts() {
    let daemon = app(
        "notify-access = \"main\"",
        &["--run", "--ready --exit 0", "--barrier", "--await", "${DIR}/gate", "--ready"],
    );
    daemon.wait_record("barrier", "app", 1);
    assert_eq!(daemon.state("app"), State::Starting);
    daemon.open("gate");
    daemon.wait_state("app", State::Running);
    let daemon = app("notify-access = \"all\"", &["--run", "--ready --exit 0"]);
    daemon.wait_state("app", State::Running);
}

/// With systemd the start of a simple service succeeds before its program is looked for. Here it has
/// succeeded when the program runs, as with `exec`.
#[test]
fn trace_13_a_program_that_is_not_there() {
    for kind in ["simple", "notify", "oneshot"] {
        let daemon = Daemon::start(&format!(
            "[service.app]
             enabled = false
             type = {kind:?}
             restart = \"no\"
             command = [\"/nonexistent/program\"]"
        ));
        let operation = daemon.operate("start", &["app"]);
        assert_eq!(operation.items[0].result, Some(ItemResult::SpawnFailed), "{kind}");
        failed_with(&daemon, "spawn");
    }
}

/// With systemd the service has failed, by the signal that ended the command.
#[test]
fn trace_14_a_stop_before_the_main_process() {
    let daemon = app(
        &format!(
            "{STOPPER}enabled = false
             pre-start = [\"${{FIXTURE}} before\"]
             stop-signal = \"INT\"
             kill-mode = \"mixed\"
             post-stop = [\"${{FIXTURE}} last {TELL}\"]"
        ),
        &["--ready"],
    );
    let id = begin(&daemon, "start");
    daemon.wait_record("start", "before", 1);
    assert_eq!(daemon.service("app").why.message, "runs pre-start 1 of 1");
    stop(&daemon);
    assert_eq!(daemon.service("app").why.code, "requested");
    assert_eq!(signals(&daemon, "before"), ["INT"]);
    let start: supervisor_api::Operation =
        daemon.http().get(&format!("/v1/operations/{id}")).json();
    assert_eq!(start.items[0].result, Some(ItemResult::Superseded));
    assert_eq!(told(&daemon), ["success", "(unset)", "(unset)"]);
    assert_eq!(daemon.order("start"), ["before", "last"]);
}

#[test]
fn trace_15_exit_4_beside_a_command_after_the_start() {
    let daemon = app(
        &format!(
            "{STOPPER}enabled = false
             post-start = [\"${{FIXTURE}} after --touch ${{DIR}}/die --await ${{DIR}}/never\"]
             post-stop = [\"${{FIXTURE}} last {TELL}\"]"
        ),
        &["--ready", "--await", "${DIR}/die", "--exit", "4"],
    );
    let operation = daemon.operate("start", &["app"]);
    assert_eq!(operation.items[0].result, Some(ItemResult::StartFailed));
    failed_with(&daemon, "exit");
    assert_eq!(daemon.service("app").why.message, "exit status 4");
    assert_eq!(told(&daemon), ["exit-code", "exited", "4"]);
    assert_eq!(daemon.happened("start", "stopper"), []);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn trace_16_death_by_term() {
    let daemon = app("type = \"oneshot\"", &["--die", "TERM"]);
    failed_with(&daemon, "exit");
    let daemon = app("", &["--ready", "--die", "TERM"]);
    let exit = daemon.wait_state("app", State::Exited).exit.unwrap();
    assert_eq!((exit.code, exit.signal.as_deref()), (None, Some("TERM")));
}

/// With systemd a core dump is never clean.
#[test]
fn trace_17_an_abort_that_is_listed() {
    let daemon = app(
        "success-exit = [\"ABRT\"]
         working-directory = \"${DIR}\"
         limits = { core = \"infinity\" }",
        &["--ready", "--die", "ABRT"],
    );
    let app = daemon.wait_state("app", State::Exited);
    assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some("ABRT"));
}

#[test]
fn trace_18_restart_always_of_what_fails_at_once() {
    let daemon =
        app("type = \"simple\"\nrestart = \"always\"\nstart-limit-burst = 5", &["--exit", "1"]);
    failed_with(&daemon, "start-limit");
    assert_eq!(daemon.happened("start", "app").len(), 5);
    assert_eq!(daemon.service("app").restarts, 5, "the last one was refused");
}

#[test]
fn trace_19_a_condition_that_is_not_met_and_restart_always() {
    let daemon = app(
        &format!(
            "{STOPPER}restart = \"always\"
             condition = [\"false\"]
             post-stop = [\"${{FIXTURE}} last {TELL}\"]"
        ),
        &["--ready"],
    );
    assert_eq!(told(&daemon), ["exec-condition", "(unset)", "(unset)"]);
    let app = daemon.wait_state("app", State::Stopped);
    assert_eq!(app.why.code, "condition");
    assert_eq!(daemon.order("start"), ["last"]);
}

#[test]
fn trace_20_a_stop_in_the_restart_delay() {
    let daemon = app(
        "type = \"simple\"
         restart = \"on-success\"
         restart-delay = \"1min\"
         restart-max-delay = \"1min\"",
        &["--exit", "0"],
    );
    daemon.wait_state("app", State::Backoff);
    stop(&daemon);
}

/// With systemd the newest comes first.
#[test]
fn trace_21_descriptors_over_a_restart_and_a_stop() {
    let daemon = app(
        "fd-store-max = 10",
        &[
            "--passed",
            "--touch",
            "${DIR}/a",
            "--touch",
            "${DIR}/b",
            "--touch",
            "${DIR}/c",
            "--touch",
            "${DIR}/d",
            "--hand-in",
            "${DIR}/a",
            "FDSTORE=1\nFDNAME=first",
            "--hand-in",
            "${DIR}/b,${DIR}/c",
            "FDSTORE=1\nFDNAME=second",
            "--hand-in",
            "${DIR}/a",
            "FDSTORE=1\nFDNAME=again",
            "--hand-in",
            "${DIR}/d",
            "FDSTORE=1\nFDNAME=bad:name",
            "--hand-in",
            "hung-up",
            "FDSTORE=1\nFDNAME=pipe",
            "--hand-in",
            "hung-up",
            "FDSTORE=1\nFDNAME=pipenopoll\nFDPOLL=0",
            "--ready",
        ],
    );
    daemon.wait_state("app", State::Running);
    let expected = ["first", "second", "second", "stored", "pipenopoll"];
    wait_until("the hung-up pipe to be dropped", &mut (), |()| {
        (daemon.detail("app").stored_fds == expected).then_some(())
    });
    assert!(daemon.operate("restart", &["app"]).ok);
    let passed = daemon.wait_record("passed", "app", 2).detail;
    assert!(passed.starts_with("5 first:second:second:stored:pipenopoll own"), "{passed}");
    stop(&daemon);
    assert_eq!(daemon.detail("app").stored_fds, [""; 0]);
}

#[test]
fn trace_22_barriers() {
    let daemon = app(
        "",
        &["--ready", "--notify-fds", "1", "BARRIER=1\nSTATUS=no", "--status", "yes", "--barrier"],
    );
    daemon.wait_record("barrier", "app", 1);
    assert_eq!(daemon.service("app").status.as_deref(), Some("yes"));
    wait_until("the first to be refused", &mut (), |()| {
        daemon.stderr().contains("BARRIER=1 is not alone").then_some(())
    });
}

/// What is not ordered: see item 139.
#[test]
fn trace_23_relations() {
    // Ordered: it is never started.
    let failing = |relation: &str| {
        app(
            &format!(
                "[service.web]
                 command = \"${{FIXTURE}} web --await ${{DIR}}/gate --ready\"
                 {relation}"
            ),
            &["--exit", "1"],
        )
    };
    let daemon = failing("requires = [\"app\"]");
    let web = daemon.wait_state("web", State::Failed);
    assert_eq!((web.why.code.as_str(), web.why.services), ("dependency", vec!["app".to_owned()]));
    assert_eq!(daemon.happened("start", "web"), []);

    // One that is bound goes with an end that was not asked for; one that requires stays; one that is
    // part is stopped and restarted with it.
    let daemon = app(
        "[service.bound]
         command = \"${FIXTURE} bound --ready\"
         binds-to = [\"app\"]
         [service.requiring]
         command = \"${FIXTURE} requiring --ready\"
         requires = [\"app\"]
         [service.part]
         command = \"${FIXTURE} part --ready\"
         part-of = [\"app\"]",
        &["--ready", "--await", "${DIR}/gate", "--exit", "0"],
    );
    for name in ["bound", "requiring", "part"] {
        daemon.wait_state(name, State::Running);
    }
    assert!(daemon.operate("restart", &["app"]).ok);
    for name in ["bound", "requiring", "part"] {
        daemon.wait_record("said", name, 2);
        daemon.wait_state(name, State::Running);
    }
    daemon.open("gate");
    daemon.wait_state("app", State::Exited);
    daemon.wait_state("bound", State::Stopped);
    assert_eq!(daemon.state("requiring"), State::Running);
    assert_eq!(daemon.state("part"), State::Running);
    assert!(daemon.operate("stop", &["app"]).ok);
}
