//! Users and groups by name or id, looked up once for the whole spec.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, getegid, getgroups};

use super::Identity;
use super::decode::Decoder;
use super::reader::Reader;
use super::tree::{Node, Value};
use super::value::Bad;

/// The next one is `-1` to the kernel and means "none" (`setresuid(2)`).
const HIGHEST: u32 = u32::MAX - 1;

/// Remembers what the user database (`nsswitch.conf(5)`) has answered.
#[derive(Debug, Default)]
pub(super) struct Identities {
    users: RefCell<BTreeMap<String, Option<User>>>,
    groups: RefCell<BTreeMap<String, Option<u32>>>,
    members: RefCell<BTreeMap<(String, u32), Vec<u32>>>,
}

/// Who a service runs as.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// `None`: as the daemon.
    pub(super) identity: Option<Identity>,
    /// HOME, USER, LOGNAME and SHELL, if `user` is set.
    pub(super) environment: BTreeMap<String, String>,
}

impl Identities {
    /// Reads `user`, `group` and `supplementary-groups`. `uid` is the daemon's.
    pub(super) fn account(&self, reader: &Reader<'_>, uid: u32) -> Account {
        let decoder = &reader.decoder;
        let group_node = reader.node("group");
        let group = group_node.and_then(|node| self.group(node, decoder));
        let more: Option<Vec<u32>> = reader.node("supplementary-groups").and_then(|node| {
            let groups: Vec<_> =
                decoder.list(node)?.iter().map(|item| self.group(item, decoder)).collect();
            groups.into_iter().collect()
        });
        let user_node = reader.node("user");
        let Some(user_node) = user_node else {
            if group.is_none() && more.is_none() {
                return Account::default();
            }
            let gid = group.unwrap_or_else(|| getegid().as_raw());
            let own = getgroups().unwrap_or_default().into_iter().map(Gid::as_raw).collect();
            let identity = Identity { uid, gid, groups: union(own, more) };
            return Account { identity: Some(identity), ..Account::default() };
        };
        let Some((id, user)) = self.user(user_node, decoder) else {
            return Account::default();
        };
        let gid = match (group, &user) {
            (Some(gid), _) => gid,
            (None, Some(user)) => user.gid.as_raw(),
            (None, None) => {
                if group_node.is_none() {
                    let bad =
                        Bad::new(format!("user {id} is in no user database, so has no group"));
                    decoder.bad::<()>(user_node.place, bad.hint("set `group` too"));
                }
                return Account::default();
            }
        };
        let memberships = user.as_ref().map_or_else(Vec::new, |user| self.memberships(user, gid));
        let own = uid != 0 && id == uid && gid == getegid().as_raw() && more.is_none();
        let identity = Identity { uid: id, gid, groups: union(memberships, more) };
        Account {
            // Only root may set even the groups that it has anyway.
            identity: (!own).then_some(identity),
            environment: user.map(|user| environment(&user)).unwrap_or_default(),
        }
    }

    /// A group by name or id.
    pub(super) fn group(&self, node: &Node, decoder: &Decoder<'_>) -> Option<u32> {
        let name = name_or_id(node, decoder)?;
        if let Some(id) = id(&name) {
            return Some(id);
        }
        let mut groups = self.groups.borrow_mut();
        let found = *groups.entry(name.clone()).or_insert_with(|| {
            Group::from_name(&name).ok().flatten().map(|group| group.gid.as_raw())
        });
        found.or_else(|| {
            decoder.bad(
                node.place,
                Bad::new(format!("there is no group `{name}`"))
                    .hint("add it to the system, or write an id"),
            )
        })
    }

    /// A user by name or id; an id need not be in a user database.
    fn user(&self, node: &Node, decoder: &Decoder<'_>) -> Option<(u32, Option<User>)> {
        let name = name_or_id(node, decoder)?;
        let id = id(&name);
        let mut users = self.users.borrow_mut();
        let found = users.entry(name.clone()).or_insert_with(|| {
            let found = match id {
                Some(id) => User::from_uid(Uid::from_raw(id)),
                None => User::from_name(&name),
            };
            found.ok().flatten()
        });
        match (id, found) {
            (_, Some(user)) => Some((user.uid.as_raw(), Some(user.clone()))),
            (Some(id), None) => Some((id, None)),
            (None, None) => decoder.bad(
                node.place,
                Bad::new(format!("there is no user `{name}`"))
                    .hint("add it to the system, or write an id"),
            ),
        }
    }

    fn memberships(&self, user: &User, gid: u32) -> Vec<u32> {
        let mut members = self.members.borrow_mut();
        let key = (user.name.clone(), gid);
        let found = members.entry(key).or_insert_with(|| {
            let name = CString::new(user.name.as_str()).unwrap_or_default();
            let groups = nix::unistd::getgrouplist(&name, Gid::from_raw(gid));
            groups.unwrap_or_default().into_iter().map(Gid::as_raw).collect()
        });
        found.clone()
    }
}

fn name_or_id(node: &Node, decoder: &Decoder<'_>) -> Option<String> {
    if matches!(node.value, Value::Integer(..)) {
        let id = decoder.integer(node, 0..=i64::from(HIGHEST))?;
        return Some(id.to_string());
    }
    let name = decoder.string(node)?;
    if name.is_empty() {
        return decoder
            .bad(node.place, Bad::new("the name must not be empty").hint("write a name or an id"));
    }
    Some(name)
}

fn id(name: &str) -> Option<u32> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|id| digits && *id <= HIGHEST)
}

fn environment(user: &User) -> BTreeMap<String, String> {
    let shell = user.shell.to_string_lossy();
    let shell = if shell.is_empty() { "/bin/sh".into() } else { shell };
    BTreeMap::from([
        ("HOME".to_owned(), user.dir.to_string_lossy().into_owned()),
        ("USER".to_owned(), user.name.clone()),
        ("LOGNAME".to_owned(), user.name.clone()),
        ("SHELL".to_owned(), shell.into_owned()),
    ])
}

fn union(mut groups: Vec<u32>, more: Option<Vec<u32>>) -> Vec<u32> {
    groups.extend(more.unwrap_or_default());
    groups.sort_unstable();
    groups.dedup();
    groups
}
