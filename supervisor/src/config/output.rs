//! `log`: where the output of a service goes.

use std::path::{Path, PathBuf};

use super::fault::Draft;
use super::keys;
use super::reader::{Reader, not_supported};
use super::source::Place;
use super::tree::{Entry, Node, Table};
use super::value::Bad;
use super::{LogConfig, Sink};

/// A file that a service writes its output to, and where the spec says so.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) place: Place,
}

/// Reads `log`. `place` is where the service's name stands, which gives the file its name.
pub(super) fn read(
    reader: &Reader<'_>,
    name: &str,
    place: Place,
    log_dir: &Path,
) -> (LogConfig, Vec<LogFile>) {
    let node = reader.node("log");
    let table = node.map(|node| (node, as_table("log", node)));
    let empty = Table::default();
    let log = match &table {
        Some((_, Some(table))) => Reader::new(table, "`log`", reader.decoder),
        Some((node, None)) => {
            let hint = r#"write a path or { rotate-size = "10MiB" }"#.to_owned();
            reader.decoder.wrong_type::<()>(node, "a path or a table", Some(hint));
            Reader::new(&empty, "`log`", reader.decoder)
        }
        None => Reader::new(&empty, "`log`", reader.decoder),
    };
    let file = log.node("path").and_then(|node| {
        refuse_word(node, &log)?;
        Some(LogFile { path: log.decoder.path(node, log_dir)?, place: node.place })
    });
    let file = file.unwrap_or_else(|| LogFile { path: log_dir.join(format!("{name}.log")), place });
    let mut files = Vec::new();
    let stdout = sink("stdout", &log, &file, log_dir, &mut files).flatten();
    let stderr = sink("stderr", &log, &file, log_dir, &mut files);
    let default = || Sink::File(file.path.clone());
    let uses_file = |sink: &Sink| *sink == Sink::File(file.path.clone());
    let stdout = stdout.unwrap_or_else(default);
    let stderr = stderr.unwrap_or_else(|| Some(default()));
    if uses_file(&stdout) || stderr.as_ref().is_some_and(uses_file) {
        files.push(file);
    }
    let defaults = to_streams(stdout, stderr);
    let config = LogConfig {
        max_line: size(&log, "max-line", 1).unwrap_or(defaults.max_line),
        buffer: size(&log, "buffer", 0).unwrap_or(defaults.buffer),
        rotate_size: rotate_size(&log).unwrap_or(defaults.rotate_size),
        rotate_keep: log.count("rotate-keep", 0..=100_000).unwrap_or(defaults.rotate_keep),
        timestamp: log.boolean("timestamp").unwrap_or(defaults.timestamp),
        ..defaults
    };
    log.later(keys::LOG);
    log.finish();
    (config, files)
}

/// Output to these, and all else as the spec has it by default.
pub(super) fn to_streams(stdout: Sink, stderr: Option<Sink>) -> LogConfig {
    LogConfig {
        stdout,
        stderr,
        max_line: 16 << 10,
        buffer: 64 << 10,
        rotate_size: Some(10 << 20),
        rotate_keep: 5,
        timestamp: false,
    }
}

/// `log = "path"` is short for `log = { path = "path" }`.
pub(super) fn as_table(key: &str, node: &Node) -> Option<Table> {
    if key == "log" && node.value.as_str().is_some() {
        let entry = Entry { key: node.place, node: node.clone(), default: false };
        return Some(Table { entries: [("path".to_owned(), entry)].into() });
    }
    node.value.as_table().cloned()
}

/// Where one stream goes; the inner `None` is into the other stream.
#[expect(clippy::option_option, reason = "not set, merged and a sink are three things")]
fn sink(
    key: &'static str,
    log: &Reader<'_>,
    file: &LogFile,
    log_dir: &Path,
    files: &mut Vec<LogFile>,
) -> Option<Option<Sink>> {
    let node = log.node(key)?;
    let text = log.decoder.string(node)?;
    match text.as_str() {
        "file" => Some(Some(Sink::File(file.path.clone()))),
        "inherit" => Some(Some(Sink::Inherit)),
        "null" => Some(Some(Sink::Null)),
        "syslog" => log.decoder.bad(node.place, not_supported("\"syslog\"")),
        "merge" if key == "stderr" => Some(None),
        path if path.contains('/') => {
            let path = log_dir.join(path);
            files.push(LogFile { path: path.clone(), place: node.place });
            Some(Some(Sink::File(path)))
        }
        other => {
            let merge = if key == "stderr" { "\"merge\", " } else { "" };
            let hint =
                format!("it can be \"file\", {merge}\"inherit\", \"null\" or a path with a `/`");
            log.decoder.bad(
                node.place,
                Bad::new(format!("{other:?} is not a place for output")).hint(hint),
            )
        }
    }
}

/// Somebody who writes `log = "null"` does not mean a file of that name.
fn refuse_word(node: &Node, log: &Reader<'_>) -> Option<()> {
    match node.value.as_str() {
        Some(text @ ("null" | "inherit" | "syslog" | "merge")) => {
            let bad = Bad::new(format!("{text:?} is not a path"));
            let hint = format!("write {{ stdout = {text:?}, stderr = {text:?} }}");
            log.decoder.bad(node.place, bad.hint(hint))
        }
        Some(_) | None => Some(()),
    }
}

fn size(log: &Reader<'_>, key: &'static str, least: usize) -> Option<usize> {
    let node = log.node(key)?;
    let size = log.decoder.size(node)?;
    let most: usize = 1 << 30;
    let fits = usize::try_from(size).ok().filter(|size| (least..=most).contains(size));
    fits.or_else(|| {
        let hint = format!("it can be \"{least}B\" to \"1GiB\"");
        log.decoder.bad(node.place, Bad::new("the size is out of range").hint(hint))
    })
}

#[expect(clippy::option_option, reason = "not set, never and a size are three things")]
fn rotate_size(log: &Reader<'_>) -> Option<Option<u64>> {
    let node = log.node("rotate-size")?;
    if node.value.as_str() == Some("infinity") {
        return Some(None);
    }
    let size = log.decoder.size(node)?;
    if size == 0 {
        let bad = Bad::new("a file cannot be rotated at no size");
        return log.decoder.bad(node.place, bad.hint(r#"for never write "infinity""#));
    }
    Some(Some(size))
}

/// Two services that write to one file would cut each other's lines and rotate each other's logs.
pub(super) fn refuse_sharing<'a>(
    services: impl Iterator<Item = (&'a str, &'a LogFile)>,
    faults: &super::fault::Faults,
) {
    let mut owners = std::collections::BTreeMap::new();
    for (name, file) in services {
        // Devices are made to be shared.
        if file.path.starts_with("/dev") {
            continue;
        }
        let path: PathBuf = file.path.components().collect();
        let (owner, first) = *owners.entry(path).or_insert((name, file.place));
        if owner == name {
            continue;
        }
        let message =
            format!("services `{owner}` and `{name}` log to the same file {}", file.path.display());
        let fault = Draft::new(file.place, message);
        faults.add(if first == file.place {
            fault.hint("`${SERVICE}` and `${INSTANCE}` in the path make it another for each")
        } else {
            let fault = fault.related(first, format!("`{owner}` does so here"));
            fault.hint("without a path each service has its own file")
        });
    }
}
