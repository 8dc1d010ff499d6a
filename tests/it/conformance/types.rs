//! Items 131 to 137: types of services, and how their processes are executed.

use supervisor_api::{ItemResult, State};

use super::app::{app, refused};
use crate::harness::Daemon;

/// Decided otherwise: there is no `exec`, since `simple` waits for `exec(3)` already.
#[test]
fn item_131_a_missing_program_fails_the_start() {
    for kind in ["simple", "notify", "oneshot", "forking"] {
        let daemon = Daemon::start(&format!(
            "[service.app]
             type = {kind:?}
             restart = \"no\"
             enabled = false
             command = [\"/nonexistent/app\"]"
        ));
        let operation = daemon.operate("start", &["app"]);
        assert_eq!(operation.items[0].result, Some(ItemResult::SpawnFailed), "{kind}");
        let app = daemon.wait_state("app", State::Failed);
        assert_eq!(app.why.code, "spawn", "{kind}");
    }
    refused("[service.app]\ntype = \"exec\"\ncommand = [\"true\"]", &["my.toml:2", "exec"]);
}

#[test]
fn item_132_a_program_that_fails_at_once_has_been_started() {
    let daemon = app("type = \"simple\"\nenabled = false", &["--exit", "3"]);
    let operation = daemon.operate("start", &["app"]);
    assert_eq!(operation.items[0].result, Some(ItemResult::Started));
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!((app.why.code.as_str(), app.exit.and_then(|exit| exit.code)), ("exit", Some(3)));
}

#[test]
fn item_133_a_forking_service_is_up_when_its_main_process_is_known() {
    let forking = |keys: &str, starter: &str| {
        Daemon::start(&format!(
            r#"[service.app]
            type = "forking"
            restart = "no"
            environment = {{ daemon = "setsid ${{FIXTURE}} app" }}
            command = ["sh", "-c", '{starter}']
            {keys}"#
        ))
    };
    // Without a pid file: what is left.
    let daemon = forking("", "($$daemon &)");
    let main = daemon.wait_record("start", "app", 1).pid;
    assert_eq!(daemon.wait_state("app", State::Running).pid, Some(main));

    // With one that is there when the starter ends.
    let pid_file = "pid-file = \"${DIR}/app.pid\"";
    let daemon = forking(pid_file, "(sleep infinity &); $$daemon & echo $$! > ${DIR}/app.pid");
    let main = daemon.wait_record("start", "app", 1).pid;
    assert_eq!(daemon.wait_state("app", State::Running).pid, Some(main));

    // With one that comes late, and is empty at first.
    let daemon = forking(pid_file, "($$daemon &)");
    let main = daemon.wait_record("start", "app", 1).pid;
    let waits = "waits until its main process can be told";
    daemon.wait_service("app", "searching", |app| app.why.message == waits);
    std::fs::write(daemon.path("app.pid"), "").unwrap();
    assert_eq!(daemon.state("app"), State::Starting);
    std::fs::write(daemon.path("app.pid"), format!(" {main} \n")).unwrap();
    assert_eq!(daemon.wait_state("app", State::Running).pid, Some(main));
    assert!(daemon.operate("stop", &["app"]).ok);
    assert!(!daemon.path("app.pid").exists(), "removed with the end");

    // With one that is never written.
    let daemon = forking(&format!("{pid_file}\nstart-timeout = \"200ms\""), "($$daemon &)");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-timeout");
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn item_134_a_oneshot_runs_its_commands_until_one_fails_that_may_not() {
    let daemon = Daemon::boot(
        r#"[service.good]
        type = "oneshot"
        command = [["${FIXTURE}", "one", "--exit", "0"], ["-", "${FIXTURE}", "two", "--exit", "1"], "${FIXTURE} three --exit 0"]
        post-start = ["${FIXTURE} after --exit 0"]
        [service.bad]
        type = "oneshot"
        after = ["good"]
        command = [["${FIXTURE}", "four", "--exit", "5"], ["${FIXTURE}", "five"]]"#,
    );
    assert_eq!(daemon.order("start"), ["one", "two", "three", "after", "four"]);
    assert_eq!(daemon.state("good"), State::Exited);
    let bad = daemon.service("bad");
    assert_eq!((bad.state, bad.exit.unwrap().code), (State::Failed, Some(5)));
}

/// Decided otherwise: nothing is delayed for the sake of a console.
#[test]
fn item_135_there_is_no_idle() {
    refused("[service.app]\ntype = \"idle\"\ncommand = [\"true\"]", &["my.toml:2", "idle"]);
}

#[test]
fn item_136_a_service_may_count_as_up_after_it_has_ended_well() {
    let lines =
        "type = \"simple\"\nremain-after-exit = true\npost-stop = [\"${FIXTURE} last --exit 0\"]
        [service.needs]\ntype = \"simple\"\ncommand = \"${FIXTURE} needs\"\nbinds-to = [\"app\"]";
    let daemon = app(lines, &["--exit", "0"]);
    let app = daemon.wait_state("app", State::Exited);
    assert!(app.ready);
    daemon.wait_state("needs", State::Running);
    let again = daemon.operate("start", &["app"]);
    assert_eq!(again.items[0].result, Some(ItemResult::AlreadyStarted));
    assert_eq!(daemon.happened("start", "app").len(), 1);
    assert!(daemon.operate("stop", &["app"]).ok);
    assert_eq!((daemon.state("app"), daemon.state("needs")), (State::Stopped, State::Stopped));

    let daemon = self::app(lines, &["--exit", "1"]);
    assert!(!daemon.wait_state("app", State::Failed).ready);
}

/// Decided otherwise: whatever could not be set up is told in words. systemd counts it as an exit of the
/// main process with a status from 200 on, which the program could have had itself.
#[test]
fn item_137_a_set_up_that_fails_is_told_in_words() {
    let daemon = app("working-directory = \"/nonexistent/place\"\nenabled = false", &["--ready"]);
    let operation = daemon.operate("start", &["app"]);
    assert_eq!(operation.items[0].result, Some(ItemResult::SpawnFailed));
    let app = daemon.service("app");
    assert_eq!((app.state, app.why.code.as_str(), &app.exit), (State::Failed, "spawn", &None));
    assert!(app.why.message.contains("/nonexistent/place"), "{}", app.why.message);
}
