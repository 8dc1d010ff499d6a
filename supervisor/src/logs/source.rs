//! One captured stream: our end of its pipe, its begun line, and how often it is read.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::read;
use supervisor_api::Stream;
use supervisor_engine::ServiceId;

use super::files::SharedFile;
use super::lines::complete;
use super::watch::Watch;

/// Most that is read at once, so that one that floods does not keep others waiting.
pub(super) const READ_MAX: usize = 64 * 1024;

/// How long a pipe that is written in small bits is left alone, so that the bits of that time are
/// read at once. At 100 bytes a line this saves two thirds of the processor time.
pub(super) const COOLING: Duration = Duration::from_micros(200);

/// Two reads of less than this within this time, after one another, begin the cooling.
const SMALL: usize = 4096;
const QUICK: Duration = Duration::from_millis(1);
const QUICK_READS: u8 = 2;

/// A flooded pipe is made this large: the default would fill before the cooling has passed.
const FLOODED_PIPE: i32 = 256 * 1024;

/// A source of lines, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceId(pub(super) u64);

impl SourceId {
    /// The daemon, for its own notices.
    pub(super) const DAEMON: Self = Self(0);
}

/// One captured stream.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) service: ServiceId,
    /// Whose it is of the two processes that a service can have at a time.
    pub(super) unit: ServiceId,
    pub(super) stream: Stream,
    pub(super) reader: OwnedFd,
    pub(super) file: SharedFile,
    /// Whether lines get a time stamp in the file.
    pub(super) timestamp: bool,
    pub(super) max_line: usize,
    /// A begun line, as far as it has come.
    pub(super) begun: Vec<u8>,
    pub(super) pace: Pace,
    /// Who waits for a line of it.
    pub(super) watch: Option<Rc<Watch>>,
}

/// What a read gave.
#[derive(Debug)]
pub(super) enum Read<'a> {
    /// So many bytes, and the complete lines and pieces that they bring.
    Some(usize, &'a [u8]),
    /// Nothing now.
    Nothing,
    /// All writers are gone.
    End,
}

impl Source {
    /// Reads once; the lines lie in `buffer`, which grows as needed.
    pub(super) fn read<'a>(&mut self, buffer: &'a mut Vec<u8>) -> Read<'a> {
        let carried = self.begun.len();
        if buffer.len() < carried + READ_MAX {
            buffer.resize(carried + READ_MAX, 0);
        }
        let (front, back) = buffer.split_at_mut(carried);
        let Some(room) = back.get_mut(..READ_MAX) else { return Read::Nothing };
        let len = match read(&self.reader, room) {
            Ok(0) => return Read::End,
            Ok(len) => len,
            Err(Errno::EAGAIN | Errno::EINTR) => return Read::Nothing,
            Err(error) => {
                tracing::warn!(%error, "pipe of a service cannot be read");
                return Read::End;
            }
        };
        front.copy_from_slice(&self.begun);
        let text = buffer.get(..carried + len).unwrap_or_default();
        let (ready, begun) = text.split_at(complete(text, carried, self.max_line));
        // A new vector: one that has held a long line would keep its memory.
        self.begun = begun.to_vec();
        Read::Some(len, ready)
    }

    /// Makes the pipe larger, if the system lets us (`pipe-user-pages-soft` of `pipe(7)`).
    pub(super) fn grow(&self) {
        if let Err(error) = fcntl(&self.reader, FcntlArg::F_SETPIPE_SZ(FLOODED_PIPE)) {
            tracing::debug!(%error, "pipe keeps its size");
        }
    }
}

/// When a source is read: as soon as it has something, or after cooling.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    quick_reads: u8,
    cooling: bool,
    has_cooled: bool,
}

/// What to do next with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// As before: wait until it has something.
    Wait,
    /// No longer wait for it, but read it when the cooling has passed; for the first time?
    Cool { first: bool },
    /// Still not wait for it.
    CoolOn,
    /// Wait again until it has something.
    WaitAgain,
}

impl Pace {
    /// After a read of `len` bytes; none is 0.
    pub(super) fn after(&mut self, len: usize, now: Instant) -> Next {
        if self.cooling {
            if 0 < len && len < READ_MAX {
                return Next::CoolOn;
            }
            // Either silent again, or written so fast that there is no need to collect.
            *self = Self { has_cooled: true, ..Self::default() };
            return Next::WaitAgain;
        }
        if len == 0 {
            return Next::Wait;
        }
        let quick = self.last.replace(now).is_some_and(|last| now - last < QUICK);
        self.quick_reads = if quick && len < SMALL { self.quick_reads + 1 } else { 0 };
        if self.quick_reads < QUICK_READS {
            return Next::Wait;
        }
        self.cooling = true;
        Next::Cool { first: !std::mem::replace(&mut self.has_cooled, true) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quick_small_reads_cool() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        let mut pace = Pace::default();
        for second in 0..9 {
            assert_eq!(pace.after(100, at(second * 1_000_000)), Next::Wait, "slow");
        }
        for round in 0..9 {
            assert_eq!(pace.after(READ_MAX, at(9_000_000 + round)), Next::Wait, "large");
        }
        assert_eq!(pace.after(100, at(9_000_010)), Next::Wait);
        assert_eq!(pace.after(100, at(9_000_020)), Next::Cool { first: true });
        assert_eq!(pace.after(30_000, at(9_000_220)), Next::CoolOn);
        assert_eq!(pace.after(0, at(9_000_420)), Next::WaitAgain);
        assert_eq!(pace.after(100, at(9_000_500)), Next::Wait);
        assert_eq!(pace.after(100, at(9_000_510)), Next::Wait);
        assert_eq!(pace.after(100, at(9_000_520)), Next::Cool { first: false });
        assert_eq!(pace.after(READ_MAX, at(9_000_720)), Next::WaitAgain);
    }
}
