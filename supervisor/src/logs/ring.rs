//! The last output of a service, in memory, for reading back.
//!
//! Text is kept as it came, in records of what was read at once: taking it in costs a copy, and
//! lines are looked for only when somebody asks. Nothing is allocated before the first text.

use std::collections::VecDeque;

use supervisor_api::Stream;

use super::lines::Lines;

/// The last output of one service, both streams.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
    records: VecDeque<Record>,
    /// Most that bytes and records may take together.
    budget: usize,
}

/// Bytes of one stream that came at the same time and begin with the begin of a line or piece.
#[derive(Debug)]
struct Record {
    time_ms: u64,
    len: usize,
    stream: Stream,
}

/// What a record counts for in the budget.
const RECORD: usize = size_of::<Record>();

/// Memory that the first text takes, if the budget has that much.
const FIRST: usize = 512;

/// A line read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) time_ms: u64,
    pub(super) stream: Stream,
    /// Bytes that are not UTF-8 are replaced.
    pub(super) line: String,
}

impl Ring {
    pub(super) const fn new(budget: usize) -> Self {
        Self { bytes: VecDeque::new(), records: VecDeque::new(), budget }
    }

    /// Takes in complete lines or pieces, and forgets as many old lines as there is no room for.
    pub(super) fn push(&mut self, time_ms: u64, stream: Stream, text: &[u8]) {
        let text = last_lines(text, self.budget.saturating_sub(RECORD));
        if text.is_empty() {
            return;
        }
        while self.used() + RECORD + text.len() > self.budget {
            self.forget(self.used() + RECORD + text.len() - self.budget);
        }
        let on_line_start = self.bytes.back().is_none_or(|&last| last == b'\n');
        match self.records.back_mut() {
            Some(last) if on_line_start && (last.time_ms, last.stream) == (time_ms, stream) => {
                last.len += text.len();
            }
            Some(_) | None => {
                self.records.push_back(Record { time_ms, len: text.len(), stream });
            }
        }
        let needed = self.bytes.len() + text.len();
        if needed > self.bytes.capacity() {
            // Doubled, but never beyond the budget.
            let capacity = (2 * self.bytes.capacity()).max(FIRST).min(self.budget).max(needed);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend(text);
    }

    /// The last `count` lines, of one stream or of both, oldest first.
    pub(super) fn last(&self, count: usize, only: Option<Stream>, max_line: usize) -> Vec<Kept> {
        let mut kept = Vec::new();
        let mut end = self.bytes.len();
        for record in self.records.iter().rev() {
            if kept.len() >= count {
                break;
            }
            let start = end - record.len;
            if only.is_none_or(|stream| stream == record.stream) {
                let text: Vec<u8> = self.bytes.range(start..end).copied().collect();
                let lines: Vec<_> = Lines::new(&text, max_line).collect();
                kept.extend(lines.iter().rev().take(count - kept.len()).map(|line| Kept {
                    time_ms: record.time_ms,
                    stream: record.stream,
                    line: String::from_utf8_lossy(line.text).into_owned(),
                }));
            }
            end = start;
        }
        kept.reverse();
        kept
    }

    fn used(&self) -> usize {
        self.bytes.len() + RECORD * self.records.len()
    }

    /// Forgets whole lines of the oldest record, of at least `excess` bytes, or all of it.
    fn forget(&mut self, excess: usize) {
        let Some(oldest) = self.records.front_mut() else { return };
        let newline = self
            .bytes
            .range(..oldest.len)
            .skip(excess - 1)
            .position(|&byte| byte == b'\n')
            .map_or(oldest.len, |found| excess + found);
        self.bytes.drain(..newline);
        oldest.len -= newline;
        if oldest.len == 0 {
            self.records.pop_front();
        }
    }
}

/// As many of the last lines of the text as fit; the end of the last if not even that fits.
fn last_lines(text: &[u8], room: usize) -> &[u8] {
    let Some(start) = text.len().checked_sub(room).filter(|&start| start > 0) else { return text };
    let end = text.get(start..).unwrap_or_default();
    // From one byte before, since a line may begin right at the start.
    let newline = memchr::memchr(b'\n', text.get(start - 1..).unwrap_or_default());
    newline.and_then(|newline| end.get(newline..)).filter(|lines| !lines.is_empty()).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(ring: &Ring) -> Vec<String> {
        ring.last(usize::MAX, None, 1000).into_iter().map(|kept| kept.line).collect()
    }

    #[test]
    fn silence_costs_nothing() {
        let ring = Ring::new(1 << 30);
        assert_eq!((ring.bytes.capacity(), ring.records.capacity()), (0, 0));
        assert_eq!(lines(&ring), [""; 0]);
    }

    #[test]
    fn old_lines_make_room_for_new_ones() {
        let mut ring = Ring::new(RECORD + 12);
        ring.push(1, Stream::Stdout, b"one\ntwo\n");
        ring.push(1, Stream::Stdout, b"three\n");
        // A record of its own is planned for, although the time is the same.
        assert_eq!(lines(&ring), ["three"]);
        ring.push(1, Stream::Stdout, b"a line that is longer than all\n");
        assert_eq!(lines(&ring), ["er than all"]);
        ring.push(2, Stream::Stderr, b"a line that is longer\nx\n");
        assert_eq!(lines(&ring), ["x"]);
    }

    #[test]
    fn a_buffer_of_nothing_keeps_nothing() {
        for budget in [0, 1, RECORD] {
            let mut ring = Ring::new(budget);
            ring.push(1, Stream::Stdout, b"one\n");
            assert_eq!(lines(&ring), [""; 0]);
            assert_eq!(ring.used(), 0);
        }
    }

    #[test]
    fn streams_times_and_counts() {
        let mut ring = Ring::new(1000);
        ring.push(1, Stream::Stdout, b"a\nb\n");
        ring.push(2, Stream::Stderr, b"c\xff\n");
        ring.push(3, Stream::Stdout, b"d\npiece");
        ring.push(3, Stream::Stdout, b"rest\n");
        let kept = |time_ms, stream, line: &str| Kept { time_ms, stream, line: line.to_owned() };
        assert_eq!(ring.last(2, None, 100)[0], kept(3, Stream::Stdout, "piece"));
        assert_eq!(ring.last(1, Some(Stream::Stderr), 100), [kept(2, Stream::Stderr, "c\u{fffd}")]);
        assert_eq!(ring.last(4, Some(Stream::Stdout), 100)[0], kept(1, Stream::Stdout, "b"));
        assert_eq!(lines(&ring), ["a", "b", "c\u{fffd}", "d", "piece", "rest"]);
        assert_eq!(ring.last(0, None, 100), []);
    }

    proptest! {
        #[test]
        fn keeps_the_end_of_what_came_within_its_budget(
            texts in prop::collection::vec((0_u64..3, "([a-z]{0,12}\n){1,6}"), 0..50),
            budget in 0_usize..400,
        ) {
            let mut ring = Ring::new(budget);
            let mut time = 0;
            let mut all = String::new();
            for (later, text) in texts {
                time += later;
                ring.push(time, Stream::Stdout, text.as_bytes());
                all += &text;
                prop_assert!(ring.used() <= budget);
                prop_assert!(ring.bytes.capacity() <= budget.max(FIRST));
            }
            let kept = lines(&ring).join("\n");
            let all = all.strip_suffix('\n').unwrap_or_default();
            prop_assert!(all.ends_with(&kept), "{kept:?} of {all:?}");
        }
    }
}
