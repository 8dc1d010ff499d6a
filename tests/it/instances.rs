//! Instances that come and go, and rolling restarts.

use nix::sys::signal::Signal;
use serde_json::json;
use supervisor_api::{ItemResult, State};

use crate::harness::{Daemon, open_fds, wait_until};

/// Two instances of `web`, each with an environment of its own, and an `api` that requires them.
fn site() -> Daemon {
    Daemon::boot(
        r#"
        [defaults]
        type = "notify"
        restart-delay = "10ms"
        [service.web]
        command = "${FIXTURE} ${SERVICE}@${INSTANCE} --env PORT --print hello --ready"
        environment = { PORT = "80${INSTANCE}" }
        instances = 2
        [service.api]
        command = "${FIXTURE} ${SERVICE} --ready"
        requires = ["web"]"#,
    )
}

fn names(daemon: &Daemon) -> Vec<String> {
    daemon.services().services.into_iter().map(|service| service.name).collect()
}

#[test]
fn more_instances_are_made_from_the_same_spec() {
    let daemon = site();
    daemon.ctl(&["scale", "web=3"]).assert("web@3: started", 0);
    assert_eq!(names(&daemon), ["api", "web@1", "web@2", "web@3"]);
    daemon.wait_record("env", "web@3", 1);
    let record = daemon.read("record");
    assert!(record.contains("803"), "{record}");
    let web = daemon.service("web@3");
    assert_eq!((web.instance.as_deref(), web.groups), (Some("3"), vec!["web".to_owned()]));
    let requires: Vec<String> =
        daemon.detail("api").dependencies.into_iter().map(|relation| relation.name).collect();
    assert_eq!(requires, ["web@1", "web@2", "web@3"]);
    daemon.ctl(&["scale", "web=3"]).assert("web: has 3 instances already", 0);
}

#[test]
fn those_with_the_highest_numbers_are_removed() {
    let daemon = site();
    daemon.ctl(&["scale", "web=12"]);
    let fds = open_fds(daemon.pid());
    let mut removed: Vec<String> = (2..=12).map(|n| format!("web@{n}: removed")).collect();
    removed.sort();
    daemon.ctl(&["scale", "web=1"]).assert(&removed.join("\n"), 0);
    assert_eq!(names(&daemon), ["api", "web@1"]);
    assert_eq!(daemon.state("api"), State::Running);
    assert_eq!(daemon.http().get("/v1/services/web@2").status, 404);
    daemon.ctl(&["start", "web@2"]).assert("web@2: ERROR (no such process)", 1);
    assert_eq!(daemon.read("log/web@2.log"), "hello\n", "logs stay");
    wait_until("their descriptors to be closed", &mut (), |()| {
        (open_fds(daemon.pid()) < fds).then_some(())
    });
}

#[test]
fn a_removed_instance_comes_back_with_the_same_name() {
    let daemon = site();
    daemon.ctl(&["scale", "web=1"]).assert("web@2: removed", 0);
    daemon.ctl(&["scale", "web=2"]).assert("web@2: started", 0);
    let web = daemon.detail("web@2");
    assert_eq!((web.service.state, web.runs.len()), (State::Running, 0));
    daemon.ctl(&["restart", "web@2"]).assert("web@2: stopped\nweb@2: started", 0);
}

#[test]
fn instances_of_what_is_stopped_stay_down() {
    let daemon = site();
    daemon.operate("stop", &["web"]);
    daemon.ctl(&["scale", "web=3"]).assert("web@3: added", 0);
    assert_eq!(daemon.state("web@3"), State::Stopped);
    assert_eq!(daemon.service("web@3").why.code, "never-started");
    daemon.operate("start", &["api"]);
    assert_eq!(daemon.state("web@3"), State::Running, "api requires all of web");
}

#[test]
fn a_removed_instance_is_there_until_it_is_gone() {
    let daemon = Daemon::boot(
        r#"
        [service.web]
        type = "notify"
        command = "${FIXTURE} ${SERVICE}@${INSTANCE} --term-awaits ${DIR}/gate --ready"
        instances = 2"#,
    );
    let scale = json!({ "verb": "scale", "targets": ["web"], "instances": 1 });
    let operation = daemon.operation(&scale);
    assert!(!operation.done);
    daemon.wait_state("web@2", State::Stopping);
    daemon.ctl(&["start", "web@2"]).assert("web@2: ERROR (superseded)", 1);
    daemon.ctl(&["stop", "--mode", "force", "web@2"]).assert("web@2: removed", 0);
    assert_eq!(names(&daemon), ["web@1"]);
    daemon.open("gate");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let daemon = Daemon::boot(
        r#"
        [service.web]
        command = "${FIXTURE} ${SERVICE}@${INSTANCE}"
        instances = 2
        enabled = false
        [service.named]
        command = "${FIXTURE} ${SERVICE}@${INSTANCE}"
        instances = ["blue", "green"]
        enabled = false
        [service.after-two]
        command = "${FIXTURE} ${SERVICE}"
        after = ["web@2"]
        enabled = false"#,
    );
    let refused = |word: &str| {
        let output = daemon.ctl(&["scale", word]);
        assert_eq!(output.stdout, "", "{output:?}");
        assert_ne!(output.code, 0);
        output.stderr
    };
    for (word, message) in [
        ("web=0", "a service has at least one instance"),
        ("web=10001", "a service has at most 10000 instances"),
        ("named=3", "named has named instances"),
        ("after-two=3", "after-two has no number of instances"),
        ("web@1=3", "web@1 has no number of instances"),
        ("web=1", "there is no service or group `web@2`"),
        ("web", "write NAME=N"),
        ("web=many", "a number of instances"),
    ] {
        let stderr = refused(word);
        assert!(stderr.contains(message), "{word}: {stderr}");
    }
    daemon.ctl(&["scale", "wbe=3"]).assert("wbe: ERROR (no such process)", 1);
    assert_eq!(names(&daemon).len(), 5, "nothing has changed");
    daemon.ctl(&["scale", "web=3", "web=2"]).assert("web@3: added\nweb@3: removed", 0);
}

#[test]
fn a_plan_tells_who_comes_and_who_goes() {
    let daemon = site();
    let plan = daemon.ctl(&["-o", "name", "plan", "scale", "web=4"]);
    plan.assert("web@3\nweb@4", 0);
    let plan = daemon.ctl(&["plan", "scale", "web=1"]);
    assert!(plan.stdout.contains("remove") && plan.stdout.contains("web@2"), "{plan:?}");
    daemon.ctl(&["plan", "scale", "web=2"]).assert("nothing to do", 0);
    assert_eq!(names(&daemon), ["api", "web@1", "web@2"]);
}

#[test]
fn events_tell_of_services_that_come_and_go() {
    let daemon = site();
    let rev = daemon.info().rev.to_string();
    daemon.ctl(&["scale", "web=3"]);
    daemon.ctl(&["scale", "web=2"]);
    let events = daemon.ctl(&["events", "--since", &rev, "--no-follow"]).stdout;
    let place = |text: &str| events.find(text).unwrap_or_else(|| panic!("{text}: {events}"));
    let added = place("web@3: added");
    assert!(added < place("web@3: stopped -> waiting"));
    assert!(place("stopping -> stopped (removed)") < place("web@3: removed"));
}

#[test]
fn many_requests_at_once_are_dealt_with_one_after_the_other() {
    let daemon = site();
    std::thread::scope(|scope| {
        for count in 3..8 {
            let daemon = &daemon;
            scope.spawn(move || {
                let scale = json!({ "verb": "scale", "targets": ["web"], "instances": count });
                daemon.operation(&scale);
            });
        }
    });
    daemon.ctl(&["scale", "web=2"]);
    wait_until("the others to be gone", &mut (), |()| {
        (names(&daemon) == ["api", "web@1", "web@2"]).then_some(())
    });
}

#[test]
fn a_shutdown_ends_all_of_them() {
    let mut daemon = site();
    daemon.ctl(&["scale", "web=5"]);
    daemon.operation(&json!({ "verb": "scale", "targets": ["web"], "instances": 3 }));
    assert_eq!(daemon.terminate(), 0);
    assert!(daemon.started().is_empty());
}

#[test]
fn a_rolling_restart_takes_one_down_at_a_time() {
    let daemon = site();
    let stops = "web@1: stopped\nweb@1: started\nweb@2: stopped\nweb@2: started";
    daemon.ctl(&["restart", "--rolling", "web"]).assert(stops, 0);
    let order: Vec<String> = daemon
        .record()
        .into_iter()
        .skip_while(|happening| happening.what != "signal")
        .filter(|happening| ["signal", "start"].contains(&happening.what.as_str()))
        .map(|happening| format!("{} {}", happening.what, happening.name))
        .collect();
    assert_eq!(order, ["signal web@1", "start web@1", "signal web@2", "start web@2"]);
    assert_eq!(daemon.service("api").restarts, 0);
    assert_eq!(daemon.detail("api").runs.len(), 0, "dependents are left alone");
}

#[test]
fn a_rolling_restart_ends_with_the_first_that_fails() {
    let daemon = Daemon::boot(
        r#"
        [service.web]
        type = "notify"
        restart = "no"
        command = ["sh", "-c", 'test ! -e ${DIR}/broken-${INSTANCE} && exec ${FIXTURE} web@${INSTANCE} --ready']
        instances = 3"#,
    );
    daemon.open("broken-2");
    let third = daemon.pid_of("web@3");
    let output = daemon.ctl(&["restart", "--rolling", "web"]);
    output.assert(
        "web@1: stopped\nweb@1: started\nweb@2: ERROR (abnormal termination)\n\
         web@3: ERROR (not tried)",
        1,
    );
    assert_eq!(daemon.pid_of("web@3"), third);
    let request = json!({
        "verb": "restart", "targets": ["web"], "rolling": true, "wait": true
    });
    let operation = daemon.operation(&request);
    let results: Vec<_> = operation.items.iter().map(|item| item.result).collect();
    let expected = [ItemResult::Restarted, ItemResult::NotRunning, ItemResult::Restarted];
    assert_eq!(results, expected.map(Some));
}

#[test]
fn a_rolling_restart_waits_for_readiness_and_outlives_its_caller() {
    let daemon = Daemon::boot(
        r#"
        [service.web]
        type = "notify"
        command = "${FIXTURE} web@${INSTANCE} --await ${DIR}/gate --ready"
        instances = 2
        enabled = false"#,
    );
    daemon.open("gate");
    daemon.operate("start", &["web"]);
    std::fs::remove_file(daemon.path("gate")).unwrap();
    let second = daemon.pid_of("web@2");
    let caller = daemon.follow(&["restart", "--rolling", "web"]);
    daemon.wait_state("web@1", State::Starting);
    drop(caller);
    assert_eq!(daemon.pid_of("web@2"), second);
    daemon.open("gate");
    daemon.wait_service("web@2", "restarted", |service| {
        service.state == State::Running && service.pid != Some(second)
    });
}

#[test]
fn rolling_is_for_restarts() {
    let daemon = site();
    let wrong = json!({ "verb": "stop", "targets": ["web"], "rolling": true });
    assert_eq!(daemon.http().post("/v1/operations", &wrong).status, 422);
    let wrong = json!({ "verb": "stop", "targets": ["web"], "instances": 2 });
    assert_eq!(daemon.http().post("/v1/operations", &wrong).status, 422);
    daemon.signal(Signal::SIGTERM);
}
