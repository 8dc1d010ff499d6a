//! `[supervisor]` and `[control]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::decode::Decoder;
use super::fault::{Draft, Faults};
use super::identity::Identities;
use super::keys;
use super::load::LoadOptions;
use super::reader::Reader;
use super::source::Sources;
use super::tree::{Node, Table};
use super::value::{self, Bad};
use super::{Console, ControlConfig, DaemonConfig, LogFormat};

/// `sun_path` of `unix(7)`, without the NUL at its end.
const LONGEST_SOCKET: usize = 107;

/// Overrides `shutdown-timeout`.
const SHUTDOWN_TIMEOUT: &str = "SUPERVISOR_SHUTDOWN_TIMEOUT";

/// `[supervisor]`: what the daemon needs, and what each service gets from it.
#[derive(Debug)]
pub(super) struct Daemon<'a> {
    pub(super) config: DaemonConfig,
    /// `environment`, not yet expanded.
    pub(super) environment: Option<&'a Node>,
    pub(super) clear_environment: bool,
}

impl<'a> Daemon<'a> {
    pub(super) fn read(
        table: &'a Table,
        spec_dir: &Path,
        options: &LoadOptions,
        sources: &'a Sources,
        faults: &'a Faults,
    ) -> Self {
        let decoder = Decoder { faults, sources, scope: None };
        let reader = Reader::new(table, "[supervisor]", decoder);
        let path = |key| reader.node(key).and_then(|node| decoder.path(node, spec_dir));
        let runtime_dir = path("runtime-dir").unwrap_or_else(|| runtime_dir(options));
        let log_dir = path("log-dir").unwrap_or_else(|| log_dir(options, &runtime_dir));
        let written = reader.duration("shutdown-timeout").flatten();
        let shutdown_timeout = match options.environment.get(SHUTDOWN_TIMEOUT) {
            Some(text) if !text.is_empty() => from_environment(text, faults),
            _ => written,
        };
        let levels = [
            ("error", tracing::Level::ERROR),
            ("warn", tracing::Level::WARN),
            ("info", tracing::Level::INFO),
            ("debug", tracing::Level::DEBUG),
            ("trace", tracing::Level::TRACE),
        ];
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let consoles = [
            ("none", Console::None),
            ("prefix", Console::Prefix),
            ("raw", Console::Raw),
            ("json", Console::Json),
        ];
        let environment = reader.node("environment");
        let daemon = Self {
            config: DaemonConfig {
                runtime_dir,
                log_dir,
                shutdown_timeout,
                log_level: reader.choice("log-level", &levels).unwrap_or(tracing::Level::INFO),
                log_format: reader.choice("log-format", &formats).unwrap_or(LogFormat::Text),
                console: reader.choice("console", &consoles),
            },
            environment,
            clear_environment: reader.boolean("clear-environment").unwrap_or(false),
        };
        // Each service expands it for itself; here it is only seen that it is a table of strings.
        if let Some(node) = environment {
            super::environment::pairs(node, &decoder);
        }
        reader.later(keys::SUPERVISOR);
        reader.finish();
        daemon
    }
}

/// `[control]`.
pub(super) fn control(
    table: &Table,
    spec_dir: &Path,
    runtime_dir: &Path,
    identities: &Identities,
    decoder: Decoder<'_>,
) -> ControlConfig {
    let reader = Reader::new(table, "[control]", decoder);
    let node = reader.node("socket");
    let socket = node.and_then(|node| decoder.path(node, spec_dir));
    let socket = socket.unwrap_or_else(|| runtime_dir.join("control.sock"));
    if socket.as_os_str().len() > LONGEST_SOCKET {
        let message = format!(
            "the path of the control socket is longer than {LONGEST_SOCKET} bytes: {}",
            socket.display()
        );
        let fault = match node {
            Some(node) => Draft::new(node.place, message),
            None => Draft::placeless(message),
        };
        decoder.faults.add(fault.hint("set a shorter `socket` in [control]"));
    }
    let config = ControlConfig {
        socket,
        mode: reader.mode("mode").unwrap_or(0o600),
        group: reader.node("group").and_then(|node| identities.group(node, &decoder)),
    };
    reader.later(keys::CONTROL);
    reader.finish();
    config
}

fn from_environment(text: &str, faults: &Faults) -> Option<Duration> {
    value::duration(text).unwrap_or_else(|Bad { message, hint }| {
        let message = format!("environment variable {SHUTDOWN_TIMEOUT}: {message}");
        faults.add(Draft::placeless(message).maybe_hint(hint));
        None
    })
}

/// `/run/supervisor`, or where a user may write.
fn runtime_dir(options: &LoadOptions) -> PathBuf {
    if options.uid == 0 {
        return PathBuf::from("/run/supervisor");
    }
    directory(&options.environment, "XDG_RUNTIME_DIR").map_or_else(
        || PathBuf::from(format!("/tmp/supervisor-{}", options.uid)),
        |base| base.join("supervisor"),
    )
}

/// `/var/log/supervisor`, or where a user may write.
fn log_dir(options: &LoadOptions, runtime_dir: &Path) -> PathBuf {
    if options.uid == 0 {
        return PathBuf::from("/var/log/supervisor");
    }
    let state = directory(&options.environment, "XDG_STATE_HOME")
        .or_else(|| directory(&options.environment, "HOME").map(|home| home.join(".local/state")));
    state.map_or_else(|| runtime_dir.join("log"), |base| base.join("supervisor/log"))
}

/// What the variable names, if that is an absolute path, as the XDG base directory specification
/// demands.
pub(super) fn directory(environment: &BTreeMap<String, String>, name: &str) -> Option<PathBuf> {
    environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
