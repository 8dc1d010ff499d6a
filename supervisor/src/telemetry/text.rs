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
        match field.name() {
            "message" => self.message = one_line(value),
            "service" => self.service = Some(value),
            "from" => self.change.from = Some(value),
            "to" => self.change.to = Some(value),
            "cause" => self.change.cause = Some(one_line(value)),
            name => {
                // Writing to a string cannot fail.
                let value = value.escape_debug();
                let _infallible = if value.clone().any(|c| c == ' ') {
                    write!(self.facts, " {name}=\"{value}\"")
                } else {
                    write!(self.facts, " {name}={value}")
                };
            }
        }
    }
}

/// The text, unable to forge a line or move a cursor: a cause can name a program of the spec.
fn one_line(text: String) -> String {
    if text.chars().any(char::is_control) { text.escape_debug().to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of the events of `body`.
    fn written(colour: bool, body: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(colour)
            .with_writer(move || writer.clone())
            .event_format(Text)
            .finish();
        tracing::subscriber::with_default(subscriber, body);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_transition_is_a_sentence_with_its_facts_behind() {
        let text = written(false, || {
            let (from, to, cause) = ("starting", "running", "said\nREADY=1");
            tracing::info!(service = "web", invocation = 3, from, to, cause, "transition");
        });
        let (time, rest) = text.split_at("2026-11-24T14:01:08.483Z".len());
        assert_eq!(
            (time.get(10..11), time.get(19..20), time.get(23..)),
            (Some("T"), Some("."), Some("Z"))
        );
        assert_eq!(rest, "  INFO web: starting → running: said\\nREADY=1 invocation=3\n");
    }

    #[test]
    fn a_terminal_gets_the_time_of_day_and_colours() {
        let text = written(true, || tracing::warn!(path = "/a b\x1b", "log file"));
        let (time, rest) = text.split_at("\x1b[2m14:01:08.483Z\x1b[0m".len());
        assert!(time.starts_with(DIM) && time.ends_with("Z\x1b[0m"), "{time:?}");
        let facts = "\x1b[2m path=\"/a b\\u{1b}\"\x1b[0m";
        assert_eq!(rest, format!(" \x1b[33m WARN\x1b[0m log file{facts}\n"));
    }
}
