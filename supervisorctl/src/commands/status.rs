//! `status`: the state of services, in the form that Supervisor's users parse.

use supervisor_api::{Client, Service, Snapshot, State};

use crate::args::Format;
use crate::clock::{self, Clock};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::select::{self, Unknown};
use crate::ui::{Style, Ui, one_line, table};

pub(super) async fn run(
    client: &Client,
    ui: &mut Ui,
    tz: Option<&str>,
    names: &[String],
) -> Result<Exit, CtlError> {
    let mut snapshot = client.services(None).await?;
    let mut exit = Exit::Ok;
    if !names.is_empty() {
        let (listed, unknown) = listed(&snapshot, names);
        for name in unknown {
            exit = Exit::Unknown;
            if ui.format() == Format::Text {
                ui.line(&match name {
                    Unknown::Process(name) => format!("{name}: ERROR (no such process)"),
                    Unknown::Group(name) => format!("{name}: ERROR (no such group)"),
                })?;
            } else {
                let (Unknown::Process(name) | Unknown::Group(name)) = name;
                ui.error(&CtlError::new(exit, format!("no service \"{name}\"")));
            }
        }
        snapshot.services = listed;
    }
    print(ui, tz, &snapshot)?;
    let is_down = |service: &Service| match service.state {
        State::Stopped | State::Exited | State::Failed => true,
        State::Waiting
        | State::Starting
        | State::Running
        | State::Reloading
        | State::Stopping
        | State::Backoff => false,
    };
    Ok(if snapshot.services.iter().any(is_down) { Exit::Down } else { exit })
}

/// The services that `names` mean, each once, in the order of the snapshot; and what means none.
fn listed<'a>(snapshot: &Snapshot, names: &'a [String]) -> (Vec<Service>, Vec<Unknown<'a>>) {
    let (mut listed, mut unknown) = (Vec::new(), Vec::new());
    for name in names {
        match select::resolve(name, &snapshot.services) {
            Ok(found) => listed.extend(found),
            Err(name) => unknown.push(name),
        }
    }
    listed.sort_by_key(|service| &service.name);
    listed.dedup_by_key(|service| &service.name);
    (listed.into_iter().cloned().collect(), unknown)
}

fn print(ui: &mut Ui, tz: Option<&str>, snapshot: &Snapshot) -> Result<(), CtlError> {
    let Snapshot { now_ms, services, .. } = snapshot;
    match ui.format() {
        Format::Text => {
            let longest = services.iter().map(|service| service.name.chars().count()).max();
            let width = longest.unwrap_or(0).max(30) + 3;
            let clock = Clock::local(tz);
            for service in services {
                let state = classic_state(service.state);
                let text = description(service, *now_ms, &clock);
                ui.line(&format!("{:width$}{state:10}{text}", service.name))?;
            }
            Ok(())
        }
        Format::Wide => {
            let rows: Vec<_> = services.iter().map(|service| row(service, *now_ms)).collect();
            table::print(ui, &COLUMNS, &rows)
        }
        Format::Name => services.iter().try_for_each(|service| ui.line(&service.name)),
        Format::Json => ui.json(snapshot),
        Format::Ndjson => services.iter().try_for_each(|service| ui.json(service)),
    }
}

/// Supervisor's word for a state.
const fn classic_state(state: State) -> &'static str {
    match state {
        State::Stopped => "STOPPED",
        State::Waiting | State::Starting => "STARTING",
        State::Running | State::Reloading => "RUNNING",
        State::Stopping => "STOPPING",
        State::Backoff => "BACKOFF",
        State::Exited => "EXITED",
        State::Failed => "FATAL",
    }
}

/// What Supervisor writes behind the state.
fn description(service: &Service, now_ms: u64, clock: &Clock) -> String {
    match service.state {
        State::Running | State::Reloading => {
            // Tools take the fourth and the sixth word: there is always a pid, 0 for a service
            // that runs no process.
            let pid = service.pid.unwrap_or(0);
            let since = service.started_ms.unwrap_or(service.since_ms);
            let uptime = clock::uptime(now_ms.saturating_sub(since));
            // Behind those words: a restart that overlaps is no other state.
            let other = if service.why.code == "overlap" {
                format!(" ({})", one_line(&service.why.message))
            } else {
                String::new()
            };
            format!("pid {pid}, uptime {uptime}{other}")
        }
        State::Stopped | State::Exited => match service.exited_ms {
            Some(time) => clock.date(time),
            None => "Not started".into(),
        },
        State::Waiting | State::Starting | State::Stopping | State::Backoff | State::Failed => {
            one_line(&service.why.message)
        }
    }
}

/// Whether processes of it may be there.
const fn is_alive(state: State) -> bool {
    match state {
        State::Starting | State::Running | State::Reloading | State::Stopping => true,
        State::Stopped | State::Waiting | State::Backoff | State::Exited | State::Failed => false,
    }
}

const COLUMNS: [&str; 8] = ["NAME", "STATE", "SINCE", "PID", "READY", "RESTARTS", "GROUPS", "WHY"];

fn row(service: &Service, now_ms: u64) -> Vec<table::Cell> {
    let style = match service.state {
        State::Running if service.ready => Style::Good,
        State::Running | State::Waiting | State::Starting | State::Reloading | State::Stopping => {
            Style::Busy
        }
        State::Backoff | State::Failed => Style::Bad,
        State::Stopped | State::Exited => Style::Faint,
    };
    let plain = |text: String| (text, Style::Plain);
    // What a process said of itself does not tell why it is gone.
    let said = service.status.as_ref().filter(|_| is_alive(service.state));
    vec![
        plain(service.name.clone()),
        (service.state.as_str().into(), style),
        plain(clock::uptime(now_ms.saturating_sub(service.since_ms))),
        plain(service.pid.map_or_else(|| "-".into(), |pid| pid.to_string())),
        plain(if service.ready { "yes" } else { "no" }.into()),
        plain(service.restarts.to_string()),
        plain(if service.groups.is_empty() { "-".into() } else { service.groups.join(",") }),
        plain(one_line(said.unwrap_or(&service.why.message))),
    ]
}
