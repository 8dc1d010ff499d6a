//! What of a user's ids a child really has to change.

use std::collections::BTreeSet;

use nix::errno::Errno;
use nix::unistd::{getgroups, getresgid, getresuid};

use crate::config::Identity;

/// The calls that make an identity out of the daemon's own; `None` where nothing would change, so
/// that a daemon without privileges can run services as the user that it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change<'a> {
    /// Supplementary groups.
    pub(super) groups: Option<&'a [u32]>,
    /// Real, effective and saved group.
    pub(super) gid: Option<u32>,
    /// Real, effective and saved user.
    pub(super) uid: Option<u32>,
}

impl<'a> Change<'a> {
    /// The change from what this process is now.
    pub(super) fn to(identity: Option<&'a Identity>) -> Result<Self, Errno> {
        let Some(identity) = identity else { return Ok(Self::default()) };
        let groups = getresgid()?;
        let users = getresuid()?;
        let keeps_group = [groups.real, groups.effective, groups.saved]
            .iter()
            .all(|gid| gid.as_raw() == identity.gid);
        let keeps_user = [users.real, users.effective, users.saved]
            .iter()
            .all(|uid| uid.as_raw() == identity.uid);
        Ok(Self {
            groups: (!keeps_group || !has_groups(identity)?).then_some(&*identity.groups),
            gid: (!keeps_group).then_some(identity.gid),
            uid: (!keeps_user).then_some(identity.uid),
        })
    }
}

/// Whether this process is in just the groups of the identity. The primary group may be listed
/// among the others or not: it makes no difference to the kernel.
fn has_groups(identity: &Identity) -> Result<bool, Errno> {
    let primary = identity.gid;
    let own: BTreeSet<u32> = getgroups()?.iter().map(|gid| gid.as_raw()).chain([primary]).collect();
    let wanted: BTreeSet<u32> = identity.groups.iter().copied().chain([primary]).collect();
    Ok(own == wanted)
}
