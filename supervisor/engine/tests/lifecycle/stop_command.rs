//! Stop commands: run first, waited for, and never two at a time.

use supervisor_engine::{KillMode, PhaseEnd, ReloadHow, ReloadSpec, Signal, State, Status};

use crate::case::{Case, Spec, command, oneshot, secs, signal, simple};

fn commanded() -> Spec {
    simple("dns").stops_by([command(0, 30), signal(Signal::TERM, 10)])
}

#[test]
fn a_command_that_returns_early_is_no_reason_to_signal() {
    let mut case = Case::up([commanded()]);
    case.stop("dns");
    case.command_exits("dns", 0);
    case.after(secs(29));
    case.does(["dns stop-command 0"]);
    case.exits("dns", 0);
    case.does(["dns release"]);
    case.is("dns", Status::Stopped);
}

#[test]
fn a_command_that_is_still_there_when_the_service_is_gone_is_waited_for() {
    let mut case = Case::up([commanded()]);
    case.stop("dns");
    case.exits("dns", 0);
    case.is("dns", Status::Stopping);
    case.does(["dns stop-command 0"]);
    case.command_exits("dns", 0);
    case.does(["dns release"]);
}

#[test]
fn what_a_command_leaves_behind_is_stopped_too() {
    let mut case = Case::up([commanded()]);
    case.stop("dns");
    case.exits("dns", 0);
    case.command_exits_leaving_others("dns", 0);
    case.is("dns", Status::Stopping);
    case.after(secs(30));
    case.does(["dns stop-command 0", "dns TERM all"]);
    case.others_are_gone("dns");
    case.does(["dns release"]);
    case.is("dns", Status::Stopped);
}

#[test]
fn while_main_lives_a_command_says_nothing_of_who_is_left() {
    let mut case = Case::up([commanded()]);
    case.stop("dns");
    case.command_exits_leaving_others("dns", 0);
    case.exits("dns", 0);
    case.does(["dns stop-command 0", "dns release"]);
    case.is("dns", Status::Stopped);
}

#[test]
fn a_command_that_fails_is_followed_by_the_next_step_at_once() {
    let mut case = Case::up([commanded()]);
    case.stop("dns");
    case.command_exits("dns", 1);
    case.does(["dns stop-command 0", "dns TERM all"]);
}

#[test]
fn a_command_that_cannot_be_started_is_followed_by_the_next_step_at_once() {
    let mut case = Case::up([commanded()]);
    case.stop("dns");
    case.command_cannot_start("dns");
    case.does(["dns stop-command 0", "dns TERM all"]);
    let State::Stopping(stopping) = case.state("dns") else { panic!("it is stopping") };
    assert!(matches!(stopping.trail[0].end, PhaseEnd::CommandNotStarted(_)));
}

#[test]
fn a_command_with_wait_false_is_followed_by_the_next_step_at_once() {
    let mut step = command(0, 30);
    step.wait = false;
    let mut case = Case::up([simple("dns").stops_by([step, signal(Signal::TERM, 10)])]);
    case.stop("dns");
    case.command_exits("dns", 0);
    case.does(["dns stop-command 0", "dns TERM all"]);
}

#[test]
fn a_command_that_takes_too_long_is_killed_and_followed_by_the_next_step() {
    let mut case = Case::up([commanded()]);
    case.stop("dns");
    case.after(secs(30));
    case.does(["dns stop-command 0", "dns KILL command", "dns TERM all"]);
    case.dies("dns", Signal::TERM);
    case.is("dns", Status::Stopping);
    case.command_is_killed("dns");
    case.does(["dns release"]);
}

#[test]
fn the_next_command_waits_until_the_one_before_it_is_gone() {
    let mut case = Case::up([simple("dns").stops_by([command(0, 5), command(1, 5)])]);
    case.stop("dns");
    case.after(secs(5));
    case.does(["dns stop-command 0", "dns KILL command"]);
    case.command_is_killed("dns");
    case.does(["dns stop-command 1"]);
    case.exits("dns", 0);
    case.command_exits("dns", 0);
    case.does(["dns release"]);
}

#[test]
fn a_stop_command_waits_until_the_reload_command_is_gone() {
    let reload = ReloadSpec { how: ReloadHow::Command, timeout: Some(secs(20)) };
    let mut case = Case::up([commanded().with(|spec| spec.reload = Some(reload))]);
    case.reload("dns");
    case.stop("dns");
    case.does(["dns reload-command", "dns KILL command"]);
    case.command_is_killed("dns");
    case.does(["dns stop-command 0"]);
    case.command_exits("dns", 0);
    case.is("dns", Status::Stopping);
    case.does([]);
}

#[test]
fn a_forced_stop_kills_the_command_too() {
    for (kill_mode, expected) in [
        (KillMode::Group, vec!["dns KILL all"]),
        (KillMode::Process, vec!["dns KILL command", "dns KILL main"]),
    ] {
        let mut case = Case::up([commanded().with(|spec| spec.stop.kill_mode = kill_mode)]);
        case.stop("dns");
        case.does(["dns stop-command 0"]);
        case.force_stop("dns");
        assert_eq!(case.actions(), expected);
    }
}

#[test]
fn a_oneshot_that_is_up_is_undone_by_its_stop_command() {
    let mut case = Case::up([oneshot("mount").stops_by([command(0, 30)])]);
    case.stop("mount");
    case.does(["mount stop-command 0"]);
    case.command_exits("mount", 1);
    case.does(["mount release"]);
    case.is("mount", Status::Stopped);
}

#[test]
fn a_service_that_is_not_up_yet_is_stopped_without_its_command() {
    let mut case = Case::of([commanded().with(|spec| spec.probed = true)]);
    case.start("dns");
    case.spawned("dns");
    case.does(["dns spawn", "dns start-probe"]);
    case.stop("dns");
    case.does(["dns stop-probe", "dns TERM all"]);
}

#[test]
fn a_service_that_died_uncleanly_is_not_stopped_by_its_command() {
    let mut case = Case::up([commanded()]);
    case.dies("dns", Signal::ABRT);
    case.does(["dns release"]);
}
