//! The engine's state as the API shows it.

use std::time::Duration;

use supervisor_api as api;
use supervisor_engine::{
    Aim, Cause, ControlCommand, DependencyKind, Ending, Engine, Exit, FailReason, Health, Item,
    Kind, Main, Operation, Outcome, Overlap, PhaseEnd, Plan, PlanKind, ReloadPhase, Run, Service,
    ServiceId, ServiceSpec, StartPhase, State, Status, Step, StopCause, StopHow, StopPhase, Verb,
    Why,
};

use crate::clock::{Wall, millis};
use crate::longest_stop;

/// The code of the reason why a service has two processes.
pub(crate) const OVERLAP: &str = "overlap";

/// The name of a service, for sentences.
pub(crate) fn name(engine: &Engine, id: ServiceId) -> &str {
    &engine.service(id).spec().name
}

pub(crate) const fn state(status: Status) -> api::State {
    match status {
        Status::Stopped => api::State::Stopped,
        Status::Waiting => api::State::Waiting,
        Status::Starting => api::State::Starting,
        Status::Running => api::State::Running,
        Status::Reloading => api::State::Reloading,
        Status::Stopping => api::State::Stopping,
        Status::Backoff => api::State::Backoff,
        Status::Exited => api::State::Exited,
        Status::Failed => api::State::Failed,
    }
}

/// As `type` of the spec has it.
pub(crate) const fn kind(spec: &ServiceSpec) -> &'static str {
    match spec.kind {
        Kind::Notify if spec.reloads_by_handshake() => "notify-reload",
        Kind::Target => "target",
        Kind::Simple => "simple",
        Kind::Notify => "notify",
        Kind::Forking => "forking",
        Kind::Oneshot => "oneshot",
    }
}

pub(crate) const fn relation(kind: DependencyKind) -> &'static str {
    match kind {
        DependencyKind::Requires => "requires",
        DependencyKind::Wants => "wants",
        DependencyKind::BindsTo => "binds-to",
        DependencyKind::PartOf => "part-of",
        DependencyKind::After => "after",
        DependencyKind::Before => "before",
        DependencyKind::Conflicts => "conflicts",
        DependencyKind::Upholds => "upholds",
        DependencyKind::OnFailure => "on-failure",
        DependencyKind::OnSuccess => "on-success",
    }
}

/// `None` where it is not known how the process ended.
pub(crate) fn exit(exit: Exit) -> Option<api::Exit> {
    match exit {
        Exit::Code(code) => Some(api::Exit { code: Some(code), signal: None, core: false }),
        Exit::Signal { signal, core } => {
            Some(api::Exit { code: None, signal: Some(signal.to_string()), core })
        }
        Exit::Unknown => None,
    }
}

/// When its process was started, if the service has one.
pub(crate) fn started(service: &Service) -> Option<supervisor_engine::Moment> {
    match service.state() {
        State::Starting(starting) => Some(starting.since),
        State::Running(running) => running.invocation.map(|_| running.started),
        State::Reloading(reloading) => Some(reloading.running.started),
        State::Stopping(stopping) => Some(stopping.started),
        State::Stopped(_)
        | State::Waiting
        | State::Backoff(_)
        | State::Exited(_)
        | State::Failed(_) => None,
    }
}

pub(crate) fn step(step: Step) -> String {
    match step {
        Step::Drain => "drain".to_owned(),
        Step::PostStop(index) => ControlCommand::PostStop(index).to_string(),
        Step::Sequence(_, StopHow::Command(_)) => "command".to_owned(),
        Step::Sequence(_, StopHow::Signal(signal)) | Step::Final(signal) => {
            format!("signal {signal}")
        }
        Step::Sequence(_, StopHow::Sleep) => "sleep".to_owned(),
        Step::Announced => "announced".to_owned(),
        Step::Abort(signal) => format!("abort {signal}"),
        Step::Kill => "signal KILL".to_owned(),
        Step::Stuck => "stuck".to_owned(),
    }
}

/// What a step of a stop does, as part of a sentence.
fn step_sentence(step: Step) -> String {
    match step {
        Step::Drain => "is left alone until its work is done".to_owned(),
        Step::PostStop(index) => format!("runs {}", ControlCommand::PostStop(index)),
        Step::Sequence(_, StopHow::Command(_)) => "runs its stop command".to_owned(),
        Step::Sequence(_, StopHow::Signal(signal)) | Step::Abort(signal) => {
            format!("got {signal}, is to end")
        }
        Step::Sequence(_, StopHow::Sleep) => "is left alone for a while".to_owned(),
        Step::Announced => "said that it is stopping".to_owned(),
        Step::Final(signal) => format!("got {signal} at the end"),
        Step::Kill => "got KILL".to_owned(),
        Step::Stuck => "is still there after KILL".to_owned(),
    }
}

pub(crate) fn phases(phases: &[StopPhase]) -> Vec<api::StopPhase> {
    let result = |end: &PhaseEnd| match end {
        PhaseEnd::Gone => "gone".to_owned(),
        PhaseEnd::Timeout => "timeout".to_owned(),
        PhaseEnd::Done => "done".to_owned(),
        PhaseEnd::CommandFailed(exit) => format!("failed: {exit}"),
        PhaseEnd::CommandNotStarted(message) => format!("failed: {message}"),
        PhaseEnd::CutShort => "cut short".to_owned(),
    };
    let phase = |phase: &StopPhase| api::StopPhase {
        step: step(phase.step),
        took_ms: millis(phase.took),
        result: result(&phase.end),
    };
    phases.iter().map(phase).collect()
}

fn stop_cause(engine: &Engine, cause: StopCause) -> String {
    match cause {
        StopCause::NeverStarted => "not started".to_owned(),
        StopCause::Requested => "stopped by request".to_owned(),
        StopCause::StoppedWith(id) => format!("stopped with {}", name(engine, id)),
        StopCause::BoundTo(id) => format!("bound to {}, which ended", name(engine, id)),
        StopCause::Shutdown => "shutdown".to_owned(),
        StopCause::Reset => "reset".to_owned(),
        StopCause::Condition => "its condition is not met".to_owned(),
        StopCause::ConflictsWith(id) => {
            format!("conflicts with {}, which is to be up", name(engine, id))
        }
        StopCause::Replaced => "a new process has taken its place".to_owned(),
        StopCause::Removed => "removed".to_owned(),
    }
}

fn fail_reason(engine: &Engine, reason: &FailReason) -> String {
    match reason {
        FailReason::Ended(ending) => ending.to_string(),
        FailReason::StartLimit => "started too often in too short a time".to_owned(),
        FailReason::Dependency(id) => format!("requires {}, which is not up", name(engine, *id)),
        FailReason::Conflict(id) => {
            format!("conflicts with {}, which is still there after KILL", name(engine, *id))
        }
    }
}

pub(crate) fn cause(engine: &Engine, cause: &Cause) -> String {
    match cause {
        Cause::Requested => "to be started".to_owned(),
        Cause::Restart => "restarted by its policy".to_owned(),
        Cause::TriggeredBy(id) => format!("to be started, because {} ended", name(engine, *id)),
        Cause::UpheldBy(id) => format!("to be started, {} upholds it", name(engine, *id)),
        Cause::DependenciesUp => "its turn".to_owned(),
        Cause::Spawned => "process started".to_owned(),
        Cause::Ready => "said READY=1".to_owned(),
        Cause::Probed => "its probe succeeded".to_owned(),
        Cause::Phase(phase) => phase_sentence(*phase),
        Cause::PostStarted => "its post-start commands are done".to_owned(),
        Cause::Forked => "forked".to_owned(),
        Cause::MainFound => "main process found".to_owned(),
        Cause::MainUnknown => "its main process cannot be told".to_owned(),
        Cause::MainGone(exit) => format!("goes on without its main process: {exit}"),
        Cause::Healthy => "its liveness probe succeeded".to_owned(),
        Cause::Settled => "stayed alive for its settle time".to_owned(),
        Cause::Completed(exit) => format!("done: {exit}"),
        Cause::Reload => "reloads".to_owned(),
        Cause::Reloaded => "reloaded".to_owned(),
        Cause::ReloadTimeout => "reload timed out".to_owned(),
        Cause::ReloadFailed => "reload failed".to_owned(),
        Cause::Stop(cause) => stop_cause(engine, *cause),
        Cause::Cycle => "to be restarted".to_owned(),
        Cause::Replaced => "a new process has taken the place of the old one".to_owned(),
        Cause::Step(step) => step_sentence(*step),
        Cause::Ended(ending) => ending.to_string(),
        Cause::Failed(reason) => fail_reason(engine, reason),
    }
}

const fn ending_code(ending: &Ending) -> &'static str {
    match ending {
        Ending::Exited(_) | Ending::Emptied => "exit",
        Ending::SpawnFailed(_) => "spawn",
        Ending::StartTimeout => "start-timeout",
        Ending::RuntimeMax => "runtime-max",
        Ending::Watchdog => "watchdog",
        Ending::Protocol | Ending::NothingLeft => "protocol",
        Ending::Unhealthy => "unhealthy",
        Ending::Unsettled(_) => "settle-time",
        Ending::CommandFailed(..) | Ending::CommandNotStarted(..) => "command",
        Ending::Unmet { .. } => "condition",
    }
}

/// What a start waits for, as part of a sentence.
fn phase_sentence(phase: StartPhase) -> String {
    match phase {
        StartPhase::Condition(index) => format!("runs {}", ControlCommand::Condition(index)),
        StartPhase::PreStart(index) => format!("runs {}", ControlCommand::PreStart(index)),
        StartPhase::Exec => "its process is being started".to_owned(),
        StartPhase::Fork => "waits for the process that forks it to end".to_owned(),
        StartPhase::MainPid => "waits until its main process can be told".to_owned(),
        StartPhase::Ready => "waits for READY=1".to_owned(),
        StartPhase::Probe => "waits for its readiness probe".to_owned(),
        StartPhase::Completion => "waits for its process to end".to_owned(),
        StartPhase::PostStart(index) => format!("runs {}", ControlCommand::PostStart(index)),
        StartPhase::Settle => "has to stay alive for its settle time".to_owned(),
    }
}

/// How many commands the list has that this phase is one of.
fn start_commands(engine: &Engine, id: ServiceId, phase: StartPhase) -> Option<usize> {
    let commands = &engine.service(id).spec().commands;
    match phase {
        StartPhase::Condition(_) => Some(commands.condition.len()),
        StartPhase::PreStart(_) => Some(commands.pre_start.len()),
        StartPhase::PostStart(_) => Some(commands.post_start.len()),
        StartPhase::Exec
        | StartPhase::Fork
        | StartPhase::MainPid
        | StartPhase::Ready
        | StartPhase::Probe
        | StartPhase::Completion
        | StartPhase::Settle => None,
    }
}

/// What the second process of a service does, with its pid if that is known.
pub(crate) fn overlap(doing: Overlap, waits_for: &[String], pid: Option<i32>) -> String {
    let pid = pid.map(|pid| format!(" {pid}")).unwrap_or_default();
    match doing {
        Overlap::Waiting if waits_for.is_empty() => "overlap: new process is due".to_owned(),
        Overlap::Waiting => format!("overlap: new process waits for {}", waits_for.join(", ")),
        Overlap::Starting => format!("overlap: new process{pid} starting"),
        Overlap::Stopping => format!("overlap: other process{pid} stopping"),
    }
}

/// Why a service is in its state, for programs and for people.
pub(crate) fn why(engine: &Engine, id: ServiceId) -> api::Why {
    let mut why = reason(engine, id);
    if engine.service(id).is_leaving() {
        why.message.push_str("; it is being removed");
    }
    why
}

fn reason(engine: &Engine, id: ServiceId) -> api::Why {
    let names = |ids: &[ServiceId]| -> Vec<String> {
        ids.iter().map(|id| name(engine, *id).to_owned()).collect()
    };
    let plain = |code: &str, message: String| api::Why {
        code: code.to_owned(),
        services: Vec::new(),
        message,
    };
    match engine.why(id) {
        Why::Down(cause) => {
            let (code, about) = match cause {
                StopCause::NeverStarted => ("never-started", None),
                StopCause::Requested => ("requested", None),
                StopCause::StoppedWith(other) => ("stopped-with", Some(other)),
                StopCause::BoundTo(other) => ("bound-to", Some(other)),
                StopCause::Shutdown => ("shutdown", None),
                StopCause::Reset => ("reset", None),
                StopCause::Condition => ("condition", None),
                StopCause::ConflictsWith(other) => ("conflicts-with", Some(other)),
                StopCause::Replaced => ("replaced", None),
                StopCause::Removed => ("removed", None),
            };
            let services = about.map(|id| names(&[id])).unwrap_or_default();
            api::Why { services, ..plain(code, stop_cause(engine, cause)) }
        }
        Why::WaitsFor(ids) => {
            let services = names(&ids);
            let message = format!("waits for {}", services.join(", "));
            api::Why { services, ..plain("waits-for", message) }
        }
        Why::Starting(phase) => {
            let of = start_commands(engine, id, phase).map(|count| format!(" of {count}"));
            plain("starting", phase_sentence(phase) + &of.unwrap_or_default())
        }
        Why::Up { main, health } => plain("up", up(main, health)),
        Why::Overlap { doing, waits_for } => {
            let services = names(&waits_for);
            let message = overlap(doing, &services, None);
            api::Why { services, ..plain(OVERLAP, message) }
        }
        Why::StopWaitsFor(ids) => {
            let services = names(&ids);
            let message = format!("stops after {}", services.join(", "));
            api::Why { services, ..plain("stop-waits-for", message) }
        }
        Why::Reloading(phase) => plain(
            "reloading",
            match phase {
                ReloadPhase::Command { .. } => "runs its reload command",
                ReloadPhase::Signalled { .. } => "waits for RELOADING=1",
                ReloadPhase::Announced => "waits for READY=1 after RELOADING=1",
            }
            .to_owned(),
        ),
        Why::Stopping { step, ending } => {
            let message = match ending {
                Some(ending) => format!("{ending}; {}", step_sentence(step)),
                None => step_sentence(step),
            };
            let message = if let Step::PostStop(_) = step {
                let count = engine.service(id).spec().commands.post_stop.len();
                format!("{message} of {count}")
            } else {
                message
            };
            plain("stopping", message)
        }
        Why::Backoff { reason, attempt, .. } => {
            let reason = fail_reason(engine, &reason);
            plain("backoff", format!("{reason}; restart {attempt} in a row is due"))
        }
        Why::Ended => plain("exit", "ended well".to_owned()),
        Why::Failed(reason) => match &reason {
            FailReason::Ended(ending) => plain(ending_code(ending), ending.to_string()),
            FailReason::StartLimit => plain("start-limit", fail_reason(engine, &reason)),
            FailReason::Dependency(other) => api::Why {
                services: names(&[*other]),
                ..plain("dependency", fail_reason(engine, &reason))
            },
            FailReason::Conflict(other) => api::Why {
                services: names(&[*other]),
                ..plain("conflict", fail_reason(engine, &reason))
            },
        },
    }
}

fn up(main: Main, health: Option<Health>) -> String {
    let health = match health {
        Some(Health::Unknown) => "up, not yet known to be healthy",
        Some(Health::Healthy) => "up, healthy",
        Some(Health::Unhealthy) => "up, unhealthy",
        None => "up",
    };
    match main {
        Main::Absent | Main::Alive => health.to_owned(),
        Main::Unknown => format!("{health}; its main process is not known"),
        Main::Gone(exit) => format!("{health}; its main process is gone: {exit}"),
    }
}

pub(crate) const fn health(health: Health) -> api::Health {
    match health {
        Health::Unknown => api::Health::Unknown,
        Health::Healthy => api::Health::Healthy,
        Health::Unhealthy => api::Health::Unhealthy,
    }
}

pub(crate) fn run(run: &Run, wall: &Wall) -> api::Run {
    api::Run {
        invocation: run.invocation.0,
        started_ms: wall.at_ms(run.started),
        ready_after_ms: run.up.map(|up| millis(up - run.started)),
        lasted_ms: millis(run.ended - run.started),
        exit: run.exit.and_then(exit),
        reason: run.ending.as_ref().map_or_else(|| "by request".to_owned(), ToString::to_string),
        stop: run.stop.as_ref().map(|(_, trail)| phases(trail)).unwrap_or_default(),
    }
}

pub(crate) const fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Boot => "boot",
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
        Verb::Reload => "reload",
        Verb::Signal => "signal",
        Verb::Reset => "reset",
        Verb::Scale => "scale",
        Verb::Shutdown => "shutdown",
    }
}

pub(crate) fn operation(
    engine: &Engine,
    id: supervisor_engine::OperationId,
    operation: &Operation,
    now: supervisor_engine::Moment,
) -> api::Operation {
    let done = operation.ended.is_some();
    let ok = |item: &Item| item.outcome.as_ref().is_some_and(Outcome::is_ok);
    api::Operation {
        id: id.0,
        verb: verb(operation.verb).to_owned(),
        done,
        ok: done && operation.items.iter().all(ok),
        elapsed_ms: millis(operation.ended.unwrap_or(now) - operation.began),
        items: operation.items.iter().map(|entry| item(engine, entry)).collect(),
    }
}

fn item(engine: &Engine, item: &Item) -> api::Item {
    let (result, message) = match &item.outcome {
        None if item.aim == Aim::Turn => (None, "its turn has not come".to_owned()),
        None => (None, why(engine, item.service).message),
        Some(Outcome::Superseded) if engine.service(item.service).is_leaving() => {
            (Some(api::ItemResult::Superseded), "it is removed".to_owned())
        }
        Some(outcome) => {
            let (result, message) = outcome_view(engine, outcome, item.aim);
            (Some(result), message)
        }
    };
    let service = name(engine, item.service).to_owned();
    api::Item { service, named: item.named, result, message }
}

fn outcome_view(engine: &Engine, outcome: &Outcome, aim: Aim) -> (api::ItemResult, String) {
    use api::ItemResult as R;
    let (result, message) = match outcome {
        Outcome::Started => (R::Started, String::new()),
        Outcome::Skipped => (R::Skipped, stop_cause(engine, StopCause::Condition)),
        Outcome::AlreadyUp => (R::AlreadyStarted, String::new()),
        Outcome::Stopped => (R::Stopped, String::new()),
        Outcome::AlreadyDown | Outcome::NotRunning => (R::NotRunning, String::new()),
        Outcome::Restarted => (R::Restarted, String::new()),
        Outcome::Reloaded => (R::Reloaded, String::new()),
        Outcome::Signalled => (R::Signalled, String::new()),
        Outcome::Reset => (R::Reset, String::new()),
        Outcome::Failed(reason) => {
            let result = match (aim, reason) {
                (Aim::Reload { .. }, _) => R::ReloadFailed,
                (_, FailReason::Ended(Ending::SpawnFailed(_))) => R::SpawnFailed,
                (_, FailReason::Ended(_)) => R::StartFailed,
                (_, FailReason::StartLimit) => R::StartLimit,
                (_, FailReason::Dependency(_)) => R::DependencyFailed,
                (_, FailReason::Conflict(_)) => R::Conflict,
            };
            (result, fail_reason(engine, reason))
        }
        Outcome::NoMain => {
            let result =
                if matches!(aim, Aim::Reload { .. }) { R::ReloadFailed } else { R::NotRunning };
            (result, "its main process is gone or not known".to_owned())
        }
        Outcome::CannotReload => {
            (R::ReloadFailed, "it has no reload-command and no reload-signal".to_owned())
        }
        Outcome::ReloadFailed(exit) => (R::ReloadFailed, format!("reload command: {exit}")),
        Outcome::ReloadNotStarted(error) => (R::ReloadFailed, error.message.clone()),
        Outcome::ReloadTimeout => {
            (R::ReloadFailed, "not done within its reload timeout".to_owned())
        }
        Outcome::Stuck => (R::StopFailed, "still there after KILL".to_owned()),
        Outcome::Superseded => (R::Superseded, "a later request asked for the opposite".to_owned()),
        Outcome::ConflictsWith(id) => {
            (R::Conflict, stop_cause(engine, StopCause::ConflictsWith(*id)))
        }
        Outcome::Added => (R::Added, String::new()),
        Outcome::Unchanged => (R::Unchanged, String::new()),
        Outcome::Removed => (R::Removed, String::new()),
        Outcome::NotTried => (R::NotTried, "one before it failed".to_owned()),
    };
    (result, message)
}

/// `timeout` is the time limit of a shutdown.
pub(crate) fn plan(
    engine: &Engine,
    verb: api::Verb,
    plan: &Plan,
    timeout: Option<Duration>,
) -> api::Plan {
    let stops = |id: ServiceId| {
        let mut steps = plan.waves.iter().flatten();
        steps.any(|step| step.service == id && step.what == PlanKind::Stop)
    };
    let step = |step: &supervisor_engine::PlanStep| api::PlanStep {
        service: name(engine, step.service).to_owned(),
        action: match step.what {
            PlanKind::Start => "start".to_owned(),
            PlanKind::Stop => "stop".to_owned(),
        },
        why: match (step.because_of, step.what) {
            (None, _) => "named".to_owned(),
            // What a restart stops because it needs another comes back for the same reason.
            (Some(id), PlanKind::Start) if !stops(step.service) => {
                format!("needed by {}", name(engine, id))
            }
            (Some(id), _) if engine.graph().rivals(step.service).contains(&id) => {
                format!("conflicts with {}", name(engine, id))
            }
            (Some(id), PlanKind::Start | PlanKind::Stop) => format!("needs {}", name(engine, id)),
        },
        worst_ms: step.worst.map(millis),
    };
    let wave = |steps: &Vec<supervisor_engine::PlanStep>| api::PlanWave {
        steps: steps.iter().map(step).collect(),
    };
    api::Plan {
        verb,
        waves: plan.waves.iter().map(wave).collect(),
        worst_ms: plan.worst.map(millis),
        longest_stop: longest_stop::line(engine, &plan.critical),
        warnings: longest_stop::warning(engine, &plan.critical, timeout).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests;
