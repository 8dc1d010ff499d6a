//! What the daemon says to whoever started it, if that one listens (`NOTIFY_SOCKET`).

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::harness::{Daemon, TestDir};

/// The next message; a starter that hears nothing for so long has lost patience.
fn hear(socket: &UnixDatagram) -> String {
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("a message from the daemon");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn hear_until(socket: &UnixDatagram, word: &str) {
    while !hear(socket).lines().any(|line| line == word) {}
}

#[test]
fn the_starter_is_told_of_readiness_life_and_the_end() {
    let dir = TestDir::new();
    let path = dir.path().join("starter.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut daemon = Daemon::builder()
        .environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .environment("WATCHDOG_USEC", "100000")
        .spec("[service.web]\ncommand = \"${FIXTURE} ${SERVICE}\"")
        .spawn();
    hear_until(&socket, "READY=1");
    // It goes on saying so although nothing happens.
    for _ in 0..3 {
        hear_until(&socket, "WATCHDOG=1");
    }
    daemon.terminate();
    hear_until(&socket, "STOPPING=1");
    assert_eq!(daemon.wait_exit(), 0);
}
