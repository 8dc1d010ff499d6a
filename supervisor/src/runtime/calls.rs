//! Calls of the control API, answered from the engine's state.

use supervisor_api as api;
use supervisor_api::{DaemonState, ErrorBody, ErrorCode, Info, Snapshot};
use supervisor_engine::{Manner, ModeId, OperationId, Request, ServiceId, Signal, State};
use tokio::sync::{mpsc, oneshot};

use super::scale::ScaleCall;
use super::{Runtime, view};
use crate::clock::{self, Wall};
use crate::config::{self, Bad};
use crate::control::{Call, Caller, LogStream, Readiness, Shutdown};
use crate::logs::{Followed, Following, Query};

impl Runtime {
    /// Answers one call. An answer that nobody waits for any more is dropped.
    pub(crate) fn on_call(&mut self, call: Call) {
        match call {
            Call::Info { reply } => drop(reply.send(Ok(self.info()))),
            Call::Services { matching, reply } => drop(reply.send(self.snapshot(&matching))),
            Call::Service { name, reply } => drop(reply.send(self.detail(&name))),
            Call::Operate { request, caller, reply } if request.verb == api::Verb::Scale => {
                self.on_scale_call(ScaleCall { request, caller, reply });
            }
            Call::Operate { request, caller, reply } => {
                drop(reply.send(self.operate(&request, caller)));
            }
            Call::Plan { request, reply } => drop(reply.send(self.plan(&request))),
            Call::Operation { id, reply } => drop(reply.send(self.operation(id))),
            Call::WaitOperation { id, reply } => match self.operation(id) {
                Ok(operation) if !operation.done => {
                    let waiters = self.waiters.entry(OperationId(id)).or_default();
                    // An operation can take for ever, and its waiters come and go.
                    waiters.retain(|waiter| !waiter.is_closed());
                    waiters.push(reply);
                }
                answer => drop(reply.send(answer)),
            },
            Call::Shutdown { request, caller, reply } => {
                drop(reply.send(self.on_shutdown_call(&request, caller)));
            }
            Call::Events { since, reply } => {
                drop(reply.send(self.events.subscribe(since).map_err(ErrorBody::from)));
            }
            Call::Logs { matching, stream, tail, follow, reply } => {
                let services = match self.find_all_or_every(&matching) {
                    Ok(services) => services,
                    Err(error) => return drop(reply.send(Err(error))),
                };
                let query = Query { services, stream, lines: tail };
                self.answer_logs(query, follow, reply);
            }
            Call::Ready { name, reply } => drop(reply.send(self.readiness(name.as_deref()))),
        }
    }

    fn info(&self) -> Info {
        let state = if self.engine.is_shutting_down() {
            DaemonState::Stopping
        } else if self.boot.is_some() {
            DaemonState::Starting
        } else {
            DaemonState::Running
        };
        Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_version: api::API_VERSION.to_owned(),
            pid: std::process::id(),
            boot_id: self.boot_id.clone(),
            started_ms: self.started_ms,
            state,
            spec_files: self.config.files.iter().map(|file| file.display().to_string()).collect(),
            rev: self.events.rev(),
        }
    }

    /// The services that the words mean; without words, every one.
    fn find_all_or_every(&self, words: &[String]) -> Result<Vec<ServiceId>, ErrorBody> {
        if words.is_empty() { Ok(self.names.all()) } else { self.names.find_all(words) }
    }

    fn snapshot(&self, matching: &[String]) -> Result<Snapshot, ErrorBody> {
        let mut ids = self.find_all_or_every(matching)?;
        ids.sort_unstable_by_key(|id| self.name(*id));
        let wall = Wall::now();
        Ok(Snapshot {
            boot_id: self.boot_id.clone(),
            rev: self.events.rev(),
            now_ms: wall.now_ms(),
            services: ids.into_iter().map(|id| self.service_view(id, &wall)).collect(),
        })
    }

    fn service_view(&self, id: ServiceId, wall: &Wall) -> api::Service {
        let (service, config) = (self.engine.service(id), self.config(id));
        let unit = self.present_unit(id);
        let state = service.state();
        let last_invocation = self.unit(id).runs.front().map(|run| run.invocation);
        api::Service {
            name: config.spec.name.clone(),
            instance: config.instance.clone(),
            groups: self.names.groups_of(id).to_vec(),
            description: config.description.clone(),
            kind: view::kind(&config.spec).to_owned(),
            enabled: config.spec.enabled,
            state: view::state(state.status()),
            since_ms: wall.at_ms(service.since()),
            pid: unit.main_pid().map(nix::unistd::Pid::as_raw),
            processes: self.processes_without_main(service.unit()),
            started_ms: view::started(service).map(|at| wall.at_ms(at)),
            invocation: state.invocation().or(last_invocation).map(|invocation| invocation.0),
            status: unit.status.as_deref().map(str::to_owned),
            ready: state.is_up() && !self.engine.is_shutting_down(),
            health: state.health().map(view::health),
            restarts: service.restarts(),
            exit: service.last_exit().and_then(|(exit, _)| view::exit(exit)),
            exited_ms: service.last_exit().map(|(_, at)| wall.at_ms(at)),
            deadline_ms: shown_deadline(state).map(|at| wall.at_ms(at)),
            why: self.why(id),
        }
    }

    /// As `view::why`, with the pid of the second process, if there is one.
    fn why(&self, id: ServiceId) -> api::Why {
        let why = view::why(&self.engine, id);
        match self.engine.overlap(id) {
            Some((doing, other)) if why.code == view::OVERLAP => {
                let pid = self.unit(other.unit()).main_pid().map(nix::unistd::Pid::as_raw);
                let message = view::overlap(doing, &why.services, pid);
                api::Why { message, ..why }
            }
            Some(_) | None => why,
        }
    }

    fn detail(&self, name: &str) -> Result<api::ServiceDetail, ErrorBody> {
        let id = self.names.service(name).ok_or_else(|| self.names.unknown(name))?;
        let wall = Wall::now();
        let config = self.config(id);
        let relation = |kind, other: ServiceId| api::Relation {
            kind: view::relation(kind).to_owned(),
            name: self.name(other).to_owned(),
            state: view::state(self.engine.service(other).state().status()),
        };
        let dependencies = config.spec.dependencies.iter().map(|d| relation(d.kind, d.on));
        let dependents = self.engine.services().flat_map(|(other, service)| {
            let needs = service.spec().dependencies.iter().filter(move |d| d.on == id);
            needs.map(move |d| relation(d.kind, other))
        });
        Ok(api::ServiceDetail {
            service: self.service_view(id, &wall),
            place: config.place.clone(),
            command: config.command.clone().unwrap_or_default(),
            dependencies: dependencies.collect(),
            dependents: dependents.collect(),
            log: match &config.log.stdout {
                config::Sink::File(path) => Some(path.display().to_string()),
                config::Sink::Inherit | config::Sink::Null => None,
            },
            stored_fds: self.unit(id).fd_store.names().map(str::to_owned).collect(),
            said: self.present_unit(id).said.clone(),
            runs: self.unit(id).runs.iter().map(|run| view::run(run, &wall)).collect(),
        })
    }

    fn operate(
        &mut self,
        request: &api::OperationRequest,
        caller: Caller,
    ) -> Result<api::Operation, ErrorBody> {
        if self.engine.is_shutting_down() {
            let message = "the supervisor is shutting down".to_owned();
            return Err(error(ErrorCode::ShuttingDown, message));
        }
        refuse_strangers(request)?;
        let services = self.targets(request)?;
        let no_dependents = request.no_dependents;
        let wanted = match request.verb {
            api::Verb::Start => Request::Start(services),
            api::Verb::Stop => Request::Stop {
                services,
                manner: self.manner(request.mode.as_deref())?,
                no_dependents,
            },
            api::Verb::Restart if request.rolling => {
                self.refuse_manner(request)?;
                Request::Roll(self.in_instance_order(services))
            }
            api::Verb::Restart => Request::Restart {
                services,
                manner: self.manner(request.mode.as_deref())?,
                no_dependents,
            },
            api::Verb::Reload => Request::Reload(services),
            api::Verb::Signal => Request::Signal { services, signal: signal(request)? },
            api::Verb::Reset => Request::Reset(services),
            // It has a way of its own, as it needs a spec first.
            api::Verb::Scale => Request::Scale(Vec::new()),
        };
        let id = self.begin(wanted);
        tracing::info!(
            operation = id.0,
            verb = request.verb.as_str(),
            targets = request.targets.join(" "),
            uid = caller.uid,
            pid = caller.pid,
            "operation requested"
        );
        self.drain();
        self.operation(id.0)
    }

    fn plan(&self, request: &api::OperationRequest) -> Result<api::Plan, ErrorBody> {
        refuse_strangers(request)?;
        if request.verb == api::Verb::Scale {
            return self.plan_scale(request);
        }
        let services = self.targets(request)?;
        let (manner, no_dependents) =
            (self.manner(request.mode.as_deref())?, request.no_dependents);
        let plan = match request.verb {
            api::Verb::Start => self.engine.plan_start(&services),
            api::Verb::Stop => self.engine.plan_stop(&services, manner, no_dependents),
            api::Verb::Restart if request.rolling => {
                self.refuse_manner(request)?;
                self.engine.plan_roll(&self.in_instance_order(services))
            }
            api::Verb::Restart => self.engine.plan_restart(&services, manner, no_dependents),
            api::Verb::Reload | api::Verb::Signal | api::Verb::Reset | api::Verb::Scale => {
                let message = format!("{} has no plan", request.verb.as_str());
                return Err(error(ErrorCode::Invalid, message));
            }
        };
        let timeout = self.config.daemon.shutdown_timeout;
        Ok(view::plan(&self.engine, request.verb, &plan, timeout))
    }

    fn targets(&self, request: &api::OperationRequest) -> Result<Vec<ServiceId>, ErrorBody> {
        if request.targets.is_empty() {
            let hint = Some("\"all\" means every service".to_owned());
            let message = "no targets are given".to_owned();
            return Err(ErrorBody { hint, ..error(ErrorCode::Invalid, message) });
        }
        self.names.find_all(&request.targets)
    }

    /// The order in which services are restarted where their dependencies say nothing.
    fn in_instance_order(&self, mut services: Vec<ServiceId>) -> Vec<ServiceId> {
        services.sort_by(|a, b| self.by_instance(*a, *b));
        services
    }

    pub(crate) fn operation(&self, id: u64) -> Result<api::Operation, ErrorBody> {
        let operation = OperationId(id);
        let known = self.engine.operation(operation).ok_or_else(|| {
            let message = format!("no operation {id}, or it ended long ago");
            error(ErrorCode::UnknownOperation, message)
        })?;
        Ok(view::operation(&self.engine, operation, known, clock::now()))
    }

    fn on_shutdown_call(
        &mut self,
        request: &api::ShutdownRequest,
        caller: Caller,
    ) -> Result<Shutdown, ErrorBody> {
        let manner = self.manner(request.mode.as_deref())?;
        let asked = match &request.timeout {
            None => None,
            Some(text) => config::duration(text).map_err(|Bad { message, hint }| ErrorBody {
                hint,
                ..error(ErrorCode::Invalid, format!("timeout: {message}"))
            })?,
        };
        if let Some(left) = self.engine.shutdown_time_left(clock::now())
            && asked.is_some_and(|asked| asked > left)
        {
            let message = format!("the running shutdown has only {left:.1?} left");
            return Err(error(ErrorCode::Conflict, message));
        }
        let events = self.events.subscribe(None).map_err(ErrorBody::from)?;
        let (sender, report) = oneshot::channel();
        self.shutdown.report_to(sender);
        tracing::info!(
            uid = caller.uid,
            pid = caller.pid,
            mode = request.mode,
            "shutdown requested"
        );
        self.shut_down(asked, manner);
        Ok(Shutdown { events, report })
    }

    /// How a stop of this mode goes.
    /// A roll stops each service by its default sequence.
    fn refuse_manner(&self, request: &api::OperationRequest) -> Result<(), ErrorBody> {
        let mode = request.mode.as_deref();
        if self.manner(mode)? == Manner::Graceful {
            return Ok(());
        }
        let mode = mode.unwrap_or_default();
        let message = format!("mode \"{mode}\" is not for rolling restarts");
        Err(error(ErrorCode::Invalid, message))
    }

    fn manner(&self, mode: Option<&str>) -> Result<Manner, ErrorBody> {
        let known = &self.config.stop_modes;
        match mode {
            None | Some("graceful") => Ok(Manner::Graceful),
            Some("force") => Ok(Manner::Force),
            Some(mode) => {
                let number = (0..).zip(known).find(|(_, name)| *name == mode);
                number.map(|(number, _)| Manner::Mode(ModeId(number))).ok_or_else(|| {
                    let built_in = ["graceful", "force"].into_iter();
                    let known: Vec<_> = built_in.chain(known.iter().map(String::as_str)).collect();
                    let hint = Some(format!("known are {}", known.join(", ")));
                    let message = format!("no stop mode \"{mode}\"");
                    ErrorBody { hint, ..error(ErrorCode::Invalid, message) }
                })
            }
        }
    }

    fn answer_logs(&self, query: Query, follow: bool, reply: crate::control::Reply<LogStream>) {
        let (backlog, live) = if follow {
            let (backlog, live) = self.logs.follow(query);
            (backlog, Some(pass_on(live)))
        } else {
            (self.logs.tail(query), None)
        };
        tokio::spawn(async move {
            let answer = match backlog.await {
                Ok(backlog) => Ok(LogStream { backlog, live }),
                Err(_) => Err(error(ErrorCode::Unavailable, "the log thread has ended".to_owned())),
            };
            drop(reply.send(answer));
        });
    }

    /// A daemon is ready once everything that is wanted is up; a service when it is up.
    fn readiness(&self, name: Option<&str>) -> Result<Readiness, ErrorBody> {
        let mut reasons = Vec::new();
        if self.engine.is_shutting_down() {
            reasons.push("the supervisor is shutting down".to_owned());
        }
        let ids = match name {
            Some(name) => self.names.find_all(&[name.to_owned()])?,
            None => self.names.all(),
        };
        for id in ids {
            let service = self.engine.service(id);
            let wanted = name.is_some() || service.goal() == supervisor_engine::Goal::Up;
            let done = name.is_none() && matches!(service.state(), State::Exited(_));
            if wanted && !done && !service.state().is_up() {
                let why = view::why(&self.engine, id).message;
                let state = view::state(service.state().status()).as_str();
                reasons.push(format!("{}: {state}: {why}", self.name(id)));
            }
        }
        Ok(Readiness { ready: reasons.is_empty(), reasons })
    }
}

/// Lines for one client. One that is too slow is told so by the end of its stream.
fn pass_on(mut following: Following) -> mpsc::Receiver<api::LogLine> {
    /// Lines that wait for a client.
    const QUEUED: usize = 64;
    let (sender, lines) = mpsc::channel(QUEUED);
    tokio::spawn(async move {
        loop {
            let next = tokio::select! {
                next = following.next() => next,
                () = sender.closed() => None,
            };
            let Some(Followed::Line(line)) = next else { return };
            if sender.send(line).await.is_err() {
                return;
            }
        }
    });
    lines
}

/// The deadline of a state that people wait for; a watchdog's is none of theirs.
fn shown_deadline(state: &State) -> Option<supervisor_engine::Moment> {
    match state {
        State::Running(_) => None,
        State::Reloading(reloading) => reloading.deadline,
        State::Stopped(_)
        | State::Waiting
        | State::Starting(_)
        | State::Stopping(_)
        | State::Backoff(_)
        | State::Exited(_)
        | State::Failed(_) => state.deadline(),
    }
}

fn signal(request: &api::OperationRequest) -> Result<Signal, ErrorBody> {
    let text = request.signal.as_deref().unwrap_or_default();
    Signal::parse(text).ok_or_else(|| error(ErrorCode::Invalid, format!("\"{text}\" is no signal")))
}

/// What belongs to another verb.
pub(crate) fn refuse_strangers(request: &api::OperationRequest) -> Result<(), ErrorBody> {
    let strange = if request.rolling && request.verb != api::Verb::Restart {
        "`rolling` is for restart"
    } else if request.instances.is_some() && request.verb != api::Verb::Scale {
        "`instances` is for scale"
    } else {
        return Ok(());
    };
    Err(error(ErrorCode::Invalid, strange.to_owned()))
}

pub(crate) fn error(code: ErrorCode, message: String) -> ErrorBody {
    ErrorBody { code, message, hint: None, details: Vec::new() }
}
