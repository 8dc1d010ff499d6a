//! What the runtime holds for each service: descriptors, processes, and what it said.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use nix::unistd::Pid;
use supervisor_api::Said;
use supervisor_engine::{Invocation, Run};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::fd_store::FdStore;
use super::main_pid::Search;
use super::probes::Attempt;
use crate::config::NotifyAccess;
use crate::logs::ServiceOutputs;
use crate::notify::NotifySocket;
use crate::process::{Orphan, Roots};

/// Invocations that are remembered after their end.
const RUNS_KEPT: usize = 20;

/// One service, to the runtime.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// What its processes write to; made at the first start, kept for all.
    pub(crate) outputs: Option<ServiceOutputs>,
    /// Its notify socket; made at the first start, kept for all.
    pub(crate) notify: Option<NotifySocket>,
    /// The live invocation.
    pub(crate) execution: Option<Execution>,
    /// Last `STATUS=`; starts over with each start.
    pub(crate) status: Option<Box<str>>,
    /// Last `ERRNO=` and the like; starts over with each start.
    pub(crate) said: Said,
    /// The descriptors that it wants back when it is started again.
    pub(crate) fd_store: FdStore,
    /// The last invocations that have ended, newest first.
    pub(crate) runs: VecDeque<Run>,
}

impl Unit {
    pub(crate) fn remember(&mut self, run: Run) {
        self.runs.truncate(RUNS_KEPT - 1);
        self.runs.push_front(run);
    }

    /// Pid of the main process while it lives.
    pub(crate) fn main_pid(&self) -> Option<Pid> {
        Some(self.execution.as_ref()?.main.as_ref()?.pid)
    }
}

/// The processes of one invocation.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) invocation: Invocation,
    /// Main process while it lives.
    pub(crate) main: Option<Process>,
    /// Control process while it lives.
    pub(crate) control: Option<Process>,
    /// How the service will tell that it is ready, until somebody listens.
    pub(crate) sign: Option<Sign>,
    /// The probe while it runs.
    pub(crate) probe: Option<Probe>,
    /// The processes that were started for it and may have left others behind: each names a session
    /// and a group.
    pub(crate) started: Vec<Pid>,
    /// The process that it has named by `MAINPID=` while the one that forks it was still there.
    pub(crate) heir: Option<Pid>,
    /// The search for its main process, while that goes on.
    pub(crate) search: Option<Search>,
    /// What its pid file named last that may not be its main process, which was said.
    pub(crate) refused_pid: Option<Pid>,
    /// Whether its main process is a guess.
    pub(crate) guessed: bool,
    /// `NOTIFYACCESS=` of the service.
    pub(crate) notify_access: Option<NotifyAccess>,
    /// Whether somebody who may not speak for it has been refused.
    pub(crate) refused_notice: bool,
    /// Whether `KILL` went to all of it: whoever is found later gets it too.
    pub(crate) killed: bool,
}

impl Execution {
    pub(crate) const fn new(invocation: Invocation) -> Self {
        Self {
            invocation,
            main: None,
            control: None,
            sign: None,
            probe: None,
            started: Vec::new(),
            heir: None,
            search: None,
            refused_pid: None,
            guessed: false,
            notify_access: None,
            refused_notice: false,
            killed: false,
        }
    }

    /// The processes that are its own for certain and alive.
    pub(crate) fn live(&self) -> Vec<Pid> {
        self.main.iter().chain(&self.control).map(|process| process.pid).collect()
    }

    /// A control process has ended. Without orphans in its session or group nothing is found by it
    /// any more, and a service that is reloaded for years collects no pids.
    pub(crate) fn forget(&mut self, control: Pid, orphans: &[Orphan]) {
        let leads = |orphan: &Orphan| [orphan.stat.group, orphan.stat.session].contains(&control);
        if !orphans.iter().any(leads) {
            self.started.retain(|pid| *pid != control);
        }
    }

    /// What its processes are found by: below these `live` ones, and among the orphans.
    pub(crate) fn roots<'a>(&'a self, live: &'a [Pid], tag: u64) -> Roots<'a> {
        Roots { live, started: &self.started, tag: Some(tag) }
    }
}

/// A process of ours that is watched.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

/// By what a service tells that it is ready; made before its process is started.
#[derive(Debug)]
pub(crate) enum Sign {
    /// A newline in this pipe.
    Newline(OwnedFd),
    /// A line of its output that matches.
    Line(oneshot::Receiver<()>),
}

/// A running probe.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Ends it.
    pub(crate) task: AbortHandle,
    /// The command that is being tried, if it is one.
    pub(crate) attempt: Option<Attempt>,
}
