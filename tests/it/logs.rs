//! Where the output of services goes.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use supervisor_api::State;

use crate::harness::{Daemon, SUPERVISORD, TestDir, supervisor_table, supervisord, wait_until};

#[track_caller]
fn wait_text(daemon: &Daemon, file: &str, text: &str) {
    wait_until(&format!("{text:?} in {file}"), &mut (), |()| {
        (daemon.read(file) == text).then_some(())
    });
}

#[test]
fn output_goes_into_a_file_of_the_services_name() {
    let daemon = Daemon::boot(
        r#"[service.web]
        command = ["${FIXTURE}", "web", "--print", "one", "--print", "two  Ünïcode"]"#,
    );
    wait_text(&daemon, "log/web.log", "one\ntwo  Ünïcode\n");
}

#[test]
fn stderr_may_be_merged_or_have_a_file_of_its_own() {
    let daemon = Daemon::boot(
        r#"
        [service.merged]
        command = ["${FIXTURE}", "merged", "--print", "a", "--print-err", "b", "--print", "c"]
        log = { stderr = "merge" }
        [service.apart]
        command = ["${FIXTURE}", "apart", "--print", "a", "--print-err", "b", "--print", "c"]
        log = { path = "${DIR}/out.log", stderr = "${DIR}/err.log" }
        [service.quiet]
        command = ["${FIXTURE}", "quiet", "--print", "a", "--print-err", "b"]
        log = { stdout = "null", stderr = "null" }"#,
    );
    wait_text(&daemon, "log/merged.log", "a\nb\nc\n");
    wait_text(&daemon, "out.log", "a\nc\n");
    wait_text(&daemon, "err.log", "b\n");
    assert_eq!(daemon.read("log/quiet.log"), "");
}

#[test]
fn no_line_is_lost_when_a_service_ends() {
    let daemon = Daemon::boot(
        "[service.web]
         type = \"oneshot\"
         command = \"${FIXTURE} ${SERVICE} --count 20000 --exit 0\"",
    );
    let mut expected = String::new();
    for number in 1..=20_000 {
        writeln!(expected, "line {number}").unwrap();
    }
    wait_until("all lines", &mut (), |()| {
        (daemon.read("log/web.log").len() >= expected.len()).then_some(())
    });
    assert!(daemon.read("log/web.log") == expected, "a line is lost or torn");
}

#[test]
fn what_is_written_last_is_kept_when_the_daemon_ends() {
    let mut daemon = Daemon::boot(
        r#"[service.web]
        kill-mode = "mixed"
        command = ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"]"#,
    );
    wait_text(&daemon, "log/web.log", "up\n");
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.read("log/web.log"), "up\nbye\n");
}

#[test]
fn logs_are_appended_to_across_restarts() {
    let daemon = Daemon::boot(
        r#"[service.web]
        type = "notify"
        command = ["${FIXTURE}", "web", "--print", "up", "--ready"]"#,
    );
    assert!(daemon.operate("restart", &["web"]).ok);
    wait_text(&daemon, "log/web.log", "up\nup\n");
}

#[test]
fn the_console_shows_each_line_with_its_service() {
    let daemon = Daemon::builder()
        .supervisor("console = \"prefix\"")
        .spec(
            r#"
            [service.web]
            command = ["${FIXTURE}", "web", "--print", "hello from web"]
            [service.database]
            command = ["${FIXTURE}", "database", "--print", "hello from database"]"#,
        )
        .boot();
    wait_until("both lines on the console", &mut (), |()| {
        let text = daemon.stdout();
        let shown = |name: &str| {
            text.lines().any(|line| {
                line.trim_start().starts_with(name) && line.ends_with(&format!("hello from {name}"))
            })
        };
        (shown("web") && shown("database")).then_some(())
    });
    wait_text(&daemon, "log/web.log", "hello from web\n");
}

#[test]
fn without_a_console_the_daemon_prints_no_output_of_services() {
    let daemon = Daemon::boot(
        r#"[service.web]
        command = ["${FIXTURE}", "web", "--print", "hello"]"#,
    );
    wait_text(&daemon, "log/web.log", "hello\n");
    assert_eq!(daemon.stdout(), "");
}

#[test]
fn an_inherited_stream_goes_where_the_daemons_goes() {
    let daemon = Daemon::boot(
        r#"[service.web]
        command = ["${FIXTURE}", "web", "--print", "hello", "--print-err", "trouble"]
        log = { stdout = "inherit", stderr = "inherit" }"#,
    );
    wait_text(&daemon, "stdout", "hello\n");
    wait_until("the line on stderr", &mut (), |()| {
        daemon.stderr().lines().any(|line| line == "trouble").then_some(())
    });
}

#[test]
fn a_file_that_grew_is_rotated() {
    let daemon = Daemon::boot(
        r#"[service.web]
        command = "${FIXTURE} ${SERVICE} --count 1000"
        log = { rotate-size = "4KiB", rotate-keep = 2 }"#,
    );
    let files = wait_until("the last line", &mut (), |()| {
        let files: Vec<String> = ["web.log.2", "web.log.1", "web.log"]
            .iter()
            .map(|name| daemon.read(&format!("log/{name}")))
            .filter(|text| !text.is_empty())
            .collect();
        files.last()?.ends_with("line 1000\n").then_some(files)
    });
    assert!(files.len() > 1, "it was not rotated");
    for text in files {
        assert!(text.starts_with("line ") && text.ends_with('\n'), "a line is torn");
    }
    assert!(!daemon.path("log/web.log.3").exists());
}

#[test]
fn ctl_shows_the_last_lines_and_follows() {
    let daemon = Daemon::boot(
        r#"[service.web]
        command = ["${FIXTURE}", "web", "--count", "10", "--await", "${DIR}/gate", "--print", "more"]"#,
    );
    wait_until("ten lines", &mut (), |()| {
        daemon.read("log/web.log").ends_with("line 10\n").then_some(())
    });
    let output = daemon.ctl(&["logs", "-n", "2", "web"]);
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{output:?}");
    assert!(lines[0].ends_with("line 9") && lines[1].ends_with("line 10"), "{output:?}");
    let mut follower = daemon.follow(&["logs", "-f", "web"]);
    follower.wait_for("line 10\n");
    daemon.open("gate");
    follower.wait_for("more\n");
    assert_eq!(daemon.ctl(&["logs", "nope"]).code, 1);
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_the_service() {
    // Behind a symbolic link, lest a fault in rotation harms the device.
    let daemon = Daemon::boot(
        r#"
        [service.link]
        type = "oneshot"
        command = "ln -s /dev/full ${DIR}/full.log"
        [service.web]
        requires = ["link"]
        command = "${FIXTURE} ${SERVICE} --count 5000 --touch ${DIR}/done"
        log = "${DIR}/full.log""#,
    );
    wait_until("the service to have printed everything", &mut (), |()| {
        daemon.path("done").exists().then_some(())
    });
    let output = daemon.ctl(&["logs", "-n", "1", "web"]);
    assert!(output.stdout.ends_with("line 5000\n"), "{output:?}");
}

#[test]
fn a_log_of_the_daemon_that_cannot_be_written_ends_nothing() {
    let dir = TestDir::new();
    let spec = "[service.web]\ntype = 'notify'\ncommand = '${FIXTURE} web --ready'";
    let text = format!("{}{spec}", supervisor_table(dir.path()));
    fs::write(dir.path().join("supervisor.toml"), text).unwrap();
    let plain = supervisord(dir.path());
    let mut command = Command::new("sh");
    // Every line of it fails with ENOSPC, as those to a terminal that is gone do with EIO.
    command.args(["-c", "exec \"$0\" 2>/dev/full", SUPERVISORD]).current_dir(dir.path());
    command.env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut daemon = Daemon::run(&mut command, dir);
    daemon.wait_for_socket();
    daemon.wait_state("web", State::Running);
    assert!(daemon.operate("restart", &["web"]).ok);
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(daemon.started(), Vec::<i32>::new());
}
