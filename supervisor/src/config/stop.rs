//! `stop-…`: how a service is stopped.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use supervisor_engine::{KillMode, ModeId, Signal, StopHow, StopSpec, StopStep};

use super::fault::Draft;
use super::reader::Reader;
use super::tree::{Node, Value};
use super::value::Bad;

const TIMEOUT: Duration = Duration::from_secs(10);

/// How a service is stopped, and the commands that it takes.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) spec: StopSpec,
    /// What [`StopHow::Command`] counts.
    pub(super) commands: Vec<Vec<String>>,
    /// `stop-timeout`.
    pub(super) timeout: Option<Duration>,
}

/// The names of all stop modes. The place of a name is its [`ModeId`].
#[derive(Debug, Default)]
pub(super) struct ModeNames(RefCell<Vec<String>>);

impl ModeNames {
    pub(super) fn into_list(self) -> Vec<String> {
        self.0.into_inner()
    }

    fn id(&self, name: &str) -> ModeId {
        let mut names = self.0.borrow_mut();
        let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        ModeId(u32::try_from(place).unwrap_or(u32::MAX))
    }
}

/// Modes that every service has.
const BUILT_IN: [&str; 2] = ["graceful", "force"];

pub(super) fn read(reader: &Reader<'_>, names: &ModeNames) -> Stop {
    let why = "the sequence is the full form of `stop-command`, `stop-signal` and `stop-timeout`";
    for key in ["stop-command", "stop-signal", "stop-timeout"] {
        reader.exclusive(&["stop-sequence", key], why);
    }
    let command = reader.command("stop-command");
    let signal = reader.signal("stop-signal").unwrap_or(Signal::TERM);
    let timeout = reader.duration("stop-timeout").unwrap_or(Some(TIMEOUT));
    let mut commands = Vec::new();
    let mut steps = if let Some(node) = reader.node("stop-sequence") {
        sequence(node, reader, &mut commands)
    } else {
        commands.extend(command);
        let command = (0..commands.len()).map(StopHow::Command);
        let hows = command.chain(std::iter::once(StopHow::Signal(signal)));
        hows.map(|how| StopStep { how, timeout, wait: true }).collect()
    };
    let kill_modes =
        [("group", KillMode::Group), ("mixed", KillMode::Mixed), ("process", KillMode::Process)];
    let send_sigkill = reader.boolean("send-sigkill").unwrap_or(true);
    let restart_signal = reader.signal("restart-signal");
    let final_signal = reader.signal("final-signal").filter(|signal| *signal != Signal::KILL);
    let send_sighup = reader.boolean("send-sighup").unwrap_or(false);
    let mut modes = modes(reader, names, &mut commands);
    // A final KILL is the engine's.
    if send_sigkill && final_signal.is_none() {
        for steps in modes.values_mut().chain(std::iter::once(&mut steps)) {
            steps.pop_if(|step| step.how == StopHow::Signal(Signal::KILL));
        }
    }
    let kill_mode = reader.choice("kill-mode", &kill_modes).unwrap_or(KillMode::Group);
    let drain = reader.finite("drain").unwrap_or_default();
    let spec = StopSpec {
        drain,
        steps,
        modes,
        send_sigkill,
        final_signal,
        restart_signal,
        send_sighup,
        kill_mode,
    };
    Stop { spec, commands, timeout }
}

/// `stop-modes.NAME`: further sequences.
fn modes(
    reader: &Reader<'_>,
    names: &ModeNames,
    commands: &mut Vec<Vec<String>>,
) -> BTreeMap<ModeId, Vec<StopStep>> {
    let decoder = reader.decoder;
    let mut modes = BTreeMap::new();
    let Some(node) = reader.node("stop-modes") else { return modes };
    let Value::Table(table) = &node.value else {
        let hint = r#"write lame-duck = { sequence = [{ signal = "USR2" }] }"#.to_owned();
        decoder.wrong_type::<()>(node, "a table", Some(hint));
        return modes;
    };
    for (name, entry) in &table.entries {
        if BUILT_IN.contains(&name.as_str()) {
            let bad = Bad::new(format!("every service has the stop mode `{name}` already"));
            let hint = "graceful is the default sequence, force is KILL at once";
            decoder.bad::<()>(entry.key, bad.hint(hint));
            continue;
        }
        let Value::Table(mode) = &entry.node.value else {
            let hint = r#"write { sequence = [{ signal = "USR2" }] }"#.to_owned();
            decoder.wrong_type::<()>(&entry.node, "a table", Some(hint));
            continue;
        };
        let mode = Reader::new(mode, format!("stop mode `{name}`"), decoder);
        if let Some(node) = mode.node("sequence") {
            modes.insert(names.id(name), sequence(node, reader, commands));
        } else {
            let bad = Bad::new(format!("stop mode `{name}` has no `sequence`"));
            let hint = r#"write sequence = [{ signal = "USR2" }]"#;
            decoder.bad::<()>(entry.key, bad.hint(hint));
        }
        mode.finish();
    }
    modes
}

fn sequence(node: &Node, reader: &Reader<'_>, commands: &mut Vec<Vec<String>>) -> Vec<StopStep> {
    let items = reader.decoder.list(node).unwrap_or_default();
    if items.is_empty() && matches!(node.value, Value::Array(_)) {
        let bad = Bad::new("a stop sequence has at least one step");
        let hint = r#"to kill at once write [{ signal = "KILL" }]"#;
        reader.decoder.bad::<()>(node.place, bad.hint(hint));
    }
    items.iter().filter_map(|item| step(item, reader, commands)).collect()
}

fn step(node: &Node, reader: &Reader<'_>, commands: &mut Vec<Vec<String>>) -> Option<StopStep> {
    let decoder = reader.decoder;
    let Value::Table(table) = &node.value else {
        let hint = r#"write { signal = "TERM", timeout = "10s" }"#.to_owned();
        return decoder.wrong_type(node, "a table", Some(hint));
    };
    let step = Reader::new(table, "a step of a stop sequence", decoder);
    step.exclusive(&["command", "signal", "sleep"], "a step does one thing");
    let command = step.command("command");
    let signal = step.signal("signal");
    let sleep = step.finite("sleep");
    let timeout = step.duration("timeout").unwrap_or(Some(TIMEOUT));
    let wait = step.boolean("wait").unwrap_or(true);
    let has = |key| table.entries.contains_key(key);
    if has("sleep") {
        for key in ["timeout", "wait"] {
            if let Some(entry) = step.entry(key) {
                let message = format!("`{key}` has no meaning beside `sleep`");
                decoder.faults.add(Draft::new(entry.key, message).hint("take it away"));
            }
        }
    }
    step.finish();
    if !has("command") && !has("signal") && !has("sleep") {
        let bad = Bad::new("a step needs one of `command`, `signal` and `sleep`")
            .hint(r#"write { signal = "TERM", timeout = "10s" }"#);
        return decoder.bad(node.place, bad);
    }
    let how = if let Some(command) = command {
        commands.push(command);
        StopHow::Command(commands.len() - 1)
    } else if let Some(signal) = signal {
        StopHow::Signal(signal)
    } else {
        return Some(StopStep { how: StopHow::Sleep, timeout: Some(sleep?), wait: true });
    };
    Some(StopStep { how, timeout, wait })
}
