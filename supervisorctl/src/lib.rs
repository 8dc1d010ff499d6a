//! `supervisorctl`, the command line client of `supervisord`.
//!
//! It knows the daemon by its API alone. Its classic verbs print what Supervisor's client prints,
//! because Ansible, Salt, telegraf and scripts read that; the others speak for people, and every
//! verb speaks JSON with `-o json`.

mod args;
mod clock;
mod commands;
mod duration;
mod environment;
mod error;
mod exit;
mod interrupt;
mod select;
mod socket;
mod ui;
mod wait;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use args::Cli;
use environment::Environment;
use error::CtlError;
use exit::Exit;
use ui::{Terminal, Ui};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect();
    ExitCode::from(run(arguments, &Environment::of_process(), Terminal::of_process()))
}

/// Runs one command line, without the program's name, and answers the exit status.
fn run(arguments: Vec<OsString>, environment: &Environment, terminal: Terminal) -> u8 {
    let arguments = words::rejoin(arguments);
    if let Some(verb) = args::later_verb(&arguments) {
        let mut ui = Ui::plain(terminal, environment);
        ui.error(&CtlError::unsupported(verb));
        return ui.end(Exit::Failed);
    }
    if args::asks_for_exit_codes(&arguments) {
        let mut ui = Ui::plain(terminal, environment);
        let printed = ui.line(&Exit::help());
        return ui.end(printed.map_or_else(|error| error.exit, |()| Exit::Ok));
    }
    match Cli::try_parse_from(std::iter::once(OsString::from("supervisorctl")).chain(arguments)) {
        Ok(cli) => {
            let mut ui = Ui::new(terminal, environment, &cli.globals);
            let exit = commands::run(cli, environment, &mut ui);
            ui.end(exit)
        }
        Err(error) => {
            let mut ui = Ui::plain(terminal, environment);
            let exit = ui.usage(&error);
            ui.end(exit)
        }
    }
}

#[cfg(test)]
mod tests;
