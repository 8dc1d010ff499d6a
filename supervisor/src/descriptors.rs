//! File descriptors as something that can run out: who may take how many.
//!
//! What keeps running services going (looking at processes, signals, stop commands, answers to
//! those who want to know) needs a few descriptors now and then. So neither starts of services nor
//! what they store nor connections may take the last ones.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::{Config, Limit, ServiceConfig};
use crate::control::MAX_CONNECTIONS;

/// How the descriptors that this process may have are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Starts, and what services store, have to leave the numbers from here on alone.
    for_starts: u64,
    /// Connections at a time.
    pub(crate) connections: usize,
    /// What the daemon was started with, if it has another limit now.
    inherited: Option<Limit>,
}

impl Share {
    /// Services by the thousand need descriptors by the thousand, so the limit is raised as far as
    /// it goes. They themselves keep the one that the daemon was started with, unless their spec
    /// says otherwise.
    pub(crate) fn of_raised_limit(config: &mut Config) -> Self {
        const RESOURCE: Resource = Resource::RLIMIT_NOFILE;
        let (soft, hard) = match getrlimit(RESOURCE) {
            Ok(limits) => limits,
            Err(error) => {
                tracing::warn!(%error, "the limit of open files is not known");
                return Self::of(u64::MAX);
            }
        };
        if let Err(error) = setrlimit(RESOURCE, hard, hard) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            return Self::of(soft);
        }
        let resource = RESOURCE as u32;
        let inherited = Some(Limit { resource, name: "nofile", soft, hard });
        let share = Self { inherited, ..Self::of(hard) };
        config.services.iter_mut().for_each(|service| share.limit(service));
        share
    }

    /// Gives a service the limit that the daemon was started with, unless its spec has one.
    pub(crate) fn limit(self, service: &mut ServiceConfig) {
        let limits = &mut service.context.limits;
        if let Some(inherited) = self.inherited
            && !limits.iter().any(|limit| limit.resource == inherited.resource)
        {
            limits.push(inherited);
        }
    }

    fn of(limit: u64) -> Self {
        /// Beside the connections.
        const WORK: u64 = 64;
        let all = MAX_CONNECTIONS as u64;
        let connections = (limit / 8).min(all);
        let reserve = (limit / 4).min(all + WORK);
        Self {
            for_starts: limit - reserve,
            connections: usize::try_from(connections).unwrap_or(MAX_CONNECTIONS),
            inherited: None,
        }
    }

    /// Whether a descriptor that has just been received may stay, likewise.
    pub(crate) fn admits(self, received: impl AsFd) -> bool {
        u64::from(received.as_fd().as_raw_fd().unsigned_abs()) < self.for_starts
    }

    /// Whether a service can be started without taking what the others need; else `EMFILE`.
    /// `any` is any descriptor.
    pub(crate) fn admit_start(self, any: impl AsFd) -> io::Result<()> {
        // The kernel gives the lowest that is free.
        let lowest = any.as_fd().try_clone_to_owned()?.as_raw_fd();
        if u64::from(lowest.unsigned_abs()) < self.for_starts {
            Ok(())
        } else {
            Err(Errno::EMFILE.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn a_low_limit_is_shared_and_a_high_one_hardly_felt() {
        for (limit, for_starts, connections) in
            [(64, 48, 8), (1024, 768, 128), (65_536, 65_216, 256)]
        {
            let share = Share { for_starts, connections, inherited: None };
            assert_eq!(Share::of(limit), share);
        }
        assert_eq!(Share::of(u64::MAX).connections, 256);
    }

    #[test]
    fn a_start_leaves_the_last_descriptors_alone() {
        let any = std::io::stdin();
        let share = |for_starts| Share { for_starts, connections: 1, inherited: None };
        assert!(share(u64::MAX).admit_start(&any).is_ok());
        let error = share(0).admit_start(&any).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        assert!(share(u64::MAX).admits(&any));
        assert!(!share(0).admits(&any));
    }
}
