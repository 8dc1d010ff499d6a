//! How far the commands of an invocation are, as the ledger has them: each in its turn, none after
//! one that has failed.

use supervisor_engine::{ControlCommand, Exit, Failure, Kind, ServiceSpec};

/// The commands of one invocation that have had their turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Progress {
    /// The one that runs.
    running: Option<ControlCommand>,
    conditions: usize,
    pre_starts: usize,
    mains: usize,
    post_starts: usize,
    post_stops: usize,
    /// Whether the last of those after the stop has ended as it should.
    goes_on: bool,
    /// Whether one on the way up has failed.
    pub(crate) failed: bool,
    /// Whether that was a condition that is not met.
    unmet: bool,
    /// Whether those before the main process have left others behind.
    pub(crate) left_before_main: bool,
}

impl Progress {
    pub(crate) fn may_spawn(&self, index: usize, spec: &ServiceSpec) -> Result<(), String> {
        let commands = &spec.commands;
        let ready = self.conditions == commands.condition.len()
            && self.pre_starts == commands.pre_start.len();
        rule(ready && !self.failed, "the main process comes after what comes before it")?;
        rule(index == self.mains, "the commands of a oneshot run in order")
    }

    /// Takes note of a command that is run, if it is its turn.
    pub(crate) fn may_run(
        &mut self,
        command: ControlCommand,
        proven: bool,
        spec: &ServiceSpec,
    ) -> Result<(), String> {
        let all_met = self.conditions == spec.commands.condition.len();
        let in_turn = match command {
            ControlCommand::Condition(index) => index == self.conditions && !self.failed,
            ControlCommand::PreStart(index) => index == self.pre_starts && all_met && !self.failed,
            ControlCommand::PostStart(index) => index == self.post_starts && proven && !self.failed,
            ControlCommand::Stop(_) => proven && !self.failed && !self.is_after(),
            ControlCommand::Reload => proven && !self.is_after(),
            ControlCommand::PostStop(index) => {
                index == self.post_stops && (index == 0 || self.goes_on)
            }
        };
        self.running = Some(command);
        self.post_stops += usize::from(matches!(command, ControlCommand::PostStop(_)));
        rule(in_turn, "every command has its turn").map_err(|rule| format!("{rule}: {command}"))
    }

    /// Takes note of the end of the command that runs; `None`: it could not be started. One that is
    /// cut short by a stop has not failed.
    pub(crate) fn command_ended(&mut self, exit: Option<Exit>, spec: &ServiceSpec, starts: bool) {
        let Some(command) = self.running.take() else { return };
        let commands = &spec.commands;
        let done = exit.is_some_and(|exit| is_good(exit, spec));
        let fine = |list: &[Failure], index: usize| done || list[index] == Failure::IsIgnored;
        match command {
            ControlCommand::Condition(index) if fine(&commands.condition, index) => {
                self.conditions += 1;
            }
            ControlCommand::PreStart(index) if fine(&commands.pre_start, index) => {
                self.pre_starts += 1;
            }
            ControlCommand::PostStart(index) if fine(&commands.post_start, index) => {
                self.post_starts += 1;
            }
            ControlCommand::Condition(_) => {
                self.failed = starts;
                self.unmet = starts && matches!(exit, Some(Exit::Code(_)));
            }
            ControlCommand::PreStart(_) | ControlCommand::PostStart(_) => self.failed = starts,
            ControlCommand::PostStop(index) => self.goes_on = fine(&commands.post_stop, index),
            ControlCommand::Stop(_) | ControlCommand::Reload => {}
        }
    }

    /// Takes note of the end of a main process.
    pub(crate) fn main_ended(&mut self, exit: Exit, spec: &ServiceSpec) {
        if spec.kind == Kind::Oneshot {
            let ignored = spec.commands.main.get(self.mains) == Some(&Failure::IsIgnored);
            if is_good(exit, spec) || ignored {
                self.mains += 1;
            } else {
                self.failed = true;
            }
        }
    }

    /// Whether a oneshot has done all of its work.
    pub(crate) fn has_done_all(&self, spec: &ServiceSpec) -> bool {
        spec.kind == Kind::Oneshot && self.mains >= spec.commands.main.len().max(1)
    }

    /// Whether all that follows the start is done.
    pub(crate) fn has_followed(&self, spec: &ServiceSpec) -> bool {
        self.post_starts == spec.commands.post_start.len()
    }

    /// Whether the service is not to be started.
    pub(crate) const fn is_unmet(&self) -> bool {
        self.unmet
    }

    /// Whether the commands after the stop have begun.
    pub(crate) const fn is_after(&self) -> bool {
        self.post_stops > 0
    }
}

fn is_good(exit: Exit, spec: &ServiceSpec) -> bool {
    exit == Exit::Code(0) || spec.restart.success_exit.contains(exit)
}

fn rule(holds: bool, text: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text.to_owned()) }
}
