//! What the relations between services mean when one starts, stops, restarts or dies.

use nix::sys::signal::Signal;
use supervisor_api::{Service, State};

use crate::harness::{Daemon, send_signal};

/// A `db` and a `web` that says how it depends on it.
fn pair(relation: &str) -> Daemon {
    Daemon::boot(&format!(
        r#"
        [defaults]
        type = "notify"
        restart-delay = "10ms"
        [service.db]
        command = "${{FIXTURE}} ${{SERVICE}} --ready"
        [service.web]
        command = "${{FIXTURE}} ${{SERVICE}} --ready"
        {relation}"#
    ))
}

fn fails_its_start(relation: &str) -> Daemon {
    Daemon::boot(&format!(
        r#"
        [service.db]
        type = "notify"
        restart = "no"
        command = "${{FIXTURE}} ${{SERVICE}} --exit 3"
        [service.web]
        command = "${{FIXTURE}} ${{SERVICE}}"
        {relation}"#
    ))
}

fn kill_main(daemon: &Daemon, name: &str) {
    send_signal(daemon.pid_of(name), Signal::SIGKILL);
}

#[test]
fn a_service_fails_when_one_that_it_requires_fails() {
    for relation in ["requires", "binds-to"] {
        let daemon = fails_its_start(&format!("{relation} = [\"db\"]"));
        let web = daemon.wait_state("web", State::Failed);
        assert_eq!(web.why.code, "dependency");
        assert_eq!(web.why.services, ["db"]);
        assert_eq!(daemon.order("start"), ["db"]);
    }
}

#[test]
fn a_service_that_only_wants_another_starts_without_it() {
    let daemon = fails_its_start("wants = [\"db\"]");
    daemon.wait_state("web", State::Running);
    daemon.wait_record("start", "web", 1);
    assert_eq!(daemon.state("db"), State::Failed);
    assert_eq!(daemon.order("start"), ["db", "web"]);
}

#[test]
fn a_start_brings_up_what_the_service_requires() {
    let daemon = pair("requires = [\"db\"]\nenabled = false");
    assert!(daemon.operate("stop", &["db"]).ok);
    assert!(daemon.operate("start", &["web"]).ok);
    assert_eq!(daemon.state("db"), State::Running);
}

#[test]
fn stopping_a_service_first_stops_what_requires_it() {
    for relation in ["requires", "binds-to"] {
        let daemon = pair(&format!("{relation} = [\"db\"]"));
        assert!(daemon.operate("stop", &["db"]).ok);
        assert_eq!(daemon.order("exit"), ["web", "db"], "{relation}");
        assert_eq!(daemon.state("web"), State::Stopped);
    }
}

#[test]
fn restarting_a_service_restarts_what_requires_it() {
    for relation in ["requires", "binds-to", "part-of"] {
        let daemon = pair(&format!("{relation} = [\"db\"]\nafter = [\"db\"]"));
        assert!(daemon.operate("restart", &["db"]).ok);
        assert_eq!(daemon.order("exit"), ["web", "db"], "{relation}");
        assert_eq!(daemon.order("start"), ["db", "web", "db", "web"], "{relation}");
        assert_eq!(daemon.state("web"), State::Running);
    }
}

#[test]
fn a_part_stops_with_the_whole_and_the_whole_without_the_part() {
    let daemon = pair("part-of = [\"db\"]");
    assert!(daemon.operate("stop", &["web"]).ok);
    assert_eq!(daemon.state("db"), State::Running);
    assert!(daemon.operate("start", &["web"]).ok);
    assert!(daemon.operate("stop", &["db"]).ok);
    assert_eq!(daemon.state("web"), State::Stopped);
}

#[test]
fn a_wanted_service_may_stop_and_restart_alone() {
    let daemon = pair("wants = [\"db\"]");
    let web = daemon.pid_of("web");
    assert!(daemon.operate("restart", &["db"]).ok);
    assert!(daemon.operate("stop", &["db"]).ok);
    assert_eq!(daemon.pid_of("web"), web);
}

#[test]
fn the_death_of_a_requirement_leaves_its_dependent_alone() {
    let daemon = pair("requires = [\"db\"]");
    let web = daemon.pid_of("web");
    kill_main(&daemon, "db");
    daemon.wait_record("start", "db", 2);
    daemon.wait_state("db", State::Running);
    assert_eq!(daemon.pid_of("web"), web);
}

#[test]
fn a_service_dies_with_what_it_is_bound_to() {
    let daemon = Daemon::boot(
        r#"
        [defaults]
        type = "notify"
        [service.db]
        restart = "no"
        command = "${FIXTURE} ${SERVICE} --ready"
        [service.web]
        command = "${FIXTURE} ${SERVICE} --ready"
        binds-to = ["db"]"#,
    );
    kill_main(&daemon, "db");
    let is_down = |service: &Service| service.pid.is_none() && service.state != State::Waiting;
    daemon.wait_service("web", "down", is_down);
    assert_eq!(daemon.wait_record("signal", "web", 1).detail, "TERM");
    assert_eq!(daemon.state("db"), State::Failed);
}

#[test]
fn after_and_before_are_order_and_nothing_else() {
    let mut daemon = Daemon::boot(
        r#"
        [defaults]
        type = "notify"
        [service.a]
        command = "${FIXTURE} ${SERVICE} --ready"
        after = ["b"]
        [service.b]
        command = "${FIXTURE} ${SERVICE} --ready"
        [service.c]
        command = "${FIXTURE} ${SERVICE} --ready"
        before = ["b"]
        [service.d]
        command = "${FIXTURE} ${SERVICE} --ready"
        after = ["never"]
        [service.never]
        enabled = false
        command = "${FIXTURE} ${SERVICE} --ready""#,
    );
    let mut started = daemon.order("start");
    started.retain(|name| name != "d");
    assert_eq!(started, ["c", "b", "a"]);
    assert_eq!(daemon.state("never"), State::Stopped, "order starts nothing");
    assert_eq!(daemon.state("d"), State::Running);
    assert_eq!(daemon.terminate(), 0);
    let mut stopped = daemon.order("exit");
    stopped.retain(|name| name != "d");
    assert_eq!(stopped, ["a", "b", "c"]);
}

#[test]
fn order_holds_even_if_the_earlier_one_fails() {
    let daemon = fails_its_start("after = [\"db\"]");
    daemon.wait_state("web", State::Running);
    daemon.wait_record("start", "web", 1);
    assert_eq!(daemon.order("start"), ["db", "web"]);
}

#[test]
fn no_dependents_touches_the_named_service_alone() {
    let daemon = pair("requires = [\"db\"]");
    let web = daemon.pid_of("web");
    let request = serde_json::json!({
        "verb": "restart", "targets": ["db"], "wait": true, "no_dependents": true
    });
    assert!(daemon.operation(&request).ok);
    assert_eq!(daemon.pid_of("web"), web);
    assert_eq!(daemon.happened("start", "db").len(), 2);
}
