//! What all files say, sorted by what it is about.

use std::collections::BTreeMap;

use super::fault::{Draft, Faults};
use super::source::Place;
use super::tree::{Entry, Table, Value};
use super::value;
use crate::suggest;

const KNOWN: [&str; 7] =
    ["include", "supervisor", "control", "defaults", "service", "group", "socket"];

/// The tables of a spec.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) supervisor: Table,
    pub(super) control: Table,
    pub(super) defaults: Table,
    pub(super) services: BTreeMap<String, Named>,
    pub(super) groups: BTreeMap<String, Named>,
    pub(super) sockets: BTreeMap<String, Named>,
}

/// A table with a name, and where the name stands.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) place: Place,
    pub(super) table: Table,
}

impl Sections {
    /// Puts the files together. Two that say the same thing are a fault. In an incomplete spec an
    /// unknown table may be a known one whose header is lost.
    pub(super) fn new(tables: Vec<Table>, incomplete: bool, faults: &Faults) -> Self {
        let mut sections = Self::default();
        for table in tables {
            for (name, entry) in table.entries {
                let named = match name.as_str() {
                    "supervisor" | "control" | "defaults" => {
                        let target = match name.as_str() {
                            "supervisor" => &mut sections.supervisor,
                            "control" => &mut sections.control,
                            _ => &mut sections.defaults,
                        };
                        if let Some(table) = as_table(&name, entry, faults) {
                            merge(target, table, faults);
                        }
                        continue;
                    }
                    "service" => &mut sections.services,
                    "group" => &mut sections.groups,
                    "socket" => &mut sections.sockets,
                    _ => {
                        if !incomplete {
                            faults.add(unknown(&name, &entry));
                        }
                        continue;
                    }
                };
                if let Some(table) = as_table(&name, entry, faults) {
                    collect(named, &name, table, faults);
                }
            }
        }
        sections.one_namespace(faults);
        sections
    }

    fn one_namespace(&self, faults: &Faults) {
        let mut seen: BTreeMap<&str, (&str, Place)> = BTreeMap::new();
        let all = [("service", &self.services), ("group", &self.groups), ("socket", &self.sockets)];
        for (kind, section) in all {
            for (name, named) in section {
                if let Err(bad) = value::name(name) {
                    faults.add(Draft::new(named.place, bad.message).maybe_hint(bad.hint));
                }
                if let Some((other, place)) = seen.insert(name, (kind, named.place)) {
                    let message = format!("`{name}` is a {other} already");
                    let fault = Draft::new(named.place, message).related(place, "first here");
                    faults.add(fault.hint("services, groups and sockets share one namespace"));
                }
            }
        }
    }
}

fn collect(section: &mut BTreeMap<String, Named>, kind: &str, table: Table, faults: &Faults) {
    for (name, entry) in table.entries {
        let place = entry.key;
        let Some(table) = as_table(&format!("{kind}.{name}"), entry, faults) else {
            continue;
        };
        if let Some(first) = section.get(&name) {
            let fault = Draft::new(place, format!("{kind} `{name}` is there twice"));
            let hint = "to override some keys, put a file into the directory \
                        FILE.toml.d beside the first";
            faults.add(fault.related(first.place, "first here").hint(hint));
        } else {
            section.insert(name, Named { place, table });
        }
    }
}

/// Puts together what two files say in one table, if it is not about the same keys.
fn merge(target: &mut Table, table: Table, faults: &Faults) {
    for (name, entry) in table.entries {
        if let Some(first) = target.entries.get(&name) {
            let fault = Draft::new(entry.key, format!("`{name}` is set twice"));
            faults.add(fault.related(first.key, "first here").hint("take one of them away"));
        } else {
            target.entries.insert(name, entry);
        }
    }
}

fn as_table(name: &str, entry: Entry, faults: &Faults) -> Option<Table> {
    let kind = entry.node.value.kind();
    if let Value::Table(table) = entry.node.value {
        return Some(table);
    }
    let fault = Draft::new(entry.node.place, format!("expected a table, found {kind}"));
    faults.add(fault.hint(format!("write [{name}]")));
    None
}

fn unknown(name: &str, entry: &Entry) -> Draft {
    let fault = Draft::new(entry.key, format!("unknown key `{name}` at top level"));
    if let Some(meant) = suggest::nearest(name, KNOWN) {
        return fault.hint(format!("did you mean \"{meant}\"?"));
    }
    let table = entry.node.value.as_table();
    if table.is_some_and(|table| table.entries.contains_key("command")) {
        return fault.hint(format!("did you mean [service.{name}]?"));
    }
    fault.hint("a service is a table [service.NAME]")
}
