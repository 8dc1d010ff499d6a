//! Items 122 to 130: descriptors that a service hands over for its next start.

use std::fs;

use nix::sys::signal::Signal;
use supervisor_api::State;

use crate::harness::{Daemon, send_signal, wait_until};

/// Stores `a` under the name that all have that have none.
const STORE_ONE: &str = r#""--passed", "--hand-in", "${DIR}/a", "FDSTORE=1", "--barrier""#;

/// A service with room for descriptors that takes these steps, and files `a` to `e`.
fn app(lines: &str, steps: &str) -> Daemon {
    let daemon = Daemon::start(&format!(
        r#"
        [service.app]
        enabled = false
        restart-delay = "0s"
        command = ["${{FIXTURE}}", "app", {steps}]
        {lines}"#
    ));
    for name in ["a", "b", "c", "d", "e"] {
        fs::write(daemon.path(name), name).unwrap();
    }
    daemon
}

fn stored(daemon: &Daemon) -> Vec<String> {
    daemon.detail("app").stored_fds
}

/// What it was given at its n-th start.
fn passed(daemon: &Daemon, start: usize) -> String {
    daemon.wait_record("passed", "app", start).detail
}

/// Whether the daemon itself has a file of the test's directory open.
fn holds(daemon: &Daemon, name: &str) -> bool {
    let links = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let mut targets = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
    targets.any(|target| target == daemon.path(name))
}

/// Starts it and lets it hand in what it has to.
fn start(daemon: &Daemon) {
    assert!(daemon.operate("start", &["app"]).ok);
    daemon.wait_record("barrier", "app", 1);
}

/// Decided otherwise: the oldest comes first.
#[test]
fn item_122_what_is_stored_is_given_back_at_the_next_start() {
    let mut daemon = app(
        "fd-store-max = 10",
        r#""--passed",
        "--hand-in", "${DIR}/a", "FDSTORE=1\nFDNAME=first",
        "--hand-in", "${DIR}/b,${DIR}/c", "FDSTORE=1\nFDNAME=second",
        "--hand-in", "${DIR}/e", "FDNAME=not asked for",
        "--barrier""#,
    );
    start(&daemon);
    assert_eq!(passed(&daemon, 1), "none");
    assert!(daemon.operate("restart", &["app"]).ok);
    // From 3 on, and open, so not close-on-exec; LISTEN_PID is its own.
    assert_eq!(passed(&daemon, 2), "3 first:second:second own: a b c");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn item_123_there_is_no_more_room_than_the_spec_says() {
    let daemon = app(
        "fd-store-max = 2",
        r#""--hand-in", "${DIR}/a,${DIR}/b,${DIR}/c,${DIR}/d", "FDSTORE=1", "--barrier""#,
    );
    start(&daemon);
    assert_eq!(stored(&daemon), ["stored", "stored"]);
    wait_until("it to be told", &mut (), |()| {
        let told = daemon.stderr();
        (told.contains("see fd-store-max") && told.contains("full=2")).then_some(())
    });
    wait_until("the others to be closed", &mut (), |()| {
        (holds(&daemon, "a") && !holds(&daemon, "c") && !holds(&daemon, "d")).then_some(())
    });
}

/// Decided otherwise: a duplicate is one also where the store is full.
#[test]
fn item_124_one_that_is_there_already_is_not_stored_twice() {
    let daemon = app(
        "fd-store-max = 2",
        r#""--hand-in", "${DIR}/a,${DIR}/b", "FDSTORE=1\nFDNAME=first",
        "--hand-in", "${DIR}/a", "FDSTORE=1\nFDNAME=again",
        "--barrier""#,
    );
    start(&daemon);
    assert_eq!(stored(&daemon), ["first", "first"]);
    let told = daemon.stderr();
    assert!(!told.contains("see fd-store-max"), "{told}");
}

#[test]
fn item_125_without_a_valid_name_it_is_called_stored() {
    let daemon = app(
        "fd-store-max = 9",
        r#""--hand-in", "${DIR}/a", "FDSTORE=1",
        "--hand-in", "${DIR}/b", "FDSTORE=1\nFDNAME=bad:name",
        "--hand-in", "${DIR}/c", "FDSTORE=1\nFDNAME=",
        "--hand-in", "${DIR}/d", "FDSTORE=1\nFDNAME=a name",
        "--barrier""#,
    );
    start(&daemon);
    assert_eq!(stored(&daemon), ["stored", "stored", "", "a name"]);
}

#[test]
fn item_126_a_name_is_removed_with_all_its_descriptors() {
    let daemon = app(
        "fd-store-max = 9",
        r#""--hand-in", "${DIR}/a,${DIR}/b,hung-up", "FDSTORE=1\nFDNAME=x\nFDPOLL=0",
        "--hand-in", "${DIR}/c", "FDSTORE=1\nFDNAME=y",
        "--notify", "FDSTOREREMOVE=1",
        "--hand-in", "${DIR}/d", "FDSTORE=1\nFDSTOREREMOVE=1\nFDNAME=x",
        "--barrier""#,
    );
    start(&daemon);
    assert_eq!(stored(&daemon), ["y"]);
}

#[test]
fn item_127_one_that_hangs_up_is_dropped_unless_nobody_is_to_look() {
    let daemon = app(
        "fd-store-max = 9",
        r#""--passed",
        "--hand-in", "${DIR}/a", "FDSTORE=1\nFDNAME=file",
        "--hand-in", "hung-up", "FDSTORE=1\nFDNAME=pipe",
        "--hand-in", "hung-up", "FDSTORE=1\nFDNAME=unpolled\nFDPOLL=0",
        "--barrier""#,
    );
    start(&daemon);
    let expected = ["file", "unpolled"];
    wait_until("the pipe to be dropped", &mut (), |()| (stored(&daemon) == expected).then_some(()));
    assert!(daemon.operate("restart", &["app"]).ok);
    assert_eq!(passed(&daemon, 2), "2 file:unpolled own: a pipe");
}

#[test]
fn item_128_how_long_descriptors_are_kept_is_for_the_spec_to_say() {
    // After a crash, after a restart, after a stop and a start.
    for (preserve, expected) in [
        ("no", [None, None, None]),
        ("restart", [Some(1), Some(2), None]),
        ("yes", [Some(1), Some(2), Some(3)]),
    ] {
        let lines =
            format!("restart = \"always\"\nfd-store-max = 9\nfd-store-preserve = \"{preserve}\"");
        let daemon = app(&lines, STORE_ONE);
        let is_passed = |start, expected: Option<usize>| {
            let names = |count| vec!["stored"; count].join(":");
            let files = |count| vec!["a"; count].join(" ");
            let expected = expected.map_or("none".to_owned(), |count| {
                format!("{count} {} own: {}", names(count), files(count))
            });
            assert_eq!(passed(&daemon, start), expected, "{preserve}, start {start}");
            daemon.wait_record("barrier", "app", start);
        };
        assert!(daemon.operate("start", &["app"]).ok);
        is_passed(1, None);
        send_signal(daemon.pid_of("app"), Signal::SIGKILL);
        is_passed(2, expected[0]);
        assert!(daemon.operate("restart", &["app"]).ok);
        is_passed(3, expected[1]);
        assert!(daemon.operate("stop", &["app"]).ok);
        assert_eq!(stored(&daemon).len(), expected[2].unwrap_or(0), "{preserve}");
        assert!(daemon.operate("start", &["app"]).ok);
        is_passed(4, expected[2]);
    }
}

#[test]
fn item_129_nobody_but_the_main_process_gets_them() {
    let daemon = app(
        r#"notify-access = "exec"
        fd-store-max = 9
        stop-sequence = [
            { command = "${FIXTURE} app.stop --open --passed --env FDSTORE --exit 0", timeout = "10s", wait = false },
            { signal = "TERM", timeout = "10s" },
        ]
        [service.other]
        enabled = false
        command = "${FIXTURE} other --open --passed""#,
        STORE_ONE,
    );
    start(&daemon);
    assert!(daemon.operate("start", &["other"]).ok);
    daemon.wait_record("passed", "other", 1);
    assert!(daemon.operate("stop", &["app"]).ok);
    for name in ["other", "app.stop"] {
        assert_eq!(daemon.wait_record("passed", name, 1).detail, "none");
        let open = daemon.wait_record("open", name, 1).detail;
        assert!(!open.split(' ').any(|target| target == "a"), "{name}: {open}");
    }
    assert_eq!(daemon.wait_record("env", "app.stop", 1).detail, "FDSTORE=9");
}

#[test]
fn item_130_a_service_is_told_how_much_it_may_store() {
    let daemon = app(
        "notify-access = \"all\"",
        r#""--env", "FDSTORE", "--hand-in", "${DIR}/a", "FDSTORE=1", "--barrier""#,
    );
    start(&daemon);
    assert_eq!(stored(&daemon), Vec::<String>::new());
    assert_eq!(daemon.wait_record("env", "app", 1).detail, "FDSTORE=(unset)");
    let daemon = app("fd-store-max = 2", r#""--env", "FDSTORE", "--barrier""#);
    start(&daemon);
    assert_eq!(daemon.wait_record("env", "app", 1).detail, "FDSTORE=2");
}

/// Their names just fit into a variable.
#[test]
fn a_service_that_has_stored_all_that_it_can_is_started_again() {
    let many = ["hung-up"; 250].join(",");
    let name = "x".repeat(255);
    let step = format!(r#""--hand-in", "{many}", "FDSTORE=1\nFDPOLL=0\nFDNAME={name}""#);
    let daemon = app(
        "fd-store-max = 500",
        &format!(r#""--passed", {step}, {step}, "--hand-in", "hung-up", "FDSTORE=1", "--barrier""#),
    );
    start(&daemon);
    assert!(stored(&daemon) == vec![name; 500]);
    assert!(daemon.operate("restart", &["app"]).ok);
    assert!(passed(&daemon, 2).starts_with("500 xxx"));
}

#[test]
fn a_service_that_has_failed_loses_what_it_stored() {
    let steps = format!(r#"{STORE_ONE}, "--await", "${{DIR}}/gate", "--exit", "1""#);
    let daemon = app("restart = \"no\"\nfd-store-max = 9", &steps);
    start(&daemon);
    assert_eq!(stored(&daemon), ["stored"]);
    assert!(holds(&daemon, "a"));
    daemon.open("gate");
    daemon.wait_state("app", State::Failed);
    assert_eq!(stored(&daemon), Vec::<String>::new());
    wait_until("it to be closed", &mut (), |()| (!holds(&daemon, "a")).then_some(()));
}

#[test]
fn who_may_not_speak_for_the_service_stores_nothing() {
    let daemon =
        app("fd-store-max = 9", r#""--run", "--hand-in ${DIR}/a FDSTORE=1 --exit 0", "--barrier""#);
    start(&daemon);
    assert_eq!(stored(&daemon), Vec::<String>::new());
}
