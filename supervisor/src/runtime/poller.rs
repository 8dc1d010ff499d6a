//! One epoll for all pidfds and notify sockets, awaited as one descriptor of tokio's.
//!
//! Nested, so that a service costs no task and no waker, and a turn of the loop sees everything
//! that has happened at once and can bring it into order.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use supervisor_engine::ServiceId;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Events taken in one turn.
const BATCH: usize = 256;

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The end of the main process.
    Main(ServiceId),
    /// The end of the control process.
    Control(ServiceId),
    /// The end of a probe command.
    Probe(ServiceId),
    /// A message on the notify socket.
    Notify(ServiceId),
    /// The hang-up of a stored descriptor.
    Stored(ServiceId),
    /// That a pid file may have changed which is waited for.
    PidFile(ServiceId),
}

impl Source {
    fn token(self) -> u64 {
        let (kind, id) = match self {
            Self::Main(id) => (0, id),
            Self::Control(id) => (1, id),
            Self::Probe(id) => (2, id),
            Self::Notify(id) => (3, id),
            Self::Stored(id) => (4, id),
            Self::PidFile(id) => (5, id),
        };
        kind << 32 | u64::from(id.0)
    }

    fn from_token(token: u64) -> Self {
        let id = ServiceId(u32::try_from(token & u64::from(u32::MAX)).unwrap_or(u32::MAX));
        match token >> 32 {
            0 => Self::Main(id),
            1 => Self::Control(id),
            2 => Self::Probe(id),
            3 => Self::Notify(id),
            4 => Self::Stored(id),
            _ => Self::PidFile(id),
        }
    }
}

/// The descriptors that are watched.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: AsyncFd<Inner>,
    events: Vec<EpollEvent>,
}

#[derive(Debug)]
struct Inner(Epoll);

impl AsRawFd for Inner {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.get_ref().0.0.as_fd()
    }
}

impl Poller {
    /// Needs tokio's I/O driver.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        #[expect(unsafe_code, reason = "tokio has no other way to wait for an epoll descriptor")]
        // SAFETY: `Inner` owns the epoll descriptor, which it neither closes nor changes while it
        // lives, and always answers that one.
        let epoll = unsafe { AsyncFd::register_with_interest(Inner(epoll), Interest::READABLE) }?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); BATCH] })
    }

    /// Watches a descriptor until it is removed; do that before it is closed.
    pub(crate) fn add(&self, fd: impl AsFd, source: Source) -> io::Result<()> {
        self.watch(fd, EpollFlags::EPOLLIN, source)
    }

    /// The same for the hang-up of a descriptor or an error of it alone.
    pub(crate) fn add_for_hang_up(&self, fd: impl AsFd, source: Source) -> io::Result<()> {
        // Both are told unasked.
        self.watch(fd, EpollFlags::empty(), source)
    }

    /// Stops watching a descriptor.
    pub(crate) fn remove(&self, fd: impl AsFd) {
        if let Err(error) = self.epoll.get_ref().0.delete(fd) {
            tracing::debug!(%error, "a descriptor that is not watched was to be removed");
        }
    }

    fn watch(&self, fd: impl AsFd, events: EpollFlags, source: Source) -> io::Result<()> {
        Ok(self.epoll.get_ref().0.add(fd, EpollEvent::new(events, source.token()))?)
    }

    /// Waits until something has happened. Cancel safe.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        self.epoll.readable().await.map(|mut guard| guard.retain_ready())
    }

    /// What has happened, at most one batch; nothing if nothing has. The kernel is asked, whether it
    /// has been waited for or not.
    pub(crate) fn take(&mut self) -> io::Result<Vec<Source>> {
        let Self { epoll, events } = self;
        let count = match epoll.get_ref().0.wait(events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        };
        if count == 0 {
            // Told so, tokio forgets the readiness, and the next wait is a real one.
            let nothing = |_: &Inner| Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = epoll.try_io(Interest::READABLE, nothing);
        }
        Ok(events.iter().take(count).map(|event| Source::from_token(event.data())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const MAIN: Source = Source::Main(ServiceId(7));
    const NOTIFY: Source = Source::Notify(ServiceId(u32::MAX));

    #[test]
    fn every_source_has_a_token_of_its_own() {
        for id in [ServiceId(0), ServiceId(1), ServiceId(u32::MAX)] {
            let sources = [
                Source::Main,
                Source::Control,
                Source::Probe,
                Source::Notify,
                Source::Stored,
                Source::PidFile,
            ];
            for source in sources.map(|source| source(id)) {
                assert_eq!(Source::from_token(source.token()), source);
            }
        }
    }

    #[tokio::test]
    async fn what_has_happened_is_told_until_it_is_dealt_with() {
        let mut poller = Poller::new().unwrap();
        let (first, mut write) = io::pipe().unwrap();
        let (second, other_write) = io::pipe().unwrap();
        poller.add(&first, MAIN).unwrap();
        poller.add(&second, NOTIFY).unwrap();
        assert_eq!(poller.take().unwrap(), []);
        write.write_all(b"x").unwrap();
        assert_eq!(poller.take().unwrap(), [MAIN], "also where nobody has waited for it");
        for _ in 0..2 {
            poller.ready().await.unwrap();
            assert_eq!(poller.take().unwrap(), [MAIN]);
        }
        poller.remove(&first);
        assert_eq!(poller.take().unwrap(), []);
        poller.remove(&first);
        poller.add(&first, NOTIFY).unwrap();
        poller.ready().await.unwrap();
        assert_eq!(poller.take().unwrap(), [NOTIFY]);
        poller.remove(&first);
        poller.remove(&second);
        let stored = Source::Stored(ServiceId(7));
        for fd in [&first, &second] {
            poller.add_for_hang_up(fd, stored).unwrap();
        }
        assert_eq!(poller.take().unwrap(), []);
        drop(other_write);
        poller.ready().await.unwrap();
        assert_eq!(poller.take().unwrap(), [stored]);
    }
}
