//! Saying something to a daemon's notify socket, byte for byte: through a process of a service, or as
//! a stranger.

use std::fs;
use std::io::{IoSlice, Read as _, pipe};
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::harness::{Daemon, wait_until};

/// A notify service `app` that is not restarted, with these lines and these steps behind `--relay`.
pub(crate) fn app(lines: &str, steps: &[&str]) -> (Daemon, Speaker) {
    let daemon = Daemon::start(&spec(lines, steps));
    let speaker = Speaker::of(&daemon, "app");
    (daemon, speaker)
}

/// Its spec.
pub(crate) fn spec(lines: &str, steps: &[&str]) -> String {
    format!(
        "[service.app]
         type = \"notify\"
         restart = \"no\"
         command = [\"${{FIXTURE}}\", \"app\", \"--relay\", {}]
         {lines}",
        steps.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>().join(", ")
    )
}

/// Who speaks to a notify socket.
#[derive(Debug)]
pub(crate) struct Speaker(UnixDatagram);

impl Speaker {
    /// A fixture that has done its step `--relay`: what is said is said by that process.
    pub(crate) fn of(daemon: &Daemon, name: &str) -> Self {
        Self::nth(daemon, name, 1)
    }

    /// The same after its n-th start.
    pub(crate) fn nth(daemon: &Daemon, name: &str, start: usize) -> Self {
        daemon.wait_record("relays", name, start);
        Self::at(&daemon.path(&format!("{name}.relay")))
    }

    /// The test itself, which is no process of the service.
    pub(crate) fn stranger(daemon: &Daemon, service: &str) -> Self {
        Self::at(&notify_socket(daemon, service))
    }

    /// The test itself, at a socket whose path is known.
    pub(crate) fn at(path: &Path) -> Self {
        let socket = UnixDatagram::unbound().unwrap();
        socket.connect(path).unwrap();
        Self(socket)
    }

    /// Sends one datagram.
    pub(crate) fn say(&self, message: impl AsRef<[u8]>) {
        self.0.send(message.as_ref()).unwrap();
    }

    /// Sends one datagram with descriptors.
    pub(crate) fn say_with(&self, message: impl AsRef<[u8]>, fds: &[BorrowedFd<'_>]) {
        let fds: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        self.send(message.as_ref(), &[ControlMessage::ScmRights(&fds)]);
    }

    /// Sends one datagram in the name of another process, which only root may.
    pub(crate) fn say_as(&self, pid: i32, message: &str) {
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        let credentials = libc::ucred { pid, uid, gid }.into();
        self.send(message.as_bytes(), &[ControlMessage::ScmCredentials(&credentials)]);
    }

    /// Sends one datagram from a new process that has this pid, as only root can have it.
    pub(crate) fn say_from(&self, pid: i32, message: &[u8]) {
        let socket = self.0.as_raw_fd();
        let child = wait_until("the pid to be free", &mut (), |()| clone_as(pid, socket, message));
        assert_eq!(child, pid);
        waitpid(Pid::from_raw(pid), None).unwrap();
    }

    /// Sends one datagram and waits until it has been handled.
    pub(crate) fn tell(&self, message: impl AsRef<[u8]>) {
        self.say(message);
        self.barrier();
    }

    /// Waits until all that was said before has been handled.
    pub(crate) fn barrier(&self) {
        self.is_closed(b"BARRIER=1");
    }

    /// Sends a message with the writing end of a pipe, and waits until all others have closed it.
    pub(crate) fn is_closed(&self, message: &[u8]) {
        let (mut reader, writer) = pipe().unwrap();
        self.say_with(message, &[writer.as_fd()]);
        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    fn send(&self, message: &[u8], control: &[ControlMessage<'_>]) {
        let parts = [IoSlice::new(message)];
        let fd = self.0.as_raw_fd();
        let sent = sendmsg::<UnixAddr>(fd, &parts, control, MsgFlags::empty(), None);
        assert_eq!(sent.unwrap(), message.len());
    }
}

/// A child with this pid that sends a message and ends; `None` while another process has the pid.
fn clone_as(pid: i32, socket: RawFd, message: &[u8]) -> Option<i32> {
    #[expect(unsafe_code, reason = "the C library has no wrapper")]
    // SAFETY: without flags it is a fork; the arguments outlive the call, and all zeros are valid.
    // The child does nothing but system calls.
    let child = unsafe {
        let mut arguments: libc::clone_args = std::mem::zeroed();
        arguments.exit_signal = libc::SIGCHLD as u64;
        arguments.set_tid = (&raw const pid) as u64;
        arguments.set_tid_size = 1;
        let size = size_of::<libc::clone_args>();
        let child = libc::syscall(libc::SYS_clone3, &raw mut arguments, size);
        if child == 0 {
            libc::send(socket, message.as_ptr().cast(), message.len(), 0);
            libc::_exit(0);
        }
        child
    };
    if child < 0 {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{error}");
        return None;
    }
    i32::try_from(child).ok()
}

/// The notify socket that the main process of a service was given.
pub(crate) fn notify_socket(daemon: &Daemon, service: &str) -> PathBuf {
    let environ = fs::read(format!("/proc/{}/environ", daemon.pid_of(service))).unwrap();
    let mut pairs = environ.split(|&byte| byte == 0);
    let path = pairs.find_map(|pair| pair.strip_prefix(b"NOTIFY_SOCKET=")).unwrap();
    std::ffi::OsStr::from_bytes(path).into()
}

/// The status text that is shown of the service `app`.
pub(crate) fn status(daemon: &Daemon) -> Option<String> {
    daemon.service("app").status
}
