//! Builds the parts of the daemon, runs them, and turns how it ended into an exit status.

use std::error::Error as _;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Uid, getpid};
use supervisor_engine::{Engine, ServiceId};
use tokio::sync::mpsc;

use crate::args::Args;
use crate::clock::Wall;
use crate::config::load::{LoadOptions, load};
use crate::config::{Config, Console, LoadError, NotifyAccess, ServiceConfig};
use crate::control::{BindError, ControlListener, serve};
use crate::descriptors::Share;
use crate::directory::{self, NOTIFY_MODE};
use crate::logs::Logs;
use crate::runtime::{Ended, Parts, run};
use crate::signals::Signals;
use crate::telemetry::{Telemetry, wants_colour};
use crate::upstream::Upstream;
use crate::{longest_stop, memory, notify, process};

/// Calls of the API that can wait for the loop.
const CALLS_QUEUED: usize = 64;
/// Exit status when the daemon itself could not run.
const EXIT_FAILURE: u8 = 1;
/// Exit status for a spec that does not load.
const EXIT_SPEC: u8 = 2;

/// Why the daemon could not run.
#[derive(Debug, thiserror::Error)]
enum StartError {
    /// The spec has faults.
    #[error("{0}")]
    Spec(#[from] LoadError),
    /// A directory that is needed cannot be used.
    #[error("{}: {error}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The control socket cannot be used.
    #[error(transparent)]
    Control(#[from] BindError),
    /// The operating system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        error: io::Error,
    },
}

impl StartError {
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}

/// Runs the daemon as the command line says.
pub(crate) fn run_daemon(args: &Args) -> ExitCode {
    match start(args) {
        Ok(status) => ExitCode::from(status),
        Err(StartError::Spec(error)) => {
            let colour = wants_colour(&io::stderr());
            say(&format!("{}\n", if colour { error.colored() } else { error.to_string() }));
            ExitCode::from(EXIT_SPEC)
        }
        Err(error) => {
            let mut text = format!("supervisord: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text.extend([": ", &error.to_string()]);
                cause = error.source();
            }
            text.push('\n');
            say(&text);
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// To stderr; with that closed nobody is left to be told.
fn say(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}

fn start(args: &Args) -> Result<u8, StartError> {
    let upstream = Upstream::from_env();
    let command = (!args.command.is_empty()).then(|| args.command.clone());
    let options = LoadOptions::of_process(args.config.clone(), command);
    let mut config = load(&options)?;
    if args.check {
        tell_longest_stop(&config)?;
        return Ok(0);
    }
    // A command alone needs no API; a spec without one is a mistake of the past.
    let init = options.path.is_none() && config.files.is_empty();
    // What it prints is all that is to be seen, as under any other init, as long as all is well.
    let usual = if init { tracing::Level::WARN } else { config.daemon.log_level };
    let level = args.log_level.unwrap_or(usual);
    forget_what_was_inherited();
    let _telemetry =
        Telemetry::start(level, config.daemon.log_format).map_err(StartError::system("log"))?;
    let descriptors = Share::of_raised_limit(&mut config);
    process::become_reaper().map_err(StartError::system("child subreaper"))?;
    notify::raise_queue();
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(4)
        .build()
        .map_err(StartError::system("event loop"))
        .and_then(|runtime| {
            let ended =
                runtime.block_on(serve_until_down(args, config, descriptors, init, upstream));
            // A resolver that hangs must not hold up the end.
            runtime.shutdown_background();
            ended
        })
        .map(|ended| match ended.exit_status {
            Some(status) => status,
            None if ended.killed && args.strict_stop => EXIT_FAILURE,
            None => 0,
        })
}

/// To whoever checks a spec: what a shutdown takes, and whether its time is enough.
fn tell_longest_stop(config: &Config) -> Result<(), StartError> {
    let engine = engine(config, 1)?;
    let chain = engine.longest_shutdown();
    if let Some(line) = longest_stop::line(&engine, &chain) {
        // Whoever does not want to read it has nothing to lose.
        drop(writeln!(io::stdout(), "{line}"));
    }
    let timeout = config.daemon.shutdown_timeout;
    if let Some(warning) = longest_stop::warning(&engine, &chain, timeout) {
        say(&format!("warning: {warning}\n"));
    }
    Ok(())
}

fn engine(config: &Config, seed: u64) -> Result<Engine, StartError> {
    let specs = config.services.iter().map(|service| service.spec.clone()).collect();
    Engine::new(specs, seed).map_err(|_| {
        // The loader reports cycles with their places, so none is left here.
        StartError::System { what: "spec", error: io::Error::other("dependency cycle") }
    })
}

async fn serve_until_down(
    args: &Args,
    config: Config,
    descriptors: Share,
    init: bool,
    upstream: Upstream,
) -> Result<Ended, StartError> {
    // Before the first child, so that no news of one is missed.
    let signals = Signals::listen(init).map_err(StartError::system("signals"))?;
    let boot_id = random_id();
    let runtime_dir = config.daemon.runtime_dir.clone();
    let (calls_in, calls) = mpsc::channel(CALLS_QUEUED);
    let notify_dir = if init { private_dir() } else { runtime_dir.join("notify") };
    let mut server = None;
    if !init {
        make_runtime_dir(&runtime_dir)?;
        let control = &config.control;
        let listener = ControlListener::bind(&control.socket, control.mode, control.group)?;
        server =
            Some(serve(listener, calls_in, Uid::effective().as_raw(), descriptors.connections));
    }
    // A container with a read-only root may have nowhere to put it, and no use for it.
    let notifies = |service: &ServiceConfig| service.notify_access != NotifyAccess::None;
    if config.services.iter().any(notifies) {
        directory::make(&notify_dir, NOTIFY_MODE).map_err(|error| unusable(&notify_dir, error))?;
    }
    let engine = engine(&config, u64::from_str_radix(&boot_id, 16).unwrap_or(1))?;
    memory::give_back();
    let console = config.daemon.console.unwrap_or_else(default_console);
    let colour = wants_colour(&io::stdout());
    let printing = config.services.iter().filter(|service| service.command.is_some());
    let names = printing.map(|service| service.spec.name.as_str());
    let (logs, faults) =
        Logs::start(console, colour, names).map_err(StartError::system("log thread"))?;
    let pid_file = args.pid_file.as_deref().map(PidFile::write).transpose()?;
    tracing::info!(
        pid = getpid().as_raw(),
        services = config.services.len(),
        control = server.is_some().then(|| config.control.socket.display().to_string()),
        concat!("supervisord ", env!("CARGO_PKG_VERSION"))
    );
    let (chain, timeout) = (engine.longest_shutdown(), config.daemon.shutdown_timeout);
    if let Some(warning) = longest_stop::warning(&engine, &chain, timeout) {
        tracing::warn!("{warning}");
    }
    let parts = Parts {
        engine,
        logs,
        faults,
        calls,
        signals,
        upstream,
        notify_dir: notify_dir.clone(),
        boot_id,
        started_ms: Wall::now().now_ms(),
        descriptors,
        own_stdin: io::stdin().as_fd().try_clone_to_owned().ok(),
        init: init.then_some(ServiceId(0)),
        config,
    };
    let ended = run(parts).await.map_err(StartError::system("event loop"));
    if let Some(server) = server {
        server.close().await;
    }
    drop(pid_file);
    // The sockets in it are gone with the runtime; if not, the next start removes them.
    drop(fs::remove_dir(notify_dir));
    ended
}

/// What the console shows when the spec does not say: services' output where somebody looks.
fn default_console() -> Console {
    if io::stdout().is_terminal() || getpid().as_raw() == 1 {
        Console::Prefix
    } else {
        Console::None
    }
}

/// Signals that whoever started us had blocked would never arrive, and with an odd file mode
/// creation mask the next start could not use the files of this one. Services get their own.
fn forget_what_was_inherited() {
    umask(Mode::from_bits_truncate(0o022));
    // It fails for nothing but wrong arguments.
    let _ = SigSet::empty().thread_set_mask();
}

/// The runtime directory: others may pass through, for the sockets that they may use.
fn make_runtime_dir(path: &Path) -> Result<(), StartError> {
    let mode = if Uid::effective().is_root() { 0o755 } else { 0o700 };
    directory::make(path, mode).map_err(|error| unusable(path, error))?;
    // In /tmp anybody may have made it before us.
    let owner = fs::metadata(path).map_err(|error| unusable(path, error))?.uid();
    if owner != Uid::effective().as_raw() && owner != 0 {
        let error = io::Error::other(format!("it belongs to user {owner}"));
        return Err(unusable(path, error));
    }
    Ok(())
}

/// Where an init without spec keeps its notify socket.
fn private_dir() -> PathBuf {
    std::env::temp_dir().join(format!("supervisord-{}-{}", getpid(), random_id()))
}

fn unusable(path: &Path, error: io::Error) -> StartError {
    StartError::Directory { path: path.to_owned(), error }
}

/// 16 hexadecimal digits.
fn random_id() -> String {
    let mut bytes = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if read.is_err() {
        // A container without /dev: unique enough to tell one start from the next.
        bytes = (Wall::now().now_ms() << 16 | u64::from(std::process::id())).to_be_bytes();
    }
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// A file with the daemon's pid, removed at its end.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<Self, StartError> {
        fs::write(path, format!("{}\n", getpid())).map_err(|error| unusable(path, error))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "pid file");
        }
    }
}
