//! The world of a simulation: processes that start late, die, ignore signals, leave others behind
//! and say things. What happens to them becomes a report when its time has come.

use std::collections::BTreeMap;
use std::time::Duration;

use supervisor_engine::{
    Action, ActionKind, ControlCommand, Exit, Invocation, Kind, Moment, Notification, Probe,
    Process, Report, ServiceId, ServiceSpec, Signal, SpawnError, WatchdogMessage, Whom,
};

use crate::dice::Dice;
use crate::systems::Nature;

pub(crate) struct World {
    pub(crate) dice: Dice,
    /// Nobody dies, fails or speaks without need any more.
    pub(crate) calm: bool,
    natures: Vec<Nature>,
    specs: Vec<ServiceSpec>,
    /// By unit.
    bodies: BTreeMap<ServiceId, Body>,
    /// What will happen, in order; the number keeps apart what happens at one moment.
    future: BTreeMap<(Moment, u64), (ServiceId, Invocation, Event)>,
    scheduled: u64,
}

/// When those are gone by themselves whose main process has ended as it should.
const SOON: Duration = Duration::from_secs(5);

/// The processes of one invocation as they really are.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a process that is there or not")]
struct Body {
    invocation: Invocation,
    main: bool,
    /// Whether main is only there to fork the service.
    starter: bool,
    /// Whether it was asked to end: then nobody searches for main any more.
    asked: bool,
    others: bool,
    control: bool,
    probe: Option<Probe>,
    immortal: bool,
}

#[derive(Clone, Debug)]
enum Event {
    Spawned,
    SpawnFails,
    MainEnds(Exit),
    OthersEnd,
    ControlEnds(Result<Exit, SpawnError>),
    Says(Notification),
    ProbeSucceeds(Probe),
    ProbeFails,
    MainFound,
    MainUnknown,
}

impl World {
    pub(crate) fn new(specs: Vec<ServiceSpec>, natures: Vec<Nature>, dice: Dice) -> Self {
        let (bodies, future, scheduled) = (BTreeMap::new(), BTreeMap::new(), 0);
        Self { dice, calm: false, natures, specs, bodies, future, scheduled }
    }

    /// A service that is like another one.
    pub(crate) fn add(&mut self, like: ServiceId, spec: ServiceSpec) {
        self.natures.push(self.natures[like.index()].clone());
        self.specs.push(spec);
    }

    /// When the next thing happens.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.future.first_key_value().map(|((at, _), _)| *at)
    }

    /// Lets the next thing happen; `None` if it came to nothing.
    pub(crate) fn step(&mut self) -> Option<(ServiceId, Report)> {
        let ((now, _), (id, invocation, event)) = self.future.pop_first()?;
        let body = self.bodies.get_mut(&id).filter(|b| b.invocation == invocation)?;
        let report = match event {
            Event::Spawned => {
                body.main = true;
                self.lives(id, now);
                Report::Spawned
            }
            Event::SpawnFails => Report::SpawnFailed(error()),
            Event::MainEnds(exit) => {
                if !std::mem::take(&mut body.main) {
                    return None;
                }
                let nature = &self.natures[id.service().index()];
                let forked = std::mem::take(&mut body.starter) && exit == Exit::Code(0);
                let leaves = if forked { 100 - nature.frail } else { nature.leaves_others };
                body.others = self.dice.percent(leaves);
                let remaining = body.others;
                if remaining && self.dice.percent(50) {
                    let later = self.dice.millis(0, 3_000);
                    self.plan(id, now + later, Event::OthersEnd);
                }
                Report::Exited { process: Process::Main, exit, remaining }
            }
            Event::OthersEnd => {
                // While main lives they are nobody's business.
                if !std::mem::take(&mut body.others) || body.main {
                    return None;
                }
                Report::Emptied
            }
            Event::ControlEnds(result) => {
                if !std::mem::take(&mut body.control) {
                    return None;
                }
                let leaves = self.natures[id.service().index()].leaves_others;
                body.others |= !body.main && result.is_ok() && self.dice.percent(leaves);
                let remaining = body.main || body.others;
                match result {
                    Ok(exit) => Report::Exited { process: Process::Control, exit, remaining },
                    Err(error) => Report::ControlFailed(error),
                }
            }
            Event::Says(message) => {
                if !body.main {
                    return None;
                }
                let watched = self.specs[id.service().index()].watchdog;
                if let (Some(watchdog), Some(WatchdogMessage::Alive)) = (watched, message.watchdog)
                {
                    let next = Event::Says(said(|said| said.watchdog = message.watchdog));
                    self.plan(id, now + watchdog.timeout / 2, next);
                }
                Report::Notified(message)
            }
            Event::ProbeSucceeds(probe) => {
                if body.probe != Some(probe) {
                    return None;
                }
                body.probe = body.probe.filter(|probe| *probe == Probe::Liveness);
                Report::ProbeSucceeded(probe)
            }
            Event::ProbeFails => {
                body.probe.take_if(|probe| *probe == Probe::Liveness)?;
                Report::ProbeFailed
            }
            Event::MainFound => {
                if body.main || !body.others || body.asked {
                    return None;
                }
                body.main = true;
                self.may_die(id, now);
                Report::MainFound
            }
            Event::MainUnknown => {
                if body.main || !body.others || body.asked {
                    return None;
                }
                Report::MainUnknown
            }
        };
        Some((id, report))
    }

    /// Carries out what the engine asks for.
    pub(crate) fn perform(&mut self, action: Action, now: Moment) {
        let id = action.service;
        let nature = self.natures[id.service().index()].clone();
        if self.bodies.get(&id).is_none_or(|body| body.invocation != action.invocation) {
            let body = Body {
                invocation: action.invocation,
                main: false,
                starter: self.specs[id.service().index()].kind == Kind::Forking,
                asked: false,
                others: false,
                control: false,
                probe: None,
                immortal: self.dice.percent(nature.immortal),
            };
            self.bodies.insert(id, body);
        }
        match action.what {
            ActionKind::Spawn(_) => {
                let fails = !self.calm && self.dice.percent(nature.spawn_fails);
                let event = if fails { Event::SpawnFails } else { Event::Spawned };
                let delay = self.dice.millis(0, 50);
                self.plan(id, now + delay, event);
            }
            ActionKind::Run(command) => self.run(id, command, &nature, now),
            ActionKind::Signal { signal, whom } => self.signal(id, signal, whom, &nature, now),
            ActionKind::FindMain => {
                if !self.dice.percent(nature.silent) {
                    let delay = self.dice.millis(0, 1_000);
                    let known = self.dice.percent(70);
                    let event = if known { Event::MainFound } else { Event::MainUnknown };
                    self.plan(id, now + delay, event);
                }
            }
            ActionKind::StartProbe(probe) => {
                self.body(id).probe = Some(probe);
                if !self.dice.percent(nature.silent) {
                    let delay = self.dice.millis(0, 1_000);
                    self.plan(id, now + delay, Event::ProbeSucceeds(probe));
                }
                if probe == Probe::Liveness && !self.calm && self.dice.percent(nature.frail) {
                    let delay = self.dice.millis(0, 5_000);
                    self.plan(id, now + delay, Event::ProbeFails);
                }
            }
            ActionKind::StopProbe(_) => self.body(id).probe = None,
            ActionKind::Release => _ = self.bodies.remove(&id),
        }
    }

    /// A main process begins its life: what will become of it, if nobody interferes.
    fn lives(&mut self, id: ServiceId, now: Moment) {
        let nature = self.natures[id.service().index()].clone();
        let spec = &self.specs[id.service().index()];
        let (kind, watched) = (spec.kind, spec.watchdog.is_some());
        let up = self.dice.millis(0, 1_000);
        match kind {
            Kind::Notify if !self.dice.percent(nature.silent) => {
                let ready = said(|message| {
                    message.ready = true;
                    message.watchdog = watched.then_some(WatchdogMessage::Alive);
                });
                self.plan(id, now + up, Event::Says(ready));
            }
            Kind::Oneshot if !self.dice.percent(nature.silent) => {
                let code = u8::from(!self.calm && self.dice.percent(nature.frail));
                self.plan(id, now + up, Event::MainEnds(Exit::Code(code)));
            }
            Kind::Forking if !self.dice.percent(nature.silent) => {
                self.plan(id, now + up, Event::MainEnds(Exit::Code(0)));
            }
            Kind::Target | Kind::Simple | Kind::Notify | Kind::Forking | Kind::Oneshot => {}
        }
        self.may_die(id, now);
        while kind == Kind::Notify && !self.calm && self.dice.percent(nature.talkative) {
            let later = self.dice.millis(0, 3_000);
            let message = self.message();
            if message.stopping && !self.dice.percent(nature.stubborn) {
                let end = later + self.dice.millis(0, 2_000);
                self.plan(id, now + end, Event::MainEnds(Exit::Code(0)));
                self.plan(id, now + end + SOON, Event::OthersEnd);
            }
            self.plan(id, now + later, Event::Says(message));
        }
    }

    fn may_die(&mut self, id: ServiceId, now: Moment) {
        if !self.calm && self.dice.percent(self.natures[id.service().index()].frail) {
            let end = self.dice.millis(0, 5_000);
            let exit = self.exit();
            self.plan(id, now + end, Event::MainEnds(exit));
        }
    }

    fn run(&mut self, id: ServiceId, command: ControlCommand, nature: &Nature, now: Moment) {
        self.body(id).control = true;
        let clumsy = !self.calm && self.dice.percent(nature.clumsy);
        let (took, result) = match (clumsy, self.dice.below(3)) {
            (true, 0) => (self.dice.millis(0, 10), Err(error())),
            (true, 1) => (self.dice.millis(0, 60_000), Ok(Exit::Code(0))),
            (true, _) => (self.dice.millis(0, 100), Ok(Exit::Code(1))),
            (false, _) => (self.dice.millis(0, 1_000), Ok(Exit::Code(0))),
        };
        self.plan(id, now + took, Event::ControlEnds(result));
        match command {
            ControlCommand::Stop(_) => self.asked_to_end(id, Exit::Code(0), nature, now),
            ControlCommand::Condition(_)
            | ControlCommand::PreStart(_)
            | ControlCommand::PostStart(_)
            | ControlCommand::PostStop(_)
            | ControlCommand::Reload => {}
        }
    }

    fn signal(&mut self, id: ServiceId, signal: Signal, whom: Whom, nature: &Nature, now: Moment) {
        let exit = Exit::Signal { signal, core: signal == Signal::ABRT };
        self.body(id).asked |= whom == Whom::All;
        let body = *self.body(id);
        if signal == Signal::KILL {
            let late = self.dice.millis(30_000, 90_000);
            let soon = self.dice.millis(0, 5);
            let after = if body.immortal { late } else { soon };
            if whom != Whom::Main && body.control {
                self.plan(id, now + soon, Event::ControlEnds(Ok(exit)));
            }
            if whom != Whom::Control && body.main {
                self.plan(id, now + after, Event::MainEnds(exit));
            }
            if whom == Whom::All && (body.others || body.main) {
                self.plan(id, now + after + Duration::from_millis(1), Event::OthersEnd);
            }
        } else if signal == Signal::HUP && whom == Whom::Main {
            self.reloads(id, nature, now);
        } else if signal != Signal::HUP && signal != Signal::USR1 {
            if whom != Whom::Main && body.control && !self.dice.percent(nature.stubborn) {
                let took = self.dice.millis(0, 500);
                self.plan(id, now + took, Event::ControlEnds(Ok(exit)));
                self.plan(id, now + took + SOON, Event::OthersEnd);
            }
            if whom != Whom::Control && body.main {
                self.asked_to_end(id, exit, nature, now);
            }
            if whom == Whom::All && body.others && !self.dice.percent(nature.stubborn) {
                let took = self.dice.millis(0, 500);
                self.plan(id, now + took, Event::OthersEnd);
            }
        }
    }

    /// It may say that it reloads, and perhaps even that it has done so.
    fn reloads(&mut self, id: ServiceId, nature: &Nature, now: Moment) {
        if self.dice.percent(nature.silent) {
            return;
        }
        let begin = now + self.dice.millis(0, 500);
        let stale = self.dice.percent(nature.clumsy);
        let reloading = said(|message| {
            message.reloading = true;
            message.reload_began = Some(if stale { Moment::default() } else { begin });
            message.ready = self.dice.percent(20);
        });
        self.plan(id, begin, Event::Says(reloading));
        let end = begin + self.dice.millis(0, 3_000);
        self.plan(id, end, Event::Says(said(|message| message.ready = true)));
    }

    /// Its main process may end, or has its own idea.
    fn asked_to_end(&mut self, id: ServiceId, exit: Exit, nature: &Nature, now: Moment) {
        self.body(id).asked = true;
        if self.dice.percent(nature.stubborn) {
            return;
        }
        let took = self.dice.millis(0, 2_000);
        let exit = if self.dice.percent(50) { exit } else { Exit::Code(0) };
        if self.dice.percent(nature.talkative) {
            self.plan(id, now + took / 2, Event::Says(said(|message| message.stopping = true)));
        }
        self.plan(id, now + took, Event::MainEnds(exit));
        self.plan(id, now + took + SOON, Event::OthersEnd);
    }

    fn exit(&mut self) -> Exit {
        match self.dice.below(5) {
            0 => Exit::Code(0),
            1 => Exit::Code(1),
            2 => Exit::Code(2),
            3 => Exit::Signal { signal: Signal::KILL, core: false },
            _ => Exit::Unknown,
        }
    }

    fn message(&mut self) -> Notification {
        let period = self.dice.millis(0, 3_000);
        match self.dice.below(9) {
            0 => said(|message| message.ready = true),
            1 => said(|message| message.stopping = true),
            2 => said(|message| message.extend = Some(period)),
            3 => said(|message| message.watchdog = Some(WatchdogMessage::Trigger)),
            4 => said(|message| message.watchdog_period = Some(period)),
            5 => said(|message| {
                message.ready = true;
                message.reloading = true;
            }),
            6 => said(|message| message.restart_reset = true),
            _ => said(|message| message.reloading = true),
        }
    }

    fn plan(&mut self, id: ServiceId, at: Moment, event: Event) {
        let invocation = self.body(id).invocation;
        self.scheduled += 1;
        self.future.insert((at, self.scheduled), (id, invocation, event));
    }

    fn body(&mut self, id: ServiceId) -> &mut Body {
        self.bodies.get_mut(&id).expect("the ledger has checked that it is live")
    }
}

fn said(fill: impl FnOnce(&mut Notification)) -> Notification {
    let mut message = Notification::default();
    fill(&mut message);
    message
}

pub(crate) fn error() -> SpawnError {
    SpawnError { step: "exec", errno: 2, message: "exec: No such file or directory".to_owned() }
}
