//! `conflicts`, `upholds` and `until = "started"` with real processes.

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
