//! Services of each type come up and go down, one, fifty in a chain, and five hundred.

use std::fmt::Write as _;

use supervisor_api::State;

use crate::harness::{Daemon, alive, wait_until};

#[test]
fn a_simple_service_runs_once_it_is_executed() {
    let daemon = Daemon::boot(
        "[service.web]
         command = \"${FIXTURE} ${SERVICE} --env LANGUAGE\"
         environment = { LANGUAGE = \"xx\" }",
    );
    let web = daemon.wait_state("web", State::Running);
    let started = daemon.wait_record("start", "web", 1);
    assert_eq!(web.pid, Some(started.pid));
    assert!(web.ready);
    assert_eq!(daemon.wait_record("env", "web", 1).detail, "LANGUAGE=xx");
}

#[test]
fn a_notify_service_runs_once_it_has_said_that_it_is_ready() {
    let daemon = Daemon::start(
        r#"[service.web]
        type = "notify"
        command = "${FIXTURE} ${SERVICE} --await ${DIR}/gate --ready""#,
    );
    daemon.wait_record("start", "web", 1);
    let web = daemon.wait_state("web", State::Starting);
    assert!(!web.ready);
    daemon.open("gate");
    assert!(daemon.wait_state("web", State::Running).ready);
}

#[test]
fn a_oneshot_service_is_up_when_it_has_ended_well() {
    let daemon = Daemon::start(
        r#"
        [service.setup]
        type = "oneshot"
        command = "${FIXTURE} ${SERVICE} --await ${DIR}/gate --exit 0"
        [service.web]
        command = "${FIXTURE} ${SERVICE}"
        requires = ["setup"]"#,
    );
    daemon.wait_record("start", "setup", 1);
    daemon.wait_state("web", State::Waiting);
    daemon.open("gate");
    daemon.wait_state("web", State::Running);
    assert_eq!(daemon.state("setup"), State::Exited);
    assert_eq!(daemon.service("setup").exit.and_then(|exit| exit.code), Some(0));
    // Running means executed; what it writes comes after.
    daemon.wait_record("start", "web", 1);
    assert_eq!(daemon.order("start"), ["setup", "web"]);
}

#[test]
fn a_target_is_up_when_all_that_it_requires_is_up() {
    let daemon = Daemon::start(
        r#"
        [service.all]
        requires = ["a", "b"]
        [service.a]
        command = "${FIXTURE} ${SERVICE}"
        [service.b]
        type = "notify"
        command = "${FIXTURE} ${SERVICE} --await ${DIR}/gate --ready""#,
    );
    daemon.wait_state("b", State::Starting);
    assert!(!daemon.service("all").ready);
    daemon.open("gate");
    let all = daemon.wait_state("all", State::Running);
    assert_eq!((all.pid, all.kind.as_str()), (None, "target"));
}

#[test]
fn a_service_that_is_not_enabled_starts_when_it_is_asked_for() {
    let daemon = Daemon::boot(
        "[service.web]
         enabled = false
         command = \"${FIXTURE} ${SERVICE}\"",
    );
    assert_eq!(daemon.state("web"), State::Stopped);
    assert_eq!(daemon.service("web").why.code, "never-started");
    assert!(daemon.operate("start", &["web"]).ok);
    assert_eq!(daemon.state("web"), State::Running);
    assert!(daemon.operate("stop", &["web"]).ok);
    assert_eq!(daemon.state("web"), State::Stopped);
    assert_eq!(daemon.service("web").why.code, "requested");
}

#[test]
fn a_service_that_is_restarted_by_request_has_a_new_process() {
    let daemon = Daemon::boot("[service.web]\ncommand = \"${FIXTURE} ${SERVICE}\"");
    let before = daemon.wait_record("start", "web", 1);
    assert!(daemon.operate("restart", &["web"]).ok);
    let after = daemon.wait_record("start", "web", 2);
    assert_ne!(before.pid, after.pid);
    assert!(!alive(before.pid));
    assert_eq!(daemon.service("web").restarts, 0, "only automatic restarts count");
}

#[test]
fn a_chain_of_fifty_starts_in_order_and_stops_in_reverse() {
    let mut spec = String::from("[defaults]\ntype = \"notify\"\n");
    for number in 0..50 {
        writeln!(spec, "[service.link-{number:02}]").unwrap();
        writeln!(spec, "command = \"${{FIXTURE}} ${{SERVICE}} --ready\"").unwrap();
        if number > 0 {
            writeln!(spec, "requires = [\"link-{:02}\"]", number - 1).unwrap();
        }
    }
    let mut daemon = Daemon::boot(&spec);
    let mut names: Vec<String> = (0..50).map(|number| format!("link-{number:02}")).collect();
    assert_eq!(daemon.order("start"), names);
    assert_eq!(daemon.terminate(), 0);
    names.reverse();
    assert_eq!(daemon.order("exit"), names);
}

#[test]
fn five_hundred_independent_services_start_and_stop() {
    let mut daemon = Daemon::boot(
        "[service.many]
         command = [\"sleep\", \"infinity\"]
         instances = 500",
    );
    let snapshot = daemon.services();
    let running = |state| snapshot.services.iter().filter(|one| one.state == state).count();
    assert_eq!(running(State::Running), 500);
    assert_eq!(snapshot.services[0].instance.as_deref(), Some("1"));
    assert_eq!(daemon.started().len(), 500);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_daemon_without_services_runs_and_ends() {
    let mut daemon = Daemon::boot("");
    assert_eq!(daemon.services().services, []);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_program_that_is_not_there_fails_its_service_and_no_other() {
    let daemon = Daemon::boot(
        r#"
        [service.ghost]
        command = ["/nonexistent/ghost"]
        restart = "no"
        [service.web]
        command = "${FIXTURE} ${SERVICE}""#,
    );
    let ghost = daemon.wait_state("ghost", State::Failed);
    assert_eq!(ghost.why.code, "spawn");
    assert!(ghost.why.message.contains("/nonexistent/ghost"), "{}", ghost.why.message);
    assert_eq!(daemon.state("web"), State::Running);
}

#[test]
fn a_service_gets_its_directory_mask_limits_and_a_process_group_of_its_own() {
    let daemon = Daemon::boot(
        r#"[service.web]
        command = ["sh", "-c", 'pwd; umask; ulimit -n; cut -d" " -f5 /proc/$$$$/stat; echo $$$$; exec sleep infinity']
        working-directory = "/usr"
        umask = "0027"
        limits = { nofile = 123 }"#,
    );
    let pid = daemon.pid_of("web");
    wait_until("five lines of output", &mut (), |()| {
        (daemon.read("log/web.log").lines().count() >= 5).then_some(())
    });
    let text = daemon.read("log/web.log");
    assert_eq!(text, format!("/usr\n0027\n123\n{pid}\n{pid}\n"));
}
