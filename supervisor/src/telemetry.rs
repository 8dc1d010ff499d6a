//! The daemon's own log, on stderr.

mod stderr;
mod text;

use std::io::{self, IsTerminal};
use std::os::fd::AsFd as _;
use std::time::Duration;

use tracing::{Level, Subscriber};
use tracing_subscriber::fmt;

use self::stderr::Stderr;
use self::text::Text;
use crate::config::LogFormat;

/// How long the end of the daemon waits for who reads its log.
const GRACE: Duration = Duration::from_secs(1);

/// The log; dropping it waits for the last lines.
#[derive(Debug)]
pub(crate) struct Telemetry(Stderr);

impl Telemetry {
    /// Starts logging. A second log gets nothing.
    pub(crate) fn start(level: Level, format: LogFormat) -> io::Result<Self> {
        let stderr = Stderr::start(io::stderr().as_fd().try_clone_to_owned()?.into())?;
        let writer = stderr.clone();
        // Without the last, an error of the log is told by `eprintln!`, which can panic and may wait.
        let builder = fmt()
            .with_max_level(level)
            .with_writer(move || writer.clone())
            .log_internal_errors(false);
        match format {
            LogFormat::Text => {
                let colour = wants_colour(&io::stderr());
                install(builder.with_ansi(colour).event_format(Text).finish());
            }
            LogFormat::Json => {
                install(builder.json().flatten_event(true).with_target(false).finish());
            }
        }
        Ok(Self(stderr))
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.0.flush_within(GRACE);
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
