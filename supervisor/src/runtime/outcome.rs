//! How a service has ended, for the commands of its stop: `SERVICE_RESULT`, `EXIT_CODE` and
//! `EXIT_STATUS` of `systemd.exec(5)`.

use supervisor_engine::{Ending, Exit, PhaseEnd, Service, State, Step, Stopping};

/// The variables for the commands of a stop; none for those of a start or a reload.
pub(crate) fn variables(service: &Service) -> Vec<(&'static str, String)> {
    let State::Stopping(stopping) = service.state() else { return Vec::new() };
    let mut variables = vec![("SERVICE_RESULT", result(service, stopping).to_owned())];
    if let Some(exit) = stopping.main.exit()
        && let Some((code, status)) = exit_words(exit)
    {
        variables.extend([("EXIT_CODE", code.to_owned()), ("EXIT_STATUS", status)]);
    }
    variables
}

fn result(service: &Service, stopping: &Stopping) -> &'static str {
    let by_exit = |exit: Exit| match exit {
        _ if service.counts_as_clean(exit) => "success",
        Exit::Code(_) | Exit::Unknown => "exit-code",
        Exit::Signal { core: false, .. } => "signal",
        Exit::Signal { core: true, .. } => "core-dump",
    };
    match &stopping.ending {
        None if took_too_long(stopping) => "timeout",
        None => stopping.main.exit().map_or("success", by_exit),
        Some(Ending::Exited(exit)) => by_exit(*exit),
        Some(Ending::CommandFailed(_, exit)) => match exit {
            Exit::Code(_) | Exit::Unknown => "exit-code",
            Exit::Signal { core: false, .. } => "signal",
            Exit::Signal { core: true, .. } => "core-dump",
        },
        Some(Ending::SpawnFailed(_) | Ending::CommandNotStarted(..)) => "resources",
        Some(Ending::StartTimeout | Ending::RuntimeMax | Ending::Unhealthy) => "timeout",
        Some(Ending::Watchdog) => "watchdog",
        Some(Ending::Protocol | Ending::Unsettled(_) | Ending::NothingLeft) => "protocol",
        Some(Ending::Emptied) => "success",
        Some(Ending::Unmet { .. }) => "exec-condition",
    }
}

/// Whether it had to be ended, and was not ended on demand.
fn took_too_long(stopping: &Stopping) -> bool {
    let last = stopping.trail.iter().rposition(|phase| match phase.step {
        Step::Final(_) | Step::Kill => true,
        Step::Drain
        | Step::Sequence(..)
        | Step::Announced
        | Step::Abort(_)
        | Step::PostStop(_)
        | Step::Stuck => false,
    });
    let before = last.and_then(|last| stopping.trail[..last].last());
    before.is_some_and(|phase| phase.end == PhaseEnd::Timeout)
}

/// `None` where it is not known how the process ended.
fn exit_words(exit: Exit) -> Option<(&'static str, String)> {
    match exit {
        Exit::Code(code) => Some(("exited", code.to_string())),
        Exit::Signal { signal, core: false } => Some(("killed", signal.to_string())),
        Exit::Signal { signal, core: true } => Some(("dumped", signal.to_string())),
        Exit::Unknown => None,
    }
}
