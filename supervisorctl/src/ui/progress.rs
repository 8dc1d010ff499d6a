//! What an operation waits for, as a block of lines: one per service that is not done.

use std::time::Duration;

use supervisor_api::{Event, EventKind, Operation, State};

use super::one_line;
use crate::duration::for_people;

/// The services of an operation and how far each is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pending: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    service: String,
    text: String,
}

impl Progress {
    /// Takes over what `operation` says: who is done, and what the others do.
    pub(crate) fn update(&mut self, operation: &Operation) {
        let known = std::mem::take(&mut self.pending);
        for item in operation.items.iter().filter(|item| item.result.is_none()) {
            let before = known.iter().find(|entry| entry.service == item.service);
            // What an event said is newer than no message.
            let text = match before {
                Some(entry) if item.message.is_empty() => entry.text.clone(),
                Some(_) | None => one_line(&item.message),
            };
            self.pending.push(Entry { service: item.service.clone(), text });
        }
    }

    /// Takes over what an event says about a service that the operation waits for.
    pub(crate) fn event(&mut self, event: &Event) {
        let (service, text) = match &event.kind {
            EventKind::Transition { service, companion, to, cause, .. } => {
                let who = if *companion { "other process " } else { "" };
                (service, format!("{who}{}  {}", to.as_str(), one_line(cause)))
            }
            EventKind::Status { service, text } => (service, one_line(text)),
            EventKind::ServiceAdded { .. }
            | EventKind::ServiceRemoved { .. }
            | EventKind::Operation { .. } => return,
        };
        if let Some(entry) = self.pending.iter_mut().find(|entry| entry.service == *service) {
            entry.text = text;
        }
    }

    /// As [`Self::event`], for a shutdown, which names its services by and by.
    pub(crate) fn shutdown_event(&mut self, event: &Event) {
        if let EventKind::Transition { service, companion: false, to, .. } = &event.kind {
            let is_down = match to {
                State::Stopped | State::Exited | State::Failed => true,
                State::Waiting
                | State::Starting
                | State::Running
                | State::Reloading
                | State::Stopping
                | State::Backoff => false,
            };
            if is_down {
                self.pending.retain(|entry| entry.service != *service);
            } else if self.pending.iter().all(|entry| entry.service != *service) {
                self.pending.push(Entry { service: service.clone(), text: String::new() });
            }
        }
        self.event(event);
    }

    /// The block after `elapsed`, at most `width` columns and `height` lines.
    pub(crate) fn lines(&self, elapsed: Duration, width: usize, height: usize) -> Vec<String> {
        let name_width = self.pending.iter().map(|entry| entry.service.chars().count()).max();
        let name_width = name_width.unwrap_or(0);
        let elapsed = for_people(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        let shown = if self.pending.len() > height { height.saturating_sub(1) } else { height };
        let mut lines: Vec<String> = self
            .pending
            .iter()
            .take(shown)
            .map(|entry| format!("  {:name_width$}  {elapsed:>7}  {}", entry.service, entry.text))
            .collect();
        if let more @ 1.. = self.pending.len().saturating_sub(shown) {
            lines.push(format!("  … {more} more"));
        }
        // A line that wraps would be two, and the next block would be drawn too low.
        lines.iter().map(|line| line.chars().take(width - 1).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use supervisor_api::{Item, ItemResult};

    use super::*;

    fn operation(items: &[(&str, Option<ItemResult>, &str)]) -> Operation {
        let items = items.iter().map(|(service, result, message)| Item {
            service: (*service).into(),
            named: true,
            result: *result,
            message: (*message).into(),
        });
        Operation {
            id: 1,
            verb: "start".into(),
            done: false,
            ok: false,
            elapsed_ms: 0,
            items: items.collect(),
        }
    }

    fn transition(service: &str, to: State) -> Event {
        let kind = EventKind::Transition {
            companion: false,
            service: service.into(),
            invocation: None,
            from: State::Stopped,
            to,
            cause: "asked\nfor".into(),
        };
        Event { rev: 1, time_ms: 1, kind }
    }

    #[test]
    fn a_line_for_each_service_that_is_not_done() {
        let mut progress = Progress::default();
        progress.update(&operation(&[
            ("db", Some(ItemResult::Started), ""),
            ("web", None, "needs db"),
            ("worker", None, ""),
        ]));
        progress.event(&transition("worker", State::Starting));
        progress.event(&transition("stranger", State::Starting));
        insta::assert_snapshot!(progress.lines(Duration::from_millis(1200), 80, 10).join("\n"), @r"
          web        1.2s  needs db
          worker     1.2s  starting  asked for
        ");
        progress
            .update(&operation(&[("web", Some(ItemResult::Started), ""), ("worker", None, "")]));
        insta::assert_snapshot!(progress.lines(Duration::from_secs(61), 80, 10).join("\n"), @"  worker  1min 1s  starting  asked for");
    }

    #[test]
    fn the_block_fits_the_terminal() {
        let names: Vec<String> = (0..20).map(|n| format!("service-{n:02}")).collect();
        let items: Vec<_> = names.iter().map(|name| (name.as_str(), None, "long text")).collect();
        let mut progress = Progress::default();
        progress.update(&operation(&items));
        insta::assert_snapshot!(progress.lines(Duration::ZERO, 30, 3).join("\n"), @r"
          service-00      0ms  long t
          service-01      0ms  long t
          … 18 more
        ");
    }

    #[test]
    fn a_shutdown_names_its_services_as_they_stop() {
        let mut progress = Progress::default();
        progress.shutdown_event(&transition("web", State::Stopping));
        progress.shutdown_event(&transition("db", State::Stopping));
        progress.shutdown_event(&transition("web", State::Stopped));
        insta::assert_snapshot!(progress.lines(Duration::ZERO, 80, 3).join("\n"), @"  db      0ms  stopping  asked for");
    }
}
