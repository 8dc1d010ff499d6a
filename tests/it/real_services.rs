//! Real programs, started from the examples as an unprivileged user.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;

use serde_json::json;
use supervisor_api::{ReportService, ShutdownMessage, State};

use crate::harness::{DEADLINE, Daemon, Happening, available, free_port, must, user};

const REMEDY: &str = "run scripts/install-test-services";

/// Shuts down and answers how `name` was stopped.
fn shut_down(daemon: &mut Daemon, name: &str) -> ReportService {
    let messages: Vec<ShutdownMessage> =
        daemon.http().post("/v1/shutdown", &json!({ "wait": true })).lines();
    assert_eq!(daemon.wait_exit(), 0);
    assert_eq!(daemon.started(), Vec::<i32>::new());
    let Some(ShutdownMessage::Report(report)) = messages.last() else {
        panic!("no report at the end: {messages:?}");
    };
    report.services.iter().find(|service| service.service == name).unwrap().clone()
}

fn steps(report: &ReportService) -> Vec<(&str, &str)> {
    report.phases.iter().map(|phase| (phase.step.as_str(), phase.result.as_str())).collect()
}

#[test]
fn nats_is_ready_when_its_monitoring_says_so_and_stops_by_int() {
    if !must(available("/usr/sbin/nats-server", &["--version"]), "nats-server", REMEDY) {
        return;
    }
    let port = free_port();
    let mut daemon = Daemon::builder()
        .include(Path::new("examples/nats/nats.toml"))
        .environment("NATS_USER", &user())
        .environment("NATS_PORT", &port.to_string())
        .environment("NATS_HTTP_PORT", &free_port().to_string())
        .boot();
    let nats = daemon.wait_state("nats", State::Running);
    assert!(nats.ready);
    // No waiting: a service that is ready answers.
    let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut greeting = String::new();
    BufReader::new(connection).read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("INFO {"), "{greeting}");
    let report = shut_down(&mut daemon, "nats");
    assert_eq!(steps(&report), [("signal INT", "gone")]);
    assert_eq!(report.exit.and_then(|exit| exit.code), Some(0));
}

#[test]
fn pdns_recursor_says_that_it_is_ready_and_stops_by_its_own_command() {
    let present = available("/usr/sbin/pdns_recursor", &["--version"])
        && available("sh", &["-c", "command -v rec_control"]);
    if !must(present, "pdns-recursor", REMEDY) {
        return;
    }
    let port = free_port();
    let mut daemon = Daemon::builder()
        .include(Path::new("examples/pdns-recursor/pdns-recursor.toml"))
        .environment("PDNS_USER", &user())
        .environment("PDNS_PORT", &port.to_string())
        .boot();
    assert!(daemon.wait_state("pdns-recursor", State::Running).ready);
    // No waiting: a service that is ready answers.
    assert!(resolve(port).ends_with(&[192, 0, 2, 1]));
    let report = shut_down(&mut daemon, "pdns-recursor");
    // A signal would have cut the nice stop off: it would not have ended with status 0.
    assert_eq!(steps(&report), [("command", "gone")]);
    assert_eq!(report.exit.and_then(|exit| exit.code), Some(0));
    assert!(!report.killed);
    assert_eq!(daemon.record(), Vec::<Happening>::new());
}

/// Asks for the address of `www.example.test` (RFC 1035) and answers the reply as it is.
fn resolve(port: u16) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    let header = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    let question = b"\x03www\x07example\x04test\x00\x00\x01\x00\x01";
    socket.send(&[&header[..], question].concat()).unwrap();
    let mut reply = vec![0; 512];
    let length = socket.recv(&mut reply).unwrap();
    reply.truncate(length);
    reply
}
