//! The processes of services: started, signalled, reaped and found again.
//!
//! A leaf: system calls and `/proc` only, no runtime and no decisions. A [`Spawner`] starts a
//! [`Command`] and gives a pidfd with the pid; [`wait`] and [`signal`] work on that pidfd, so no
//! reused pid is ever reaped or signalled. Descendants that lost their parents are adopted by the
//! daemon (see [`become_reaper`]) and found by a [`Tree`].

mod arguments;
mod child_setup;
mod command;
mod credentials;
mod descriptor;
mod failure;
mod signal;
mod spawner;
mod sys;
mod tree;
mod wait;

pub use command::{Command, Session, Stdin};
pub use descriptor::{pid_of, pidfd_id, same_description};
pub use signal::{open, signal, signal_and_continue};
pub use spawner::{Child, Spawner};
pub use tree::{Orphan, Roots, Stat, Tree};
pub use wait::{become_reaper, next_zombie, peek, reap, wait};

#[cfg(test)]
mod fixture;
