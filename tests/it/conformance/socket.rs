//! Items 1 to 7: the socket itself.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use supervisor_api::State;

use super::speaker::{notify_socket, spec};
use crate::harness::{Daemon, TestDir, is_root, supervisor_table, supervisord, user, wait_until};

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
    let steps = OWN.map(|name| format!("--env {name}")).join(" ");
    let mut builder = Daemon::builder();
    for name in OWN {
        builder = builder.environment(name, "7");
    }
    let daemon = builder
        .spec(&format!("[service.app]\ncommand = \"${{FIXTURE}} ${{SERVICE}} {steps}\""))
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

#[test]
fn item_007_a_receive_error_that_stays_ends_the_listening_and_nothing_else() {
    let dir = TestDir::new();
    let file = dir.path().join("supervisor.toml");
    let services = r#"
        [defaults]
        restart = "no"
        [service.app]
        notify-access = "main"
        command = "${FIXTURE} ${SERVICE} --status x"
        [service.web]
        command = "${FIXTURE} ${SERVICE}""#;
    fs::write(&file, supervisor_table(dir.path()) + services).unwrap();
    let mut command = supervisord(dir.path());
    command.arg("-c").arg(file);
    break_recvmsg(&mut command);
    let mut daemon = Daemon::run(&mut command, dir);
    daemon.wait_for_socket();
    let errors = |daemon: &Daemon| {
        daemon.stderr().lines().filter(|line| line.contains("notify socket")).count()
    };
    wait_until("the error", &mut (), |()| (errors(&daemon) > 0).then_some(()));
    // If it tried again and again it would say so each time.
    for _ in 0..5 {
        assert!(daemon.operate("restart", &["web"]).ok);
    }
    assert_eq!(errors(&daemon), 1, "{}", daemon.stderr());
    assert_eq!((daemon.state("app"), daemon.state("web")), (State::Running, State::Running));
    // The next start gets a new socket.
    assert!(daemon.operate("restart", &["app"]).ok);
    wait_until("the next error", &mut (), |()| (errors(&daemon) == 2).then_some(()));
    assert_eq!(daemon.terminate(), 0);
}

/// Lets `recvmsg(2)`, which nothing but the notify sockets needs, fail in a command with `EIO`.
fn break_recvmsg(command: &mut Command) {
    let line = |code: u32, k: u32, jf| {
        let code = u16::try_from(code).unwrap();
        libc::sock_filter { code, jt: 0, jf, k }
    };
    let number = u32::try_from(libc::SYS_recvmsg).unwrap();
    let fails = libc::SECCOMP_RET_ERRNO | libc::EIO.cast_unsigned();
    let mut filter = [
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        line(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number, 1),
        line(libc::BPF_RET | libc::BPF_K, fails, 0),
        line(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
        nix::sys::prctl::set_no_new_privs()?;
        let (what, mode) = (libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER);
        #[expect(unsafe_code, reason = "nix does not have it")]
        // SAFETY: the program and its four lines outlive the call.
        let installed = unsafe { libc::prctl(what, mode, &raw const program) };
        Errno::result(installed).map(drop).map_err(Into::into)
    };
    #[expect(unsafe_code, reason = "what happens between fork and exec is up to the caller")]
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(install);
    }
}
