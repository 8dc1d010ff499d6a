//! `nice`, `oom-score-adj`, `cpu-affinity`, `io-class`, `scheduler`: what share of the machine the
//! processes of a service get.

use super::decode::Decoder;
use super::reader::Reader;
use super::tree::{Node, Value};
use super::value::Bad;

/// How the kernel treats the processes of a service among others; `None`: as the daemon's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// Nice value (`setpriority(2)`), -20 to 19.
    pub nice: Option<i32>,
    /// Which of all are killed first when memory is short (`proc_pid_oom_score_adj(5)`), -1000 to
    /// 1000.
    pub oom_score_adj: Option<i32>,
    /// Processors that they may run on (`sched_setaffinity(2)`).
    pub cpus: Option<CpuSet>,
    /// Share of the disks (`ioprio_set(2)`).
    pub io: Option<IoClass>,
    /// Scheduling policy (`sched(7)`).
    pub scheduler: Option<Scheduler>,
}

/// A set of processors as the kernel takes it: bit `n % 64` of word `n / 64` for processor `n`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(Vec<u64>);

/// Scheduling class of I/O, with a level from 0, the first, to 7 (`ioprio_set(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoClass {
    /// Before all others.
    Realtime(u8),
    /// The usual one.
    BestEffort(u8),
    /// Only when no one else wants the disk.
    Idle,
}

/// Scheduling policy; for the real-time ones with a priority, 1 to 99 (`sched(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// The usual one.
    Other,
    /// As the usual one for what computes and is not waited for.
    Batch,
    /// Only when nobody else wants the processor.
    Idle,
    /// Real time, as long as it likes.
    Fifo(u8),
    /// Real time, in turn with its equals.
    RoundRobin(u8),
}

impl CpuSet {
    /// The words of the set.
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    /// Adds a processor, counted from 0.
    pub fn add(&mut self, cpu: u32) {
        let (word, bit) = (cpu as usize / 64, cpu % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As many processors as Linux can be built for (`CONFIG_NR_CPUS` of the largest machines).
const CPUS: u32 = 8192;

pub(super) fn read(reader: &Reader<'_>) -> Scheduling {
    let decoder = &reader.decoder;
    let number = |key: &'static str, range| {
        let number = reader.node(key).and_then(|node| decoder.integer(node, range));
        number.and_then(|number| i32::try_from(number).ok())
    };
    Scheduling {
        nice: number("nice", -20..=19),
        oom_score_adj: number("oom-score-adj", -1000..=1000),
        cpus: reader.node("cpu-affinity").and_then(|node| cpus(node, decoder)),
        io: reader.node("io-class").and_then(|node| io_class(node, decoder)),
        scheduler: reader.node("scheduler").and_then(|node| scheduler(node, decoder)),
    }
}

/// `"0-3,8"`, or a list of numbers and such ranges.
fn cpus(node: &Node, decoder: &Decoder<'_>) -> Option<CpuSet> {
    let mut set = CpuSet::default();
    match &node.value {
        Value::Array(items) => {
            for item in items {
                add_cpus(item, decoder, &mut set)?;
            }
        }
        Value::String(_)
        | Value::Integer(..)
        | Value::Float(..)
        | Value::Boolean(_)
        | Value::Datetime
        | Value::Table(_) => add_cpus(node, decoder, &mut set)?,
    }
    if set.is_empty() {
        let bad = Bad::new("no processor is left to run on").hint(r#"write it like "0-3,8""#);
        return decoder.bad(node.place, bad);
    }
    Some(set)
}

fn add_cpus(node: &Node, decoder: &Decoder<'_>, set: &mut CpuSet) -> Option<()> {
    if let Value::Integer(..) = node.value {
        set.add(decoder.count(node, 0..=CPUS - 1)?);
        return Some(());
    }
    let text = decoder.string(node)?;
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|cpu| *cpu < CPUS);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                (first..=last).for_each(|cpu| set.add(cpu));
            }
            _ => {
                let bad = Bad::new(format!("`{part}` is no processor and no range of them"));
                let hint = format!(r#"write it like "0-3,8", each below {CPUS}"#);
                return decoder.bad(node.place, bad.hint(hint));
            }
        }
    }
    Some(())
}

/// `"idle"`, or `"best-effort"` and `"realtime"` with a level from 0, the first, to 7.
fn io_class(node: &Node, decoder: &Decoder<'_>) -> Option<IoClass> {
    /// What `ionice(1)` takes where none is given.
    const LEVEL: u8 = 4;
    let text = decoder.string(node)?;
    let (class, level) = match text.split_once(':') {
        Some((class, level)) => (class, level.parse::<u8>().ok().filter(|level| *level <= 7)),
        None => (text.as_str(), Some(LEVEL)),
    };
    let class = match (class, level) {
        ("idle", _) if !text.contains(':') => Some(IoClass::Idle),
        ("best-effort", Some(level)) => Some(IoClass::BestEffort(level)),
        ("realtime", Some(level)) => Some(IoClass::Realtime(level)),
        _ => None,
    };
    class.or_else(|| {
        let hint =
            r#"write "idle", "best-effort", "realtime", or with a level, 0 to 7, "best-effort:7""#;
        decoder.bad(node.place, Bad::new(format!("`{text}` is no class of I/O")).hint(hint))
    })
}

/// `"other"`, `"batch"` and `"idle"`, or `"fifo"` and `"rr"` with a priority.
fn scheduler(node: &Node, decoder: &Decoder<'_>) -> Option<Scheduler> {
    let text = decoder.string(node)?;
    let priority =
        |text: &str| text.parse::<u8>().ok().filter(|priority| (1..=99).contains(priority));
    let scheduler = match text.split_once(':') {
        None if text == "other" => Some(Scheduler::Other),
        None if text == "batch" => Some(Scheduler::Batch),
        None if text == "idle" => Some(Scheduler::Idle),
        Some(("fifo", level)) => priority(level).map(Scheduler::Fifo),
        Some(("rr", level)) => priority(level).map(Scheduler::RoundRobin),
        None | Some(_) => None,
    };
    scheduler.or_else(|| {
        let hint =
            r#"write "other", "batch", "idle", or with a priority, 1 to 99, "fifo:10" or "rr:10""#;
        decoder.bad(node.place, Bad::new(format!("`{text}` is no scheduler")).hint(hint))
    })
}
