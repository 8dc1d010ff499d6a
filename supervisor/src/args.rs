//! The command line of `supervisord`.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use tracing::Level;

/// Process supervisor for containers and hosts without systemd.
///
/// Reads a TOML spec, starts its services in the order of their dependencies, keeps them up, and
/// stops them in reverse order on SIGTERM. Runs in the foreground.
#[derive(Clone, Debug, Parser)]
#[command(name = "supervisord", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Spec file, or a directory of `*.toml` files.
    ///
    /// Without it: `./supervisor.toml`, then (not as root)
    /// `$XDG_CONFIG_HOME/supervisor/supervisor.toml`, then `/etc/supervisor/supervisor.toml`.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Check the spec and exit: 0 if it is valid, 2 with every fault on stderr if it is not.
    #[arg(long)]
    pub check: bool,

    /// Level of the daemon's own log on stderr; without it `log-level` of the spec, or
    /// warn for a command without one.
    #[arg(long, value_name = "LEVEL", value_parser = log_level())]
    pub log_level: Option<Level>,

    /// Exit with status 1 when a service had to be killed at the end of its time.
    #[arg(long)]
    pub strict_stop: bool,

    /// Write the daemon's pid to this file.
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,

    /// A command to run as one more service, `main`, whose end shuts everything down.
    ///
    /// Without a spec it is a one-command init: forwards every signal to it, reaps orphans, and
    /// exits with its status (128 + n if signal n ended it).
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

fn log_level() -> impl clap::builder::TypedValueParser<Value = Level> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"])
        .try_map(|name| name.parse::<Level>())
}
