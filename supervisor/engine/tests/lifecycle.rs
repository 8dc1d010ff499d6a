//! What the engine does in which case: each test is one behaviour, told as a story.

#[path = "lifecycle/budget.rs"]
mod budget;
#[path = "lifecycle/case.rs"]
mod case;
#[path = "lifecycle/commands.rs"]
mod commands;
#[path = "lifecycle/dependency.rs"]
mod dependency;
#[path = "lifecycle/explain.rs"]
mod explain;
#[path = "lifecycle/forking.rs"]
mod forking;
#[path = "lifecycle/health.rs"]
mod health;
#[path = "lifecycle/membership.rs"]
mod membership;
#[path = "lifecycle/operation.rs"]
mod operation;
#[path = "lifecycle/overlap.rs"]
mod overlap;
#[path = "lifecycle/relation.rs"]
mod relation;
#[path = "lifecycle/reload.rs"]
mod reload;
#[path = "lifecycle/restart.rs"]
mod restart;
#[path = "lifecycle/rolling.rs"]
mod rolling;
#[path = "lifecycle/runtime.rs"]
mod runtime;
#[path = "lifecycle/shutdown.rs"]
mod shutdown;
#[path = "lifecycle/start.rs"]
mod start;
#[path = "lifecycle/stop.rs"]
mod stop;
#[path = "lifecycle/stop_command.rs"]
mod stop_command;
#[path = "lifecycle/watchdog.rs"]
mod watchdog;
