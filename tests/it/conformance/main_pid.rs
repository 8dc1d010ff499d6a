//! Items 56 to 63: another process becomes the main process.

use nix::sys::signal::Signal;
use supervisor_api::State;

use super::speaker::{Speaker, app, status};
use crate::harness::{Daemon, alive, must_as_root, process_state, send_signal, wait_until};

/// A service whose main process and child say what the test wants, and the pid of the child.
fn with_child(lines: &str, steps: &[&str]) -> (Daemon, Speaker, i32) {
    let (daemon, speaker) = app(lines, &[&["--child", "--relay"], steps].concat());
    let child = daemon.wait_record("relays", "app.child", 1).pid;
    (daemon, speaker, child)
}

/// Says that a process is the main process and returns which one it is then.
fn named(daemon: &Daemon, speaker: &Speaker, pid: i32) -> i32 {
    speaker.tell(format!("MAINPID={pid}"));
    daemon.pid_of("app")
}

#[test]
fn item_056_a_child_is_accepted_and_what_cannot_be_it_is_refused() {
    let (daemon, speaker, child) = with_child(
        "reload-command = [\"${FIXTURE}\", \"control\", \"--relay\"]\nnotify-access = \"all\"",
        &["--ready", "--run", "--exit 0"],
    );
    daemon.wait_record("ran", "app", 1);
    daemon.operation(&serde_json::json!({ "verb": "reload", "targets": ["app"] }));
    let control = daemon.wait_record("relays", "control", 1).pid;
    let dead = daemon.wait_record("start", "app.run", 1).pid;
    let main = daemon.pid_of("app");
    for pid in [0, 1, -1, daemon.pid(), control, dead] {
        assert_eq!(named(&daemon, &speaker, pid), main, "{pid}");
    }
    assert_eq!(named(&daemon, &speaker, child), child);

    // The shell becomes a program that reaps nobody.
    let daemon = Daemon::boot(
        r#"[service.app]
        notify-access = "all"
        command = ["sh", "-c", """
            "${FIXTURE}" dead --exit 0 &
            "${FIXTURE}" app --relay &
            exec sleep 1000
        """]"#,
    );
    let speaker = Speaker::of(&daemon, "app");
    let zombie = daemon.wait_record("start", "dead", 1).pid;
    // The first thread may be one before the others have ended.
    let threads = || std::fs::read_dir(format!("/proc/{zombie}/task")).map(Iterator::count);
    let is_zombie = || process_state(zombie) == Some('Z') && threads().is_ok_and(|count| count < 2);
    wait_until("a zombie", &mut (), |()| is_zombie().then_some(()));
    let main = daemon.pid_of("app");
    assert_eq!(named(&daemon, &speaker, zombie), main);
}

/// systemd follows root's word.
#[test]
fn item_057_a_process_that_is_not_the_services_own_is_refused_whoever_names_it() {
    let (daemon, speaker) = app(
        "notify-access = \"all\"
         [service.other]
         command = [\"${FIXTURE}\", \"other\"]",
        &[],
    );
    let (main, other) = (daemon.pid_of("app"), daemon.wait_record("start", "other", 1).pid);
    let own = std::process::id().cast_signed();
    for pid in [own, other] {
        assert_eq!(named(&daemon, &speaker, pid), main);
        // This is root where the tests are.
        assert_eq!(named(&daemon, &Speaker::stranger(&daemon, "app"), pid), main);
    }
    if must_as_root(|| true, "", "") {
        Speaker::stranger(&daemon, "app").say_as(main, &format!("MAINPID={own}"));
        speaker.barrier();
        assert_eq!(daemon.pid_of("app"), main);
    }
}

#[test]
fn item_058_once_main_is_gone_none_takes_its_place() {
    let (daemon, speaker) = app(
        "notify-access = \"all\"\nstop-timeout = \"1min\"",
        &[
            "--ready",
            "--child",
            "--relay --term-awaits ${DIR}/gate",
            "--await",
            "${DIR}/end",
            "--exit",
            "0",
        ],
    );
    let child = daemon.wait_record("relays", "app.child", 1).pid;
    let helper = Speaker::of(&daemon, "app.child");
    speaker.barrier();
    daemon.open("end");
    daemon.wait_state("app", State::Stopping);
    helper.tell(format!("MAINPID={child}\nREADY=1"));
    let app = daemon.service("app");
    assert_eq!((app.state, app.pid), (State::Stopping, None));
    daemon.open("gate");
    daemon.wait_state("app", State::Exited);
}

#[test]
fn item_059_a_pidfd_id_that_does_not_match_refuses_the_change() {
    for (how, accepted) in [("id", true), ("wrong-id", false), ("bad-id", false)] {
        let (daemon, speaker) = app("", &["--promote", how]);
        daemon.wait_record("said", "app", 1);
        speaker.barrier();
        let (old, new) =
            (daemon.happened("start", "app"), daemon.wait_record("start", "app.new", 1));
        let expected = if accepted { new.pid } else { old[0].pid };
        assert_eq!(daemon.pid_of("app"), expected, "{how}");
    }
}

#[test]
fn item_060_a_pidfd_is_taken_alone_only() {
    for (how, accepted) in [("fd", true), ("no-fd", false), ("two-fds", false)] {
        let (daemon, speaker) = app("", &["--promote", how]);
        daemon.wait_record("said", "app", 1);
        speaker.barrier();
        let (old, new) =
            (daemon.happened("start", "app"), daemon.wait_record("start", "app.new", 1));
        let expected = if accepted { new.pid } else { old[0].pid };
        assert_eq!(daemon.pid_of("app"), expected, "{how}");
    }
}

#[test]
fn item_061_the_end_of_a_main_process_that_is_not_our_child_is_the_end_of_the_service() {
    let (mut daemon, speaker, child) = with_child("", &["--ready"]);
    let parent = daemon.wait_state("app", State::Running).pid.unwrap();
    assert_eq!(named(&daemon, &speaker, child), child);
    send_signal(child, Signal::SIGKILL);
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "exit");
    // Who reaped it knows how it ended; we do not.
    assert_eq!(app.exit, None);
    assert!(!alive(parent));
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn item_062_after_a_change_access_of_main_follows() {
    let (daemon, speaker, pid) = with_child("", &[]);
    let child = Speaker::of(&daemon, "app.child");
    child.tell("STATUS=child");
    assert_eq!(status(&daemon), None);
    assert_eq!(named(&daemon, &speaker, pid), pid);
    speaker.tell("STATUS=old main");
    assert_eq!(status(&daemon), None);
    child.tell("STATUS=new main\nREADY=1");
    assert_eq!(status(&daemon).as_deref(), Some("new main"));
    assert_eq!(daemon.state("app"), State::Running);
}

#[test]
fn item_063_after_a_change_signals_go_to_the_new_process() {
    let (daemon, speaker, child) = with_child(
        "reload-signal = \"USR1\"\nstop-signal = \"QUIT\"\nkill-mode = \"mixed\"",
        &["--ready"],
    );
    daemon.wait_state("app", State::Running);
    assert_eq!(named(&daemon, &speaker, child), child);
    assert!(daemon.operate("reload", &["app"]).ok);
    assert_eq!(daemon.wait_record("signal", "app.child", 1).detail, "USR1");
    assert!(daemon.operate("stop", &["app"]).ok);
    assert_eq!(daemon.wait_record("signal", "app.child", 2).detail, "QUIT");
    assert_eq!(daemon.happened("signal", "app"), []);
}
