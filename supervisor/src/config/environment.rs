//! The environment of a service: what it inherits, and what it sets.

use std::collections::BTreeMap;

use super::decode::Decoder;
use super::tree::{Node, Value};
use super::value::Bad;

/// What `execvp(3)` of a shell would look through.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What of the daemon's environment stays when `clear-environment` is set.
const KEPT: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// What is addressed to the daemon itself, by whoever supervises it.
const PROTOCOL: [&str; 11] = [
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "MAINPID",
    "MAINPIDFDID",
    "INVOCATION_ID",
    "FDSTORE",
];

/// What a service inherits from the daemon.
pub(super) fn inherited(
    daemon: &BTreeMap<String, String>,
    clear: bool,
) -> BTreeMap<String, String> {
    let stays = |name: &str| {
        if clear {
            return KEPT.contains(&name);
        }
        !PROTOCOL.contains(&name) && !name.starts_with("SUPERVISOR_")
    };
    let mut kept: BTreeMap<String, String> = daemon
        .iter()
        .filter(|(name, _)| stays(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    kept.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
    kept
}

/// Reads an `environment` table.
pub(super) fn pairs(node: &Node, decoder: &Decoder<'_>) -> BTreeMap<String, String> {
    let Value::Table(table) = &node.value else {
        let hint = Some(r#"write { NAME = "value" }"#.to_owned());
        decoder.wrong_type::<()>(node, "a table", hint);
        return BTreeMap::new();
    };
    let mut pairs = BTreeMap::new();
    for (name, entry) in &table.entries {
        if name.is_empty() || name.contains('=') {
            let bad = Bad::new(format!("{name:?} cannot be the name of a variable"))
                .hint("a name is not empty and has no `=`");
            decoder.bad::<()>(entry.key, bad);
        } else if let Some(value) = decoder.string(&entry.node) {
            pairs.insert(name.clone(), value);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_the_daemon_is_not_inherited() {
        let names = ["HOME", "NOTIFY_SOCKET", "SUPERVISOR_X", "FOO"];
        let daemon = names.map(|name| (name.to_owned(), "1".to_owned())).into();
        let names = |clear| inherited(&daemon, clear).into_keys().collect::<Vec<_>>();
        assert_eq!(names(false), ["FOO", "HOME", "PATH"]);
        assert_eq!(names(true), ["HOME", "PATH"]);
    }
}
