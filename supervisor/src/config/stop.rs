//! `stop-…`: how a service is stopped.

use std::time::Duration;

use supervisor_engine::{KillMode, Signal, StopHow, StopSpec, StopStep};

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

pub(super) fn read(reader: &Reader<'_>) -> Stop {
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
    let modes =
        [("group", KillMode::Group), ("mixed", KillMode::Mixed), ("process", KillMode::Process)];
    let send_sigkill = reader.boolean("send-sigkill").unwrap_or(true);
    let restart_signal = reader.signal("restart-signal");
    let final_signal = reader.signal("final-signal").filter(|signal| *signal != Signal::KILL);
    let send_sighup = reader.boolean("send-sighup").unwrap_or(false);
    // A final KILL is the engine's.
    if send_sigkill
        && final_signal.is_none()
        && steps.last().is_some_and(|step| step.how == StopHow::Signal(Signal::KILL))
    {
        steps.pop();
    }
    let kill_mode = reader.choice("kill-mode", &modes).unwrap_or(KillMode::Group);
    let spec =
        StopSpec { steps, send_sigkill, final_signal, restart_signal, send_sighup, kill_mode };
    Stop { spec, commands, timeout }
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
