//! `check`: whether a spec is valid. The daemon's own loader says so: `supervisord --check`.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::environment::Environment;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::ui::Ui;

const DAEMON: &str = "supervisord";

pub(super) fn run(
    ui: &Ui,
    environment: &Environment,
    file: Option<&PathBuf>,
) -> Result<Exit, CtlError> {
    let daemon = find(environment).ok_or_else(|| {
        CtlError::new(Exit::Failed, "cannot find supervisord, whose loader checks the spec")
            .with_hint("it belongs beside supervisorctl or into PATH")
    })?;
    let mut command = Command::new(&daemon);
    command.arg("--check");
    if let Some(file) = file {
        command.arg("-c").arg(file);
    }
    if ui.is_quiet() {
        command.stdout(Stdio::null());
    }
    let status = command.status().map_err(|error| {
        CtlError::new(Exit::Failed, format!("cannot run {}: {error}", daemon.display()))
    })?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(Exit::Program(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)))
}

/// Beside this program, as it is installed; else in `PATH`.
fn find(environment: &Environment) -> Option<PathBuf> {
    let beside = environment.program.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path = environment.path.clone().unwrap_or_default();
    let dirs = beside.into_iter().chain(std::env::split_paths(&path));
    dirs.map(|dir| dir.join(DAEMON)).find(|file| file.is_file())
}
