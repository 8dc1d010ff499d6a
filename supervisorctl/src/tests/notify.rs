//! `notify` against a socket that reads as a supervisor does.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::*;

fn notify(socket: &str, words: &[&str]) -> Outcome {
    let environment = Environment { notify_socket: Some(socket.into()), ..Environment::default() };
    ctl_with(&environment, &[&["notify"], words].concat(), false)
}

/// Reads `count` messages, closes the descriptors that come with them, says what it read.
fn supervisor(socket: UnixDatagram, count: usize) -> JoinHandle<Vec<String>> {
    use std::os::fd::AsRawFd as _;

    std::thread::spawn(move || {
        let mut messages = Vec::new();
        for _ in 0..count {
            let (mut data, mut control) = ([0; 4096], cmsg_space!([i32; 4]));
            let mut buffers = [io::IoSliceMut::new(&mut data)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message =
                recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags).unwrap();
            let mut fds = 0;
            for control in message.cmsgs().unwrap() {
                if let ControlMessageOwned::ScmRights(received) = control {
                    fds += received.len();
                    for fd in received {
                        nix::unistd::close(fd).unwrap();
                    }
                }
            }
            let length = message.bytes;
            messages.push(format!("{} ({fds})", String::from_utf8_lossy(&data[..length])));
        }
        messages
    })
}

#[test]
fn the_message_is_sent_and_its_reading_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n");
    let reader = supervisor(UnixDatagram::bind(&path).unwrap(), 2);
    let outcome = notify(path.to_str().unwrap(), &["READY=1", "STATUS=a b  c"]);
    assert_eq!(outcome.text(), "--- exit 0");
    assert_eq!(reader.join().unwrap(), ["READY=1\nSTATUS=a b  c (0)", "BARRIER=1 (1)"]);
}

#[test]
fn abstract_sockets_and_a_main_pid() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().to_str().unwrap();
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let reader = supervisor(UnixDatagram::bind_addr(&address).unwrap(), 2);
    let (own, parent) = (std::process::id(), nix::unistd::getppid());
    let named = format!("--pid={own}");
    for option in [named.as_str(), "--pid"] {
        let outcome = notify(&format!("@{name}"), &["--no-block", option, "READY=1"]);
        assert_eq!(outcome.text(), "--- exit 0");
    }
    let said =
        [own.to_string(), parent.to_string()].map(|pid| format!("MAINPID={pid}\nREADY=1 (0)"));
    assert_eq!(reader.join().unwrap(), said);
}

#[test]
fn what_cannot_be_said_is_refused() {
    let says = |words: &[&str]| notify("/no/such/socket", words).text();
    insta::assert_snapshot!(says(&["READY=1"]), @r"
    --- stderr
    error: cannot notify the supervisor: No such file or directory
    --- exit 1
    ");
    insta::assert_snapshot!(says(&["READY"]), @r#"
    --- stderr
    error: "READY" is not KEY=VALUE
    --- exit 2
    "#);
    assert!(says(&["STATUS=a\nREADY=1"]).ends_with("exit 2"));
    assert!(says(&[]).ends_with("exit 2"));
    assert!(says(&["--pid=0"]).ends_with("exit 2"));
    assert!(notify("vsock:2:1", &["READY=1"]).text().ends_with("exit 1"));
    insta::assert_snapshot!(ctl(&["notify", "READY=1"]).text(), @r#"
    --- stderr
    error: NOTIFY_SOCKET is not set: nobody wants to be notified
      hint: services of type "notify", or with notify-access, have it set
    --- exit 1
    "#);
}
