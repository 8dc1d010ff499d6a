//! Pid files: what they say, whether it may be believed, and when to look again.
//!
//! A leaf. Whoever may write to a directory or link on the way to a pid file decides what is read
//! in the end, so the way is gone step by step, by descriptors, and its owners are noted.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{Pid, UnlinkatFlags, getuid, unlinkat};

/// Most symbolic links on a way, as in the kernel (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// More than the first line of any pid file has.
const LONGEST: u64 = 128;

/// What a pid file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The process that it names, which may be gone.
    pub(crate) pid: Pid,
    /// Whether nobody but root and the daemon's user has had a say in that: it is the owner of the
    /// file and of every directory and link on the way.
    pub(crate) trusted: bool,
}

/// Why a pid file names no process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidFileError {
    /// It cannot be read; perhaps it is not there.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is a directory, a pipe or the like.
    #[error("not a regular file")]
    NotAFile,
    /// Its first line is no pid; perhaps it is not written yet.
    #[error("no pid in it")]
    NoPid,
}

impl From<Errno> for PidFileError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Reads the first line of a pid file, which is a pid and perhaps blanks. The path is absolute. Does
/// not wait, other than for the file system.
pub(crate) fn read(path: &Path) -> Result<Found, PidFileError> {
    let way = Way::to(path)?;
    let name = way.name.ok_or(Errno::ENOENT)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = openat(&way.directory, name.as_os_str(), flags | OFlag::O_CLOEXEC, Mode::empty())?;
    let stat = fstat(&file)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(PidFileError::NotAFile);
    }
    let mut bytes = Vec::new();
    File::from(file).take(LONGEST).read_to_end(&mut bytes)?;
    let pid = parse(&bytes).ok_or(PidFileError::NoPid)?;
    Ok(Found { pid, trusted: way.trusted && is_ours(stat.st_uid) })
}

/// Removes a pid file, if there is one. A link to which somebody else could have led the way is not
/// followed: that is [`io::ErrorKind::PermissionDenied`].
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let way = match Way::to(path) {
        Ok(way) => way,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let Some(name) = &way.name else { return Ok(()) };
    if way.diverted {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    match unlinkat(&way.directory, name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Tells by its descriptor, which becomes readable, that a pid file may have changed. Made before the
/// file is read; then, after each news, anew.
#[derive(Debug)]
pub(crate) struct Watch(Inotify);

impl Watch {
    /// Watches for what would make a difference: in the directory of the file, or as much of the way
    /// there as exists, and where links are followed.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let way = Way::to(path)?;
        let news = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        for directory in way.linked.iter().chain([&way.directory]) {
            let place = format!("/proc/self/fd/{}", directory.as_raw_fd());
            inotify.add_watch(place.as_str(), news)?;
        }
        Ok(Self(inotify))
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The way to a file, with all links on it followed.
#[derive(Debug)]
struct Way {
    /// The last directory on it that is there.
    directory: OwnedFd,
    /// The name of the file in it; `None` if a directory is missing before.
    name: Option<OsString>,
    /// The directories in which links were followed.
    linked: Vec<OwnedFd>,
    /// Whether root or the daemon's user owns every directory and link on it.
    trusted: bool,
    /// Whether a link was followed that is somebody else's, or stands in somebody else's directory.
    diverted: bool,
}

/// One step on a way.
enum Step {
    Root,
    Name(OsString),
}

impl Way {
    fn to(path: &Path) -> Result<Self, Errno> {
        let root = || openat(AT_FDCWD, "/", directory_flags(), Mode::empty());
        let mut way = Self {
            directory: root()?,
            name: None,
            linked: Vec::new(),
            trusted: true,
            diverted: false,
        };
        let mut steps = steps(path);
        let mut links = 0;
        while let Some(step) = steps.pop_front() {
            let Step::Name(name) = step else {
                way.directory = root()?;
                continue;
            };
            let is_last = steps.is_empty();
            let owned = is_ours(fstat(&way.directory)?.st_uid);
            way.trusted &= owned;
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let next = match openat(&way.directory, name.as_os_str(), flags, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::ENOENT) => {
                    way.name = is_last.then_some(name);
                    return Ok(way);
                }
                Err(errno) => return Err(errno),
            };
            let stat = fstat(&next)?;
            let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
            if kind == SFlag::S_IFLNK {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::ELOOP);
                }
                let owned = owned && is_ours(stat.st_uid);
                way.trusted &= owned;
                way.diverted |= !owned;
                let target = readlinkat(&next, "")?;
                for step in self::steps(Path::new(&target)).into_iter().rev() {
                    steps.push_front(step);
                }
                way.linked.push(way.directory.try_clone().map_err(|_| Errno::EMFILE)?);
            } else if is_last {
                way.name = Some(name);
            } else if kind == SFlag::S_IFDIR {
                way.directory = next;
            } else {
                return Err(Errno::ENOTDIR);
            }
        }
        Ok(way)
    }
}

fn steps(path: &Path) -> VecDeque<Step> {
    let step = |component: Component<'_>| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Name(OsString::from(".."))),
        Component::Normal(name) => Some(Step::Name(OsStr::to_owned(name))),
        Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(step).collect()
}

fn directory_flags() -> OFlag {
    OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
}

fn is_ours(uid: u32) -> bool {
    uid == 0 || uid == getuid().as_raw()
}

fn parse(bytes: &[u8]) -> Option<Pid> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let pid: i32 = text.parse().ok()?;
    (digits && pid > 0).then(|| Pid::from_raw(pid))
}

#[cfg(test)]
mod tests;
