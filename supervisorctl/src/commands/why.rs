//! `why`: what keeps services from being as wanted, followed to where it begins.

mod story;

use supervisor_api::{Client, Service, Snapshot, State};

use crate::args::Format;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::select;
use crate::ui::Ui;
use story::Story;

pub(super) async fn run(client: &Client, ui: &mut Ui, names: &[String]) -> Result<Exit, CtlError> {
    let snapshot = client.services(None).await?;
    let asked = if names.is_empty() {
        snapshot.services.iter().filter(|service| !is_as_wanted(service)).collect()
    } else {
        named(client, &snapshot, names).await?
    };
    print(ui, &snapshot, &asked)?;
    Ok(Exit::Ok)
}

/// Whether the service is at rest where somebody, or the spec, wants it.
fn is_as_wanted(service: &Service) -> bool {
    let code = service.why.code.as_str();
    match service.state {
        State::Running => code == "up",
        State::Exited => true,
        // Also the service that went with another that was to be stopped, or for one that is to be up.
        State::Stopped => {
            matches!(code, "requested" | "stopped-with" | "conflicts-with" | "shutdown" | "reset")
                || code == "never-started" && !service.enabled
        }
        State::Waiting
        | State::Starting
        | State::Reloading
        | State::Stopping
        | State::Backoff
        | State::Failed => false,
    }
}

/// The services that `names` mean, in the order of the names.
async fn named<'s>(
    client: &Client,
    snapshot: &'s Snapshot,
    names: &[String],
) -> Result<Vec<&'s Service>, CtlError> {
    let mut asked = Vec::new();
    for name in names {
        let Ok(found) = select::resolve(name, &snapshot.services) else {
            // The daemon knows which name may have been meant.
            client.services(Some(name)).await?;
            return Err(CtlError::new(Exit::Failed, format!("no service \"{name}\"")));
        };
        asked.extend(found);
    }
    Ok(asked)
}

fn print(ui: &mut Ui, snapshot: &Snapshot, asked: &[&Service]) -> Result<(), CtlError> {
    let mut story = Story::new(snapshot);
    let paragraphs: Vec<_> = asked.iter().filter_map(|service| story.tell(service)).collect();
    match ui.format() {
        Format::Text | Format::Wide if paragraphs.is_empty() => ui.line("all is as wanted"),
        Format::Text | Format::Wide => ui.line(&paragraphs.join("\n\n")),
        Format::Name => asked.iter().try_for_each(|service| ui.line(&service.name)),
        Format::Json => {
            let services = story.told().cloned().collect();
            ui.json(&Snapshot { services, boot_id: snapshot.boot_id.clone(), ..*snapshot })
        }
        Format::Ndjson => story.told().try_for_each(|service| ui.json(service)),
    }
}
