//! `notify`: tells the supervisor about this service, as systemd-notify(1) does.

use std::ffi::{OsStr, OsString};
use std::io::IoSlice;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials,
    sendmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use nix::unistd;

use crate::args::MainPid;
use crate::environment::Environment;
use crate::error::CtlError;
use crate::exit::Exit;

/// How long the supervisor may take, as for systemd-notify.
const PATIENCE_SECONDS: u16 = 5;

pub(super) fn run(
    environment: &Environment,
    assignments: &[String],
    main_pid: Option<MainPid>,
    wait: bool,
    exec: &[OsString],
) -> Result<Exit, CtlError> {
    let speaker = match main_pid {
        Some(MainPid::Process(pid)) => pid,
        Some(MainPid::Auto) | None => pid_to_speak_for(!exec.is_empty()),
    };
    let message = message(assignments, main_pid.and(Some(speaker)))?;
    let address = environment.notify_socket.as_ref().ok_or_else(|| {
        CtlError::new(Exit::Failed, "NOTIFY_SOCKET is not set: nobody wants to be notified")
            .with_hint("services of type \"notify\", or with notify-access, have it set")
    })?;
    let sender = Sender::new(address, speaker)?;
    sender.send(&message, None)?;
    if wait {
        sender.barrier()?;
    }
    match exec.split_first() {
        Some((program, arguments)) => {
            let error = Command::new(program).args(arguments).exec();
            let message = format!("cannot run {}: {error}", program.to_string_lossy());
            Err(CtlError::new(Exit::Failed, message))
        }
        None => Ok(Exit::Ok),
    }
}

fn message(assignments: &[String], main_pid: Option<i32>) -> Result<String, CtlError> {
    let usage = |message| Err(CtlError::new(Exit::Usage, message));
    if let Some(word) = assignments.iter().find(|word| !word.contains('=')) {
        return usage(format!("\"{word}\" is not KEY=VALUE"));
    }
    if let Some(word) = assignments.iter().find(|word| word.contains('\n')) {
        return usage(format!("{word:?} has more than one line"));
    }
    let main_pid = main_pid.map(|pid| format!("MAINPID={pid}"));
    let lines: Vec<String> = main_pid.into_iter().chain(assignments.iter().cloned()).collect();
    if lines.is_empty() {
        return usage("nothing to say: name a KEY=VALUE such as READY=1".into());
    }
    Ok(lines.join("\n"))
}

/// Whose message it is: that of the script that calls us, not of the short-lived process that we
/// are; our own if we are to become the service, or if the caller is no service.
fn pid_to_speak_for(becomes_service: bool) -> i32 {
    let parent = unistd::getppid().as_raw();
    if becomes_service || parent <= 1 { unistd::getpid().as_raw() } else { parent }
}

/// A socket and where to send.
struct Sender {
    socket: OwnedFd,
    address: UnixAddr,
    pid: i32,
}

impl Sender {
    fn new(address: &OsStr, pid: i32) -> Result<Self, CtlError> {
        let address = match address.as_bytes() {
            [b'/', ..] => UnixAddr::new(address),
            [b'@', name @ ..] => UnixAddr::new_abstract(name),
            _ => {
                let message =
                    format!("cannot send to {}: neither a path nor @name", address.display());
                return Err(CtlError::new(Exit::Failed, message));
            }
        };
        let address = address.map_err(failed)?;
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket =
            socket(AddressFamily::Unix, SockType::Datagram, flags, None).map_err(failed)?;
        // A full queue must not hold us for ever.
        let patience = TimeVal::new(PATIENCE_SECONDS.into(), 0);
        setsockopt(&socket, sockopt::SendTimeout, &patience).map_err(failed)?;
        Ok(Self { socket, address, pid })
    }

    /// Sends in the name of `self.pid`, which takes privileges (unix(7), `SCM_CREDENTIALS`);
    /// without them in our own.
    fn send(&self, message: &str, fd: Option<&OwnedFd>) -> Result<(), CtlError> {
        let fds: Vec<i32> = fd.iter().map(|fd| fd.as_raw_fd()).collect();
        let own = UnixCredentials::new();
        let ours = nix::libc::ucred { pid: self.pid, uid: own.uid(), gid: own.gid() };
        let theirs = UnixCredentials::from(ours);
        let mut control = Vec::new();
        if !fds.is_empty() {
            control.push(ControlMessage::ScmRights(&fds));
        }
        let plain = control.len();
        if self.pid != own.pid() {
            control.push(ControlMessage::ScmCredentials(&theirs));
        }
        let send = |control: &[ControlMessage<'_>]| {
            let data = [IoSlice::new(message.as_bytes())];
            let flags = MsgFlags::MSG_NOSIGNAL;
            sendmsg(self.socket.as_raw_fd(), &data, control, flags, Some(&self.address))
        };
        let mut result = send(&control);
        // EPERM: not allowed; ESRCH: the pid has gone meanwhile.
        if matches!(result, Err(Errno::EPERM | Errno::ESRCH)) && control.len() > plain {
            control.truncate(plain);
            result = send(&control);
        }
        match result {
            Ok(_) => Ok(()),
            Err(Errno::EAGAIN) => Err(timed_out()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Waits until all that was sent is read: the supervisor closes the descriptor that comes
    /// with `BARRIER=1` when it gets there (`sd_notify(3)`).
    fn barrier(&self) -> Result<(), CtlError> {
        let (read, write) = unistd::pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        self.send("BARRIER=1", Some(&write))?;
        drop(write);
        let mut fds = [PollFd::new(read.as_fd(), PollFlags::empty())];
        match nix::poll::poll(&mut fds, PollTimeout::from(PATIENCE_SECONDS * 1000)) {
            Ok(0) => Err(timed_out()),
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: Errno) -> CtlError {
    CtlError::new(Exit::Failed, format!("cannot notify the supervisor: {}", error.desc()))
}

fn timed_out() -> CtlError {
    let message = format!("the supervisor has not read it within {PATIENCE_SECONDS} s");
    CtlError::new(Exit::TimedOut, message)
}
