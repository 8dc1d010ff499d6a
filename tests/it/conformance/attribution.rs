//! Items 26 to 37: whose messages count.

use nix::sys::signal::Signal;
use supervisor_api::State;

use super::speaker::{Speaker, app, status};
use crate::harness::{
    Daemon, alive, available, must, must_as_root, process_state, user, wait_until,
};

const SYSTEMD_NOTIFY: &str = "run scripts/install-test-services";

/// Shows, by the status text, whether what a speaker says counts.
#[track_caller]
fn hears(daemon: &Daemon, speaker: &Speaker, who: &str) -> bool {
    let before = status(daemon);
    let text = format!("{who} speaks");
    assert_ne!(before.as_ref(), Some(&text), "each says it once");
    speaker.tell(format!("STATUS={text}"));
    let after = status(daemon);
    assert!(after == before || after.as_ref() == Some(&text), "{after:?}");
    after != before
}

/// A `Speaker` is a process that goes on; here the process has said its last words when the daemon
/// wakes up.
#[test]
fn item_026_what_main_says_just_before_its_exit_comes_before_the_exit() {
    let daemon = Daemon::boot(
        r#"
        [defaults]
        type = "notify"
        restart = "no"
        enabled = false
        [service.well]
        command = "${FIXTURE} ${SERVICE} --await ${DIR}/gate --ready --exit 0"
        [service.badly]
        command = "${FIXTURE} ${SERVICE} --await ${DIR}/gate --status why --exit 1""#,
    );
    for name in ["well", "badly"] {
        let request = serde_json::json!({ "verb": "start", "targets": [name] });
        daemon.operation(&request);
    }
    let pids = ["well", "badly"].map(|name| daemon.wait_record("start", name, 1).pid);
    daemon.signal(Signal::SIGSTOP);
    daemon.open("gate");
    wait_until("both to be dead", &mut (), |()| {
        pids.iter().all(|pid| process_state(*pid) == Some('Z')).then_some(())
    });
    daemon.signal(Signal::SIGCONT);
    daemon.wait_state("well", State::Exited);
    assert!(daemon.detail("well").runs[0].ready_after_ms.is_some());
    let badly = daemon.wait_state("badly", State::Failed);
    assert_eq!((badly.why.code.as_str(), badly.status.as_deref()), ("exit", Some("why")));
}

#[test]
fn item_027_what_a_control_process_says_just_before_its_exit_comes_before_the_exit() {
    let daemon = Daemon::boot(
        r#"[service.app]
        notify-access = "exec"
        command = "${FIXTURE} ${SERVICE}"
        reload-command = ["${FIXTURE}", "reload", "--notify", "STATUS=reload", "--exit", "0"]
        stop-command = ["${FIXTURE}", "stop", "--notify", "STATUS=stop", "--exit", "0"]"#,
    );
    assert!(daemon.operate("reload", &["app"]).ok);
    assert_eq!(status(&daemon).as_deref(), Some("reload"));
    daemon.operation(&serde_json::json!({ "verb": "stop", "targets": ["app"] }));
    daemon.wait_service("app", "told", |app| app.status.as_deref() == Some("stop"));
}

#[test]
fn item_028_a_sender_that_is_a_zombie_is_heard() {
    // The shell becomes a program that reaps nobody.
    let daemon = Daemon::boot(
        r#"[service.app]
        notify-access = "all"
        command = ["sh", "-c", """
            "${FIXTURE}" app --await "${DIR}/gate" --status 'last words' --exit 0 &
            exec sleep 1000
        """]"#,
    );
    let pid = daemon.wait_record("start", "app", 1).pid;
    daemon.signal(Signal::SIGSTOP);
    daemon.open("gate");
    wait_until("a zombie", &mut (), |()| (process_state(pid) == Some('Z')).then_some(()));
    daemon.signal(Signal::SIGCONT);
    daemon.wait_service("app", "told", |app| app.status.as_deref() == Some("last words"));
    assert_eq!(process_state(pid), Some('Z'));
}

/// systemd compares pidfds, at the price of a descriptor for each message.
#[test]
fn item_029_a_process_with_a_reused_pid_is_not_taken_for_the_one_that_had_it() {
    if !must_as_root(|| true, "", "") {
        return;
    }
    let (daemon, first) = app("", &["--ready"]);
    let pid = daemon.wait_state("app", State::Running).pid.unwrap();
    assert!(hears(&daemon, &first, "the first"));
    assert!(daemon.operate("restart", &["app"]).ok);
    let second = Speaker::nth(&daemon, "app", 2);
    second.tell("STATUS=the second");
    let stranger = Speaker::stranger(&daemon, "app");
    stranger.say_from(pid, b"STATUS=by its number");
    second.barrier();
    assert_eq!(status(&daemon).as_deref(), Some("the second"));
}

#[test]
fn item_030_each_access_admits_its_processes_and_no_other() {
    for (access, expected) in [
        ("none", [false, false, false]),
        ("main", [true, false, false]),
        ("exec", [true, true, false]),
        ("all", [true, true, true]),
    ] {
        // What is set decides who gets the socket at all, so that only what is said later tells.
        let (daemon, main) = app(
            "notify-access = \"all\"
             reload-command = [\"${FIXTURE}\", \"control\", \"--relay\", \"--await\", \"${DIR}/end\"]",
            &["--ready", "--child", "--child --relay"],
        );
        daemon.wait_state("app", State::Running);
        daemon.operation(&serde_json::json!({ "verb": "reload", "targets": ["app"] }));
        let control = Speaker::of(&daemon, "control");
        let grandchild = Speaker::of(&daemon, "app.child.child");
        main.tell(format!("NOTIFYACCESS={access}"));
        let heard = [(&main, "main"), (&control, "control"), (&grandchild, "grandchild")]
            .map(|(speaker, who)| hears(&daemon, speaker, who));
        assert_eq!(heard, expected, "{access}");
    }
}

#[test]
fn item_031_only_the_control_process_of_now_may_speak() {
    let daemon = Daemon::boot(
        r#"[service.app]
        notify-access = "exec"
        command = "${FIXTURE} ${SERVICE}"
        reload-command = ["${FIXTURE}", "control", "--child", "--relay", "--relay", "--await", "${DIR}/end", "--exit", "0"]"#,
    );
    let reload = serde_json::json!({ "verb": "reload", "targets": ["app"] });
    daemon.operation(&reload);
    let control = Speaker::of(&daemon, "control");
    let left = Speaker::of(&daemon, "control.child");
    assert!(hears(&daemon, &control, "the first"));
    assert!(!hears(&daemon, &left, "its helper"));
    daemon.open("end");
    daemon.wait_state("app", State::Running);
    assert!(!hears(&daemon, &left, "what the first has left"));
    std::fs::remove_file(daemon.path("end")).unwrap();
    daemon.operation(&reload);
    let control = Speaker::nth(&daemon, "control", 2);
    assert!(hears(&daemon, &control, "the second"));
    assert!(!hears(&daemon, &left, "what the first has left"));
}

#[test]
fn item_032_credentials_that_root_has_set_count() {
    if !must_as_root(|| true, "", "") {
        return;
    }
    let (daemon, speaker) = app("", &["--child", "--relay"]);
    let child = daemon.wait_record("relays", "app.child", 1).pid;
    let root = Speaker::stranger(&daemon, "app");
    assert!(!hears(&daemon, &root, "root"));
    root.say_as(daemon.pid_of("app"), "STATUS=for main");
    root.barrier();
    assert_eq!(status(&daemon).as_deref(), Some("for main"));
    // The same the other way round: who speaks for another is not himself any more.
    root.say_as(child, "STATUS=for the child");
    root.barrier();
    assert_eq!(status(&daemon).as_deref(), Some("for main"));
    drop(speaker);
}

#[test]
fn item_033_an_ordinary_users_systemd_notify_is_heard_with_all_and_refused_with_main() {
    if !must(available("systemd-notify", &["--version"]), "systemd-notify", SYSTEMD_NOTIFY) {
        return;
    }
    let script = "systemd-notify --ready --status=$0 && echo sent >&2; exec sleep 1000";
    let daemon = Daemon::builder()
        .environment("USER_NAME", &user())
        .environment("SCRIPT", script)
        .spec(
            r#"
            [defaults]
            type = "notify"
            user = "${USER_NAME}"
            log = { stderr = "merge" }
            [service.all]
            notify-access = "all"
            command = ["sh", "-c", "${SCRIPT}", "all"]
            [service.main]
            command = ["sh", "-c", "${SCRIPT}", "main"]"#,
        )
        .start();
    daemon.wait_state("all", State::Running);
    assert_eq!(daemon.service("all").status.as_deref(), Some("all"));
    // Its barrier is answered all the same.
    wait_until("the refused one to be sent", &mut (), |()| {
        daemon.read("log/main.log").contains("sent").then_some(())
    });
    let main = daemon.service("main");
    assert_eq!((main.state, main.status), (State::Starting, None));
}

#[test]
fn item_034_access_of_main_is_implied_where_it_is_needed_and_what_is_set_stays() {
    for (lines, child) in [
        ("type = \"notify\"", false),
        ("type = \"notify-reload\"", false),
        ("watchdog = \"10min\"", false),
        ("fd-store-max = 1", false),
        ("type = \"notify\"\nnotify-access = \"all\"", true),
        ("watchdog = \"10min\"\nfd-store-max = 1\nnotify-access = \"all\"", true),
    ] {
        let daemon = Daemon::start(&format!(
            "[service.app]
             command = [\"${{FIXTURE}}\", \"app\", \"--child\", \"--relay\", \"--relay\"]
             {lines}"
        ));
        assert!(hears(&daemon, &Speaker::of(&daemon, "app"), "main"), "{lines}");
        let heard = hears(&daemon, &Speaker::of(&daemon, "app.child"), "child");
        assert_eq!(heard, child, "{lines}");
    }
}

#[test]
fn item_035_notifyaccess_counts_from_the_next_message_to_the_end_of_the_invocation() {
    let (daemon, main) = app("", &["--child", "--relay"]);
    let child = Speaker::of(&daemon, "app.child");
    assert!(!hears(&daemon, &child, "child at first"));
    child.tell("NOTIFYACCESS=all\nSTATUS=not its to say");
    assert_eq!(status(&daemon).as_deref(), None);
    main.tell("NOTIFYACCESS=all");
    assert!(hears(&daemon, &child, "child now"));
    // systemd goes back to the spec's here.
    main.tell("NOTIFYACCESS=everybody");
    assert!(hears(&daemon, &child, "child still"));
    main.tell("NOTIFYACCESS=main\nSTATUS=tight");
    assert!(!hears(&daemon, &child, "child later"));
    main.tell("NOTIFYACCESS=all");
    daemon.operation(&serde_json::json!({ "verb": "restart", "targets": ["app"] }));
    let main = Speaker::nth(&daemon, "app", 2);
    let child = Speaker::nth(&daemon, "app.child", 2);
    assert!(!hears(&daemon, &child, "child of the next"));
    assert!(hears(&daemon, &main, "main of the next"));
}

/// systemd loses the second: it looks for the sender's cgroup, which is gone with the process.
#[test]
fn item_036_helpers_forked_twice_and_helpers_reaped_at_once_are_heard() {
    let (daemon, speaker) = app(
        "notify-access = \"all\"",
        &["--daemon", "--relay", "--run", "--notify READY=1 --exit 0"],
    );
    speaker.barrier();
    let daemonised = Speaker::of(&daemon, "app.daemon.child");
    assert!(hears(&daemon, &daemonised, "who was forked twice"));
    daemon.wait_record("ran", "app", 1);
    daemon.wait_state("app", State::Running);
}

#[test]
fn item_037_a_process_of_another_service_is_not_heard() {
    let daemon = Daemon::builder()
        .spec(
            r#"
            [defaults]
            notify-access = "all"
            [service.app]
            command = "${FIXTURE} ${SERVICE} --relay"
            [service.other]
            command = ["sh", "-c", "NOTIFY_SOCKET=${RUNTIME_DIR}/notify/0 exec ${FIXTURE} other --child '--relay' --relay"]"#,
        )
        .start();
    let own = Speaker::of(&daemon, "app");
    assert_eq!(super::speaker::notify_socket(&daemon, "app"), daemon.path("run/notify/0"));
    for name in ["other", "other.child"] {
        let other = Speaker::of(&daemon, name);
        assert!(!hears(&daemon, &other, name), "{name}");
    }
    assert!(!hears(&daemon, &Speaker::stranger(&daemon, "app"), "the test"));
    assert!(hears(&daemon, &own, "app"));
    assert!(alive(daemon.pid_of("other")));
}
