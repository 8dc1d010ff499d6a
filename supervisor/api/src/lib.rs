//! What goes over the control socket of `supervisord`, and the client for it.
//!
//! HTTP/1.1 with JSON over a Unix stream socket. Wire types are not engine types: the daemon maps
//! between them, so that this interface stays while the engine moves. Compatibility: fields are
//! only ever added; readers ignore fields that they do not know; words in enums are only added,
//! and [`State`] and [`Verb`] have no catch-all because a client must not guess.

pub mod client;
pub mod duration;
pub mod error;
pub mod event;
pub mod operation;
pub mod pattern;
pub mod quantity;
pub mod service;
pub mod supervisor;

pub use client::{Address, Client, ClientError, Lines, LogQuery};
pub use error::{ErrorBody, ErrorCode, ErrorResponse};
pub use event::{Event, EventKind, LogLine, Stream};
pub use operation::{
    Item, ItemResult, Operation, OperationRequest, Plan, PlanStep, PlanWave, Report, ReportService,
    ShutdownMessage, ShutdownRequest, StopPhase, Verb,
};
pub use service::{
    Exit, Health, Relation, Run, Said, Service, ServiceDetail, Snapshot, State, Why,
};
pub use supervisor::{DaemonState, Info};

/// Version of the API, the `v1` of its paths.
pub const API_VERSION: &str = "v1";
