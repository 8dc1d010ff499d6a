//! What a descriptor from elsewhere is.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::stat::{SFlag, fstat};
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::Pid;

use super::sys;

/// Whether both descriptors are of the same open file description (`open(2)`). Where the kernel does
/// not tell, only sockets are known to be.
pub fn same_description(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    sys::same_description(one, other).unwrap_or_else(|| match (fstat(one), fstat(other)) {
        (Ok(one), Ok(other)) => {
            let kind = SFlag::from_bits_truncate(one.st_mode) & SFlag::S_IFMT;
            kind == SFlag::S_IFSOCK && (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
        }
        _ => false,
    })
}

/// The pid of the process behind a pidfd; `None` if it is none, or that process is gone or not to be
/// seen from here (`proc_pid_fdinfo(5)`).
pub fn pid_of(pidfd: impl AsFd) -> io::Result<Option<Pid>> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd());
    let text = fs::read_to_string(path)?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    let pid = pid.and_then(|pid| pid.trim().parse().ok()).filter(|pid| *pid > 0);
    Ok(pid.map(Pid::from_raw))
}

/// The number that no other process has had since the system was booted: the inode of its pidfd.
/// `None` where the kernel does not give each an inode of its own (before Linux 6.9).
pub fn pidfd_id(pidfd: impl AsFd) -> io::Result<Option<u64>> {
    /// `PID_FS_MAGIC` of `statfs(2)`.
    const PID_FS: FsType = FsType(0x5049_4446);
    if fstatfs(&pidfd)?.filesystem_type() != PID_FS {
        return Ok(None);
    }
    Ok(Some(fstat(pidfd)?.st_ino))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::process::open;

    #[test]
    fn a_copy_is_the_same_and_another_open_is_not() {
        let file = File::open("/dev/null").expect("/dev/null");
        let copy = file.try_clone().expect("dup");
        let again = File::open("/dev/null").expect("/dev/null");
        assert!(same_description(file.as_fd(), copy.as_fd()));
        assert!(!same_description(file.as_fd(), again.as_fd()));
        let (one, other) = UnixStream::pair().expect("sockets");
        assert!(!same_description(one.as_fd(), other.as_fd()));
    }

    #[test]
    fn a_pidfd_tells_its_process() {
        let pidfd = open(Pid::this()).expect("pidfd").expect("we are there");
        assert_eq!(pid_of(&pidfd).expect("fdinfo"), Some(Pid::this()));
        assert_eq!(pid_of(File::open("/dev/null").expect("null")).expect("fdinfo"), None);
        let again = open(Pid::this()).expect("pidfd").expect("we are there");
        assert_eq!(pidfd_id(&pidfd).expect("id"), pidfd_id(&again).expect("id"));
    }
}
