//! `shutdown`: everything down in order, and how it went.

use supervisor_api::{
    Client, ClientError, ErrorCode, Lines, Report, ReportService, ShutdownMessage, ShutdownRequest,
};
use tokio::time::{Instant, MissedTickBehavior};

use crate::args::Format;
use crate::duration::for_people;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::ui::progress::Progress;
use crate::ui::{Style, Ui, one_line, table};

pub(super) async fn run(
    client: &Client,
    ui: &mut Ui,
    mode: Option<String>,
    timeout: Option<String>,
    wait: bool,
) -> Result<Exit, CtlError> {
    let request = ShutdownRequest { mode, timeout, wait };
    let result = if wait {
        match client.shutdown(&request).await {
            Ok(lines) => return report(lines, ui).await,
            Err(error) => Err(error),
        }
    } else {
        client.begin_shutdown(&request).await
    };
    match result {
        Ok(()) => {
            ui.line("Shutting down")?;
            Ok(Exit::Ok)
        }
        // What is asked for happens already: Supervisor counts that as success.
        Err(ClientError::Api { body, .. })
            if matches!(body.code, ErrorCode::Conflict | ErrorCode::ShuttingDown) =>
        {
            ui.line("ERROR: already shutting down")?;
            if ui.is_talkative() {
                ui.note(&format!("  {}", one_line(&body.message)));
            }
            Ok(Exit::Ok)
        }
        Err(error) => Err(error.into()),
    }
}

/// Follows the shutdown until the daemon has closed the connection, which is when it is gone.
async fn report(lines: Lines<ShutdownMessage>, ui: &mut Ui) -> Result<Exit, CtlError> {
    let mut interrupt = Interrupt::new()?;
    let is_live = ui.is_live();
    let result = tokio::select! {
        result = follow(lines, ui) => result,
        () = interrupt.wait() => {
            Err(CtlError::new(Exit::Interrupted, "interrupted; the daemon goes on to shut down")
                .with_hint("supervisorctl status"))
        }
    };
    if is_live {
        ui.hide_progress();
    }
    let report = result?;
    match ui.format() {
        Format::Json => ui.json(&report)?,
        // Each message was printed as it came.
        Format::Ndjson => {}
        Format::Name => {
            report.services.iter().try_for_each(|service| ui.line(&service.service))?;
        }
        Format::Text | Format::Wide => {
            if (ui.format() == Format::Wide || ui.is_talkative()) && !report.services.is_empty() {
                print(ui, &report)?;
            }
            ui.line("Shut down")?;
        }
    }
    Ok(Exit::Ok)
}

async fn follow(mut lines: Lines<ShutdownMessage>, ui: &mut Ui) -> Result<Report, CtlError> {
    let begun = Instant::now();
    let mut progress = Progress::default();
    let mut report = None;
    let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = lines.next() => message,
            _ = ticks.tick(), if ui.is_live() => {
                ui.show_progress(&progress, begun.elapsed());
                continue;
            }
        };
        let message = match (message, &report) {
            (Ok(Some(message)), _) => message,
            // The report is the last line; how the connection ends after it does not matter.
            (Ok(None), _) | (Err(_), Some(_)) => break,
            (Err(error), None) => return Err(error.into()),
        };
        if ui.format() == Format::Ndjson {
            ui.json(&message)?;
            ui.flush()?;
        }
        match message {
            ShutdownMessage::Event(event) => {
                progress.shutdown_event(&event);
                if ui.is_live() {
                    ui.show_progress(&progress, begun.elapsed());
                }
            }
            ShutdownMessage::Report(last) => report = Some(last),
        }
    }
    report.ok_or_else(|| CtlError::new(Exit::Failed, "the daemon went away without a report"))
}

/// Per service and step: how long, and how it ended.
fn print(ui: &mut Ui, report: &Report) -> Result<(), CtlError> {
    let plain = |text: &str| (one_line(text), Style::Plain);
    let mut rows = Vec::new();
    for service in &report.services {
        let exit = service.exit.as_ref().map(|exit| match (&exit.code, &exit.signal) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => String::new(),
        });
        let end = if service.killed { "killed".into() } else { exit.unwrap_or_default() };
        let style = if service.killed { Style::Bad } else { Style::Plain };
        rows.push(vec![
            plain(&service.service),
            plain("all"),
            plain(&for_people(service.took_ms)),
            (end + &short(service), style),
        ]);
        for phase in &service.phases {
            rows.push(vec![
                plain(""),
                plain(&phase.step),
                plain(&for_people(phase.took_ms)),
                plain(&phase.result),
            ]);
        }
    }
    table::print(ui, &["NAME", "STEP", "TOOK", "RESULT"], &rows)?;
    ui.line(&format!("{} services in {}", report.services.len(), for_people(report.took_ms)))
}

/// By how much the time limit cut it short, of what it asked for.
fn short(service: &ReportService) -> String {
    match (service.short_ms, service.asked_ms) {
        (0, _) | (_, None) => String::new(),
        (short, Some(asked)) => {
            format!(", cut short by {} of {}", for_people(short), for_people(asked))
        }
    }
}
