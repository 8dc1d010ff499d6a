//! End-to-end tests: the real binaries, real processes, real signals.
//!
//! Each test has a daemon of its own in a directory of its own, so all run in parallel, as root and
//! as an ordinary user. Nothing sleeps: tests wait for conditions. See `harness.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod commands;
mod conformance;
mod control;
mod ctl;
mod dependencies;
mod dialogues;
mod examples;
mod files;
mod forking;
mod harness;
mod hostile;
mod init;
mod instances;
mod lifecycle;
mod liveness;
mod logs;
mod notify;
mod notify_clients;
mod overlap;
mod readiness;
mod real_services;
mod relations;
mod restart;
mod shutdown;
mod spec;
mod stop;
mod upstream;
mod world;
