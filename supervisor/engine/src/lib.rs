//! The lifecycle of supervised services as a pure state machine.
//!
//! The engine decides and does nothing else: no I/O, no clock, no async, no randomness but a seed,
//! no log. All semantics of the project live here. A runtime drives it:
//!
//! 1. One thing happens: somebody asks ([`Engine::request`]), an invocation has news
//!    ([`Engine::report`]), or time has passed ([`Engine::handle_timeout`]).
//! 2. The runtime takes all actions ([`Engine::poll_action`]) and carries them out in order; takes
//!    all transitions ([`Engine::poll_transition`]) and tells observers; takes the operations that
//!    have ended ([`Engine::poll_ended`]) and tells who waits.
//! 3. It arms one timer for [`Engine::poll_timeout`].
//!
//! Rules: all actions are taken before the next input. `now` never goes back. Extra calls of
//! `handle_timeout` do nothing. Every action names its invocation, and so does every report;
//! reports of one that is over are dropped, in one place. Actions of one invocation are carried out
//! in their order; after `Release` the runtime need not report any more.
//!
//! What holds at all times (and is checked by exhaustive exploration and by simulation):
//!
//! - a service never has two live invocations, but while one replaces the other;
//! - nothing starts before what it requires is up;
//! - two services that conflict never live at the same time;
//! - nothing is stopped by request before what goes down with it and is ordered after it is gone;
//! - every signal goes to the live invocation;
//! - a rolling restart takes nobody down before those that it has restarted are up;
//! - every operation ends, and with finite timeouts every stop does;
//! - after `handle_timeout(now)` no deadline lies at or before `now`;
//! - when all is stopped no timer is armed.
//!
//! What not even `KILL` could end, or what may not be killed, is *stuck*: nothing more is tried, it
//! holds up nobody, and whoever requires it fails.
//!
//! Where to find what: [`State`] is what a service is doing; `goals` turns requests into starts and
//! stops; `lifecycle` is the way up, `start_commands` what is run on it; `stopping` the way down,
//! `post_stop` what is run after it; `forking` what is up without the process that was started; `restart`
//! what follows an end by itself; `overlap` how a new process takes the place of the old one; `budget`
//! how a shutdown shares out its time; `standing` what neighbours wait for; `conflict` who may be up
//! together; `upholding` and `trigger` who is started because of what became of others; `membership`
//! services that come and go; `rolling` restarts one by one; [`Operation`] what a request has come to;
//! [`Why`] and [`Plan`] explain.
//!
//! ```
//! use std::time::Duration;
//! use supervisor_engine::{ActionKind, Engine, Kind, Moment, Report, Request, ServiceSpec, Status};
//!
//! let now = Moment::new(Duration::from_secs(1));
//! let specs = vec![ServiceSpec::new("web", Kind::Simple)];
//! let mut engine = Engine::new(specs, 1).expect("one service cannot wait for itself");
//! engine.request(Request::Boot, now);
//! let action = engine.poll_action().expect("it is enabled, so it starts");
//! assert_eq!(action.what, ActionKind::Spawn(0));
//! engine.report(action.invocation, Report::Spawned, now);
//! assert_eq!(engine.service(action.service).state().status(), Status::Running);
//! ```

mod action;
mod budget;
mod commands;
mod conflict;
mod critical;
mod engine;
mod exit;
mod forking;
mod goals;
mod graph;
mod health;
mod id;
mod input;
mod lifecycle;
mod main_process;
mod membership;
mod moment;
mod operation;
mod overlap;
mod plan;
mod post_stop;
mod reload;
mod restart;
mod rolling;
mod service;
mod signal;
mod spec;
mod standing;
mod start_commands;
mod state;
mod stopping;
mod transition;
mod trigger;
mod upholding;
mod why;

pub use action::{Action, ActionKind, ControlCommand, Probe, Whom};
pub use budget::{Allotted, Share};
pub use commands::{Commands, Failure};
pub use critical::Chain;
pub use engine::{Engine, Wake};
pub use exit::{Ending, Exit, ExitSet, SpawnError};
pub use graph::{Graph, Hop};
pub use id::{Invocation, ModeId, OperationId, ServiceId};
pub use input::{Manner, Notification, Process, Report, Request, WatchdogMessage};
pub use main_process::Main;
pub use membership::Scaling;
pub use moment::Moment;
pub use operation::{Aim, ENDED_OPERATIONS_KEPT, Item, Operation, Outcome, Verb};
pub use overlap::Overlap;
pub use plan::{Plan, PlanKind, PlanStep};
pub use service::{Goal, Service};
pub use signal::Signal;
pub use spec::{
    Dependency, DependencyKind, ExitType, KillMode, Kind, ReloadHow, ReloadSpec, RestartMode,
    RestartPolicy, RestartSpec, ServiceSpec, StopHow, StopSpec, StopStep, Until, WatchdogSpec,
};
pub use state::{
    Backoff, Exited, FailReason, Health, Held, PhaseEnd, ReloadPhase, Reloading, Running,
    StartPhase, Starting, State, Status, Step, StopCause, StopPhase, Stopping, Watchdog,
};
pub use stopping::KILL_PATIENCE;
pub use transition::{Cause, Run, Transition};
pub use trigger::Trigger;
pub use why::Why;
