//! The `supervisord` daemon: reads a spec, starts its services, keeps them up, and stops them in
//! order.
//!
//! `daemon` builds the parts and `runtime` runs them: it tells the engine what happens and does
//! what the engine decides. The other modules are leaves that do not know each other: [`process`]
//! (spawn, signal, reap), [`notify`] (the server side of `sd_notify(3)`), [`logs`] (a thread of
//! its own), [`probe`], [`control`] (the API server), [`config`] (the spec).

mod args;
mod clock;
pub mod config;
pub mod control;
mod daemon;
mod descriptors;
mod directory;
pub mod logs;
mod longest_stop;
mod memory;
pub mod notify;
mod pid_file;
pub mod probe;
pub mod process;
mod runtime;
mod signals;
mod suggest;
mod telemetry;
pub mod upstream;

use std::process::ExitCode;

use clap::Parser as _;

/// Runs `supervisord` with the arguments of this process.
pub fn main() -> ExitCode {
    daemon::run_daemon(&args::Args::parse())
}
