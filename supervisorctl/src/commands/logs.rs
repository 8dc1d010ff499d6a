//! `logs`: what services print.

use supervisor_api::{Client, LogLine, LogQuery, Stream};

use crate::args::{Format, Output};
use crate::clock::Clock;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::ui::{Style, Ui};

/// The lines to ask for.
pub(super) fn query(
    names: Vec<String>,
    tail: Option<u64>,
    follow: bool,
    stream: Option<Output>,
) -> LogQuery {
    let stream = stream.map(|stream| match stream {
        Output::Stdout => Stream::Stdout,
        Output::Stderr => Stream::Stderr,
    });
    LogQuery { names, stream, tail, follow }
}

pub(super) async fn run(
    client: &Client,
    ui: &mut Ui,
    tz: Option<&str>,
    query: LogQuery,
) -> Result<Exit, CtlError> {
    let clock = Clock::local(tz);
    let mut lines = client.logs(&query).await?;
    // Lines need their service's name unless only one is asked for, by its full name.
    let alone = match query.names.as_slice() {
        [name] => Some(name),
        _ => None,
    };
    while let Some(line) = lines.next().await? {
        print(ui, &clock, &line, alone.is_none_or(|alone| *alone != line.service))?;
        if query.follow {
            ui.flush()?;
        }
    }
    Ok(Exit::Ok)
}

fn print(ui: &mut Ui, clock: &Clock, line: &LogLine, prefix: bool) -> Result<(), CtlError> {
    let (mark, style) = match line.stream {
        Stream::Stdout => ("stdout", Style::Faint),
        Stream::Stderr => ("stderr", Style::Busy),
    };
    match ui.format() {
        Format::Json | Format::Ndjson => ui.json(line),
        Format::Name => ui.line(&line.service),
        Format::Text if !prefix => ui.line(&line.line),
        Format::Text => {
            let service = ui.styled(style, &format!("{} |", line.service));
            ui.line(&format!("{service} {}", line.line))
        }
        Format::Wide => {
            let head = format!("{} {} {mark} |", clock.stamp(line.time_ms), line.service);
            ui.line(&format!("{} {}", ui.styled(style, &head), line.line))
        }
    }
}
