//! Probes: whether a service answers, and how long to ask until it counts as ready.

mod descriptor;
mod file;
mod http;
mod tcp;
mod unix;

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use tokio::time::{self, Instant};

use crate::config::{LivenessProbe, ProbeCheck, ProbeConfig};

pub use descriptor::newline;

/// Shortest time between two tries, whatever the spec says: one that fails at once must not keep
/// the daemon busy.
const MIN_PERIOD: Duration = Duration::from_millis(10);

/// Why a service does not pass a probe: a short phrase for people.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The operating system says no.
    #[error("{}", phrase(.0))]
    System(#[from] io::Error),
    /// The host name stands for no address.
    #[error("no address for host {0}")]
    NoAddress(String),
    /// The HTTP status is not an accepted one.
    #[error("status {0}")]
    Status(u16),
    /// What was answered is not HTTP, or the connection broke before an answer.
    #[error("no HTTP answer: {0}")]
    NoHttp(#[from] hyper::Error),
    /// The spec asks for something that cannot be said in HTTP.
    #[error("invalid HTTP request: {0}")]
    Request(#[from] hyper::http::Error),
    /// Too slow.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// [`ProbeCheck::Exec`], which runs in the service's context and so is its runtime's to try.
    #[error("a command cannot be tried here")]
    Command,
}

/// Tries once, for no longer than `timeout`. Dropping the future ends the try.
///
/// Everything but [`ProbeCheck::Exec`] is tried here. Needs tokio's I/O and time drivers; a thread
/// is used for host names only, except for `localhost`.
pub async fn run(check: &ProbeCheck, timeout: Duration) -> Result<(), ProbeError> {
    time::timeout(timeout, attempt(check)).await.unwrap_or(Err(ProbeError::TimedOut(timeout)))
}

/// Calls `attempt` as `probe` says, until it has succeeded as often in a row as it should.
///
/// `attempt` is expected to keep to `probe.timeout` itself, as [`run`] does, and to remember its
/// errors if somebody wants to know why the service is not ready. Dropping the future ends it all.
// Not `AsyncFnMut`: what that gives cannot be shown to be `Send`, and so not be spawned.
pub async fn until_ready<F, E>(probe: &ProbeConfig, mut attempt: impl FnMut() -> F)
where
    F: Future<Output = Result<(), E>>,
{
    time::sleep(probe.initial_delay).await;
    let mut successes = 0;
    loop {
        let begin = Instant::now();
        successes = match attempt().await {
            Ok(()) => successes + 1,
            Err(_) => 0,
        };
        if successes >= probe.successes.max(1) {
            return;
        }
        let period = probe.period.max(MIN_PERIOD);
        time::sleep(period.saturating_sub(begin.elapsed())).await;
    }
}

/// Calls `attempt` as `liveness` says, until it has failed as often in a row as it may. Once it has
/// succeeded as often in a row as it should `healthy` is called, one time.
///
/// As for [`until_ready`].
pub async fn until_dead<F, E>(
    liveness: &LivenessProbe,
    mut attempt: impl FnMut() -> F,
    healthy: impl FnOnce(),
) where
    F: Future<Output = Result<(), E>>,
{
    let LivenessProbe { probe, failures } = liveness;
    let mut healthy = Some(healthy);
    let (mut succeeded, mut failed) = (0, 0);
    time::sleep(probe.initial_delay).await;
    loop {
        let begin = Instant::now();
        (succeeded, failed) = match attempt().await {
            Ok(()) => (succeeded + 1, 0),
            Err(_) => (0, failed + 1),
        };
        if failed >= *failures {
            return;
        }
        if succeeded >= probe.successes
            && let Some(healthy) = healthy.take()
        {
            healthy();
        }
        let period = probe.period.max(MIN_PERIOD);
        time::sleep(period.saturating_sub(begin.elapsed())).await;
    }
}

async fn attempt(check: &ProbeCheck) -> Result<(), ProbeError> {
    match check {
        ProbeCheck::Exec(_) => Err(ProbeError::Command),
        ProbeCheck::Tcp { host, port } => tcp::connect(host, *port).await.map(drop),
        ProbeCheck::Http { host, port, path, status, headers } => {
            let got = http::get(host, *port, path, headers).await?;
            let accepted = status.iter().any(|(first, last)| (first..=last).contains(&&got));
            if accepted { Ok(()) } else { Err(ProbeError::Status(got)) }
        }
        ProbeCheck::Unix(path) => unix::connect(path).await,
        ProbeCheck::File(path) => file::exists(path),
    }
}

/// "connection refused", not "Connection refused (os error 111)".
fn phrase(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    let text = Errno::from_raw(number).desc();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
