//! The ends of the streams that a service's processes write into.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Gid, Uid, fchown, pipe2};
use supervisor_api::Stream;

use crate::config::{LogConfig, Sink};

/// What the processes of a service get as stdout and stderr, at every start.
///
/// All have close-on-exec set. A service that goes on writing when nobody reads any more is not
/// killed by `SIGPIPE`; it waits when the pipe is full.
#[derive(Clone, Debug)]
pub struct ServiceOutputs {
    stdout: Arc<OwnedFd>,
    stderr: Arc<OwnedFd>,
}

impl ServiceOutputs {
    /// For file descriptor 1.
    pub fn stdout(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }

    /// For file descriptor 2; the same as stdout's when they are merged.
    pub fn stderr(&self) -> BorrowedFd<'_> {
        self.stderr.as_fd()
    }
}

/// The other end of a stream that is captured into a file.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) reader: OwnedFd,
    pub(super) stream: Stream,
    pub(super) path: PathBuf,
}

/// Makes outputs; what many services have in common is opened once, when it is first needed.
#[derive(Debug, Default)]
pub(super) struct OutputMaker {
    null: OnceLock<Arc<OwnedFd>>,
    stdout: OnceLock<Arc<OwnedFd>>,
    stderr: OnceLock<Arc<OwnedFd>>,
}

impl OutputMaker {
    /// The outputs of one service, and the other ends of those that are pipes.
    pub(super) fn make(
        &self,
        config: &LogConfig,
        owner: Option<(u32, u32)>,
    ) -> io::Result<(ServiceOutputs, Vec<Captured>)> {
        let mut captured = Vec::new();
        let mut make = |stream, sink: &Sink| match sink {
            Sink::File(path) => {
                let (reader, writer) = pipe(owner)?;
                captured.push(Captured { reader, stream, path: path.clone() });
                Ok(Arc::new(writer))
            }
            Sink::Inherit => self.inherited(stream),
            Sink::Null => once(&self.null, || {
                OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from)
            }),
        };
        let stdout = make(Stream::Stdout, &config.stdout)?;
        let stderr = match &config.stderr {
            Some(sink) => make(Stream::Stderr, sink)?,
            None => Arc::clone(&stdout),
        };
        Ok((ServiceOutputs { stdout, stderr }, captured))
    }

    fn inherited(&self, stream: Stream) -> io::Result<Arc<OwnedFd>> {
        match stream {
            Stream::Stdout => once(&self.stdout, || io::stdout().as_fd().try_clone_to_owned()),
            Stream::Stderr => once(&self.stderr, || io::stderr().as_fd().try_clone_to_owned()),
        }
    }
}

/// A pipe: our end, which never blocks, and the service's end.
///
/// The service's end is open for reading too, so that it stays writable when ours is closed
/// (`fifo(7)`), and belongs to the service's user, so that `/dev/stdout` can be opened by it.
fn pipe(owner: Option<(u32, u32)>) -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let both = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_CLOEXEC.bits())
        .open(format!("/proc/self/fd/{}", writer.as_raw_fd()));
    if let Some((uid, gid)) = owner
        && let Err(error) = fchown(&writer, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    {
        // Writing to the descriptor works all the same.
        tracing::debug!(uid, gid, %error, "pipe cannot be given to the service's user");
    }
    // Without /proc there is the plain end.
    Ok((reader, both.map_or(writer, OwnedFd::from)))
}

fn once(
    cell: &OnceLock<Arc<OwnedFd>>,
    open: impl FnOnce() -> io::Result<OwnedFd>,
) -> io::Result<Arc<OwnedFd>> {
    if let Some(fd) = cell.get() {
        return Ok(Arc::clone(fd));
    }
    let fd = Arc::new(open()?);
    Ok(Arc::clone(cell.get_or_init(|| fd)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    use nix::fcntl::FdFlag;

    use super::*;

    fn config(stdout: Sink, stderr: Option<Sink>) -> LogConfig {
        LogConfig {
            stdout,
            stderr,
            max_line: 100,
            buffer: 100,
            rotate_size: None,
            rotate_keep: 0,
            timestamp: false,
        }
    }

    fn close_on_exec(fd: BorrowedFd<'_>) -> bool {
        fcntl(fd, FcntlArg::F_GETFD).expect("open") & FdFlag::FD_CLOEXEC.bits() != 0
    }

    fn inode(fd: BorrowedFd<'_>) -> u64 {
        std::fs::metadata(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("open").ino()
    }

    #[test]
    fn a_pipe_is_never_inherited_by_accident_and_outlives_its_reader() {
        let file = Sink::File("x".into());
        let (outputs, mut captured) =
            OutputMaker::default().make(&config(file, None), None).expect("pipes");
        let reader = captured.pop().expect("captured").reader;
        assert!(captured.is_empty());
        assert!(close_on_exec(outputs.stdout()) && close_on_exec(reader.as_fd()));
        assert_eq!(outputs.stdout().as_raw_fd(), outputs.stderr().as_raw_fd());
        drop(reader);
        assert_eq!(nix::unistd::write(outputs.stdout(), b"kept"), Ok(4));
    }

    #[test]
    fn the_pipe_belongs_to_the_service_user() {
        let us = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        let owner = if us.0 == 0 { (12_345, 54_321) } else { us };
        let (_reader, writer) = pipe(Some(owner)).expect("pipe");
        let metadata = std::fs::File::from(writer).metadata().expect("open");
        assert_eq!((metadata.uid(), metadata.gid()), owner);
    }

    #[test]
    fn what_is_not_captured_is_shared() {
        let maker = OutputMaker::default();
        let (one, none) =
            maker.make(&config(Sink::Null, Some(Sink::Inherit)), None).expect("outputs");
        assert!(none.is_empty());
        let (other, _) =
            maker.make(&config(Sink::Inherit, Some(Sink::Null)), None).expect("outputs");
        assert_eq!(one.stdout().as_raw_fd(), other.stderr().as_raw_fd());
        assert_eq!(inode(one.stderr()), inode(io::stderr().as_fd()));
        assert_eq!(inode(other.stdout()), inode(io::stdout().as_fd()));
        assert!(close_on_exec(one.stdout()) && close_on_exec(one.stderr()));
    }
}
