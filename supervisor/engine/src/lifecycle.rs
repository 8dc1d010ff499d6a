//! The way of a service up, and what happens while it is up: reports and deadlines by state.

use std::time::Duration;

use crate::action::{ActionKind, Probe};
use crate::engine::Engine;
use crate::exit::{Ending, Exit, SpawnError};
use crate::id::ServiceId;
use crate::input::{Notification, Process, Report, WatchdogMessage};
use crate::main_process::Main;
use crate::moment::Moment;
use crate::operation::Outcome;
use crate::reload::is_reload_command;
use crate::restart;
use crate::signal::Signal;
use crate::spec::Kind;
use crate::state::{
    Exited, FailReason, Held, ReloadPhase, Reloading, Running, StartPhase, Starting, State, Step,
    Watchdog,
};
use crate::stopping::Departure;
use crate::transition::Cause;

impl Engine {
    /// Starts a service whose turn it is.
    pub(crate) fn start(&mut self, id: ServiceId, now: Moment) {
        if self.get(id).spec.kind == Kind::Target {
            let running = Running {
                invocation: None,
                started: now,
                up: now,
                main: Main::Absent,
                health: None,
                watchdog: None,
                expires: None,
            };
            self.enter(id, State::Running(running), Cause::DependenciesUp, now);
            return;
        }
        if !self.get_mut(id).admit_start(now) {
            self.give_up(id, FailReason::StartLimit, now);
            return;
        }
        let invocation = self.new_invocation(id);
        let phase = StartPhase::Condition(0);
        let starting = Starting {
            invocation,
            since: now,
            deadline: now.after(self.get(id).spec.start_timeout),
            watchdog: None,
            armed: None,
            command: 0,
            main: Main::Absent,
            remaining: false,
            phase,
        };
        self.prepare(id, &starting, phase, Some(Cause::DependenciesUp), now);
    }

    pub(crate) fn on_report(&mut self, id: ServiceId, report: Report, now: Moment) {
        match report {
            Report::Spawned => self.on_spawned(id, now),
            Report::SpawnFailed(error) => self.on_spawn_failed(id, error, now),
            Report::Exited { process: Process::Main, exit, remaining } => {
                self.on_main_exited(id, exit, remaining, now);
            }
            Report::Exited { process: Process::Control, exit, remaining } => {
                self.note_remaining(id, remaining);
                self.on_control_ended(id, Ok(exit), now);
                if !remaining {
                    self.on_last_gone(id, now);
                }
            }
            Report::ControlFailed(error) => self.on_control_ended(id, Err(error), now),
            Report::Emptied => self.on_emptied(id, now),
            Report::Notified(notification) => self.on_notified(id, notification, now),
            Report::ProbeSucceeded(Probe::Readiness) => self.on_probed(id, now),
            Report::ProbeSucceeded(Probe::Liveness) => self.on_healthy(id, now),
            Report::ProbeFailed => self.on_unhealthy(id, now),
            Report::MainFound => self.on_main_found(id, now),
            Report::MainUnknown => self.on_main_unknown(id, now),
        }
    }

    fn on_spawned(&mut self, id: ServiceId, now: Moment) {
        let service = self.get(id);
        let State::Starting(starting) = &service.state else { return };
        if starting.phase != StartPhase::Exec {
            return;
        }
        let starting = Starting { main: Main::Alive, ..starting.clone() };
        let phase = match service.spec.kind {
            Kind::Notify => StartPhase::Ready,
            Kind::Forking => StartPhase::Fork,
            Kind::Oneshot => StartPhase::Completion,
            Kind::Simple | Kind::Target => return self.prove(id, &starting, Cause::Spawned, now),
        };
        let starting = Starting { phase, ..starting };
        self.enter(id, State::Starting(starting), Cause::Spawned, now);
    }

    /// It runs: its probe has to show that it is there, if it has one.
    pub(crate) fn prove(&mut self, id: ServiceId, starting: &Starting, cause: Cause, now: Moment) {
        if !self.get(id).spec.probed {
            return self.stand(id, starting, cause, now);
        }
        let starting = Starting { phase: StartPhase::Probe, ..starting.clone() };
        self.act(id, starting.invocation, ActionKind::StartProbe(Probe::Readiness));
        self.enter(id, State::Starting(starting), cause, now);
    }

    fn on_spawn_failed(&mut self, id: ServiceId, error: SpawnError, now: Moment) {
        let State::Starting(starting) = &self.get(id).state else { return };
        let scarce = error.is_scarcity();
        let ending = Some(Ending::SpawnFailed(error));
        let departure = Departure { ending, ..starting.into() };
        if scarce {
            // Not this service's fault: it is tried again until there is enough.
            self.get_mut(id).starts.pop_back();
        }
        self.wind_down(id, departure, now);
    }

    /// The service has shown that it is there. From now on it has to prove that it is alive.
    fn stand(&mut self, id: ServiceId, starting: &Starting, cause: Cause, now: Moment) {
        let spec = &self.get(id).spec;
        let period = starting.watchdog.or(spec.watchdog.map(|spec| spec.timeout));
        let armed = period.and_then(|period| Watchdog::armed(period, now));
        self.follow_start(id, &Starting { armed, ..starting.clone() }, 0, cause, now);
    }

    /// The service is up.
    pub(crate) fn come_up(
        &mut self,
        id: ServiceId,
        starting: &Starting,
        cause: Cause,
        now: Moment,
    ) {
        let running = Running {
            invocation: Some(starting.invocation),
            started: starting.since,
            up: now,
            main: starting.main,
            health: self.watch_health(id),
            watchdog: starting.armed,
            expires: now.after(self.get(id).spec.runtime_max),
        };
        self.enter(id, State::Running(running), cause, now);
        let id = self.take_over(id, now);
        self.reload_if_asked(id, now);
    }

    fn on_probed(&mut self, id: ServiceId, now: Moment) {
        if let State::Starting(starting) = &self.get(id).state
            && starting.phase == StartPhase::Probe
        {
            let starting = starting.clone();
            self.stand(id, &starting, Cause::Probed, now);
        }
    }

    fn on_main_exited(&mut self, id: ServiceId, exit: Exit, remaining: bool, now: Moment) {
        if let State::Starting(starting) = &self.get(id).state
            && starting.phase == StartPhase::Fork
        {
            return self.on_forked(id, exit, remaining, now);
        }
        self.get_mut(id.service()).last_exit = Some((exit, now));
        if !self.outlives_main(id, exit, remaining, now) {
            self.on_ended(id, Main::Gone(exit), remaining, now);
        }
    }

    /// A service has ended by itself: its main process, or without one that is known the last one.
    fn on_ended(&mut self, id: ServiceId, main: Main, remaining: bool, now: Moment) {
        let service = self.get(id);
        let exit = main.exit().unwrap_or(Exit::Unknown);
        let clean = main == Main::Unknown
            || restart::is_clean(exit, service.spec.kind, &service.spec.restart);
        let remains_up = clean && service.spec.remain_after_exit;
        match &service.state {
            State::Starting(starting) => {
                let starting = Starting { main, remaining, ..starting.clone() };
                let may_fail = service.spec.commands.main_may_fail(starting.command);
                match starting.phase {
                    StartPhase::Fork
                    | StartPhase::MainPid
                    | StartPhase::Probe
                    | StartPhase::PostStart(_)
                    | StartPhase::Settle
                        if main == Main::Unknown =>
                    {
                        let ending = Some(Ending::NothingLeft);
                        self.wind_down(id, Departure { ending, ..(&starting).into() }, now);
                    }
                    StartPhase::Completion if clean => self.on_done(id, &starting, exit, now),
                    StartPhase::Completion if may_fail => {
                        let exit = Exit::Code(0);
                        let starting = Starting { main: Main::Gone(exit), ..starting };
                        self.on_done(id, &starting, exit, now);
                    }
                    StartPhase::Ready if clean => {
                        let ending = Some(Ending::Protocol);
                        self.wind_down(id, Departure { ending, ..(&starting).into() }, now);
                    }
                    StartPhase::Condition(_)
                    | StartPhase::PreStart(_)
                    | StartPhase::Exec
                    | StartPhase::Fork
                    | StartPhase::MainPid
                    | StartPhase::Ready
                    | StartPhase::Probe
                    | StartPhase::Completion
                    | StartPhase::PostStart(_)
                    | StartPhase::Settle => {
                        let ending = Some(self.ended_early(id, exit));
                        self.wind_down(id, Departure { ending, ..(&starting).into() }, now);
                    }
                }
            }
            State::Running(running) | State::Reloading(Reloading { running, .. }) => {
                let Some(invocation) = running.invocation else { return };
                let control = is_reload_command(&service.state);
                if remains_up {
                    let (started, up) = (running.started, running.up);
                    let held = Some(Held { invocation, started, up, remaining, control });
                    if control {
                        self.kill_control(id, invocation);
                    }
                    self.stop_probe(id);
                    let exited = Exited { exit, held };
                    self.enter(id, State::Exited(exited), Cause::Completed(exit), now);
                } else {
                    let departure = Departure {
                        main,
                        remaining,
                        control,
                        commands: clean,
                        ending: Some(Ending::of(main)),
                        ..Departure::new(invocation, running)
                    };
                    self.wind_down(id, departure, now);
                }
            }
            State::Stopping(_) => self.on_main_gone(id, exit, remaining, now),
            State::Stopped(_)
            | State::Waiting
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => {}
        }
    }

    /// A command of a oneshot has done its work: it is the next one's turn.
    fn on_done(&mut self, id: ServiceId, starting: &Starting, exit: Exit, now: Moment) {
        let command = starting.command + 1;
        if command < self.get(id).spec.commands.main.len() {
            let starting = Starting { command, ..starting.clone() };
            self.prepare(id, &starting, StartPhase::Exec, None, now);
        } else {
            self.follow_start(id, starting, 0, Cause::Completed(exit), now);
        }
    }

    /// A oneshot has done all of its work.
    pub(crate) fn rest_done(
        &mut self,
        id: ServiceId,
        starting: &Starting,
        exit: Exit,
        cause: Cause,
        now: Moment,
    ) {
        if self.get(id).spec.remain_after_exit {
            let held = Some(Held {
                invocation: starting.invocation,
                started: starting.since,
                up: now,
                remaining: starting.remaining,
                control: false,
            });
            self.enter(id, State::Exited(Exited { exit, held }), cause, now);
        } else {
            let ending = Some(self.ended_early(id, exit));
            let departure = Departure::from(starting);
            let departure = Departure { ending, control: false, commands: true, ..departure };
            self.wind_down(id, departure, now);
        }
    }

    fn on_emptied(&mut self, id: ServiceId, now: Moment) {
        match &self.get(id).state {
            State::Stopping(_) => self.on_all_gone(id, now),
            State::Exited(_) => self.touch(id, |state| {
                if let State::Exited(Exited { held: Some(held), .. }) = state {
                    held.remaining = false;
                }
            }),
            State::Starting(_) | State::Running(_) | State::Reloading(_) => {
                self.note_remaining(id, false);
                self.on_last_gone(id, now);
            }
            State::Stopped(_) | State::Waiting | State::Backoff(_) | State::Failed(_) => {}
        }
    }

    /// Nothing is left of a service that went on without its main process.
    fn on_last_gone(&mut self, id: ServiceId, now: Moment) {
        let service = self.get(id);
        let main = service.state.main();
        // A oneshot has done its work when its main process has ended.
        let survives = main.is_survived() && service.spec.kind != Kind::Oneshot;
        match &service.state {
            State::Starting(_) | State::Running(_) | State::Reloading(_) if survives => {
                self.on_ended(id, main, false, now);
            }
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => {}
        }
    }

    /// What a command leaves behind is the service's, and where main is gone already nothing else
    /// tells of it.
    fn note_remaining(&mut self, id: ServiceId, remaining: bool) {
        self.touch(id, |state| match state {
            State::Starting(starting) if !starting.main.is_alive() => {
                starting.remaining = remaining;
            }
            State::Stopping(stopping) if !stopping.main.is_alive() => {
                stopping.remaining = remaining;
            }
            State::Exited(Exited { held: Some(held), .. }) => held.remaining = remaining,
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Reloading(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => {}
        });
    }

    fn on_control_ended(&mut self, id: ServiceId, result: Result<Exit, SpawnError>, now: Moment) {
        match &self.get(id).state {
            State::Starting(_) => self.on_start_command_ended(id, result, now),
            State::Stopping(_) => self.on_stop_command_ended(id, result, now),
            State::Reloading(reloading) => {
                let ReloadPhase::Command { announced } = reloading.phase else { return };
                match result {
                    Ok(Exit::Code(0)) if announced => {
                        let phase = ReloadPhase::Announced;
                        let reloading = Reloading { phase, ..reloading.clone() };
                        self.enter(id, State::Reloading(reloading), Cause::Reload, now);
                    }
                    Ok(Exit::Code(0)) => {
                        self.end_reload(id, &Outcome::Reloaded, Cause::Reloaded, now);
                    }
                    Ok(exit) => {
                        let outcome = &Outcome::ReloadFailed(exit);
                        self.end_reload(id, outcome, Cause::ReloadFailed, now);
                    }
                    Err(error) => {
                        let outcome = &Outcome::ReloadNotStarted(error);
                        self.end_reload(id, outcome, Cause::ReloadFailed, now);
                    }
                }
            }
            State::Exited(_) => self.touch(id, |state| {
                if let State::Exited(Exited { held: Some(held), .. }) = state {
                    held.control = false;
                }
            }),
            State::Stopped(_)
            | State::Waiting
            | State::Running(_)
            | State::Backoff(_)
            | State::Failed(_) => {}
        }
    }

    /// The fields of a message count in systemd's fixed order, whatever their order in it.
    fn on_notified(&mut self, id: ServiceId, message: Notification, now: Moment) {
        if message.stopping {
            self.on_announced_stop(id, now);
        } else if message.ready {
            if message.reloading {
                self.on_answered_reload(id, message.reload_began, now);
            }
            self.on_ready(id, now);
        } else if message.reloading {
            self.on_answered_reload(id, message.reload_began, now);
            self.on_announced_reload(id, now);
        }
        if let Some(extension) = message.extend {
            self.extend_deadline(id, now + extension);
        }
        match message.watchdog {
            Some(WatchdogMessage::Alive) => self.touch(id, |state| {
                if let Some(watchdog) = watchdog_mut(state) {
                    watchdog.deadline = now + watchdog.period;
                }
            }),
            Some(WatchdogMessage::Trigger) => self.on_watchdog_missed(id, now),
            None => {}
        }
        if let Some(period) = message.watchdog_period {
            self.touch(id, |state| {
                if let State::Starting(starting) = state {
                    starting.watchdog = Some(period);
                    if starting.has_stood_up() && starting.main.is_alive() {
                        starting.armed = Watchdog::armed(period, now);
                    }
                } else if let Some(running) = running_mut(state) {
                    running.watchdog = Watchdog::armed(period, now);
                }
            });
        }
        if message.restart_reset {
            self.get_mut(id).reset_restarts();
        }
    }

    fn on_ready(&mut self, id: ServiceId, now: Moment) {
        match &self.get(id).state {
            State::Starting(starting) if starting.phase == StartPhase::Ready => {
                let starting = starting.clone();
                self.stand(id, &starting, Cause::Ready, now);
            }
            State::Reloading(reloading) => match reloading.phase {
                ReloadPhase::Announced => {
                    self.end_reload(id, &Outcome::Reloaded, Cause::Reloaded, now);
                }
                ReloadPhase::Command { .. } => self.touch(id, |state| {
                    if let State::Reloading(reloading) = state {
                        reloading.phase = ReloadPhase::Command { announced: false };
                    }
                }),
                ReloadPhase::Signalled { .. } => {}
            },
            // While running it is nothing new; after STOPPING=1 it does not count.
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => {}
        }
    }

    /// `EXTEND_TIMEOUT_USEC=`: the timer of the present phase and the watchdog, only ever later.
    fn extend_deadline(&mut self, id: ServiceId, to: Moment) {
        let later = |deadline: &mut Option<Moment>| *deadline = deadline.map(|at| at.max(to));
        self.touch(id, |state| {
            if let Some(watchdog) = watchdog_mut(state) {
                watchdog.deadline = watchdog.deadline.max(to);
            }
            match state {
                // Only time shows that it stays.
                State::Starting(starting) if starting.phase == StartPhase::Settle => {}
                State::Starting(starting) => later(&mut starting.deadline),
                State::Running(running) => later(&mut running.expires),
                State::Reloading(reloading) => later(&mut reloading.deadline),
                // How long the kernel may take is not for the service to say.
                State::Stopping(stopping)
                    if matches!(stopping.step, Step::Final(_) | Step::Kill) => {}
                State::Stopping(stopping) => stopping.extend(to),
                State::Stopped(_)
                | State::Waiting
                | State::Backoff(_)
                | State::Exited(_)
                | State::Failed(_) => {}
            }
        });
    }

    /// The earliest deadline of a service has passed.
    pub(crate) fn on_deadline(&mut self, id: ServiceId, now: Moment) {
        match &self.get(id).state {
            State::Starting(starting) => {
                if starting.deadline.is_none_or(|deadline| deadline > now) {
                    return self.on_watchdog_missed(id, now);
                }
                if starting.phase == StartPhase::Settle {
                    let starting = starting.clone();
                    return self.come_up(id, &starting, Cause::Settled, now);
                }
                let departure = Departure { ending: Some(Ending::StartTimeout), ..starting.into() };
                self.wind_down(id, departure, now);
            }
            State::Running(running) if running.is_over(now) => {
                self.stop_for(id, Ending::RuntimeMax, now);
            }
            State::Running(_) => self.on_watchdog_missed(id, now),
            State::Reloading(reloading) => {
                if reloading.deadline.is_some_and(|deadline| deadline <= now) {
                    self.on_reload_timeout(id, now);
                } else if reloading.running.is_over(now) {
                    self.stop_for(id, Ending::RuntimeMax, now);
                } else {
                    self.on_watchdog_missed(id, now);
                }
            }
            State::Stopping(_) => self.on_step_timeout(id, now),
            State::Backoff(_) => self.on_next_try(id, now),
            State::Stopped(_) | State::Waiting | State::Exited(_) | State::Failed(_) => {}
        }
    }

    fn on_watchdog_missed(&mut self, id: ServiceId, now: Moment) {
        let service = self.get(id);
        let departure = match &service.state {
            // One that is armed always comes to something, wherever main is.
            State::Starting(starting)
                if starting.has_stood_up()
                    && (starting.armed.is_some() || starting.main.is_alive()) =>
            {
                starting.into()
            }
            State::Running(_) | State::Reloading(_) => {
                let Some(departure) = Departure::of_up(&service.state) else { return };
                departure
            }
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => return,
        };
        let step = Step::Abort(service.spec.watchdog.map_or(Signal::ABRT, |spec| spec.signal));
        let departure = Departure { ending: Some(Ending::Watchdog), ..departure };
        self.depart(id, departure, step, now);
    }

    fn on_announced_stop(&mut self, id: ServiceId, now: Moment) {
        let service = self.get(id);
        let departure = match &service.state {
            State::Starting(starting) => {
                // A command beside it has nothing to announce.
                if !starting.main.is_alive() {
                    return;
                }
                starting.into()
            }
            State::Running(_) | State::Reloading(_) => {
                let Some(departure) = Departure::of_up(&service.state) else { return };
                departure
            }
            State::Stopped(_)
            | State::Waiting
            | State::Stopping(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => return,
        };
        self.depart(id, departure, Step::Announced, now);
    }
}

impl Starting {
    /// Whether it has shown that it is there.
    pub(crate) const fn has_stood_up(&self) -> bool {
        match self.phase {
            StartPhase::PostStart(_) | StartPhase::Settle => true,
            StartPhase::Condition(_)
            | StartPhase::PreStart(_)
            | StartPhase::Exec
            | StartPhase::Fork
            | StartPhase::MainPid
            | StartPhase::Ready
            | StartPhase::Probe
            | StartPhase::Completion => false,
        }
    }
}

impl Running {
    fn is_over(&self, now: Moment) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Watchdog {
    /// A watchdog of this period, unless that is zero.
    fn armed(period: Duration, now: Moment) -> Option<Self> {
        (!period.is_zero()).then(|| Self { period, deadline: now + period })
    }
}

/// What holds while a service is up.
pub(crate) fn running_mut(state: &mut State) -> Option<&mut Running> {
    match state {
        State::Running(running) | State::Reloading(Reloading { running, .. }) => Some(running),
        State::Stopped(_)
        | State::Waiting
        | State::Starting(_)
        | State::Stopping(_)
        | State::Backoff(_)
        | State::Exited(_)
        | State::Failed(_) => None,
    }
}

/// The watchdog, if it is armed.
fn watchdog_mut(state: &mut State) -> Option<&mut Watchdog> {
    match state {
        State::Starting(starting) => starting.armed.as_mut(),
        State::Running(running) | State::Reloading(Reloading { running, .. }) => {
            running.watchdog.as_mut()
        }
        State::Stopped(_)
        | State::Waiting
        | State::Stopping(_)
        | State::Backoff(_)
        | State::Exited(_)
        | State::Failed(_) => None,
    }
}
