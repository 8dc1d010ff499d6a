//! The daemon goes down in order, and nothing that it started is left.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use supervisor_api::{DaemonState, Report, State};

use crate::harness::{Daemon, process_state, wait_until};

/// A service of the worst kind: it and its children do not want to go.
const STUBBORN: &str = r#"
    [service.stubborn]
    stop-timeout = "300ms"
    command = [
        "${FIXTURE}", "stubborn",
        "--ignore", "TERM",
        "--child", "--ignore TERM",
        "--daemon", "--ignore TERM",
        "--child", "--stop-self",
        "--touch", "${DIR}/complete",
    ]"#;

fn boot_stubborn() -> Daemon {
    let daemon = Daemon::boot(STUBBORN);
    daemon.wait_record("start", "stubborn.daemon.child", 1);
    // Both children have this name.
    let pids = wait_until("both children", &mut (), |()| {
        let children = daemon.happened("start", "stubborn.child");
        (children.len() == 2).then(|| children.iter().map(|one| one.pid).collect::<Vec<_>>())
    });
    wait_until("the stopped child", &mut (), |()| {
        pids.iter().any(|&pid| process_state(pid) == Some('T')).then_some(())
    });
    daemon
}

#[test]
fn term_leaves_nothing_behind_whatever_the_services_do() {
    let mut daemon = boot_stubborn();
    assert!(daemon.started().len() >= 4);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.started(), Vec::<i32>::new());
    assert_eq!(daemon.happened("signal", "stubborn")[0].detail, "TERM");
    assert_eq!(daemon.happened("signal", "stubborn.daemon.child")[0].detail, "TERM");
}

#[test]
fn a_stop_leaves_nothing_behind_whatever_the_service_does() {
    let daemon = boot_stubborn();
    assert!(daemon.operate("stop", &["stubborn"]).ok);
    assert_eq!(daemon.state("stubborn"), State::Stopped);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_forking_child_that_outlives_its_parent_belongs_to_the_service() {
    let mut daemon = Daemon::boot(
        r#"[service.forker]
        restart = "no"
        command = ["${FIXTURE}", "forker", "--daemon", "", "--await", "${DIR}/gate", "--exit", "0"]"#,
    );
    daemon.wait_record("start", "forker.daemon.child", 1);
    daemon.open("gate");
    daemon.wait_state("forker", State::Exited);
    assert_eq!(daemon.started(), Vec::<i32>::new(), "it ends with its main process");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn int_quit_and_term_all_shut_down_in_order() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let mut daemon = Daemon::boot(
            r#"
            [defaults]
            type = "notify"
            [service.db]
            command = "${FIXTURE} ${SERVICE} --ready"
            [service.web]
            command = "${FIXTURE} ${SERVICE} --ready"
            requires = ["db"]"#,
        );
        daemon.signal(signal);
        assert_eq!(daemon.wait_exit(), 0, "{signal}");
        assert_eq!(daemon.order("exit"), ["web", "db"], "{signal}");
    }
}

#[test]
fn a_second_signal_shortens_the_shutdown_to_a_second() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::boot(
            r#"[service.slow]
            type = "notify"
            stop-timeout = "5min"
            command = "${FIXTURE} ${SERVICE} --ready --ignore TERM""#,
        );
        daemon.signal(Signal::SIGTERM);
        daemon.wait_record("signal", "slow", 1);
        assert_eq!(daemon.info().state, DaemonState::Stopping);
        assert_eq!(daemon.state("slow"), State::Stopping);
        let begin = Instant::now();
        daemon.signal(second);
        assert_eq!(daemon.wait_exit(), 0);
        // A second, and what a busy machine takes on top.
        assert!(begin.elapsed() < Duration::from_secs(5), "{second}: {:?}", begin.elapsed());
        assert_eq!(daemon.started(), Vec::<i32>::new());
    }
}

#[test]
fn the_whole_shutdown_keeps_within_its_budget() {
    let mut daemon = Daemon::builder()
        .supervisor("shutdown-timeout = \"500ms\"")
        .spec(
            r#"
            [defaults]
            type = "notify"
            stop-timeout = "5min"
            [service.db]
            command = "${FIXTURE} ${SERVICE} --ready --ignore TERM"
            [service.web]
            command = "${FIXTURE} ${SERVICE} --ready --ignore TERM"
            requires = ["db"]"#,
        )
        .boot();
    let begin = Instant::now();
    assert_eq!(daemon.terminate(), 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn term_while_services_still_start_ends_them_and_starts_no_more() {
    let mut daemon = Daemon::start(
        r#"
        [defaults]
        type = "notify"
        [service.db]
        command = "${FIXTURE} ${SERVICE}"
        [service.web]
        command = "${FIXTURE} ${SERVICE} --ready"
        requires = ["db"]"#,
    );
    daemon.wait_record("start", "db", 1);
    assert_eq!(daemon.info().state, DaemonState::Starting);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.order("start"), ["db"]);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn term_during_a_backoff_ends_the_daemon_at_once() {
    let mut daemon = Daemon::boot(
        "[service.broken]
         command = [\"false\"]
         restart-delay = \"10min\"
         restart-max-delay = \"10min\"",
    );
    daemon.wait_state("broken", State::Backoff);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn the_sockets_are_gone_after_the_shutdown() {
    let mut daemon = Daemon::boot("[service.web]\ncommand = \"${FIXTURE} ${SERVICE}\"");
    assert_eq!(daemon.terminate(), 0);
    assert!(!daemon.socket().exists());
}

#[test]
fn six_that_do_not_want_to_go_share_the_time_of_a_shutdown() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let services = names.iter().enumerate().map(|(place, name)| {
        let next = names.get(place + 1).map(|next| format!("requires = [\"{next}\"]"));
        let next = next.unwrap_or_default();
        let command = "${FIXTURE} ${SERVICE} --ignore TERM --ready";
        format!("[service.{name}]\ntype = \"notify\"\ncommand = \"{command}\"\n{next}\n")
    });
    let spec: String = services.collect();
    let mut daemon = Daemon::builder().supervisor("shutdown-timeout = \"6s\"").spec(&spec).boot();
    let warning = "a → b → c → d → e → f need 60s, shutdown-timeout is 6s";
    let plan = daemon.ctl(&["plan", "shutdown"]).stdout;
    assert!(plan.contains(&format!("warning: {warning}")), "{plan}");

    let begin = Instant::now();
    let shutdown = daemon.ctl(&["-o", "json", "shutdown"]);
    let took = begin.elapsed();
    assert_eq!((shutdown.code, daemon.wait_exit()), (0, 0), "{shutdown:?}");
    assert!(took < Duration::from_millis(6_500), "{took:?}");
    assert_eq!(daemon.started(), Vec::<i32>::new());

    let report: Report = serde_json::from_str(&shutdown.stdout).unwrap();
    let told: Vec<&str> = report.services.iter().map(|service| service.service.as_str()).collect();
    assert_eq!(told, names);
    for service in &report.services {
        assert_eq!((service.asked_ms, service.killed), (Some(10_000), true), "{service:?}");
        let [term, kill] = &service.phases[..] else { panic!("{service:?}") };
        assert_eq!((term.step.as_str(), term.result.as_str()), ("signal TERM", "cut short"));
        assert_eq!((kill.step.as_str(), kill.result.as_str()), ("signal KILL", "gone"));
        // What a busy machine takes on top of one comes off the others.
        assert!((800..1_200).contains(&term.took_ms), "{service:?}");
        let asked = term.took_ms + service.short_ms;
        assert!((9_990..=10_000).contains(&asked), "{service:?}");
    }
}
