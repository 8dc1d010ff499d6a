//! The text form of the daemon's log: time, level, the service if it is about one, what happened,
//! and the facts. Made to be read beside the output of services on the same terminal.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Formats one event as one line.
pub(super) struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let time = now()?;
        let level = *event.metadata().level();
        if writer.has_ansi_escapes() {
            // Whoever watches knows the day, and the line has 80 columns.
            let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time);
            write!(writer, "{DIM}{time}{RESET} \x1b[{}m{level:>5}{RESET} ", colour(level))?;
        } else {
            write!(writer, "{time} {level:>5} ")?;
        }
        if let Some(service) = &line.service {
            write!(writer, "{service}: ")?;
        }
        match &line.change {
            Change { from: Some(from), to: Some(to), cause } if from == to => {
                write!(writer, "{to}: {}", cause.as_deref().unwrap_or_default())?;
            }
            Change { from: Some(from), to: Some(to), cause } => {
                write!(writer, "{from} → {to}: {}", cause.as_deref().unwrap_or_default())?;
            }
            Change { .. } => write!(writer, "{}", line.message)?,
        }
        if writer.has_ansi_escapes() && !line.facts.is_empty() {
            writeln!(writer, "{DIM}{}{RESET}", line.facts)
        } else {
            writeln!(writer, "{}", line.facts)
        }
    }
}

/// The time in RFC 3339, UTC, with milliseconds.
fn now() -> Result<String, fmt::Error> {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    // It comes with microseconds.
    if let Some((seconds, fraction)) = time.split_once('.') {
        let millis = fraction.get(..3).unwrap_or("000");
        return Ok(format!("{seconds}.{millis}Z"));
    }
    Ok(time)
}

const fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// The fields of an event, sorted by what they are to the line.
#[derive(Default)]
struct Line {
    service: Option<String>,
    message: String,
    change: Change,
    /// All other fields, each as ` name=value`.
    facts: String,
}

/// The fields of a transition.
#[derive(Default)]
struct Change {
    from: Option<String>,
    to: Option<String>,
    cause: Option<String>,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }
}

impl Line {
    fn take(&mut self, field: &Field, value: String) {
        // Names, paths and errors hold what others wrote.
        let value = if value.contains(char::is_control) { printable(&value) } else { value };
        match field.name() {
            "message" => self.message = value,
            "service" => self.service = Some(value),
            "from" => self.change.from = Some(value),
            "to" => self.change.to = Some(value),
            "cause" => self.change.cause = Some(value),
            name => {
                // Writing to a string cannot fail.
                let _infallible = if value.contains([' ', '"']) {
                    let value = value.replace('"', "\\\"");
                    write!(self.facts, " {name}=\"{value}\"")
                } else {
                    write!(self.facts, " {name}={value}")
                };
            }
        }
    }
}

/// Without control characters, which would forge lines or drive the terminal.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

#[cfg(test)]
mod tests;
