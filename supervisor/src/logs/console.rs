//! The copy of all output on the daemon's stdout.
//!
//! A console that is slow slows the services down, as if they wrote to it themselves. One that
//! takes nothing at all for [`GRACE`] is no longer waited for: what comes then is counted, and
//! the count shown when it takes something again. The files have everything.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use supervisor_api::Stream;

use super::lines::Lines;
use super::place::Place;
use super::sinks::Batch;
use super::source::SourceId;
use crate::config::Console;

/// How long a console that takes nothing is waited for.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Most that waits for a slow console, beside one batch.
const WAITING_MAX: usize = 1024 * 1024;

/// Longest name that others are padded to.
const NAME_MAX: usize = 24;

/// Memory that the buffer keeps between batches.
const BUFFER_KEPT: usize = 256 * 1024;

/// The console, if there is one.
#[derive(Debug)]
pub(super) struct ConsoleCopy {
    format: Console,
    color: bool,
    /// `None`: nothing is copied (any more).
    file: Option<File>,
    /// Width of the names.
    width: usize,
    place: Place,
    /// What is formatted; from `sent` on it is not yet written.
    buffer: Vec<u8>,
    sent: usize,
    /// Since when the console takes nothing.
    stuck: Option<Instant>,
    /// Bytes of output that were not copied, as long as nobody was told.
    lost: usize,
}

impl ConsoleCopy {
    /// Copies to `fd`, which stays as it is for those who share it.
    pub(super) fn new(format: Console, color: bool, fd: Option<OwnedFd>) -> Self {
        Self {
            format,
            color,
            file: fd.filter(|_| format != Console::None).map(never_blocking),
            width: 0,
            place: Place::LineStart,
            buffer: Vec::new(),
            sent: 0,
            stuck: None,
            lost: 0,
        }
    }

    /// Makes room for the name.
    pub(super) fn register(&mut self, name: &str) {
        self.width = self.width.max(name.chars().count().min(NAME_MAX));
    }

    /// Copies a batch.
    pub(super) fn write(&mut self, batch: &Batch<'_>, now: Instant) {
        if self.file.is_none() {
            return;
        }
        let waiting = self.waiting();
        let full = self.buffer.len() - self.sent > WAITING_MAX;
        if waiting && (self.lost > 0 || full || !self.holds(now)) {
            self.lost += batch.text.len();
            return;
        }
        if self.lost > 0 {
            self.admit_loss();
        }
        self.format(batch);
        if !waiting {
            self.send(now);
        }
    }

    /// The source has no more to say in this line.
    pub(super) fn abandon(&mut self, source: SourceId) {
        self.place.abandon(source);
    }

    /// What to wait for until it can be written, before [`Self::send`].
    pub(super) fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().filter(|_| self.waiting()).map(AsFd::as_fd)
    }

    /// Until when the sources should rather wait for the console.
    pub(super) fn hold_until(&self) -> Option<Instant> {
        self.stuck.filter(|_| self.lost == 0).map(|since| since + GRACE)
    }

    /// Whether the sources should rather wait.
    pub(super) fn holds(&self, now: Instant) -> bool {
        self.hold_until().is_some_and(|until| now < until)
    }

    /// Writes what waits.
    pub(super) fn send(&mut self, now: Instant) {
        while let Some(file) = &mut self.file {
            let rest = self.buffer.get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                self.forget();
                if self.lost == 0 {
                    return;
                }
                self.admit_loss();
                continue;
            }
            match file.write(rest) {
                Ok(len) if len > 0 => {
                    self.sent += len;
                    self.stuck = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    tracing::debug!(%error, "console cannot be written");
                    if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::EIO)) {
                        // Its reader or the terminal is gone; there is nobody to be told.
                        self.file = None;
                    } else {
                        // A full disk, perhaps, so the next lines may go again.
                        self.lost += rest.len();
                        self.place = Place::Torn;
                    }
                    self.forget();
                    return;
                }
                Ok(_) | Err(_) => {
                    self.stuck.get_or_insert(now);
                    return;
                }
            }
        }
    }

    /// Waits until all is written, or `deadline`.
    pub(super) fn finish(&mut self, deadline: Instant) {
        loop {
            let now = Instant::now();
            self.send(now);
            let Some(fd) = self.blocked() else { return };
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            // At least a millisecond: less would be none.
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1));
            let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
            // Whatever comes of it, the loop looks again.
            let _ = poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX));
        }
    }

    /// Empties the buffer.
    fn forget(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT);
        (self.sent, self.stuck) = (0, None);
    }

    /// Puts the notice of what was lost where it is missing.
    fn admit_loss(&mut self) {
        if self.place != Place::LineStart {
            self.buffer.push(b'\n');
            self.place = Place::LineStart;
        }
        let notice = format!("supervisord: {} bytes of output not shown here\n", self.lost);
        self.buffer.extend_from_slice(notice.as_bytes());
        self.lost = 0;
    }

    const fn waiting(&self) -> bool {
        self.sent < self.buffer.len()
    }

    fn format(&mut self, batch: &Batch<'_>) {
        if self.format == Console::Json {
            for line in Lines::new(batch.text, batch.max_line) {
                let line = JsonLine {
                    service: batch.name,
                    stream: batch.stream,
                    time_ms: batch.time_ms,
                    line: String::from_utf8_lossy(line.text),
                };
                // Writing into memory does not fail.
                let _ = serde_json::to_writer(&mut self.buffer, &line);
                self.buffer.push(b'\n');
            }
            return;
        }
        if self.place.needs_newline(batch.source) {
            self.buffer.push(b'\n');
        }
        match self.format {
            Console::Prefix => {
                let prefix = prefix(batch, self.width, self.color);
                let mut begun = self.place.continues(batch.source);
                for line in batch.text.split_inclusive(|&byte| byte == b'\n') {
                    if !begun {
                        self.buffer.extend_from_slice(prefix.as_bytes());
                    }
                    self.buffer.extend_from_slice(line);
                    begun = false;
                }
            }
            Console::Raw | Console::Json | Console::None => {
                self.buffer.extend_from_slice(batch.text);
            }
        }
        self.place = self.place.after(batch.source, batch.text);
    }
}

/// [`supervisor_api::LogLine`], borrowed.
#[derive(Serialize)]
struct JsonLine<'a> {
    service: &'a str,
    stream: Stream,
    time_ms: u64,
    line: Cow<'a, str>,
}

/// `name   | `, or with `!` for stderr.
fn prefix(batch: &Batch<'_>, width: usize, color: bool) -> String {
    let mark = match batch.stream {
        Stream::Stdout => '|',
        Stream::Stderr => '!',
    };
    let name = batch.name;
    if color {
        format!("\x1b[{}m{name:width$} {mark}\x1b[0m ", color_of(name))
    } else {
        format!("{name:width$} {mark} ")
    }
}

/// A colour that is readable on black and on white (`console_codes(4)`), the same at each start.
fn color_of(name: &str) -> u8 {
    const COLORS: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];
    // FNV-1a: near names get different colours.
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let index = usize::try_from(hash >> 16).unwrap_or(0) % COLORS.len();
    COLORS.get(index).copied().unwrap_or(36)
}

/// Opens a pipe or terminal anew, so that it does not block for us and still does for others.
/// What cannot be opened anew (a socket) or must not (a file has an offset) is used as it is.
fn never_blocking(fd: OwnedFd) -> File {
    let file = File::from(fd);
    let anew = file
        .metadata()
        .ok()
        .map(|metadata| metadata.file_type())
        .filter(|kind| kind.is_fifo() || kind.is_char_device())
        .and_then(|_| {
            OpenOptions::new()
                .write(true)
                .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
                .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
                .ok()
        });
    anew.unwrap_or(file)
}

#[cfg(test)]
mod tests;
