//! The file descriptors that came with a message.

use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use nix::sys::stat::{SFlag, fstat};

/// Received descriptors. Those that are still in here when it is dropped are closed.
///
/// Closing can take as long as the sender likes (a TCP socket with `SO_LINGER`, a file on a dead
/// network file system), so only pipes, which are what a barrier sends, are closed by the thread
/// that drops. A thread of their own closes the others.
#[derive(Debug, Default)]
pub struct Fds(Vec<OwnedFd>);

impl Fds {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes them all; the caller closes them.
    pub fn take(mut self) -> Vec<OwnedFd> {
        mem::take(&mut self.0)
    }

    /// The only one, if there is just one.
    pub fn only(&self) -> Option<BorrowedFd<'_>> {
        match self.0.as_slice() {
            [fd] => Some(fd.as_fd()),
            _ => None,
        }
    }

    pub(super) fn push(&mut self, fd: OwnedFd) {
        self.0.push(fd);
    }
}

/// To close them, by dropping this, however long that takes.
impl From<Vec<OwnedFd>> for Fds {
    fn from(fds: Vec<OwnedFd>) -> Self {
        Self(fds)
    }
}

impl Drop for Fds {
    fn drop(&mut self) {
        let mut fds = mem::take(&mut self.0);
        fds.retain(|fd| !is_pipe(fd));
        if fds.is_empty() {
            return;
        }
        // Without a thread the closure is dropped here, and with it the descriptors: late is better
        // than never.
        if let Err(error) = thread::Builder::new().name("close".into()).spawn(move || drop(fds)) {
            tracing::debug!(%error, "closing received descriptors without a thread");
        }
    }
}

fn is_pipe(fd: &OwnedFd) -> bool {
    fstat(fd)
        .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_left_is_closed_whatever_it_is() {
        let (mut pipe, writer) = std::io::pipe().unwrap();
        let (mut socket, peer) = UnixStream::pair().unwrap();
        drop(Fds::from(vec![writer.into(), peer.into()]));

        // Both reads would wait for ever if the other end were open.
        assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
        assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_is_taken_stays_open() {
        let (mut pipe, writer) = std::io::pipe().unwrap();
        let fds = Fds::from(vec![writer.into()]);
        assert_eq!((fds.len(), fds.is_empty()), (1, false));
        assert!(fds.only().is_some());
        let taken = fds.take();
        nix::unistd::write(&taken[0], b"x").unwrap();
        assert_eq!(pipe.read(&mut [0]).unwrap(), 1);
    }
}
