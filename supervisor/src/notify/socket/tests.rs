use std::io::{IoSlice, PipeReader, PipeWriter, Read as _};
use std::os::unix::net::UnixDatagram;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::{getpid, getuid};
use tempfile::TempDir;

use super::*;

/// A socket in a directory of its own, and a client that is connected to it.
struct Fixture {
    socket: NotifySocket,
    client: UnixDatagram,
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = NotifySocket::bind(directory.path().join("notify.sock")).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.connect(socket.path()).unwrap();
        Self { socket, client, directory }
    }

    fn send_fds(&self, message: &[u8], fds: &[RawFd]) {
        let control = [ControlMessage::ScmRights(fds)];
        let sent = sendmsg::<()>(
            self.client.as_raw_fd(),
            &[IoSlice::new(message)],
            &control,
            MsgFlags::empty(),
            None,
        );
        assert_eq!(sent.unwrap(), message.len());
    }

    /// Receives a datagram that was not rejected.
    fn datagram<'a>(&self, buffer: &'a mut Buffer) -> Datagram<'a> {
        match self.socket.recv(buffer).unwrap() {
            Some(Received::Datagram(datagram)) => datagram,
            other => panic!("no datagram but {other:?}"),
        }
    }

    /// Receives a datagram that was rejected.
    fn rejection(&self) -> Rejection {
        match self.socket.recv(&mut Buffer::new()).unwrap() {
            Some(Received::Rejected(rejection)) => rejection,
            other => panic!("no rejection but {other:?}"),
        }
    }

    fn is_drained(&self) -> bool {
        self.socket.recv(&mut Buffer::new()).unwrap().is_none()
    }
}

/// Whether all copies of the other end are closed, ours included. Waits until they are; a leak
/// makes the test hang at a place that tells.
fn all_closed(mut reader: PipeReader, writer: PipeWriter) -> bool {
    drop(writer);
    reader.read(&mut [0]).unwrap() == 0
}

#[test]
fn a_datagram_comes_with_its_sender() {
    let fixture = Fixture::new();
    fixture.client.send(b"READY=1\n").unwrap();

    let mut buffer = Buffer::new();
    let datagram = fixture.datagram(&mut buffer);
    assert_eq!(datagram.message, b"READY=1\n");
    assert_eq!(datagram.sender.pid, getpid().as_raw());
    assert_eq!(datagram.sender.uid, getuid().as_raw());
    assert!(datagram.fds.is_empty());
    assert!(fixture.is_drained());
}

#[test]
fn a_sender_that_is_dead_and_reaped_is_heard() {
    let fixture = Fixture::new();
    // `sh` opens no datagram socket, so its stdout is our client.
    let client: OwnedFd = fixture.client.try_clone().unwrap().into();
    #[expect(clippy::disallowed_methods, reason = "a sender that is nobody's service")]
    let mut child = std::process::Command::new("sh")
        .args(["-c", "echo READY=1"])
        .stdout(client)
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());

    let mut buffer = Buffer::new();
    let datagram = fixture.datagram(&mut buffer);
    assert_eq!(datagram.message, b"READY=1\n");
    assert_eq!(datagram.sender.pid, i32::try_from(child.id()).unwrap());
}

#[test]
fn datagrams_keep_their_order_and_their_borders() {
    let fixture = Fixture::new();
    for message in [&b"STATUS=1"[..], b"", b"STATUS=2"] {
        fixture.client.send(message).unwrap();
    }
    let mut buffer = Buffer::new();
    assert_eq!(fixture.datagram(&mut buffer).message, b"STATUS=1");
    assert_eq!(fixture.datagram(&mut buffer).message, b"");
    assert_eq!(fixture.datagram(&mut buffer).message, b"STATUS=2");
    assert!(fixture.is_drained());
}

#[test]
fn the_longest_message_is_received_and_a_longer_one_is_not() {
    let fixture = Fixture::new();
    fixture.client.send(&[b'x'; MAX_MESSAGE]).unwrap();
    fixture.client.send(&[b'y'; MAX_MESSAGE + 1]).unwrap();
    fixture.client.send(b"z").unwrap();

    let mut buffer = Buffer::new();
    assert_eq!(fixture.datagram(&mut buffer).message, [b'x'; MAX_MESSAGE]);
    assert_eq!(fixture.rejection(), Rejection::TooLong);
    assert_eq!(fixture.datagram(&mut buffer).message, b"z");
}

#[test]
fn the_descriptors_of_a_rejected_message_are_closed() {
    let fixture = Fixture::new();
    let (reader, writer) = io::pipe().unwrap();
    fixture.send_fds(&[b'x'; MAX_MESSAGE + 1], &[writer.as_raw_fd(); 3]);
    assert_eq!(fixture.rejection(), Rejection::TooLong);
    assert!(all_closed(reader, writer));
}

#[test]
fn as_many_descriptors_as_the_kernel_passes_are_received_and_closed() {
    let fixture = Fixture::new();
    let (reader, writer) = io::pipe().unwrap();
    fixture.send_fds(b"FDSTORE=1", &[writer.as_raw_fd(); MAX_FDS]);

    let mut buffer = Buffer::new();
    let datagram = fixture.datagram(&mut buffer);
    assert_eq!(datagram.message, b"FDSTORE=1");
    assert_eq!(datagram.sender.pid, getpid().as_raw());
    assert_eq!(datagram.fds.len(), MAX_FDS);
    drop(datagram);
    assert!(all_closed(reader, writer));
}

#[test]
fn a_message_whose_descriptors_do_not_all_arrive_is_rejected_and_they_are_closed() {
    let fixture = Fixture::new();
    let (reader, writer) = io::pipe().unwrap();
    fixture.send_fds(b"FDSTORE=1", &[writer.as_raw_fd(); 8]);
    fixture.client.send(b"READY=1").unwrap();

    let mut buffer = Buffer::new();
    buffer.control_space = 64;
    let received = fixture.socket.recv(&mut buffer).unwrap();
    assert!(matches!(received, Some(Received::Rejected(Rejection::FdsLost))), "{received:?}");
    assert!(all_closed(reader, writer));
    assert_eq!(fixture.datagram(&mut buffer).message, b"READY=1");
}

#[test]
fn received_descriptors_are_not_inherited() {
    let fixture = Fixture::new();
    let (_reader, writer) = io::pipe().unwrap();
    fixture.send_fds(b"FDSTORE=1", &[writer.as_raw_fd()]);
    let mut buffer = Buffer::new();
    for fd in fixture.datagram(&mut buffer).fds.take() {
        let flags = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_ne!(flags & libc::FD_CLOEXEC, 0);
    }
}

#[test]
fn a_flood_is_received_in_full() {
    const MESSAGES: usize = 2000;
    let fixture = Fixture::new();
    let client = fixture.client.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        for number in 0..MESSAGES {
            client.send(format!("STATUS={number}").as_bytes()).unwrap();
        }
    });

    let mut buffer = Buffer::new();
    let mut received = 0;
    while received < MESSAGES {
        let mut poll =
            [nix::poll::PollFd::new(fixture.socket.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut poll, nix::poll::PollTimeout::NONE).unwrap();
        while let Some(datagram) = fixture.socket.recv(&mut buffer).unwrap() {
            let Received::Datagram(datagram) = datagram else { panic!("{datagram:?}") };
            assert_eq!(datagram.message, format!("STATUS={received}").as_bytes());
            received += 1;
        }
    }
    flood.join().unwrap();
}

#[test]
fn every_user_may_write() {
    let fixture = Fixture::new();
    let mode = fs::metadata(fixture.socket.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
}

#[test]
fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify.sock");
    drop(UnixDatagram::bind(&path).unwrap());
    assert!(path.exists());
    let socket = NotifySocket::bind(&path).unwrap();
    UnixDatagram::unbound().unwrap().send_to(b"READY=1", &path).unwrap();
    assert!(socket.recv(&mut Buffer::new()).unwrap().is_some());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify.sock");
    fs::write(&path, "precious").unwrap();
    let error = NotifySocket::bind(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_path_is_removed_with_the_socket() {
    let fixture = Fixture::new();
    let path = fixture.socket.path().to_owned();
    assert!(path.exists());
    drop(fixture.socket);
    assert!(!path.exists());
    drop(fixture.directory);
}

#[test]
fn a_path_that_does_not_fit_an_address_is_refused_with_its_length() {
    let directory = tempfile::tempdir().unwrap();
    let prefix = directory.path().as_os_str().len() + 1;
    let longest = directory.path().join("s".repeat(MAX_PATH - prefix));
    let socket = NotifySocket::bind(&longest).unwrap();
    UnixDatagram::unbound().unwrap().send_to(b"READY=1", &longest).unwrap();
    assert!(socket.recv(&mut Buffer::new()).unwrap().is_some());

    let error = NotifySocket::bind(directory.path().join("s".repeat(MAX_PATH - prefix + 1)));
    assert_eq!(error.unwrap_err().to_string(), "path has 108 bytes, a socket address takes 107");
}

#[test]
fn a_missing_directory_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let error = NotifySocket::bind(directory.path().join("missing/notify.sock")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn the_queue_is_raised_but_never_lowered() {
    let directory = tempfile::tempdir().unwrap();
    let setting = directory.path().join("max_dgram_qlen");
    for (before, after) in [("10\n", "512\n"), ("512\n", "512\n"), ("1000\n", "1000\n")] {
        fs::write(&setting, before).unwrap();
        raise_setting(&setting, 512).unwrap();
        assert_eq!(fs::read_to_string(&setting).unwrap(), after);
    }
    assert!(raise_setting(&directory.path().join("missing"), 512).is_err());
}
