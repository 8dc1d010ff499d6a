//! The way of one service down by signals.

use supervisor_engine::{
    Exit, KILL_PATIENCE, KillMode, Manner, ModeId, Outcome, PhaseEnd, Report, Request, Run, Signal,
    State, Status, Step, StopCause, StopHow, Why,
};

use crate::case::{Case, Spec, command, notify, secs, signal, simple, sleep};

#[test]
fn a_stop_asks_and_ends_when_the_service_is_gone() {
    let mut case = Case::up([simple("web")]);
    let stop = case.stop("web");
    case.does(["web TERM all"]);
    case.is("web", Status::Stopping);
    case.after(secs(3));
    case.dies("web", Signal::TERM);
    case.does(["web release"]);
    assert_eq!(case.state("web"), &State::Stopped(StopCause::Requested));
    case.came_to(stop, "web", &Outcome::Stopped);
    assert_eq!(case.engine.poll_timeout(), None);
    let run = last_run(&case);
    let (took, phases) = run.stop.as_ref().expect("it was stopped");
    assert_eq!((*took, phases.len(), &phases[0].end), (secs(3), 1, &PhaseEnd::Gone));
    assert!(!run.killed());
}

#[test]
fn what_ignores_the_stop_is_killed_when_its_time_is_up() {
    let mut case = Case::up([simple("web")]);
    case.stop("web");
    case.after(secs(9));
    case.does(["web TERM all"]);
    case.after(secs(1));
    case.does(["web KILL all"]);
    case.dies("web", Signal::KILL);
    case.is("web", Status::Stopped);
    assert!(last_run(&case).killed());
}

#[test]
fn the_steps_of_a_sequence_follow_each_other() {
    let steps = [signal(Signal::QUIT, 5), sleep(2), signal(Signal::TERM, 10)];
    let mut case = Case::up([simple("web").stops_by(steps)]);
    case.stop("web");
    case.does(["web QUIT all"]);
    case.after(secs(6));
    case.does([]);
    case.after(secs(1));
    case.does(["web TERM all"]);
    case.after(secs(10));
    case.does(["web KILL all"]);
}

#[test]
fn a_service_that_goes_while_it_is_left_alone_needs_no_further_step() {
    let mut case = Case::up([simple("web").stops_by([sleep(2), signal(Signal::TERM, 10)])]);
    case.stop("web");
    case.exits("web", 0);
    case.does(["web release"]);
}

#[test]
fn without_steps_kill_comes_at_once() {
    let mut case = Case::up([simple("web").stops_by([])]);
    case.stop("web");
    case.does(["web KILL all"]);
}

#[test]
fn a_stop_waits_for_every_process_with_kill_mode_group() {
    let mut case = Case::up([simple("web")]);
    case.stop("web");
    case.exits_leaving_others("web", 0);
    case.is("web", Status::Stopping);
    case.after(secs(10));
    case.does(["web TERM all", "web KILL all"]);
    case.others_are_gone("web");
    case.does(["web release"]);
}

#[test]
fn with_kill_mode_mixed_the_others_are_killed_once_main_is_gone() {
    let mut case = Case::up([simple("web").with(|spec| spec.stop.kill_mode = KillMode::Mixed)]);
    case.stop("web");
    case.does(["web TERM main"]);
    case.exits_leaving_others("web", 0);
    case.does(["web KILL all"]);
    case.others_are_gone("web");
    case.does(["web release"]);
}

#[test]
fn with_kill_mode_mixed_a_command_is_let_finish_before_the_others_are_killed() {
    let spec = simple("web")
        .with(|spec| spec.stop.kill_mode = KillMode::Mixed)
        .stops_by([command(0, 30), signal(Signal::TERM, 10)]);
    let mut case = Case::up([spec]);
    case.stop("web");
    case.exits_leaving_others("web", 0);
    case.does(["web stop-command 0"]);
    case.command_exits_leaving_others("web", 0);
    case.does(["web KILL all"]);
}

#[test]
fn with_kill_mode_process_the_others_are_left_running() {
    let mut case = Case::up([simple("web").with(|spec| spec.stop.kill_mode = KillMode::Process)]);
    case.stop("web");
    case.exits_leaving_others("web", 0);
    case.does(["web TERM main", "web release"]);
    case.is("web", Status::Stopped);
}

#[test]
fn what_survives_kill_is_stuck_and_who_asked_is_told() {
    let mut case = Case::up([simple("web")]);
    let stop = case.stop("web");
    case.after(secs(10));
    case.does(["web TERM all", "web KILL all"]);
    case.after(KILL_PATIENCE);
    case.does([]);
    case.came_to(stop, "web", &Outcome::Stuck);
    assert_eq!(case.engine.poll_timeout(), None);
    let why = Why::Stopping { step: Step::Stuck, ending: None };
    assert_eq!(case.engine.why(case.id("web")), why);
    case.dies("web", Signal::KILL);
    case.is("web", Status::Stopped);
}

#[test]
fn requests_for_what_is_stuck_end_at_once() {
    let mut case = Case::up([simple("web")]);
    case.stop("web");
    case.after(secs(20));
    for operation in [case.stop("web"), case.start("web"), case.restart("web")] {
        case.came_to(operation, "web", &Outcome::Stuck);
    }
}

#[test]
fn what_may_not_be_killed_is_stuck_after_its_last_step() {
    let mut case = Case::up([simple("web").with(|spec| spec.stop.send_sigkill = false)]);
    let stop = case.stop("web");
    case.after(secs(10));
    case.does(["web TERM all"]);
    case.came_to(stop, "web", &Outcome::Stuck);
    case.force_stop("web");
    case.does([]);
    case.exits("web", 0);
    case.does(["web release"]);
}

#[test]
fn a_forced_stop_kills_at_once_also_in_the_middle_of_another_one() {
    let mut case = Case::up([simple("a"), simple("b")]);
    case.force_stop("a");
    case.does(["a KILL all"]);
    case.stop("b");
    case.force_stop("b");
    case.does(["b TERM all", "b KILL all"]);
    case.dies("b", Signal::KILL);
    let stop = last_run(&case).stop.clone().expect("it was stopped");
    assert_eq!(stop.1[0].end, PhaseEnd::CutShort);
}

#[test]
fn a_plain_stop_does_not_soften_a_forced_one_that_waits_for_its_turn() {
    let mut case = Case::up([simple("db"), simple("web").requires("db")]);
    case.force_stop("db");
    case.stop("db");
    case.dies("web", Signal::KILL);
    case.does(["web KILL all", "web release", "db KILL all"]);
}

#[test]
fn a_stop_before_exec_waits_for_the_news_of_the_spawn() {
    let mut case = Case::of([simple("web")]);
    case.start("web");
    let stop = case.stop("web");
    case.does(["web spawn"]);
    case.spawned("web");
    case.does(["web TERM all"]);
    case.dies("web", Signal::TERM);
    case.came_to(stop, "web", &Outcome::Stopped);

    case.start("web");
    let stop = case.stop("web");
    case.spawn_fails("web");
    case.came_to(stop, "web", &Outcome::Stopped);
}

#[test]
fn a_service_that_announces_its_stop_is_left_alone_for_the_stop_timeout() {
    let mut case = Case::up([notify("db")]);
    case.says("db", "STOPPING");
    case.is("db", Status::Stopping);
    case.says("db", "READY");
    case.after(secs(9));
    case.is("db", Status::Stopping);
    case.does([]);
    case.after(secs(1));
    case.does(["db KILL all"]);
}

#[test]
fn a_service_that_announced_its_stop_and_ends_well_has_ended_well() {
    let mut case = Case::up([notify("db")]);
    case.says("db", "STOPPING");
    case.exits("db", 0);
    case.does(["db release"]);
    case.is("db", Status::Exited);
}

#[test]
fn an_announced_stop_ends_also_where_no_step_sends_a_signal() {
    for (steps, patience) in [(vec![], 0), (vec![command(0, 7)], 7), (vec![sleep(2)], 2)] {
        let mut case = Case::up([notify("db").stops_by(steps)]);
        case.says("db", "STOPPING");
        case.after(secs(patience));
        case.does(["db KILL all"]);
    }
}

#[test]
fn extend_timeout_moves_the_present_step_but_not_the_patience_after_kill() {
    let mut case = Case::up([notify("db")]);
    case.stop("db");
    case.after(secs(5));
    case.notifies("db", |message| message.extend = Some(secs(30)));
    case.after(secs(29));
    case.does(["db TERM all"]);
    case.after(secs(1));
    case.does(["db KILL all"]);
    case.notifies("db", |message| message.extend = Some(secs(1_000)));
    case.after(KILL_PATIENCE);
    assert!(case.state("db").is_stuck());
}

#[test]
fn without_a_timeout_a_step_goes_on_until_the_service_is_gone() {
    let mut case = Case::up([simple("web").with(|spec| spec.stop.steps[0].timeout = None)]);
    case.stop("web");
    assert_eq!(case.engine.poll_timeout(), None);
    case.dies("web", Signal::TERM);
    case.is("web", Status::Stopped);
}

#[test]
fn main_ending_by_itself_leads_to_the_stop_of_what_it_left() {
    let mut case = Case::up([simple("web").stops_by([command(0, 5), signal(Signal::TERM, 10)])]);
    case.exits_leaving_others("web", 1);
    case.does(["web TERM all"]);
    case.others_are_gone("web");
    case.is("web", Status::Backoff);

    let mut case = Case::up([simple("web").stops_by([command(0, 5), signal(Signal::TERM, 10)])]);
    case.exits("web", 0);
    case.does(["web stop-command 0"]);
    case.command_exits("web", 0);
    case.is("web", Status::Exited);
}

#[test]
fn a_signal_on_request_goes_to_a_main_process_that_lives() {
    let mut case = Case::up([simple("web"), simple("down")]);
    case.exits("down", 0);
    case.does(["down release"]);
    let (services, signal) = (case.ids("web down web"), Signal::USR1);
    let sent = case.request(Request::Signal { services, signal });
    case.does(["web USR1 main"]);
    case.came_to(sent, "web", &Outcome::Signalled);
    case.came_to(sent, "down", &Outcome::NotRunning);
}

#[test]
fn the_end_of_main_is_remembered() {
    let mut case = Case::up([simple("web")]);
    case.report(
        "web",
        Report::Exited {
            process: supervisor_engine::Process::Main,
            exit: Exit::Signal { signal: Signal::ABRT, core: true },
            remaining: false,
        },
    );
    let exit = Exit::Signal { signal: Signal::ABRT, core: true };
    assert_eq!(case.engine.service(case.id("web")).last_exit(), Some((exit, case.now)));
}

#[test]
fn the_steps_of_a_stop_are_told_with_their_times() {
    let mut case = Case::up([simple("web")]);
    case.stop("web");
    case.after(secs(12));
    case.dies("web", Signal::KILL);
    let (took, phases) = last_run(&case).stop.clone().expect("it was stopped");
    assert_eq!(took, secs(12));
    let told: Vec<_> =
        phases.iter().map(|phase| (phase.step, phase.took, phase.end.clone())).collect();
    let term = Step::Sequence(0, StopHow::Signal(Signal::TERM));
    let expected = [(term, secs(10), PhaseEnd::Timeout), (Step::Kill, secs(2), PhaseEnd::Gone)];
    assert_eq!(told, expected);
}

fn last_run(case: &Case) -> &Run {
    case.transitions.iter().rev().find_map(|change| change.ended.as_deref()).expect("one ended")
}

#[test]
fn a_restart_has_its_own_signal_in_place_of_the_first() {
    let steps = [command(0, 5), signal(Signal::QUIT, 5), signal(Signal::TERM, 5)];
    let spec =
        || simple("web").stops_by(steps).with(|s| s.stop.restart_signal = Some(Signal::USR1));
    let mut case = Case::up([spec()]);
    case.restart("web");
    case.command_exits("web", 1);
    case.does(["web stop-command 0", "web USR1 all"]);
    case.after(secs(5));
    case.does(["web TERM all"]);
    let mut case = Case::up([spec()]);
    case.stop("web");
    case.command_exits("web", 1);
    case.does(["web stop-command 0", "web QUIT all"]);
}

#[test]
fn the_final_signal_comes_before_kill() {
    let spec = || simple("web").with(|spec| spec.stop.final_signal = Some(Signal::QUIT));
    let mut case = Case::up([spec()]);
    case.stop("web");
    case.after(secs(10));
    case.does(["web TERM all", "web QUIT all"]);
    case.notifies("web", |message| message.extend = Some(secs(99)));
    case.after(KILL_PATIENCE);
    case.does(["web KILL all"]);
    case.dies("web", Signal::KILL);
    assert!(last_run(&case).killed());
    let mut case = Case::up([spec()]);
    case.force_stop("web");
    case.does(["web KILL all"]);
}

#[test]
fn what_is_never_killed_gets_no_final_signal_either() {
    let mut case = Case::up([simple("web").with(|spec| {
        spec.stop.send_sigkill = false;
        spec.stop.final_signal = Some(Signal::QUIT);
    })]);
    case.stop("web");
    case.after(secs(60));
    case.does(["web TERM all"]);
    assert!(case.state("web").is_stuck());
}

#[test]
fn with_kill_mode_mixed_the_others_get_the_final_signal() {
    let mut case = Case::up([simple("web").with(|spec| {
        spec.stop.kill_mode = KillMode::Mixed;
        spec.stop.final_signal = Some(Signal::QUIT);
    })]);
    case.stop("web");
    case.exits_leaving_others("web", 0);
    case.does(["web TERM main", "web QUIT all"]);
    case.others_are_gone("web");
    case.is("web", Status::Stopped);
}

#[test]
fn a_hang_up_follows_each_signal_of_the_steps_but_itself_and_the_restart_signal() {
    let steps = [signal(Signal::TERM, 5), signal(Signal::HUP, 5)];
    let mut case = Case::up([simple("sh").stops_by(steps).with(|spec| {
        spec.stop.send_sighup = true;
        spec.stop.restart_signal = Some(Signal::USR1);
    })]);
    case.stop("sh");
    case.does(["sh TERM all", "sh HUP all"]);
    case.after(secs(10));
    case.does(["sh HUP all", "sh KILL all"]);
    case.dies("sh", Signal::KILL);
    case.start("sh");
    case.spawned("sh");
    case.restart("sh");
    case.does(["sh release", "sh spawn", "sh USR1 all"]);
}

/// The number of the one mode there is.
const LAME_DUCK: Manner = Manner::Mode(ModeId(0));

fn with_mode(spec: Spec) -> Spec {
    spec.with(|spec| {
        let steps = vec![command(0, 5), signal(Signal::USR2, 60), signal(Signal::QUIT, 5)];
        spec.stop.modes.insert(ModeId(0), steps);
    })
}

fn stop_by_mode(case: &mut Case, names: &str) {
    let services = case.ids(names);
    case.request(Request::Stop { services, manner: LAME_DUCK, no_dependents: false });
}

#[test]
fn a_mode_has_a_sequence_of_its_own() {
    let mut case = Case::up([with_mode(simple("nats"))]);
    stop_by_mode(&mut case, "nats");
    case.command_exits("nats", 1);
    case.after(secs(65));
    case.does(["nats stop-command 0", "nats USR2 all", "nats QUIT all", "nats KILL all"]);
    case.dies("nats", Signal::KILL);
    assert_eq!(case.state("nats"), &State::Stopped(StopCause::Requested));
    case.start("nats");
    case.spawned("nats");
    case.stop("nats");
    case.does(["nats release", "nats spawn", "nats TERM all"]);
}

#[test]
fn what_goes_down_with_it_and_does_not_know_the_mode_stops_by_default() {
    let mut case = Case::up([with_mode(simple("nats")), simple("web").requires("nats")]);
    stop_by_mode(&mut case, "nats");
    case.does(["web TERM all"]);
    case.exits("web", 0);
    case.does(["web release", "nats stop-command 0"]);
}

#[test]
fn a_shutdown_may_be_of_a_mode() {
    let mut case = Case::up([with_mode(simple("nats")), simple("web")]);
    case.request(Request::Shutdown { within: Some(secs(20)), manner: LAME_DUCK });
    case.does(["nats stop-command 0", "web TERM all"]);
    case.exits("web", 0);
    case.after(secs(20));
    case.does([
        "web release",
        "nats KILL command",
        "nats USR2 all",
        "nats QUIT all",
        "nats KILL all",
    ]);
}

#[test]
fn a_stop_that_runs_keeps_its_sequence_unless_it_is_forced() {
    let mut case = Case::up([with_mode(simple("nats"))]);
    stop_by_mode(&mut case, "nats");
    case.command_exits("nats", 1);
    case.stop("nats");
    case.start("nats");
    case.after(secs(60));
    case.does(["nats stop-command 0", "nats USR2 all", "nats QUIT all"]);
    case.force_stop("nats");
    case.does(["nats KILL all"]);
}

#[test]
fn a_restart_may_be_of_a_mode_or_forced() {
    let restart = |case: &mut Case, manner| {
        let services = case.ids("nats");
        case.request(Request::Restart { services, manner, no_dependents: false })
    };
    let spec = || with_mode(simple("nats")).with(|s| s.stop.restart_signal = Some(Signal::HUP));
    let mut case = Case::up([spec()]);
    restart(&mut case, LAME_DUCK);
    case.command_exits("nats", 1);
    case.does(["nats stop-command 0", "nats USR2 all"]);
    restart(&mut case, Manner::Force);
    case.does(["nats KILL all"]);
    restart(&mut case, Manner::Graceful);
    case.dies("nats", Signal::KILL);
    case.does(["nats release", "nats spawn"]);
    case.spawned("nats");
    case.restart("nats");
    case.does(["nats HUP all"]);
    let mut case = Case::up([spec(), simple("web").requires("nats")]);
    restart(&mut case, Manner::Force);
    case.does(["web KILL all"]);
    case.dies("web", Signal::KILL);
    case.does(["web release", "nats KILL all"]);
}

#[test]
fn the_restart_signal_is_not_for_a_mode() {
    let spec = with_mode(simple("nats")).with(|spec| spec.stop.restart_signal = Some(Signal::HUP));
    let mut case = Case::up([spec]);
    stop_by_mode(&mut case, "nats");
    case.start("nats");
    case.command_exits("nats", 1);
    case.does(["nats stop-command 0", "nats USR2 all"]);
}
