//! The daemon's own signals, as they arrive.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};

use supervisor_engine::Signal as SignalNumber;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that the daemon acts on, and timers' signals, which would end it.
const HANDLED: [&str; 11] =
    ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "PWR", "RTMIN+3", "ALRM", "VTALRM", "PROF"];

/// Signals that an init does not pass on to its command: what its own faults raise, what cannot be
/// caught, and `CHLD`, which is news of the command.
const OWN: [&str; 11] =
    ["ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "SEGV", "PIPE", "STOP", "SYS", "CHLD"];

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

fn is_listened_to(signal: SignalNumber, all: bool) -> bool {
    /// Those that C libraries keep for themselves (`nptl(7)`).
    const RESERVED: std::ops::RangeInclusive<i32> = 32..=33;
    let is_in = |names: &[&str]| names.iter().any(|name| SignalNumber::parse(name) == Some(signal));
    if all { !is_in(&OWN) && !RESERVED.contains(&signal.number()) } else { is_in(&HANDLED) }
}

/// The signals that are listened to.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(OwnSignal, Signal)>);

impl Signals {
    /// Listens from now on; `all` as an init does. Needs tokio's I/O driver.
    pub(crate) fn listen(all: bool) -> io::Result<Self> {
        let mut streams = vec![(OwnSignal::Child, signal(SignalKind::child())?)];
        let numbers = (1..=64).filter_map(SignalNumber::from_number);
        for number in numbers.filter(|number| is_listened_to(*number, all)) {
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
