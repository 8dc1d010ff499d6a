//! Who may use the control socket. Another user can only be had as root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use supervisor_api::State;

use crate::harness::{Daemon, Output, SUPERVISORCTL, available, must_as_root, wait_until};

/// Whether a process of another user can be had.
fn can_change_user() -> bool {
    must_as_root(|| available("setpriv", &["--version"]), "setpriv", "install util-linux")
}

/// `supervisorctl` as the user `nobody`, from a place that it may read.
fn as_nobody(daemon: &Daemon, arguments: &[&str]) -> Output {
    let program = copy(daemon);
    let socket = format!("unix://{}", daemon.socket().display());
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(["-s", &socket])
        .args(arguments);
    Output::of(&mut command)
}

fn copy(daemon: &Daemon) -> PathBuf {
    let program = daemon.path("supervisorctl");
    if !program.exists() {
        fs::copy(Path::new(SUPERVISORCTL), &program).unwrap();
    }
    program
}

#[test]
fn another_user_cannot_open_the_socket() {
    if !can_change_user() {
        return;
    }
    let daemon = Daemon::boot("[service.web]\ncommand = \"${FIXTURE} ${SERVICE}\"");
    for arguments in [&["status"][..], &["stop", "web"], &["shutdown"]] {
        let output = as_nobody(&daemon, arguments);
        assert_eq!(output.code, 4, "{output:?}");
        let text = output.stdout + &output.stderr;
        assert!(text.to_lowercase().contains("permission"), "{text}");
    }
    assert_eq!(daemon.state("web"), State::Running);
}

#[test]
fn another_user_who_can_open_the_socket_is_refused() {
    if !can_change_user() {
        return;
    }
    let daemon = Daemon::boot(
        "[control]\nmode = \"0666\"\n[service.web]\ncommand = \"${FIXTURE} ${SERVICE}\"",
    );
    // The directory is private; opening it is what an administrator who wants this would do.
    fs::set_permissions(daemon.path("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    for arguments in [&["stop", "web"][..], &["shutdown"]] {
        let output = as_nobody(&daemon, arguments);
        assert_eq!(output.code, 4, "{output:?}");
    }
    assert_eq!(daemon.state("web"), State::Running);
}

#[test]
fn a_service_runs_as_the_user_that_its_spec_names() {
    if !can_change_user() {
        return;
    }
    let daemon = Daemon::boot(
        r#"[service.web]
        type = "oneshot"
        user = "nobody"
        command = ["sh", "-c", "id -u; id -G; echo $HOME $USER"]"#,
    );
    daemon.wait_state("web", State::Exited);
    let text = wait_until("its output", &mut (), |()| {
        let text = daemon.read("log/web.log");
        (text.lines().count() == 3).then_some(text)
    });
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("65534"));
    assert!(!lines.next().unwrap().split(' ').any(|group| group == "0"), "{text}");
    assert!(lines.next().unwrap().ends_with(" nobody"), "{text}");
}
