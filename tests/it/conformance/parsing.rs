//! Items 8 to 25: how a datagram is read.

use std::fs::File;
use std::os::fd::AsFd as _;

use supervisor_api::State;

use super::speaker::{Speaker, app, status};
use crate::harness::{
    Daemon, SUPERVISORD, TestDir, available, must_as_root, open_fds, supervisor_table, supervisord,
    wait_until,
};

/// `STATUS=` with a text that makes the message so long.
fn long(length: usize) -> String {
    format!("STATUS={}", "x".repeat(length - "STATUS=".len()))
}

/// What is shown after each of these messages.
#[track_caller]
fn shows(table: &[(&[u8], &str)]) {
    let (daemon, speaker) = app("", &[]);
    for (message, expected) in table {
        speaker.tell(message);
        let shown = status(&daemon);
        assert_eq!(shown.as_deref(), Some(*expected), "{:?}", String::from_utf8_lossy(message));
    }
}

#[test]
fn item_008_a_message_of_4096_bytes_is_accepted() {
    let (daemon, speaker) = app("", &[]);
    speaker.tell(long(4096));
    assert_eq!(status(&daemon).map(|text| text.len()), Some(4096 - "STATUS=".len()));
}

#[test]
fn item_009_a_longer_one_is_dropped_whole_with_its_descriptors() {
    let (daemon, speaker) = app("fd-store-max = 1", &[]);
    let message = format!("FDSTORE=1\n{}", long(4097 - "FDSTORE=1\n".len()));
    speaker.is_closed(message.as_bytes());
    assert_eq!(status(&daemon), None);
    assert_eq!(daemon.detail("app").stored_fds, Vec::<String>::new());
}

#[test]
fn item_010_a_nul_inside_drops_the_message() {
    shows(&[(b"STATUS=old", "old"), (b"STATUS=a\0b", "old"), (b"STATUS=a\0\0", "old")]);
}

#[test]
fn item_011_a_single_nul_at_the_end_is_accepted() {
    shows(&[(b"STATUS=new\0", "new"), (b"STATUS=newer\n\0", "newer")]);
}

#[test]
fn item_012_an_empty_datagram_does_nothing() {
    let (daemon, speaker) = app("", &[]);
    speaker.tell(b"STATUS=old");
    for message in [&b""[..], b"\0", b"\n", b"\r\n\r\n"] {
        speaker.tell(message);
        assert_eq!((daemon.state("app"), status(&daemon)), (State::Starting, Some("old".into())));
    }
}

#[test]
fn item_013_lines_end_with_lf_cr_or_crlf() {
    shows(&[
        (b"X=1\nSTATUS=lf\nY=1", "lf"),
        (b"X=1\r\nSTATUS=crlf\r\n", "crlf"),
        (b"X=1\rSTATUS=cr\rY=1", "cr"),
        (b"\n\r\n\nSTATUS=lines without text\n\n\r\r", "lines without text"),
    ]);
}

#[test]
fn item_014_of_a_key_given_twice_the_first_counts() {
    shows(&[(b"STATUS=first\nSTATUS=second", "first"), (b"STATUS=1\nERRNO=1\nSTATUS=2", "1")]);
    let (daemon, speaker) = app("", &[]);
    // The first counts also where it is of no use.
    speaker.tell(b"ERRNO=7");
    speaker.tell(b"ERRNO=many\nERRNO=8");
    assert_eq!(daemon.detail("app").said.errno, Some(7));
}

#[test]
fn item_015_flags_match_exactly() {
    let (daemon, speaker) = app("", &[]);
    for message in [
        "READY=10",
        " READY=1",
        "ready=1",
        "READY=1 ",
        "READY=01",
        "READY=0",
        "READY",
        "READY=",
        "READY =1",
        "\tREADY=1",
        "READY=1\\",
    ] {
        speaker.tell(message);
        assert_eq!(daemon.state("app"), State::Starting, "{message:?}");
    }
    speaker.tell("READY=1");
    assert_eq!(daemon.state("app"), State::Running);
}

#[test]
fn item_016_unknown_keys_are_ignored() {
    let (daemon, speaker) = app("", &[]);
    speaker.tell("FOO\nX_STATUS=no\n=\n=1\nSTATUS\nNOTSTATUS=no\nX_READY=1\nSTATUS=yes\nREADY=1");
    assert_eq!((daemon.state("app"), status(&daemon)), (State::Running, Some("yes".into())));
}

#[test]
fn item_017_bytes_that_are_not_utf_8_spoil_no_other_line() {
    shows(&[(b"X_\xff=\xfe\nSTATUS=beside\n\xc3\x28", "beside"), (b"ERRNO=\xff\nSTATUS=b", "b")]);
}

#[test]
fn item_018_an_invalid_field_spoils_no_other() {
    let (daemon, speaker) = app("", &[]);
    speaker.tell(
        "MAINPID=abc\nEXTEND_TIMEOUT_USEC=-1\nWATCHDOG_USEC=many\nWATCHDOG=0\nNOTIFYACCESS=any\n\
         ERRNO=x\nBUSERROR=\"\nEXIT_STATUS=300\nFDNAME=a:b\nFDSTOREREMOVE=1\nSTATUS=fine\nREADY=1",
    );
    assert_eq!((daemon.state("app"), status(&daemon)), (State::Running, Some("fine".into())));
}

#[test]
fn item_019_fields_are_applied_in_a_fixed_order() {
    let file = File::open("/dev/null").unwrap();
    for lines in [["STOPPING=1", "READY=1"], ["READY=1", "STOPPING=1"]] {
        let (daemon, speaker) = app("fd-store-max = 2", &[]);
        // Removal comes before storing, and in the place of it.
        for message in
            ["FDSTOREREMOVE=1\nFDSTORE=1\nFDNAME=a", "FDSTORE=1\nFDNAME=a\nFDSTOREREMOVE=1"]
        {
            speaker.say_with("FDSTORE=1\nFDNAME=a", &[file.as_fd()]);
            speaker.say_with(message, &[file.as_fd()]);
            speaker.barrier();
            assert_eq!(daemon.detail("app").stored_fds, Vec::<String>::new());
        }
        // Who may speak is asked before the message changes it.
        speaker.tell("NOTIFYACCESS=exec\nSTATUS=heard");
        assert_eq!(status(&daemon).as_deref(), Some("heard"));
        // The end comes before the beginning.
        speaker.tell(lines.join("\n"));
        assert_eq!(daemon.state("app"), State::Stopping);
    }
}

#[test]
fn item_020_a_sender_outside_of_the_pid_namespace_is_not_heard() {
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    if !must_as_root(
        || available("unshare", &[&unshare[..], &["true"]].concat()),
        "unshare, or the right to make a pid namespace",
        "install util-linux; in a container add CAP_SYS_ADMIN",
    ) {
        return;
    }
    let dir = TestDir::new();
    let spec = super::speaker::spec("notify-access = \"all\"", &[]);
    let file = dir.path().join("supervisor.toml");
    std::fs::write(&file, supervisor_table(dir.path()) + &spec).unwrap();
    let plain = supervisord(dir.path());
    let mut command = std::process::Command::new("unshare");
    command.args(unshare).arg(SUPERVISORD).arg("-c").arg(file).current_dir(dir.path());
    command.env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut daemon = Daemon::run(&mut command, dir);
    daemon.wait_for_socket();

    let inside = Speaker::of(&daemon, "app");
    // We are outside of its namespace: the kernel gives it no pid of ours.
    let outside = Speaker::at(&daemon.path("run/notify/0"));
    outside.tell("STATUS=from outside\nREADY=1");
    assert_eq!((daemon.state("app"), status(&daemon)), (State::Starting, None));
    inside.tell("STATUS=from inside");
    assert_eq!(status(&daemon).as_deref(), Some("from inside"));
}

#[test]
fn item_021_a_message_that_lost_descriptors_is_dropped_and_none_leaks() {
    let (daemon, speaker) = app("fd-store-max = 300", &[]);
    speaker.tell("STATUS=old");
    let before = open_fds(daemon.pid());
    // The kernel passes as many as the limit allows and says that some are missing.
    let full = u64::try_from(before + 20).unwrap();
    let old = limit_descriptors(daemon.pid(), full);
    let null = File::open("/dev/null").unwrap();
    speaker.say_with("FDSTORE=1\nSTATUS=new", &vec![null.as_fd(); 100]);
    speaker.say("X_NOTHING=1");
    speaker.barrier();
    limit_descriptors(daemon.pid(), old);
    assert_eq!(status(&daemon).as_deref(), Some("old"));
    assert_eq!(daemon.detail("app").stored_fds, Vec::<String>::new());
    wait_until("the descriptors to be closed", &mut (), |()| {
        (open_fds(daemon.pid()) <= before).then_some(())
    });
    speaker.tell("STATUS=new");
    assert_eq!(status(&daemon).as_deref(), Some("new"));
}

/// Sets the soft limit of a process and returns the old one.
fn limit_descriptors(pid: i32, soft: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    #[expect(unsafe_code, reason = "nix does not have it")]
    // SAFETY: both point to a limit that outlives the calls, or are null.
    unsafe {
        let none = std::ptr::null();
        assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, none, &raw mut limit), 0);
        let new = libc::rlimit { rlim_cur: soft, ..limit };
        let old = std::ptr::null_mut();
        assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const new, old), 0);
    }
    limit.rlim_cur
}

#[test]
fn item_022_253_descriptors_in_one_message_are_handled() {
    let (daemon, speaker) = app("fd-store-max = 2", &[]);
    let null = File::open("/dev/null").unwrap();
    let before = open_fds(daemon.pid());
    speaker.say_with("FDSTORE=1\nSTATUS=many", &[null.as_fd(); 253]);
    speaker.barrier();
    assert_eq!(status(&daemon).as_deref(), Some("many"));
    // All are the same file, so one is kept.
    assert_eq!(daemon.detail("app").stored_fds, ["stored"]);
    wait_until("the others to be closed", &mut (), |()| {
        (open_fds(daemon.pid()) < before + 100).then_some(())
    });
}

#[test]
fn item_023_descriptors_that_the_message_does_not_speak_of_are_closed() {
    let (daemon, speaker) = app("fd-store-max = 2", &[]);
    for message in ["STATUS=heard", "", "FDNAME=a\nSTATUS=heard", "FDSTORE=0\nFDPOLL=0"] {
        speaker.is_closed(message.as_bytes());
    }
    assert_eq!(status(&daemon).as_deref(), Some("heard"));
    assert_eq!(daemon.detail("app").stored_fds, Vec::<String>::new());
}

#[test]
fn item_024_integers_are_read_as_systemd_reads_them() {
    let (daemon, speaker) = app("", &[]);
    for (text, errno) in [("17", 17), ("0x10", 16), ("  7", 7), ("+9", 9), ("010", 8), ("0b11", 3)]
    {
        speaker.tell(format!("ERRNO={text}"));
        assert_eq!(daemon.detail("app").said.errno, Some(errno), "{text:?}");
    }
    for text in ["-1", "5x", "5 ", "", "0x", "18446744073709551616", "1e2", "4096"] {
        speaker.tell(format!("ERRNO={text}"));
        assert_eq!(daemon.detail("app").said.errno, Some(3), "{text:?}");
    }
}

/// systemd takes a backslash away and reads the next byte literally.
#[test]
fn item_025_a_backslash_is_an_ordinary_character() {
    shows(&[
        (br"STATUS=C:\dir\x", r"C:\dir\x"),
        (br"STATUS=at the end\", r"at the end\"),
        (b"STATUS=before a newline\\\nX=1", "before a newline\\"),
        (br#"STATUS="quoted" and 'quoted'"#, r#""quoted" and 'quoted'"#),
    ]);
}
