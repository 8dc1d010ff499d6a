//! The way of a service down: the steps of its stop, and what becomes of it after.

use std::time::Duration;

use crate::action::{ActionKind, ControlCommand, Whom};
use crate::budget::Allotted;
use crate::engine::Engine;
use crate::exit::{Ending, Exit, SpawnError};
use crate::id::{Invocation, ModeId, ServiceId};
use crate::input::Manner;
use crate::main_process::Main;
use crate::moment::Moment;
use crate::reload::is_reload_command;
use crate::restart::{self, Verdict};
use crate::service::Goal;
use crate::signal::Signal;
use crate::spec::{KillMode, Kind, StopHow};
use crate::state::{
    Backoff, Exited, FailReason, PhaseEnd, Reloading, Running, StartPhase, Starting, State, Step,
    StopCause, StopPhase, Stopping,
};
use crate::transition::{Cause, Run};

/// How long the kernel may take to carry out `KILL` before the service counts as stuck, for
/// example in an uninterruptible wait for a disk.
pub const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// What is known of an invocation when it begins to end.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Departure {
    pub(crate) invocation: Invocation,
    pub(crate) started: Moment,
    pub(crate) up: Option<Moment>,
    /// Why, if not by request.
    pub(crate) ending: Option<Ending>,
    /// Where main is.
    pub(crate) main: Main,
    /// Whether others are there; known once main is not.
    pub(crate) remaining: bool,
    /// Whether a control process runs.
    pub(crate) control: bool,
    /// Whether stop commands are run.
    pub(crate) commands: bool,
    /// Whether it is of use to others until its first step.
    pub(crate) drains: bool,
    /// The sequence that its steps are of; `None` is the default one.
    pub(crate) mode: Option<ModeId>,
}

impl Departure {
    /// Of a service that is up.
    pub(crate) const fn new(invocation: Invocation, running: &Running) -> Self {
        Self {
            invocation,
            started: running.started,
            up: Some(running.up),
            ending: None,
            main: running.main,
            remaining: running.main.is_survived(),
            control: false,
            commands: false,
            drains: false,
            mode: None,
        }
    }

    /// Of a service that is up, with the command of its reload; `None` of any other, and of a target.
    pub(crate) fn of_up(state: &State) -> Option<Self> {
        let (State::Running(running) | State::Reloading(Reloading { running, .. })) = state else {
            return None;
        };
        let control = is_reload_command(state);
        Some(Self { control, ..Self::new(running.invocation?, running) })
    }

    /// Whether such a step has something to do.
    pub(crate) fn concerns(&self, how: StopHow, kill_mode: KillMode) -> bool {
        match how {
            StopHow::Command(_) => self.commands,
            StopHow::Signal(_) | StopHow::Sleep => {
                let reached = kill_mode == KillMode::Group || self.main == Main::Unknown;
                self.main.is_alive() || self.asks_control() || self.remaining && reached
            }
        }
    }
}

impl From<&Starting> for Departure {
    /// Of a service that is not up yet.
    fn from(starting: &Starting) -> Self {
        Self {
            invocation: starting.invocation,
            started: starting.since,
            up: None,
            ending: None,
            main: starting.main,
            remaining: starting.remaining,
            control: match starting.phase {
                StartPhase::Condition(_) | StartPhase::PreStart(_) | StartPhase::PostStart(_) => {
                    true
                }
                StartPhase::Exec
                | StartPhase::Fork
                | StartPhase::MainPid
                | StartPhase::Ready
                | StartPhase::Probe
                | StartPhase::Completion
                | StartPhase::Settle => false,
            },
            commands: false,
            drains: false,
            mode: None,
        }
    }
}

impl Departure {
    /// Whether the control process is what is asked to end: the one of a start that is stopped
    /// before there is a main process.
    fn asks_control(&self) -> bool {
        self.control && self.main == Main::Absent && self.ending.is_none()
    }
}

impl Engine {
    /// Stops a live service by request.
    pub(crate) fn begin_stop(&mut self, id: ServiceId, now: Moment) {
        if let Some(departure) = self.departure(id) {
            self.wind_down(id, departure, now);
        } else if self.get(id).spec.kind == Kind::Target {
            self.rest_target(id, now);
        }
    }

    /// What a stop by request would begin with; `None` where nothing runs, or stops already.
    pub(crate) fn departure(&self, id: ServiceId) -> Option<Departure> {
        let state = &self.get(id).state;
        match state {
            State::Starting(starting) => {
                // One that has stood up does its work already, and may have to put it in order.
                let commands = starting.has_stood_up();
                Some(Departure { commands, ..starting.into() })
            }
            State::Running(_) | State::Reloading(_) => {
                let departure = Departure::of_up(state)?;
                Some(Departure { commands: true, drains: true, ..departure })
            }
            State::Exited(Exited { exit, held: Some(held) }) => Some(Departure {
                invocation: held.invocation,
                started: held.started,
                up: Some(held.up),
                ending: None,
                main: Main::Gone(*exit),
                remaining: held.remaining,
                control: held.control,
                commands: true,
                drains: false,
                mode: None,
            }),
            State::Stopped(_)
            | State::Waiting
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => None,
        }
    }

    /// Stops a service that is up although nobody has asked for it. It is stopped as by request, and
    /// then restarted or not as after every such ending.
    pub(crate) fn stop_for(&mut self, id: ServiceId, ending: Ending, now: Moment) {
        if let Some(departure) = Departure::of_up(&self.get(id).state) {
            let ending = Some(ending);
            self.wind_down(id, Departure { ending, commands: true, ..departure }, now);
        }
    }

    /// A target has nothing to stop.
    fn rest_target(&mut self, id: ServiceId, now: Moment) {
        match self.get(id).goal {
            Goal::Down { cause, .. } => {
                self.enter(id, State::Stopped(cause), Cause::Stop(cause), now);
            }
            Goal::Cycle => {
                self.set_goal(id, Goal::Up);
                self.enter(id, State::Waiting, Cause::Cycle, now);
            }
            Goal::Up => {}
        }
    }

    /// Begins the stop of an invocation with the first step that makes sense.
    pub(crate) fn wind_down(&mut self, id: ServiceId, mut departure: Departure, now: Moment) {
        let id = self.give_way(id, now);
        departure.mode = self.mode(id);
        let step = match self.get(id).manner() {
            Manner::Graceful | Manner::Mode(_) if departure.drains && self.drains(id) => {
                Some(Step::Drain)
            }
            Manner::Force => self.kill_step(id, &departure),
            Manner::Graceful | Manner::Mode(_) => self.step_from(0, id, &departure),
        };
        match step {
            Some(step) => self.depart(id, departure, step, now),
            None => self.conclude(id, departure, now),
        }
    }

    /// Whether its spec wants it to be left alone before a stop that is asked for.
    fn drains(&self, id: ServiceId) -> bool {
        !self.get(id).spec.stop.drain.is_zero()
    }

    /// The sequence of a stop that begins now.
    fn mode(&self, id: ServiceId) -> Option<ModeId> {
        match self.get(id).manner() {
            Manner::Mode(mode) => Some(mode),
            Manner::Graceful | Manner::Force => None,
        }
    }

    /// Begins the stop of an invocation with this step. Its helpers would only be in the way: the
    /// probe, and the command of a reload or a start that is cut short.
    pub(crate) fn depart(&mut self, id: ServiceId, departure: Departure, step: Step, now: Moment) {
        let id = self.give_way(id, now);
        let cause = match (&departure.ending, self.get(id).goal) {
            (Some(ending), _) => Cause::Ended(ending.clone()),
            (None, _) if step == Step::Announced => Cause::Step(step),
            (None, Goal::Down { cause, .. }) => Cause::Stop(cause),
            (None, Goal::Cycle) => Cause::Cycle,
            (None, Goal::Up) => Cause::Step(step),
        };
        let asks_control = departure.asks_control();
        let Departure {
            invocation,
            started,
            up,
            ending,
            main,
            remaining,
            control,
            commands,
            drains: _,
            mode,
        } = departure;
        self.stop_probe(id);
        if control && !asks_control {
            self.kill_control(id, invocation);
        }
        let stopping = Stopping {
            invocation,
            started,
            up,
            since: now,
            ending,
            main,
            remaining,
            control,
            queued: None,
            commands,
            mode,
            cleaned: false,
            step,
            step_since: now,
            deadline: None,
            due: None,
            share: None,
            allotted: None,
            trail: Vec::new(),
        };
        self.take_step(id, stopping, step, cause, now);
    }

    /// The first step of the sequence from `index` on that has something to do; then `KILL`; `None`
    /// if everything is gone.
    fn step_from(&self, index: usize, id: ServiceId, departure: &Departure) -> Option<Step> {
        let service = self.get(id);
        let kill_mode = service.spec.stop.kill_mode;
        let steps = service.spec.stop.sequence(departure.mode);
        for (place, step) in steps.iter().enumerate().skip(index) {
            if departure.concerns(step.how, kill_mode) {
                let first = steps.iter().position(|step| matches!(step.how, StopHow::Signal(_)));
                let how = match service.spec.stop.restart_signal {
                    Some(signal)
                        if departure.mode.is_none()
                            && first == Some(place)
                            && service.is_followed() =>
                    {
                        StopHow::Signal(signal)
                    }
                    Some(_) | None => step.how,
                };
                return Some(Step::Sequence(place, how));
            }
        }
        self.final_step(id, departure)
    }

    /// What follows the last step: `KILL`, or what comes instead of it.
    pub(crate) fn final_step(&self, id: ServiceId, departure: &Departure) -> Option<Step> {
        let signal = self.get(id).spec.stop.final_signal;
        match self.kill_step(id, departure)? {
            Step::Kill => Some(signal.map_or(Step::Kill, Step::Final)),
            step @ (Step::Drain
            | Step::Sequence(..)
            | Step::Announced
            | Step::Abort(_)
            | Step::Final(_)
            | Step::PostStop(_)
            | Step::Stuck) => Some(step),
        }
    }

    /// `KILL`, or what stands for it when the spec forbids it; `None` if everything is gone.
    pub(crate) fn kill_step(&self, id: ServiceId, departure: &Departure) -> Option<Step> {
        let service = self.get(id);
        let others = departure.remaining && !service.main_only(departure.main);
        if !departure.main.is_alive() && !others {
            // A command has no say in it.
            departure.control.then_some(Step::Kill)
        } else if service.spec.stop.send_sigkill {
            Some(Step::Kill)
        } else {
            Some(Step::Stuck)
        }
    }

    /// Enters a step: does what it says and sets its deadline.
    pub(crate) fn take_step(
        &mut self,
        id: ServiceId,
        mut stopping: Stopping,
        step: Step,
        cause: Cause,
        now: Moment,
    ) {
        let invocation = stopping.invocation;
        stopping.queued = None;
        let spec = &self.get(id).spec;
        let all = match (spec.stop.kill_mode, stopping.main) {
            (KillMode::Group, _) | (_, Main::Unknown) => Whom::All,
            (KillMode::Mixed | KillMode::Process, Main::Absent) => Whom::Control,
            (KillMode::Mixed | KillMode::Process, Main::Alive | Main::Gone(_)) => Whom::Main,
        };
        let main_only = self.get(id).main_only(stopping.main);
        let patience = spec.stop.patience();
        let hang_up = spec
            .stop
            .hangs_up(stopping.mode, step)
            .then_some(ActionKind::Signal { signal: Signal::HUP, whom: all });
        let (what, timeout) = match step {
            Step::Drain => (None, Some(spec.stop.drain)),
            Step::Sequence(place, how) => {
                let timeout =
                    spec.stop.sequence(stopping.mode).get(place).and_then(|step| step.timeout);
                let what = match how {
                    StopHow::Command(command) if stopping.control => {
                        stopping.queued = Some(command);
                        None
                    }
                    StopHow::Command(command) => {
                        stopping.control = true;
                        Some(ActionKind::Run(ControlCommand::Stop(command)))
                    }
                    StopHow::Signal(signal) => Some(ActionKind::Signal { signal, whom: all }),
                    StopHow::Sleep => None,
                };
                (what, timeout)
            }
            Step::Announced => (None, patience),
            Step::Abort(signal) => {
                let timeout = spec.watchdog.and_then(|watchdog| watchdog.abort_timeout);
                let whom = if stopping.main.is_survived() { Whom::All } else { Whom::Main };
                (Some(ActionKind::Signal { signal, whom }), timeout.or(patience))
            }
            Step::Final(signal) => {
                let whom = if main_only { Whom::Main } else { Whom::All };
                (Some(ActionKind::Signal { signal, whom }), Some(KILL_PATIENCE))
            }
            Step::Kill => {
                let whom = if main_only { Whom::Main } else { Whom::All };
                if main_only && stopping.control {
                    self.kill_control(id, invocation);
                }
                let signal = Signal::KILL;
                (Some(ActionKind::Signal { signal, whom }), Some(KILL_PATIENCE))
            }
            Step::PostStop(index) => {
                (stopping.control, stopping.cleaned) = (true, true);
                let run = ActionKind::Run(ControlCommand::PostStop(index));
                (Some(run), spec.stop.command_patience())
            }
            Step::Stuck => (None, None),
        };
        if let Some(what) = what {
            self.act(id, invocation, what);
        }
        if let Some(what) = hang_up {
            self.act(id, invocation, what);
        }
        stopping.step = step;
        stopping.step_since = now;
        self.time_step(id, &mut stopping, timeout, now);
        self.enter(id, State::Stopping(stopping), cause, now);
    }

    /// Leaves the present step for the next one that makes sense.
    fn next_step(&mut self, id: ServiceId, end: PhaseEnd, now: Moment) {
        let State::Stopping(stopping) = &self.get(id).state else { return };
        let mut stopping = stopping.clone();
        stopping.close_step(end, now);
        let departure = stopping.departure();
        let next = match stopping.step {
            Step::Drain => self.step_from(0, id, &departure),
            Step::Sequence(place, _) => self.step_from(place + 1, id, &departure),
            Step::Announced | Step::Abort(_) => self.final_step(id, &departure),
            Step::Final(_) | Step::PostStop(_) => self.kill_step(id, &departure),
            Step::Kill | Step::Stuck => Some(Step::Stuck),
        };
        match next {
            Some(step) => {
                // A stop command that is still there has had its time.
                if stopping.control
                    && matches!(stopping.step, Step::Sequence(_, StopHow::Command(_)))
                {
                    self.kill_control(id, stopping.invocation);
                }
                self.take_step(id, stopping, step, Cause::Step(step), now);
            }
            None => self.finish(id, stopping, now),
        }
    }

    pub(crate) fn on_step_timeout(&mut self, id: ServiceId, now: Moment) {
        let State::Stopping(stopping) = &self.get(id).state else { return };
        let cut_short = stopping.is_cut_short();
        let end = if cut_short { PhaseEnd::CutShort } else { PhaseEnd::Timeout };
        if cut_short {
            self.deny_step(id, now);
        }
        self.next_step(id, end, now);
    }

    /// `KILL` at once, whatever the step.
    pub(crate) fn kill(&mut self, id: ServiceId, now: Moment) {
        let State::Stopping(stopping) = &self.get(id).state else { return };
        let mut stopping = stopping.clone();
        if matches!(stopping.step, Step::Kill | Step::Stuck) {
            return;
        }
        let Some(step) = self.kill_step(id, &stopping.departure()) else { return };
        if self.shutdown.is_some_and(|shutdown| shutdown.overdue) {
            self.deny_rest(id, &mut stopping, now);
        }
        stopping.close_step(PhaseEnd::CutShort, now);
        self.take_step(id, stopping, step, Cause::Step(step), now);
    }

    pub(crate) fn on_main_gone(&mut self, id: ServiceId, exit: Exit, remaining: bool, now: Moment) {
        let spec = &self.get(id).spec;
        let clean = restart::is_clean(exit, spec.kind, &spec.restart);
        self.touch(id, |state| {
            if let State::Stopping(stopping) = state {
                stopping.main = Main::Gone(exit);
                stopping.remaining = remaining;
                // One that dies before it was asked to end is as one that died while it was up.
                stopping.commands &= clean || stopping.step != Step::Drain;
                // What was to ask it to end has nobody to ask any more.
                stopping.queued = None;
            }
        });
        if !self.finish_if_gone(id, now) {
            self.kill_others_of_mixed(id, now);
        }
    }

    /// With `mixed` the others are not asked: once main is gone, and the command that may be
    /// seeing to them, they are killed.
    fn kill_others_of_mixed(&mut self, id: ServiceId, now: Moment) {
        let mixed = self.get(id).spec.stop.kill_mode == KillMode::Mixed;
        if let State::Stopping(stopping) = &self.get(id).state
            && mixed
            && !matches!(stopping.main, Main::Alive | Main::Unknown)
            && !stopping.control
            && !matches!(
                stopping.step,
                Step::Final(_) | Step::Kill | Step::PostStop(_) | Step::Stuck
            )
        {
            self.next_step(id, PhaseEnd::Gone, now);
        }
    }

    pub(crate) fn on_all_gone(&mut self, id: ServiceId, now: Moment) {
        self.touch(id, |state| {
            if let State::Stopping(stopping) = state {
                stopping.remaining = false;
            }
        });
        self.finish_if_gone(id, now);
    }

    pub(crate) fn on_stop_command_ended(
        &mut self,
        id: ServiceId,
        result: Result<Exit, SpawnError>,
        now: Moment,
    ) {
        self.touch(id, |state| {
            if let State::Stopping(stopping) = state {
                stopping.control = false;
            }
        });
        let State::Stopping(stopping) = &self.get(id).state else { return };
        if let Step::PostStop(index) = stopping.step {
            return self.on_post_stop_ended(id, index, result, now);
        }
        if let Some(command) = stopping.queued {
            let run = ActionKind::Run(ControlCommand::Stop(command));
            self.act(id, stopping.invocation, run);
            return self.touch(id, |state| {
                if let State::Stopping(stopping) = state {
                    (stopping.control, stopping.queued) = (true, None);
                }
            });
        }
        if self.finish_if_gone(id, now) {
            return;
        }
        let State::Stopping(stopping) = &self.get(id).state else { return };
        let Step::Sequence(place, StopHow::Command(_)) = stopping.step else {
            return self.kill_others_of_mixed(id, now);
        };
        let steps = self.get(id).spec.stop.sequence(stopping.mode);
        let wait = steps.get(place).is_none_or(|step| step.wait);
        match result {
            // It may well return before the service is gone: only that ends the step.
            Ok(Exit::Code(0)) if wait => self.kill_others_of_mixed(id, now),
            Ok(Exit::Code(0)) => self.next_step(id, PhaseEnd::Done, now),
            Ok(exit) => self.next_step(id, PhaseEnd::CommandFailed(exit), now),
            Err(error) => self.next_step(id, PhaseEnd::CommandNotStarted(error.message), now),
        }
    }

    /// Ends the control process, which is on its own: the service does not know of it.
    pub(crate) fn kill_control(&mut self, id: ServiceId, invocation: Invocation) {
        let (signal, whom) = (Signal::KILL, Whom::Control);
        self.act(id, invocation, ActionKind::Signal { signal, whom });
    }

    fn finish_if_gone(&mut self, id: ServiceId, now: Moment) -> bool {
        let State::Stopping(stopping) = &self.get(id).state else { return false };
        let main_only = self.get(id).main_only(stopping.main);
        let gone = stopping.is_gone(main_only);
        if gone {
            let mut stopping = stopping.clone();
            stopping.close_step(PhaseEnd::Gone, now);
            self.finish(id, stopping, now);
        }
        gone
    }

    /// The end of an invocation that was stopped, when the commands after it have had their turn.
    pub(crate) fn finish(&mut self, id: ServiceId, stopping: Stopping, now: Moment) {
        if !stopping.cleaned && self.has_post_stop(id) {
            let step = Step::PostStop(0);
            return self.take_step(id, stopping, step, Cause::Step(step), now);
        }
        let took = now - stopping.since;
        let departure = stopping.departure();
        self.end(id, departure, Some((took, stopping.trail)), stopping.allotted, now);
    }

    /// The end of an invocation that had nothing left to stop.
    pub(crate) fn conclude(&mut self, id: ServiceId, departure: Departure, now: Moment) {
        if self.has_post_stop(id) {
            return self.depart(id, departure, Step::PostStop(0), now);
        }
        self.stop_probe(id);
        self.end(id, departure, None, None, now);
    }

    fn end(
        &mut self,
        id: ServiceId,
        departure: Departure,
        stop: Option<(Duration, Vec<StopPhase>)>,
        allotted: Option<Allotted>,
        now: Moment,
    ) {
        let ending = departure.ending.clone();
        let run = Some(Run {
            invocation: departure.invocation,
            started: departure.started,
            up: departure.up,
            ended: now,
            exit: departure.main.exit(),
            ending: departure.ending,
            stop,
            allotted,
        });
        match self.get(id).goal {
            Goal::Down { cause, .. } => {
                self.enter_with(id, State::Stopped(cause), Cause::Stop(cause), run, now);
            }
            Goal::Cycle => {
                self.set_goal(id, Goal::Up);
                self.enter_with(id, State::Waiting, Cause::Cycle, run, now);
            }
            Goal::Up => {
                // One that said STOPPING=1 and went has ended by itself as well.
                let exit = departure.main.exit().unwrap_or(Exit::Unknown);
                let ending = ending.unwrap_or_else(|| match departure.up {
                    Some(_) => Ending::of(departure.main),
                    None => self.ended_early(id, exit),
                });
                self.end_by_itself(id, ending, exit, departure.up, run, now);
            }
        }
    }

    /// Why an invocation is over whose main process ended by itself before it was up.
    pub(crate) fn ended_early(&self, id: ServiceId, exit: Exit) -> Ending {
        let spec = &self.get(id).spec;
        let clean = restart::is_clean(exit, spec.kind, &spec.restart);
        if clean && spec.settles_for().is_some() {
            Ending::Unsettled(exit)
        } else {
            Ending::Exited(exit)
        }
    }

    fn end_by_itself(
        &mut self,
        id: ServiceId,
        ending: Ending,
        exit: Exit,
        up: Option<Moment>,
        run: Option<Run>,
        now: Moment,
    ) {
        let service = self.get(id);
        let cause = Cause::Ended(ending.clone());
        let verdict = restart::verdict(&ending, service.spec.kind, &service.spec.restart);
        match self.unless_upheld(id, verdict) {
            Verdict::Restart => {
                if up.is_some_and(|up| now - up >= service.spec.restart.reset) {
                    self.get_mut(id).attempt = 0;
                }
                let until = now + self.restart_delay(id);
                let backoff = Backoff { until, reason: FailReason::Ended(ending) };
                self.enter_with(id, State::Backoff(backoff), cause, run, now);
                if !self.get(id).restarts_unseen() {
                    self.take_down_bound(id, true, now);
                }
            }
            Verdict::Rest => {
                let exited = Exited { exit, held: None };
                self.enter_with(id, State::Exited(exited), cause, run, now);
                self.take_down_bound(id, false, now);
            }
            Verdict::Skip => {
                let cause = StopCause::Condition;
                self.set_goal(id, Goal::Down { cause, manner: Manner::Graceful });
                self.enter_with(id, State::Stopped(cause), Cause::Ended(ending), run, now);
                self.take_down_bound(id, false, now);
            }
            Verdict::Fail => {
                let reason = FailReason::Ended(ending);
                let cause = Cause::Failed(reason.clone());
                self.enter_with(id, State::Failed(reason), cause, run, now);
                self.take_down_bound(id, false, now);
            }
        }
    }
}

impl Stopping {
    pub(crate) fn departure(&self) -> Departure {
        Departure {
            invocation: self.invocation,
            started: self.started,
            up: self.up,
            ending: self.ending.clone(),
            main: self.main,
            remaining: self.remaining,
            control: self.control,
            commands: self.commands,
            drains: false,
            mode: self.mode,
        }
    }

    /// Writes down how the present step ended.
    pub(crate) fn close_step(&mut self, end: PhaseEnd, now: Moment) {
        self.trail.push(StopPhase { step: self.step, took: now - self.step_since, end });
    }
}
