//! What an observer knows who sees only what the engine asks for and what the world answers.
//!
//! The ledger keeps its own books and shares none with the engine. It checks every action and every
//! change when it happens, and the engine as a whole after each input. A broken rule is an error
//! with the rule as its text.

use std::collections::BTreeMap;
use std::time::Duration;

use supervisor_engine::{
    Action, ActionKind, Cause, ControlCommand, DependencyKind, Ending, Engine, ExitType, Goal,
    Invocation, KILL_PATIENCE, KillMode, Kind, Manner, ModeId, Moment, PhaseEnd, Probe, Process,
    ReloadHow, Report, Request, RestartMode, Run, Service, ServiceId, ServiceSpec, Signal, State,
    Status, Step, StopCause, StopPhase, Transition, Until, Whom,
};

#[path = "progress.rs"]
pub(crate) mod progress;

use progress::Progress;

/// The books about all services.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) accounts: Vec<Account>,
    /// About what runs beside a service that restarts by overlap, by companion.
    companions: BTreeMap<ServiceId, Account>,
    /// When a shutdown kills everything that is left.
    pub(crate) deadline: Option<Moment>,
    /// Whether that has happened: then order does not count any more.
    pub(crate) overdue: bool,
    asked: Asked,
    /// Whether the present input asks for `KILL` at once.
    forcing: bool,
    highest: Invocation,
    /// Rolling restarts so far.
    rolls: u32,
}

/// What the present input asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// To stop something with its dependents.
    Stop,
    /// To send a signal, whatever it is.
    Signal,
    /// To restart something at once.
    Restart,
    Other,
}

/// The book about one service.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Account {
    /// Where its processes are.
    unit: ServiceId,
    /// Whether it is being restarted without a gap: it may go down only by its own doing.
    gapless: bool,
    /// Its processes, from the order to spawn until the release.
    pub(crate) execution: Option<Execution>,
    status: Status,
    up: bool,
    stuck: bool,
    /// Starts since it was last named in a request that forgives, as the start limit counts them.
    pub(crate) starts: u32,
    /// Whether the live invocation, or the last one, is not to be started.
    unmet: bool,
    /// Whether it is down because of that.
    skipped: bool,
    /// When the live invocation began.
    begun: Moment,
    /// Whether the live invocation was sent `KILL`.
    killed: bool,
    /// Automatic restarts since it was last told, by a request or by itself, to count anew.
    restarts: u64,
    /// Whether it has asked for that in the midst of its stop, where it depends on the step.
    may_count_anew: bool,
    /// When it did what its kind counts as being up.
    proven: Moment,
    /// When it came up.
    risen: Moment,
    /// Whether the live invocation was sent what comes before `KILL`.
    finished: bool,
    /// Whether the live invocation has asked for more time.
    extended: bool,
    /// Whether a request wanted `KILL` at once for the live invocation.
    forced: bool,
    /// The sequence of its stop, if that has a name.
    mode: Option<ModeId>,
    /// Whether it has ended by itself in the present input, as others see it.
    died: bool,
    /// Whether it is tried again in a way that others are not to see.
    unseen: bool,
    /// Whether it has failed, or ended well, in the present input.
    failed: bool,
    succeeded: bool,
    /// Whether it has changed in the present input.
    moved: bool,
    /// What was wanted of it after the input before.
    goal: Goal,
    /// The rolling restart that named it last, and whether that has restarted it.
    roll: Option<(u32, bool)>,
}

/// What is known of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Execution {
    pub(crate) invocation: Invocation,
    pub(crate) main: Main,
    /// Whether a control process runs.
    pub(crate) control: bool,
    /// The probe that runs.
    pub(crate) probe: Option<Probe>,
    /// Whether its liveness probe has failed.
    unhealthy: bool,
    /// How far it is known which process is the main one.
    pub(crate) search: Search,
    /// Whether it has done what its kind counts as being up.
    pub(crate) proven: bool,
    /// How far its commands are.
    pub(crate) progress: Progress,
}

/// The search for the main process of a service that forks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Search {
    /// It has not been asked for.
    Never,
    /// Somebody searches.
    Open,
    /// Found.
    Found,
    /// Nobody knows.
    Failed,
}

/// The main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Main {
    /// What comes before it has to end first.
    Absent {
        /// Whether others are there.
        others: bool,
    },
    Ordered,
    Alive,
    Gone {
        /// Whether others are left.
        others: bool,
    },
}

impl Execution {
    /// Whether it may be up although its main process is not there: others are.
    pub(crate) fn lives_on(&self, spec: &ServiceSpec) -> bool {
        let without = spec.exit_type == ExitType::All || self.search == Search::Failed;
        without && self.main == Main::Gone { others: true }
    }
}

pub(crate) type Verdict = Result<(), String>;

impl Ledger {
    pub(crate) fn new(engine: &Engine) -> Self {
        let mut ledger = Self {
            accounts: Vec::new(),
            companions: BTreeMap::new(),
            deadline: None,
            overdue: false,
            asked: Asked::Nothing,
            forcing: false,
            highest: Invocation(0),
            rolls: 0,
        };
        ledger.open_accounts(engine);
        ledger
    }

    /// An account for each service that has none, and for the second process of each that overlaps.
    pub(crate) fn open_accounts(&mut self, engine: &Engine) {
        let account = |unit, service: &Service| Account {
            unit,
            gapless: false,
            execution: None,
            status: Status::Stopped,
            up: false,
            stuck: false,
            starts: 0,
            unmet: false,
            skipped: false,
            begun: Moment::default(),
            killed: false,
            restarts: 0,
            may_count_anew: false,
            proven: Moment::default(),
            risen: Moment::default(),
            finished: false,
            extended: false,
            forced: false,
            mode: None,
            died: false,
            unseen: false,
            failed: false,
            succeeded: false,
            moved: false,
            goal: service.goal(),
            roll: None,
        };
        let known = self.accounts.len();
        for (id, service) in engine.services().filter(|(id, _)| id.index() >= known) {
            self.accounts.push(account(id, service));
            if service.spec().restart.mode == RestartMode::Overlap {
                let companion = id.companion();
                self.companions.insert(companion, account(companion, service));
            }
        }
    }

    /// What was removed comes back as if it was new.
    pub(crate) fn reopen(&mut self, id: ServiceId, engine: &Engine) {
        if let Some(account) = self.accounts.get_mut(id.index())
            && engine.service(id).is_removed()
        {
            (account.starts, account.restarts) = (0, 0);
        }
    }

    /// What is live in a unit.
    pub(crate) fn execution(&self, unit: ServiceId) -> Option<&Execution> {
        let own = &self.accounts[unit.service().index()];
        let account = Some(own).filter(|own| own.unit == unit);
        account.or(self.companions.get(&unit.service().companion()))?.execution.as_ref()
    }

    /// All units that something is live in.
    pub(crate) fn units(&self) -> Vec<ServiceId> {
        let accounts = self.accounts.iter().chain(self.companions.values());
        accounts.filter(|account| account.execution.is_some()).map(|account| account.unit).collect()
    }

    /// How many processes a service has, those aside that nothing can end.
    pub(crate) fn lives(&self, id: ServiceId) -> usize {
        let accounts = [Some(&self.accounts[id.index()]), self.companions.get(&id.companion())];
        let live = |account: &&Account| account.execution.is_some() && !account.stuck;
        accounts.into_iter().flatten().filter(live).count()
    }

    fn of_unit(&mut self, unit: ServiceId) -> &mut Account {
        let own = &mut self.accounts[unit.service().index()];
        match self.companions.get_mut(&unit.service().companion()) {
            Some(companion) if companion.unit == unit => companion,
            Some(_) | None => own,
        }
    }

    /// The service or its companion.
    fn account(&mut self, id: ServiceId) -> &mut Account {
        let own = &mut self.accounts[id.service().index()];
        self.companions.get_mut(&id).unwrap_or(own)
    }

    /// Takes note of what is asked for.
    pub(crate) fn requested(&mut self, request: &Request, engine: &Engine, now: Moment) {
        self.expect_gaps(request, engine);
        self.forcing = matches!(
            request,
            Request::Stop { manner: Manner::Force, .. }
                | Request::Restart { manner: Manner::Force, .. }
                | Request::Shutdown { manner: Manner::Force, .. }
        );
        self.asked = match request {
            Request::Stop { no_dependents: false, .. } => Asked::Stop,
            Request::Signal { .. } => Asked::Signal,
            Request::Restart { .. } => Asked::Restart,
            Request::Roll(named) if is_of_one(named) => Asked::Restart,
            Request::Stop { no_dependents: true, .. }
            | Request::Boot
            | Request::Start(_)
            | Request::Roll(_)
            | Request::Scale(_)
            | Request::Reload(_)
            | Request::Reset(_)
            | Request::Shutdown { .. } => Asked::Other,
        };
        if let Request::Start(named)
        | Request::Restart { services: named, .. }
        | Request::Reset(named) = request
        {
            for id in named {
                self.accounts[id.index()].starts = 0;
            }
        }
        if let Request::Reset(named) = request {
            for id in named {
                self.accounts[id.index()].restarts = 0;
            }
        }
        if let Request::Roll(named) = request
            && !is_of_one(named)
        {
            self.rolls += 1;
            for id in named {
                self.accounts[id.index()].roll = Some((self.rolls, false));
            }
        }
        if let Request::Shutdown { within: Some(within), .. } = request {
            self.deadline = self.deadline.into_iter().chain(Some(now + *within)).min();
        }
    }

    /// A restart of services that overlap alone leaves each of them up; every other request to stop
    /// something may take them down.
    fn expect_gaps(&mut self, request: &Request, engine: &Engine) {
        match request {
            Request::Restart { services, manner, .. } => {
                let may = |id: &ServiceId| {
                    let account = &self.accounts[id.index()];
                    self.companions.contains_key(&id.companion())
                        && account.up
                        && account.goal == Goal::Up
                };
                let graceful = *manner == Manner::Graceful && !engine.is_shutting_down();
                let all = services.iter().all(may) && graceful && !has_rivals(engine);
                for (place, account) in self.accounts.iter_mut().enumerate() {
                    let named = services.iter().any(|id| id.index() == place);
                    account.gapless = all && (account.gapless || named);
                }
            }
            Request::Stop { .. }
            | Request::Shutdown { .. }
            | Request::Roll(_)
            | Request::Scale(_) => {
                self.accounts.iter_mut().for_each(|account| account.gapless = false);
            }
            Request::Boot
            | Request::Start(_)
            | Request::Reload(_)
            | Request::Signal { .. }
            | Request::Reset(_) => {}
        }
    }

    /// Takes note of the time.
    pub(crate) fn time_is(&mut self, now: Moment) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            (self.deadline, self.overdue) = (None, true);
        }
    }

    /// Takes note of what is about to be reported. Only for the live invocation.
    pub(crate) fn reported(
        &mut self,
        id: ServiceId,
        spec: &ServiceSpec,
        report: &Report,
        at: Moment,
    ) {
        let account = self.of_unit(id);
        let Some(now) = &mut account.execution else { return };
        let was_proven = now.proven;
        let starts = account.status == Status::Starting;
        match report {
            Report::Spawned => {
                now.main = Main::Alive;
                now.proven = spec.kind == Kind::Simple && !spec.probed;
            }
            Report::Exited { process: Process::Main, exit, remaining } => {
                now.main = Main::Gone { others: *remaining };
                now.progress.main_ended(*exit, spec);
                now.proven |= now.progress.has_done_all(spec);
            }
            Report::Exited { process: Process::Control, exit, remaining } => {
                now.control = false;
                now.progress.command_ended(Some(*exit), spec, starts);
                if now.progress.is_unmet() && !account.unmet {
                    account.unmet = true;
                    account.starts = account.starts.saturating_sub(1);
                }
                if let Main::Gone { others } | Main::Absent { others } = &mut now.main {
                    *others = *remaining;
                }
            }
            Report::ControlFailed(_) => {
                now.control = false;
                now.progress.command_ended(None, spec, starts);
            }
            Report::SpawnFailed(_) => {
                now.progress.failed = true;
                now.main = Main::Gone { others: now.progress.left_before_main };
            }
            Report::Emptied => match &mut now.main {
                Main::Gone { others } | Main::Absent { others } => *others = false,
                Main::Ordered | Main::Alive => now.progress.left_before_main = false,
            },
            Report::Notified(message) => {
                account.extended |= message.extend.is_some();
                if message.restart_reset && account.status == Status::Running {
                    account.restarts = 0;
                }
                account.may_count_anew |=
                    message.restart_reset && account.status == Status::Stopping;
                now.proven |= message.ready && !message.stopping && spec.kind == Kind::Notify;
            }
            Report::ProbeSucceeded(probe) => {
                if *probe == Probe::Readiness {
                    now.proven |= now.probe == Some(Probe::Readiness);
                    now.probe = None;
                }
            }
            Report::ProbeFailed => (now.probe, now.unhealthy) = (None, true),
            Report::MainFound => {
                now.proven |= now.search == Search::Open && !spec.probed;
                (now.main, now.search) = (Main::Alive, Search::Found);
            }
            Report::MainUnknown => {
                now.proven |= now.search == Search::Open && !spec.probed;
                (now.main, now.search) = (Main::Gone { others: true }, Search::Failed);
            }
        }
        if now.proven && !was_proven {
            account.proven = at;
        }
    }

    /// Takes note of an action and checks that it may be.
    pub(crate) fn act(&mut self, action: Action, service: &Service) -> Verdict {
        let (spec, goal) = (service.spec(), service.goal());
        let by_hand = self.asked == Asked::Signal;
        let forced = by_hand || self.overdue || service.manner() == Manner::Force;
        let (highest, forcing) = (self.highest, self.forcing);
        let beside = &self.accounts[action.service.service().index()];
        // It may have come up within this input.
        let comes_up = beside.execution.is_some_and(|now| now.proven);
        let fine = beside.up || comes_up || beside.unit == action.service;
        let account = self.of_unit(action.service);
        let begins = account.execution.is_none() && begins(action.what);
        if begins {
            rule(fine, "a second process is started only beside one that is up")?;
            rule(action.invocation > highest, "no invocation is used twice")?;
            account.starts += 1;
            account.unmet = false;
            account.killed = false;
            account.finished = false;
            account.extended = false;
            account.forced = false;
            account.execution = Some(Execution {
                invocation: action.invocation,
                main: Main::Absent { others: false },
                control: false,
                probe: None,
                unhealthy: false,
                search: Search::Never,
                proven: false,
                progress: Progress::default(),
            });
            self.highest = action.invocation;
        }
        let account = self.of_unit(action.service);
        let live = account.execution.as_mut().filter(|now| now.invocation == action.invocation);
        let Some(now) = live else {
            return Err(format!("every action is about the live invocation: {action:?}"));
        };
        match action.what {
            ActionKind::Spawn(index) => {
                let (Main::Absent { others } | Main::Gone { others }) = now.main else {
                    return Err("a service has one main process at a time".to_owned());
                };
                rule(!now.control, "no main process beside a command that comes before it")?;
                now.progress.may_spawn(index, spec)?;
                now.progress.left_before_main = others;
                now.main = Main::Ordered;
                Ok(())
            }
            ActionKind::Run(command) => {
                rule(!now.control, "one control process at a time")?;
                rule(now.main != Main::Ordered, "no command before the process is there")?;
                let gone = match now.main {
                    Main::Absent { others } | Main::Gone { others } => {
                        !others || spec.stop.kill_mode == KillMode::Process
                    }
                    Main::Ordered | Main::Alive => false,
                };
                let after = matches!(command, ControlCommand::PostStop(_));
                let first = command == ControlCommand::PostStop(0);
                rule(!first || gone, "post-stop runs when all is gone")?;
                rule(!after || !forced, "no post-stop where all is to be gone at once")?;
                now.progress.may_run(command, now.proven, spec)?;
                now.control = true;
                Ok(())
            }
            ActionKind::Signal { signal, whom } => {
                let kills = signal == Signal::KILL && whom != Whom::Control;
                account.killed |= kills;
                account.finished |= spec.stop.final_signal.is_none_or(|last| last == signal);
                let in_turn = account.finished || forced || now.progress.is_after();
                rule(!kills || in_turn, "the final signal comes before KILL")?;
                let reload = spec.reload.map(|reload| reload.how);
                let reloads = whom == Whom::Main
                    && [ReloadHow::Signal(signal), ReloadHow::Handshake(signal)]
                        .iter()
                        .any(|how| Some(*how) == reload);
                let in_stop = spec.stop.send_sighup || by_hand;
                rule(!reloads || now.proven || in_stop, "no reload before the service is ready")?;
                let replaced = matches!(goal, Goal::Down { cause: StopCause::Replaced, .. });
                let restarts = spec.stop.restart_signal == Some(signal);
                rule(
                    !restarts || by_hand || goal == Goal::Cycle || replaced,
                    "the restart signal is for restarts",
                )?;
                rule(now.main != Main::Ordered, "no signal before the process is there")
            }
            ActionKind::FindMain => {
                rule(spec.kind == Kind::Forking, "only what forks has a main process to be found")?;
                rule(now.search == Search::Never, "the main process is searched for once")?;
                let left = now.main == Main::Gone { others: true };
                rule(left, "the main process is searched for among what is left")?;
                now.search = Search::Open;
                Ok(())
            }
            ActionKind::StartProbe(probe) => {
                rule(now.probe.is_none(), "one probe at a time")?;
                let early = probe == Probe::Readiness;
                rule(early != now.proven, "readiness is probed before, liveness after it is up")?;
                now.probe = Some(probe);
                Ok(())
            }
            ActionKind::StopProbe(probe) => {
                rule(now.probe == Some(probe), "a probe that is stopped was running")?;
                now.probe = None;
                Ok(())
            }
            ActionKind::Release => {
                let (Main::Gone { others } | Main::Absent { others }) = now.main else {
                    return Err("released when main is gone".to_owned());
                };
                rule(!now.control, "released when the control process is gone")?;
                rule(now.probe.is_none(), "released when the probe was stopped")?;
                let leaves = spec.stop.kill_mode == KillMode::Process;
                rule(!others || leaves, "released when all processes are gone")?;
                // What is wanted of it may have changed by its very end.
                let forced = forced || is_forced(account.goal) || account.forced || forcing;
                let due = !spec.commands.post_stop.is_empty() && !account.stuck && !forced;
                rule(!due || now.progress.is_after(), "post-stop runs in each invocation")?;
                account.execution = None;
                Ok(())
            }
        }
    }

    /// Takes note of a change and checks that the order of the services allows it.
    pub(crate) fn change(&mut self, change: &Transition, engine: &Engine) -> Verdict {
        let service = change.service;
        let id = if change.companion { service.companion() } else { service };
        let from = self.account(id).status;
        rule(from == change.from, "each change begins where the last one ended")?;
        let begins = change.from == Status::Waiting
            && matches!(change.to, Status::Starting | Status::Running);
        if begins {
            self.check_start(service, engine)?;
        }
        if change.cause == Cause::Replaced {
            self.exchange(id);
        }
        let stops = matches!(change.cause, Cause::Stop(_) | Cause::Cycle)
            && !change.companion
            && self.accounts[id.index()].is_live()
            && !matches!(change.from, Status::Stopping | Status::Waiting | Status::Backoff)
            // One that ended by itself meanwhile was not stopped.
            && (change.ended.is_none() || change.from == Status::Exited);
        if stops && !self.overdue {
            self.check_stop(id, engine)?;
        }
        if let Cause::TriggeredBy(by) = change.cause {
            let other = &self.accounts[by.index()];
            let due = [
                (DependencyKind::OnFailure, other.failed),
                (DependencyKind::OnSuccess, other.succeeded),
            ];
            let due = due.iter().any(|(kind, ended)| *ended && relates(engine, by, *kind, id));
            rule(due, "what is started for the end of another was to be started for that")?;
        }
        if stops && change.cause == Cause::Cycle {
            self.check_roll(id, engine)?;
        }
        let spec = engine.service(id).spec();
        let account = self.account(id);
        if change.from == Status::Starting && change.to == Status::Running {
            let settled = change.at - account.proven >= spec.settle_time;
            rule(settled, "nothing is up before its settle time is over")?;
            let followed = account.execution.is_none_or(|now| now.progress.has_followed(spec));
            rule(followed, "nothing is up before its post-start commands are done")?;
            account.risen = change.at;
        }
        let upheld = matches!(change.cause, Cause::UpheldBy(_)) && change.from == Status::Backoff;
        if change.cause == Cause::Restart || upheld {
            account.restarts += 1;
        }
        if change.ended.is_some() && account.unmet {
            let rests = matches!(change.to, Status::Stopped | Status::Waiting);
            rule(rests, "what is not to be started has not failed")?;
        }
        if change.from == Status::Waiting && change.to == Status::Starting {
            account.begun = change.at;
        }
        if change.from != Status::Stopping && change.to == Status::Stopping {
            account.mode = match engine.service(id).manner() {
                Manner::Mode(mode) => Some(mode),
                Manner::Graceful | Manner::Force => None,
            };
        }
        if let Some(run) = change.ended.as_ref().filter(|_| !account.forced) {
            account.check_report(run, spec)?;
        }
        account.skipped = change.to == Status::Stopped
            && matches!(change.cause, Cause::Ended(Ending::Unmet { .. }));
        account.status = change.to;
        account.up = match change.to {
            Status::Running | Status::Reloading => true,
            Status::Exited => change.ended.is_none() && change.from != Status::Backoff,
            Status::Stopped
            | Status::Waiting
            | Status::Starting
            | Status::Stopping
            | Status::Backoff
            | Status::Failed => false,
        };
        account.moved = true;
        account.failed |= change.to == Status::Failed;
        account.succeeded |= change.to == Status::Exited;
        account.unseen = change.to == Status::Backoff
            && matches!(change.cause, Cause::Ended(_))
            && spec.restart.mode == RestartMode::Direct;
        account.died |= match change.to {
            Status::Backoff => !account.unseen,
            Status::Failed => true,
            Status::Exited => !account.up,
            Status::Stopped
            | Status::Waiting
            | Status::Starting
            | Status::Running
            | Status::Reloading
            | Status::Stopping => false,
        };
        if account.gapless && !account.up {
            let by_itself = match &change.cause {
                Cause::Ended(_) | Cause::Failed(_) | Cause::Step(_) | Cause::Replaced => true,
                Cause::Requested
                | Cause::Restart
                | Cause::DependenciesUp
                | Cause::Spawned
                | Cause::Ready
                | Cause::Probed
                | Cause::Settled
                | Cause::Completed(_)
                | Cause::Reload
                | Cause::Reloaded
                | Cause::ReloadTimeout
                | Cause::ReloadFailed
                | Cause::TriggeredBy(_)
                | Cause::UpheldBy(_)
                | Cause::Phase(_)
                | Cause::PostStarted
                | Cause::Forked
                | Cause::MainFound
                | Cause::MainUnknown
                | Cause::MainGone(_)
                | Cause::Healthy
                | Cause::Stop(_)
                | Cause::Cycle => false,
            };
            rule(by_itself, "one of its processes is up during a restart that overlaps")?;
            account.gapless = false;
        }
        account.died |= change.cause == Cause::Replaced && change.to == Status::Starting;
        account.stuck = change.to == Status::Stopping && engine.service(id).state().is_stuck();
        if account.died {
            // What is bound to it goes down too, sooner or later.
            self.accounts.iter_mut().for_each(|account| account.gapless = false);
        }
        Ok(())
    }

    /// The new process takes the place of the old one. What is said of the service stays.
    fn exchange(&mut self, id: ServiceId) {
        let own = &mut self.accounts[id.index()];
        let Some(companion) = self.companions.get_mut(&id.companion()) else { return };
        std::mem::swap(own, companion);
        std::mem::swap(&mut own.gapless, &mut companion.gapless);
        std::mem::swap(&mut own.starts, &mut companion.starts);
        std::mem::swap(&mut own.restarts, &mut companion.restarts);
        std::mem::swap(&mut own.may_count_anew, &mut companion.may_count_anew);
        std::mem::swap(&mut own.died, &mut companion.died);
        std::mem::swap(&mut own.moved, &mut companion.moved);
        std::mem::swap(&mut own.roll, &mut companion.roll);
        std::mem::swap(&mut own.goal, &mut companion.goal);
    }

    /// Nothing starts before what it requires is up and what it comes after is settled.
    fn check_start(&self, id: ServiceId, engine: &Engine) -> Verdict {
        let beside = engine
            .services()
            .find(|(rival, _)| self.is_there(*rival) && conflict(engine, id, *rival));
        rule(beside.is_none(), "nothing starts beside what it conflicts with")?;
        for on in engine.graph().predecessors(id) {
            let account = &self.accounts[on.index()];
            let runs = account
                .execution
                .is_some_and(|now| !matches!(now.main, Main::Absent { .. } | Main::Ordered));
            if account.status == Status::Starting && runs && is_early(engine, id, *on) {
                continue;
            }
            let kind = engine.service(*on).spec().kind;
            let done = account.skipped || kind == Kind::Oneshot && account.status == Status::Exited;
            rule(
                !needs(engine, id, *on) || account.up || done,
                "nothing starts before what it requires is up",
            )?;
            let moving = match account.status {
                Status::Waiting => !self.is_held_up(*on, engine),
                Status::Starting => true,
                Status::Stopping => !account.stuck,
                Status::Backoff => account.unseen,
                Status::Stopped
                | Status::Running
                | Status::Reloading
                | Status::Exited
                | Status::Failed => false,
            };
            rule(!moving, "nothing starts before what it comes after is up or down")
                .map_err(|rule| format!("{rule}: {id:?} before {on:?}"))?;
        }
        Ok(())
    }

    /// Whether any process of a service is there.
    fn is_there(&self, id: ServiceId) -> bool {
        let beside = self.companions.get(&id.companion());
        self.accounts[id.index()].is_live() || beside.is_some_and(Account::is_live)
    }

    /// Whether a service that waits does so for one that has failed and is to be tried again.
    fn is_held_up(&self, id: ServiceId, engine: &Engine) -> bool {
        match self.accounts[id.index()].status {
            Status::Backoff => !self.accounts[id.index()].unseen,
            Status::Waiting => {
                let mut before = engine.graph().predecessors(id).iter();
                before.any(|on| needs(engine, id, *on) && self.is_held_up(*on, engine))
            }
            Status::Stopped
            | Status::Starting
            | Status::Running
            | Status::Reloading
            | Status::Stopping
            | Status::Exited
            | Status::Failed => false,
        }
    }

    /// Nothing is stopped by request before what goes down with it and comes after it is gone.
    fn check_stop(&self, id: ServiceId, engine: &Engine) -> Verdict {
        for later in engine.graph().successors(id) {
            let account = &self.accounts[later.index()];
            let goal = engine.service(*later).goal();
            // What goes down because another one has failed meanwhile may do so only now.
            let by_a_death = match goal {
                Goal::Down {
                    cause: StopCause::BoundTo(_) | StopCause::ConflictsWith(_), ..
                } => true,
                Goal::Down { cause: StopCause::StoppedWith(_), .. } => self.asked != Asked::Stop,
                Goal::Down { .. } | Goal::Cycle | Goal::Up => false,
            };
            let since_before = goal == account.goal && self.asked == Asked::Nothing;
            // The turn of what is restarted one by one may have come only behind this one's.
            let in_turn = goal == Goal::Cycle
                && account.roll.is_some()
                && self.accounts[id.index()].roll.is_some();
            let goes_down = goal != Goal::Up && (!by_a_death || since_before) && !in_turn;
            let beside = self.companions.get(&later.companion());
            let beside = beside.is_some_and(|beside| beside.is_live() && !beside.stuck);
            let in_the_way = account.is_live() && goes_down && !account.stuck
                || beside && !account.is_live() && !account.stuck;
            rule(!in_the_way, "nothing stops before what comes after it is gone")
                .map_err(|rule| format!("{rule}: {id:?} before {later:?}"))?;
        }
        Ok(())
    }

    /// A rolling restart takes nobody down before all that it has restarted are up.
    fn check_roll(&mut self, id: ServiceId, engine: &Engine) -> Verdict {
        let account = &self.accounts[id.index()];
        let Some((roll, false)) = account.roll else { return Ok(()) };
        // By hand, or with one that has died.
        let of_itself = self.accounts.iter().any(|account| account.died);
        if self.asked == Asked::Restart || of_itself || account.goal != Goal::Up {
            return Ok(());
        }
        for (other, neighbour) in engine.services() {
            let account = &self.accounts[other.index()];
            let stopped = matches!(neighbour.goal(), Goal::Down { .. });
            let up = account.up || account.status == Status::Exited || stopped;
            rule(
                account.roll != Some((roll, true)) || up,
                "a rolling restart takes one down at a time",
            )
            .map_err(|rule| format!("{rule}: {id:?} while {other:?} is down"))?;
        }
        self.accounts[id.index()].roll = Some((roll, true));
        Ok(())
    }

    /// What was removed is gone.
    fn check_removed(&mut self, engine: &Engine) -> Verdict {
        let mut gone = vec![true; self.accounts.len()];
        engine.services().for_each(|(id, _)| gone[id.index()] = false);
        for (account, _) in self.accounts.iter_mut().zip(gone).filter(|(_, gone)| *gone) {
            let rest = account.execution.is_none() && account.status == Status::Stopped;
            rule(rest, "nothing is removed before it is down")?;
            // One that comes back is a new one.
            (account.restarts, account.starts) = (0, 0);
        }
        Ok(())
    }

    /// What is bound to a service that has ended by itself is on its way down.
    fn check_bonds(&self, engine: &Engine) -> Verdict {
        for (id, service) in engine.services() {
            let bound = service.spec().dependencies.iter().any(|dependency| {
                let dead = self.accounts[dependency.on.index()].died;
                dead && dependency.kind == DependencyKind::BindsTo && dependency.until.is_some()
            });
            let stays = self.accounts[id.index()].is_live() && service.goal() == Goal::Up;
            rule(!bound || !stays, "what is bound to what has ended goes down")?;
        }
        Ok(())
    }

    /// What is to be started because another one has ended has had its turn.
    fn check_triggers(&self, engine: &Engine) -> Verdict {
        for (id, service) in engine.services() {
            let ended = &self.accounts[id.index()];
            for dependency in &service.spec().dependencies {
                let due = match dependency.kind {
                    DependencyKind::OnFailure => ended.failed,
                    DependencyKind::OnSuccess => ended.succeeded,
                    DependencyKind::Requires
                    | DependencyKind::Wants
                    | DependencyKind::BindsTo
                    | DependencyKind::PartOf
                    | DependencyKind::After
                    | DependencyKind::Before
                    | DependencyKind::Conflicts
                    | DependencyKind::Upholds => false,
                };
                let started = &self.accounts[dependency.on.index()];
                let at_rest = engine.service(dependency.on).state().is_at_rest();
                let fine = !at_rest || started.moved || may_be_denied(engine, dependency.on);
                let over = engine.is_shutting_down();
                rule(!due || fine || over, "the end of one starts the other")?;
            }
        }
        Ok(())
    }

    /// What is upheld is not left at its end.
    fn check_upheld(&self, engine: &Engine) -> Verdict {
        for (id, service) in engine.services() {
            let upholds = self.accounts[id.index()].up && service.goal() == Goal::Up;
            for dependency in &service.spec().dependencies {
                let other = &self.accounts[dependency.on.index()];
                let left = match other.status {
                    Status::Failed => true,
                    Status::Exited => !other.up,
                    Status::Stopped
                    | Status::Waiting
                    | Status::Starting
                    | Status::Running
                    | Status::Reloading
                    | Status::Stopping
                    | Status::Backoff => false,
                };
                let counts = dependency.kind == DependencyKind::Upholds
                    && !may_be_denied(engine, dependency.on);
                rule(!upholds || !counts || !left, "what is upheld is started again")?;
            }
        }
        Ok(())
    }

    /// What holds between two inputs, whatever happened.
    pub(crate) fn check(&mut self, engine: &Engine, time: Moment) -> Verdict {
        self.check_removed(engine)?;
        (self.asked, self.forcing) = (Asked::Nothing, false);
        let (overdue, deadline) = (self.overdue, self.deadline);
        let mut earliest: Option<Moment> = None;
        let companions = self.companions.keys().copied();
        let ids: Vec<_> = engine.services().map(|(id, _)| id).chain(companions).collect();
        for id in ids {
            let service = engine.service(id);
            let (state, account) = (service.state(), self.account(id));
            account.goal = service.goal();
            rule(state.status() == account.status, "every change of status is told")?;
            rule(state.is_up() == account.up, "up is what was told")?;
            if std::mem::take(&mut account.may_count_anew) && service.restarts() == 0 {
                account.restarts = 0;
            }
            rule(service.restarts() == account.restarts, "each restart is counted, until a reset")?;
            let known = account.execution.map(|now| now.invocation);
            rule(state.invocation() == known, "the live invocation is the one spawned last")?;
            if let Some(invocation) = known {
                rule(engine.live(invocation) == Some(id), "the live invocation is known")?;
            }
            if let (State::Running(_) | State::Reloading(_), Some(now)) = (state, account.execution)
            {
                let lives = now.main == Main::Alive || now.lives_on(service.spec());
                rule(lives, "what runs has a main process, or others that may be without")?;
                rule(!now.unhealthy, "what does not answer any more is stopped")?;
                let watched = now.probe == Some(Probe::Liveness);
                rule(watched == service.spec().liveness, "what is up is watched, if it should be")?;
                rule(now.proven, "up is what has shown it")?;
                let longest = service.spec().runtime_max.filter(|_| !account.extended);
                let expires = longest.map(|longest| account.risen + longest);
                rule(expires.is_none_or(|at| at > time), "nothing is up for longer than it may")?;
            }
            if let Some(now) = account.execution
                && account.status == Status::Starting
                && now.main != Main::Ordered
                && !(now.proven && now.progress.has_followed(service.spec()))
            {
                let longest = service.spec().start_timeout.filter(|_| !account.extended);
                let limit = longest.map(|longest| account.begun + longest);
                rule(limit.is_none_or(|at| at > time), "no start takes longer than it may")?;
            }
            let may_kill = service.spec().stop.send_sigkill;
            rule(!account.stuck || account.killed || !may_kill, "stuck is what survived KILL")?;
            let forced = service.manner() == Manner::Force;
            account.forced |= forced && !overdue;
            let in_vain = forced && account.status == Status::Stopping && !account.killed;
            rule(!in_vain || !may_kill, "a forced stop kills at once")?;
            let there = account.execution.is_some_and(|now| now.main != Main::Ordered);
            let outlives = overdue && there && !account.killed;
            rule(!outlives || !may_kill, "no process outlives the time of a shutdown")?;
            if let (State::Stopping(stopping), Some(limit)) = (state, deadline) {
                let in_time = stopping.deadline.is_some_and(|deadline| deadline <= limit);
                let after_all = matches!(stopping.step, Step::Kill | Step::Stuck);
                rule(in_time || after_all, "no step goes on beyond the time of a shutdown")?;
            }
            let at_rest = matches!(state.status(), Status::Stopped | Status::Failed);
            rule(!at_rest || known.is_none(), "what is down has no process")?;
            if let Some(at) = state.deadline() {
                earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
            }
        }
        self.check_bonds(engine)?;
        self.check_triggers(engine)?;
        self.check_upheld(engine)?;
        for account in self.accounts.iter_mut().chain(self.companions.values_mut()) {
            account.died = false;
            (account.failed, account.succeeded, account.moved) = (false, false, false);
        }
        let mut accounts = self.accounts.iter().chain(self.companions.values());
        let live = accounts.any(|account| account.execution.is_some());
        let shutdown = self.deadline.filter(|_| live);
        let expected = earliest.into_iter().chain(shutdown).min();
        let armed = engine.poll_timeout().map(|wake| wake.at);
        rule(armed == expected, "the next timeout is the earliest of all deadlines")?;
        rule(armed.is_none_or(|at| at > time), "no deadline is left in the past")
    }
}

impl Account {
    /// What a report says by how much a stop was cut short is what its steps lack.
    fn check_report(&self, run: &Run, spec: &ServiceSpec) -> Verdict {
        let (Some((_, phases)), Some(allotted)) = (&run.stop, run.allotted) else { return Ok(()) };
        let named = self.mode.and_then(|mode| spec.stop.modes.get(&mode));
        let sequence = named.unwrap_or(&spec.stop.steps);
        let mut lacks = Duration::ZERO;
        for phase in phases.iter().filter(|phase| phase.end == PhaseEnd::CutShort) {
            let timeout = match phase.step {
                Step::Sequence(place, _) => sequence[place].timeout,
                Step::Final(_) => Some(KILL_PATIENCE),
                Step::Drain => Some(spec.stop.drain),
                Step::PostStop(_) | Step::Announced | Step::Abort(_) | Step::Kill | Step::Stuck => {
                    None
                }
            };
            // What counts as the whole time of the shutdown, or was extended, is not for these books.
            let Some(timeout) = timeout.filter(|_| !self.extended) else { return Ok(()) };
            lacks += timeout.saturating_sub(phase.took);
        }
        let commands = phases.iter().any(|phase| matches!(phase.step, Step::PostStop(_)));
        let at_once =
            matches!(phases.first(), Some(StopPhase { step: Step::Kill | Step::Stuck, .. }));
        if at_once && !commands {
            return rule(allotted.short == allotted.asked, "what had no turn lacks all of it");
        }
        rule(allotted.short == lacks, "the report says what was cut short").map_err(|rule| {
            format!("{rule}: {lacks:?} of {allotted:?} in {phases:?} after {named:?}")
        })
    }

    fn is_live(&self) -> bool {
        self.execution.is_some() || self.up
    }
}

/// Whether all of it is to be gone at once.
const fn is_forced(goal: Goal) -> bool {
    matches!(goal, Goal::Down { manner: Manner::Force, .. })
}

/// Whether a service requires another one and waits for it.
fn needs(engine: &Engine, id: ServiceId, on: ServiceId) -> bool {
    engine.service(id).spec().dependencies.iter().any(|dependency| {
        dependency.on == on && dependency.until.is_some() && dependency.kind.is_need()
    })
}

/// Whether an invocation can begin with this.
const fn begins(what: ActionKind) -> bool {
    matches!(
        what,
        ActionKind::Spawn(0)
            | ActionKind::Run(ControlCommand::Condition(0) | ControlCommand::PreStart(0))
    )
}

/// Whether all that orders a service after another one waits for no more than its process.
fn is_early(engine: &Engine, id: ServiceId, on: ServiceId) -> bool {
    use DependencyKind::{After, Before, BindsTo, Requires, Upholds, Wants};
    let of = |id: ServiceId, other: ServiceId, kinds: &'static [DependencyKind]| {
        let own = engine.service(id).spec().dependencies.iter();
        own.filter(move |dependency| dependency.on == other && kinds.contains(&dependency.kind))
    };
    let own = of(id, on, &[Requires, Wants, BindsTo, Upholds, After]);
    let mut all = own.chain(of(on, id, &[Before]));
    all.all(|dependency| dependency.until != Some(Until::Ready))
}

fn relates(engine: &Engine, id: ServiceId, kind: DependencyKind, on: ServiceId) -> bool {
    let mut dependencies = engine.service(id).spec().dependencies.iter();
    dependencies.any(|dependency| dependency.kind == kind && dependency.on == on)
}

fn conflict(engine: &Engine, one: ServiceId, other: ServiceId) -> bool {
    let kind = DependencyKind::Conflicts;
    relates(engine, one, kind, other) || relates(engine, other, kind, one)
}

/// Whether anybody may have to go for another one.
fn has_rivals(engine: &Engine) -> bool {
    let mut all = engine.services().flat_map(|(_, service)| &service.spec().dependencies);
    all.any(|dependency| dependency.kind == DependencyKind::Conflicts)
}

/// Whether a service may not be started for the sake of others because of a conflict.
fn may_be_denied(engine: &Engine, id: ServiceId) -> bool {
    let needed = engine.graph().pulled_by(&[id]);
    needed.iter().any(|one| engine.services().any(|(other, _)| conflict(engine, *one, other)))
}

/// Whether it is one service, named once or more often.
fn is_of_one(named: &[ServiceId]) -> bool {
    named.iter().all(|id| *id == named[0])
}

fn rule(holds: bool, text: &str) -> Verdict {
    if holds { Ok(()) } else { Err(text.to_owned()) }
}
