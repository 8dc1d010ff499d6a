//! `start`, `stop`, `restart`, `reload`, `signal`, `scale`: a request, followed to its end.

use std::borrow::Cow;
use std::time::Duration;

use supervisor_api::{
    Client, ClientError, ErrorCode, Item, ItemResult, Operation, OperationRequest, Verb,
};

use crate::args::{Format, OperationArgs};
use crate::duration::Limit;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::select::{self, Unknown};
use crate::ui::{Ui, one_line};
use crate::wait::{self, WaitError};

/// What is asked for.
#[derive(Debug)]
pub(super) struct Request {
    wire: OperationRequest,
    wait: bool,
    timeout: Option<Duration>,
}

impl Request {
    pub(super) fn new(verb: Verb, arguments: OperationArgs) -> Self {
        let wire = OperationRequest {
            verb,
            targets: arguments.names,
            timeout: None,
            mode: None,
            signal: None,
            dry_run: false,
            wait: false,
            no_dependents: false,
            rolling: false,
            instances: None,
        };
        let timeout = arguments.timeout.and_then(Limit::duration);
        Self { wire, wait: !arguments.no_wait, timeout }
    }

    pub(super) fn with_mode(mut self, mode: Option<String>) -> Self {
        self.wire.mode = mode;
        self
    }

    pub(super) const fn with_rolling(mut self, rolling: bool) -> Self {
        self.wire.rolling = rolling;
        self
    }

    pub(super) const fn with_instances(mut self, instances: u32) -> Self {
        self.wire.instances = Some(instances);
        self
    }

    pub(super) fn with_signal(mut self, signal: Option<String>) -> Self {
        self.wire.signal = signal;
        self
    }
}

/// Sends the names as they are written. Only when the daemon does not know one of them are they
/// looked up here, so that the others are still served and each gets its line.
pub(super) async fn run(
    client: &Client,
    ui: &mut Ui,
    mut request: Request,
) -> Result<Exit, CtlError> {
    let mut exit = Exit::Ok;
    let mut result = attempt(client, ui, &request).await;
    if is_refused(&result, &[ErrorCode::UnknownService]) && ui.format() == Format::Text {
        let snapshot = client.services(None).await?;
        let mut known = Vec::new();
        for name in &request.wire.targets {
            match select::resolve(name, &snapshot.services) {
                Ok(found) => known.extend(found.iter().map(|service| service.name.clone())),
                Err(unknown) => exit = exit.then(print_unknown(ui, request.wire.verb, unknown)?),
            }
        }
        if known.is_empty() {
            return Ok(exit);
        }
        request.wire.targets = known;
        result = attempt(client, ui, &request).await;
    }
    if request.wire.verb == Verb::Signal
        && ui.format() == Format::Text
        && is_refused(&result, &[ErrorCode::BadRequest, ErrorCode::Invalid])
    {
        for name in &request.wire.targets {
            ui.line(&format!("{name}: ERROR (bad signal name)"))?;
        }
        return Ok(exit.then(Exit::Failed));
    }
    let operation = result.map_err(|error| not_answered(error, &request))?;
    print(ui, &request, &operation).map(|printed| exit.then(printed))
}

async fn attempt(client: &Client, ui: &mut Ui, request: &Request) -> Result<Operation, WaitError> {
    if request.wait {
        wait::follow(client, ui, request.wire.clone(), request.timeout).await
    } else {
        Ok(client.operate(&request.wire).await?)
    }
}

fn is_refused(result: &Result<Operation, WaitError>, codes: &[ErrorCode]) -> bool {
    match result {
        Err(WaitError::Client(ClientError::Api { body, .. })) => codes.contains(&body.code),
        Ok(_) | Err(WaitError::Client(_) | WaitError::Interrupted | WaitError::TimedOut) => false,
    }
}

/// The line for a name that means nothing, with Supervisor's exit status for it.
fn print_unknown(ui: &mut Ui, verb: Verb, unknown: Unknown<'_>) -> Result<Exit, CtlError> {
    match unknown {
        Unknown::Process(name) => {
            ui.line(&format!("{name}: ERROR (no such process)"))?;
            Ok(Exit::Failed)
        }
        Unknown::Group(name) => {
            ui.line(&format!("{name}: ERROR (no such group)"))?;
            Ok(if verb == Verb::Start { Exit::Usage } else { Exit::Failed })
        }
    }
}

fn not_answered(error: WaitError, request: &Request) -> CtlError {
    let verb = request.wire.verb.as_str();
    let go_on = format!("supervisorctl status {}", request.wire.targets.join(" "));
    match error {
        WaitError::Client(error) => error.into(),
        WaitError::Interrupted => {
            CtlError::new(Exit::Interrupted, format!("interrupted; the daemon goes on to {verb}"))
                .with_hint(go_on)
        }
        WaitError::TimedOut => {
            CtlError::new(Exit::TimedOut, "timed out, and the daemon does not answer")
                .with_hint(go_on)
        }
    }
}

fn print(ui: &mut Ui, request: &Request, operation: &Operation) -> Result<Exit, CtlError> {
    let is_accepted = !request.wait && !operation.done;
    let named = in_order(&operation.items, &request.wire.targets);
    let mut exit = Exit::Ok;
    let mut lines = Vec::new();
    for item in &named {
        let (verdict, texts) = verdict(request.wire.verb, item);
        exit = exit.then(if is_accepted { Exit::Ok } else { verdict });
        lines.extend(texts.into_iter().map(|text| format!("{}: {text}", item.service)));
    }
    if lines.is_empty() && request.wire.verb == Verb::Scale {
        let count = named.len();
        lines.extend(
            request
                .wire
                .targets
                .iter()
                .map(|name| format!("{name}: has {count} instances already")),
        );
    }
    match ui.format() {
        Format::Text if is_accepted => ui.line(&format!("operation {}", operation.id))?,
        Format::Text => {
            lines.iter().try_for_each(|line| ui.line(line))?;
            explain(ui, operation);
        }
        Format::Wide => wide(ui, operation)?,
        Format::Name => named.iter().try_for_each(|item| ui.line(&item.service))?,
        Format::Json => ui.json(operation)?,
        Format::Ndjson => operation.items.iter().try_for_each(|item| ui.json(item))?,
    }
    Ok(exit)
}

/// The named items: those that were written out in the order in which they were, then the rest,
/// which a group or glob stands for, by name.
fn in_order<'a>(items: &'a [Item], targets: &[String]) -> Vec<&'a Item> {
    let mut named: Vec<&Item> = items.iter().filter(|item| item.named).collect();
    named.sort_by_key(|item| {
        let place = targets.iter().position(|target| *target == item.service);
        (place.unwrap_or(usize::MAX), &item.service)
    });
    named
}

/// Supervisor's words for how an item ended, and its exit status.
fn verdict(verb: Verb, item: &Item) -> (Exit, Vec<Cow<'static, str>>) {
    let (exit, words) = classic_verdict(verb, item);
    let is_told = item.result == Some(ItemResult::ReloadFailed) && !item.message.is_empty();
    if is_told {
        // Supervisor has no such verb, so there is nobody whose parser the reason could break.
        let reason = one_line(&item.message);
        return (exit, vec![format!("ERROR (reload failed: {reason})").into()]);
    }
    (exit, words.into_iter().map(Cow::Borrowed).collect())
}

fn classic_verdict(verb: Verb, item: &Item) -> (Exit, Vec<&'static str>) {
    const NOT_RUNNING: &str = "ERROR (not running)";
    let Some(result) = item.result else {
        return (Exit::TimedOut, vec!["ERROR (timed out)"]);
    };
    let is_restart = verb == Verb::Restart;
    match result {
        // It was not running, or it would be `Restarted`.
        ItemResult::Started if is_restart => (Exit::Ok, vec![NOT_RUNNING, "started"]),
        ItemResult::Started => (Exit::Ok, vec!["started"]),
        ItemResult::Skipped => (Exit::Ok, vec!["skipped (its condition is not met)"]),
        ItemResult::AlreadyStarted => (Exit::Ok, vec!["ERROR (already started)"]),
        ItemResult::Stopped => (Exit::Ok, vec!["stopped"]),
        ItemResult::NotRunning => match verb {
            Verb::Signal | Verb::Reload => (Exit::NotRunning, vec![NOT_RUNNING]),
            Verb::Start | Verb::Stop | Verb::Restart | Verb::Reset | Verb::Scale => {
                (Exit::Ok, vec![NOT_RUNNING])
            }
        },
        ItemResult::Restarted => (Exit::Ok, vec!["stopped", "started"]),
        ItemResult::Reloaded => (Exit::Ok, vec!["reloaded"]),
        ItemResult::Signalled => (Exit::Ok, vec!["signalled"]),
        ItemResult::Reset => (Exit::Ok, vec!["reset"]),
        ItemResult::Added => (Exit::Ok, vec!["added"]),
        // Told once for all instances.
        ItemResult::Unchanged => (Exit::Ok, vec![]),
        ItemResult::Removed => (Exit::Ok, vec!["removed"]),
        ItemResult::SpawnFailed => (Exit::NotRunning, vec!["ERROR (spawn error)"]),
        ItemResult::StartFailed => (Exit::NotRunning, vec!["ERROR (abnormal termination)"]),
        ItemResult::DependencyFailed => (Exit::NotRunning, vec!["ERROR (dependency failed)"]),
        ItemResult::StartLimit => (Exit::NotRunning, vec!["ERROR (start limit)"]),
        ItemResult::ReloadFailed => (Exit::Failed, vec!["ERROR (reload failed)"]),
        ItemResult::StopFailed => (Exit::Failed, vec!["ERROR (still running)"]),
        ItemResult::Superseded => (Exit::Failed, vec!["ERROR (superseded)"]),
        ItemResult::Conflict => (Exit::Failed, vec!["ERROR (conflict)"]),
        ItemResult::NotTried => (Exit::Failed, vec!["ERROR (not tried)"]),
    }
}

/// Why it failed, for people: Supervisor's lines have no room for it.
fn explain(ui: &mut Ui, operation: &Operation) {
    if !ui.is_talkative() {
        return;
    }
    for item in &operation.items {
        let failed = item.result.is_none_or(|result| !result.is_ok());
        let is_told = item.named && item.result == Some(ItemResult::ReloadFailed);
        if failed && !is_told && !item.message.is_empty() {
            ui.note(&format!("  {}: {}", item.service, one_line(&item.message)));
        }
    }
}

fn wide(ui: &mut Ui, operation: &Operation) -> Result<(), CtlError> {
    use crate::ui::{Style, table};

    let mut rows = Vec::new();
    for item in &operation.items {
        let result = serde_json::to_value(item.result).ok();
        let result = result.as_ref().and_then(|value| value.as_str()).unwrap_or("pending");
        let style = match item.result {
            Some(result) if result.is_ok() => Style::Good,
            Some(_) => Style::Bad,
            None => Style::Busy,
        };
        rows.push(vec![
            (item.service.clone(), Style::Plain),
            (result.to_owned(), style),
            (if item.named { "yes" } else { "no" }.into(), Style::Plain),
            (one_line(&item.message), Style::Plain),
        ]);
    }
    table::print(ui, &["NAME", "RESULT", "NAMED", "MESSAGE"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(verb: Verb, result: Option<ItemResult>) -> String {
        let item = Item { service: "x".into(), named: true, result, message: String::new() };
        let (exit, texts) = verdict(verb, &item);
        format!("{} {}", exit.code(), texts.join(", "))
    }

    #[test]
    fn results_are_said_in_supervisors_words() {
        use ItemResult as R;
        for (verb, result, expected) in [
            (Verb::Start, R::Started, "0 started"),
            (Verb::Start, R::AlreadyStarted, "0 ERROR (already started)"),
            (Verb::Start, R::SpawnFailed, "7 ERROR (spawn error)"),
            (Verb::Start, R::StartFailed, "7 ERROR (abnormal termination)"),
            (Verb::Start, R::DependencyFailed, "7 ERROR (dependency failed)"),
            (Verb::Start, R::StartLimit, "7 ERROR (start limit)"),
            (Verb::Start, R::Conflict, "1 ERROR (conflict)"),
            (Verb::Stop, R::Stopped, "0 stopped"),
            (Verb::Stop, R::NotRunning, "0 ERROR (not running)"),
            (Verb::Stop, R::StopFailed, "1 ERROR (still running)"),
            (Verb::Stop, R::Superseded, "1 ERROR (superseded)"),
            (Verb::Restart, R::Restarted, "0 stopped, started"),
            (Verb::Restart, R::Started, "0 ERROR (not running), started"),
            (Verb::Signal, R::Signalled, "0 signalled"),
            (Verb::Signal, R::NotRunning, "7 ERROR (not running)"),
            (Verb::Reload, R::Reloaded, "0 reloaded"),
            (Verb::Reload, R::NotRunning, "7 ERROR (not running)"),
            (Verb::Reload, R::ReloadFailed, "1 ERROR (reload failed)"),
            (Verb::Restart, R::NotTried, "1 ERROR (not tried)"),
            (Verb::Reset, R::Reset, "0 reset"),
            (Verb::Scale, R::Added, "0 added"),
            (Verb::Scale, R::Removed, "0 removed"),
        ] {
            assert_eq!(said(verb, Some(result)), expected);
        }
        assert_eq!(said(Verb::Stop, None), "124 ERROR (timed out)");
    }

    #[test]
    fn named_services_come_as_written_then_by_name() {
        let item = |service: &str, named| Item {
            service: service.into(),
            named,
            result: None,
            message: String::new(),
        };
        let items = [item("a", true), item("b", true), item("c", true), item("d", false)];
        let order = |targets: &[&str]| {
            let targets: Vec<String> = targets.iter().map(|name| (*name).into()).collect();
            in_order(&items, &targets).iter().map(|item| item.service.clone()).collect::<String>()
        };
        assert_eq!(order(&["all"]), "abc");
        assert_eq!(order(&["c", "a", "b"]), "cab");
        assert_eq!(order(&["c", "g:*"]), "cab");
    }
}
