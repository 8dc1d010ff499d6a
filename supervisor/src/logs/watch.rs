//! Somebody waits for a line.

use std::cell::RefCell;

use tokio::sync::oneshot;

use super::lines::Lines;
use crate::config::LinePattern;

/// Looks for a line in one or more streams, and tells once.
#[derive(Debug)]
pub(super) struct Watch {
    pattern: LinePattern,
    /// Gone when it is told.
    found: RefCell<Option<oneshot::Sender<()>>>,
}

impl Watch {
    /// Also answers where it is told.
    pub(super) fn new(pattern: LinePattern) -> (Self, oneshot::Receiver<()>) {
        let (found, receiver) = oneshot::channel();
        (Self { pattern, found: RefCell::new(Some(found)) }, receiver)
    }

    /// Looks at complete lines and pieces.
    pub(super) fn look(&self, text: &[u8], max_line: usize) {
        let mut found = self.found.borrow_mut();
        if found.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return;
        }
        if Lines::new(text, max_line).any(|line| self.pattern.matches(line.text))
            && let Some(found) = found.take()
        {
            // Whoever waited may have gone meanwhile.
            let _ = found.send(());
        }
    }
}
