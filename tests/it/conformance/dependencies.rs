//! Items 138 to 150: dependencies, their order, and requests that meet.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use serde_json::json;
use supervisor_api::{ItemResult, Operation, State};

use super::app::{app, begin, refused};
use crate::harness::{Daemon, send_signal, wait_until};

/// Waits for an operation that was begun; what became of each service that it is about.
fn results(daemon: &Daemon, id: u64) -> BTreeMap<String, ItemResult> {
    let items = operation(daemon, id).items.into_iter();
    items.filter_map(|item| Some((item.service, item.result?))).collect()
}

fn operation(daemon: &Daemon, id: u64) -> Operation {
    wait_until("the operation to end", &mut (), |()| {
        let operation: Operation = daemon.http().get(&format!("/v1/operations/{id}")).json();
        operation.done.then_some(operation)
    })
}

/// A `db`, and a `web` that says how it depends on it. Nothing runs yet.
fn pair(relation: &str) -> Daemon {
    Daemon::start(&format!(
        "[defaults]
         type = \"notify\"
         restart = \"no\"
         restart-delay = \"0s\"
         enabled = false
         [service.db]
         command = \"${{FIXTURE}} db --ready\"
         [service.web]
         command = \"${{FIXTURE}} web --ready\"
         {relation}"
    ))
}

/// Decided otherwise: what must be up already, and what stops others, has no key of its own.
#[test]
fn item_138_each_kind_of_dependency_does_what_its_line_says() {
    // Does its start pull the other in? What becomes of it when that is restarted, dies, is stopped?
    for (kind, pulls, restarts, dies, stops) in [
        ("requires", true, true, false, true),
        ("wants", true, false, false, false),
        ("binds-to", true, true, true, true),
        ("part-of", false, true, false, true),
        ("after", false, false, false, false),
        ("before", false, false, false, false),
        ("upholds", true, false, false, false),
    ] {
        let daemon = pair(&format!("{kind} = [\"db\"]"));
        assert!(daemon.operate("start", &["web"]).ok, "{kind}");
        if kind == "upholds" {
            daemon.wait_state("db", State::Running);
        }
        assert_eq!(daemon.state("db") == State::Running, pulls, "{kind}: start");

        assert!(daemon.operate("start", &["db"]).ok, "{kind}");
        let web = daemon.pid_of("web");
        assert!(daemon.operate("restart", &["db"]).ok, "{kind}");
        daemon.wait_state("web", State::Running);
        assert_eq!(daemon.pid_of("web") != web, restarts, "{kind}: restart");

        let (web, starts) = (daemon.pid_of("web"), daemon.happened("start", "db").len());
        send_signal(daemon.pid_of("db"), Signal::SIGKILL);
        if kind == "upholds" {
            daemon.wait_record("start", "db", starts + 1);
        } else {
            daemon.wait_state("db", State::Failed);
        }
        if dies {
            daemon.wait_service("web", "down", |web| web.pid.is_none());
        } else {
            assert_eq!(daemon.pid_of("web"), web, "{kind}: death");
        }

        assert!(daemon.operate("start", &["db", "web"]).ok, "{kind}");
        assert!(daemon.operate("stop", &["db"]).ok, "{kind}");
        assert_eq!(daemon.state("web") == State::Stopped, stops, "{kind}: stop");
        assert_eq!(daemon.state("db"), State::Stopped, "{kind}");
    }

    let daemon = pair("conflicts = [\"db\"]");
    for (starts, goes) in [("db", "web"), ("web", "db"), ("db", "web")] {
        assert!(daemon.operate("start", &[starts]).ok);
        assert_eq!((daemon.state(starts), daemon.state(goes)), (State::Running, State::Stopped));
    }

    for key in ["requisite", "propagates-stop-to", "stop-when-unneeded"] {
        let spec = format!("[service.app]\ncommand = [\"true\"]\n{key} = [\"app\"]");
        refused(&spec, &["my.toml:3", key]);
    }
}

#[test]
fn item_139_requirement_without_order_starts_both_at_once_and_goes_on_without_the_other() {
    let daemon = app(
        "[service.web]
         enabled = false
         command = \"${FIXTURE} web --await ${DIR}/up --ready\"
         requires = [{ service = \"app\", ordered = false }]",
        &["--await", "${DIR}/gate", "--exit", "1"],
    );
    let id = daemon.operation(&json!({ "verb": "start", "targets": ["web"] })).id;
    daemon.wait_record("start", "web", 1);
    assert_eq!((daemon.state("app"), daemon.state("web")), (State::Starting, State::Starting));
    daemon.open("gate");
    daemon.wait_state("app", State::Failed);
    assert_eq!(daemon.state("web"), State::Starting);
    daemon.open("up");
    daemon.wait_state("web", State::Running);
    let results = results(&daemon, id);
    assert_eq!((results["app"], results["web"]), (ItemResult::StartFailed, ItemResult::Started));
    assert!(!operation(&daemon, id).ok, "the request has failed");
}

#[test]
fn item_140_a_failed_dependency_fails_all_that_require_it_with_a_result_of_its_own() {
    let daemon = Daemon::start(
        r#"
        [defaults]
        type = "notify"
        restart = "no"
        enabled = false
        [service.a]
        command = "${FIXTURE} ${SERVICE} --exit 1"
        [service.b]
        command = "${FIXTURE} ${SERVICE} --ready"
        requires = ["a"]
        [service.c]
        command = "${FIXTURE} ${SERVICE} --ready"
        binds-to = ["b"]
        [service.d]
        command = "${FIXTURE} ${SERVICE} --ready"
        wants = ["c"]"#,
    );
    let id = daemon.operation(&json!({ "verb": "start", "targets": ["d"] })).id;
    let results = results(&daemon, id);
    assert_eq!(results["a"], ItemResult::StartFailed);
    assert_eq!(results["b"], ItemResult::DependencyFailed);
    assert_eq!(results["c"], ItemResult::DependencyFailed);
    assert_eq!(results["d"], ItemResult::Started);
    for name in ["b", "c"] {
        let service = daemon.service(name);
        assert_eq!((service.state, service.why.code.as_str()), (State::Failed, "dependency"));
    }
    daemon.wait_record("start", "d", 1);
    assert_eq!(daemon.order("start"), ["a", "d"]);
}

#[test]
fn item_141_stops_go_in_reverse_and_come_before_starts() {
    let command = "command = \"${FIXTURE} ${SERVICE} --ready\"";
    let daemon = Daemon::boot(&format!(
        "[defaults]
         type = \"notify\"
         [service.a]
         {command}
         [service.b]
         {command}
         after = [\"a\"]
         [service.c]
         {command}
         requires = [\"b\"]
         [service.other]
         {command}
         enabled = false
         conflicts = [\"c\"]
         before = [\"a\"]"
    ));
    assert_eq!(daemon.order("start"), ["a", "b", "c"]);
    assert!(daemon.operate("restart", &["a", "b", "c"]).ok);
    assert_eq!(daemon.order("exit"), ["c", "b", "a"]);
    assert_eq!(daemon.order("start")[3..], ["a", "b", "c"]);
    // Whatever the order of the two, who has to go is gone first.
    assert!(daemon.operate("start", &["other"]).ok);
    assert!(daemon.happened("exit", "c")[1].time <= daemon.happened("start", "other")[0].time);
}

#[test]
fn item_142_order_alone_starts_nothing_and_holds_also_if_the_earlier_one_fails() {
    let daemon = pair(
        "after = [\"db\"]\n[service.bad]\ncommand = \"${FIXTURE} bad --exit 1\"\nbefore = [\"web\", \"db\"]",
    );
    assert!(daemon.operate("start", &["web"]).ok);
    assert_eq!((daemon.state("db"), daemon.state("bad")), (State::Stopped, State::Stopped));
    assert!(daemon.operate("stop", &["web"]).ok);
    assert!(!daemon.operate("start", &["web", "db", "bad"]).ok);
    assert_eq!(daemon.order("start"), ["web", "bad", "db", "web"]);
    assert_eq!((daemon.state("web"), daemon.state("bad")), (State::Running, State::Failed));
}

#[test]
fn item_143_a_restart_takes_along_what_is_up_or_starting_and_nothing_else() {
    let daemon = pair(
        "requires = [\"db\"]
         [service.starting]
         command = \"${FIXTURE} starting\"
         requires = [\"db\"]
         [service.down]
         command = \"${FIXTURE} down\"
         requires = [\"db\"]",
    );
    assert!(daemon.operate("start", &["web"]).ok);
    daemon.operation(&json!({ "verb": "start", "targets": ["starting"] }));
    daemon.wait_record("start", "starting", 1);
    daemon.operation(&json!({ "verb": "restart", "targets": ["db"] }));
    for name in ["db", "web", "starting"] {
        daemon.wait_record("start", name, 2);
    }
    assert_eq!(daemon.happened("start", "down"), []);
    assert_eq!(daemon.state("down"), State::Stopped);
}

/// Decided otherwise: a cycle is refused with the spec, also where it could be broken.
#[test]
fn item_144_a_cycle_is_refused_before_anything_starts() {
    for kind in ["requires", "wants", "after", "binds-to", "upholds"] {
        let text = format!(
            "[service.a]\ncommand = [\"true\"]\n{kind} = [\"b\"]\n\
             [service.b]\ncommand = [\"true\"]\n{kind} = [\"a\"]\n"
        );
        refused(&text, &["a → b → a", "my.toml:3", "my.toml:6"]);
    }
    let mut daemon = Daemon::builder()
        .spec("[service.a]\ncommand = \"${FIXTURE} a\"\nwants = [\"b\"]")
        .spec("[service.b]\ncommand = \"${FIXTURE} b\"\nafter = [\"a\"]")
        .spawn();
    assert_eq!(daemon.wait_exit(), 2);
    assert_eq!(daemon.record(), []);
}

#[test]
fn item_145_of_a_start_and_a_stop_the_older_is_cancelled_and_nobody_has_failed() {
    let daemon = app(
        "enabled = false
         [service.requiring]
         enabled = false
         command = \"${FIXTURE} requiring --ready\"
         requires = [\"app\"]",
        &["--await", "${DIR}/gate", "--ready"],
    );
    let id = daemon.operation(&json!({ "verb": "start", "targets": ["requiring"] })).id;
    daemon.wait_record("start", "app", 1);
    assert!(daemon.operate("stop", &["app"]).ok);
    let results = results(&daemon, id);
    assert_eq!(results["app"], ItemResult::Superseded);
    assert_eq!(results["requiring"], ItemResult::Superseded);
    for name in ["app", "requiring"] {
        assert_eq!(daemon.state(name), State::Stopped);
    }
    assert_eq!(daemon.happened("start", "requiring"), []);
}

/// Decided otherwise: a request that meets another of its kind shares its end, a reload that meets a
/// start waits for it.
#[test]
fn item_146_requests_that_meet_become_one() {
    let steps = ["--await", "${DIR}/gate", "--ready"];
    let lines = "enabled = false\nstop-timeout = \"10min\"\nreload-command = \"${FIXTURE} reloader --exit 0\"";
    // The first is under way when the second comes; what becomes of both, and how often it starts.
    for (first, second, expected, starts) in [
        ("start", "start", [ItemResult::Started, ItemResult::Started], 1),
        ("start", "reload", [ItemResult::Started, ItemResult::Reloaded], 1),
        ("start", "restart", [ItemResult::Started, ItemResult::Restarted], 2),
        ("start", "stop", [ItemResult::Superseded, ItemResult::Stopped], 1),
        ("restart", "start", [ItemResult::Started, ItemResult::Started], 1),
        ("restart", "stop", [ItemResult::Superseded, ItemResult::Stopped], 1),
    ] {
        let daemon = app(lines, &steps);
        let first_id = begin(&daemon, first);
        daemon.wait_record("start", "app", 1);
        let second_id = begin(&daemon, second);
        daemon.open("gate");
        let ends = [first_id, second_id].map(|id| results(&daemon, id)["app"]);
        assert_eq!(ends, expected, "{first}, {second}");
        assert_eq!(daemon.happened("start", "app").len(), starts, "{first}, {second}");
    }
    // A stop that is under way: with a stop, and with a start.
    let daemon = app(lines, &["--ready", "--term-awaits", "${DIR}/end"]);
    assert!(daemon.operate("start", &["app"]).ok);
    let ids = ["stop", "stop", "start"].map(|verb| begin(&daemon, verb));
    daemon.wait_record("signal", "app", 1);
    daemon.open("end");
    let ends = ids.map(|id| results(&daemon, id)["app"]);
    assert_eq!(ends, [ItemResult::Superseded, ItemResult::Superseded, ItemResult::Started]);
    assert_eq!(daemon.happened("start", "app").len(), 2);
}

#[test]
fn item_147_a_shutdown_cannot_be_undone() {
    let mut daemon = app(
        "stop-timeout = \"10min\"
         [service.other]
         enabled = false
         command = \"${FIXTURE} other --ready\"",
        &["--ready", "--term-awaits", "${DIR}/end"],
    );
    daemon.wait_state("app", State::Running);
    daemon.http().post("/v1/shutdown", &json!({}));
    daemon.wait_record("signal", "app", 1);
    for verb in ["start", "restart"] {
        for name in ["app", "other"] {
            let request = json!({ "verb": verb, "targets": [name] });
            let answer = daemon.http().post("/v1/operations", &request);
            assert_eq!(answer.status, 503, "{verb} {name}: {}", answer.body);
        }
    }
    daemon.open("end");
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.order("start"), ["app"]);
}

#[test]
fn item_148_failure_and_success_start_services_that_are_told_of_it() {
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
fn item_149_a_condition_that_is_not_met_is_no_failure() {
    let daemon = app(
        "enabled = false
         condition = [\"false\"]
         [service.requiring]
         enabled = false
         command = \"${FIXTURE} requiring --ready\"
         requires = [\"app\"]
         [service.bound]
         enabled = false
         command = \"${FIXTURE} bound --ready\"
         binds-to = [\"app\"]",
        &["--ready"],
    );
    let operation = daemon.operate("start", &["requiring"]);
    assert!(operation.ok, "{operation:?}");
    let app = daemon.service("app");
    assert_eq!((app.state, app.why.code.as_str()), (State::Stopped, "condition"));
    assert_eq!(daemon.state("requiring"), State::Running);
    assert!(!daemon.operate("start", &["bound"]).ok);
    assert_eq!(daemon.state("bound"), State::Failed);
    assert_eq!(daemon.happened("start", "app"), []);
    assert_eq!(daemon.happened("start", "bound"), []);
}

#[test]
fn item_150_the_end_of_a_requests_time_leaves_the_service_alone() {
    let daemon = app("enabled = false", &["--await", "${DIR}/gate", "--ready"]);
    assert_eq!(daemon.ctl(&["start", "--timeout", "50ms", "app"]).code, 124);
    assert_eq!(daemon.state("app"), State::Starting);
    daemon.open("gate");
    daemon.wait_state("app", State::Running);
    assert_eq!(daemon.happened("start", "app").len(), 1);
}
