//! Waiting for conditions.

use std::time::{Duration, Instant};

/// How long a test waits for something that should happen: far longer than it takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again and again, until there is an answer. Panics at the deadline.
///
/// `state` is handed through, so that the question may change what it looks at.
pub(crate) fn wait_until<S: ?Sized, T>(
    what: &str,
    state: &mut S,
    ask: impl FnMut(&mut S) -> Option<T>,
) -> T {
    try_until(state, ask).unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain for {what}"))
}

/// The same, but `None` at the deadline.
pub(crate) fn try_until<S: ?Sized, T>(
    state: &mut S,
    mut ask: impl FnMut(&mut S) -> Option<T>,
) -> Option<T> {
    let deadline = Instant::now() + DEADLINE;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = ask(state) {
            return Some(answer);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
