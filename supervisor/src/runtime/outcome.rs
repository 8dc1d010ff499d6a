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
    let of_main =
        |exit: Exit| if service.counts_as_clean(exit) { "success" } else { of_exit(exit) };
    match &stopping.ending {
        None if took_too_long(stopping) => "timeout",
        None => stopping.main.exit().map_or("success", of_main),
        Some(Ending::Exited(exit)) => of_main(*exit),
        Some(ending) => of_ending(ending),
    }
}

/// What an ending is called that is not as it should be.
pub(crate) const fn of_ending(ending: &Ending) -> &'static str {
    match ending {
        Ending::Exited(exit) | Ending::CommandFailed(_, exit) => of_exit(*exit),
        Ending::SpawnFailed(_) | Ending::CommandNotStarted(..) => "resources",
        Ending::StartTimeout | Ending::RuntimeMax | Ending::Unhealthy => "timeout",
        Ending::Watchdog => "watchdog",
        Ending::Protocol | Ending::Unsettled(_) | Ending::NothingLeft => "protocol",
        Ending::Emptied => "success",
        Ending::Unmet { .. } => "exec-condition",
    }
}

const fn of_exit(exit: Exit) -> &'static str {
    match exit {
        Exit::Code(_) | Exit::Unknown => "exit-code",
        Exit::Signal { core: false, .. } => "signal",
        Exit::Signal { core: true, .. } => "core-dump",
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

/// `EXIT_CODE` and `EXIT_STATUS`; `None` where it is not known how the process ended.
pub(crate) fn exit_words(exit: Exit) -> Option<(&'static str, String)> {
    match exit {
        Exit::Code(code) => Some(("exited", code.to_string())),
        Exit::Signal { signal, core: false } => Some(("killed", signal.to_string())),
        Exit::Signal { signal, core: true } => Some(("dumped", signal.to_string())),
        Exit::Unknown => None,
    }
}
