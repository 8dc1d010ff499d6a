//! A shutdown that has less time than the stops want: who gets how much of it.

use std::time::Duration;

use supervisor_engine::{
    Allotted, Manner, PhaseEnd, Request, Run, Signal, State, Status, Step, StopHow, WatchdogSpec,
};

use crate::case::{Case, Spec, command, millis, notify, secs, signal, simple, target};

/// Stops in the order of its letters, each wants ten seconds.
fn chain() -> [Spec; 6] {
    [
        simple("f"),
        simple("e").requires("f"),
        simple("d").requires("e"),
        simple("c").requires("d"),
        simple("b").requires("c"),
        simple("a").requires("b"),
    ]
}

fn deadline(case: &Case, name: &str) -> Duration {
    case.state(name).deadline().expect("it has one") - case.now
}

/// How the last invocation of this one ended.
fn run<'a>(case: &'a Case, name: &str) -> &'a Run {
    let id = case.id(name);
    let mut changes = case.transitions.iter().rev().filter(|change| change.service == id);
    changes.find_map(|change| change.ended.as_deref()).expect("it has ended")
}

fn allotted(case: &Case, name: &str) -> Allotted {
    run(case, name).allotted.expect("the shutdown had a limit")
}

#[test]
fn what_does_not_fit_is_shared_out_along_the_chain() {
    let mut case = Case::up(chain());
    case.shut_down(Some(6));
    for name in ["a", "b", "c", "d", "e", "f"] {
        case.is(name, Status::Stopping);
        assert_eq!(deadline(&case, name), secs(1), "{name}");
        case.after(secs(1));
        case.dies(name, Signal::KILL);
        assert_eq!(allotted(&case, name), Allotted { asked: secs(10), short: secs(9) });
        let ends: Vec<_> = run(&case, name).stop.iter().flat_map(|(_, phases)| phases).collect();
        assert_eq!(ends[0].end, PhaseEnd::CutShort);
    }
    assert!(case.engine.is_down());
}

#[test]
fn what_fits_gets_all_that_it_asks_for() {
    let mut case = Case::up(chain());
    case.shut_down(Some(60));
    assert_eq!(deadline(&case, "a"), secs(10));
    case.after(secs(10));
    case.dies("a", Signal::KILL);
    assert_eq!(allotted(&case, "a"), Allotted { asked: secs(10), short: secs(0) });
    let ends: Vec<_> = run(&case, "a").stop.iter().flat_map(|(_, phases)| phases).collect();
    assert_eq!(ends[0].end, PhaseEnd::Timeout);
}

#[test]
fn without_a_limit_nothing_is_allotted() {
    let mut case = Case::up(chain());
    case.shut_down(None);
    case.dies("a", Signal::TERM);
    assert_eq!(run(&case, "a").allotted, None);
}

#[test]
fn what_one_leaves_over_goes_to_those_after_it() {
    let mut case = Case::up(chain());
    case.shut_down(Some(6));
    for name in ["a", "b", "c"] {
        case.dies(name, Signal::TERM);
        assert_eq!(allotted(&case, name), Allotted { asked: secs(10), short: secs(0) });
    }
    assert_eq!(deadline(&case, "d"), secs(2));
    case.dies("d", Signal::TERM);
    assert_eq!(deadline(&case, "e"), secs(3));
}

#[test]
fn what_dies_before_its_turn_leaves_its_time_to_the_others() {
    let mut case = Case::up(chain());
    case.shut_down(Some(6));
    case.exits("f", 0);
    case.exits("d", 0);
    case.dies("a", Signal::TERM);
    assert_eq!(deadline(&case, "b"), secs(3), "only c waits for it, and e for nobody");
}

#[test]
fn time_is_shared_out_in_proportion_to_what_is_wanted() {
    let long = simple("db").stops_by([signal(Signal::TERM, 50)]);
    let quick = simple("quick").stops_by([signal(Signal::TERM, 1)]);
    let mut case = Case::up([long, quick, simple("web").requires("db").requires("quick")]);
    case.shut_down(Some(6));
    assert_eq!(deadline(&case, "web"), secs(1), "10 of 60: the heavier chain counts");
    case.after(secs(1));
    case.dies("web", Signal::KILL);
    assert_eq!(deadline(&case, "db"), secs(5));
    assert_eq!(deadline(&case, "quick"), secs(1));
}

#[test]
fn every_step_of_a_stop_has_its_part() {
    let steps = [
        command(0, 30),
        supervisor_engine::StopStep { how: StopHow::Sleep, ..signal(Signal::TERM, 20) },
        signal(Signal::TERM, 10),
    ];
    let mut case = Case::up([simple("web").stops_by(steps)]);
    case.shut_down(Some(6));
    case.after(secs(3));
    case.does(["web stop-command 0", "web KILL command"]);
    case.after(secs(2));
    case.does(["web TERM all"]);
    case.after(secs(1));
    case.does(["web KILL all"]);
    case.command_is_killed("web");
    case.dies("web", Signal::KILL);
    assert_eq!(allotted(&case, "web"), Allotted { asked: secs(60), short: secs(54) });
}

#[test]
fn a_step_that_ends_early_leaves_its_time_to_the_next() {
    let mut case = Case::up([
        simple("db"),
        simple("web").requires("db").stops_by([command(0, 10), signal(Signal::TERM, 10)]),
    ]);
    case.shut_down(Some(6));
    assert_eq!(deadline(&case, "web"), secs(2));
    case.command_exits("web", 1);
    assert_eq!(deadline(&case, "web"), secs(3));
}

#[test]
fn the_final_signal_is_part_of_what_a_stop_wants() {
    let stubborn = simple("web").with(|spec| spec.stop.final_signal = Some(Signal::QUIT));
    let mut case = Case::up([stubborn]);
    case.shut_down(Some(6));
    case.after(secs(3));
    case.does(["web TERM all", "web QUIT all"]);
    case.after(secs(3));
    case.does(["web KILL all"]);
}

#[test]
fn no_timeout_counts_as_the_whole_limit() {
    let endless = simple("web").with(|spec| spec.stop.steps[0].timeout = None);
    let mut case = Case::up([simple("db"), endless.requires("db")]);
    case.shut_down(Some(30));
    assert_eq!(deadline(&case, "web"), millis(22_500));
    case.after(millis(22_500));
    case.dies("web", Signal::KILL);
    assert_eq!(allotted(&case, "web"), Allotted { asked: secs(30), short: millis(7_500) });
}

#[test]
fn what_is_down_or_never_runs_wants_nothing() {
    let mut case = Case::up([
        simple("db"),
        target("middle").requires("db"),
        simple("web").requires("middle"),
        simple("off").before("web"),
    ]);
    case.stop_alone("off");
    case.dies("off", Signal::TERM);
    case.shut_down(Some(6));
    assert_eq!(deadline(&case, "web"), secs(3));
}

#[test]
fn what_is_stopping_already_gets_a_part_for_what_is_left_of_it() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    case.stop("web");
    case.after(secs(5));
    case.shut_down(Some(6));
    assert_eq!(deadline(&case, "web"), secs(2), "5 of 15");
    case.after(secs(2));
    case.dies("web", Signal::KILL);
    assert_eq!(allotted(&case, "web"), Allotted { asked: secs(10), short: secs(3) });
}

#[test]
fn a_shutdown_that_is_tightened_is_shared_out_anew() {
    let mut case = Case::up(chain());
    case.shut_down(None);
    case.after(secs(5));
    case.shut_down(Some(11));
    assert_eq!(deadline(&case, "a"), secs(1), "5 of 55");
    case.after(millis(500));
    case.shut_down(Some(50));
    assert_eq!(deadline(&case, "a"), millis(500), "more time changes nothing");
    case.request(Request::Shutdown { within: Some(millis(5_250)), manner: Manner::Graceful });
    assert_eq!(deadline(&case, "a"), millis(250), "half of its part was left");
}

#[test]
fn extend_timeout_may_take_only_what_nobody_else_wants() {
    let extend = |case: &mut Case, name: &str, time| {
        case.notifies(name, |message| message.extend = Some(secs(time)));
    };
    let mut case = Case::up([notify("db"), notify("web").requires("db")]);
    case.shut_down(Some(25));
    extend(&mut case, "web", 12);
    assert_eq!(deadline(&case, "web"), secs(12));
    extend(&mut case, "web", 60);
    assert_eq!(deadline(&case, "web"), secs(15));
    case.after(secs(15));
    case.dies("web", Signal::KILL);
    assert_eq!(allotted(&case, "web"), Allotted { asked: secs(60), short: secs(45) });
    assert_eq!(deadline(&case, "db"), secs(10));
}

#[test]
fn a_service_that_announced_its_stop_or_missed_its_watchdog_has_its_part_too() {
    let watchdog =
        WatchdogSpec { timeout: secs(3), signal: Signal::ABRT, abort_timeout: Some(secs(10)) };
    let mut case = Case::up([
        notify("db"),
        notify("a").requires("db"),
        notify("b").requires("db").with(|spec| spec.watchdog = Some(watchdog)),
    ]);
    case.says("a", "STOPPING");
    case.after(secs(3));
    case.shut_down(Some(6));
    let left = Duration::from_nanos(2_470_588_235);
    assert_eq!(deadline(&case, "a"), left, "7 of 17");
    assert_eq!(deadline(&case, "b"), secs(3), "10 of 20");
}

#[test]
fn what_cannot_be_killed_does_not_use_up_the_time_of_the_others() {
    let mut case = Case::up(chain());
    case.shut_down(Some(12));
    case.after(secs(2));
    case.does(["a TERM all", "a KILL all"]);
    // 10 of 60 again, of the 10 that are left.
    case.after(millis(1_667));
    case.is("b", Status::Stopping);
    assert!(matches!(case.state("a"), State::Stopping(now) if now.step == Step::Stuck));
    // At the end as long as ever.
    case.after(secs(9));
    case.after(secs(9));
    assert!(matches!(case.state("f"), State::Stopping(now) if now.step == Step::Kill));
}

#[test]
fn what_has_had_no_turn_when_the_time_is_up_was_cut_short_by_all_that_it_wants() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    case.shut_down(Some(1));
    case.after(secs(1));
    case.does(["web TERM all", "web KILL all", "db KILL all"]);
    case.dies("db", Signal::KILL);
    case.dies("web", Signal::KILL);
    assert_eq!(allotted(&case, "db"), Allotted { asked: secs(10), short: secs(10) });
    assert_eq!(allotted(&case, "web"), Allotted { asked: secs(10), short: millis(9_500) });
}

#[test]
fn with_no_time_at_all_everything_is_killed_at_once() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    case.shut_down(Some(0));
    case.after(secs(0));
    case.does(["web TERM all", "web KILL all", "db KILL all"]);
}
