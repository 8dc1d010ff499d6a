//! `events`: what happens, as it happens.

use supervisor_api::{Client, Event, EventKind};

use crate::args::Format;
use crate::clock::Clock;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::ui::{Style, Ui, one_line};

pub(super) async fn run(
    client: &Client,
    ui: &mut Ui,
    tz: Option<&str>,
    since: Option<u64>,
    follow: bool,
) -> Result<Exit, CtlError> {
    let last = if follow { None } else { Some(client.info().await?.rev) };
    if last.is_some_and(|last| last <= since.unwrap_or(last)) {
        return Ok(Exit::Ok);
    }
    let clock = Clock::local(tz);
    let mut events = client.events(since).await?;
    while let Some(event) = events.next().await? {
        print(ui, &clock, &event)?;
        if last.is_some_and(|last| last <= event.rev) {
            return Ok(Exit::Ok);
        }
        ui.flush()?;
    }
    // It has no end of its own: the daemon went away.
    Err(CtlError::new(Exit::Unreachable, "the daemon has closed the stream of events"))
}

fn print(ui: &mut Ui, clock: &Clock, event: &Event) -> Result<(), CtlError> {
    let name = match &event.kind {
        EventKind::Transition { service, .. }
        | EventKind::Status { service, .. }
        | EventKind::ServiceAdded { service }
        | EventKind::ServiceRemoved { service } => service,
        EventKind::Operation { verb, .. } => verb,
    };
    match ui.format() {
        Format::Json | Format::Ndjson => ui.json(event),
        Format::Name => ui.line(name),
        Format::Text | Format::Wide => {
            let rev =
                if ui.format() == Format::Wide { format!("{} ", event.rev) } else { String::new() };
            let time = ui.styled(Style::Faint, &clock.stamp(event.time_ms));
            ui.line(&format!("{rev}{time} {}", text(&event.kind)))
        }
    }
}

fn text(kind: &EventKind) -> String {
    match kind {
        EventKind::Transition { service, companion, from, to, cause, .. } => {
            let (from, to) = (from.as_str(), to.as_str());
            let who = if *companion { " other process" } else { "" };
            format!("{service}:{who} {from} -> {to} ({})", one_line(cause))
        }
        EventKind::Status { service, text } => format!("{service}: status \"{}\"", one_line(text)),
        EventKind::ServiceAdded { service } => format!("{service}: added"),
        EventKind::ServiceRemoved { service } => format!("{service}: removed"),
        EventKind::Operation { id, verb, done, ok } => {
            let how = match (done, ok) {
                (false, _) => "begun",
                (true, true) => "done",
                (true, false) => "failed",
            };
            format!("operation {id} ({verb}): {how}")
        }
    }
}
