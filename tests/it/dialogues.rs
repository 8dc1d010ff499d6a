//! What real daemons say over a run, message by message, played by the fixture.
//!
//! Each test is named after the daemon and tells what is peculiar about it.

use supervisor_api::State;

use crate::harness::Daemon;

/// A notify service that plays these steps.
fn play(lines: &str, steps: &[&str]) -> Daemon {
    Daemon::start(&format!(
        "[service.app]
         type = \"notify\"
         restart = \"no\"
         command = [\"${{FIXTURE}}\", \"app\", {}]
         {lines}",
        steps.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>().join(", ")
    ))
}

fn status(daemon: &Daemon) -> Option<String> {
    daemon.service("app").status
}

/// knotd asks for time before it says anything else, and clears its text with each step.
#[test]
fn knot() {
    let daemon = play(
        "start-timeout = \"500ms\"",
        &[
            "--notify",
            "EXTEND_TIMEOUT_USEC=60000000",
            "--notify",
            "STATUS=Waiting for 1 tasks to finish...",
            "--await",
            "${DIR}/loaded",
            "--notify",
            "READY=1\nSTATUS=",
            "--await",
            "${DIR}/reload",
            "--notify",
            "RELOADING=1\nSTATUS=",
            "--await",
            "${DIR}/reloaded",
            "--notify",
            "READY=1\nSTATUS=",
            "--await",
            "${DIR}/stop",
            "--notify",
            "STOPPING=1\nSTATUS=",
            "--exit",
            "0",
        ],
    );
    daemon.wait_service("app", "waiting for its zone", |app| {
        app.status.as_deref() == Some("Waiting for 1 tasks to finish...")
    });
    daemon.open("loaded");
    daemon.wait_state("app", State::Running);
    assert_eq!(status(&daemon), None);
    daemon.open("reload");
    assert!(daemon.wait_state("app", State::Reloading).ready);
    daemon.open("reloaded");
    daemon.wait_state("app", State::Running);
    daemon.open("stop");
    daemon.wait_state("app", State::Exited);
    assert_eq!(daemon.happened("signal", "app"), []);
}

/// redis-server ends each message with a newline.
#[test]
fn redis() {
    let daemon = play(
        "",
        &[
            "--notify",
            "STATUS=Redis is loading...\n",
            "--notify",
            "STATUS=Ready to accept connections\n",
            "--notify",
            "READY=1\n",
        ],
    );
    daemon.wait_state("app", State::Running);
    assert_eq!(status(&daemon).as_deref(), Some("Ready to accept connections"));
}

/// caddy 2.6 begins with a reload, and one that it refuses it never ends.
#[test]
fn caddy() {
    let daemon = play(
        "reload-command = \"true\"\nreload-timeout = \"300ms\"",
        &[
            "--notify",
            "RELOADING=1",
            "--ready",
            "--await",
            "${DIR}/refuse",
            "--notify",
            "RELOADING=1",
            "--status",
            "loading new config: no",
        ],
    );
    daemon.wait_state("app", State::Running);
    daemon.open("refuse");
    daemon.wait_service("app", "reloading", |app| app.status.is_some());
    // It goes on with what it had.
    let app = daemon.wait_state("app", State::Running);
    assert!(app.ready);
    assert_eq!(app.status.as_deref(), Some("loading new config: no"));
    // And can be told to try again.
    daemon.ctl(&["reload", "app"]).assert("app: reloaded", 0);
}

/// apache with its `mod_systemd` says everything twice, and goes on to say it while it runs.
#[test]
fn apache() {
    let daemon = play(
        "",
        &[
            "--notify",
            "RELOADING=1\nSTATUS=Reading configuration...",
            "--notify",
            "RELOADING=1\nSTATUS=Reading configuration...",
            "--notify",
            "READY=1\nSTATUS=Configuration loaded.",
            "--notify",
            "READY=1\nSTATUS=Processing requests...",
            "--notify",
            "READY=1\nSTATUS=Total requests: 0; Idle/Busy workers 100/0",
        ],
    );
    daemon.wait_service("app", "talking", |app| {
        app.state == State::Running
            && app.status.as_deref() == Some("Total requests: 0; Idle/Busy workers 100/0")
    });
}

/// freeradius feeds its watchdog before it is ready.
#[test]
fn freeradius() {
    let daemon = play(
        "watchdog = \"10min\"",
        &[
            "--notify",
            "WATCHDOG=1",
            "--barrier",
            "--await",
            "${DIR}/gate",
            "--notify",
            "READY=1\nSTATUS=Processing requests",
        ],
    );
    daemon.wait_record("barrier", "app", 1);
    assert_eq!(daemon.state("app"), State::Starting);
    daemon.open("gate");
    daemon.wait_state("app", State::Running);
}

/// Patroni takes its STOPPING=1 back, for the postgres below it says so too, and ends all the same.
#[test]
fn patroni() {
    let daemon = play(
        "stop-timeout = \"1min\"",
        &[
            "--ready",
            "--await",
            "${DIR}/stop",
            "--notify",
            "STOPPING=1",
            "--ready",
            "--barrier",
            "--await",
            "${DIR}/end",
            "--exit",
            "0",
        ],
    );
    daemon.wait_state("app", State::Running);
    daemon.open("stop");
    daemon.wait_record("barrier", "app", 1);
    assert_eq!(daemon.state("app"), State::Stopping);
    daemon.open("end");
    daemon.wait_state("app", State::Exited);
    assert_eq!(daemon.happened("signal", "app"), []);
}

/// squid's master says nothing; its kid does, and so does the kid that replaces it.
#[test]
fn squid() {
    let daemon = play(
        "notify-access = \"all\"",
        &[
            "--run",
            "--ready --await ${DIR}/die --exit 1",
            "--run",
            "--ready --await ${DIR}/end",
            "--exit",
            "0",
        ],
    );
    let master = daemon.wait_state("app", State::Running).pid;
    daemon.open("die");
    daemon.wait_record("said", "app.run", 2);
    let app = daemon.service("app");
    assert_eq!((app.state, app.pid), (State::Running, master));
}

/// uwsgi replaces itself on HUP and says that it begins, but never again that it is ready.
#[test]
fn uwsgi() {
    let daemon = play(
        "reload-signal = \"HUP\"",
        &[
            "--notify",
            "STATUS=initializing uWSGI\n",
            "--notify",
            "STATUS=uWSGI is ready\nREADY=1\n",
            "--await",
            "${DIR}/again",
            "--notify",
            "STATUS=initializing uWSGI\n",
        ],
    );
    daemon.wait_state("app", State::Running);
    daemon.ctl(&["reload", "app"]).assert("app: reloaded", 0);
    daemon.wait_record("signal", "app", 1);
    daemon.open("again");
    let app = daemon
        .wait_service("app", "replaced", |app| app.status.as_deref() == Some("initializing uWSGI"));
    assert_eq!((app.state, app.ready), (State::Running, true));
}
