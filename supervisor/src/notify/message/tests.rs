use proptest::prelude::*;

use super::*;

fn parse(datagram: &str) -> Message<'_> {
    Message::parse(datagram.as_bytes()).unwrap()
}

/// A message whose lines were all understood.
fn clean(datagram: &str) -> Message<'_> {
    let message = parse(datagram);
    assert_eq!(message.warnings, [], "{datagram:?}");
    message
}

#[test]
fn every_field_is_read() {
    let message = clean(
        "READY=1\nRELOADING=1\nSTOPPING=1\nSTATUS=up, and well\nMAINPID=42\nMAINPIDFDID=99\n\
         MONOTONIC_USEC=1500000\nEXTEND_TIMEOUT_USEC=2000000\nWATCHDOG=1\nWATCHDOG_USEC=3000000\n\
         NOTIFYACCESS=exec\nERRNO=2\nEXIT_STATUS=3\nMAINPIDFD=1\nFDSTORE=1\nFDNAME=x y\n\
         FDPOLL=0\nRESTART_RESET=1\nBUSERROR=org.example.No\nVARLINKERROR=org.example.Not",
    );
    assert_eq!(
        message,
        Message {
            lifecycle: Notification {
                ready: true,
                reloading: true,
                reload_began: Some(Moment::new(Duration::from_millis(1500))),
                stopping: true,
                extend: Some(Duration::from_secs(2)),
                watchdog: Some(WatchdogMessage::Alive),
                watchdog_period: Some(Duration::from_secs(3)),
                restart_reset: true,
            },
            barrier: false,
            main_pid: Some(42),
            main_pidfd_id: Some(99),
            main_pidfd: true,
            fd_store: Some(StoreRequest::Store { name: "x y", poll: false }),
            status: Some("up, and well"),
            notify_access: Some(NotifyAccess::Exec),
            errno: Some(2),
            bus_error: Some("org.example.No"),
            varlink_error: Some("org.example.Not"),
            exit_status: Some(3),
            warnings: vec![],
        }
    );
    assert_eq!(message.notification(), message.lifecycle);
}

#[test]
fn lines_end_with_lf_or_cr_and_empty_ones_do_not_count() {
    for datagram in [
        "READY=1\nSTATUS=a",
        "READY=1\r\nSTATUS=a\r\n",
        "\n\nREADY=1\n\n\nSTATUS=a\n",
        "\rSTATUS=a\rREADY=1",
    ] {
        let message = clean(datagram);
        assert!(message.lifecycle.ready, "{datagram:?}");
        assert_eq!(message.status, Some("a"), "{datagram:?}");
    }
    for datagram in ["", "\n", "\r\n\r\n", "\0"] {
        assert_eq!(clean(datagram), Message::default(), "{datagram:?}");
    }
}

#[test]
fn backslashes_and_quotes_are_ordinary() {
    assert_eq!(clean(r"STATUS=C:\dir\").status, Some(r"C:\dir\"));
    let message = clean("STATUS=a\\\nREADY=1");
    assert_eq!((message.status, message.lifecycle.ready), (Some("a\\"), true));
    assert_eq!(clean("STATUS=\"a' b").status, Some("\"a' b"));
}

#[test]
fn flags_match_whole_lines_only() {
    for line in
        ["READY=10", "READY=0", "READY", " READY=1", "READY=1 ", "ready=1", "READY=", "XREADY=1"]
    {
        assert_eq!(clean(line), Message::default(), "{line:?}");
    }
    assert!(clean("READY=0\nREADY=1").lifecycle.ready);
}

#[test]
fn of_a_repeated_value_the_first_counts() {
    assert_eq!(clean("STATUS=a\nSTATUS=b\nSTATUS=").status, Some("a"));
    assert_eq!(
        clean("WATCHDOG=trigger\nWATCHDOG=1").lifecycle.watchdog,
        Some(WatchdogMessage::Trigger)
    );
    // As in systemd, even an invalid one hides a valid one.
    assert_eq!(parse("MAINPID=x\nMAINPID=7").main_pid, None);
}

#[test]
fn unknown_lines_are_ignored() {
    let datagram = "X_VENDOR=1\nNONSENSE\n=\n=1\nMAINPID\nMAINPID2=3\nREADY=1";
    assert_eq!(clean(datagram).notification(), Notification { ready: true, ..Default::default() });
}

#[test]
fn one_final_nul_is_tolerated_and_no_other() {
    assert!(clean("READY=1\0").lifecycle.ready);
    assert_eq!(clean("STATUS=a\0").status, Some("a"));
    for datagram in ["\0\0", "READY=1\0\0", "READY=1\0\n", "\0READY=1", "STATUS=a\0b\nREADY=1"] {
        assert_eq!(Message::parse(datagram.as_bytes()), Err(MessageError::Nul), "{datagram:?}");
    }
}

#[test]
fn an_invalid_value_takes_nothing_else_with_it() {
    let message = Message::parse(b"STATUS=\xff\nMAINPID=x\nREADY=1\nERRNO=7\nX=\xfe").unwrap();
    assert!(message.lifecycle.ready);
    assert_eq!((message.status, message.main_pid, message.errno), (None, None, Some(7)));
    assert_eq!(
        message.warnings,
        [
            Warning::Invalid { key: "MAINPID", value: b"x" },
            Warning::Invalid { key: "STATUS", value: b"\xff" },
        ]
    );
    assert_eq!(message.warnings[1].to_string(), "invalid value \"\u{fffd}\" of STATUS");
}

#[test]
fn values_out_of_range_are_refused() {
    for line in [
        "MAINPID=0",
        "MAINPID=-1",
        "MAINPID=2147483648",
        "MAINPID=",
        "MAINPIDFDID=no",
        "BUSERROR=a\\b",
        "BUSERROR=\"a\"",
        "VARLINKERROR=größe",
        "VARLINKERROR=it's\t",
        "FDNAME=a:b",
        "FDNAME=größe",
        "MONOTONIC_USEC=",
        "MONOTONIC_USEC=1s",
        "EXTEND_TIMEOUT_USEC=-5",
        "EXTEND_TIMEOUT_USEC=18446744073709551616",
        "WATCHDOG=0",
        "WATCHDOG=Trigger",
        "WATCHDOG_USEC=soon",
        "NOTIFYACCESS=everybody",
        "NOTIFYACCESS=",
        "ERRNO=4096",
        "ERRNO=70000",
        "ERRNO=ENOTHING",
        "ERRNO=enoent",
        "ERRNO=UnknownErrno",
        "ERRNO=",
        "EXIT_STATUS=256",
        "EXIT_STATUS=-1",
    ] {
        let message = parse(line);
        let [Warning::Invalid { key, value }] = &message.warnings[..] else {
            panic!("{line:?} was accepted: {message:?}");
        };
        assert_eq!(format!("{key}={}", str::from_utf8(value).unwrap()), line);
        assert_eq!(Message { warnings: vec![], ..message }, Message::default(), "{line:?}");
    }
}

#[test]
fn numbers_are_read_as_systemd_reads_them() {
    assert_eq!(clean("MAINPID= +0x2a").main_pid, Some(42));
    assert_eq!(clean("EXIT_STATUS=017").exit_status, Some(15));
}

#[test]
fn status_may_be_empty_or_utf8() {
    assert_eq!(clean("STATUS=").status, Some(""));
    assert_eq!(clean("STATUS=größer = 3").status, Some("größer = 3"));
}

#[test]
fn errno_may_be_a_name() {
    for (text, errno) in [
        ("ENOENT", 2),
        ("EPERM", 1),
        ("EAGAIN", 11),
        ("EWOULDBLOCK", 11),
        ("EDEADLOCK", 35),
        ("ENOTSUP", 95),
        ("EHWPOISON", 133),
        ("0", 0),
        ("4095", 4095),
    ] {
        assert_eq!(clean(&format!("ERRNO={text}")).errno, Some(errno), "{text}");
    }
}

#[test]
fn zero_and_infinity_of_times() {
    const INFINITY: &str = "18446744073709551615";
    let lifecycle = |line: &str| clean(line).lifecycle;
    assert_eq!(lifecycle("EXTEND_TIMEOUT_USEC=0").extend, None);
    assert_eq!(lifecycle(&format!("EXTEND_TIMEOUT_USEC={INFINITY}")).extend, None);
    assert_eq!(lifecycle("WATCHDOG_USEC=0").watchdog_period, Some(Duration::ZERO));
    let off = lifecycle(&format!("WATCHDOG_USEC={INFINITY}")).watchdog_period;
    assert_eq!(off, Some(Duration::ZERO));
}

#[test]
fn a_barrier_is_alone() {
    assert!(clean("BARRIER=1").barrier);
    assert!(clean("\nBARRIER=1\n\0").barrier);
    assert!(!clean("BARRIER=0").barrier);
    for datagram in ["BARRIER=1\nSTATUS=a", "X=1\nBARRIER=1", "BARRIER=1\nBARRIER=1"] {
        let result = Message::parse(datagram.as_bytes());
        assert_eq!(result, Err(MessageError::BarrierMixed), "{datagram:?}");
    }
}

#[test]
fn descriptors_are_stored_under_a_name() {
    let store = |name, poll| Some(StoreRequest::Store { name, poll });
    let longest = "x".repeat(255);
    for (line, name) in [
        ("", "stored"),
        ("FDNAME=", ""),
        ("FDNAME=a b", "a b"),
        (&format!("FDNAME={longest}"), &*longest),
    ] {
        assert_eq!(clean(&format!("FDSTORE=1\n{line}")).fd_store, store(name, true), "{line:?}");
    }
    assert_eq!(clean("FDPOLL=0\nFDSTORE=1").fd_store, store("stored", false));
    assert_eq!(clean("FDPOLL=1\nFDSTORE=1").fd_store, store("stored", true));
    assert_eq!(clean("FDPOLL=0\nFDNAME=a\nFDSTORE=0").fd_store, None);
    for name in ["a:b", "\u{1}", "ä", &"x".repeat(256)] {
        let datagram = format!("FDSTORE=1\nFDNAME={name}");
        let message = parse(&datagram);
        assert_eq!(message.fd_store, store("stored", true), "{name:?}");
        assert_eq!(message.warnings.len(), 1, "{name:?}");
    }
}

#[test]
fn descriptors_are_removed_by_a_valid_name_alone() {
    let remove = Some(StoreRequest::Remove { name: "a" });
    assert_eq!(clean("FDSTOREREMOVE=1\nFDNAME=a").fd_store, remove);
    assert_eq!(clean("FDSTORE=1\nFDSTOREREMOVE=1\nFDNAME=a").fd_store, remove);
    assert!(!clean("FDSTORE=1\nFDSTOREREMOVE=1\nFDNAME=a").takes_fds());
    for datagram in ["FDSTOREREMOVE=1", "FDSTOREREMOVE=1\nFDNAME=a:b"] {
        let message = parse(datagram);
        assert_eq!(message.fd_store, None, "{datagram:?}");
        assert_eq!(message.warnings.last(), Some(&Warning::RemoveWithoutName), "{datagram:?}");
    }
}

#[test]
fn a_main_pid_whose_check_cannot_be_read_is_refused() {
    assert_eq!(parse("MAINPID=7\nMAINPIDFDID=x").main_pid, None);
    assert_eq!(clean("MAINPID=7\nMAINPIDFDID=9").main_pid, Some(7));
}

/// What messages are made of, so that chance finds the corners of the grammar.
const PIECES: &[&[u8]] = &[
    b"READY=1",
    b"STATUS=",
    b"MAINPID=",
    b"WATCHDOG",
    b"BARRIER=1",
    b"ERRNO=",
    b"=",
    b"\n",
    b"\r",
    b"\0",
    b"\\",
    b"\xff",
    b"0x",
    b"-",
    b"18446744073709551615",
    b" ",
    b"1",
    b"EIO",
];

fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(PIECES);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(datagram in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = Message::parse(&datagram);
    }

    #[test]
    fn nearly_valid_messages_keep_the_rules(datagram in nearly_valid()) {
        let Ok(message) = Message::parse(&datagram) else {
            prop_assert!(datagram.contains(&0) || datagram.windows(9).any(|w| w == b"BARRIER=1"));
            return Ok(());
        };
        prop_assert!(message.main_pid.is_none_or(|pid| pid > 0));
        prop_assert!(message.errno.is_none_or(|errno| errno <= 4095));
        prop_assert!(message.status.is_none_or(|status| !status.contains(['\n', '\r', '\0'])));
        prop_assert_eq!(message.lifecycle.ready, lines(&datagram).any(|line| {
            line.strip_suffix(b"\0").unwrap_or(line) == b"READY=1"
        }));
    }

    #[test]
    fn any_text_of_one_line_is_a_status(text in "[^\n\r\0]*") {
        let datagram = format!("STATUS={text}\n");
        prop_assert_eq!(clean(&datagram).status, Some(&*text));
    }
}
