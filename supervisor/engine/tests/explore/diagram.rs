//! The diagram of states, drawn from what was really seen.

use std::collections::{BTreeMap, BTreeSet};

use supervisor_engine::{Cause, Status, Transition};

/// The changes that were seen, each with its causes.
#[derive(Debug, Default)]
pub(crate) struct Diagram(BTreeMap<(Status, Status), BTreeSet<&'static str>>);

const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/states.md");

impl Diagram {
    pub(crate) fn draw(&mut self, changes: &[Transition]) {
        for change in changes {
            if change.from != change.to {
                self.0.entry((change.from, change.to)).or_default().insert(name(&change.cause));
            }
        }
    }

    /// Compares with the file; `UPDATE=1` writes it anew.
    #[expect(clippy::disallowed_methods, reason = "a test of a file; the engine itself has no I/O")]
    pub(crate) fn check(&self) {
        let drawn = self.render();
        if std::env::var("UPDATE").is_ok() {
            std::fs::write(PLACE, &drawn).expect("the file can be written");
        }
        let kept = std::fs::read_to_string(PLACE).unwrap_or_default();
        assert!(kept == drawn, "{PLACE} is stale: UPDATE=1 writes it anew\n{drawn}");
    }

    fn render(&self) -> String {
        let mut lines = vec![
            "# States of a service".to_owned(),
            String::new(),
            "Every change of state that exhaustive exploration of one service has seen, with its"
                .to_owned(),
            "causes. Written by `tests/explore.rs`; `UPDATE=1` writes it anew.".to_owned(),
            String::new(),
            "```mermaid".to_owned(),
            "stateDiagram-v2".to_owned(),
            "    [*] --> Stopped".to_owned(),
        ];
        for ((from, to), causes) in &self.0 {
            let causes: Vec<_> = causes.iter().copied().collect();
            lines.push(format!("    {from:?} --> {to:?}: {}", causes.join(", ")));
        }
        lines.push("```".to_owned());
        lines.join("\n") + "\n"
    }
}

fn name(cause: &Cause) -> &'static str {
    match cause {
        Cause::Requested => "requested",
        Cause::TriggeredBy(_) => "triggered",
        Cause::UpheldBy(_) => "upheld",
        Cause::Restart => "tried again",
        Cause::DependenciesUp => "dependencies up",
        Cause::Phase(_) => "next phase",
        Cause::Spawned => "spawned",
        Cause::Ready => "ready",
        Cause::Probed => "probed",
        Cause::PostStarted => "post-start done",
        Cause::Forked => "forked",
        Cause::MainFound => "main process found",
        Cause::MainUnknown => "main process unknown",
        Cause::MainGone(_) => "main process gone",
        Cause::Healthy => "healthy",
        Cause::Settled => "settled",
        Cause::Completed(_) => "completed",
        Cause::Reload => "reload",
        Cause::Reloaded => "reloaded",
        Cause::ReloadTimeout => "reload timeout",
        Cause::ReloadFailed => "reload failed",
        Cause::Stop(_) => "stop",
        Cause::Cycle => "restart",
        Cause::Replaced => "replaced",
        Cause::Step(_) => "announced",
        Cause::Ended(_) => "ended",
        Cause::Failed(_) => "failed",
    }
}
