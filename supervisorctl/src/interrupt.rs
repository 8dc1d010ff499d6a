//! Ctrl-C as something to wait for.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// From its making on, SIGINT does not end the process but ends [`Interrupt::wait`].
#[derive(Debug)]
pub(crate) struct Interrupt(Signal);

impl Interrupt {
    /// Takes SIGINT over.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?))
    }

    /// Waits for Ctrl-C.
    pub(crate) async fn wait(&mut self) {
        if self.0.recv().await.is_none() {
            // The stream of signals has no end; if it had one, no signal would come.
            std::future::pending::<()>().await;
        }
    }
}
