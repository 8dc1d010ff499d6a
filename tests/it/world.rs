//! The daemon in a world that is not as it should be: what it was started with, what it writes to,
//! what is taken away from under it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use nix::sys::signal::Signal;
use supervisor_api::State;

use crate::harness::{
    Daemon, SUPERVISORD, TestDir, available, must, must_as_root, send_signal, supervisor_table,
    supervisord, wait_until,
};

const APP: &str = r#"
    [service.app]
    type = "notify"
    command = "${FIXTURE} ${SERVICE} --ready"
"#;

/// A daemon with this spec that a shell starts. `$@` in the script is the daemon's command line.
fn start_by(script: &str, spec: &str) -> Daemon {
    let dir = TestDir::new();
    let file = dir.path().join("supervisor.toml");
    fs::write(&file, format!("{}{spec}", supervisor_table(dir.path()))).unwrap();
    let mut daemon = Daemon::run(
        Command::new("sh")
            .args(["-c", script, "sh", SUPERVISORD, "-c"])
            .arg(file)
            .current_dir(dir.path())
            .env_clear()
            .envs(environment(&supervisord(dir.path()))),
        dir,
    );
    daemon.wait_for_socket();
    daemon
}

fn environment(command: &Command) -> Vec<(OsString, OsString)> {
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let mut daemon = start_by(r#"exec "$@" 2>/dev/full"#, APP);
    daemon.wait_state("app", State::Running);
    assert!(daemon.operate("restart", &["app"]).ok);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_log_that_nobody_reads_delays_nothing() {
    let storm = r#"
        [service.storm]
        restart = "always"
        restart-delay = "0s"
        restart-max-delay = "0s"
        start-limit-burst = 0
        command = ["true"]
    "#;
    // Open for both, so that it is there, never read and full after some hundred lines.
    let mut daemon = start_by(r#"mkfifo log; exec "$@" 2<>log"#, &format!("{APP}{storm}"));
    daemon.wait_service("storm", "restarted often", |storm| storm.restarts > 1000);
    assert!(daemon.operate("restart", &["app"]).ok);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn signals_that_were_blocked_are_heard() {
    const BLOCK: &str = "--block-signal";
    if !must(available("env", &[BLOCK, "true"]), "env --block-signal", "install coreutils") {
        return;
    }
    let mut daemon = start_by(&format!(r#"exec env {BLOCK} "$@""#), APP);
    daemon.wait_state("app", State::Running);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.happened("signal", "app")[0].detail, "TERM");
}

#[test]
fn an_odd_umask_does_not_show_in_what_it_makes() {
    let mut daemon = start_by(r#"umask 777; exec "$@""#, APP);
    let mode = |name| fs::metadata(daemon.path(name)).unwrap().permissions().mode() & 0o777;
    // Without a mode the next start could not open it, other than as root.
    assert_eq!(mode("run/control.sock.lock"), 0o600);
    assert_eq!(mode("run/control.sock"), 0o600);
    daemon.wait_state("app", State::Running);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_working_directory_that_is_gone_is_not_needed() {
    let mut daemon = start_by(r#"mkdir gone; cd gone; rmdir ../gone; exec "$@""#, APP);
    daemon.wait_state("app", State::Running);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn services_beyond_the_limit_of_open_files_wait_and_the_rest_goes_on() {
    let spec = r#"
        [service.many]
        instances = 30
        restart-delay = "50ms"
        restart-max-delay = "50ms"
        start-limit-burst = 0
        command = ["sleep", "1000"]
    "#;
    let mut daemon = start_by(r#"ulimit -n 64; exec "$@""#, spec);
    let counted = |state| {
        daemon.services().services.into_iter().filter(|service| service.state == state).count()
    };
    wait_until("all to be tried", &mut (), |()| {
        (counted(State::Running) + counted(State::Backoff) == 30).then_some(())
    });
    let running = counted(State::Running);
    assert!(0 < running && running < 30, "{running} run");
    let mut services = daemon.services().services.into_iter();
    let up = services.find(|service| service.state == State::Running).unwrap().name;
    assert!(daemon.operate("stop", &[&up]).ok);
    assert_eq!(daemon.state(&up), State::Stopped);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_runtime_directory_that_was_wiped_does_not_keep_services_from_starting() {
    let mut daemon = Daemon::boot(APP);
    // It says so first and writes that down after.
    daemon.wait_record("said", "app", 1);
    let before = daemon.pid_of("app");
    fs::remove_dir_all(daemon.path("run")).unwrap();
    send_signal(before, Signal::SIGKILL);
    daemon.wait_record("said", "app", 2);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn the_proc_of_another_pid_namespace_is_refused() {
    let unshare = ["--pid", "--fork", "--kill-child"];
    if !must_as_root(
        || available("unshare", &[&unshare[..], &["true"]].concat()),
        "unshare, or the right to make a pid namespace",
        "install util-linux; in a container add CAP_SYS_ADMIN",
    ) {
        return;
    }
    let dir = TestDir::new();
    let environment = environment(&supervisord(dir.path()));
    let mut command = Command::new("unshare");
    command.args(unshare).args([SUPERVISORD, "--", "true"]).env_clear().envs(environment);
    let mut daemon = Daemon::run(&mut command, dir);
    assert_eq!(daemon.wait_exit(), 1);
    assert!(daemon.stderr().contains("pid namespace"), "{}", daemon.stderr());
}
