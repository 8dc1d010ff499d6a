//! The daemon's stderr, which the daemon never waits for.
//!
//! A reader that has gone, a full disk or a pipe that nobody empties must not end or stop the
//! supervision of services. So a thread of its own writes, and what does not fit into the memory
//! between is counted, and the count shown when there is room again.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Most bytes that wait for a slow reader.
const WAITING_MAX: usize = 1024 * 1024;

/// The log's way to stderr; all copies are the same.
#[derive(Clone, Debug)]
pub(super) struct Stderr(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The thread waits for lines.
    some: Condvar,
    /// [`Stderr::flush_within`] waits for their end.
    none: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Lines that the thread has not taken yet.
    waiting: Vec<u8>,
    /// Lines that came when there was no room.
    lost: usize,
    /// Whether the thread is writing what it has taken.
    writing: bool,
}

impl Stderr {
    /// Starts the thread, which writes to `out` until the process ends.
    pub(super) fn start(out: File) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("stderr".into()).spawn(move || of_thread.run(&out))?;
        Ok(Self(shared))
    }

    /// Waits until all is written, but not longer than this.
    pub(super) fn flush_within(&self, time: Duration) {
        let unwritten = |state: &mut State| state.writing || !state.waiting.is_empty();
        let state = self.0.lock();
        drop(self.0.none.wait_timeout_while(state, time, unwritten));
    }
}

impl Write for Stderr {
    /// Takes a whole line, and never fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > WAITING_MAX {
            state.lost += 1;
        } else {
            state.waiting.extend_from_slice(line);
            if !state.writing {
                self.0.some.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn run(&self, out: &File) {
        let mut missing = Missing::default();
        loop {
            let (lines, lost) = self.take();
            missing.admit(out);
            missing.note(&lines, write_all(out, &lines));
            missing.lines += lost;
            missing.admit(out);
        }
    }

    /// Waits for lines and takes them, and the number of those that were lost behind them.
    fn take(&self) -> (Vec<u8>, usize) {
        let mut state = self.lock();
        state.writing = false;
        while state.waiting.is_empty() {
            self.none.notify_all();
            state = self.some.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writing = true;
        (std::mem::take(&mut state.waiting), std::mem::take(&mut state.lost))
    }

    /// Nobody panics while holding it, and if so, lines are still lines.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the reader does not see and is to be told.
#[derive(Debug, Default)]
struct Missing {
    lines: usize,
    /// Whether what was written last ends within a line.
    torn: bool,
}

impl Missing {
    /// Counts what was not written of these lines.
    fn note(&mut self, lines: &[u8], written: usize) {
        let (seen, unseen) = lines.split_at(written);
        self.lines += memchr::memchr_iter(b'\n', unseen).count();
        if let Some(last) = seen.last() {
            self.torn = *last != b'\n';
        }
    }

    /// Says how much is missing, if that can be said.
    fn admit(&mut self, out: &File) {
        if self.lines == 0 {
            return;
        }
        let newline = if self.torn { "\n" } else { "" };
        let notice =
            format!("{newline}supervisord: {} lines of this log are missing\n", self.lines);
        if write_all(out, notice.as_bytes()) == notice.len() {
            *self = Self::default();
        }
    }
}

/// Writes as much as can be, waiting as long as it takes; answers how much.
fn write_all(mut out: &File, text: &[u8]) -> usize {
    let mut rest = text;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(len) if len > 0 => rest = rest.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Somebody else who has it made it so. An error shows at the next write.
                let _ =
                    poll(&mut [PollFd::new(out.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            Ok(_) | Err(_) => break,
        }
    }
    text.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use nix::unistd::pipe;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn what_is_said_is_written_in_order() {
        let (reader, writer) = pipe().unwrap();
        let mut log = Stderr::start(writer.into()).unwrap();
        for number in 0..100 {
            writeln!(log, "line {number}").unwrap();
        }
        log.flush_within(PATIENCE);
        let lines = BufReader::new(File::from(reader)).lines().take(100);
        let lines: Vec<_> = lines.map(Result::unwrap).collect();
        assert_eq!(lines, (0..100).map(|number| format!("line {number}")).collect::<Vec<_>>());
    }

    #[test]
    fn nobody_waits_for_a_reader_that_does_not_read_and_it_learns_what_it_missed() {
        let (reader, writer) = pipe().unwrap();
        let mut log = Stderr::start(writer.into()).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        let said = 2 * WAITING_MAX / line.len();
        for _ in 0..said {
            log.write_all(line.as_bytes()).unwrap();
        }
        log.flush_within(Duration::ZERO);
        for (seen, read) in BufReader::new(File::from(reader)).lines().enumerate() {
            let read = read.unwrap();
            if let Some(missing) = read.strip_prefix("supervisord: ") {
                let missing = missing.strip_suffix(" lines of this log are missing").unwrap();
                assert_eq!(seen + missing.parse::<usize>().unwrap(), said);
                return;
            }
        }
        panic!("no word of the missing lines");
    }

    #[test]
    fn a_reader_that_has_gone_and_a_full_disk_are_no_errors() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        for out in [File::from(writer), File::options().write(true).open("/dev/full").unwrap()] {
            let mut log = Stderr::start(out).unwrap();
            for _ in 0..3 {
                log.write_all(b"line\n").unwrap();
                log.flush_within(PATIENCE);
            }
        }
    }
}
