//! From the verb to what does it.

mod check;
mod events;
mod logs;
mod notify;
mod operate;
mod pid;
mod plan;
mod scale;
mod shutdown;
mod status;
mod why;

use std::io;

use supervisor_api::{Client, Verb as Operation};

use crate::args::{Cli, Format, Globals, OperationArgs, Verb};
use crate::environment::Environment;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::socket;
use crate::ui::Ui;
use operate::Request;

/// Runs the verb and says what went wrong, where its users look for it.
pub(crate) fn run(cli: Cli, environment: &Environment, ui: &mut Ui) -> Exit {
    let verb = cli.verb.unwrap_or(Verb::Status { names: Vec::new() });
    let is_status = matches!(verb, Verb::Status { .. });
    let is_classic = verb.is_classic() && ui.format() == Format::Text;
    let error = match dispatch(verb, &cli.globals, environment, ui) {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    // What is about this call and not about the services is no part of the answer.
    let is_aside = matches!(error.exit, Exit::BrokenPipe | Exit::Interrupted | Exit::Usage);
    if is_classic && !is_aside {
        if let Err(error) = ui.classic_error(&error) {
            return error.exit;
        }
    } else {
        ui.error(&error);
    }
    if is_status && matches!(error.exit, Exit::Unreachable | Exit::Failed) {
        Exit::Unknown
    } else {
        error.exit
    }
}

fn dispatch(
    verb: Verb,
    globals: &Globals,
    environment: &Environment,
    ui: &mut Ui,
) -> Result<Exit, CtlError> {
    // A request that makes no sense is refused before anybody looks for a daemon.
    if let Some(usage) = missing_name(&verb) {
        ui.line(&format!("Error: {usage}"))?;
        return Ok(Exit::Usage);
    }
    match &verb {
        Verb::Version => {
            ui.line(env!("CARGO_PKG_VERSION"))?;
            return Ok(Exit::Ok);
        }
        Verb::Check { file } => {
            return check::run(ui, environment, file.as_ref().or(globals.config.as_ref()));
        }
        Verb::Notify { assignments, pid, no_block, exec } => {
            return notify::run(environment, assignments, *pid, !no_block, exec);
        }
        Verb::Reload { operation } if operation.names.is_empty() => {
            let message = "\"reload\" without a name is not supported yet";
            return Err(CtlError::new(Exit::Failed, message)
                .with_hint("it will read the spec again; name the services that are to reload"));
        }
        Verb::Status { .. }
        | Verb::Start { .. }
        | Verb::Stop { .. }
        | Verb::Restart { .. }
        | Verb::Scale { .. }
        | Verb::Reload { .. }
        | Verb::Signal { .. }
        | Verb::Shutdown { .. }
        | Verb::Why { .. }
        | Verb::Events { .. }
        | Verb::Logs { .. }
        | Verb::Plan { .. }
        | Verb::Pid { .. } => {}
    }
    let client = Client::new(socket::find(globals, environment)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error: io::Error| {
        CtlError::new(Exit::Failed, format!("cannot make an event loop: {error}"))
    })?;
    runtime.block_on(online(verb, &client, environment, ui))
}

/// The verbs that need the daemon.
async fn online(
    verb: Verb,
    client: &Client,
    environment: &Environment,
    ui: &mut Ui,
) -> Result<Exit, CtlError> {
    let tz = environment.tz.as_deref();
    match verb {
        Verb::Status { names } => status::run(client, ui, tz, &names).await,
        Verb::Start { operation } => {
            operate::run(client, ui, Request::new(Operation::Start, operation)).await
        }
        Verb::Stop { operation, mode } => {
            let request = Request::new(Operation::Stop, operation).with_mode(mode.mode);
            operate::run(client, ui, request).await
        }
        Verb::Restart { operation, mode, rolling } => {
            let request = Request::new(Operation::Restart, operation).with_mode(mode.mode);
            let request = request.with_rolling(rolling);
            operate::run(client, ui, request).await
        }
        Verb::Scale { counts, no_wait, timeout } => {
            scale::run(client, ui, counts, no_wait, timeout).await
        }
        Verb::Reload { operation } => {
            operate::run(client, ui, Request::new(Operation::Reload, operation)).await
        }
        Verb::Signal { words } => {
            let mut names = words.into_iter();
            let signal = names.next();
            let names = names.collect();
            let operation = OperationArgs { names, no_wait: false, timeout: None };
            let request = Request::new(Operation::Signal, operation).with_signal(signal);
            operate::run(client, ui, request).await
        }
        Verb::Shutdown { no_wait, timeout, mode } => {
            let timeout = timeout.map(crate::duration::Limit::to_wire);
            shutdown::run(client, ui, mode.mode, timeout, !no_wait).await
        }
        Verb::Why { names } => why::run(client, ui, &names).await,
        Verb::Events { since, follow: _, no_follow } => {
            events::run(client, ui, tz, since, !no_follow).await
        }
        Verb::Logs { names, lines, follow, stream } => {
            logs::run(client, ui, tz, logs::query(names, lines, follow, stream)).await
        }
        Verb::Plan { verb, names, mode, rolling } => {
            plan::run(client, ui, verb, names, mode.mode, rolling).await
        }
        Verb::Pid { names } => pid::run(client, ui, &names).await,
        // Done before a daemon was looked for.
        Verb::Check { .. } | Verb::Notify { .. } | Verb::Version => Ok(Exit::Ok),
    }
}

/// Supervisor's words for a verb without the names that it needs.
fn missing_name(verb: &Verb) -> Option<&'static str> {
    match verb {
        Verb::Start { operation } if operation.names.is_empty() => {
            Some("start requires a process name")
        }
        Verb::Stop { operation, .. } if operation.names.is_empty() => {
            Some("stop requires a process name")
        }
        Verb::Restart { operation, .. } if operation.names.is_empty() => {
            Some("restart requires a process name")
        }
        Verb::Signal { words } if words.len() < 2 => {
            Some("signal requires a signal name and a process name")
        }
        Verb::Status { .. }
        | Verb::Start { .. }
        | Verb::Stop { .. }
        | Verb::Restart { .. }
        | Verb::Scale { .. }
        | Verb::Reload { .. }
        | Verb::Signal { .. }
        | Verb::Shutdown { .. }
        | Verb::Why { .. }
        | Verb::Events { .. }
        | Verb::Logs { .. }
        | Verb::Plan { .. }
        | Verb::Check { .. }
        | Verb::Notify { .. }
        | Verb::Pid { .. }
        | Verb::Version => None,
    }
}
