//! `conflicts`, `upholds`, `on-failure`, `on-success`, `until = "started"` and
//! `restart-mode = "direct"` with real processes.

use nix::sys::signal::Signal;
use supervisor_api::{ItemResult, State};

use crate::harness::{Daemon, send_signal};

fn kill_main(daemon: &Daemon, name: &str) {
    send_signal(daemon.pid_of(name), Signal::SIGKILL);
}

#[test]
fn of_two_that_conflict_one_is_gone_before_the_other_starts() {
    let daemon = Daemon::boot(
        r#"
        [service.blue]
        command = "${FIXTURE} ${SERVICE}"
        conflicts = ["green"]
        [service.green]
        command = "${FIXTURE} ${SERVICE}""#,
    );
    let green = daemon.wait_state("green", State::Stopped);
    assert_eq!(
        (green.why.code.as_str(), &green.why.services[..]),
        ("conflicts-with", &["blue".to_owned()][..])
    );
    let plan = daemon.ctl(&["plan", "start", "green"]).stdout;
    assert!(plan.contains("conflicts with green"), "{plan}");

    daemon.wait_record("start", "blue", 1);
    let output = daemon.ctl(&["start", "green"]);
    assert_eq!(output.code, 0, "{output:?}");
    let blue = daemon.service("blue");
    assert_eq!((blue.state, blue.why.code.as_str()), (State::Stopped, "conflicts-with"));
    let gone = daemon.wait_record("signal", "blue", 1);
    let started = daemon.wait_record("start", "green", 1);
    assert!(gone.time < started.time, "{gone:?} {started:?}");

    let both = daemon.operate("start", &["green", "blue"]);
    let results: Vec<_> = both.items.iter().map(|item| item.result).collect();
    assert_eq!(results, [Some(ItemResult::AlreadyStarted), Some(ItemResult::Conflict)]);
    let output = daemon.ctl(&["start", "green", "blue"]);
    assert!(output.code != 0 && output.stdout.contains("blue: ERROR (conflict)"), "{output:?}");
    let why = daemon.ctl(&["why", "blue"]).stdout;
    assert!(why.contains("conflicts with green"), "{why}");
}

#[test]
fn what_is_upheld_comes_back_unless_it_was_stopped() {
    let daemon = Daemon::boot(
        r#"
        [service.web]
        command = "${FIXTURE} ${SERVICE}"
        upholds = ["job"]
        [service.job]
        restart = "no"
        restart-delay = "10ms"
        command = "${FIXTURE} ${SERVICE}""#,
    );
    daemon.wait_record("start", "job", 1);
    kill_main(&daemon, "job");
    daemon.wait_record("start", "job", 2);
    daemon.wait_state("job", State::Running);
    daemon.ctl(&["stop", "job"]);
    assert_eq!(daemon.state("job"), State::Stopped);
    daemon.ctl(&["restart", "web"]);
    daemon.wait_record("start", "job", 3);
}

#[test]
fn a_failure_starts_its_handler_which_is_told_what_happened() {
    let variables = ["UNIT", "SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS", "INVOCATION_ID"];
    let env: String = variables.map(|name| format!(" --env MONITOR_{name}")).concat();
    let daemon = Daemon::boot(&format!(
        r#"
        [service.web]
        restart = "no"
        command = "${{FIXTURE}} ${{SERVICE}} --env INVOCATION_ID --await ${{DIR}}/go --exit 3"
        on-failure = ["alert"]
        [service.done]
        type = "oneshot"
        command = "${{FIXTURE}} ${{SERVICE}} --await ${{DIR}}/go --exit 0"
        enabled = false
        on-success = ["alert"]
        [service.alert]
        type = "oneshot"
        enabled = false
        command = "${{FIXTURE}} ${{SERVICE}}{env} --exit 0""#
    ));
    let invocation = daemon.wait_record("env", "web", 1).detail.replace("INVOCATION_ID=", "");
    let told = |from: usize| -> Vec<String> {
        daemon.wait_record("env", "alert", from + variables.len());
        let told = daemon.happened("env", "alert").split_off(from).into_iter();
        told.map(|line| line.detail.replace("MONITOR_", "")).collect()
    };
    daemon.open("go");
    let expected = ["UNIT=web", "SERVICE_RESULT=exit-code", "EXIT_CODE=exited", "EXIT_STATUS=3"];
    let first = told(0);
    assert_eq!(first[..4], expected);
    assert_eq!(first[4], format!("INVOCATION_ID={invocation}"));
    daemon.wait_state("alert", State::Exited);

    // A oneshot that has done its work does it again.
    daemon.ctl(&["start", "done"]);
    let second = told(variables.len());
    assert_eq!(
        second[..4],
        ["UNIT=done", "SERVICE_RESULT=success", "EXIT_CODE=exited", "EXIT_STATUS=0"]
    );
    daemon.wait_state("alert", State::Exited);

    // Who starts it by hand tells it nothing.
    daemon.ctl(&["restart", "alert"]);
    assert_eq!(told(2 * variables.len())[0], "UNIT=(unset)");
}

#[test]
fn a_start_may_wait_for_no_more_than_the_process() {
    let daemon = Daemon::start(
        r#"
        [service.db]
        type = "notify"
        command = "${FIXTURE} ${SERVICE} --await ${DIR}/go --ready"
        [service.web]
        command = "${FIXTURE} ${SERVICE}"
        requires = [{ service = "db", until = "started" }]"#,
    );
    daemon.wait_state("web", State::Running);
    assert_eq!(daemon.state("db"), State::Starting);
    daemon.open("go");
    daemon.wait_state("db", State::Running);
}

#[test]
fn a_direct_restart_leaves_what_is_bound_alone() {
    let daemon = Daemon::boot(
        r#"
        [service.db]
        restart-mode = "direct"
        restart-delay = "10ms"
        command = "${FIXTURE} ${SERVICE}"
        [service.web]
        command = "${FIXTURE} ${SERVICE}"
        binds-to = ["db"]"#,
    );
    for name in ["db", "web"] {
        daemon.wait_record("start", name, 1);
    }
    let web = daemon.pid_of("web");
    kill_main(&daemon, "db");
    daemon.wait_record("start", "db", 2);
    daemon.wait_state("db", State::Running);
    assert_eq!(daemon.pid_of("web"), web);
    assert_eq!(daemon.happened("start", "web").len(), 1);
}
