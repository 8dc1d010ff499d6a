//! One notify message (`sd_notify(3)`), parsed.
//!
//! Lines end with LF or CR, empty ones do not count, and a backslash is an ordinary character
//! (systemd eats it). Flags such as `READY=1` are whole lines; of a value such as `STATUS=` that is
//! given twice the first counts. An invalid value takes nothing else with it. Unknown lines are
//! ignored.

use std::str;
use std::time::Duration;

use nix::errno::Errno;
use supervisor_engine::{Moment, Notification, WatchdogMessage};

use super::integer;
use crate::config::NotifyAccess;

/// A message: what it says and what of it could not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// What the lifecycle depends on.
    lifecycle: Notification,
    /// `BARRIER=1`, which then is the whole message.
    pub barrier: bool,
    /// `MAINPID=`: the new main process, greater than zero and not checked any further. To be
    /// applied before anything else in the message.
    pub main_pid: Option<i32>,
    /// `MAINPIDFDID=`: the inode of the pidfd of `main_pid`, which guards against a reused number.
    pub main_pidfd_id: Option<u64>,
    /// `MAINPIDFD=1`: the one descriptor of the message is a pidfd of the new main process, whatever
    /// `main_pid` says.
    pub main_pidfd: bool,
    /// `FDSTORE=1` or `FDSTOREREMOVE=1`.
    pub fd_store: Option<StoreRequest<'a>>,
    /// `STATUS=`: one line for people; empty clears the last one.
    pub status: Option<&'a str>,
    /// `NOTIFYACCESS=`: whose messages count from the next one on.
    pub notify_access: Option<NotifyAccess>,
    /// `ERRNO=`: why the service fails, a number of `errno(3)`.
    pub errno: Option<u16>,
    /// `BUSERROR=`: why it fails, a D-Bus error name; empty clears the last one.
    pub bus_error: Option<&'a str>,
    /// `VARLINKERROR=`: why it fails, a Varlink error name; empty clears the last one.
    pub varlink_error: Option<&'a str>,
    /// `EXIT_STATUS=`: with which status the sender is about to exit.
    pub exit_status: Option<u8>,
    /// What is to be logged.
    pub warnings: Vec<Warning<'a>>,
}

/// What a message wants of the fd store of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreRequest<'a> {
    /// `FDSTORE=1`: the descriptors of the message are kept for the next start.
    Store {
        /// `FDNAME=`, else `stored`. Not unique.
        name: &'a str,
        /// Whether each is dropped once it is hung up or broken: not with `FDPOLL=0`.
        poll: bool,
    },
    /// `FDSTOREREMOVE=1`: all descriptors of this name are closed.
    Remove {
        /// `FDNAME=`.
        name: &'a str,
    },
}

/// A line that was recognised and not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning<'a> {
    /// The value makes no sense for the key; what was set before stays.
    #[error("invalid value {:?} of {key}", String::from_utf8_lossy(.value))]
    Invalid {
        /// The key.
        key: &'static str,
        /// The value.
        value: &'a [u8],
    },
    /// `FDSTOREREMOVE=1` says not what.
    #[error("FDSTOREREMOVE=1 without a valid FDNAME")]
    RemoveWithoutName,
    /// So many descriptors that the message does not speak of.
    #[error("{0} file descriptors that the message does not speak of are closed")]
    UnusedFds(usize),
}

/// Why a whole datagram is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A NUL byte that is not the last one.
    #[error("message contains a NUL byte")]
    Nul,
    /// `BARRIER=1` must be alone.
    #[error("BARRIER=1 is not alone in its message")]
    BarrierMixed,
    /// `BARRIER=1` comes with exactly one descriptor.
    #[error("BARRIER=1 came with {0} file descriptors instead of one")]
    BarrierFds(usize),
}

/// The name of descriptors that have none.
const UNNAMED: &str = "stored";

/// Longest name of a descriptor.
const MAX_FD_NAME: usize = 255;

/// `USEC_INFINITY` of systemd.
const INFINITY: Duration = Duration::from_micros(u64::MAX);

/// The greatest number that `ERRNO=` takes, the kernel's `MAX_ERRNO`.
const MAX_ERRNO: u16 = 4095;

impl<'a> Message<'a> {
    /// Parses the payload of one datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, MessageError> {
        let datagram = datagram.strip_suffix(b"\0").unwrap_or(datagram);
        if datagram.contains(&0) {
            return Err(MessageError::Nul);
        }

        let mut message = Self::default();
        let mut values = Values::default();
        let mut count = 0_usize;
        for line in lines(datagram) {
            count += 1;
            match line {
                b"READY=1" => message.lifecycle.ready = true,
                b"RELOADING=1" => message.lifecycle.reloading = true,
                b"STOPPING=1" => message.lifecycle.stopping = true,
                b"RESTART_RESET=1" => message.lifecycle.restart_reset = true,
                b"BARRIER=1" => message.barrier = true,
                b"MAINPIDFD=1" => message.main_pidfd = true,
                b"FDSTORE=1" => values.store = true,
                b"FDSTOREREMOVE=1" => values.remove = true,
                b"FDPOLL=0" => values.no_poll = true,
                line => values.note(line),
            }
        }
        if message.barrier && count > 1 {
            return Err(MessageError::BarrierMixed);
        }
        message.interpret(&values);
        Ok(message)
    }

    /// The part of the message that is for the engine.
    pub fn notification(&self) -> Notification {
        self.lifecycle
    }

    /// Whether the descriptors that came with it are of use to it.
    pub fn takes_fds(&self) -> bool {
        self.main_pidfd || matches!(self.fd_store, Some(StoreRequest::Store { .. }))
    }

    fn interpret(&mut self, values: &Values<'a>) {
        self.main_pid = self.read("MAINPID", values.main_pid, pid);
        self.main_pidfd_id = self.read("MAINPIDFDID", values.main_pidfd_id, integer::parse);
        if values.main_pidfd_id.is_some() && self.main_pidfd_id.is_none() {
            // It cannot be checked whether the number still means the same process.
            self.main_pid = None;
        }
        self.lifecycle.reload_began =
            self.read("MONOTONIC_USEC", values.monotonic, duration).map(Moment::new);
        self.status = self.read("STATUS", values.status, Some);
        self.notify_access = self.read("NOTIFYACCESS", values.notify_access, access);
        self.errno = self.read("ERRNO", values.errno, errno);
        self.bus_error = self.read("BUSERROR", values.bus_error, error_name);
        self.varlink_error = self.read("VARLINKERROR", values.varlink_error, error_name);
        self.fd_store = self.store_request(values);
        self.exit_status = self.read("EXIT_STATUS", values.exit_status, exit_status);
        self.lifecycle.watchdog = self.read("WATCHDOG", values.watchdog, watchdog);
        // Infinity turns the watchdog off as zero does.
        self.lifecycle.watchdog_period = self
            .read("WATCHDOG_USEC", values.watchdog_period, duration)
            .map(|period| if period == INFINITY { Duration::ZERO } else { period });
        // Neither zero nor infinity extends anything.
        self.lifecycle.extend = self
            .read("EXTEND_TIMEOUT_USEC", values.extend, duration)
            .filter(|time| !time.is_zero() && *time != INFINITY);
    }

    fn store_request(&mut self, values: &Values<'a>) -> Option<StoreRequest<'a>> {
        let name = self.read("FDNAME", values.fd_name, fd_name);
        if values.remove {
            // Also where it is to be stored at the same time.
            if name.is_none() {
                self.warnings.push(Warning::RemoveWithoutName);
            }
            return name.map(|name| StoreRequest::Remove { name });
        }
        let name = name.unwrap_or(UNNAMED);
        values.store.then_some(StoreRequest::Store { name, poll: !values.no_poll })
    }

    /// A value as `parse` reads it; one that is not UTF-8 or that `parse` refuses is warned of.
    fn read<T>(
        &mut self,
        key: &'static str,
        value: Option<&'a [u8]>,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Option<T> {
        let value = value?;
        let read = str::from_utf8(value).ok().and_then(parse);
        if read.is_none() {
            self.warnings.push(Warning::Invalid { key, value });
        }
        read
    }
}

/// The first value of each key, as it came, and the flags that mean nothing by themselves.
#[derive(Debug, Default)]
struct Values<'a> {
    main_pid: Option<&'a [u8]>,
    main_pidfd_id: Option<&'a [u8]>,
    monotonic: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    notify_access: Option<&'a [u8]>,
    errno: Option<&'a [u8]>,
    bus_error: Option<&'a [u8]>,
    varlink_error: Option<&'a [u8]>,
    fd_name: Option<&'a [u8]>,
    exit_status: Option<&'a [u8]>,
    extend: Option<&'a [u8]>,
    watchdog: Option<&'a [u8]>,
    watchdog_period: Option<&'a [u8]>,
    store: bool,
    remove: bool,
    no_poll: bool,
}

impl<'a> Values<'a> {
    /// Remembers the first value of each key.
    fn note(&mut self, line: &'a [u8]) {
        let Some(equals) = line.iter().position(|byte| *byte == b'=') else { return };
        let (key, value) = (&line[..equals], &line[equals + 1..]);
        let slot = match key {
            b"MAINPID" => &mut self.main_pid,
            b"MAINPIDFDID" => &mut self.main_pidfd_id,
            b"MONOTONIC_USEC" => &mut self.monotonic,
            b"STATUS" => &mut self.status,
            b"NOTIFYACCESS" => &mut self.notify_access,
            b"ERRNO" => &mut self.errno,
            b"BUSERROR" => &mut self.bus_error,
            b"VARLINKERROR" => &mut self.varlink_error,
            b"FDNAME" => &mut self.fd_name,
            b"EXIT_STATUS" => &mut self.exit_status,
            b"EXTEND_TIMEOUT_USEC" => &mut self.extend,
            b"WATCHDOG" => &mut self.watchdog,
            b"WATCHDOG_USEC" => &mut self.watchdog_period,
            _ => return,
        };
        slot.get_or_insert(value);
    }
}

fn lines(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    datagram.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty())
}

fn pid(text: &str) -> Option<i32> {
    integer::parse(text).and_then(|pid| pid.try_into().ok()).filter(|pid| *pid > 0)
}

fn duration(text: &str) -> Option<Duration> {
    integer::parse(text).map(Duration::from_micros)
}

fn access(text: &str) -> Option<NotifyAccess> {
    match text {
        "none" => Some(NotifyAccess::None),
        "main" => Some(NotifyAccess::Main),
        "exec" => Some(NotifyAccess::Exec),
        "all" => Some(NotifyAccess::All),
        _ => None,
    }
}

/// ASCII that can be shown between any quotes.
fn error_name(text: &str) -> Option<&str> {
    let is_safe = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\');
    text.bytes().all(is_safe).then_some(text)
}

/// What can stand in `LISTEN_FDNAMES`, between colons.
fn fd_name(text: &str) -> Option<&str> {
    let is_valid = |byte: u8| matches!(byte, b' '..=b'~') && byte != b':';
    (text.len() <= MAX_FD_NAME && text.bytes().all(is_valid)).then_some(text)
}

fn watchdog(text: &str) -> Option<WatchdogMessage> {
    match text {
        "1" => Some(WatchdogMessage::Alive),
        "trigger" => Some(WatchdogMessage::Trigger),
        _ => None,
    }
}

fn exit_status(text: &str) -> Option<u8> {
    integer::parse(text)?.try_into().ok()
}

fn errno(text: &str) -> Option<u16> {
    let number = match integer::parse(text) {
        Some(number) => number.try_into().ok()?,
        None => errno_by_name(text)?,
    };
    (number <= MAX_ERRNO).then_some(number)
}

fn errno_by_name(name: &str) -> Option<u16> {
    let name = match name {
        "EWOULDBLOCK" => "EAGAIN",
        "EDEADLOCK" => "EDEADLK",
        "ENOTSUP" => "EOPNOTSUPP",
        name => name,
    };
    // Those that Linux has end well below 200.
    (1..200).find(|number| {
        let errno = Errno::from_raw(i32::from(*number));
        errno != Errno::UnknownErrno && format!("{errno:?}") == name
    })
}

#[cfg(test)]
mod tests;
