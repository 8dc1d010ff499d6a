//! Notify messages: who may speak, and what becomes of what they say.

use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::unistd::Pid;
use supervisor_api::EventKind;
use supervisor_engine::{Report, ServiceId};

use super::Runtime;
use super::unit::Process;
use crate::config::NotifyAccess;
use crate::notify::{Buffer, Datagram, Fds, Message, Notice, Received, Sender, authorised};
use crate::process::{self, Stat};

/// Messages of one service that are taken before everything else gets its turn.
pub(crate) const SHARE: usize = 64;

/// More than the longest queue of a socket: so many messages are taken before the end of a process
/// is looked at, so that what it sent before has been read, also in a flood.
pub(crate) const ALL: usize = 1024;

impl Runtime {
    /// Reads the notify socket of a service until it is empty, but not more than so many messages.
    pub(crate) fn drain_notices(&mut self, id: ServiceId, most: usize) {
        // Both are put back: they are taken so that a message can change the rest.
        let Some(socket) = self.unit_mut(id).notify.take() else { return };
        let mut buffer = mem::take(&mut self.notify_buffer);
        let mut broken = false;
        let status = self.unit(id).status.clone();
        for _ in 0..most {
            match socket.recv(&mut buffer) {
                Ok(Some(Received::Datagram(datagram))) => self.on_datagram(id, datagram),
                Ok(Some(Received::Rejected(rejection))) => {
                    tracing::warn!(service = %self.name(id), ?rejection, "notify message dropped");
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(service = %self.name(id), %error, "notify socket");
                    broken = true;
                    break;
                }
            }
        }
        self.notify_buffer = buffer;
        // One event for all of them: who follows the events must not be flooded too.
        let is_present = self.engine.service(id.service()).unit() == id;
        if is_present && self.unit(id).status != status {
            let text = self.unit(id).status.as_deref().unwrap_or_default().to_owned();
            self.publish(EventKind::Status { service: self.name(id).to_owned(), text });
        }
        if broken {
            // A new one is made at the next start; watching this one would never end.
            self.poller.remove(&socket);
        } else {
            self.unit_mut(id).notify = Some(socket);
        }
    }

    fn on_datagram(&mut self, id: ServiceId, datagram: Datagram<'_>) {
        match datagram.notice() {
            // All that was sent before it has taken effect: closing it lets the sender go on.
            Ok(Notice::Barrier(fds)) => drop(fds),
            Ok(Notice::Message { message, sender, fds }) => {
                self.on_message(id, &message, sender, fds);
            }
            Err(error) => {
                tracing::warn!(service = %self.name(id), %error, "notify message ignored");
            }
        }
    }

    fn on_message(&mut self, id: ServiceId, message: &Message<'_>, sender: Sender, mut fds: Fds) {
        let Some(execution) = &self.unit(id).execution else {
            tracing::debug!(service = %self.name(id), pid = sender.pid, "notify message after the end");
            return;
        };
        let pid = |process: Option<&Process>| process.map(|process| process.pid.as_raw());
        let main = pid(execution.main.as_ref());
        let control = pid(execution.control.as_ref());
        let access = self.notify_access(id);
        if !authorised(access, sender.pid, main, control, Pid::this().as_raw())
            || self.is_outsider(id, Pid::from_raw(sender.pid))
        {
            self.refuse_notice(id, sender.pid, access);
            return;
        }
        for warning in &message.warnings {
            tracing::warn!(service = %self.name(id), %warning, "notify message");
        }
        if message.main_pidfd {
            self.follow_main_pidfd(id, &mem::take(&mut fds));
        } else if let Some(pid) = message.main_pid {
            let proof = message.main_pidfd_id.map_or(Proof::Number, Proof::Id);
            self.follow_main_pid(id, Pid::from_raw(pid), proof);
        }
        // Before the rest, which may be the end of the invocation.
        if let Some(wanted) = message.fd_store {
            self.on_store_request(id, wanted, fds);
        }
        // Looked up again: the message may have come from an invocation that is over meanwhile.
        let Some(execution) = &mut self.unit_mut(id).execution else { return };
        let invocation = execution.invocation;
        execution.notify_access = message.notify_access.or(execution.notify_access);
        self.report(invocation, Report::Notified(message.notification()));
        if let Some(text) = message.status {
            self.unit_mut(id).status = (!text.is_empty()).then(|| text.into());
        }
        self.note_said(id, message);
    }

    /// Whether a process is known to be another service's or none of ours at all: every user can write
    /// to every socket, so that it came to this one does not tell. One that is gone already is known
    /// by nothing, and is heard.
    fn is_outsider(&self, id: ServiceId, sender: Pid) -> bool {
        let service = match self.pids.get(&sender) {
            Some(owner) => Some(owner.service),
            None => self.tree.tag(sender).ok().flatten().and_then(|tag| self.tags.service(tag)),
        };
        match service {
            Some(service) => service != id,
            None => self.tree.is_stranger(sender).unwrap_or(false),
        }
    }

    /// What people may want to know.
    fn note_said(&mut self, id: ServiceId, message: &Message<'_>) {
        let said = &mut self.unit_mut(id).said;
        said.errno = message.errno.or(said.errno);
        said.exit_status = message.exit_status.or(said.exit_status);
        for (place, text) in [
            (&mut said.bus_error, message.bus_error),
            (&mut said.varlink_error, message.varlink_error),
        ] {
            if let Some(text) = text {
                *place = (!text.is_empty()).then(|| text.to_owned());
            }
        }
    }

    /// Once per invocation this is said aloud: a service whose `READY=1` does not count never comes
    /// up, and nothing else shows why. Said each time it would fill the log.
    fn refuse_notice(&mut self, id: ServiceId, pid: i32, access: NotifyAccess) {
        let Some(execution) = &mut self.unit_mut(id).execution else { return };
        let is_first = !mem::replace(&mut execution.refused_notice, true);
        let service = self.name(id);
        if is_first {
            let main = self.unit(id).main_pid().map(Pid::as_raw);
            tracing::warn!(
                %service, pid, main, ?access,
                "notify message from a process that may not speak for it, see notify-access"
            );
        } else {
            tracing::debug!(%service, pid, ?access, "notify message not allowed");
        }
    }

    /// `MAINPIDFD=1`: another process is the service now, the one behind the descriptor.
    fn follow_main_pidfd(&mut self, id: ServiceId, fds: &Fds) {
        let Some(fd) = fds.only() else {
            let count = fds.len();
            tracing::warn!(service = %self.name(id), count, "MAINPIDFD=1 takes one descriptor");
            return;
        };
        match process::pid_of(fd) {
            Ok(Some(pid)) => self.follow_main_pid(id, pid, Proof::Fd(fd)),
            Ok(None) => {
                tracing::warn!(service = %self.name(id), "MAINPIDFD=1 without the pidfd of a process");
            }
            Err(error) => tracing::warn!(service = %self.name(id), %error, "MAINPIDFD"),
        }
    }

    /// `MAINPID=`: another process is the service now. It must be verifiably the service's own.
    fn follow_main_pid(&mut self, id: ServiceId, pid: Pid, proof: Proof<'_>) {
        if self.unit(id).main_pid() == Some(pid) {
            return;
        }
        // With main gone the end of the service has begun, and nothing can be it any more, unless the
        // service goes on without.
        let goes_on = self.unit(id).main_pid().is_some() || self.is_survived(id);
        if self.is_forking(id) {
            return self.note_heir(id, pid);
        }
        let adopted = if goes_on { self.adopt_main(id, pid, proof) } else { Ok(false) };
        match adopted {
            Ok(true) => {
                tracing::info!(service = %self.name(id), %pid, "new main process");
                self.on_main_named(id);
            }
            Ok(false) => {
                tracing::warn!(service = %self.name(id), %pid, "MAINPID is not a process of it");
            }
            Err(error) => tracing::warn!(service = %self.name(id), %pid, %error, "MAINPID"),
        }
    }

    pub(crate) fn adopt_main(
        &mut self,
        id: ServiceId,
        pid: Pid,
        proof: Proof<'_>,
    ) -> io::Result<bool> {
        let Some(member) = self.member(id, pid)? else { return Ok(false) };
        let Some(pidfd) = process::open(pid)? else { return Ok(false) };
        if !member.is_same()? || !proof.holds(pid, &pidfd)? {
            return Ok(false);
        }
        self.make_main(id, Process { pid, pidfd }, false)?;
        Ok(true)
    }

    /// A process of the service that can become its main process.
    pub(crate) fn member(&self, id: ServiceId, pid: Pid) -> io::Result<Option<Stat>> {
        let Some(execution) = &self.unit(id).execution else { return Ok(None) };
        if execution.control.as_ref().is_some_and(|control| control.pid == pid) {
            return Ok(None);
        }
        let (live, tag) = (execution.live(), self.tags.of(id));
        let find = |members: Vec<Stat>| members.into_iter().find(|member| member.pid == pid);
        // The orphans last: a process whose parent ends meanwhile moves there, and never back.
        if let Some(member) = find(self.tree.members(&execution.roots(&live, tag), &[])?) {
            return Ok(Some(member));
        }
        let orphans = self.orphans()?;
        Ok(find(self.tree.members(&execution.roots(&[], tag), &orphans)?))
    }
}

/// What tells, besides its pid, which process is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof<'a> {
    /// Nothing.
    Number,
    /// The inode of its pidfd.
    Id(u64),
    /// A pidfd of it. Not used any further: what flags it has is up to the sender.
    Fd(BorrowedFd<'a>),
}

impl Proof<'_> {
    /// Whether it is the process with this pid, now that `pidfd` is open on it.
    fn holds(self, pid: Pid, pidfd: &OwnedFd) -> io::Result<bool> {
        match self {
            Self::Number => Ok(true),
            Self::Id(id) => Ok(process::pidfd_id(pidfd)?.is_none_or(|real| real == id)),
            Self::Fd(fd) => Ok(process::pid_of(fd)? == Some(pid)),
        }
    }
}

/// The one buffer that all sockets are read into.
pub(crate) type NotifyBuffer = Buffer;
