//! `restart-…` and `start-limit-…`: when a service is started again.

use supervisor_engine::{Kind, RestartMode, RestartPolicy, RestartSpec};

use super::fault::Draft;
use super::reader::Reader;
use super::value::Bad;

/// `defaults` are those of the service's type; `pid_file`: it writes one.
pub(super) fn read(
    reader: &Reader<'_>,
    kind: Kind,
    pid_file: bool,
    defaults: RestartSpec,
) -> RestartSpec {
    let policies = [
        ("no", RestartPolicy::No),
        ("always", RestartPolicy::Always),
        ("on-success", RestartPolicy::OnSuccess),
        ("on-failure", RestartPolicy::OnFailure),
        ("on-abnormal", RestartPolicy::OnAbnormal),
        ("on-abort", RestartPolicy::OnAbort),
        ("on-watchdog", RestartPolicy::OnWatchdog),
    ];
    let delay = reader.finite("restart-delay").unwrap_or(defaults.delay);
    // A delay that was asked for is never cut by a limit that was not.
    let max_delay = reader.finite("restart-max-delay");
    let shown = (reader.entry("restart-delay"), reader.entry("restart-max-delay"));
    if let (Some(least), Some(most)) = shown
        && max_delay.is_some_and(|max_delay| max_delay < delay)
    {
        let fault = Draft::new(most.key, "`restart-max-delay` is shorter than `restart-delay`");
        reader
            .decoder
            .faults
            .add(fault.related(least.key, "the first delay").hint("make it longer"));
    }
    RestartSpec {
        policy: reader.choice("restart", &policies).unwrap_or(defaults.policy),
        delay,
        max_delay: max_delay.unwrap_or_else(|| defaults.max_delay.max(delay)),
        factor: reader.float("restart-factor", 1.0..=1000.0).unwrap_or(defaults.factor),
        jitter: reader.float("restart-jitter", 0.0..=1.0).unwrap_or(defaults.jitter),
        reset: reader.finite("restart-reset").unwrap_or(defaults.reset),
        limit_burst: reader
            .count("start-limit-burst", 0..=1_000_000)
            .unwrap_or(defaults.limit_burst),
        limit_interval: reader.positive("start-limit-interval").unwrap_or(defaults.limit_interval),
        success_exit: reader.exits("success-exit").unwrap_or(defaults.success_exit),
        prevent_exit: reader.exits("restart-prevent-exit").unwrap_or(defaults.prevent_exit),
        force_exit: reader.exits("restart-force-exit").unwrap_or(defaults.force_exit),
        mode: mode(reader, kind, pid_file).unwrap_or(defaults.mode),
    }
}

/// Whether a service can have two processes at a time is for its type to say, and its pid file.
fn mode(reader: &Reader<'_>, kind: Kind, pid_file: bool) -> Option<RestartMode> {
    let modes = [
        ("normal", RestartMode::Normal),
        ("direct", RestartMode::Direct),
        ("overlap", RestartMode::Overlap),
    ];
    let mode = reader.choice("restart-mode", &modes)?;
    let bad = match kind {
        Kind::Simple | Kind::Notify | Kind::Forking => {
            pid_file.then_some("two processes cannot have the same pid file")
        }
        Kind::Oneshot => {
            Some("a oneshot is done when its process ends: no other one takes its place")
        }
        // That it has no `command` is told elsewhere.
        Kind::Target => Some(""),
    };
    let Some(text) = bad.filter(|_| mode == RestartMode::Overlap) else { return Some(mode) };
    // What all services get is not meant for every one.
    if let Some(entry) = reader.entry("restart-mode").filter(|entry| !entry.default)
        && !text.is_empty()
    {
        let hint = r#"take it away, or write restart-mode = "normal""#;
        reader.decoder.bad::<()>(entry.node.place, Bad::new(text).hint(hint));
    }
    None
}
