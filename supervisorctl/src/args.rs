//! The command line as clap reads it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::duration::{self, Limit};

/// Verbs that are known and come with a later version.
const LATER: [&str; 23] = [
    "add",
    "avail",
    "blame",
    "clear",
    "completions",
    "config",
    "fg",
    "graph",
    "import",
    "maintail",
    "open",
    "remove",
    "reread",
    "reset",
    "run",
    "tail",
    "timeline",
    "top",
    "tui",
    "update",
    "upgrade",
    "wait",
    "attach",
];

/// Control supervisord.
#[derive(Debug, Parser)]
#[command(name = "supervisorctl", version)]
#[command(after_help = "NAME is a service, service@instance, group, group:*, group:service, a \
glob or all.\nExit statuses: supervisorctl help exit-codes")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    /// Without a verb: `status`.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Where the daemon listens.
    #[arg(short, long, global = true, value_name = "URL", help = "The daemon: unix:///path")]
    pub(crate) server: Option<String>,
    /// The daemon's spec, to find its socket
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Accepted as Supervisor's clients pass it; a Unix socket knows its callers
    #[arg(short, long, global = true, value_name = "USER", hide = true)]
    pub(crate) user: Option<OsString>,
    /// As --user
    #[arg(short, long, global = true, value_name = "PASS", hide = true)]
    pub(crate) password: Option<OsString>,
    /// How to print
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Format,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Print nothing but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more on stderr
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people and for tools that know Supervisor
    Text,
    /// One JSON document
    Json,
    /// A JSON document per line
    Ndjson,
    /// More columns
    Wide,
    /// Names only
    Name,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless the environment says no
    Auto,
    /// Also into files
    Always,
    /// Not at all
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the state of services
    Status {
        /// Which; all if none
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Start services and what they need
    Start {
        #[command(flatten)]
        operation: OperationArgs,
    },
    /// Stop services and what needs them
    Stop {
        #[command(flatten)]
        operation: OperationArgs,
        #[command(flatten)]
        mode: Mode,
    },
    /// Stop services and start them again
    Restart {
        #[command(flatten)]
        operation: OperationArgs,
        #[command(flatten)]
        mode: Mode,
        /// One after the other, each when the one before it is up again; the first that fails ends it
        #[arg(long)]
        rolling: bool,
    },
    /// Change how many instances services have, until the daemon ends
    Scale {
        /// A service with instances, and how many it is to have
        #[arg(value_name = "NAME=N", required = true)]
        counts: Vec<Count>,
        /// Do not wait for the end
        #[arg(long)]
        no_wait: bool,
        /// Wait at most this long; the daemon goes on
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        timeout: Option<Limit>,
    },
    /// Let services read their configuration again
    Reload {
        #[command(flatten)]
        operation: OperationArgs,
    },
    /// Send a signal to the main process of services
    Signal {
        /// A signal, by name or number, then the services
        #[arg(value_name = "SIGNAL NAME")]
        words: Vec<String>,
    },
    /// Stop everything in order and end the daemon
    Shutdown {
        /// Do not wait for the end
        #[arg(long)]
        no_wait: bool,
        /// Budget of the shutdown; shortens a running one
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        timeout: Option<Limit>,
        #[command(flatten)]
        mode: Mode,
    },
    /// Tell why services are not as wanted, what will end that, and what to do
    Why {
        /// Which; all that are not as wanted if none
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Show what happens, as it happens
    Events {
        /// Begin behind this event
        #[arg(long, value_name = "REV")]
        since: Option<u64>,
        /// Go on for ever (as it does without this option)
        #[arg(short, long, conflicts_with = "no_follow")]
        follow: bool,
        /// End with the last event that there is
        #[arg(long, requires = "since")]
        no_follow: bool,
    },
    /// Show what services print
    Logs {
        /// Which; all if none
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// At most this many of the last lines
        #[arg(short = 'n', long, value_name = "N")]
        lines: Option<u64>,
        /// Go on with lines as they come
        #[arg(short, long)]
        follow: bool,
        /// One output only
        #[arg(long, value_name = "STREAM")]
        stream: Option<Output>,
    },
    /// Show what a request would do
    Plan {
        /// The request
        #[arg(value_name = "VERB")]
        verb: PlanVerb,
        /// The services; for scale NAME=N
        #[arg(value_name = "NAME", required_if_eq_any([("verb", "start"), ("verb", "stop"), ("verb", "restart"), ("verb", "scale")]))]
        names: Vec<String>,
        #[command(flatten)]
        mode: Mode,
        /// For restart: one after the other
        #[arg(long)]
        rolling: bool,
    },
    /// Check a spec, without a daemon
    Check {
        /// The spec; else that of --config, else the one that supervisord would take
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Tell the supervisor about this service, as systemd-notify does
    Notify {
        /// READY=1, STATUS=text and so on
        #[arg(value_name = "KEY=VALUE")]
        assignments: Vec<String>,
        /// Main pid of the service, else that of the caller: sends MAINPID= too
        #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true,
              default_missing_value = "auto")]
        pid: Option<MainPid>,
        /// Do not wait until the supervisor has read it
        #[arg(long)]
        no_block: bool,
        /// Become this command afterwards; takes all words that follow
        #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
        exec: Vec<OsString>,
    },
    /// Show the pid of the daemon or of services
    Pid {
        /// Which; the daemon if none
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Show the version
    Version,
}

/// Whom `notify` calls the main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MainPid {
    /// Whoever the message is from.
    Auto,
    /// This one.
    Process(i32),
}

impl FromStr for MainPid {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(pid @ 1..)) => Ok(Self::Process(pid)),
            _ => Err("not the pid of a process"),
        }
    }
}

/// How many instances a service is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) name: String,
    pub(crate) instances: u32,
}

impl FromStr for Count {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, count) = text.split_once('=').ok_or("write NAME=N")?;
        let instances = count.parse().map_err(|_| "behind `=` stands a number of instances")?;
        if name.is_empty() {
            return Err("before `=` stands the name of a service");
        }
        Ok(Self { name: name.to_owned(), instances })
    }
}

/// What start, stop, restart and reload have in common.
#[derive(Debug, Args)]
pub(crate) struct OperationArgs {
    /// The services
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Wait at most this long; the daemon goes on
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) timeout: Option<Limit>,
}

/// How to stop.
#[derive(Debug, Args)]
pub(crate) struct Mode {
    /// How: graceful, as the spec says (without this option), force, KILL at once, or one of the
    /// spec's stop-modes
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<String>,
}

/// An output of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// What can be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanVerb {
    Start,
    Stop,
    Restart,
    /// Of everything; takes no names
    Shutdown,
    Scale,
}

impl Verb {
    /// Whether Supervisor has it: then errors go to stdout too, where its users look.
    pub(crate) const fn is_classic(&self) -> bool {
        match self {
            Self::Status { .. }
            | Self::Start { .. }
            | Self::Stop { .. }
            | Self::Restart { .. }
            | Self::Reload { .. }
            | Self::Signal { .. }
            | Self::Shutdown { .. }
            | Self::Pid { .. }
            | Self::Version => true,
            Self::Scale { .. }
            | Self::Why { .. }
            | Self::Events { .. }
            | Self::Logs { .. }
            | Self::Plan { .. }
            | Self::Check { .. }
            | Self::Notify { .. } => false,
        }
    }
}

/// The verb of a command line that asks for one of a later version, or for help on it.
pub(crate) fn later_verb(arguments: &[OsString]) -> Option<&'static str> {
    let mut words = crate::words::behind_options(arguments).filter_map(|word| word.to_str());
    let mut verb = words.next()?;
    if verb == "help" {
        verb = words.next()?;
    }
    LATER.into_iter().find(|later| *later == verb)
}

/// Whether it is `help exit-codes`, which is a topic and no verb.
pub(crate) fn asks_for_exit_codes(arguments: &[OsString]) -> bool {
    crate::words::behind_options(arguments).eq(["help", "exit-codes"])
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn later_verbs_are_found_behind_options_and_help() {
        let later = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            later_verb(&words)
        };
        assert_eq!(later("-s unix:///x update all"), Some("update"));
        assert_eq!(later("help fg"), Some("fg"));
        assert_eq!(later("-q"), None);
        assert_eq!(later("start update"), None);
        assert_eq!(later("-o update"), None);
    }
}
