use std::fs;
use std::io::pipe;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{Pid, getegid, geteuid, getgroups, mkfifo};
use supervisor_engine::{Exit, SpawnError};

use super::{CloneCall, Spawner};
use crate::config::{
    Capabilities, Context, CpuSet, Identity, IoClass, Limit, Privileges, Scheduler, Scheduling,
};
use crate::process::fixture::{
    Extras, PLAIN, alone, argv, await_end, command, context, descriptors, is_root, null, output,
    read_all,
};
use crate::process::{Command, Session, Stat, Stdin, next_zombie, sys};

/// A spawner as this kernel permits, and one as if it were old.
fn spawners() -> [Spawner; 2] {
    let new = || Spawner::new().expect("spawner");
    [new(), Spawner { clone: CloneCall::Legacy, has_close_range: false, ..new() }]
}

/// What the start of this program fails with.
fn failure(words: &[&str], context: &Context) -> SpawnError {
    let argv = argv(words);
    let null = null();
    let [new, old] = spawners()
        .map(|mut spawner| spawner.spawn(&command(&argv, context, &null)).expect_err("started"));
    assert_eq!(new, old);
    new
}

fn assert_failure(error: &SpawnError, step: &str, errno: i32, message: &str) {
    assert_eq!((error.step, error.errno), (step, errno), "{error:?}");
    assert_eq!(error.message, message);
}

fn write(path: &Path, text: &[u8], mode: u32) -> String {
    fs::write(path, text).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_program_knows_its_own_pid() {
    let mut context = context();
    Arc::make_mut(&mut context.environment).insert("B".into(), "service".into());
    let added = [("A", "start".to_owned()), ("C", "start".to_owned())];
    let extras = Extras { environment: &added, own_pid: &["A", "B"], ..PLAIN };
    for mut spawner in spawners() {
        let script = r#"[ "$A-$B" = "$$-$$" ] && tr "\\0" "\n" </proc/$$/environ"#;
        let text = output(&mut spawner, &["sh", "-c", script], &context, extras).expect("starts");
        let names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
        assert_eq!(names.iter().filter(|name| **name == "A").count(), 1, "{text}");
        assert_eq!(names.iter().filter(|name| **name == "B").count(), 1, "{text}");
        assert!(names.contains(&"C"), "{text}");
    }
}

#[test]
fn descriptors_are_passed_from_three_up() {
    alone(|| {
        let directory = tempfile::tempdir().expect("directory");
        let files: Vec<fs::File> = (0..4)
            .map(|number| {
                let path = directory.path().join(number.to_string());
                fs::write(&path, format!("file {number}")).expect("write");
                fs::File::open(path).expect("open")
            })
            .collect();
        // In an order in which each would overwrite another.
        let passed: Vec<_> = [3, 1, 0, 2, 1].iter().map(|index| files[*index].as_fd()).collect();
        let extras = Extras { passed: &passed, ..PLAIN };
        let script = "ls -1 /proc/self/fd | grep -c .; for fd in 3 4 5 6 7; do \
                      readlink /proc/$$/fd/$fd; done; readlink /proc/$$/fd/8; true";
        let own = |index: usize| directory.path().join(index.to_string()).display().to_string();
        for mut spawner in spawners() {
            let text = output(&mut spawner, &["sh", "-c", script], &context(), extras);
            let text = text.expect("starts");
            let lines: Vec<&str> = text.lines().collect();
            // Stdio, five, and the directory that ls reads.
            assert_eq!(lines.first(), Some(&"9"), "{text}");
            assert_eq!(lines[1..], [3, 1, 0, 2, 1].map(own), "{text}");
        }
    });
}

#[test]
fn a_program_gets_arguments_environment_and_directory() {
    let mut context = context();
    Arc::make_mut(&mut context.environment).insert("A".into(), "service".into());
    Arc::make_mut(&mut context.environment).insert("B".into(), "service".into());
    context.working_directory = "/usr".into();
    let added = [("B", "start".to_owned()), ("C", "start".to_owned())];
    let extras = Extras { environment: &added, ..PLAIN };
    let script = r#"pwd; echo "$0 $1 $#"; echo "$A $B $C""#;
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["sh", "-c", script, "zero", "", "x y"], &context, extras);
        assert_eq!(text.expect("starts"), "/usr\nzero  2\nservice start start\n");
        let text = output(&mut spawner, &["env"], &context, extras);
        let text = text.expect("starts");
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["A=service", "B=start", "C=start", "PATH=/usr/local/bin:/usr/bin:/bin"]);
    }
}

#[test]
fn a_program_starts_without_any_environment() {
    let context = Context { environment: Arc::default(), ..context() };
    for mut spawner in spawners() {
        assert_eq!(output(&mut spawner, &["env"], &context, PLAIN).expect("starts"), "");
    }
}

#[test]
fn a_program_starts_with_clean_signals() {
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["cat", "/proc/self/status"], &context(), PLAIN);
        let text = text.expect("starts");
        let sets: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("Sig") && !line.starts_with("SigQ"))
            .collect();
        assert_eq!(sets.len(), 4, "{sets:?}");
        assert!(sets.iter().all(|set| set.ends_with("\t0000000000000000")), "{sets:?}");
    }
}

#[test]
fn a_program_inherits_stdio_alone() {
    let leaky = null();
    nix::fcntl::fcntl(&leaky, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))
        .expect("clear close-on-exec");
    for mut spawner in spawners() {
        // 3 is the directory that `ls` itself reads.
        let text = output(&mut spawner, &["ls", "/proc/self/fd"], &context(), PLAIN);
        assert_eq!(text.expect("starts"), "0\n1\n2\n3\n");
    }
}

#[test]
fn a_program_gets_one_more_descriptor_under_its_number() {
    let (argv, context) = (argv(&["sh", "-c", "echo there >&7; ls /proc/self/fd >&7"]), context());
    for mut spawner in spawners() {
        let (reader, writer) = pipe().expect("pipe");
        let null = null();
        let extra = Some((7, writer.as_fd()));
        let child =
            spawner.spawn(&Command { extra, ..command(&argv, &context, &null) }).expect("starts");
        drop(writer);
        assert_eq!(read_all(reader), "there\n0\n1\n2\n3\n7\n");
        assert_eq!(await_end(&child), Exit::Code(0));
        // Also where it has that number already.
        let (reader, writer) = pipe().expect("pipe");
        let number = writer.as_raw_fd();
        let argv = ["sh", "-c", &format!("echo there >/proc/self/fd/{number}")];
        let argv = argv.map(str::to_owned);
        let extra = Some((number, writer.as_fd()));
        let child =
            spawner.spawn(&Command { extra, ..command(&argv, &context, &null) }).expect("starts");
        drop(writer);
        assert_eq!(read_all(reader), "there\n");
        assert_eq!(await_end(&child), Exit::Code(0));
    }
}

#[test]
fn umask_and_limits_are_set() {
    let core = Limit { resource: libc::RLIMIT_CORE as _, name: "core", soft: 0, hard: 4096 };
    let files = Limit { resource: libc::RLIMIT_NOFILE as _, name: "nofile", soft: 77, hard: 78 };
    let extras = Extras { tag: Some(4_123_456_789), ..PLAIN };
    let context = Context { umask: 0o027, limits: vec![core, files], ..context() };
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["cat", "/proc/self/limits"], &context, extras);
        let text = text.expect("starts");
        let limits = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("limit");
            line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(limits("Max core file size"), ["0", "4096"]);
        assert_eq!(limits("Max open files"), ["77", "78"]);
        assert_eq!(limits("Max file locks"), ["4123456789", "4123456789"]);
        let text = output(&mut spawner, &["sh", "-c", "umask"], &context, PLAIN);
        assert_eq!(text.expect("starts"), "0027\n");
    }
}

#[test]
fn a_session_or_a_group_is_led() {
    let (argv, context, null) = (argv(&["cat"]), context(), null());
    for mut spawner in spawners() {
        let own = Stat::read(Pid::this()).expect("/proc").expect("this process");
        for session in [Session::Own, Session::Group] {
            let (reader, writer) = pipe().expect("pipe");
            let mut command = command(&argv, &context, &null);
            command.session = session;
            command.stdin = Stdin::Fd(reader.as_fd());
            let child = spawner.spawn(&command).expect("starts");
            let stat = Stat::read(child.pid).expect("/proc").expect("alive");
            assert_eq!(stat.group, child.pid);
            assert_eq!(stat.session, if session == Session::Own { child.pid } else { own.session });
            drop(writer);
            assert_eq!(await_end(&child), Exit::Code(0));
        }
    }
}

#[test]
fn the_identity_that_one_has_needs_no_privileges() {
    let groups = getgroups().expect("groups").iter().map(|gid| gid.as_raw()).collect();
    let identity = Identity { uid: geteuid().as_raw(), gid: getegid().as_raw(), groups };
    let context = Context { identity: Some(identity.clone()), ..context() };
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["id", "-u"], &context, PLAIN).expect("starts");
        assert_eq!(text.trim(), identity.uid.to_string());
    }
}

#[test]
fn another_identity_is_taken_whole() {
    if !is_root("another_identity_is_taken_whole") {
        return;
    }
    let identity = Identity { uid: 12_345, gid: 23_456, groups: vec![7, 23_456, 34_567] };
    let context = Context { identity: Some(identity), ..context() };
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["cat", "/proc/self/status"], &context, PLAIN);
        let text = text.expect("starts");
        let line = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).expect("line").trim().to_owned()
        };
        assert_eq!(line("Uid:"), "12345\t12345\t12345\t12345");
        assert_eq!(line("Gid:"), "23456\t23456\t23456\t23456");
        assert_eq!(line("Groups:"), "7 23456 34567");
        assert_eq!(line("CapEff:"), "0000000000000000");
    }
}

/// The value of a line of `/proc/PID/status`.
fn status_line(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} in {text}")).trim().to_owned()
}

#[test]
fn the_kernel_treats_it_as_the_spec_says() {
    let scheduling = Scheduling {
        nice: Some(7),
        oom_score_adj: Some(500),
        scheduler: Some(Scheduler::Batch),
        io: Some(IoClass::BestEffort(6)),
        cpus: None,
    };
    let context = Context { scheduling, ..context() };
    let script = "cut -d' ' -f19,41 /proc/self/stat; cat /proc/self/oom_score_adj; ionice";
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["sh", "-c", script], &context, PLAIN).expect("starts");
        assert_eq!(text, "7 3\n500\nbest-effort: prio 6\n", "nice 7, SCHED_BATCH");
    }
}

#[test]
fn it_runs_only_on_its_processors() {
    let own = fs::read_to_string("/proc/self/status").expect("/proc");
    let own = status_line(&own, "Cpus_allowed_list:");
    let first = own.split([',', '-']).next().expect("one").to_owned();
    let mut cpus = CpuSet::default();
    cpus.add(first.parse().expect("a number"));
    let context = Context {
        scheduling: Scheduling { cpus: Some(cpus), ..Scheduling::default() },
        ..context()
    };
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["cat", "/proc/self/status"], &context, PLAIN);
        assert_eq!(status_line(&text.expect("starts"), "Cpus_allowed_list:"), first);
    }
    let mut cpus = CpuSet::default();
    cpus.add(8191);
    let none = Context {
        scheduling: Scheduling { cpus: Some(cpus), ..Scheduling::default() },
        ..self::context()
    };
    let message = "cpu-affinity: Invalid argument (this machine has none of these processors)";
    assert_failure(&failure(&["true"], &none), "cpu-affinity", libc::EINVAL, message);
}

#[test]
fn no_program_gives_new_privileges() {
    let privileges = Privileges { no_new: true, ..Privileges::default() };
    let context = Context { privileges, ..context() };
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["cat", "/proc/self/status"], &context, PLAIN);
        assert_eq!(status_line(&text.expect("starts"), "NoNewPrivs:"), "1");
    }
}

// Of `capabilities(7)`.
const BIND: u32 = 10;
const KILL: u32 = 5;

#[test]
fn capabilities_outlive_the_change_of_user() {
    if !is_root("capabilities_outlive_the_change_of_user") {
        return;
    }
    let privileges = Privileges {
        no_new: true,
        bounding: Some(Capabilities::of([BIND, KILL])),
        ambient: Capabilities::of([BIND]),
    };
    let identity = Some(Identity { uid: 12_345, gid: 23_456, groups: vec![] });
    let user = Context { identity, privileges, ..context() };
    let root = Context { privileges, ..context() };
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["cat", "/proc/self/status"], &user, PLAIN);
        let text = text.expect("starts");
        assert_eq!(status_line(&text, "CapBnd:"), "0000000000000420");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(status_line(&text, set), "0000000000000400", "{set}");
        }
        let text = output(&mut spawner, &["cat", "/proc/self/status"], &root, PLAIN);
        assert_eq!(status_line(&text.expect("starts"), "CapEff:"), "0000000000000420");
    }
}

#[test]
fn a_directory_is_entered_as_the_user() {
    if !is_root("a_directory_is_entered_as_the_user") {
        return;
    }
    let directory = tempfile::tempdir().expect("directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("chmod");
    let identity = Identity { uid: 12_345, gid: 23_456, groups: vec![] };
    let context = Context {
        identity: Some(identity),
        working_directory: directory.path().into(),
        ..context()
    };
    let message = format!("chdir: Permission denied: {}", directory.path().display());
    assert_failure(&failure(&["true"], &context), "chdir", libc::EACCES, &message);
}

#[test]
fn an_identity_that_one_may_not_take_is_an_error() {
    if geteuid().is_root() {
        return;
    }
    let groups: Vec<u32> = getgroups().expect("groups").iter().map(|gid| gid.as_raw()).collect();
    let own = Identity { uid: geteuid().as_raw(), gid: getegid().as_raw(), groups };
    for (identity, step, subject) in [
        (Identity { uid: 0, ..own.clone() }, "setuid", "0"),
        (Identity { groups: vec![1], ..own }, "setgroups", "[1]"),
    ] {
        let context = Context { identity: Some(identity), ..context() };
        let hint = "another user or group takes a daemon that runs as root";
        let message = format!("{step}: Operation not permitted: {subject} ({hint})");
        assert_failure(&failure(&["true"], &context), step, libc::EPERM, &message);
    }
}

#[test]
fn stdin_is_a_file_or_a_pipe_that_nobody_waits_for() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("file");
    fs::write(&file, "text\n").expect("write");
    let fifo = directory.path().join("fifo");
    mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let extras = Extras { stdin: Stdin::Path(&file), ..PLAIN };
    for mut spawner in spawners() {
        let text = output(&mut spawner, &["cat"], &context(), extras);
        assert_eq!(text.expect("starts"), "text\n");
        let text = output(&mut spawner, &["cat"], &context(), PLAIN);
        assert_eq!(text.expect("starts"), "");

        let (reader, writer) = pipe().expect("pipe");
        let (argv, context) = (argv(&["head", "-n1"]), context());
        let mut command = command(&argv, &context, &writer);
        command.stdin = Stdin::Path(&fifo);
        let child = spawner.spawn(&command).expect("starts");
        drop(writer);
        fs::write(&fifo, "line\n").expect("write");
        assert_eq!(read_all(reader), "line\n");
        assert_eq!(await_end(&child), Exit::Code(0));
    }
    let missing = directory.path().join("missing");
    let [mut spawner, _] = spawners();
    let extras = Extras { stdin: Stdin::Path(&missing), ..PLAIN };
    let error = output(&mut spawner, &["cat"], &context(), extras);
    let message = format!("stdin: No such file or directory: {}", missing.display());
    assert_failure(&error.expect_err("no file"), "stdin", libc::ENOENT, &message);
}

#[test]
fn a_missing_program_is_reported() {
    assert_failure(
        &failure(&["/nowhere/x"], &context()),
        "exec",
        libc::ENOENT,
        "exec: No such file or directory: /nowhere/x",
    );
    let mut context = context();
    Arc::make_mut(&mut context.environment).insert("PATH".into(), "/nowhere:/etc/passwd".into());
    assert_failure(
        &failure(&["sh"], &context),
        "exec",
        libc::ENOENT,
        "exec: No such file or directory: sh (not in PATH /nowhere:/etc/passwd)",
    );
    let error = failure(&["/etc/passwd/x"], &context);
    assert_failure(&error, "exec", libc::ENOTDIR, "exec: Not a directory: /etc/passwd/x");
    let error = failure(&[""], &context);
    assert_failure(&error, "exec", libc::ENOENT, "exec: No such file or directory: ");
}

#[test]
fn the_path_of_the_service_is_searched_to_its_end() {
    // Alone, since a child of another test could have the script open for writing (ETXTBSY).
    alone(|| {
        let directory = tempfile::tempdir().expect("directory");
        let [denied, good] = ["denied", "good"].map(|name| directory.path().join(name));
        for path in [&denied, &good] {
            fs::create_dir(path).expect("mkdir");
        }
        let path = format!("/nowhere:{}:{}", denied.display(), good.display());
        let mut context = context();
        Arc::make_mut(&mut context.environment).insert("PATH".into(), path);
        let locked = write(&denied.join("it"), b"#!/bin/sh\n", 0o644);
        let message = format!("exec: Permission denied: {locked} (not executable)");
        assert_failure(&failure(&["it"], &context), "exec", libc::EACCES, &message);
        write(&good.join("it"), b"#!/bin/sh\necho good\n", 0o755);
        for mut spawner in spawners() {
            assert_eq!(output(&mut spawner, &["it"], &context, PLAIN).expect("starts"), "good\n");
        }
    });
}

#[test]
fn a_relative_program_starts_from_the_working_directory() {
    // Alone, since a child of another test could have the script open for writing (ETXTBSY).
    alone(|| {
        let directory = tempfile::tempdir().expect("directory");
        write(&directory.path().join("it"), b"#!/bin/sh\necho good\n", 0o755);
        let mut context = context();
        context.working_directory = directory.path().into();
        for mut spawner in spawners() {
            assert_eq!(output(&mut spawner, &["./it"], &context, PLAIN).expect("starts"), "good\n");
        }
        write(&directory.path().join("it"), b"#!/nowhere/sh\n", 0o755);
        let error = failure(&["./it"], &context);
        assert!(error.message.ends_with("/./it (its interpreter \"/nowhere/sh\" is missing)"));
    });
}

#[test]
fn files_that_cannot_be_run_are_told_apart() {
    // Alone, since a child of another test could have the script open for writing (ETXTBSY).
    alone(|| {
        let directory = tempfile::tempdir().expect("directory");
        let file = |name: &str| directory.path().join(name);
        let elf = b"\x7fELF\x02\x01\x01 and nothing that makes sense";
        for (path, errno, reason) in [
            (
                write(&file("script"), b"#! /nowhere/sh -e\necho\n", 0o755),
                libc::ENOENT,
                "(its interpreter \"/nowhere/sh\" is missing)",
            ),
            (
                write(&file("dos"), b"#!/bin/sh\r\necho\r\n", 0o755),
                libc::ENOENT,
                "(its interpreter \"/bin/sh\\r\" is missing)",
            ),
            (write(&file("empty"), b"", 0o755), libc::ENOEXEC, "(an empty file)"),
            (
                write(&file("text"), b"echo\n", 0o755),
                libc::ENOEXEC,
                "(no program, and no #! line for a script)",
            ),
            (write(&file("elf"), elf, 0o755), libc::ENOEXEC, "(built for another kind of machine)"),
            (write(&file("plain"), b"#!/bin/sh\n", 0o644), libc::EACCES, "(not executable)"),
            ("/usr".to_owned(), libc::EACCES, "(a directory)"),
        ] {
            let description = Errno::from_raw(errno).desc();
            let message = format!("exec: {description}: {path} {reason}");
            assert_failure(&failure(&[&path], &context()), "exec", errno, &message);
        }
    });
}

#[test]
fn a_missing_directory_is_reported() {
    let context = Context { working_directory: "/nowhere".into(), ..context() };
    let message = "chdir: No such file or directory: /nowhere";
    assert_failure(&failure(&["true"], &context), "chdir", libc::ENOENT, message);
}

#[test]
fn a_limit_that_cannot_be_set_is_reported() {
    let limit = Limit { resource: libc::RLIMIT_CORE as _, name: "core", soft: 2, hard: 1 };
    let context = Context { limits: vec![limit], ..context() };
    let message = "setrlimit core: Invalid argument (soft limit above hard limit)";
    assert_failure(&failure(&["true"], &context), "setrlimit", libc::EINVAL, message);
}

#[test]
fn a_limit_that_needs_privileges_is_reported() {
    // Above the ceiling of the whole system, so that not even CAP_SYS_RESOURCE would do.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limit");
    let limit =
        Limit { resource: libc::RLIMIT_NOFILE as _, name: "nofile", soft: hard, hard: 1 << 40 };
    let context = Context { limits: vec![limit], ..context() };
    let message = "setrlimit nofile: Operation not permitted (needs CAP_SYS_RESOURCE)";
    assert_failure(&failure(&["true"], &context), "setrlimit", libc::EPERM, message);
}

#[test]
fn what_c_cannot_express_is_reported() {
    let refused = |words: &[&str], context: &Context, what: &str| {
        let message = format!("arguments: Invalid argument: {what}");
        assert_failure(&failure(words, context), "arguments", libc::EINVAL, &message);
    };
    refused(&[], &context(), "no command");
    refused(&["true", "a\0b"], &context(), "NUL byte in argument 1");
    refused(&["tr\0ue"], &context(), "NUL byte in argument 0");
    let mut changed = context();
    Arc::make_mut(&mut changed.environment).insert("A".into(), "\0".into());
    refused(&["true"], &changed, "NUL byte in environment variable A");
    let changed = Context { working_directory: "/\0".into(), ..context() };
    refused(&["true"], &changed, "NUL byte in working directory");
}

#[test]
fn too_many_arguments_are_reported() {
    let long = "x".repeat(4 << 20);
    let error = failure(&["/bin/true", &long], &context());
    assert_failure(&error, "exec", libc::E2BIG, "exec: Argument list too long: /bin/true");
}

#[test]
fn the_streams_of_the_daemon_can_be_handed_down_crosswise() {
    alone(|| {
        let file = tempfile::NamedTempFile::new().expect("file");
        let script = "echo out; echo err >&2; readlink /proc/$$/fd/0";
        let (argv, context) = (argv(&["sh", "-c", script]), context());
        for mut spawner in spawners() {
            let (out_reader, out) = pipe().expect("pipe");
            let (err_reader, err) = pipe().expect("pipe");
            let before = [nix::unistd::dup(std::io::stdout()), nix::unistd::dup(std::io::stderr())];
            nix::unistd::dup2_stdout(&out).expect("dup2");
            nix::unistd::dup2_stderr(&err).expect("dup2");
            let mut command = command(&argv, &context, &file);
            let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
            command.stdout = stderr.as_fd();
            command.stderr = stdout.as_fd();
            command.stdin = Stdin::Path(file.path());
            let child = spawner.spawn(&command).expect("starts");
            let [old_out, old_err] = before.map(|fd| fd.expect("dup"));
            nix::unistd::dup2_stdout(old_out).expect("dup2");
            nix::unistd::dup2_stderr(old_err).expect("dup2");
            drop((out, err));
            assert_eq!(await_end(&child), Exit::Code(0));
            let path = file.path().to_str().expect("UTF-8");
            assert_eq!(read_all(err_reader), format!("out\n{path}\n"));
            assert_eq!(read_all(out_reader), "err\n");
        }
    });
}

#[test]
fn nothing_is_left_of_a_thousand_starts() {
    alone(|| {
        let (good, bad, context, null) = (argv(&["true"]), argv(&["/nowhere"]), context(), null());
        let before = descriptors();
        let mut spawners = spawners();
        let with_spawners = descriptors();
        assert_eq!(with_spawners, before + 2);
        for _ in 0..250 {
            for spawner in &mut spawners {
                let child = spawner.spawn(&command(&good, &context, &null)).expect("starts");
                assert!(child.pidfd.as_raw_fd() > 2);
                assert_eq!(await_end(&child), Exit::Code(0));
                spawner.spawn(&command(&bad, &context, &null)).expect_err("no program");
            }
        }
        assert_eq!(descriptors(), with_spawners);
        assert_eq!(next_zombie().expect("wait"), None);
        drop(spawners);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_forbidden_clone3_is_given_up_for_good() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        // The filter is the thread's.
        let thread = thread::spawn(move || {
            sys::forbid(libc::SYS_clone3, errno);
            let mut spawner = Spawner::new().expect("spawner");
            assert_eq!(spawner.clone, CloneCall::Clone3);
            let text = output(&mut spawner, &["echo", "good"], &context(), PLAIN);
            assert_eq!(text.expect("starts"), "good\n");
            assert_eq!(spawner.clone, CloneCall::Legacy);
        });
        thread.join().expect("no panic");
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn a_clone_that_fails_is_reported() {
    let thread = thread::spawn(|| {
        sys::forbid(libc::SYS_clone3, libc::EAGAIN);
        let (argv, context, null) = (argv(&["true"]), context(), null());
        let mut spawner = Spawner::new().expect("spawner");
        let error = spawner.spawn(&command(&argv, &context, &null)).expect_err("no process");
        let message = format!("clone: {}", Errno::EAGAIN.desc());
        assert_failure(&error, "clone", libc::EAGAIN, &message);
        assert_eq!(spawner.clone, CloneCall::Clone3, "the next one may succeed");
    });
    thread.join().expect("no panic");
}
