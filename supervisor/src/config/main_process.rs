//! `exit-type` and `pid-file`: which process is the main one, and whether its end is the end.

use std::path::{Path, PathBuf};

use supervisor_engine::{ExitType, KillMode, Kind};

use super::reader::Reader;
use super::value::Bad;

/// Whose end is the end of the service.
pub(super) fn exit_type(reader: &Reader<'_>, kind: Kind, kill_mode: KillMode) -> ExitType {
    let choices = [("main", ExitType::Main), ("all", ExitType::All)];
    let exit_type = reader.choice("exit-type", &choices).unwrap_or(ExitType::Main);
    let Some(node) = reader.node("exit-type").filter(|_| exit_type == ExitType::All) else {
        return exit_type;
    };
    if kind == Kind::Oneshot {
        let bad = Bad::new("a oneshot has done its work when its main process has ended");
        reader.decoder.bad::<()>(node.place, bad.hint(r#"take it away, or write type = "simple""#));
    }
    if kill_mode == KillMode::Process {
        let bad = Bad::new(r#"with kill-mode "process" its other processes could not be stopped"#);
        let hint = r#"write kill-mode = "group" or "mixed""#;
        reader.decoder.bad::<()>(node.place, bad.hint(hint));
    }
    exit_type
}

/// Where the pid of the main process is read; a relative path is below `base`.
pub(super) fn pid_file(reader: &Reader<'_>, kind: Kind, base: &Path) -> Option<PathBuf> {
    let entry = reader.entry("pid-file")?;
    let path = reader.decoder.path(&entry.node, base);
    if kind == Kind::Forking {
        return path;
    }
    // As a default it is meant for those that fork.
    if !entry.default {
        let bad =
            Bad::new("`pid-file` is for services of type forking: others are not searched for");
        reader.decoder.bad::<()>(entry.key, bad.hint(r#"take it away, or write type = "forking""#));
    }
    None
}
