//! All log files: one open file per path, and one timer for those that fail.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Instant;

use super::fault::FaultSender;
use super::file::{LogFile, RETRY, Rotation};

/// A file and those who write into it.
pub(super) type SharedFile = Rc<RefCell<LogFile>>;

/// The files that somebody writes into.
#[derive(Debug, Default)]
pub(super) struct Files {
    by_path: HashMap<PathBuf, Weak<RefCell<LogFile>>>,
    /// When those that fail are tried again; set only while one does.
    retry_at: Option<Instant>,
}

impl Files {
    /// The file of the path; if it has a writer already, that one's rotation counts.
    pub(super) fn get(&mut self, path: PathBuf, rotation: Option<Rotation>) -> SharedFile {
        if let Some(file) = self.by_path.get(&path).and_then(Weak::upgrade) {
            return file;
        }
        let file = Rc::new(RefCell::new(LogFile::new(path.clone(), rotation)));
        self.by_path.insert(path, Rc::downgrade(&file));
        file
    }

    /// Forgets files that have no writers.
    pub(super) fn tidy(&mut self) {
        self.by_path.retain(|_, file| file.strong_count() > 0);
    }

    /// Takes note that a file has failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.retry_at.get_or_insert(now + RETRY);
    }

    pub(super) const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Tries those again that have failed, if it is time.
    pub(super) fn retry(&mut self, now: Instant, faults: &FaultSender) {
        if self.retry_at.is_some_and(|at| at <= now) {
            let mut out = false;
            for file in self.by_path.values().filter_map(Weak::upgrade) {
                file.borrow_mut().retry(faults);
                out |= file.borrow().is_out();
            }
            self.retry_at = out.then(|| now + RETRY);
        }
    }

    /// Opens all paths anew, those that have failed at once.
    pub(super) fn reopen(&mut self, now: Instant, faults: &FaultSender) {
        for file in self.by_path.values().filter_map(Weak::upgrade) {
            file.borrow_mut().reopen();
        }
        self.retry_at = self.retry_at.map(|_| now);
        self.retry(now, faults);
    }
}
