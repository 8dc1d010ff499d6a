//! The notify protocol as real clients speak it.

use std::process::Command;

use supervisor_api::State;

use crate::harness::{Daemon, TestDir, available, must, wait_until};

const REMEDY: &str = "run scripts/install-test-services";

#[test]
fn systemd_notify_makes_ready() {
    if !must(available("systemd-notify", &["--version"]), "systemd-notify", REMEDY) {
        return;
    }
    // An ordinary user's systemd-notify speaks as itself, a child of the shell.
    let daemon = Daemon::boot(
        r#"[service.app]
        type = "notify"
        notify-access = "all"
        command = ["sh", "-c", "systemd-notify --ready --status='by hand' && exec sleep infinity"]"#,
    );
    daemon.wait_state("app", State::Running);
    assert_eq!(daemon.service("app").status.as_deref(), Some("by hand"));
}

#[test]
fn systemd_notify_as_the_last_command_of_a_shell_is_heard() {
    if !must(available("systemd-notify", &["--version"]), "systemd-notify", REMEDY) {
        return;
    }
    // The shell executes it in its own place; root's then speaks for its parent: the supervisor.
    let daemon = Daemon::start(
        r#"[service.helper]
        type = "notify"
        notify-access = "all"
        restart = "no"
        command = ["sh", "-c", "exec systemd-notify --ready --status=short"]"#,
    );
    let helper = daemon.wait_state("helper", State::Exited);
    assert_eq!(helper.exit.and_then(|exit| exit.code), Some(0));
    assert!(daemon.detail("helper").runs[0].ready_after_ms.is_some());
}

#[test]
fn python_sdnotify_makes_ready() {
    if !must(available("/usr/bin/python3", &["-c", "import sdnotify"]), "Python's sdnotify", REMEDY)
    {
        return;
    }
    let daemon = Daemon::boot(
        r#"[service.app]
        type = "notify"
        command = ["/usr/bin/python3", "-c", """
import sdnotify, signal
client = sdnotify.SystemdNotifier(debug=True)
client.notify("STATUS=by python")
client.notify("READY=1")
signal.pause()
"""]"#,
    );
    daemon.wait_state("app", State::Running);
    assert_eq!(daemon.service("app").status.as_deref(), Some("by python"));
}

#[test]
fn a_c_program_with_libsystemd_is_heard_and_gets_its_barrier() {
    let dir = TestDir::new();
    let program = dir.path().join("barrier");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/barrier.c");
    let compiled = Command::new("cc")
        .args(["-Wall", "-Werror", source, "-lsystemd", "-o"])
        .arg(&program)
        .output()
        .is_ok_and(|output| output.status.success());
    if !must(compiled, "a C compiler with libsystemd-dev", REMEDY) {
        return;
    }
    let daemon = Daemon::builder()
        .environment("PROGRAM", program.to_str().unwrap())
        .spec("[service.app]\ntype = \"notify\"\ncommand = [\"${PROGRAM}\"]")
        .boot();
    daemon.wait_state("app", State::Running);
    assert_eq!(daemon.service("app").status.as_deref(), Some("by libsystemd"));
    wait_until("the barrier", &mut (), |()| {
        daemon.read("log/app.log").contains("heard").then_some(())
    });
}
