//! Actions of the engine as calls to the operating system. Nothing else performs actions.

use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use supervisor_api::Said;
use supervisor_engine::{
    Action, ActionKind, ControlCommand, Invocation, ReloadPhase, Report, ServiceId, Signal,
    SpawnError, State, Whom,
};

use super::Runtime;
use super::outcome;
use super::poller::Source;
use super::unit::{Execution, Process, Sign};
use crate::clock;
use crate::config::{Argv, NotifyAccess, Readiness, ServiceConfig};
use crate::directory::{self, NOTIFY_MODE};
use crate::notify::NotifySocket;
use crate::process::{self, Command, Orphan, Roots, Session, Stdin};

/// How long processes are started before everything else gets its turn: for each the daemon waits
/// until its program runs.
const SPAWNING_PER_TURN: Duration = Duration::from_millis(2);

/// A descriptor for a service, and the number that it has there.
type Extra = (RawFd, OwnedFd);

impl Runtime {
    /// Carries out what the engine has asked for, but starts for no longer than a turn's share.
    pub(crate) fn perform(&mut self) {
        let began = clock::now();
        // Looking for them takes time for every child: once is enough for many signals.
        let mut orphans = None;
        while let Some(action) = self.todo.pop_front() {
            let spawns = matches!(action.what, ActionKind::Spawn(_) | ActionKind::Run(_));
            match action.what {
                ActionKind::Spawn(index) => self.spawn_main(&action, index),
                ActionKind::Run(command) => self.spawn_control(&action, command),
                ActionKind::Signal { signal, whom } => {
                    self.send(action.service, signal, whom, &mut orphans);
                }
                ActionKind::FindMain => self.find_main(&action),
                ActionKind::StartProbe(probe) => self.start_probe(&action, probe),
                ActionKind::StopProbe(_) => self.stop_probe(action.service),
                ActionKind::Release => self.release(&action),
            }
            if spawns && clock::now() - began > SPAWNING_PER_TURN {
                return;
            }
        }
    }

    fn spawn_main(&mut self, action: &Action, index: usize) {
        let Action { service, invocation, .. } = *action;
        match self.try_spawn_main(service, invocation, index) {
            Ok(()) => self.report(invocation, Report::Spawned),
            Err(error) => self.report(invocation, Report::SpawnFailed(error)),
        }
    }

    fn try_spawn_main(
        &mut self,
        id: ServiceId,
        invocation: Invocation,
        index: usize,
    ) -> Result<(), SpawnError> {
        self.descriptors
            .admit_start(&self.poller)
            .map_err(|error| os_error("file descriptors", &error))?;
        self.remove_pid_file(id);
        let (sign, told_by) = self.open_sign(id)?;
        self.open_outputs(id)?;
        let access = self.config(id).notify_access;
        if access != NotifyAccess::None {
            self.open_notify_socket(id)?;
        }
        let mut environment = vec![("INVOCATION_ID", self.invocation_id(invocation))];
        environment.extend(self.notify_variables(id, access != NotifyAccess::None));
        environment.extend(self.monitor_variables(id));
        let mut own_pid = Vec::new();
        if let Some(watchdog) = self.config(id).spec.watchdog {
            own_pid.push("WATCHDOG_PID");
            environment.push(("WATCHDOG_USEC", watchdog.timeout.as_micros().to_string()));
        }
        let unit = &self.units[id];
        let store = &self.units[id.service()].fd_store;
        let passed = store.fds();
        if !passed.is_empty() {
            let names: Vec<&str> = store.names().collect();
            environment.push(("LISTEN_FDS", passed.len().to_string()));
            environment.push(("LISTEN_FDNAMES", names.join(":")));
            own_pid.push("LISTEN_PID");
        }
        let config = &self.config.services[id.service().index()];
        let (Some(argv), Some(outputs)) = (config.main_command(index), &unit.outputs) else {
            return Err(spawn_error("command", 0, "it has no command"));
        };
        let stdin = match &self.own_stdin {
            Some(fd) if config.context.inherit_stdin => Stdin::Fd(fd.as_fd()),
            _ => Stdin::from(config.context.stdin.as_deref()),
        };
        let child = self.spawner.spawn(&Command {
            argv,
            context: &config.context,
            environment: &environment,
            own_pid: &own_pid,
            stdin,
            stdout: outputs.stdout(),
            stderr: outputs.stderr(),
            passed: &passed,
            tag: Some(self.tags.of(id)),
            session: self.session,
            extra: told_by.as_ref().map(|(number, fd)| (*number, fd.as_fd())),
        })?;
        let process = Process { pid: child.pid, pidfd: child.pidfd };
        self.watch_process(&process, Source::Main(id));
        let execution = self.execution(id, invocation);
        execution.sign = sign;
        execution.started.push(process.pid);
        execution.main = Some(process);
        Ok(())
    }

    fn spawn_control(&mut self, action: &Action, command: ControlCommand) {
        let Action { service, invocation, .. } = *action;
        let argv = self.config(service).control_command(command).cloned().unwrap_or_default();
        let access = self.notify_access(service);
        let offered = access >= NotifyAccess::Exec;
        let mut environment = vec![("INVOCATION_ID", self.invocation_id(invocation))];
        if let Some(main) = self.unit(service).main_pid() {
            environment.push(("MAINPID", main.to_string()));
        }
        let holder = self.engine.live(invocation).unwrap_or(service);
        environment.extend(outcome::variables(self.engine.service(holder)));
        if matches!(command, ControlCommand::Condition(_) | ControlCommand::PreStart(_)) {
            environment.extend(self.monitor_variables(service));
        }
        let socket = if offered { self.open_notify_socket(service) } else { Ok(()) };
        environment.extend(self.notify_variables(service, offered));
        tracing::debug!(service = %self.name(service), %command, ?argv, "control command");
        let session = self.session;
        match socket.and_then(|()| self.spawn_helper(service, &argv, &environment, session)) {
            Ok(process) => {
                self.watch_process(&process, Source::Control(service));
                let execution = self.execution(service, invocation);
                execution.started.push(process.pid);
                execution.control = Some(process);
            }
            Err(error) => self.report(invocation, Report::ControlFailed(error)),
        }
    }

    /// The processes of this invocation, which may begin with this one. What its service said in the
    /// one before does not count any more.
    fn execution(&mut self, id: ServiceId, invocation: Invocation) -> &mut Execution {
        let unit = self.unit_mut(id);
        if unit.execution.as_ref().is_none_or(|live| live.invocation != invocation) {
            unit.execution = None;
            unit.status = None;
            unit.said = Said::default();
        }
        unit.execution.get_or_insert_with(|| Execution::new(invocation))
    }

    /// Starts a process that works for a service, in the service's context and log.
    pub(crate) fn spawn_helper(
        &mut self,
        id: ServiceId,
        argv: &Argv,
        environment: &[(&str, String)],
        session: Session,
    ) -> Result<Process, SpawnError> {
        self.open_outputs(id)?;
        let Some(outputs) = &self.units[id].outputs else {
            return Err(spawn_error("log", 0, "it has no outputs"));
        };
        let child = self.spawner.spawn(&Command {
            argv,
            context: &self.config.services[id.service().index()].context,
            environment,
            own_pid: &[],
            stdin: Stdin::Null,
            stdout: outputs.stdout(),
            stderr: outputs.stderr(),
            passed: &[],
            tag: Some(self.tags.of(id)),
            session,
            extra: None,
        })?;
        Ok(Process { pid: child.pid, pidfd: child.pidfd })
    }

    /// Makes what a service tells by that it is ready, if it does, and what it gets for that.
    fn open_sign(&mut self, id: ServiceId) -> Result<(Option<Sign>, Option<Extra>), SpawnError> {
        let config = &self.config.services[id.service().index()];
        match &config.readiness {
            Some(Readiness::Descriptor(number)) => {
                let pipe = pipe2(OFlag::O_CLOEXEC)
                    .and_then(|(reader, writer)| {
                        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
                        Ok((reader, writer))
                    })
                    .map_err(|errno| os_error("descriptor", &errno.into()))?;
                Ok((Some(Sign::Newline(pipe.0)), Some((*number, pipe.1))))
            }
            Some(Readiness::Line(pattern)) => {
                let (outputs, matched) = self
                    .logs
                    .watch(id, &config.spec.name, &config.log, owner(config), pattern.clone())
                    .map_err(|error| os_error("log", &error))?;
                self.unit_mut(id).outputs = Some(outputs);
                Ok((Some(Sign::Line(matched)), None))
            }
            Some(Readiness::Probe(_)) | None => Ok((None, None)),
        }
    }

    fn open_outputs(&mut self, id: ServiceId) -> Result<(), SpawnError> {
        if self.unit(id).outputs.is_some() {
            return Ok(());
        }
        let config = &self.config.services[id.service().index()];
        let outputs = self
            .logs
            .open(id, &config.spec.name, &config.log, owner(config))
            .map_err(|error| os_error("log", &error))?;
        self.unit_mut(id).outputs = Some(outputs);
        Ok(())
    }

    fn open_notify_socket(&mut self, id: ServiceId) -> Result<(), SpawnError> {
        if self.unit(id).notify.as_ref().is_some_and(NotifySocket::is_in_place) {
            return Ok(());
        }
        if let Some(lost) = self.unit_mut(id).notify.take() {
            tracing::warn!(path = %lost.path().display(), "notify socket removed; made anew");
            self.poller.remove(&lost);
        }
        // Numbers, not names: a path of a socket has 107 bytes at most.
        let companion = if id.is_companion() { "+" } else { "" };
        let path = self.notify_dir.join(format!("{}{companion}", id.service().0));
        let socket = directory::make(&self.notify_dir, NOTIFY_MODE).and_then(|()| {
            let socket = NotifySocket::bind(path)?;
            self.poller.add(&socket, Source::Notify(id))?;
            Ok(socket)
        });
        self.unit_mut(id).notify = Some(socket.map_err(|error| os_error("notify socket", &error))?);
        Ok(())
    }

    /// Where to send messages to, and what can be sent there.
    fn notify_variables(&self, id: ServiceId, offered: bool) -> Vec<(&'static str, String)> {
        let Some(socket) = self.unit(id).notify.as_ref().filter(|_| offered) else {
            return Vec::new();
        };
        let mut variables = vec![("NOTIFY_SOCKET", socket.path().to_string_lossy().into_owned())];
        let max = self.config(id).fd_store.max;
        if max > 0 {
            variables.push(("FDSTORE", max.to_string()));
        }
        variables
    }

    /// 32 hexadecimal digits that no other invocation has, as `INVOCATION_ID` of `systemd.exec(5)`.
    pub(crate) fn invocation_id(&self, invocation: Invocation) -> String {
        format!("{}{:016x}", self.boot_id, invocation.0)
    }

    /// Whose messages count now.
    pub(crate) fn notify_access(&self, id: ServiceId) -> NotifyAccess {
        let execution = self.unit(id).execution.as_ref();
        execution.and_then(|e| e.notify_access).unwrap_or(self.config(id).notify_access)
    }

    fn send(
        &mut self,
        id: ServiceId,
        signal: Signal,
        whom: Whom,
        orphans: &mut Option<Vec<Orphan>>,
    ) {
        let name = self.name(id).to_owned();
        tracing::debug!(service = %name, %signal, ?whom, "signal");
        let result = match whom {
            Whom::Main => self.signal_main(id, signal),
            Whom::Control => self.signal_control(id, signal),
            Whom::All if signal == Signal::KILL => {
                if let Some(execution) = &mut self.unit_mut(id).execution {
                    execution.killed = true;
                }
                self.kill_all(id)
            }
            Whom::All => self.signal_all(id, signal, orphans),
        };
        if let Err(error) = result {
            tracing::warn!(service = %name, %signal, %error, "signal not sent to all");
        }
    }

    fn signal_main(&self, id: ServiceId, signal: Signal) -> std::io::Result<()> {
        let execution = self.unit(id).execution.as_ref();
        let Some(main) = execution.and_then(|execution| execution.main.as_ref()) else {
            return Ok(());
        };
        // A stopped process can neither end nor answer; but one that somebody signals by hand stays
        // stopped.
        let must_act = match self.holder(id).state() {
            State::Stopping(_) => true,
            State::Reloading(reloading) => {
                matches!(reloading.phase, ReloadPhase::Signalled { .. })
            }
            State::Stopped(_)
            | State::Waiting
            | State::Starting(_)
            | State::Running(_)
            | State::Backoff(_)
            | State::Exited(_)
            | State::Failed(_) => false,
        };
        if must_act {
            process::signal_and_continue(main.pidfd.as_fd(), signal)?;
        } else {
            process::signal(main.pidfd.as_fd(), signal)?;
        }
        Ok(())
    }

    fn signal_control(&self, id: ServiceId, signal: Signal) -> std::io::Result<()> {
        let execution = self.unit(id).execution.as_ref();
        let Some(control) = execution.and_then(|execution| execution.control.as_ref()) else {
            return Ok(());
        };
        let roots = Roots { live: &[control.pid], started: &[], tag: None };
        self.tree.signal(&roots, &[], signal)
    }

    fn signal_all(
        &self,
        id: ServiceId,
        signal: Signal,
        orphans: &mut Option<Vec<Orphan>>,
    ) -> std::io::Result<()> {
        let Some(execution) = &self.unit(id).execution else { return Ok(()) };
        let mut looked = Ok(());
        if orphans.is_none() {
            match self.orphans() {
                Ok(found) => *orphans = Some(found),
                // Its own children at least get the signal.
                Err(error) => looked = Err(error),
            }
        }
        let live = execution.live();
        let roots = execution.roots(&live, self.tags.of(id));
        self.tree.signal(&roots, orphans.as_deref().unwrap_or_default(), signal).and(looked)
    }

    pub(crate) fn kill_all(&self, id: ServiceId) -> std::io::Result<()> {
        let Some(execution) = &self.unit(id).execution else { return Ok(()) };
        let live = execution.live();
        let roots = execution.roots(&live, self.tags.of(id));
        self.tree.kill(&roots, |pid| self.pids.contains_key(&pid))
    }

    /// The invocation is over.
    fn release(&mut self, action: &Action) {
        let id = action.service;
        self.stop_probe(id);
        self.leftovers.remove(&id);
        let unit = self.unit_mut(id);
        let live = unit.execution.take_if(|execution| execution.invocation == action.invocation);
        if let Some(execution) = live {
            for process in execution.main.iter().chain(&execution.control) {
                self.unwatch_process(process);
            }
            self.end_search(execution.search);
            self.remove_pid_file(id);
        }
        // What the old process of a restart leaves is its successor's.
        let ended = self.engine.service(id.service()).unit() == id;
        self.release_stored(id.service(), ended);
        self.logs.flush(id);
    }
}

/// The user and group that the pipes of a service belong to.
fn owner(config: &ServiceConfig) -> Option<(u32, u32)> {
    config.context.identity.as_ref().map(|identity| (identity.uid, identity.gid))
}

fn os_error(step: &'static str, error: &std::io::Error) -> SpawnError {
    spawn_error(step, error.raw_os_error().unwrap_or(0), &error.to_string())
}

fn spawn_error(step: &'static str, errno: i32, what: &str) -> SpawnError {
    SpawnError { step, errno, message: format!("{step}: {what}") }
}
