//! Where lines go once they are read: the file, the memory, the console and the followers.

use std::collections::BTreeMap;
use std::time::Instant;

use supervisor_api::{LogLine, Stream};
use supervisor_engine::ServiceId;

use super::Query;
use super::console::ConsoleCopy;
use super::fault::FaultSender;
use super::files::Files;
use super::follow::Follower;
use super::ring::Ring;
use super::source::{Source, SourceId};
use super::stamp::{rfc3339, unix_ms};

/// Lines of one source that were read at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch<'a> {
    pub(super) service: ServiceId,
    pub(super) source: SourceId,
    pub(super) name: &'a str,
    pub(super) stream: Stream,
    pub(super) time_ms: u64,
    /// Complete lines and pieces.
    pub(super) text: &'a [u8],
    pub(super) max_line: usize,
}

/// A service, to those who read what it said.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: Box<str>,
    pub(super) ring: Ring,
    pub(super) max_line: usize,
    /// What is captured and has not ended: stdout, and stderr if it is not merged; those of earlier
    /// starts too if each has its own.
    pub(super) sources: Vec<SourceId>,
}

/// All that lines can go to.
#[derive(Debug)]
pub(super) struct Sinks {
    pub(super) services: BTreeMap<ServiceId, Service>,
    pub(super) files: Files,
    pub(super) console: ConsoleCopy,
    pub(super) followers: Vec<Follower>,
    pub(super) faults: FaultSender,
    /// Room for lines with their stamps.
    stamped: Vec<u8>,
}

impl Sinks {
    pub(super) fn new(console: ConsoleCopy, faults: FaultSender) -> Self {
        Self {
            services: BTreeMap::new(),
            files: Files::default(),
            console,
            followers: Vec::new(),
            faults,
            stamped: Vec::new(),
        }
    }

    /// Takes complete lines and pieces of the source.
    pub(super) fn write(&mut self, source: &Source, text: &[u8], now: Instant) {
        let Some(service) = self.services.get_mut(&source.service) else { return };
        if text.is_empty() {
            return;
        }
        if let Some(watch) = &source.watch {
            watch.look(text, source.max_line);
        }
        let batch = Batch {
            service: source.service,
            source: source.id,
            name: &service.name,
            stream: source.stream,
            time_ms: unix_ms(),
            text,
            max_line: source.max_line,
        };
        let mut file = source.file.borrow_mut();
        let in_file = if source.timestamp {
            stamp(&batch, file.continues(source.id), &mut self.stamped);
            self.stamped.as_slice()
        } else {
            text
        };
        file.write(batch.service, batch.source, in_file, &self.faults);
        if file.is_out() {
            self.files.failed(now);
        }
        service.ring.push(batch.time_ms, batch.stream, text);
        self.console.write(&batch, now);
        for follower in &self.followers {
            follower.push(&batch);
        }
    }

    /// The source has no more to say in the line that it has begun.
    pub(super) fn abandon(&mut self, source: &Source) {
        source.file.borrow_mut().abandon(source.id);
        self.console.abandon(source.id);
    }

    /// The last lines of the services, merged by time.
    pub(super) fn last(&self, query: &Query) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for (name, service) in self.named(&query.services) {
            let kept = service.ring.last(query.lines, query.stream, service.max_line);
            lines.extend(kept.into_iter().map(|kept| LogLine {
                service: name.to_owned(),
                stream: kept.stream,
                time_ms: kept.time_ms,
                line: kept.line,
            }));
        }
        // Stable: lines of one service keep their order.
        lines.sort_by_key(|line| line.time_ms);
        lines.drain(..lines.len().saturating_sub(query.lines));
        lines
    }

    fn named(&self, ids: &[ServiceId]) -> impl Iterator<Item = (&str, &Service)> {
        ids.iter().filter_map(|id| self.services.get(id)).map(|service| (&*service.name, service))
    }
}

/// Writes the lines into `stamped`, each behind its stamp. Text that continues a line has its
/// stamp already.
fn stamp(batch: &Batch<'_>, continues: bool, stamped: &mut Vec<u8>) {
    let stamp = rfc3339(batch.time_ms);
    stamped.clear();
    let mut rest = batch.text;
    let mut begun = continues;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
        let (line, later) = rest.split_at(end);
        if !begun {
            stamped.extend_from_slice(&stamp);
            stamped.push(b' ');
        }
        stamped.extend_from_slice(line);
        begun = false;
        rest = later;
    }
}
