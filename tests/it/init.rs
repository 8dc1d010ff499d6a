//! `supervisord -- COMMAND`: a one-command init, also as process 1.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::harness::{
    Daemon, FIXTURE, SUPERVISORD, TestDir, available, children, descendants, must, must_as_root,
    process_state, send_signal, supervisord, wait_until,
};

/// Starts `supervisord -- COMMAND` without a spec, in an empty directory.
fn init(command: &[&str]) -> Daemon {
    init_with(&[], command)
}

/// The same with options in front.
fn init_with(options: &[&str], command: &[&str]) -> Daemon {
    let dir = TestDir::new();
    let mut daemon = supervisord(dir.path());
    daemon.args(options).arg("--").args(command);
    Daemon::run(&mut daemon, dir)
}

/// The same as process 1 of a pid namespace of its own; `None` where that cannot be had.
fn init_as_pid_1(command: &[&str]) -> Option<Daemon> {
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    if !must_as_root(
        || available("unshare", &[&unshare[..], &["true"]].concat()),
        "unshare, or the right to make a pid namespace",
        "install util-linux; in a container add CAP_SYS_ADMIN",
    ) {
        return None;
    }
    let dir = TestDir::new();
    let plain = supervisord(dir.path());
    let mut unshared = Command::new("unshare");
    unshared.args(unshare).arg(SUPERVISORD).arg("--").args(command).current_dir(dir.path());
    unshared.env_clear();
    unshared.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(Daemon::run(&mut unshared, dir))
}

/// Pid of process 1, seen from outside.
fn pid_1(daemon: &Daemon) -> i32 {
    wait_until("process 1", &mut (), |()| {
        let pid = *children(daemon.pid()).first()?;
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        program.ends_with("supervisord").then_some(pid)
    })
}

#[test]
fn the_status_of_the_command_is_the_status_of_the_init() {
    for (command, status) in [
        (&["sleep", "0.01"][..], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["sh", "-c", "kill -TERM $$"], 143),
    ] {
        assert_eq!(init(command).wait_exit(), status, "{command:?}");
    }
}

#[test]
fn a_command_that_is_not_there_is_a_failure() {
    let mut daemon = init(&["/nonexistent/command"]);
    assert_ne!(daemon.wait_exit(), 0);
    assert!(daemon.stderr().contains("/nonexistent/command"), "{}", daemon.stderr());
}

#[test]
fn the_output_of_the_command_is_the_output_of_the_init() {
    let mut daemon = init(&["sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.stdout(), "out\n");
    // Nothing of the init's own is among it while all is well.
    assert_eq!(daemon.stderr(), "err\n");
}

#[test]
fn signals_are_forwarded_to_the_command() {
    let mut daemon = init(&[FIXTURE, "app", "--term-exit", "5"]);
    daemon.wait_record("start", "app", 1);
    for (count, signal) in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2].iter().enumerate() {
        daemon.signal(*signal);
        let seen = daemon.wait_record("signal", "app", count + 1);
        assert_eq!(format!("SIG{}", seen.detail), signal.as_str());
    }
    assert_eq!(daemon.terminate(), 5);
}

#[test]
fn the_end_of_the_command_ends_everything_else() {
    let mut daemon =
        init(&[FIXTURE, "app", "--child", "", "--daemon", "", "--await", "gate", "--exit", "3"]);
    daemon.wait_record("start", "app.daemon.child", 1);
    daemon.wait_record("start", "app.child", 1);
    daemon.open("gate");
    assert_eq!(daemon.wait_exit(), 3);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn an_init_whose_command_is_gone_can_still_be_ended() {
    let steps = ["--child", "--ignore TERM", "--await", "gate", "--exit", "3"];
    let mut daemon = init_with(&["--log-level", "info"], &[&[FIXTURE, "app"][..], &steps].concat());
    daemon.wait_record("start", "app.child", 1);
    daemon.open("gate");
    // Its stop has begun, and would take long.
    daemon.wait_record("signal", "app.child", 1);
    daemon.signal(Signal::SIGWINCH);
    daemon.signal(Signal::SIGTERM);
    wait_until("the shutdown", &mut daemon, |daemon| {
        daemon.stderr().contains("shutting down").then_some(())
    });
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_exit(), 3, "the status of the command");
    assert!(daemon.stderr().contains("second signal"), "{}", daemon.stderr());
    assert_eq!(daemon.started(), Vec::<i32>::new());
}

#[test]
fn a_command_beside_a_spec_is_a_service_whose_end_shuts_everything_down() {
    let mut daemon = Daemon::builder()
        .spec("[service.web]\ntype = \"notify\"\ncommand = \"${FIXTURE} ${SERVICE} --ready\"")
        .arguments(&["--", "sh", "-c", "while ! test -e gate; do sleep 0.01; done; exit 9"])
        .boot();
    daemon.wait_record("said", "web", 1);
    assert!(daemon.pid_of("main") > 1);
    daemon.open("gate");
    assert_eq!(daemon.wait_exit(), 9);
    assert_eq!(daemon.order("exit"), ["web"]);
}

#[test]
fn as_process_1_the_status_of_the_command_is_the_status_of_the_init() {
    for (command, status) in
        [(&["true"][..], 0), (&["sh", "-c", "exit 7"], 7), (&["sh", "-c", "kill -9 $$"], 137)]
    {
        let Some(mut daemon) = init_as_pid_1(command) else { return };
        assert_eq!(daemon.wait_exit(), status, "{command:?}");
    }
}

#[test]
fn process_1_forwards_term() {
    let Some(mut daemon) = init_as_pid_1(&[FIXTURE, "app", "--term-exit", "5"]) else { return };
    daemon.wait_record("start", "app", 1);
    send_signal(pid_1(&daemon), Signal::SIGTERM);
    assert_eq!(daemon.wait_exit(), 5);
    assert_eq!(daemon.happened("signal", "app")[0].detail, "TERM");
}

#[test]
fn process_1_reaps_orphans() {
    let command = [FIXTURE, "app", "--daemon", "--await orphan --exit 0", "--await", "gate"];
    let Some(mut daemon) = init_as_pid_1(&command) else { return };
    daemon.wait_record("start", "app.daemon.child", 1);
    let before = descendants(pid_1(&daemon)).len();
    daemon.open("orphan");
    daemon.wait_record("exit", "app.daemon.child", 1);
    let init = pid_1(&daemon);
    wait_until("the orphan to be reaped", &mut (), |()| {
        let left = descendants(init);
        let zombies = left.iter().filter(|&&pid| process_state(pid) == Some('Z')).count();
        (zombies == 0 && left.len() < before).then_some(())
    });
    send_signal(init, Signal::SIGTERM);
    assert_eq!(daemon.wait_exit(), 0);
}

#[test]
fn a_daemon_with_a_terminal_keeps_its_services_apart_from_it() {
    let present = available("script", &["--version"]);
    if !must(present, "script", "apt-get install bsdutils") {
        return;
    }
    let dir = TestDir::new();
    let stat = r#"cut -d" " -f6,7 /proc/$$/stat; echo $$"#;
    let run = format!("{SUPERVISORD} -- sh -c '{stat}'");
    let mut script = Command::new("script");
    script.args(["-qec", &run, "/dev/null"]).current_dir(dir.path()).stdin(Stdio::null());
    let output = script.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.split_whitespace().collect();
    // Session, terminal, pid.
    assert!(matches!(words[..], [session, "0", pid] if session == pid), "{text:?}");
}
