//! The daemon's own log, on stderr.

mod text;

use std::io::{self, IsTerminal};

use tracing::{Level, Subscriber};
use tracing_subscriber::fmt;

use self::text::Text;
use crate::config::LogFormat;

/// Starts logging. A second call has no effect.
pub(crate) fn start(level: Level, format: LogFormat) {
    // Without the last, a line that cannot be written (the terminal is gone, the disk full) is told by
    // `eprintln!`, which panics for the same reason: the log would end the daemon.
    let builder = fmt().with_max_level(level).with_writer(io::stderr).log_internal_errors(false);
    match format {
        LogFormat::Text => {
            let colour = wants_colour(&io::stderr());
            install(builder.with_ansi(colour).event_format(Text).finish());
        }
        LogFormat::Json => install(builder.json().flatten_event(true).with_target(false).finish()),
    }
}

/// Whether what is written there may have colours (<https://no-color.org>).
pub(crate) fn wants_colour(to: &impl IsTerminal) -> bool {
    to.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn install(subscriber: impl Subscriber + Send + Sync) {
    // An error means that a log is there already.
    drop(tracing::subscriber::set_global_default(subscriber));
}
