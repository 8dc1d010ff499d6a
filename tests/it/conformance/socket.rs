//! Items 1 to 7: the socket itself.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use supervisor_api::State;

use super::speaker::{notify_socket, spec};
use crate::harness::{Daemon, is_root, user};

/// The inode of a bound datagram socket, from `/proc/net/unix`.
fn inode_of(path: &Path) -> String {
    let text = fs::read_to_string("/proc/net/unix").unwrap();
    let line = text.lines().find(|line| line.ends_with(path.to_str().unwrap())).unwrap();
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    assert_eq!(words[4], "0002", "not a datagram socket: {line}");
    words[6].to_owned()
}

/// The flags of the descriptor of a process that is this socket.
fn flags_of(pid: i32, inode: &str) -> u32 {
    let socket = format!("socket:[{inode}]");
    let entry = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == Path::new(&socket)))
        .unwrap();
    let name = entry.file_name().into_string().unwrap();
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{name}")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap()
}

#[test]
fn item_001_the_socket_is_a_datagram_socket_at_a_path_that_every_service_user_reaches() {
    let lines = format!("enabled = false\nuser = \"{}\"", user());
    let lines = if is_root() { lines.as_str() } else { "enabled = false" };
    let daemon = Daemon::start(&spec(lines, &["--ready"]));
    // What a daemon that was killed has left is in the way.
    let stale = daemon.path("run/notify/0");
    drop(UnixDatagram::bind(&stale).unwrap());
    assert!(daemon.operate("start", &["app"]).ok);

    let path = notify_socket(&daemon, "app");
    assert_eq!(path, stale);
    assert!(path.as_os_str().as_bytes().len() <= 107);
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o666);
    let inode = inode_of(&path);
    let flags = flags_of(daemon.pid(), &inode);
    let expected = libc::O_NONBLOCK | libc::O_CLOEXEC;
    assert_eq!(flags & expected.cast_unsigned(), expected.cast_unsigned(), "{flags:o}");
}

#[test]
fn item_002_the_first_message_of_a_process_already_names_its_sender() {
    let daemon = Daemon::start(
        r#"[service.app]
        type = "notify"
        instances = 10
        command = "${FIXTURE} ${SERVICE} --ready""#,
    );
    daemon.wait_booted();
    for number in 1..=10 {
        assert_eq!(daemon.state(&format!("app@{number}")), State::Running);
    }
}

#[test]
fn item_004_a_flood_of_messages_is_read_whole_and_starves_nobody() {
    let mut daemon = Daemon::start(
        r#"
        [service.app]
        type = "notify"
        command = "${FIXTURE} ${SERVICE} --ready --flood 20000"
        [service.other]
        type = "notify"
        command = "${FIXTURE} ${SERVICE} --ready""#,
    );
    daemon.wait_state("other", State::Running);
    assert!(daemon.operate("restart", &["other"]).ok);
    daemon.wait_record("flooded", "app", 1);
    daemon.wait_service("app", "shown with its last words", |app| {
        app.status.as_deref() == Some("flood 20000")
    });
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn item_005_only_processes_that_may_speak_are_given_the_socket() {
    for (access, main, control) in
        [("none", false, false), ("main", true, false), ("exec", true, true), ("all", true, true)]
    {
        let daemon = Daemon::boot(&format!(
            r#"[service.app]
            notify-access = "{access}"
            reload-command = ["${{FIXTURE}}", "control", "--env", "NOTIFY_SOCKET", "--exit", "0"]
            command = "${{FIXTURE}} ${{SERVICE}} --env NOTIFY_SOCKET""#
        ));
        daemon.wait_record("env", "app", 1);
        assert!(daemon.operate("reload", &["app"]).ok);
        for (name, given) in [("app", main), ("control", control)] {
            let seen = &daemon.happened("env", name)[0].detail;
            assert_eq!(seen != "NOTIFY_SOCKET=(unset)", given, "{access}: {name}: {seen}");
        }
    }
}

#[test]
fn item_006_what_is_meant_for_the_daemon_itself_is_not_passed_on() {
    const OWN: [&str; 11] = [
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "LISTEN_FDNAMES",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "MAINPID",
        "MAINPIDFDID",
        "FDSTORE",
        "INVOCATION_ID",
    ];
    let steps: String = OWN.iter().map(|name| format!(" --env {name}")).collect();
    let mut builder = Daemon::builder();
    for name in OWN {
        builder = builder.environment(name, "7");
    }
    let daemon = builder
        .spec(&format!("[service.app]\ncommand = \"${{FIXTURE}} ${{SERVICE}}{steps}\""))
        .boot();
    daemon.wait_record("env", "app", OWN.len());
    for (name, seen) in OWN.iter().zip(daemon.happened("env", "app")) {
        if *name == "INVOCATION_ID" {
            assert_eq!(seen.detail.len(), "INVOCATION_ID=".len() + 32, "{seen:?}");
        } else {
            assert_eq!(seen.detail, format!("{name}=(unset)"));
        }
    }
}
