//! Items 107 to 121: what an end is worth, and what follows from it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use nix::sys::signal::Signal;
use supervisor_api::State;

use super::app::{app, begin, left, pass, say};
use crate::harness::{Daemon, send_signal, wait_until};

fn starts(daemon: &Daemon) -> usize {
    daemon.happened("start", "app").len()
}

#[test]
fn item_107_death_by_a_polite_signal_is_clean_for_what_runs_long() {
    for signal in ["HUP", "INT", "TERM", "PIPE", "KILL", "USR1", "ALRM"] {
        let clean = ["HUP", "INT", "TERM", "PIPE"].contains(&signal);
        for kind in ["simple", "notify", "oneshot"] {
            let ready: &[_] = if kind == "notify" { &["--ready"] } else { &[] };
            let daemon = app(&format!("type = {kind:?}"), &[ready, &["--die", signal]].concat());
            let ends_well = clean && kind != "oneshot";
            let expected = if ends_well { State::Exited } else { State::Failed };
            let app = daemon.wait_state("app", expected);
            assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some(signal), "{kind}");
        }
    }
}

/// Decided otherwise: a dump is clean where the signal that caused it is listed.
#[test]
fn item_108_a_core_dump_is_clean_only_where_its_signal_is_listed() {
    let lines = "working-directory = \"${DIR}\"\nlimits = { core = \"infinity\" }";
    let daemon = app(lines, &["--ready", "--die", "QUIT"]);
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.exit.and_then(|exit| exit.signal).as_deref(), Some("QUIT"));
    let daemon =
        self::app(&format!("{lines}\nsuccess-exit = [\"QUIT\"]"), &["--ready", "--die", "QUIT"]);
    daemon.wait_state("app", State::Exited);
}

/// Decided otherwise: statuses are listed by number only; signals by name.
#[test]
fn item_109_listed_statuses_and_signals_are_a_success() {
    let lines = "success-exit = [42, \"USR1\", \"SIGABRT\"]";
    for (end, expected) in [
        (["--exit", "42"], State::Exited),
        (["--exit", "41"], State::Failed),
        (["--die", "USR1"], State::Exited),
        (["--die", "ABRT"], State::Exited),
        (["--die", "USR2"], State::Failed),
    ] {
        let daemon = app(lines, &["--ready", end[0], end[1]]);
        daemon.wait_state("app", expected);
    }
    // For a oneshot too, of which it is the whole result.
    let daemon = app(&format!("type = \"oneshot\"\n{lines}"), &["--die", "USR1"]);
    daemon.wait_state("app", State::Exited);
}

#[test]
fn item_110_the_first_failure_is_the_result() {
    // Late, and then with a status of its own; late, and then killed; hanging, and then a status.
    for (lines, steps, code) in [
        ("start-timeout = \"50ms\"", &["--term-exit", "7"][..], "start-timeout"),
        (
            "start-timeout = \"50ms\"\nstop-timeout = \"50ms\"",
            &["--ignore", "TERM"],
            "start-timeout",
        ),
        ("runtime-max = \"50ms\"", &["--term-exit", "7", "--ready"], "runtime-max"),
        (
            "watchdog = \"50ms\"\nabort-timeout = \"50ms\"",
            &["--ignore", "ABRT", "--ready"],
            "watchdog",
        ),
    ] {
        let daemon = app(lines, steps);
        assert_eq!(daemon.wait_state("app", State::Failed).why.code, code, "{lines}");
    }
}

#[test]
fn item_111_the_policy_decides_by_how_a_service_ended() {
    const POLICIES: [&str; 7] =
        ["no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"];
    let notify = "type = \"notify\"\n";
    let table: [(&str, &str, &str, [u8; 7]); 9] = [
        ("success", "--exit 0", "", [0, 1, 1, 0, 0, 0, 0]),
        ("polite", "--die TERM", "", [0, 1, 1, 0, 0, 0, 0]),
        ("exit-code", "--exit 3", "", [0, 1, 0, 1, 0, 0, 0]),
        ("signal", "--die KILL", "", [0, 1, 0, 1, 1, 1, 0]),
        ("core-dump", "--die ABRT", "", [0, 1, 0, 1, 1, 1, 0]),
        ("timeout", "", &format!("{notify}start-timeout = \"20ms\""), [0, 1, 0, 1, 1, 0, 0]),
        ("runtime-max", "", "runtime-max = \"20ms\"", [0, 1, 0, 1, 1, 0, 0]),
        ("protocol", "--exit 0", notify, [0, 1, 0, 1, 1, 0, 0]),
        (
            "watchdog",
            "--ready",
            &format!("{notify}watchdog = \"20ms\"\nabort-timeout = \"10s\""),
            [0, 1, 0, 1, 1, 0, 1],
        ),
    ];
    let mut spec = String::from(
        "[defaults]\nrestart-delay = \"0s\"\nstart-limit-burst = 2\nlimits = { core = 0 }\n",
    );
    let mut expected = BTreeSet::new();
    for (end, steps, lines, restarts) in &table {
        for (policy, restart) in POLICIES.iter().zip(restarts) {
            let name = format!("{end}.{policy}");
            writeln!(spec, "[service.\"{name}\"]\nrestart = {policy:?}\n{lines}").unwrap();
            writeln!(spec, "command = \"${{FIXTURE}} {name} {steps}\"").unwrap();
            if *restart == 1 {
                expected.insert(name);
            }
        }
    }
    let daemon = Daemon::start(&spec);
    let services = wait_until("all to have come to rest", &mut (), |()| {
        let services = daemon.services().services;
        let rests = services.iter().all(|one| matches!(one.state, State::Exited | State::Failed));
        rests.then_some(services)
    });
    let actual: BTreeSet<_> =
        services.into_iter().filter(|one| one.restarts > 0).map(|one| one.name).collect();
    assert_eq!(actual, expected);
    for name in actual {
        assert_eq!(daemon.service(&name).why.code, "start-limit", "{name}");
    }
}

#[test]
fn item_112_prevented_comes_before_forced_and_that_before_the_policy() {
    let limit = "start-limit-burst = 2";
    let simple = "type = \"simple\"";
    for (kind, lines, steps, runs) in [
        (simple, "restart = \"always\"\nrestart-prevent-exit = [5]", ["--exit", "5"], 1),
        (simple, "restart-prevent-exit = [5]\nrestart-force-exit = [5]", ["--exit", "5"], 1),
        (simple, "restart = \"always\"\nrestart-prevent-exit = [\"USR1\"]", ["--die", "USR1"], 1),
        (simple, "restart-force-exit = [5]", ["--exit", "5"], 2),
        (simple, "restart-force-exit = [\"USR1\"]", ["--die", "USR1"], 2),
        ("type = \"oneshot\"", "restart-force-exit = [0, 5]", ["--exit", "5"], 2),
        ("type = \"oneshot\"", "restart-force-exit = [0, 5]", ["--exit", "0"], 1),
    ] {
        let daemon = app(&format!("{kind}\n{limit}\n{lines}"), &steps);
        wait_until("its last end", &mut (), |()| {
            let app = daemon.service("app");
            let rests = matches!(app.state, State::Exited | State::Failed);
            rests.then_some(())
        });
        assert_eq!(starts(&daemon), runs, "{lines}");
    }
}

#[test]
fn item_113_a_stop_by_hand_is_never_followed_by_a_restart() {
    for steps in [&["--term-exit", "9", "--ready"][..], &["--ignore", "TERM", "--ready"]] {
        let daemon = app("restart = \"always\"\nstop-timeout = \"50ms\"", steps);
        daemon.wait_state("app", State::Running);
        assert!(daemon.operate("stop", &["app"]).ok);
        assert_eq!(daemon.state("app"), State::Stopped);
        pass(50);
        assert_eq!((daemon.state("app"), starts(&daemon)), (State::Stopped, 1));
    }
}

#[test]
fn item_114_a_condition_that_is_not_met_is_not_tried_again() {
    let lines = "restart = \"always\"\ncondition = [\"test -e ${DIR}/wanted\"]";
    let daemon = app(lines, &["--ready"]);
    let app = daemon.wait_state("app", State::Stopped);
    assert_eq!((app.why.code.as_str(), app.restarts), ("condition", 0));
    let run = &daemon.detail("app").runs[0];
    assert_eq!(run.reason, "condition 1 is not met: exit status 1");
    // Nothing tries it, although it could start now; who asks for it has it started.
    daemon.open("wanted");
    pass(50);
    assert_eq!(daemon.state("app"), State::Stopped);
    assert_eq!(daemon.detail("app").runs.len(), 1);
    assert!(daemon.operate("start", &["app"]).ok);
    assert_eq!(starts(&daemon), 1);
}

/// Decided otherwise: each delay is the one before times a factor, longer or shorter by a share.
#[test]
fn item_115_the_delays_grow_to_their_maximum() {
    let daemon = app(
        "restart = \"always\"
         restart-delay = \"40ms\"
         restart-factor = 2.0
         restart-max-delay = \"80ms\"
         restart-jitter = 0.0",
        &["--fail-first", "5", "--ready"],
    );
    daemon.wait_state("app", State::Running);
    let (starts, exits) = (daemon.happened("start", "app"), daemon.happened("exit", "app"));
    for (number, least) in [40, 80, 80, 80, 80].into_iter().enumerate() {
        let delay = starts[number + 1].time - exits[number].time;
        assert!(delay >= least * 1000, "restart {number} came after {delay} µs");
    }
}

/// Decided otherwise: the count goes to zero too when a service was up for `restart-reset`.
#[test]
fn item_116_the_count_of_restarts_in_a_row_can_be_reset() {
    // The second restart in a row is due long after the first. The first run fails, the second goes on
    // until the gate is open, and all further ones fail too.
    let play = |lines: &str, meanwhile: &dyn Fn(&Daemon)| {
        let daemon = app(
            &format!(
                "restart = \"always\"
                 restart-delay = \"100ms\"
                 restart-factor = 1000.0
                 restart-max-delay = \"10min\"
                 {lines}"
            ),
            &["--relay", "--fail-first", "1", "--ready", "--await", "${DIR}/gate", "--exit", "1"],
        );
        daemon.wait_state("app", State::Running);
        meanwhile(&daemon);
        daemon.open("gate");
        daemon.wait_service("app", "left alone for long", |app| {
            app.state == State::Backoff && left(&daemon) > 60_000
        });
        daemon
    };
    let daemon = play("", &|_| {});
    assert_eq!(starts(&daemon), 2);
    // By a start by hand, by what the service says, by a reset, and by a time of quiet.
    begin(&daemon, "start");
    daemon.wait_record("exit", "app", 4);
    let daemon = play("", &|daemon| say(daemon, "RESTART_RESET=1"));
    assert_eq!(starts(&daemon), 3);
    let daemon = play("", &|daemon| assert!(daemon.operate("reset", &["app"]).ok));
    assert_eq!(starts(&daemon), 3);
    let daemon = play("restart-reset = \"50ms\"", &|_| pass(100));
    assert_eq!(starts(&daemon), 3);
}

/// Decided otherwise: the window slides, so that no window of this length has more starts, and a
/// start by hand is always admitted and begins the count anew.
#[test]
fn item_117_so_many_starts_in_the_window_and_no_more() {
    let limited = |lines: &str| {
        let lines = format!("type = \"simple\"\nrestart = \"always\"\n{lines}");
        app(&lines, &["--exit", "1"])
    };
    let daemon = limited("start-limit-burst = 3");
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-limit");
    assert_eq!(starts(&daemon), 3);
    begin(&daemon, "start");
    daemon.wait_record("start", "app", 6);
    assert_eq!(daemon.wait_state("app", State::Failed).why.code, "start-limit");
    assert_eq!(starts(&daemon), 6);
    assert!(daemon.operate("reset", &["app"]).ok);
    assert_eq!(daemon.state("app"), State::Stopped);

    // Never three of them within the window.
    let slow = "start-limit-interval = \"50ms\"\nrestart-delay = \"30ms\"\nrestart-jitter = 0.0
        restart-max-delay = \"30ms\"\nstart-limit-burst = 2";
    limited(slow).wait_record("start", "app", 10);
    limited("start-limit-burst = 0").wait_record("start", "app", 20);
}

#[test]
fn item_118_a_start_during_the_delay_is_immediate() {
    let daemon = app(
        "restart = \"always\"\nrestart-delay = \"10min\"\nrestart-max-delay = \"10min\"",
        &["--fail-first", "1", "--ready"],
    );
    daemon.wait_state("app", State::Backoff);
    assert!(daemon.operate("start", &["app"]).ok);
    assert_eq!(daemon.state("app"), State::Running);
}

/// Decided otherwise: `on-failure` follows the end of all tries, in both modes.
#[test]
fn item_119_a_direct_restart_is_seen_by_nobody_and_a_normal_one_by_what_is_bound() {
    for mode in ["direct", "normal"] {
        let daemon = app(
            &format!(
                "restart = \"on-failure\"
                 restart-mode = {mode:?}
                 on-failure = [\"alert\"]
                 [service.bound]
                 restart = \"always\"
                 command = \"${{FIXTURE}} bound --ready\"
                 binds-to = [\"app\"]
                 [service.alert]
                 type = \"oneshot\"
                 enabled = false
                 command = \"${{FIXTURE}} alert --exit 0\""
            ),
            &["--ready"],
        );
        let bound = daemon.wait_state("bound", State::Running).pid;
        send_signal(daemon.pid_of("app"), Signal::SIGKILL);
        daemon.wait_record("said", "app", 2);
        daemon.wait_state("app", State::Running);
        if mode == "direct" {
            assert_eq!(daemon.service("bound").pid, bound);
        } else {
            daemon.wait_record("signal", "bound", 1);
        }
        assert_eq!(daemon.happened("start", "alert"), [], "{mode}");
    }
}

#[test]
fn item_120_restarts_are_counted_and_each_run_has_an_id() {
    let daemon =
        app("restart = \"always\"", &["--env", "INVOCATION_ID", "--fail-first", "2", "--ready"]);
    daemon.wait_state("app", State::Running);
    assert_eq!(daemon.service("app").restarts, 2);
    assert!(daemon.operate("restart", &["app"]).ok);
    assert_eq!(daemon.service("app").restarts, 2, "only automatic ones count");
    let ids: BTreeSet<_> =
        daemon.happened("env", "app").into_iter().map(|seen| seen.detail).collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
    for id in ids {
        let id = id.strip_prefix("INVOCATION_ID=").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
    assert!(daemon.operate("reset", &["app"]).ok);
    assert_eq!(daemon.service("app").restarts, 0);
}

#[test]
fn item_121_a_start_limit_is_a_result_of_its_own_and_the_last_one() {
    let daemon =
        app("type = \"simple\"\nrestart = \"always\"\nstart-limit-burst = 3", &["--exit", "1"]);
    let app = daemon.wait_state("app", State::Failed);
    assert_eq!(app.why.code, "start-limit");
    assert_eq!((app.deadline_ms, app.restarts), (None, 3));
    pass(100);
    assert_eq!((daemon.state("app"), starts(&daemon)), (State::Failed, 3));
}
