//! What an observer knows who sees only what the engine asks for and what the world answers.
//!
//! The ledger keeps its own books and shares none with the engine. It checks every action and every
//! change when it happens, and the engine as a whole after each input. A broken rule is an error
//! with the rule as its text.

use std::collections::BTreeMap;

use supervisor_engine::{
    Action, ActionKind, Cause, DependencyKind, Engine, Exit, Goal, Invocation, KillMode, Kind,
    Manner, Moment, Process, ReloadHow, Report, Request, RestartMode, Service, ServiceId,
    ServiceSpec, Signal, State, Status, StopCause, Transition, Whom,
};

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
    highest: Invocation,
}

/// What the present input asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// To stop something with its dependents.
    Stop,
    /// To send a signal, whatever it is.
    Signal,
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
    /// Whether it has ended by itself in the present input.
    died: bool,
    /// What was wanted of it after the input before.
    goal: Goal,
}

/// What is known of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Execution {
    pub(crate) invocation: Invocation,
    pub(crate) main: Main,
    /// Whether a control process runs.
    pub(crate) control: bool,
    /// Whether a probe runs.
    pub(crate) probe: bool,
    /// Whether it has done what its kind counts as being up.
    pub(crate) proven: bool,
}

/// The main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Main {
    Ordered,
    Alive,
    Gone {
        /// Whether others are left.
        others: bool,
    },
}

pub(crate) type Verdict = Result<(), String>;

impl Ledger {
    pub(crate) fn new(engine: &Engine) -> Self {
        let account = |unit, service: &Service| Account {
            unit,
            gapless: false,
            execution: None,
            status: Status::Stopped,
            up: false,
            stuck: false,
            starts: 0,
            killed: false,
            restarts: 0,
            may_count_anew: false,
            proven: Moment::default(),
            risen: Moment::default(),
            finished: false,
            extended: false,
            died: false,
            goal: service.goal(),
        };
        let overlaps = |service: &Service| service.spec().restart.mode == RestartMode::Overlap;
        let companions = engine.services().filter(|(_, service)| overlaps(service));
        Self {
            accounts: engine.services().map(|(id, service)| account(id, service)).collect(),
            companions: companions
                .map(|(id, service)| (id.companion(), account(id.companion(), service)))
                .collect(),
            deadline: None,
            overdue: false,
            asked: Asked::Nothing,
            highest: Invocation(0),
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
        self.asked = match request {
            Request::Stop { no_dependents: false, .. } => Asked::Stop,
            Request::Signal { .. } => Asked::Signal,
            Request::Stop { no_dependents: true, .. }
            | Request::Boot
            | Request::Start(_)
            | Request::Restart { .. }
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
        if let Request::Shutdown { within: Some(within), .. } = request {
            self.deadline = self.deadline.into_iter().chain(Some(now + *within)).min();
        }
    }

    /// A restart of services that overlap alone leaves each of them up; every other request to stop
    /// something may take them down.
    fn expect_gaps(&mut self, request: &Request, engine: &Engine) {
        match request {
            Request::Restart { services, .. } => {
                let may = |id: &ServiceId| {
                    let account = &self.accounts[id.index()];
                    self.companions.contains_key(&id.companion())
                        && account.up
                        && account.goal == Goal::Up
                };
                let all = services.iter().all(may) && !engine.is_shutting_down();
                for (place, account) in self.accounts.iter_mut().enumerate() {
                    let named = services.iter().any(|id| id.index() == place);
                    account.gapless = all && (account.gapless || named);
                }
            }
            Request::Stop { .. } | Request::Shutdown { .. } => {
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
        match report {
            Report::Spawned => {
                now.main = Main::Alive;
                now.proven = spec.kind == Kind::Simple && !spec.probed;
            }
            Report::Exited { process: Process::Main, exit, remaining } => {
                now.main = Main::Gone { others: *remaining };
                now.proven |= spec.kind == Kind::Oneshot && *exit == Exit::Code(0);
            }
            Report::Exited { process: Process::Control, remaining, .. } => {
                now.control = false;
                if let Main::Gone { others } = &mut now.main {
                    *others = *remaining;
                }
            }
            Report::ControlFailed(_) => now.control = false,
            Report::SpawnFailed(_) | Report::Emptied => now.main = Main::Gone { others: false },
            Report::Notified(message) => {
                account.extended |= message.extend.is_some();
                if message.restart_reset && account.status == Status::Running {
                    account.restarts = 0;
                }
                account.may_count_anew |=
                    message.restart_reset && account.status == Status::Stopping;
                now.proven |= message.ready && !message.stopping && spec.kind == Kind::Notify;
            }
            Report::ProbeSucceeded => {
                now.proven |= now.probe;
                now.probe = false;
            }
        }
        if now.proven && !was_proven {
            account.proven = at;
        }
    }

    /// Takes note of an action and checks that it may be.
    pub(crate) fn act(&mut self, action: Action, spec: &ServiceSpec, goal: Goal) -> Verdict {
        let by_hand = self.asked == Asked::Signal;
        let forced =
            by_hand || self.overdue || matches!(goal, Goal::Down { manner: Manner::Force, .. });
        let highest = self.highest;
        let beside = &self.accounts[action.service.service().index()];
        let fine = beside.up || beside.unit == action.service;
        let account = self.of_unit(action.service);
        if action.what == ActionKind::Spawn {
            rule(account.execution.is_none(), "a unit has one live invocation at most")?;
            rule(fine, "a second process is started only beside one that is up")?;
            rule(action.invocation > highest, "no invocation is used twice")?;
            account.starts += 1;
            account.killed = false;
            account.finished = false;
            account.extended = false;
            account.execution = Some(Execution {
                invocation: action.invocation,
                main: Main::Ordered,
                control: false,
                probe: false,
                proven: false,
            });
            self.highest = action.invocation;
            return Ok(());
        }
        let live = account.execution.as_mut().filter(|now| now.invocation == action.invocation);
        let Some(now) = live else {
            return Err(format!("every action is about the live invocation: {action:?}"));
        };
        match action.what {
            ActionKind::Spawn => Ok(()),
            ActionKind::Run(_) => {
                rule(!now.control, "one control process at a time")?;
                now.control = true;
                rule(now.main != Main::Ordered, "no command before the process is there")
            }
            ActionKind::Signal { signal, whom } => {
                let kills = signal == Signal::KILL && whom != Whom::Control;
                account.killed |= kills;
                account.finished |= spec.stop.final_signal.is_none_or(|last| last == signal);
                rule(!kills || account.finished || forced, "the final signal comes before KILL")?;
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
            ActionKind::StartProbe => {
                rule(!now.probe, "one probe at a time")?;
                now.probe = true;
                Ok(())
            }
            ActionKind::StopProbe => {
                rule(now.probe, "a probe that is stopped was running")?;
                now.probe = false;
                Ok(())
            }
            ActionKind::Release => {
                let Main::Gone { others } = now.main else {
                    return Err("released when main is gone".to_owned());
                };
                rule(!now.control, "released when the control process is gone")?;
                rule(!now.probe, "released when the probe was stopped")?;
                let leaves = spec.stop.kill_mode == KillMode::Process;
                rule(!others || leaves, "released when all processes are gone")?;
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
            && change.from != Status::Stopping
            // One that ended by itself meanwhile was not stopped.
            && (change.ended.is_none() || change.from == Status::Exited);
        if stops && !self.overdue {
            self.check_stop(id, engine)?;
        }
        let spec = engine.service(id).spec();
        let account = self.account(id);
        if change.from == Status::Starting && change.to == Status::Running {
            let settled = change.at - account.proven >= spec.settle_time;
            rule(settled, "nothing is up before its settle time is over")?;
            account.risen = change.at;
        }
        if change.cause == Cause::Restart {
            account.restarts += 1;
        }
        account.status = change.to;
        account.up = match change.to {
            Status::Running | Status::Reloading => true,
            Status::Exited => change.ended.is_none(),
            Status::Stopped
            | Status::Waiting
            | Status::Starting
            | Status::Stopping
            | Status::Backoff
            | Status::Failed => false,
        };
        account.died |= match change.to {
            Status::Backoff | Status::Failed => true,
            Status::Exited => change.ended.is_some(),
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
        std::mem::swap(&mut own.goal, &mut companion.goal);
    }

    /// Nothing starts before what it requires is up and what it comes after is settled.
    fn check_start(&self, id: ServiceId, engine: &Engine) -> Verdict {
        for on in engine.graph().predecessors(id) {
            let account = &self.accounts[on.index()];
            let done = engine.service(*on).spec().kind == Kind::Oneshot
                && account.status == Status::Exited;
            rule(
                !needs(engine, id, *on) || account.up || done,
                "nothing starts before what it requires is up",
            )?;
            let moving = match account.status {
                Status::Waiting => !self.is_held_up(*on, engine),
                Status::Starting => true,
                Status::Stopping => !account.stuck,
                Status::Stopped
                | Status::Running
                | Status::Reloading
                | Status::Backoff
                | Status::Exited
                | Status::Failed => false,
            };
            rule(!moving, "nothing starts before what it comes after is up or down")
                .map_err(|rule| format!("{rule}: {id:?} before {on:?}"))?;
        }
        Ok(())
    }

    /// Whether a service that waits does so for one that has failed and is to be tried again.
    fn is_held_up(&self, id: ServiceId, engine: &Engine) -> bool {
        match self.accounts[id.index()].status {
            Status::Backoff => true,
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
                Goal::Down { cause: StopCause::BoundTo(_), .. } => true,
                Goal::Down { cause: StopCause::StoppedWith(_), .. } => self.asked != Asked::Stop,
                Goal::Down { .. } | Goal::Cycle | Goal::Up => false,
            };
            let since_before = goal == account.goal && self.asked == Asked::Nothing;
            let goes_down = goal != Goal::Up && (!by_a_death || since_before);
            let beside = self.companions.get(&later.companion());
            let beside = beside.is_some_and(|beside| beside.is_live() && !beside.stuck);
            let in_the_way = account.is_live() && goes_down && !account.stuck
                || beside && !account.is_live() && !account.stuck;
            rule(!in_the_way, "nothing stops before what comes after it is gone")
                .map_err(|rule| format!("{rule}: {id:?} before {later:?}"))?;
        }
        Ok(())
    }

    /// What is bound to a service that has ended by itself is on its way down.
    fn check_bonds(&mut self, engine: &Engine) -> Verdict {
        for (id, service) in engine.services() {
            let bound = service.spec().dependencies.iter().any(|dependency| {
                let dead = self.accounts[dependency.on.index()].died;
                dead && dependency.kind == DependencyKind::BindsTo && dependency.ordered
            });
            let stays = self.accounts[id.index()].is_live() && service.goal() == Goal::Up;
            rule(!bound || !stays, "what is bound to what has ended goes down")?;
        }
        for account in &mut self.accounts {
            account.died = false;
        }
        Ok(())
    }

    /// What holds between two inputs, whatever happened.
    pub(crate) fn check(&mut self, engine: &Engine, time: Moment) -> Verdict {
        self.asked = Asked::Nothing;
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
                rule(now.main == Main::Alive, "what runs has a main process")?;
                rule(now.proven, "up is what has shown it")?;
                let longest = service.spec().runtime_max.filter(|_| !account.extended);
                let expires = longest.map(|longest| account.risen + longest);
                rule(expires.is_none_or(|at| at > time), "nothing is up for longer than it may")?;
            }
            let may_kill = service.spec().stop.send_sigkill;
            rule(!account.stuck || account.killed || !may_kill, "stuck is what survived KILL")?;
            let forced = matches!(service.goal(), Goal::Down { manner: Manner::Force, .. });
            let in_vain = forced && account.status == Status::Stopping && !account.killed;
            rule(!in_vain || !may_kill, "a forced stop kills at once")?;
            let at_rest = matches!(state.status(), Status::Stopped | Status::Failed);
            rule(!at_rest || known.is_none(), "what is down has no process")?;
            if let Some(at) = state.deadline() {
                earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
            }
        }
        self.check_bonds(engine)?;
        let live = self
            .accounts
            .iter()
            .chain(self.companions.values())
            .any(|account| account.execution.is_some());
        let shutdown = self.deadline.filter(|_| live);
        let expected = earliest.into_iter().chain(shutdown).min();
        let armed = engine.poll_timeout().map(|wake| wake.at);
        rule(armed == expected, "the next timeout is the earliest of all deadlines")?;
        rule(armed.is_none_or(|at| at > time), "no deadline is left in the past")
    }
}

impl Account {
    fn is_live(&self) -> bool {
        self.execution.is_some() || self.up
    }
}

/// Whether a service requires another one and waits for it.
fn needs(engine: &Engine, id: ServiceId, on: ServiceId) -> bool {
    engine.service(id).spec().dependencies.iter().any(|dependency| {
        let requires = match dependency.kind {
            DependencyKind::Requires | DependencyKind::BindsTo => true,
            DependencyKind::Wants
            | DependencyKind::PartOf
            | DependencyKind::After
            | DependencyKind::Before => false,
        };
        dependency.on == on && dependency.ordered && requires
    })
}

fn rule(holds: bool, text: &str) -> Verdict {
    if holds { Ok(()) } else { Err(text.to_owned()) }
}
