//! Services whose main process is not the one that was started.

use nix::sys::signal::Signal;
use supervisor_api::State;

use crate::harness::{Daemon, alive, send_signal};

/// A daemon in `sh`: `starter` runs first; `$daemon` begins one in a session of its own.
fn forking(keys: &str, starter: &str) -> String {
    format!(
        r#"[service.app]
        type = "forking"
        restart = "no"
        environment = {{ daemon = "setsid ${{FIXTURE}} app" }}
        {keys}
        command = ["sh", "-c", '{starter}']
        "#
    )
}

#[test]
fn the_only_process_that_is_left_is_the_main_one() {
    let daemon = Daemon::boot(&forking("", "($$daemon &)"));
    let app = daemon.wait_state("app", State::Running);
    let main = daemon.wait_record("start", "app", 1).pid;
    assert_eq!((app.pid, app.kind.as_str(), app.ready), (Some(main), "forking", true));
    assert!(daemon.operate("restart", &["app"]).ok);
    let next = daemon.wait_record("start", "app", 2).pid;
    assert_eq!(daemon.pid_of("app"), next);
    assert!(!alive(main));
    assert!(daemon.operate("stop", &["app"]).ok);
    assert!(!alive(next));
}

#[test]
fn a_guess_follows_a_process_that_forks_again() {
    let starter =
        "(sh -c \"while [ ! -e ${DIR}/gate ]; do sleep 0.01; done; $$daemon & exit 0\" &)";
    let daemon = Daemon::boot(&forking("", starter));
    let first = daemon.wait_state("app", State::Running).pid;
    daemon.open("gate");
    let main = daemon.wait_record("start", "app", 1).pid;
    let app = daemon.wait_service("app", "led by the other one", |app| app.pid == Some(main));
    assert_ne!(first, app.pid);
    assert_eq!(app.state, State::Running);
}

#[test]
fn the_death_of_the_main_process_is_a_failure() {
    let daemon = Daemon::boot(&forking("", "($$daemon &)"));
    let main = daemon.wait_record("start", "app", 1).pid;
    send_signal(main, Signal::SIGKILL);
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some("KILL"));
}

#[test]
fn a_pid_file_from_before_counts_for_nothing() {
    let stale = std::process::id();
    let daemon = Daemon::start(&forking(
        "pid-file = \"${DIR}/app.pid\"\nenabled = false\nstart-timeout = \"300ms\"",
        "($$daemon &)",
    ));
    std::fs::write(daemon.path("app.pid"), stale.to_string()).unwrap();
    assert!(!daemon.operate("start", &["app"]).ok);
    assert_eq!(daemon.service("app").why.code, "start-timeout");
    assert_eq!(daemon.started(), Vec::<i32>::new());
    assert!(!daemon.path("app.pid").exists());
}

#[test]
fn a_starter_that_fails_or_leaves_nothing_fails_the_start() {
    for (starter, code) in [("exit 7", "exit"), ("exit 0", "protocol")] {
        let daemon = Daemon::start(&forking("", starter));
        assert_eq!(daemon.wait_state("app", State::Failed).why.code, code, "{starter}");
    }
    // With a pid file that never comes, too.
    let daemon = Daemon::start(&forking(r#"pid-file = "${DIR}/never""#, "(sleep 0.1 &)"));
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "protocol");
}

#[test]
fn with_two_daemons_nobody_knows_which_is_the_main_one() {
    let starter = "($$daemon &) ; ($$daemon &)";
    let daemon = Daemon::boot(&forking("reload-signal = \"HUP\"", starter));
    daemon.wait_record("start", "app", 2);
    let [first, second] = [0, 1].map(|place| daemon.happened("start", "app")[place].pid);
    let app = daemon.wait_state("app", State::Running);
    assert_eq!((app.pid, app.processes), (None, Some(2)));
    assert!(app.why.message.contains("not known"), "{:?}", app.why);
    assert!(!daemon.operate("reload", &["app"]).ok);
    send_signal(first, Signal::SIGKILL);
    daemon.wait_service("app", "smaller", |app| app.processes == Some(1));
    send_signal(second, Signal::SIGKILL);
    // Nobody can tell how it ended: as in systemd that is no failure.
    daemon.wait_state("app", State::Exited);

    assert!(daemon.operate("start", &["app"]).ok);
    daemon.wait_record("start", "app", 4);
    assert!(daemon.operate("stop", &["app"]).ok);
    assert_eq!(daemon.happened("signal", "app").len(), 2, "both got TERM");
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_service_may_name_its_main_process_itself() {
    let daemon = Daemon::boot(
        r#"[service.app]
        type = "forking"
        notify-access = "main"
        pid-file = "${DIR}/never"
        command = "${FIXTURE} app --hand-over""#,
    );
    let main = daemon.wait_record("start", "app.new", 1).pid;
    assert_eq!(daemon.wait_state("app", State::Running).pid, Some(main));
}

#[test]
fn the_pid_file_names_who_takes_over() {
    let keys = r#"pid-file = "${DIR}/app.pid""#;
    let starter = "($$daemon & echo $$! > ${DIR}/app.pid) ; ($$daemon &)";
    let daemon = Daemon::boot(&forking(keys, starter));
    daemon.wait_record("start", "app", 2);
    let old = daemon.wait_state("app", State::Running).pid.unwrap();
    let pids: Vec<i32> = daemon.happened("start", "app").iter().map(|start| start.pid).collect();
    let new = *pids.iter().find(|pid| **pid != old).unwrap();
    std::fs::write(daemon.path("app.pid"), new.to_string()).unwrap();
    send_signal(old, Signal::SIGKILL);
    let app = daemon.wait_service("app", "led by the new one", |app| app.pid == Some(new));
    assert_eq!(app.state, State::Running);
    send_signal(new, Signal::SIGKILL);
    daemon.wait_state("app", State::Failed);
}

#[test]
fn a_service_may_outlive_its_main_process() {
    let daemon = Daemon::boot(
        r#"[defaults]
        exit-type = "all"
        restart = "no"
        [service.well]
        command = "${FIXTURE} well --setsid --daemon --setsid --await ${DIR}/gate --exit 0"
        [service.badly]
        command = "${FIXTURE} badly --daemon --setsid"
        [service.stopped]
        command = "${FIXTURE} stopped --daemon --setsid""#,
    );
    for name in ["badly", "stopped"] {
        daemon.wait_record("start", &format!("{name}.daemon.child"), 1);
        send_signal(daemon.pid_of(name), Signal::SIGKILL);
        let service = daemon.wait_service(name, "alone", |service| service.pid.is_none());
        assert_eq!((service.state, service.processes), (State::Running, Some(1)));
        assert!(service.why.message.contains("gone: killed by SIGKILL"), "{:?}", service.why);
    }
    send_signal(daemon.wait_record("start", "badly.daemon.child", 1).pid, Signal::SIGKILL);
    assert_eq!(daemon.wait_state("badly", State::Failed).why.code, "exit");
    assert!(daemon.operate("stop", &["stopped"]).ok);
    daemon.wait_record("signal", "stopped.daemon.child", 1);
}
