//! `pid`: of the daemon, or of services.

use serde_json::json;
use supervisor_api::Client;

use crate::args::Format;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::select::{self, Unknown};
use crate::ui::Ui;

pub(super) async fn run(client: &Client, ui: &mut Ui, names: &[String]) -> Result<Exit, CtlError> {
    if names.is_empty() {
        let pid = client.info().await?.pid;
        print(ui, "supervisord", i64::from(pid))?;
        return Ok(Exit::Ok);
    }
    let snapshot = client.services(None).await?;
    let mut exit = Exit::Ok;
    for name in names {
        match select::resolve(name, &snapshot.services) {
            Ok(found) => {
                for service in found {
                    let pid = service.pid.unwrap_or(0);
                    print(ui, &service.name, i64::from(pid))?;
                    exit = exit.then(if pid == 0 { Exit::NotRunning } else { Exit::Ok });
                }
            }
            Err(Unknown::Process(name) | Unknown::Group(name)) => {
                exit = exit.then(Exit::Failed);
                if ui.format() == Format::Text {
                    ui.line(&format!("No such process {name}"))?;
                } else {
                    ui.error(&CtlError::new(exit, format!("no service \"{name}\"")));
                }
            }
        }
    }
    Ok(exit)
}

fn print(ui: &mut Ui, name: &str, pid: i64) -> Result<(), CtlError> {
    match ui.format() {
        Format::Text => ui.line(&pid.to_string()),
        Format::Wide => ui.line(&format!("{name} {pid}")),
        Format::Name => ui.line(name),
        Format::Json | Format::Ndjson => ui.json(&json!({ "name": name, "pid": pid })),
    }
}
