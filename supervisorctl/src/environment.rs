//! What the process gets from outside besides its arguments, read once.

use std::ffi::OsString;
use std::path::PathBuf;

/// The environment as far as it matters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `SUPERVISOR_SOCKET`: the daemon's address, a path or `unix:///path`.
    pub(crate) socket: Option<OsString>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// `NOTIFY_SOCKET`.
    pub(crate) notify_socket: Option<OsString>,
    /// `NO_COLOR` is set and not empty (no-color.org), or the terminal cannot.
    pub(crate) no_color: bool,
    /// `TZ`.
    pub(crate) tz: Option<String>,
    /// `PATH`.
    pub(crate) path: Option<OsString>,
    /// Where this program lies.
    pub(crate) program: Option<PathBuf>,
    /// Whose it is, in effect.
    pub(crate) uid: u32,
}

impl Environment {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            socket: set("SUPERVISOR_SOCKET"),
            runtime_dir: set("XDG_RUNTIME_DIR").map(PathBuf::from),
            notify_socket: set("NOTIFY_SOCKET"),
            no_color: set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb"),
            tz: std::env::var("TZ").ok(),
            path: set("PATH"),
            program: std::env::current_exe().ok(),
            uid: nix::unistd::geteuid().as_raw(),
        }
    }
}
