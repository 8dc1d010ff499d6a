//! Followers: lines as they come, for readers that may be slow or gone.
//!
//! The log thread never waits for a reader. A queue that is full takes nothing more until its
//! reader has had all of it and has been told how many lines it missed; so the gap stands in the
//! right place.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use supervisor_api::{LogLine, Stream};
use supervisor_engine::ServiceId;
use tokio::sync::Notify;

use super::lines::Lines;
use super::sinks::Batch;

/// Most bytes that wait for one reader; what a line counts for beside its text.
const QUEUE_MAX: usize = 256 * 1024;
const LINE_COST: usize = size_of::<LogLine>();

/// The reader's end. Dropping it ends the following.
#[derive(Debug)]
pub struct Following {
    queue: Arc<Queue>,
}

/// What a follower gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The next line.
    Line(LogLine),
    /// So many lines are missing here, because the reader was too slow.
    Lost(u64),
}

/// The log thread's end.
#[derive(Debug)]
pub(super) struct Follower {
    queue: Arc<Queue>,
    services: Vec<ServiceId>,
    stream: Option<Stream>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<LogLine>,
    cost: usize,
    lost: u64,
    ended: bool,
}

/// Both ends of a following.
pub(super) fn follow(services: Vec<ServiceId>, stream: Option<Stream>) -> (Follower, Following) {
    let queue = Arc::<Queue>::default();
    (Follower { queue: Arc::clone(&queue), services, stream }, Following { queue })
}

impl Following {
    /// The next line, when there is one; `None` when the daemon no longer captures.
    pub async fn next(&mut self) -> Option<Followed> {
        loop {
            {
                let mut state = self.queue.lock();
                if let Some(line) = state.lines.pop_front() {
                    state.cost -= LINE_COST + line.line.len();
                    return Some(Followed::Line(line));
                }
                if state.lost > 0 {
                    return Some(Followed::Lost(std::mem::take(&mut state.lost)));
                }
                if state.ended {
                    return None;
                }
            }
            self.queue.news.notified().await;
        }
    }
}

impl Follower {
    /// Gives the reader the lines that it wants.
    pub(super) fn push(&self, batch: &Batch<'_>) {
        let wanted = self.services.contains(&batch.service)
            && self.stream.is_none_or(|stream| stream == batch.stream);
        if !wanted {
            return;
        }
        let mut state = self.queue.lock();
        for line in Lines::new(batch.text, batch.max_line) {
            if state.lost > 0 || state.cost >= QUEUE_MAX {
                state.lost += 1;
                continue;
            }
            let line = LogLine {
                service: batch.name.to_owned(),
                stream: batch.stream,
                time_ms: batch.time_ms,
                line: String::from_utf8_lossy(line.text).into_owned(),
            };
            state.cost += LINE_COST + line.line.len();
            state.lines.push_back(line);
        }
        drop(state);
        self.queue.news.notify_one();
    }

    /// Whether nobody reads any more.
    pub(super) fn is_gone(&self) -> bool {
        Arc::strong_count(&self.queue) == 1
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.queue.lock().ended = true;
        self.queue.news.notify_one();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &str) -> Batch<'_> {
        Batch {
            service: ServiceId(1),
            source: super::super::source::SourceId(1),
            name: "web",
            stream: Stream::Stdout,
            time_ms: 7,
            text: text.as_bytes(),
            max_line: 1 << 20,
        }
    }

    fn next(following: &mut Following) -> Option<Followed> {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("runtime")
            .block_on(following.next())
    }

    fn line(text: &str) -> Followed {
        Followed::Line(LogLine {
            service: "web".to_owned(),
            stream: Stream::Stdout,
            time_ms: 7,
            line: text.to_owned(),
        })
    }

    #[test]
    fn a_slow_reader_learns_what_it_missed_where_it_missed_it() {
        let (follower, mut following) = follow(vec![ServiceId(1)], None);
        let large = "x".repeat(QUEUE_MAX);
        follower.push(&batch(&format!("one\n{large}\nlost\nlost\n")));
        assert_eq!(next(&mut following), Some(line("one")));
        follower.push(&batch("lost\n"));
        assert_eq!(next(&mut following), Some(line(&large)));
        follower.push(&batch("lost\n"));
        assert_eq!(next(&mut following), Some(Followed::Lost(4)));
        follower.push(&batch("two\n"));
        assert_eq!(next(&mut following), Some(line("two")));
        follower.push(&batch("three\n"));
        drop(follower);
        assert_eq!(next(&mut following), Some(line("three")));
        assert_eq!(next(&mut following), None);
        assert_eq!(next(&mut following), None);
    }

    #[test]
    fn only_what_is_wanted() {
        let (others, mut following) = follow(vec![ServiceId(2)], None);
        others.push(&batch("one\n"));
        drop(others);
        assert_eq!(next(&mut following), None);
        let (errors, mut following) = follow(vec![ServiceId(1)], Some(Stream::Stderr));
        errors.push(&batch("one\n"));
        assert!(!errors.is_gone());
        drop(errors);
        assert_eq!(next(&mut following), None);
        let (gone, _) = follow(vec![], None);
        assert!(gone.is_gone());
    }
}
