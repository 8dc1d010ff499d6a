//! A log file: opened at its first byte, rotated by size, and in nobody's way when it fails.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use supervisor_engine::ServiceId;

use super::fault::FaultSender;
use super::place::Place;
use super::source::SourceId;
use super::stamp::{rfc3339, unix_ms};

/// How long a file that failed is left alone.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// A log file. It may have several writers, all in the log thread.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Option<Rotation>,
    open: Option<Open>,
    place: Place,
    outage: Option<Outage>,
    /// Since when it should have been rotated but could not be.
    rotation_failed: Option<Instant>,
}

/// When and how a file is rotated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    /// A file does not grow beyond this, but for a single line that is longer.
    pub(super) size: u64,
    /// How many old files are kept, as `PATH.1` (the youngest) and so on.
    pub(super) keep: u32,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    /// Pipes and devices are not rotated.
    regular: bool,
}

#[derive(Debug)]
struct Outage {
    service: ServiceId,
    lost: u64,
    error: io::Error,
}

impl LogFile {
    pub(super) const fn new(path: PathBuf, rotation: Option<Rotation>) -> Self {
        Self {
            path,
            rotation,
            open: None,
            place: Place::LineStart,
            outage: None,
            rotation_failed: None,
        }
    }

    /// Appends complete lines or pieces. What cannot be written is lost to the file and counted;
    /// while that lasts only [`Self::retry`] touches the file.
    pub(super) fn write(
        &mut self,
        service: ServiceId,
        source: SourceId,
        text: &[u8],
        faults: &FaultSender,
    ) {
        if let Some(outage) = &mut self.outage {
            outage.lost += text.len() as u64;
            return;
        }
        let mut rest = text;
        if let Err(error) = self.append(service, source, &mut rest, faults) {
            faults.write_failed(service, &self.path, &error);
            self.outage = Some(Outage { service, lost: rest.len() as u64, error });
            self.close_failed();
        }
    }

    /// Whether text of the source would go on with the line that the file ends with.
    pub(super) fn continues(&self, source: SourceId) -> bool {
        self.place.continues(source)
    }

    /// The source has no more to say in this line.
    pub(super) fn abandon(&mut self, source: SourceId) {
        self.place.abandon(source);
    }

    /// Opens the path anew at the next byte, because somebody has moved the file away.
    pub(super) fn reopen(&mut self) {
        self.open = None;
    }

    pub(super) const fn is_out(&self) -> bool {
        self.outage.is_some()
    }

    /// After an outage: says in the file how much is missing, and goes on.
    pub(super) fn retry(&mut self, faults: &FaultSender) {
        let Some(outage) = &self.outage else { return };
        let (service, lost) = (outage.service, outage.lost);
        let mut notice = rfc3339(unix_ms()).to_vec();
        let message = format!(" supervisord: {lost} bytes of output lost: {}\n", outage.error);
        notice.extend_from_slice(message.as_bytes());
        let written = self.open().and_then(|()| self.put(SourceId::DAEMON, &mut notice.as_slice()));
        match written {
            Ok(()) => {
                self.outage = None;
                faults.write_resumed(service, &self.path, lost);
            }
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "log file still fails");
                self.close_failed();
            }
        }
    }

    fn close_failed(&mut self) {
        self.open = None;
        if self.place != Place::LineStart {
            self.place = Place::Torn;
        }
    }

    /// Writes `text` and takes from its front what is written.
    fn append(
        &mut self,
        service: ServiceId,
        source: SourceId,
        text: &mut &[u8],
        faults: &FaultSender,
    ) -> io::Result<()> {
        while !text.is_empty() {
            self.open()?;
            let mut len = self.fitting(source, text);
            if len == 0 {
                match self.rotate() {
                    Ok(()) => {
                        if self.rotation_failed.take().is_some() {
                            faults.rotation_resumed(service, &self.path);
                        }
                        continue;
                    }
                    Err(error) => {
                        if self.rotation_failed.replace(Instant::now()).is_none() {
                            faults.rotation_failed(service, &self.path, &error);
                        }
                        len = text.len();
                    }
                }
            }
            let (part, later) = text.split_at(len);
            let mut part = part;
            let result = self.put(source, &mut part);
            *text = text.get(text.len() - part.len() - later.len()..).unwrap_or_default();
            result?;
        }
        Ok(())
    }

    /// How much of the text belongs into the file before it is rotated; 0: rotate first.
    fn fitting(&self, source: SourceId, text: &[u8]) -> usize {
        let (Some(rotation), Some(open)) = (self.rotation, &self.open) else { return text.len() };
        if !open.regular || self.rotation_failed.is_some_and(|at| at.elapsed() < RETRY) {
            return text.len();
        }
        let room = usize::try_from(rotation.size.saturating_sub(open.size)).unwrap_or(usize::MAX);
        let Some(fitting) = text.get(..room) else { return text.len() };
        if room == text.len() {
            return room;
        }
        if let Some(newline) = memchr::memrchr(b'\n', fitting) {
            return newline + 1;
        }
        // Not even the first line fits. An empty file takes it nevertheless, and a line that was
        // begun is finished, unless it fills a file of its own without an end.
        if open.size == 0 || (self.place.continues(source) && open.size < rotation.size) {
            return memchr::memchr(b'\n', text).map_or(text.len(), |newline| newline + 1);
        }
        0
    }

    /// Moves the file away, the older ones out of its way; keeping none empties it.
    fn rotate(&mut self) -> io::Result<()> {
        let (Some(rotation), Some(open)) = (self.rotation, &mut self.open) else { return Ok(()) };
        if rotation.keep == 0 {
            open.file.set_len(0)?;
            open.size = 0;
            return Ok(());
        }
        // Only as far as the first gap; without one the oldest is replaced.
        let last = (1..rotation.keep)
            .find(|&number| !numbered(&self.path, number).exists())
            .unwrap_or(rotation.keep);
        for number in (1..last).rev() {
            rename(&numbered(&self.path, number), &numbered(&self.path, number + 1))?;
        }
        rename(&self.path, &numbered(&self.path, 1))?;
        self.open = None;
        Ok(())
    }

    /// Makes sure that the file is open.
    fn open(&mut self) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let file = match open_for_append(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(directory) = self.path.parent() {
                    fs::create_dir_all(directory)?;
                }
                open_for_append(&self.path)?
            }
            other => other?,
        };
        let metadata = file.metadata()?;
        let open = Open { file, size: metadata.len(), regular: metadata.is_file() };
        self.place = match last_byte(&self.path, &open) {
            Some(b'\n') => Place::LineStart,
            Some(_) if self.place == Place::LineStart => Place::Torn,
            None if self.place == Place::Torn => Place::LineStart,
            Some(_) | None => self.place,
        };
        self.open = Some(open);
        Ok(())
    }

    /// Writes `text` into the open file and takes from its front what is written.
    fn put(&mut self, source: SourceId, text: &mut &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotConnected.into()) };
        while !text.is_empty() {
            let newline = self.place.needs_newline(source);
            let next: &[u8] = if newline { b"\n" } else { text };
            let len = match open.file.write(next) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            open.size += len as u64;
            if newline {
                self.place = Place::LineStart;
                continue;
            }
            let (written, later) = text.split_at(len.min(text.len()));
            self.place = self.place.after(source, written);
            *text = later;
        }
        Ok(())
    }
}

/// Neither a pipe without a reader nor a terminal may hold up or take over the daemon.
fn open_for_append(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags.bits()).open(path)
}

/// What the file ends with, if it has an end and may be read.
fn last_byte(path: &Path, open: &Open) -> Option<u8> {
    let at = open.size.checked_sub(1).filter(|_| open.regular)?;
    let mut byte = [0];
    File::open(path).and_then(|file| file.read_exact_at(&mut byte, at)).ok()?;
    let [byte] = byte;
    Some(byte)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// What is gone already need not be moved.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
