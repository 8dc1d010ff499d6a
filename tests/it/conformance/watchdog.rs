//! Items 64 to 72: the watchdog.

use nix::sys::signal::Signal;
use supervisor_api::State;

use super::app::{app, begin, pass, say, steps};
use crate::harness::{Daemon, process_state, wait_until};

/// The service with a watchdog of this period.
fn watched(period: &str, lines: &str, steps: &[&str]) -> Daemon {
    app(&format!("watchdog = {period:?}\n{lines}"), steps)
}

/// Decided otherwise: a `WATCHDOG=1` before `READY=1` arms nothing.
#[test]
fn item_064_the_watchdog_is_armed_when_the_service_is_up() {
    let daemon =
        watched("150ms", "", &["--notify", "WATCHDOG=1", "--await", "${DIR}/gate", "--ready"]);
    daemon.wait_record("said", "app", 1);
    pass(300);
    assert_eq!(daemon.state("app"), State::Starting);
    daemon.open("gate");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "watchdog");
    assert!(daemon.detail("app").runs[0].ready_after_ms >= Some(300));
}

#[test]
fn item_065_a_missed_watchdog_ends_the_service_and_its_policy_applies() {
    let daemon = watched("1s", "", &["--ready", "--ping-until", "${DIR}/hang"]);
    daemon.wait_state("app", State::Running);
    // It is fed.
    pass(1_500);
    assert_eq!(daemon.state("app"), State::Running);
    daemon.open("hang");
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "watchdog");
    assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some("ABRT"));

    let daemon = watched(
        "150ms",
        "stop-command = \"${FIXTURE} stopper --exit 0\"
         post-stop = [\"${FIXTURE} last --exit 0\"]
         restart = \"on-watchdog\"
         start-limit-burst = 2",
        &["--ready"],
    );
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-limit");
    assert_eq!(daemon.happened("start", "app").len(), 2);
    assert_eq!(daemon.happened("start", "stopper"), []);
    assert_eq!(daemon.detail("app").runs[0].reason, "watchdog timeout");
    let expected = [("abort ABRT", "gone"), ("post-stop 1", "done")];
    assert_eq!(steps(&daemon), expected.map(|(step, end)| (step.to_owned(), end.to_owned())));
}

#[test]
fn item_066_abort_timeout_passes_before_kill() {
    let daemon = watched(
        "150ms",
        "abort-timeout = \"100ms\"\nstop-timeout = \"10min\"",
        &["--ignore", "ABRT", "--ready"],
    );
    daemon.wait_state("app", State::Failed);
    let stop = &daemon.detail("app").runs[0].stop;
    assert_eq!(stop[0].step, "abort ABRT");
    assert!(stop[0].took_ms >= 100, "{stop:?}");
    assert_eq!(stop[1].step, "signal KILL");
}

#[test]
fn item_067_the_service_may_set_its_watchdog_until_its_next_start() {
    let daemon = watched("500ms", "", &["--relay"]);
    say(&daemon, "WATCHDOG_USEC=0\nREADY=1");
    daemon.wait_state("app", State::Running);
    pass(700);
    assert_eq!(daemon.state("app"), State::Running);
    say(&daemon, "WATCHDOG_USEC=300000");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "watchdog");

    begin(&daemon, "start");
    daemon.wait_record("start", "app", 2);
    say(&daemon, "WATCHDOG_USEC=0");
    assert!(daemon.operate("stop", &["app"]).ok);
    begin(&daemon, "start");
    daemon.wait_record("start", "app", 3);
    say(&daemon, "READY=1");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "watchdog");
}

#[test]
fn item_068_a_service_without_watchdog_may_ask_to_be_treated_as_hanging() {
    let daemon = app("", &["--ready", "--notify", "WATCHDOG=trigger"]);
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "watchdog");
    assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some("ABRT"));
}

#[test]
fn item_069_a_ping_that_waits_in_the_socket_counts() {
    let daemon = watched(
        "500ms",
        "",
        &["--ready", "--await", "${DIR}/gate", "--notify", "WATCHDOG=1\nWATCHDOG_USEC=600000000"],
    );
    daemon.wait_state("app", State::Running);
    daemon.signal(Signal::SIGSTOP);
    wait_until("the daemon to stand still", &mut (), |()| {
        (process_state(daemon.pid()) == Some('T')).then_some(())
    });
    daemon.open("gate");
    daemon.wait_record("said", "app", 2);
    pass(600);
    daemon.signal(Signal::SIGCONT);
    assert_eq!(daemon.state("app"), State::Running);
    // The turn in which that was answered is over.
    assert_eq!(daemon.state("app"), State::Running);
    assert_eq!(daemon.happened("start", "app").len(), 1);
}

/// Decided otherwise: from the begin of its stop on a service has no watchdog.
#[test]
fn item_070_a_ping_during_the_stop_arms_nothing() {
    let daemon = watched(
        "1s",
        "",
        &[
            "--term-says",
            "WATCHDOG=1",
            "--term-awaits",
            "${DIR}/end",
            "--ready",
            "--ping-until",
            "${DIR}/hang",
        ],
    );
    daemon.wait_state("app", State::Running);
    begin(&daemon, "stop");
    daemon.wait_record("signal", "app", 1);
    daemon.open("hang");
    pass(1_200);
    assert_eq!(daemon.state("app"), State::Stopping);
    daemon.open("end");
    daemon.wait_state("app", State::Stopped);
    assert_eq!(steps(&daemon), [("signal TERM".to_owned(), "gone".to_owned())]);
}

/// There is no freezer here, and a process that somebody stopped by SIGSTOP hangs.
#[test]
fn item_071_a_stopped_process_misses_its_watchdog_and_can_be_ended() {
    let daemon = watched("150ms", "", &["--ready", "--stop-self"]);
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "watchdog");
    assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some("ABRT"));
}

#[test]
fn item_072_only_the_main_process_is_told_of_its_watchdog() {
    let daemon = watched(
        "10min",
        "notify-access = \"exec\"
         stop-command = \"${FIXTURE} stopper --env WATCHDOG_USEC --env WATCHDOG_PID --exit 1\"",
        &["--env", "WATCHDOG_USEC", "--env", "WATCHDOG_PID", "--ready"],
    );
    daemon.wait_state("app", State::Running);
    assert!(daemon.operate("stop", &["app"]).ok);
    let seen = |name| daemon.happened("env", name);
    assert_eq!(seen("app")[0].detail, "WATCHDOG_USEC=600000000");
    assert_eq!(seen("app")[1].detail, format!("WATCHDOG_PID={}", seen("app")[1].pid));
    assert_eq!(seen("stopper")[0].detail, "WATCHDOG_USEC=(unset)");
    assert_eq!(seen("stopper")[1].detail, "WATCHDOG_PID=(unset)");
}
