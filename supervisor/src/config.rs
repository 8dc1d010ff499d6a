//! The spec as the daemon uses it: loaded, checked, expanded, ready to run.
//!
//! `load` turns files into a [`Config`] or into every fault that they have. Nothing
//! here is checked again later: what a type admits is valid.

mod command;
mod command_line;
mod commands;
mod daemon;
mod decode;
mod defaults;
mod dependency;
mod environment;
mod environment_file;
mod expand;
mod fault;
mod files;
mod glob;
mod identity;
mod instances;
mod keys;
mod limits;
mod line_pattern;
pub mod load;
mod main_process;
mod names;
mod output;
mod privileges;
mod probe;
mod reader;
mod recipe;
mod restart;
mod scheduling;
mod sections;
mod service;
mod source;
mod stop;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use supervisor_engine::{ControlCommand, ServiceId, ServiceSpec, Signal};

pub use fault::{Fault, LoadError};
pub use instances::{Counts, Instances, MOST_INSTANCES};
pub use line_pattern::LinePattern;
pub use load::{LoadOptions, load};
pub use privileges::{Capabilities, Privileges};
pub use recipe::Recipe;
pub use scheduling::{CpuSet, IoClass, Scheduler, Scheduling};
pub use source::Location;
pub(crate) use value::{Bad, duration};

/// Everything that the spec files say.
#[derive(Clone, Debug)]
pub struct Config {
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// `[supervisor]`.
    pub daemon: DaemonConfig,
    /// `[control]`.
    pub control: ControlConfig,
    /// The services with instances made, sorted by name; the place is the [`ServiceId`].
    pub services: Vec<ServiceConfig>,
    /// `[group.NAME]`, and one for each service with `instances`.
    pub groups: BTreeMap<String, GroupConfig>,
    /// The names of all `stop-modes`; the place is the engine's `ModeId`.
    pub stop_modes: Vec<String>,
    /// Each service with `instances`, by the name without `@`.
    pub instances: BTreeMap<String, Instances>,
    /// What it takes to change numbers of instances; kept only if there are any.
    pub recipe: Option<Recipe>,
}

/// `[supervisor]`: the daemon itself.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    /// Where sockets and state live. Not yet created.
    pub runtime_dir: PathBuf,
    /// Default place of the services' logs. Not yet created.
    pub log_dir: PathBuf,
    /// Budget of a whole shutdown; `None` is no limit.
    pub shutdown_timeout: Option<Duration>,
    /// Level of the daemon's own log.
    pub log_level: tracing::Level,
    /// Format of the daemon's own log.
    pub log_format: LogFormat,
    /// How service output is copied to the daemon's stdout; `None`: the daemon decides.
    pub console: Option<Console>,
}

/// Format of the daemon's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object per line.
    Json,
}

/// How service output is copied to the daemon's stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// Not at all.
    None,
    /// Each line behind the service's name.
    Prefix,
    /// As it comes, line by line.
    Raw,
    /// An object per line.
    Json,
}

/// `[control]`: the API socket.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// Path of the Unix socket.
    pub socket: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// Its group, if not the daemon's.
    pub group: Option<u32>,
}

/// `[group.NAME]`.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// What it is for.
    pub description: String,
    /// Its services, nested groups flattened, sorted.
    pub members: Vec<ServiceId>,
}

/// One service (or one instance of it).
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// What the engine knows of it. `spec.name` is the full name, with `@instance`.
    pub spec: ServiceSpec,
    /// One line for people.
    pub description: String,
    /// The part behind `@`, for a service with `instances`.
    pub instance: Option<String>,
    /// Where its table stands, `file:line`, for people.
    pub place: String,
    /// The main command; `None` for a target.
    pub command: Option<Argv>,
    /// The commands of a oneshot that come after it, one after the other.
    pub further_commands: Vec<Argv>,
    /// What is run before and after the main process.
    pub listed_commands: ListedCommands,
    /// What the engine's `StopHow::Command(i)` runs.
    pub stop_commands: Vec<Argv>,
    /// What the engine's `ControlCommand::Reload` runs.
    pub reload_command: Option<Argv>,
    /// What its processes run as, and in.
    pub context: Context,
    /// When it is ready, if its type does not say.
    pub readiness: Option<Readiness>,
    /// How it is watched while it is up.
    pub liveness: Option<LivenessProbe>,
    /// Where a service that forks writes which process is the main one.
    pub pid_file: Option<PathBuf>,
    /// Whose notify messages count.
    pub notify_access: NotifyAccess,
    /// What descriptors are kept for it.
    pub fd_store: FdStoreConfig,
    /// Where its output goes.
    pub log: LogConfig,
    /// Whether the whole supervisor stops when it fails.
    pub on_failure_shutdown: bool,
    /// Whether the whole supervisor stops when it ends well.
    pub on_success_shutdown: bool,
}

impl ServiceConfig {
    /// What the engine's `Spawn(i)` runs.
    pub fn main_command(&self, index: usize) -> Option<&Argv> {
        match index.checked_sub(1) {
            None => self.command.as_ref(),
            Some(further) => self.further_commands.get(further),
        }
    }

    /// What the engine's `Run(command)` runs.
    pub fn control_command(&self, command: ControlCommand) -> Option<&Argv> {
        let listed = &self.listed_commands;
        match command {
            ControlCommand::Condition(index) => listed.condition.get(index),
            ControlCommand::PreStart(index) => listed.pre_start.get(index),
            ControlCommand::PostStart(index) => listed.post_start.get(index),
            ControlCommand::Stop(index) => self.stop_commands.get(index),
            ControlCommand::Reload => self.reload_command.as_ref(),
            ControlCommand::PostStop(index) => listed.post_stop.get(index),
        }
    }
}

/// The commands around a main process, in their order.
#[derive(Clone, Debug, Default)]
pub struct ListedCommands {
    /// Decide whether it is started.
    pub condition: Vec<Argv>,
    /// Come before it.
    pub pre_start: Vec<Argv>,
    /// Come once it has shown that it is there.
    pub post_start: Vec<Argv>,
    /// Come when all of the service is gone.
    pub post_stop: Vec<Argv>,
}

/// A command: program and arguments, expanded, at least one word.
pub type Argv = Vec<String>;

/// What the processes of a service run as, and in.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// User and groups; `None`: those of the daemon.
    pub identity: Option<Identity>,
    /// Working directory.
    pub working_directory: PathBuf,
    /// File mode creation mask.
    pub umask: u32,
    /// The whole environment, but for what the daemon adds per start (`NOTIFY_SOCKET`, `MAINPID`…).
    /// Services with the same environment share it.
    pub environment: Arc<BTreeMap<String, String>>,
    /// Resource limits as `setrlimit(2)` takes them.
    pub limits: Vec<Limit>,
    /// How the kernel treats them among others.
    pub scheduling: Scheduling,
    /// What they may do besides what their user may.
    pub privileges: Privileges,
    /// What stdin is opened from; `None` is `/dev/null`.
    pub stdin: Option<PathBuf>,
    /// Whether stdin is the daemon's own, whatever `stdin` says.
    pub inherit_stdin: bool,
}

/// Numeric user and groups (`credentials(7)`), resolved when the spec was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Its name in the spec, for messages.
    pub name: &'static str,
    /// Soft value; `u64::MAX` is infinity.
    pub soft: u64,
    /// Hard value; `u64::MAX` is infinity.
    pub hard: u64,
}

/// How it is found out that a service is ready whose type does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// By trying again and again.
    Probe(ProbeConfig),
    /// It writes a newline to this descriptor, 3 or more.
    Descriptor(RawFd),
    /// It prints a line that matches.
    Line(LinePattern),
}

/// A probe with its timing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// What is tried.
    pub check: ProbeCheck,
    /// Wait before the first try.
    pub initial_delay: Duration,
    /// From the start of one try to the start of the next.
    pub period: Duration,
    /// Longest time of one try.
    pub timeout: Duration,
    /// Successes in a row that make the service ready, or healthy.
    pub successes: u32,
}

/// How it is found out that a service that is up still works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivenessProbe {
    /// What is tried, and when.
    pub probe: ProbeConfig,
    /// Failures in a row after which the service is stopped.
    pub failures: u32,
}

/// What a probe tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeCheck {
    /// A command in the service's context ends with status 0.
    Exec(Argv),
    /// A TCP connection is accepted.
    Tcp {
        /// Name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `GET` is answered with a status in the range.
    Http {
        /// Name or address, IPv6 without brackets.
        host: String,
        /// Port, 80 if the URL has none.
        port: u16,
        /// Path and query, at least `/`.
        path: String,
        /// Accepted statuses, both ends included.
        status: Vec<(u16, u16)>,
        /// Further request headers; `Host` is made from the URL unless given.
        headers: Vec<(String, String)>,
    },
    /// A connection to a Unix stream socket is accepted.
    Unix(PathBuf),
    /// A file exists.
    File(PathBuf),
}

/// Whose notify messages count (`NotifyAccess=` of `systemd.service(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotifyAccess {
    /// Nobody's; no socket is offered.
    None,
    /// The main process's.
    Main,
    /// The main and the control process's.
    Exec,
    /// Those of every process that has the socket.
    All,
}

/// The descriptors that a service may hand over for its next start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdStoreConfig {
    /// Most that are kept (`FileDescriptorStoreMax=` of `systemd.service(5)`).
    pub max: usize,
    /// How long they are kept.
    pub preserve: FdStorePreserve,
}

/// How long stored descriptors are kept (`FileDescriptorStorePreserve=` of `systemd.service(5)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FdStorePreserve {
    /// To the end of the invocation.
    No,
    /// Until the service is down and will not be started again.
    #[default]
    Restart,
    /// To the end of the daemon.
    Yes,
}

/// Where the output of a service goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Standard output.
    pub stdout: Sink,
    /// Standard error; `None` merges it into stdout's, in order.
    pub stderr: Option<Sink>,
    /// Longest line; a longer one is split, none lost.
    pub max_line: usize,
    /// Bytes kept in memory for reading back.
    pub buffer: usize,
    /// When a file is rotated.
    pub rotate_size: Option<u64>,
    /// How many rotated files are kept.
    pub rotate_keep: u32,
    /// Whether each line gets a time stamp (RFC 3339, UTC) in front.
    pub timestamp: bool,
}

impl LogConfig {
    /// Whether any output is captured.
    pub fn is_captured(&self) -> bool {
        let is_file = |sink: &Sink| matches!(sink, Sink::File(_));
        is_file(&self.stdout) || self.stderr.as_ref().is_some_and(is_file)
    }
}

/// Where one stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Captured into this file (and to the console, if there is one).
    File(PathBuf),
    /// The daemon's own stream, uncaptured.
    Inherit,
    /// Nowhere.
    Null,
}

/// A signal of the spec that the daemon sends, re-exported for the loader.
pub type SpecSignal = Signal;
