//! The daemon as a client: its own notify messages to whoever started it.
//!
//! A container engine or a systemd that starts the daemon with `NOTIFY_SOCKET` learns through it
//! when the services are up (`sd_notify(3)`). Without that variable nothing happens, and whatever
//! goes wrong here is at most logged: the services do not depend on it.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use sd_notify::NotifyState;

/// How long a change of state may wait for a starter whose queue is full.
const PATIENCE_MS: i64 = 500;

/// Longest status sent, so that a message never reaches the 4096 bytes that systemd takes.
const MAX_STATUS: usize = 2048;

/// Who started the daemon, if it wants to be notified.
#[derive(Debug)]
pub struct Upstream {
    link: Option<Link>,
    watchdog: Option<Duration>,
}

impl Upstream {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. They are meant for the daemon
    /// alone: the caller keeps them from the services.
    pub fn from_env() -> Self {
        let address = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        let link = address.and_then(|address| {
            Link::new(&address)
                .inspect_err(|error| tracing::warn!(%error, "NOTIFY_SOCKET is of no use"))
                .ok()
        });
        let watchdog = sd_notify::watchdog_enabled().filter(|period| !period.is_zero());
        Self { link, watchdog }
    }

    /// Within which time each [`alive`](Self::alive) must follow the last, if the starter watches.
    /// Twice as often is good practice (`sd_watchdog_enabled(3)`).
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.link.is_some())
    }

    /// `READY=1`: what was to be started is up, or a reload has ended.
    pub fn ready(&self) {
        self.change(&[NotifyState::Ready]);
    }

    /// `RELOADING=1`, with the time that `Type=notify-reload` needs. [`ready`](Self::ready) ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.change(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "starter not notified of a reload"),
        }
    }

    /// `STOPPING=1`: the shutdown has begun.
    pub fn stopping(&self) {
        self.change(&[NotifyState::Stopping]);
    }

    /// `STATUS=`: one line for people; line breaks become blanks, an overlong text is cut.
    pub fn status(&self, text: &str) {
        let end = text.floor_char_boundary(MAX_STATUS);
        let line = text.get(..end).unwrap_or_default().replace(['\n', '\r', '\0'], " ");
        self.news(&[NotifyState::Status(&line)]);
    }

    /// `EXTEND_TIMEOUT_USEC=`: the start or stop in progress needs this much more time from now.
    pub fn extend_timeout(&self, time: Duration) {
        // The crate's own variant ends at 71 minutes.
        let line = format!("EXTEND_TIMEOUT_USEC={}", time.as_micros().min(u64::MAX.into()));
        self.news(&[NotifyState::Custom(&line)]);
    }

    /// `WATCHDOG=1`.
    pub fn alive(&self) {
        self.news(&[NotifyState::Watchdog]);
    }

    /// Sends what the starter waits for, even if that takes a moment.
    fn change(&self, states: &[NotifyState<'_>]) {
        self.send(states, MsgFlags::empty());
    }

    /// Sends what a later message makes up for; not if the starter is slow.
    fn news(&self, states: &[NotifyState<'_>]) {
        self.send(states, MsgFlags::MSG_DONTWAIT);
    }

    fn send(&self, states: &[NotifyState<'_>], flags: MsgFlags) {
        let Some(link) = &self.link else { return };
        if let Err(error) = link.send(states, flags) {
            tracing::debug!(%error, "starter not notified");
        }
    }
}

/// A way to the starter.
///
/// The functions of `sd_notify` read the environment each time, wait without end and know no
/// abstract addresses; hence a socket of our own.
#[derive(Debug)]
struct Link {
    socket: OwnedFd,
    address: UnixAddr,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("address {0:?} is not supported")]
    NotSupported(String),
    #[error(transparent)]
    System(#[from] Errno),
}

impl Link {
    /// Takes an absolute path or, behind `@`, an abstract name.
    fn new(address: &OsStr) -> Result<Self, LinkError> {
        let address = match address.as_bytes() {
            [b'/', ..] => UnixAddr::new(address)?,
            [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
            _ => return Err(LinkError::NotSupported(address.to_string_lossy().into_owned())),
        };
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::SendTimeout, &TimeVal::milliseconds(PATIENCE_MS))?;
        Ok(Self { socket, address })
    }

    /// Sends one message. The address is looked up anew, so a starter may have started anew.
    fn send(&self, states: &[NotifyState<'_>], flags: MsgFlags) -> nix::Result<()> {
        let mut message = String::new();
        for state in states {
            // Writing to a string does not fail.
            let _ = writeln!(message, "{state}");
        }
        sendto(self.socket.as_raw_fd(), message.as_bytes(), &self.address, flags).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    fn upstream(address: impl AsRef<OsStr>) -> Upstream {
        Upstream { link: Some(Link::new(address.as_ref()).unwrap()), watchdog: None }
    }

    fn received(starter: &UnixDatagram) -> String {
        let mut buffer = [0; 4097];
        let length = starter.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_message_arrives() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("starter.sock");
        let starter = UnixDatagram::bind(&path).unwrap();
        let upstream = upstream(&path);

        upstream.ready();
        assert_eq!(received(&starter), "READY=1\n");
        upstream.stopping();
        assert_eq!(received(&starter), "STOPPING=1\n");
        upstream.alive();
        assert_eq!(received(&starter), "WATCHDOG=1\n");
        upstream.extend_timeout(Duration::from_hours(2));
        assert_eq!(received(&starter), "EXTEND_TIMEOUT_USEC=7200000000\n");
        upstream.extend_timeout(Duration::MAX);
        assert_eq!(received(&starter), "EXTEND_TIMEOUT_USEC=18446744073709551615\n");
        upstream.reloading();
        let message = received(&starter);
        let time = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(time.trim_end().parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn a_status_cannot_smuggle_in_other_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("starter.sock");
        let starter = UnixDatagram::bind(&path).unwrap();
        let upstream = upstream(&path);

        upstream.status("3 of 4 up\r\nSTOPPING=1\0");
        assert_eq!(received(&starter), "STATUS=3 of 4 up  STOPPING=1 \n");
        upstream.status(&"ä".repeat(5000));
        assert_eq!(received(&starter), format!("STATUS={}\n", "ä".repeat(1024)));
    }

    #[test]
    fn an_abstract_address_works() {
        let name = format!("supervisor-upstream-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let starter = UnixDatagram::bind_addr(&address).unwrap();
        upstream(format!("@{name}")).ready();
        assert_eq!(received(&starter), "READY=1\n");
    }

    #[test]
    fn a_full_queue_does_not_stop_the_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("starter.sock");
        let starter = UnixDatagram::bind(&path).unwrap();
        let upstream = upstream(&path);
        while upstream.link.as_ref().unwrap().send(&[], MsgFlags::MSG_DONTWAIT).is_ok() {}

        upstream.alive();
        upstream.stopping();
        drop(starter);
        upstream.ready();
    }

    #[test]
    fn without_a_starter_nothing_happens() {
        let upstream = Upstream { link: None, watchdog: Some(Duration::from_secs(1)) };
        upstream.ready();
        upstream.status("fine");
        assert_eq!(upstream.watchdog(), None);
    }

    #[test]
    fn addresses_of_other_kinds_are_refused() {
        for address in ["relative/path", "vsock:2:1234", "", "/"] {
            let link = Link::new(OsStr::new(address));
            assert_eq!(link.is_err(), address != "/", "{address:?}");
        }
        let long = format!("/{}", "x".repeat(200));
        assert!(Link::new(OsStr::new(&long)).is_err());
    }
}
