//! Items 73 to 83: the timers of the phases, and how a service gets more time.

use supervisor_api::{ItemResult, State};

use super::app::{app, begin, left, pass, say, signals, steps};

const MINUTE: u64 = 60_000;

#[test]
fn item_073_extend_moves_the_deadline_only_later() {
    let daemon = app("start-timeout = \"10min\"", &["--relay"]);
    daemon.wait_record("start", "app", 1);
    let deadline = || daemon.service("app").deadline_ms.unwrap();
    let before = deadline();
    for micros in ["1000", "0", "18446744073709551615", "-5", "soon"] {
        say(&daemon, &format!("EXTEND_TIMEOUT_USEC={micros}"));
        // The clock of the API may be off by one.
        assert!(deadline().abs_diff(before) <= 2, "{micros}");
    }
    say(&daemon, "EXTEND_TIMEOUT_USEC=1200000000");
    assert!(left(&daemon) > 15 * MINUTE);
}

#[test]
fn item_074_extend_applies_to_every_phase() {
    // A start and a stop.
    let lines = "start-timeout = \"1min\"\nstop-timeout = \"1min\"";
    let more = "EXTEND_TIMEOUT_USEC=600000000";
    let daemon = app(
        lines,
        &[
            "--term-says",
            more,
            "--term-awaits",
            "${DIR}/end",
            "--notify",
            more,
            "--await",
            "${DIR}/gate",
            "--ready",
        ],
    );
    daemon.wait_record("said", "app", 1);
    assert!(left(&daemon) > 5 * MINUTE);
    daemon.open("gate");
    daemon.wait_state("app", State::Running);
    begin(&daemon, "stop");
    daemon.wait_record("said", "app", 3);
    assert!(left(&daemon) > 5 * MINUTE);

    // A reload, and the time that a service may be up.
    let lines = "runtime-max = \"300ms\"\nreload-timeout = \"1min\"\nreload-signal = \"USR1\"";
    let daemon = app(lines, &["--relay"]);
    say(&daemon, &format!("READY=1\n{more}"));
    pass(400);
    assert_eq!(daemon.state("app"), State::Running);
    say(&daemon, "RELOADING=1");
    assert!((MINUTE / 2..MINUTE + 100).contains(&left(&daemon)));
    say(&daemon, more);
    assert!(left(&daemon) > 5 * MINUTE);

    // The end of one that missed its watchdog.
    let daemon = app(
        "watchdog = \"10ms\"\nabort-timeout = \"1min\"",
        &["--answer", "ABRT", more, "--ready"],
    );
    daemon.wait_record("said", "app", 2);
    assert!(left(&daemon) > 5 * MINUTE);
}

#[test]
fn item_075_extend_moves_the_watchdog_too() {
    let daemon = app(
        "watchdog = \"300ms\"",
        &["--relay", "--notify", "READY=1\nEXTEND_TIMEOUT_USEC=600000000"],
    );
    daemon.wait_state("app", State::Running);
    pass(500);
    assert_eq!(daemon.state("app"), State::Running);
    // A ping counts from now on, as ever.
    say(&daemon, "WATCHDOG=1");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "watchdog");
}

#[test]
fn item_076_extend_may_be_repeated_without_end() {
    let daemon = app("start-timeout = \"1min\"", &["--relay"]);
    daemon.wait_record("start", "app", 1);
    for minutes in 2..100 {
        say(&daemon, &format!("EXTEND_TIMEOUT_USEC={}", minutes * MINUTE * 1000));
        assert!(left(&daemon) > (minutes - 1) * MINUTE, "{minutes}");
    }
}

#[test]
fn item_077_an_extension_that_lapses_fails_its_phase() {
    let more = "EXTEND_TIMEOUT_USEC=200000";
    let daemon = app("start-timeout = \"100ms\"", &["--notify", more]);
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-timeout");
    assert!(daemon.detail("app").runs[0].lasted_ms >= 200);

    let daemon = app("runtime-max = \"100ms\"", &["--notify", &format!("READY=1\n{more}")]);
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "runtime-max");
    assert!(daemon.detail("app").runs[0].lasted_ms >= 200);

    let daemon =
        app("stop-timeout = \"100ms\"", &["--ignore", "TERM", "--answer", "TERM", more, "--ready"]);
    daemon.wait_state("app", State::Running);
    assert!(daemon.operate("stop", &["app"]).ok);
    let stop = &daemon.detail("app").runs[0].stop;
    assert_eq!((stop[0].step.as_str(), stop[0].result.as_str()), ("signal TERM", "timeout"));
    assert!(stop[0].took_ms >= 200, "{stop:?}");

    let daemon = app(
        "type = \"notify-reload\"\nreload-timeout = \"100ms\"",
        &["--answer", "HUP", &format!("RELOADING=1\nMONOTONIC_USEC=@NOW@\n{more}"), "--ready"],
    );
    daemon.wait_state("app", State::Running);
    let operation = daemon.operate("reload", &["app"]);
    assert_eq!(operation.items[0].result, Some(ItemResult::ReloadFailed));
    assert!(operation.elapsed_ms >= 200, "{operation:?}");
}

#[test]
fn item_078_extend_beside_ready_applies_to_what_comes() {
    let daemon = app(
        "start-timeout = \"10min\"\nruntime-max = \"50ms\"",
        &["--notify", "EXTEND_TIMEOUT_USEC=300000\nREADY=1"],
    );
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "runtime-max");
    assert!(daemon.detail("app").runs[0].lasted_ms >= 300);
}

#[test]
fn item_079_each_step_of_a_stop_has_its_own_timeout() {
    let daemon = app(
        r#"stop-sequence = [
            { command = ["${FIXTURE}", "slow"], timeout = "50ms" },
            { command = ["${FIXTURE}", "slower"], timeout = "150ms" },
            { signal = "INT", timeout = "100ms" },
            { signal = "TERM", timeout = "10min" },
        ]"#,
        &["--ignore", "INT", "--ready"],
    );
    daemon.wait_state("app", State::Running);
    assert!(daemon.operate("stop", &["app"]).ok);
    let stop = &daemon.detail("app").runs[0].stop;
    let names: Vec<_> = stop.iter().map(|phase| phase.step.as_str()).collect();
    assert_eq!(names, ["command", "command", "signal INT", "signal TERM"]);
    for (phase, least) in stop.iter().zip([50, 150, 100, 0]) {
        assert!(phase.took_ms >= least, "{stop:?}");
    }
}

#[test]
fn item_080_a_oneshot_has_no_start_timeout_unless_it_is_set() {
    let daemon = app("type = \"oneshot\"", &["--await", "${DIR}/end", "--exit", "0"]);
    daemon.wait_record("start", "app", 1);
    let app = daemon.service("app");
    assert_eq!((app.state, app.deadline_ms), (State::Starting, None));
    let daemon = self::app("type = \"oneshot\"\nstart-timeout = \"50ms\"", &[]);
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-timeout");
}

/// Decided otherwise: a limit of zero is refused, and what has none is written `"infinity"`.
#[test]
fn item_081_no_limit_is_written_infinity() {
    let lines = "start-timeout = \"infinity\"\nstop-timeout = \"infinity\"";
    let daemon = app(lines, &["--ignore", "TERM", "--await", "${DIR}/gate", "--ready"]);
    daemon.wait_record("start", "app", 1);
    assert_eq!(daemon.service("app").deadline_ms, None);
    daemon.open("gate");
    daemon.wait_state("app", State::Running);
    begin(&daemon, "stop");
    daemon.wait_record("signal", "app", 1);
    assert_eq!(daemon.service("app").deadline_ms, None);

    let file = daemon.path("zero.toml");
    let spec = "[service.app]\ncommand = [\"true\"]\nstart-timeout = \"0s\"\n";
    std::fs::write(&file, spec).unwrap();
    let mut check = crate::harness::supervisord(daemon.dir());
    let output = check.arg("--check").arg("-c").arg(file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("for no limit write \"infinity\""), "{told}");
}

#[test]
fn item_082_runtime_max_counts_across_reloads_and_ends_in_an_ordinary_stop() {
    let daemon = app(
        "type = \"notify-reload\"
         runtime-max = \"400ms\"
         stop-timeout = \"50ms\"
         stop-command = \"${FIXTURE} stopper --exit 0\"",
        &["--reloads", "--ready"],
    );
    daemon.wait_state("app", State::Running);
    while daemon.state("app") == State::Running {
        daemon.operate("reload", &["app"]);
    }
    daemon.wait_record("exit", "stopper", 1);
    let app = daemon.wait_service("app", "gone", |app| app.state != State::Stopping);
    assert_eq!(app.why.code, "runtime-max");
    assert!(signals(&daemon, "app").contains(&"HUP".to_owned()));
    let lasted = daemon.detail("app").runs[0].lasted_ms;
    assert!((400..5_000).contains(&lasted), "{lasted} ms");
}

/// Decided otherwise: there are no modes of failure. What is late is stopped by its sequence, which
/// says what a service gets, and by the signal at its end.
#[test]
fn item_083_what_is_late_is_stopped_by_its_sequence() {
    for (lines, sequence) in [
        ("", &[("signal TERM", "gone")][..]),
        ("stop-signal = \"ABRT\"", &[("signal ABRT", "gone")]),
        ("stop-sequence = [{ signal = \"KILL\" }]", &[("signal KILL", "gone")]),
        (
            "stop-timeout = \"50ms\"\nfinal-signal = \"ABRT\"\nstop-signal = \"USR1\"",
            &[("signal USR1", "timeout"), ("signal ABRT", "gone")],
        ),
    ] {
        let daemon = app(&format!("start-timeout = \"50ms\"\n{lines}"), &[]);
        assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-timeout");
        let expected: Vec<_> =
            sequence.iter().map(|(step, end)| (step.to_string(), end.to_string())).collect();
        assert_eq!(steps(&daemon), expected, "{lines}");
    }
}
