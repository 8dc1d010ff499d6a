//! The keys that are part of the spec but have no effect yet, and what people call keys elsewhere.

use super::decode::Decoder;
use super::fault::Draft;
use super::reader;
use super::source::Place;
use super::tree::{Node, Value};
use crate::suggest;

/// What the value of a key is that is not supported yet, with the value that means "off".
#[derive(Clone, Copy, Debug)]
pub(super) enum Later {
    /// Off is this.
    Bool(bool),
    /// There is no off.
    SomeDuration,
    /// Off is this, if there is one.
    Integer(Option<i64>),
    /// All choices; off is the second.
    Choice(&'static [&'static str], &'static str),
    /// There is no off.
    Text,
    /// A list of strings; off is the empty one.
    Strings,
    /// A table with these keys; off is the empty one.
    Table(&'static [&'static str]),
    /// Any value; off is the empty list.
    Any,
}

/// `[supervisor]`.
pub(super) const SUPERVISOR: &[(&str, Later)] = &[("watch-spec", Later::Bool(false))];

/// `[control]`.
pub(super) const CONTROL: &[(&str, Later)] = &[
    ("listen", Later::Any),
    ("token-file", Later::Text),
    ("admins", Later::Strings),
    ("operators", Later::Strings),
    ("readers", Later::Strings),
    ("rate-limit", Later::Integer(Some(50))),
    ("audit-log", Later::Text),
];

/// `[service.NAME]`, but for the dependencies.
pub(super) const SERVICE: &[(&str, Later)] = &[
    (
        "cgroup",
        Later::Table(&[
            "memory-max",
            "memory-high",
            "cpu-max",
            "cpu-weight",
            "pids-max",
            "io-weight",
            "optional",
        ]),
    ),
    ("watch", Later::Table(&["paths", "action", "debounce"])),
    ("schedule", Later::Text),
    ("timezone", Later::Text),
    ("run-missed", Later::Bool(false)),
    ("overlap", Later::Choice(&["skip", "queue"], "skip")),
    ("on-demand", Later::Bool(false)),
];

/// Relations of `[service.NAME]` to others, which cannot be defaults.
pub(super) const RELATIONS: &[(&str, Later)] = &[("sockets", Later::Strings)];

/// `log = { … }`.
pub(super) const LOG: &[(&str, Later)] = &[
    ("rotate-age", Later::SomeDuration),
    ("compress", Later::Bool(false)),
    ("format", Later::Choice(&["raw", "json"], "raw")),
    ("when-full", Later::Choice(&["block", "drop"], "block")),
    ("rate-limit", Later::Any),
];

/// `[socket.NAME]`, which as a whole is not supported yet.
pub(super) const SOCKET: &[&str] =
    &["listen", "kind", "backlog", "mode", "user", "group", "reuse-port"];

/// The keys of a service that say something about its process.
pub(super) const NEEDS_COMMAND: &[&str] = &[
    "type",
    "pid-file",
    "exit-type",
    "user",
    "group",
    "supplementary-groups",
    "working-directory",
    "umask",
    "environment",
    "environment-files",
    "limits",
    "nice",
    "oom-score-adj",
    "cpu-affinity",
    "io-class",
    "scheduler",
    "no-new-privileges",
    "capabilities",
    "ambient-capabilities",
    "stdin",
    "readiness-probe",
    "liveness-probe",
    "settle-time",
    "runtime-max",
    "condition",
    "pre-start",
    "post-start",
    "post-stop",
    "drain",
    "watchdog",
    "notify-access",
    "fd-store-max",
    "stop-command",
    "stop-signal",
    "stop-sequence",
    "stop-modes",
    "restart-mode",
    "restart-signal",
    "final-signal",
    "reload-command",
    "reload-signal",
    "log",
];

/// The key by which we call what others call so.
pub(super) fn meant_by(name: &str) -> Option<&'static str> {
    let known = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
    known.map(|(_, meant)| *meant)
}

/// From systemd, Supervisor, compose files and habit.
const ALIASES: [(&str, &str); 27] = [
    ("cmd", "command"),
    ("exec", "command"),
    ("exec-start", "command"),
    ("ExecStart", "command"),
    ("ExecStop", "stop-command"),
    ("ExecReload", "reload-command"),
    ("autostart", "enabled"),
    ("autorestart", "restart"),
    ("depends-on", "requires"),
    ("depends_on", "requires"),
    ("dependencies", "requires"),
    ("bindsTo", "binds-to"),
    ("env", "environment"),
    ("env-file", "environment-files"),
    ("EnvironmentFile", "environment-files"),
    ("cwd", "working-directory"),
    ("dir", "working-directory"),
    ("directory", "working-directory"),
    ("stopwaitsecs", "stop-timeout"),
    ("TimeoutStopSec", "stop-timeout"),
    ("TimeoutStartSec", "start-timeout"),
    ("RestartSec", "restart-delay"),
    ("WatchdogSec", "watchdog"),
    ("SuccessExitStatus", "success-exit"),
    ("exitcodes", "success-exit"),
    ("numprocs", "instances"),
    ("replicas", "instances"),
];

impl Later {
    /// Whether the value means "off"; `None` if it is wrong, and that is told.
    pub(super) fn is_off(self, decoder: &Decoder<'_>, node: &Node) -> Option<bool> {
        match self {
            Self::Bool(off) => decoder.boolean(node).map(|value| value == off),
            Self::SomeDuration => decoder.duration(node).map(|_| false),
            Self::Integer(off) => {
                decoder.integer(node, i64::MIN..=i64::MAX).map(|value| Some(value) == off)
            }
            Self::Choice(choices, off) => {
                let choices: Vec<(&str, &str)> = choices.iter().map(|c| (*c, *c)).collect();
                decoder.choice(node, &choices).map(|value| value == off)
            }
            Self::Text => decoder.string(node).map(|_| false),
            Self::Strings => decoder.strings(node).map(|value| value.is_empty()),
            Self::Table(known) => check_table(decoder, node, known),
            Self::Any => Some(matches!(&node.value, Value::Array(items) if items.is_empty())),
        }
    }
}

fn check_table(decoder: &Decoder<'_>, node: &Node, known: &[&str]) -> Option<bool> {
    let Value::Table(table) = &node.value else {
        return decoder.wrong_type(node, "a table", Some("write { … }".to_owned()));
    };
    for (name, entry) in &table.entries {
        if !known.contains(&name.as_str()) {
            unknown(decoder, name, entry.key, known);
        }
    }
    Some(table.entries.is_empty())
}

/// Tells a key that is not among the known ones.
pub(super) fn unknown(decoder: &Decoder<'_>, name: &str, place: Place, known: &[&str]) {
    let hint = suggest::did_you_mean(name, known.iter().copied())
        .unwrap_or_else(|| format!("known are {}", reader::list(known)));
    let fault = Draft::new(place, format!("unknown key `{name}`"));
    decoder.faults.add(fault.hint(hint));
}
