//! The daemon's own signals, as they arrive.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};

use supervisor_engine::Signal as SignalNumber;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that an init passes on to its command (all that can be caught and mean nothing to
/// itself), by number.
const FORWARDED: [&str; 16] = [
    "HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "CONT", "TSTP", "TTIN", "TTOU", "URG", "WINCH",
    "IO", "PWR", "ALRM", "RTMIN+3",
];

/// Signals that the daemon acts on.
const HANDLED: [&str; 8] = ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "PWR", "RTMIN+3"];

/// A signal to the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnSignal {
    /// `CHLD`: a child has ended.
    Child,
    /// Any other.
    Other(SignalNumber),
}

/// What a signal means to the daemon itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnMeaning {
    /// Stop everything and end.
    ShutDown,
    /// Open the log files again.
    ReopenLogs,
    /// What later versions will do.
    NotSupported(&'static str),
    /// It is listened to only to be passed on.
    Nothing,
}

impl OwnMeaning {
    /// Of this signal.
    pub(crate) fn of(signal: SignalNumber) -> Self {
        match signal {
            SignalNumber::HUP => Self::NotSupported("reading the spec again"),
            SignalNumber::USR1 => Self::ReopenLogs,
            SignalNumber::USR2 => Self::NotSupported("re-execution"),
            signal if shuts_down(signal) => Self::ShutDown,
            _ => Self::Nothing,
        }
    }
}

/// `RTMIN+3` is how container engines tell an init to halt (`systemd(1)`), `PWR` how others do.
fn shuts_down(signal: SignalNumber) -> bool {
    ["INT", "TERM", "QUIT", "PWR", "RTMIN+3"]
        .into_iter()
        .any(|name| SignalNumber::parse(name) == Some(signal))
}

/// The signals that are listened to.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(OwnSignal, Signal)>);

impl Signals {
    /// Listens from now on; `all` as an init does. Needs tokio's I/O driver.
    pub(crate) fn listen(all: bool) -> io::Result<Self> {
        let names: &[&str] = if all { &FORWARDED } else { &HANDLED };
        let mut streams = vec![(OwnSignal::Child, signal(SignalKind::child())?)];
        for number in names.iter().filter_map(|name| SignalNumber::parse(name)) {
            let stream = signal(SignalKind::from_raw(number.number()))?;
            streams.push((OwnSignal::Other(number), stream));
        }
        Ok(Self(streams))
    }

    /// Waits for the next. Cancel safe. Several of one kind count as one until they are taken.
    pub(crate) async fn next(&mut self) -> OwnSignal {
        poll_fn(|context| self.poll(context)).await
    }

    /// The next if one has arrived.
    pub(crate) fn try_next(&mut self) -> Option<OwnSignal> {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(signal) => Some(signal),
            Poll::Pending => None,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<OwnSignal> {
        for (which, stream) in &mut self.0 {
            if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                return Poll::Ready(*which);
            }
        }
        Poll::Pending
    }
}
