use std::io::{IoSlice, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use supervisor_engine::Moment;

use super::*;

/// Sends one message with descriptors over a new socket and hands what was received to `check`.
fn deliver(message: &[u8], fds: &[RawFd], check: impl FnOnce(Result<Notice<'_>, MessageError>)) {
    let directory = tempfile::tempdir().unwrap();
    let socket = NotifySocket::bind(directory.path().join("notify.sock")).unwrap();
    let client = UnixDatagram::unbound().unwrap();
    client.connect(socket.path()).unwrap();
    let control = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &control[..0] } else { &control[..] };
    let payload = [IoSlice::new(message)];
    sendmsg::<()>(client.as_raw_fd(), &payload, control, MsgFlags::empty(), None).unwrap();

    let mut buffer = Buffer::new();
    match socket.recv(&mut buffer).unwrap() {
        Some(Received::Datagram(datagram)) => check(datagram.notice()),
        other => panic!("no datagram but {other:?}"),
    }
}

#[test]
fn a_message_is_parsed_and_names_its_sender() {
    deliver(b"RELOADING=1\nMONOTONIC_USEC=5", &[], |notice| match notice {
        Ok(Notice::Message { message, sender, .. }) => {
            assert!(message.notification().reloading);
            assert_eq!(
                message.notification().reload_began,
                Some(Moment::new(Duration::from_micros(5)))
            );
            assert_eq!(sender.pid, nix::unistd::getpid().as_raw());
        }
        other => panic!("{other:?}"),
    });
}

#[test]
fn a_barrier_holds_its_descriptor_until_it_is_dropped() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    deliver(b"BARRIER=1", &[writer.as_raw_fd()], |notice| {
        drop(writer);
        let Ok(Notice::Barrier(fds)) = notice else { panic!("{notice:?}") };
        nix::unistd::write(&fds.take()[0], b"still open").unwrap();
    });
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still open");
}

#[test]
fn a_malformed_barrier_is_answered_and_nothing_else_of_it_counts() {
    for (message, fds, expected) in [
        (&b"BARRIER=1\nREADY=1"[..], 1, MessageError::BarrierMixed),
        (b"BARRIER=1", 2, MessageError::BarrierFds(2)),
        (b"BARRIER=1", 0, MessageError::BarrierFds(0)),
    ] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let raw = vec![writer.as_raw_fd(); fds];
        deliver(message, &raw, |notice| assert_eq!(notice.unwrap_err(), expected));
        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "{expected}");
    }
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    for message in [&b"READY=1"[..], b"STATUS=a\0b", b"FDSTOREREMOVE=1\nFDNAME=a\nFDSTORE=1"] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        deliver(message, &[writer.as_raw_fd()], |notice| {
            drop(writer);
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
            if let Ok(Notice::Message { message, .. }) = notice {
                assert!(message.warnings.contains(&Warning::UnusedFds(1)));
            }
        });
    }
}

#[test]
fn descriptors_come_with_the_message_that_speaks_of_them() {
    for message in [&b"FDSTORE=1"[..], b"MAINPIDFD=1", b"FDNAME=a\nFDSTORE=1\nREADY=1"] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        deliver(message, &[writer.as_raw_fd()], |notice| {
            drop(writer);
            let Ok(Notice::Message { message, fds, .. }) = notice else { panic!("{notice:?}") };
            assert_eq!((fds.len(), message.warnings), (1, vec![]));
            nix::unistd::write(&fds.take()[0], b"x").unwrap();
        });
        assert_eq!(reader.read(&mut [0]).unwrap(), 1);
    }
}
