//! The descriptors that a service has handed over for its next start (`FDSTORE=1` of
//! `sd_notify(3)`).
//!
//! The daemon keeps its copies when they are given back: a service lets go of one by
//! `FDSTOREREMOVE=1`. One that is hung up or broken goes by itself, unless the service wants it
//! otherwise or it is of a kind that cannot be polled, such as a file or a memory area.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use supervisor_engine::{Goal, ServiceId};

use super::Runtime;
use super::poller::Source;
use crate::config::FdStorePreserve;
use crate::notify::{Fds, StoreRequest};
use crate::process::same_description;

/// The stored descriptors of one service, oldest first.
#[derive(Debug, Default)]
pub(crate) struct FdStore(Vec<Stored>);

/// One of them.
#[derive(Debug)]
struct Stored {
    fd: OwnedFd,
    name: Box<str>,
    /// Whether it is watched for its hang-up.
    watched: bool,
}

/// Why a descriptor is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The same open file description is there already, under whatever name.
    Duplicate,
    /// There are as many as there may be.
    Full,
}

impl FdStore {
    /// The names, one for each descriptor.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|stored| &*stored.name)
    }

    /// The descriptors, in the order of their names.
    pub(crate) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(|stored| stored.fd.as_fd()).collect()
    }

    fn admit(&self, fd: &OwnedFd, max: usize) -> Result<(), Refusal> {
        let is_same = |stored: &Stored| same_description(stored.fd.as_fd(), fd.as_fd());
        if self.0.iter().any(is_same) {
            return Err(Refusal::Duplicate);
        }
        if self.0.len() >= max { Err(Refusal::Full) } else { Ok(()) }
    }

    /// Which of them are hung up or broken.
    fn hung_up(&self) -> io::Result<Vec<bool>> {
        let mut polled: Vec<PollFd<'_>> = self
            .0
            .iter()
            .filter(|stored| stored.watched)
            .map(|stored| PollFd::new(stored.fd.as_fd(), PollFlags::empty()))
            .collect();
        poll(&mut polled, PollTimeout::ZERO)?;
        let end = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        let mut answers =
            polled.iter().map(|fd| fd.revents().is_some_and(|events| events.intersects(end)));
        let is_gone = |stored: &Stored| stored.watched && answers.next().unwrap_or(false);
        Ok(self.0.iter().map(is_gone).collect())
    }
}

/// The daemon may end while it holds some: that must not wait for them either.
impl Drop for FdStore {
    fn drop(&mut self) {
        let fds: Vec<OwnedFd> = self.0.drain(..).map(|stored| stored.fd).collect();
        drop(Fds::from(fds));
    }
}

impl Runtime {
    /// Does what a message wants of the store.
    /// There is one for a service and its companion.
    pub(crate) fn on_store_request(&mut self, unit: ServiceId, wanted: StoreRequest<'_>, fds: Fds) {
        let id = unit.service();
        match wanted {
            StoreRequest::Store { name, poll } => self.store_fds(id, fds, name, poll),
            StoreRequest::Remove { name } => {
                let removed = self.take_stored(id, |stored| *stored.name == *name);
                tracing::debug!(service = %self.name(id), name, removed, "stored descriptors removed");
            }
        }
    }

    fn store_fds(&mut self, id: ServiceId, fds: Fds, name: &str, poll: bool) {
        let max = self.config(id).fd_store.max;
        let mut refused = Vec::new();
        let mut full = 0_usize;
        let mut scarce = 0_usize;
        for fd in fds.take() {
            match self.unit(id).fd_store.admit(&fd, max) {
                Ok(()) if !self.descriptors.admits(&fd) => {
                    scarce += 1;
                    refused.push(fd);
                }
                Ok(()) => {
                    let watched = poll && self.watch_stored(id, &fd);
                    let stored = Stored { fd, name: name.into(), watched };
                    self.unit_mut(id).fd_store.0.push(stored);
                }
                Err(refusal) => {
                    full += usize::from(refusal == Refusal::Full);
                    refused.push(fd);
                }
            }
        }
        let duplicates = refused.len() - full - scarce;
        drop(Fds::from(refused));
        let service = self.name(id);
        if full > 0 {
            tracing::warn!(%service, name, full, max, "no room for descriptors, see fd-store-max");
        }
        if scarce > 0 {
            tracing::warn!(%service, name, scarce, "descriptors not stored: the daemon has few left");
        }
        let held = self.unit(id).fd_store.0.len();
        tracing::debug!(%service, name, held, duplicates, "descriptors stored");
    }

    /// Whether its hang-up will be told.
    fn watch_stored(&self, id: ServiceId, fd: &OwnedFd) -> bool {
        match self.poller.add_for_hang_up(fd, Source::Stored(id)) {
            Ok(()) => true,
            Err(error) => {
                // A file: it has no end.
                if error.raw_os_error() != Some(Errno::EPERM as i32) {
                    tracing::debug!(service = %self.name(id), %error, "stored descriptor not watched");
                }
                false
            }
        }
    }

    /// A stored descriptor is hung up or broken.
    pub(crate) fn on_stored_hung_up(&mut self, id: ServiceId) {
        match self.unit(id).fd_store.hung_up() {
            Ok(gone) => {
                let mut gone = gone.into_iter();
                let removed = self.take_stored(id, |_| gone.next().unwrap_or(false));
                tracing::debug!(service = %self.name(id), removed, "stored descriptors hung up");
            }
            Err(error) => tracing::error!(service = %self.name(id), %error, "poll"),
        }
    }

    /// Closes what is not to be kept any longer. `ended`: an invocation is over.
    pub(crate) fn release_stored(&mut self, id: ServiceId, ended: bool) {
        if self.unit(id).fd_store.0.is_empty() {
            return;
        }
        let service = self.engine.service(id);
        let is_down = service.state().is_at_rest() && service.goal() != Goal::Cycle;
        let due = match self.config(id).fd_store.preserve {
            FdStorePreserve::No => ended || is_down,
            FdStorePreserve::Restart => is_down,
            FdStorePreserve::Yes => false,
        };
        if due {
            let removed = self.take_stored(id, |_| true);
            tracing::debug!(service = %self.name(id), removed, "stored descriptors released");
        }
    }

    /// Closes all of one that was removed, however long they were to be kept.
    pub(crate) fn release_all_stored(&mut self, id: ServiceId) {
        self.take_stored(id, |_| true);
    }

    /// Removes some, closes them, and says how many.
    fn take_stored(&mut self, id: ServiceId, mut which: impl FnMut(&Stored) -> bool) -> usize {
        let taken: Vec<Stored> =
            self.unit_mut(id).fd_store.0.extract_if(.., |stored| which(stored)).collect();
        for stored in taken.iter().filter(|stored| stored.watched) {
            // By hand: the service has it open too, so closing ours is not the end of watching it.
            self.poller.remove(&stored.fd);
        }
        let fds: Vec<OwnedFd> = taken.into_iter().map(|stored| stored.fd).collect();
        let count = fds.len();
        drop(Fds::from(fds));
        count
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn stored(fd: impl Into<OwnedFd>, watched: bool) -> Stored {
        Stored { fd: fd.into(), name: "x".into(), watched }
    }

    #[test]
    fn duplicates_are_told_before_there_is_no_room() {
        let file = File::open("/dev/null").unwrap();
        let copy = file.try_clone().unwrap().into();
        let other = File::open("/dev/null").unwrap().into();
        let store = FdStore(vec![stored(file, false)]);
        assert_eq!(store.admit(&copy, 1), Err(Refusal::Duplicate));
        assert_eq!(store.admit(&other, 1), Err(Refusal::Full));
        assert_eq!(store.admit(&other, 2), Ok(()));
    }

    #[test]
    fn those_that_are_watched_and_hung_up_are_found() {
        let hung_up = || io::pipe().unwrap().0;
        let (live, _writer) = io::pipe().unwrap();
        let store = FdStore(vec![
            stored(hung_up(), false),
            stored(live, true),
            stored(hung_up(), true),
            stored(File::open("/dev/null").unwrap(), false),
        ]);
        assert_eq!(store.hung_up().unwrap(), [false, false, true, false]);
    }
}
