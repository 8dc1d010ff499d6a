//! The control socket in the file system: made without a moment in which it is open to more
//! people than it should be, never taken from a living daemon, removed in the end.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown,
};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen, socket,
};
use nix::unistd::Uid;
use tokio::net::{UnixListener, UnixStream};

/// Longest path of a Unix socket: `sun_path` of `unix(7)` without its final zero.
pub const MAX_PATH: usize = 107;

/// Why the socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path does not fit into a socket address.
    #[error(
        "the path of a socket can have {MAX_PATH} bytes, this one has {length}: {}",
        path.display()
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The path has no file name, or is relative to nothing.
    #[error("not the path of a file: {}", .0.display())]
    NotAFile(PathBuf),
    /// A daemon lives there.
    #[error("another supervisord is running{} on {}", of_pid(*pid), path.display())]
    Running {
        /// The path.
        path: PathBuf,
        /// Its pid, if it could be found out.
        pid: Option<i32>,
    },
    /// There is something there that is not a socket; it is left alone.
    #[error("{} exists and is not a socket", .0.display())]
    Occupied(PathBuf),
    /// The operating system refuses.
    #[error("cannot {step} {}", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The control socket, ready to be served. Dropping it removes it from the file system.
#[derive(Debug)]
pub struct ControlListener {
    listener: UnixListener,
    place: Place,
    /// Held for as long as the socket is ours.
    _lock: File,
}

impl ControlListener {
    /// Makes the socket with these permissions, and its directory if there is none. Replaces one
    /// that nobody listens on. Needs a tokio runtime.
    ///
    /// Beside it `PATH.lock` says, by a lock on it, that the path is taken: two daemons that are
    /// started at the same time cannot both find the path free. The file stays, since removing a
    /// lock file is a race of its own.
    pub fn bind(path: &Path, mode: u32, group: Option<u32>) -> Result<Self, BindError> {
        let length = path.as_os_str().len();
        if length > MAX_PATH {
            return Err(BindError::PathTooLong { path: path.to_owned(), length });
        }
        let (Some(directory), Some(_)) = (path.parent(), path.file_name()) else {
            return Err(BindError::NotAFile(path.to_owned()));
        };
        create_directory(directory)?;
        let lock = lock(path)?;
        check_free(path)?;

        // Nobody can connect before `listen`, and by then the permissions are right.
        let temporary = temporary_name(path);
        let socket = make_socket(&temporary)?;
        let placed = set_permissions(&temporary, mode, group)
            .and_then(|()| Place::of(&temporary, path))
            .and_then(|place| {
                listen(&socket, Backlog::MAXALLOWABLE)
                    .map_err(|errno| io_error("listen on", path, errno.into()))?;
                fs::rename(&temporary, path)
                    .map_err(|source| io_error("put into place", path, source))?;
                Ok(place)
            });
        let place = placed.inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })?;
        let listener = UnixListener::from_std(socket.into())
            .map_err(|source| io_error("listen on", path, source))?;
        Ok(Self { listener, place, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// Waits for a connection. Cancel safe.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// The name of our socket; dropping it removes the name if it still means our socket.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// For the socket that is at `now` and is going to be at `path`.
    fn of(now: &Path, path: &Path) -> Result<Self, BindError> {
        let found = fs::symlink_metadata(now).map_err(|source| io_error("look at", now, source))?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(found) = fs::symlink_metadata(&self.path) else {
            return;
        };
        if (found.dev(), found.ino()) == (self.device, self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Creates the directory if it is missing: for everybody to look into as root, else private.
fn create_directory(directory: &Path) -> Result<(), BindError> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    let mode = if Uid::effective().is_root() { 0o755 } else { 0o700 };
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(directory)
        // The umask does not count here.
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(mode)))
        .map_err(|source| io_error("create", directory, source))
}

fn lock(path: &Path) -> Result<File, BindError> {
    let lock_path = with_suffix(path, ".lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&lock_path)
        .map_err(|source| io_error("open", &lock_path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let pid = match probe(path) {
                Ok(Found::Living(pid)) => pid,
                Ok(Found::Nothing | Found::Dead) | Err(_) => None,
            };
            Err(BindError::Running { path: path.to_owned(), pid })
        }
        Err(TryLockError::Error(source)) => Err(io_error("lock", &lock_path, source)),
    }
}

/// Whether the path can be taken: nothing is there, or a socket that nobody listens on.
fn check_free(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io_error("look at", path, source)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::Occupied(path.to_owned()));
        }
        Ok(_) => {}
    }
    match probe(path).map_err(|errno| io_error("connect to", path, errno.into()))? {
        Found::Nothing | Found::Dead => Ok(()),
        Found::Living(pid) => Err(BindError::Running { path: path.to_owned(), pid }),
    }
}

enum Found {
    /// No file.
    Nothing,
    /// A socket that nobody listens on.
    Dead,
    /// Somebody listens; the pid is that of the one who called `listen`, as `unix(7)` has it.
    Living(Option<i32>),
}

/// Tries to connect, without waiting.
fn probe(path: &Path) -> nix::Result<Found> {
    let client = stream_socket()?;
    match connect(client.as_raw_fd(), &UnixAddr::new(path)?) {
        Ok(()) => {
            let peer = getsockopt(&client, PeerCredentials).ok();
            Ok(Found::Living(peer.map(|peer| peer.pid()).filter(|&pid| pid > 0)))
        }
        // Its queue is full, so there is somebody who should empty it.
        Err(Errno::EAGAIN) => Ok(Found::Living(None)),
        Err(Errno::ECONNREFUSED) => Ok(Found::Dead),
        Err(Errno::ENOENT) => Ok(Found::Nothing),
        Err(errno) => Err(errno),
    }
}

fn make_socket(path: &Path) -> Result<OwnedFd, BindError> {
    // What an earlier start left behind; nobody else uses the name while we hold the lock.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", path, error));
        }
        Ok(()) | Err(_) => {}
    }
    let make = || {
        let socket = stream_socket()?;
        bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(socket)
    };
    make().map_err(|errno: Errno| io_error("create", path, errno.into()))
}

fn stream_socket() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

/// The owner is the daemon's user already; the group goes first, as `chown(2)` may clear bits.
fn set_permissions(path: &Path, mode: u32, group: Option<u32>) -> Result<(), BindError> {
    if let Some(group) = group {
        lchown(path, None, Some(group))
            .map_err(|source| io_error("change the group of", path, source))?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|source| io_error("change the mode of", path, source))
}

/// As long as the path itself, so that it fits where the path does.
fn temporary_name(path: &Path) -> PathBuf {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = if *last == b'~' { b'_' } else { b'~' };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn of_pid(pid: Option<i32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

fn io_error(step: &'static str, path: &Path, source: io::Error) -> BindError {
    BindError::Io { step, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
