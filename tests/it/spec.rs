//! Specs that do not load, and `--check`.

use std::fs;

use crate::harness::{Daemon, Output, TestDir, supervisor_table, supervisord};

fn check(text: &str) -> Output {
    let dir = TestDir::new();
    let file = dir.path().join("my.toml");
    fs::write(&file, text).unwrap();
    Output::of(supervisord(dir.path()).arg("--check").arg("-c").arg(file))
}

#[track_caller]
fn is_refused(text: &str, parts: &[&str]) {
    let output = check(text);
    assert_eq!(output.code, 2, "{output:?}");
    for part in parts {
        assert!(output.stderr.contains(part), "{part:?} is missing in:\n{}", output.stderr);
    }
}

#[test]
fn a_good_spec_passes_the_check_and_nothing_is_started() {
    let output = check("[service.web]\ncommand = [\"touch\", \"started\"]");
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn a_stop_that_takes_longer_than_a_shutdown_may_is_warned_of() {
    let spec = "[supervisor]\nshutdown-timeout = \"30s\"\n
        [service.db]\ncommand = [\"db\"]\nstop-timeout = \"25s\"\n
        [service.web]\ncommand = [\"web\"]\nrequires = [\"db\"]\n";
    let output = check(spec);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stdout, "longest stop: web 10s → db 25s, 35s in all\n");
    assert_eq!(output.stderr, "warning: web → db need 35s, shutdown-timeout is 30s\n");
    let output = check(&spec.replace("\"30s\"", "\"35s\""));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
}

#[test]
fn an_unknown_key_is_shown_with_its_place_and_the_closest_one() {
    is_refused(
        "[service.web]\ncommand = [\"true\"]\nstop-timeuot = \"5s\"\n",
        &["my.toml:3", "stop-timeuot = \"5s\"", "did you mean", "stop-timeout"],
    );
}

#[test]
fn all_faults_are_shown_at_once() {
    is_refused(
        "[service.web]\ncommand = [\"true\"]\nstart-timeout = 5\nrequires = [\"bd\"]\n\
         [service.db]\ncommand = [\"true\"]\nrestart = \"sometimes\"\n",
        &["my.toml:3", "my.toml:4", "\"db\"", "my.toml:7", "on-failure"],
    );
}

#[test]
fn a_cycle_is_shown_as_its_path() {
    is_refused(
        "[service.a]\nrequires = [\"b\"]\n[service.b]\nrequires = [\"c\"]\n\
         [service.c]\nrequires = [\"a\"]\n",
        &["a → b → c → a", "my.toml:2", "my.toml:4", "my.toml:6"],
    );
}

#[test]
fn text_that_is_no_toml_is_shown_with_its_place() {
    is_refused("[service.web]\ncommand = \n", &["my.toml:2"]);
}

#[test]
fn a_missing_file_is_an_error() {
    let dir = TestDir::new();
    for arguments in [&["-c", "none.toml"][..], &["--check", "-c", "none.toml"], &[]] {
        let output = Output::of(supervisord(dir.path()).args(arguments));
        assert_eq!(output.code, 2, "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_daemon_does_not_start_with_a_spec_that_does_not_load() {
    let mut daemon = Daemon::builder().spec("[service.web]\ncomand = \"true\"").spawn();
    assert_eq!(daemon.wait_exit(), 2);
    assert!(daemon.stderr().contains("did you mean"), "{}", daemon.stderr());
    assert!(!daemon.socket().exists());
}

#[test]
fn a_second_daemon_in_the_same_directory_is_refused() {
    let daemon = Daemon::boot("[service.web]\ncommand = \"${FIXTURE} ${SERVICE}\"");
    daemon.wait_record("start", "web", 1);
    let mut second = supervisord(daemon.dir());
    let output = Output::of(second.arg("-c").arg(daemon.path("supervisor.toml")));
    assert_ne!(output.code, 0);
    assert!(!output.stderr.is_empty());
    assert_eq!(daemon.happened("start", "web").len(), 1);
    assert_eq!(daemon.info().pid.cast_signed(), daemon.pid(), "the first one is still reachable");
}

#[test]
fn a_socket_that_a_dead_daemon_left_behind_is_no_obstacle() {
    let dir = TestDir::new();
    fs::create_dir(dir.path().join("run")).unwrap();
    fs::set_permissions(
        dir.path().join("run"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("run/control.sock")).unwrap());
    let file = dir.path().join("supervisor.toml");
    fs::write(&file, supervisor_table(dir.path())).unwrap();
    let mut command = supervisord(dir.path());
    command.arg("-c").arg(file);
    let mut daemon = Daemon::run(&mut command, dir);
    daemon.wait_for_socket();
    assert_eq!(daemon.terminate(), 0);
}
