//! The conformance suite of the notify protocol: one test for each item of `docs/conformance.md`.
//!
//! `item_NNN_…` proves item NNN with real processes and real datagrams. Where the item is decided
//! otherwise than systemd does it, the test proves the decision, and the table says why.

mod app;
mod attribution;
mod barrier;
mod dependencies;
mod fd_store;
mod main_pid;
mod parsing;
mod readiness;
mod reload;
mod restart;
mod socket;
mod speaker;
mod status;
mod stop;
mod table;
mod timeouts;
mod traces;
mod types;
mod watchdog;
