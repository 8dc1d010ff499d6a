//! The socket that the messages of one service arrive at.
#![expect(unsafe_code, reason = "recvmsg(2) by hand: nix loses descriptors it does not expect")]

use std::fs::{self, Permissions};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::slice;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket, sockopt,
};

use super::fds::Fds;

/// Longest message, as systemd has it (`PIPE_BUF`).
pub const MAX_MESSAGE: usize = 4096;

/// Most descriptors that the kernel passes with one datagram (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;

/// Room for the credentials of the sender and [`MAX_FDS`] descriptors.
const CONTROL_SPACE: usize =
    control_space(size_of::<libc::ucred>()) + control_space(MAX_FDS * size_of::<RawFd>());

/// Longest path in `sockaddr_un`, which has 108 bytes and a final NUL (`unix(7)`).
const MAX_PATH: usize = 107;

/// A bound notify socket. Dropping it removes its path: drop it before another one is bound there.
#[derive(Debug)]
pub struct NotifySocket {
    fd: OwnedFd,
    path: PathBuf,
    /// Device and inode of the path.
    identity: (u64, u64),
}

impl NotifySocket {
    /// Binds a socket that every user may write to; who can reach `path` is up to its directory.
    /// Another socket at `path` is taken for a stale one and replaced.
    ///
    /// Fails with `InvalidInput` if `path` is too long for a socket address.
    pub fn bind(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let length = path.as_os_str().as_bytes().len();
        if length > MAX_PATH {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("path has {length} bytes, a socket address takes {MAX_PATH}"),
            ));
        }
        remove_stale(&path)?;

        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        // Before anybody can send: a datagram gets its credentials when it is sent.
        setsockopt(&fd, sockopt::PassCred, &true)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(&path)?)?;
        let mut socket = Self { fd, path, identity: (0, 0) };
        fs::set_permissions(&socket.path, Permissions::from_mode(0o666))?;
        socket.identity = identity(&socket.path)?;
        Ok(socket)
    }

    /// Where it is bound: the value of `NOTIFY_SOCKET`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to this socket: somebody may have cleaned up the directory.
    pub fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }

    /// Receives one datagram; `None` if there is none now.
    ///
    /// An error is not transient: after it nothing more will be received, and the socket should no
    /// longer be watched.
    pub fn recv<'a>(&self, buffer: &'a mut Buffer) -> io::Result<Option<Received<'a>>> {
        let Raw { length, flags, control } = match self.receive(buffer) {
            Ok(raw) => raw,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        if flags & libc::MSG_TRUNC != 0 {
            return Ok(Some(Received::Rejected(Rejection::TooLong)));
        }
        if flags & libc::MSG_CTRUNC != 0 {
            return Ok(Some(Received::Rejected(Rejection::FdsLost)));
        }
        let Some(sender) = control.sender.filter(|sender| sender.pid > 0) else {
            return Ok(Some(Received::Rejected(Rejection::NoSender)));
        };
        let message = buffer.payload.get(..length).unwrap_or_default();
        Ok(Some(Received::Datagram(Datagram { message, sender, fds: control.fds })))
    }

    /// `recvmsg(2)`. Whatever comes, its descriptors have an owner when this returns.
    fn receive(&self, buffer: &mut Buffer) -> io::Result<Raw> {
        let mut payload = libc::iovec {
            iov_base: buffer.payload.as_mut_ptr().cast(),
            iov_len: buffer.payload.len(),
        };
        loop {
            // SAFETY: all zeros is a valid `msghdr`: null pointers and zero lengths.
            let mut header: libc::msghdr = unsafe { mem::zeroed() };
            header.msg_iov = &raw mut payload;
            header.msg_iovlen = 1;
            // The C libraries have different types for lengths, hence `as _` here and below.
            header.msg_control = buffer.control.0.as_mut_ptr().cast();
            header.msg_controllen = buffer.control_space as _;

            let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
            // SAFETY: `header` points to `payload` and the control buffer, both writable, no
            // shorter than it says, and outliving the call.
            let length = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut header, flags) };
            if let Ok(length) = usize::try_from(length) {
                // SAFETY: `recvmsg` has just filled in `header`, and the buffer is still borrowed.
                let control = unsafe { Control::read(&header) };
                return Ok(Raw { length, flags: header.msg_flags, control });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "notify socket not removed");
        }
    }
}

/// Where datagrams are received into. One serves any number of sockets.
#[derive(Debug)]
pub struct Buffer {
    payload: [u8; MAX_MESSAGE],
    control: ControlBuffer,
    /// How much of `control` is used: all of it, but for a test of what happens otherwise.
    control_space: usize,
}

impl Buffer {
    /// An empty buffer of about 5 KiB.
    pub const fn new() -> Self {
        Self {
            payload: [0; MAX_MESSAGE],
            control: ControlBuffer([0; CONTROL_SPACE]),
            control_space: CONTROL_SPACE,
        }
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

/// What came.
#[derive(Debug)]
pub enum Received<'a> {
    /// A complete datagram.
    Datagram(Datagram<'a>),
    /// A datagram of which nothing is left but the reason to log.
    Rejected(Rejection),
}

/// A complete datagram, not yet parsed.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The payload, at most [`MAX_MESSAGE`] bytes.
    pub message: &'a [u8],
    /// Who sent it.
    pub sender: Sender,
    /// The descriptors that came with it.
    pub fds: Fds,
}

/// The sender as the kernel vouches for it (`SCM_CREDENTIALS` of `unix(7)`). It may be dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Process, greater than zero. Root may have named another one than itself.
    pub pid: i32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Why a datagram was dropped whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Longer than [`MAX_MESSAGE`].
    #[error("message is longer than {MAX_MESSAGE} bytes")]
    TooLong,
    /// Not all of its descriptors could be received, most likely because too many are open.
    #[error("not all file descriptors of the message could be received")]
    FdsLost,
    /// No credentials, or those of a process that has no pid here: it lives in another pid
    /// namespace.
    #[error("message names no process of this pid namespace as its sender")]
    NoSender,
}

/// Raises `net.unix.max_dgram_qlen` to 512, as systemd does, if it is lower: how many datagrams
/// wait in a socket before their sender does. Concerns sockets that are created later, in the
/// network namespace of the daemon; needs root, and does nothing without.
pub fn raise_queue() {
    const SETTING: &str = "/proc/sys/net/unix/max_dgram_qlen";
    if let Err(error) = raise_setting(Path::new(SETTING), 512) {
        tracing::debug!(path = SETTING, %error, "queue of notify sockets not raised");
    }
}

/// What `recvmsg(2)` gives.
struct Raw {
    length: usize,
    flags: libc::c_int,
    control: Control,
}

/// The control messages of a datagram.
#[derive(Default)]
struct Control {
    sender: Option<Sender>,
    fds: Fds,
}

impl Control {
    /// Reads the control messages that `header` points to, by their type: the kernel promises no
    /// order.
    ///
    /// # Safety
    ///
    /// `header` must be as `recvmsg` has filled it in, its control buffer alive, and it must be
    /// read only once, as that makes the descriptors owned.
    unsafe fn read(header: &libc::msghdr) -> Self {
        let mut control = Self::default();
        // SAFETY: the caller promises a valid header.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
        while !next.is_null() {
            // SAFETY: `CMSG_FIRSTHDR` and `CMSG_NXTHDR` return null or a complete, aligned control
            // message inside of the control buffer.
            let (level, kind, data) =
                unsafe { ((*next).cmsg_level, (*next).cmsg_type, payload_of(next)) };
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => control.sender = Sender::read(data),
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for fd in data.as_chunks().0 {
                        let fd = RawFd::from_ne_bytes(*fd);
                        // SAFETY: the kernel has just installed `fd` for this datagram, and the
                        // caller promises that nobody has claimed it yet.
                        control.fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
                    }
                }
                // Nothing else was asked for with a socket option.
                _ => {}
            }
            // SAFETY: `next` is a control message of this header.
            next = unsafe { libc::CMSG_NXTHDR(header, next) };
        }
        control
    }
}

impl Sender {
    /// Reads a `struct ucred`.
    fn read(data: &[u8]) -> Option<Self> {
        if data.len() < size_of::<libc::ucred>() {
            return None;
        }
        // SAFETY: there are enough bytes, every bit pattern is a valid `ucred`, and an unaligned
        // read needs no alignment.
        let ucred = unsafe { data.as_ptr().cast::<libc::ucred>().read_unaligned() };
        Some(Self { pid: ucred.pid, uid: ucred.uid, gid: ucred.gid })
    }
}

/// What a control message carries.
///
/// # Safety
///
/// `header` must point to a complete control message that lives as long as the result is used.
unsafe fn payload_of<'a>(header: *const libc::cmsghdr) -> &'a [u8] {
    // SAFETY: the caller promises a complete message: the data lies behind the header, and
    // `cmsg_len` counts both.
    unsafe {
        let data = libc::CMSG_DATA(header);
        let before = data.offset_from_unsigned(header.cast());
        let length: usize = (*header).cmsg_len as _;
        slice::from_raw_parts(data, length.saturating_sub(before))
    }
}

const fn control_space(data: usize) -> usize {
    // SAFETY: arithmetic only.
    #[expect(clippy::cast_possible_truncation, reason = "a constant of about 1 KiB")]
    let space = unsafe { libc::CMSG_SPACE(data as u32) };
    space as usize
}

/// Aligned as control messages have to be.
#[derive(Debug)]
#[repr(C, align(8))]
struct ControlBuffer([u8; CONTROL_SPACE]);

const _: () = assert!(align_of::<ControlBuffer>() >= align_of::<libc::cmsghdr>());

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        // Anything else is not ours to remove, and `bind` will say so.
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn raise_setting(path: &Path, to: u32) -> io::Result<()> {
    let current = fs::read_to_string(path)?;
    match current.trim().parse::<u32>() {
        Ok(current) if current < to => fs::write(path, format!("{to}\n")),
        // High enough, or too high for the type.
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
