//! The commands of a start: those before the main process, and those that follow once it has shown
//! that it is there.

use crate::action::{ActionKind, ControlCommand};
use crate::commands::{Commands, is_done};
use crate::engine::Engine;
use crate::exit::{Ending, Exit, SpawnError};
use crate::id::ServiceId;
use crate::main_process::Main;
use crate::moment::Moment;
use crate::spec::Kind;
use crate::state::{StartPhase, Starting, State};
use crate::stopping::Departure;
use crate::transition::Cause;

impl Engine {
    /// Runs the first command from this phase on that there is before the main process, or starts
    /// that.
    pub(crate) fn prepare(
        &mut self,
        id: ServiceId,
        starting: &Starting,
        from: StartPhase,
        cause: Option<Cause>,
        now: Moment,
    ) {
        let phase = before_main(&self.get(id).spec.commands, from);
        let what = match phase {
            StartPhase::Condition(index) => ActionKind::Run(ControlCommand::Condition(index)),
            StartPhase::PreStart(index) => ActionKind::Run(ControlCommand::PreStart(index)),
            StartPhase::Exec
            | StartPhase::Fork
            | StartPhase::MainPid
            | StartPhase::Ready
            | StartPhase::Probe
            | StartPhase::Completion
            | StartPhase::PostStart(_)
            | StartPhase::Settle => ActionKind::Spawn(starting.command),
        };
        self.act(id, starting.invocation, what);
        let cause = cause.unwrap_or(Cause::Phase(phase));
        self.enter(id, State::Starting(Starting { phase, ..starting.clone() }), cause, now);
    }

    /// Runs this post-start command, if there is one. After the last one the service is up, unless
    /// it has to prove that it stays.
    pub(crate) fn follow_start(
        &mut self,
        id: ServiceId,
        starting: &Starting,
        index: usize,
        cause: Cause,
        now: Moment,
    ) {
        let spec = &self.get(id).spec;
        if index < spec.commands.post_start.len() {
            let run = ActionKind::Run(ControlCommand::PostStart(index));
            self.act(id, starting.invocation, run);
            let phase = StartPhase::PostStart(index);
            return self.enter(
                id,
                State::Starting(Starting { phase, ..starting.clone() }),
                cause,
                now,
            );
        }
        if let Main::Gone(exit) = starting.main
            && spec.kind == Kind::Oneshot
        {
            return self.rest_done(id, starting, exit, cause, now);
        }
        match spec.settles_for() {
            None => self.come_up(id, starting, cause, now),
            Some(time) => {
                let (phase, deadline) = (StartPhase::Settle, Some(now + time));
                let starting = Starting { deadline, phase, ..starting.clone() };
                self.enter(id, State::Starting(starting), cause, now);
            }
        }
    }

    pub(crate) fn on_start_command_ended(
        &mut self,
        id: ServiceId,
        result: Result<Exit, SpawnError>,
        now: Moment,
    ) {
        let State::Starting(starting) = &self.get(id).state else { return };
        let starting = starting.clone();
        let command = match starting.phase {
            StartPhase::Condition(index) => ControlCommand::Condition(index),
            StartPhase::PreStart(index) => ControlCommand::PreStart(index),
            StartPhase::PostStart(index) => ControlCommand::PostStart(index),
            StartPhase::Exec
            | StartPhase::Fork
            | StartPhase::MainPid
            | StartPhase::Ready
            | StartPhase::Probe
            | StartPhase::Completion
            | StartPhase::Settle => return,
        };
        if let Some(ending) = self.start_command_failed(id, command, result) {
            let ending = Some(ending);
            let departure = Departure { ending, control: false, ..(&starting).into() };
            return self.wind_down(id, departure, now);
        }
        match starting.phase {
            StartPhase::Condition(index) => {
                self.prepare(id, &starting, StartPhase::Condition(index + 1), None, now);
            }
            StartPhase::PreStart(index) => {
                self.prepare(id, &starting, StartPhase::PreStart(index + 1), None, now);
            }
            StartPhase::PostStart(index) => {
                let next = index + 1;
                let more = next < self.get(id).spec.commands.post_start.len();
                let cause = Cause::Phase(StartPhase::PostStart(next));
                let cause = if more { cause } else { Cause::PostStarted };
                self.follow_start(id, &starting, next, cause, now);
            }
            StartPhase::Exec
            | StartPhase::Fork
            | StartPhase::MainPid
            | StartPhase::Ready
            | StartPhase::Probe
            | StartPhase::Completion
            | StartPhase::Settle => {}
        }
    }

    /// What the end of a command of a start means for the start, if it is over by that. One that was
    /// not to be, or for which the system was short of something, does not count as one too many.
    fn start_command_failed(
        &mut self,
        id: ServiceId,
        command: ControlCommand,
        result: Result<Exit, SpawnError>,
    ) -> Option<Ending> {
        let spec = &self.get(id).spec;
        if spec.commands.may_fail(command) {
            return None;
        }
        match (result, command) {
            (Ok(exit), _) if is_done(exit, &spec.restart) => None,
            (Ok(Exit::Code(code)), ControlCommand::Condition(condition)) => {
                self.get_mut(id).starts.pop_back();
                Some(Ending::Unmet { condition, code })
            }
            (Ok(exit), _) => Some(Ending::CommandFailed(command, exit)),
            (Err(error), _) => {
                if error.is_scarcity() {
                    self.get_mut(id).starts.pop_back();
                }
                Some(Ending::CommandNotStarted(command, error))
            }
        }
    }
}

/// The first phase from this one on that there is before the main process runs.
fn before_main(commands: &Commands, from: StartPhase) -> StartPhase {
    match from {
        StartPhase::Condition(index) if index < commands.condition.len() => from,
        StartPhase::Condition(_) => before_main(commands, StartPhase::PreStart(0)),
        StartPhase::PreStart(index) if index < commands.pre_start.len() => from,
        StartPhase::PreStart(_)
        | StartPhase::Exec
        | StartPhase::Fork
        | StartPhase::MainPid
        | StartPhase::Ready
        | StartPhase::Probe
        | StartPhase::Completion
        | StartPhase::PostStart(_)
        | StartPhase::Settle => StartPhase::Exec,
    }
}
