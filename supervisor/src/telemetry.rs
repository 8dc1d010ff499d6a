//! The daemon's own log, on stderr.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::fmt;

use crate::config::LogFormat;

/// Starts logging. A second call has no effect.
pub(crate) fn start(level: Level, format: LogFormat) {
    let builder = fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // An error means that a log is there already.
    let _already_started = match format {
        LogFormat::Text => tracing::subscriber::set_global_default(
            builder.with_ansi(colour).with_timer(timer()).finish(),
        ),
        LogFormat::Json => {
            tracing::subscriber::set_global_default(builder.json().with_timer(timer()).finish())
        }
    };
}

const fn timer() -> fmt::time::SystemTime {
    fmt::time::SystemTime
}
