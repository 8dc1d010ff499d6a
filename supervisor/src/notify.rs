//! The server side of systemd's notify protocol (`sd_notify(3)`): sockets, messages, permissions.
//!
//! Every service has a socket of its own, so the socket says which service speaks, even if the
//! sender is already dead. Credentials only decide whether it may ([`authorised`]).
//!
//! A turn of the loop drains a socket: [`NotifySocket::recv`] until it returns `None`, and each
//! datagram through [`Datagram::notice`].

mod access;
mod fds;
mod integer;
pub mod message;
pub mod socket;

pub use access::authorised;
pub use fds::Fds;
pub use message::{Message, MessageError, StoreRequest, Warning};
pub use socket::{
    Buffer, Datagram, MAX_FDS, MAX_MESSAGE, NotifySocket, Received, Rejection, Sender, raise_queue,
};

/// What a datagram asks for.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart as soon as it is made")]
pub enum Notice<'a> {
    /// Assignments, to be applied if `sender` is [`authorised`].
    Message {
        /// What they say.
        message: Message<'a>,
        /// Who says it.
        sender: Sender,
        /// The descriptors that it speaks of.
        fds: Fds,
    },
    /// The sender waits until everything that it sent before has taken effect: drop the descriptor
    /// then. It is answered whoever asks.
    Barrier(Fds),
}

impl<'a> Datagram<'a> {
    /// Reads the datagram. Descriptors that are of no use to it are closed.
    pub fn notice(self) -> Result<Notice<'a>, MessageError> {
        let mut message = Message::parse(self.message)?;
        match self.fds.len() {
            count if !message.barrier => {
                let fds = if count == 0 || message.takes_fds() {
                    self.fds
                } else {
                    message.warnings.push(Warning::UnusedFds(count));
                    Fds::default()
                };
                Ok(Notice::Message { message, sender: self.sender, fds })
            }
            1 => Ok(Notice::Barrier(self.fds)),
            fds => Err(MessageError::BarrierFds(fds)),
        }
    }
}

#[cfg(test)]
mod tests;
