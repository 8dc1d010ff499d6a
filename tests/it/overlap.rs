//! Restarts without a gap: `restart-mode = "overlap"`.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use serde_json::json;
use supervisor_api::{ItemResult, State};

use crate::harness::{Daemon, alive, free_port, send_signal, wait_until};

/// A service `app` that restarts so, with these steps.
fn app(steps: &str, lines: &str) -> Daemon {
    Daemon::start(&format!(
        r#"
        [service.app]
        type = "notify"
        restart-mode = "overlap"
        command = "${{FIXTURE}} ${{SERVICE}} {steps}"
        {lines}"#
    ))
}

/// Asks for a restart and does not wait for it.
fn begin_restart(daemon: &Daemon) {
    daemon.operation(&json!({"verb": "restart", "targets": ["app"]}));
}

#[test]
fn every_connection_is_answered_during_restarts() {
    let port = free_port();
    let mut daemon = app(&format!("--serve-pid {port} --ready"), "fd-store-max = 1");
    daemon.wait_state("app", State::Running);
    let over = Arc::new(AtomicBool::new(false));
    let client = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut answers = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let mut answer = String::new();
                let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
                connection.read_to_string(&mut answer).unwrap();
                answers.push(answer.trim().parse::<i32>().unwrap());
            }
            answers
        }
    });
    let mut before = daemon.pid_of("app");
    for _ in 0..20 {
        let restart = daemon.operate("restart", &["app"]);
        assert!(restart.ok, "{restart:?}");
        assert_eq!(restart.items[0].result, Some(ItemResult::Restarted));
        assert!(!alive(before), "a restart ends when the old process is gone");
        assert_eq!(daemon.state("app"), State::Running);
        let now = daemon.pid_of("app");
        assert_ne!(now, before);
        before = now;
    }
    over.store(true, Ordering::SeqCst);
    let answers = client.join().unwrap();
    assert!(answers.len() >= 20, "{answers:?}");
    assert_eq!(daemon.detail("app").runs.len(), 20);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_new_process_that_does_not_come_up_leaves_the_old_one() {
    let mut daemon = Daemon::start(
        r#"
        [service.app]
        type = "notify"
        restart-mode = "overlap"
        command = ["/bin/sh", "-c", "test -e ${DIR}/bad && exit 3; exec ${FIXTURE} app --ready"]
        [service.other]
        binds-to = ["app"]
        command = "${FIXTURE} other""#,
    );
    daemon.wait_state("other", State::Running);
    let (app, other) = (daemon.pid_of("app"), daemon.pid_of("other"));
    daemon.open("bad");
    let restart = daemon.operate("restart", &["app"]);
    assert_eq!(restart.items.len(), 1);
    assert_eq!(restart.items[0].result, Some(ItemResult::StartFailed));
    assert_eq!(restart.items[0].message, "exit status 3");
    let shown = daemon.service("app");
    assert_eq!((shown.state, shown.pid, shown.restarts), (State::Running, Some(app), 0));
    std::fs::remove_file(daemon.path("bad")).unwrap();
    assert!(daemon.operate("restart", &["app"]).ok);
    assert_ne!(daemon.pid_of("app"), app);
    assert_eq!(daemon.pid_of("other"), other);
    assert!(alive(other));
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn the_service_is_shown_running_all_the_while_and_the_other_process_beside_it() {
    let mut daemon = app("--await ${DIR}/go --status serving --ready --term-awaits ${DIR}/end", "");
    daemon.open("go");
    let old = daemon.wait_state("app", State::Running).pid.unwrap();
    std::fs::remove_file(daemon.path("go")).unwrap();
    let mut events = daemon.follow(&["events"]);
    begin_restart(&daemon);
    let new = daemon.wait_record("start", "app", 2).pid;
    let shown = daemon.service("app");
    assert_eq!((shown.state, shown.pid, shown.ready), (State::Running, Some(old), true));
    assert_eq!(shown.why.message, format!("overlap: new process {new} starting"));
    let status = daemon.ctl(&["status"]);
    let expected = format!("(overlap: new process {new} starting)");
    assert!(status.stdout.contains(&expected), "{}", status.stdout);
    assert_eq!(daemon.services().services.len(), 1);

    daemon.open("go");
    let shown = daemon.wait_service("app", "the new process", |app| app.pid == Some(new));
    assert_eq!((shown.state, shown.status.as_deref()), (State::Running, Some("serving")));
    assert_eq!(shown.why.message, format!("overlap: other process {old} stopping"));
    daemon.open("end");
    let shown = daemon.wait_service("app", "the end of the old one", |app| app.why.code == "up");
    assert_eq!(shown.pid, Some(new));
    for text in [
        "app: other process starting -> running (said READY=1)",
        "app: running -> running (a new process has taken the place of the old one)",
        "app: other process running -> stopping (a new process has taken its place)",
    ] {
        events.wait_for(text);
    }
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn the_old_process_takes_nothing_of_the_new_one_with_it() {
    let mut daemon = Daemon::start(
        r#"
        [service.app]
        type = "notify"
        restart-mode = "overlap"
        command = ["${FIXTURE}", "app", "--daemon", "--ignore HUP", "--await", "${DIR}/go", "--ready"]"#,
    );
    daemon.open("go");
    daemon.wait_state("app", State::Running);
    let first = daemon.wait_record("start", "app.daemon.child", 1).pid;
    std::fs::remove_file(daemon.path("go")).unwrap();
    begin_restart(&daemon);
    let second = daemon.wait_record("start", "app.daemon.child", 2).pid;
    daemon.open("go");
    daemon.wait_service("app", "the end of the old one", |app| {
        app.why.code == "up" && daemon.happened("start", "app").len() == 2
    });
    wait_until("the end of what the old one had", &mut (), |()| (!alive(first)).then_some(()));
    assert!(alive(second), "it belongs to the new process");
    assert_eq!(daemon.terminate(), 0);
    assert!(!alive(second));
}

#[test]
fn lines_of_the_two_stay_whole() {
    let mut daemon =
        app("--write 1 half --await ${DIR}/go --print whole --ready --term-awaits ${DIR}/end", "");
    daemon.open("go");
    daemon.wait_state("app", State::Running);
    std::fs::remove_file(daemon.path("go")).unwrap();
    begin_restart(&daemon);
    daemon.wait_record("wrote", "app", 2);
    // The old process ends while the new one is in the middle of a line.
    send_signal(daemon.pid_of("app"), Signal::SIGKILL);
    daemon.wait_state("app", State::Starting);
    daemon.open("go");
    daemon.wait_state("app", State::Running);
    daemon.open("end");
    let log = daemon.ctl(&["logs", "app"]).stdout;
    assert_eq!(log.matches("halfwhole").count(), 2, "{log}");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_shutdown_stops_both_and_reports_both() {
    let mut daemon = app("--ready --ignore TERM", "stop-timeout = \"1min\"");
    daemon.wait_state("app", State::Running);
    begin_restart(&daemon);
    daemon.wait_service("app", "the new process", |app| app.why.message.contains("other process"));
    let request = json!({ "wait": true, "timeout": "100ms" });
    let answer = daemon.http().post("/v1/shutdown", &request).body;
    let killed = r#"{"service":"app","#;
    assert_eq!(answer.matches(killed).count(), 2, "{answer}");
    assert_eq!(daemon.wait_exit(), 0);
}

#[test]
fn commands_are_run_for_each_of_the_two_and_know_which_one_they_are_for() {
    let mut daemon = app(
        "--term-exit 4 --ready",
        r#"drain = "1ms"
        pre-start = ["${FIXTURE} before --exit 0"]
        post-stop = ["${FIXTURE} last --env EXIT_STATUS --exit 0"]"#,
    );
    let old = daemon.wait_state("app", State::Running).pid.unwrap();
    let restart = daemon.operate("restart", &["app"]);
    assert_eq!(restart.items[0].result, Some(ItemResult::Restarted));
    assert!(!alive(old));
    assert_eq!(daemon.order("start"), ["before", "app", "before", "app", "last"]);
    assert_eq!(daemon.happened("env", "last")[0].detail, "EXIT_STATUS=4");
    let steps: Vec<_> = daemon.detail("app").runs[0].stop.iter().map(|p| p.step.clone()).collect();
    assert_eq!(steps, ["drain", "signal TERM", "post-stop 1"]);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn what_forks_is_followed_in_both_places() {
    let mut daemon = Daemon::start(
        r#"
        [service.app]
        type = "forking"
        restart-mode = "overlap"
        environment = { daemon = "setsid ${FIXTURE} app" }
        command = ["sh", "-c", "($$daemon &)"]"#,
    );
    daemon.wait_state("app", State::Running);
    for count in 2..5 {
        let old = daemon.wait_record("start", "app", count - 1).pid;
        let restart = daemon.operate("restart", &["app"]);
        assert_eq!(restart.items[0].result, Some(ItemResult::Restarted), "{restart:?}");
        assert!(!alive(old));
        let new = daemon.wait_record("start", "app", count).pid;
        assert_eq!(daemon.pid_of("app"), new);
    }
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn instances_overlap_one_by_one_also_those_that_came_later() {
    let mut daemon = Daemon::boot(
        r#"
        [service.web]
        type = "notify"
        restart-mode = "overlap"
        command = "${FIXTURE} ${SERVICE}@${INSTANCE} --ready"
        instances = 1"#,
    );
    daemon.ctl(&["scale", "web=2"]).assert("web@2: started", 0);
    let old = [daemon.pid_of("web@1"), daemon.pid_of("web@2")];
    daemon.ctl(&["restart", "--rolling", "web"]);
    for (name, old) in ["web@1", "web@2"].into_iter().zip(old) {
        assert!(!alive(old));
        assert_eq!(daemon.state(name), State::Running);
        assert!(alive(daemon.pid_of(name)));
    }
    assert_eq!(daemon.order("start"), ["web@1", "web@2", "web@1", "web@2"]);
    let [.., last] = [daemon.pid_of("web@1"), daemon.pid_of("web@2")];
    daemon.ctl(&["scale", "web=1"]).assert("web@2: removed", 0);
    assert!(!alive(last));
    daemon.ctl(&["scale", "web=2"]).assert("web@2: started", 0);
    let again = daemon.pid_of("web@2");
    assert!(daemon.operate("restart", &["web@2"]).ok);
    assert_ne!(daemon.pid_of("web@2"), again);
    assert_eq!(daemon.terminate(), 0);
}
