//! Reading the record that the fixture services write.

use super::{Daemon, wait_until};

/// One line of the record, see `tests/fixtures/record.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Happening {
    /// Unix time in microseconds.
    pub(crate) time: u64,
    /// `start`, `signal`, `said`, `exit`, …
    pub(crate) what: String,
    /// Name of the service.
    pub(crate) name: String,
    /// The process.
    pub(crate) pid: i32,
    /// The rest of the line.
    pub(crate) detail: String,
}

/// Reads the lines that are whole.
pub(super) fn parse(text: &str) -> Vec<Happening> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Happening {
    let mut words = line.splitn(5, ' ');
    let mut next = || words.next().unwrap_or_else(|| panic!("not a line of the record: {line}"));
    Happening {
        time: next().parse().unwrap(),
        what: next().to_owned(),
        name: next().to_owned(),
        pid: next().parse().unwrap(),
        detail: next().to_owned(),
    }
}

impl Daemon {
    /// What one service did in one respect, in order.
    pub(crate) fn happened(&self, what: &str, name: &str) -> Vec<Happening> {
        let mut record = self.record();
        record.retain(|line| line.what == what && line.name == name);
        record
    }

    /// Names of the services in the order in which they did `what`.
    pub(crate) fn order(&self, what: &str) -> Vec<String> {
        let record = self.record().into_iter();
        record.filter(|line| line.what == what).map(|line| line.name).collect()
    }

    /// Waits until a service has done something `count` times; the last of them.
    pub(crate) fn wait_record(&self, what: &str, name: &str, count: usize) -> Happening {
        wait_until(&format!("{what} {name} {count} times"), &mut (), |()| {
            let record = self.happened(what, name);
            (record.len() >= count).then(|| record.last().cloned())?
        })
    }
}
