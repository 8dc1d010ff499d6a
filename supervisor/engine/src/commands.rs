//! The commands of a service, by what comes of their failure. What they are only the runtime knows.

use crate::action::ControlCommand;
use crate::exit::Exit;
use crate::restart;
use crate::spec::{Kind, RestartSpec};

/// The lists of commands around the main process. Each is run in its order, one command at a time,
/// until one fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// Decide whether the service is started at all.
    pub condition: Vec<Failure>,
    /// Come before the main process.
    pub pre_start: Vec<Failure>,
    /// Are the main process, one after the other, for a oneshot that has several. Empty is as one
    /// whose failure counts.
    pub main: Vec<Failure>,
    /// Come once the main process has shown that it is there, or has done its work.
    pub post_start: Vec<Failure>,
    /// Come when all of the service is gone.
    pub post_stop: Vec<Failure>,
}

/// What the failure of a command means (the `-` prefix of `systemd.service(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The list fails with it.
    Counts,
    /// It is as if the command had ended well.
    IsIgnored,
}

impl Commands {
    /// Whether the failure of this command is as good as its success.
    pub(crate) fn may_fail(&self, command: ControlCommand) -> bool {
        let (list, index) = match command {
            ControlCommand::Condition(index) => (&self.condition, index),
            ControlCommand::PreStart(index) => (&self.pre_start, index),
            ControlCommand::PostStart(index) => (&self.post_start, index),
            ControlCommand::PostStop(index) => (&self.post_stop, index),
            ControlCommand::Stop(_) | ControlCommand::Reload => return false,
        };
        list.get(index) == Some(&Failure::IsIgnored)
    }

    /// Whether the failure of the main process that this command is, is as good as its success.
    pub(crate) fn main_may_fail(&self, index: usize) -> bool {
        self.main.get(index) == Some(&Failure::IsIgnored)
    }
}

/// Whether a command has ended well. The signals that ask a service to end are no way for a command
/// to do its work.
pub(crate) fn is_done(exit: Exit, spec: &RestartSpec) -> bool {
    restart::is_clean(exit, Kind::Oneshot, spec)
}
