//! Services and strangers that abuse the notify socket hurt nobody but themselves.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use supervisor_api::State;

use crate::harness::{Daemon, open_fds, wait_until};

/// A service that hears nobody but its main process, with these steps.
fn app(steps: &str) -> Daemon {
    Daemon::start(&format!(
        r#"
        [service.app]
        type = "notify"
        command = ["${{FIXTURE}}", "app", {steps}]
        [service.other]
        type = "notify"
        command = "${{FIXTURE}} ${{SERVICE}} --ready""#
    ))
}

/// A socket connected to the notify socket of a service, which only its processes should know.
fn intrude(daemon: &Daemon, name: &str) -> UnixDatagram {
    let environ = fs::read(format!("/proc/{}/environ", daemon.pid_of(name))).unwrap();
    let address = environ
        .split(|&byte| byte == 0)
        .find_map(|pair| pair.strip_prefix(b"NOTIFY_SOCKET="))
        .unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    match address.strip_prefix(b"@") {
        Some(name) => {
            socket.connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        }
        None => socket.connect(std::str::from_utf8(address).unwrap()).unwrap(),
    }
    socket
}

#[test]
fn a_flood_of_messages_hurts_only_its_sender() {
    let mut daemon = app(r#""--ready", "--flood", "20000""#);
    daemon.wait_state("other", State::Running);
    assert!(daemon.operate("restart", &["other"]).ok);
    daemon.wait_record("flooded", "app", 1);
    daemon.wait_service("app", "shown with its last words", |app| {
        app.status.as_deref() == Some("flood 20000")
    });
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_stranger_is_not_heard() {
    let daemon =
        app(r#""--await", "${DIR}/gate", "--barrier", "--await", "${DIR}/more", "--ready""#);
    daemon.wait_record("start", "app", 1);
    let stranger = intrude(&daemon, "app");
    for message in ["READY=1", "STOPPING=1", "STATUS=hacked", "WATCHDOG=trigger", "MAINPID=1"] {
        stranger.send(message.as_bytes()).unwrap();
    }
    daemon.open("gate");
    daemon.wait_record("barrier", "app", 1);
    let app = daemon.service("app");
    assert_eq!((app.state, app.status), (State::Starting, None));
    daemon.open("more");
    daemon.wait_state("app", State::Running);
}

#[test]
fn nonsense_on_the_socket_is_ignored() {
    let daemon = app(r#""--ready", "--await", "${DIR}/gate", "--status", "still here""#);
    daemon.wait_state("app", State::Running);
    let stranger = intrude(&daemon, "app");
    let large = vec![b'x'; 10_000];
    for message in [&b""[..], b"\n\n\n", b"=\n=1\nREADY\nREADY=\0", b"\xff\xfe\xfd=1", &large] {
        stranger.send(message).unwrap();
    }
    daemon.open("gate");
    daemon.wait_service("app", "heard", |app| app.status.as_deref() == Some("still here"));
    assert_eq!(daemon.state("app"), State::Running);
}

#[test]
fn lines_of_nonsense_do_not_spoil_the_good_ones_beside_them() {
    let daemon = app(
        r#""--notify", "FOO\nMAINPID=abc\nEXTEND_TIMEOUT_USEC=-1\nWATCHDOG_USEC=many\nX_Y=1\nSTATUS=fine\nREADY=1\n""#,
    );
    daemon.wait_state("app", State::Running);
    assert_eq!(daemon.service("app").status.as_deref(), Some("fine"));
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    let daemon = app(
        r#""--notify-fds", "253", "STATUS=a", "--notify-fds", "253", "FDSTORE=1", "--notify-fds", "2", "BARRIER=1\nSTATUS=b", "--barrier", "--ready""#,
    );
    daemon.wait_state("app", State::Running);
    daemon.wait_state("other", State::Running);
    // Connections of the tests' own come and go; two hundred descriptors would stay.
    wait_until("the descriptors to be closed", &mut (), |()| {
        (open_fds(daemon.pid()) < 100).then_some(())
    });
    assert_eq!(daemon.state("app"), State::Running);
}

#[test]
fn a_service_that_restarts_as_fast_as_it_can_leaves_the_daemon_responsive() {
    let mut daemon = Daemon::start(
        r#"
        [service.storm]
        restart = "always"
        restart-delay = "0s"
        restart-max-delay = "0s"
        start-limit-burst = 0
        command = ["true"]
        [service.other]
        type = "notify"
        command = "${FIXTURE} ${SERVICE} --ready""#,
    );
    daemon.wait_state("other", State::Running);
    daemon.wait_service("storm", "restarted often", |storm| storm.restarts > 100);
    assert!(daemon.operate("restart", &["other"]).ok);
    assert!(daemon.operate("stop", &["storm"]).ok);
    assert_eq!(daemon.state("storm"), State::Stopped);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn clients_get_their_turn_while_fifty_services_restart_as_fast_as_they_can() {
    let mut daemon = Daemon::start(
        r#"
        [service.storm]
        instances = 50
        restart = "always"
        restart-delay = "0s"
        restart-max-delay = "0s"
        start-limit-burst = 0
        command = ["true"]"#,
    );
    let restarts =
        || -> u64 { daemon.services().services.iter().map(|service| service.restarts).sum() };
    wait_until("the storm", &mut (), |()| (restarts() > 500).then_some(()));
    // Counted in starts, not in time, and the best of some: the machine may be busy.
    let per_answer = (0..10)
        .map(|_| {
            let before = restarts();
            restarts() - before
        })
        .min();
    assert!(per_answer.unwrap() < 100, "{per_answer:?} starts between two answers");
    assert_eq!(daemon.terminate(), 0);
}
