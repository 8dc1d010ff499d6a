//! The chain of stops that a shutdown takes longest for, in words.

use std::fmt::Write as _;
use std::time::Duration;

use supervisor_engine::{Chain, Engine};

/// `longest stop: web 10s → db 20s, 30s in all`; `None` where nothing takes any time.
pub(crate) fn line(engine: &Engine, chain: &Chain) -> Option<String> {
    let all = limit(chain.worst);
    let mut text = "longest stop: ".to_owned();
    for (place, (id, worst)) in chain.links.iter().enumerate() {
        let arrow = if place == 0 { "" } else { " → " };
        let name = &engine.service(*id).spec().name;
        // Writing to a string does not fail.
        let _ = write!(text, "{arrow}{name} {}", limit(*worst));
    }
    match chain.links.len() {
        0 => return None,
        1 => {}
        _ => text.extend([", ", &all, " in all"]),
    }
    Some(text)
}

/// `web → db need 60s, shutdown-timeout is 30s`, where the chain does not fit into the time.
pub(crate) fn warning(engine: &Engine, chain: &Chain, timeout: Option<Duration>) -> Option<String> {
    let timeout = timeout.filter(|timeout| chain.worst.is_none_or(|worst| worst > *timeout))?;
    let names: Vec<&str> =
        chain.links.iter().map(|(id, _)| engine.service(*id).spec().name.as_str()).collect();
    let need = if names.len() == 1 { "needs" } else { "need" };
    let (names, all) = (names.join(" → "), chain.worst.map(|worst| format!("{worst:?}")));
    let all = all.as_deref().unwrap_or("any time");
    Some(format!("{names} {need} {all}, shutdown-timeout is {timeout:?}"))
}

fn limit(time: Option<Duration>) -> String {
    time.map_or_else(|| "no limit".to_owned(), |time| format!("{time:?}"))
}

#[cfg(test)]
mod tests {
    use supervisor_engine::{Dependency, DependencyKind, Kind, ServiceId, ServiceSpec, Until};

    use super::*;

    fn engine(timeouts: &[Option<u64>]) -> Engine {
        let specs = timeouts.iter().zip(0..).map(|(timeout, place)| {
            let mut spec = ServiceSpec::new(format!("s{place}"), Kind::Simple);
            spec.stop.steps[0].timeout = timeout.map(Duration::from_secs);
            if place > 0 {
                let (kind, on) = (DependencyKind::Requires, ServiceId(place - 1));
                spec.dependencies.push(Dependency { kind, on, until: Some(Until::Ready) });
            }
            spec
        });
        Engine::new(specs.collect(), 1).unwrap()
    }

    fn told(timeouts: &[Option<u64>], limit: u64) -> (Option<String>, Option<String>) {
        let engine = engine(timeouts);
        let chain = engine.longest_shutdown();
        let limit = Some(Duration::from_secs(limit));
        (line(&engine, &chain), warning(&engine, &chain, limit))
    }

    #[test]
    fn a_chain_is_told_and_warned_of_when_it_does_not_fit() {
        let (line, warning) = told(&[Some(20), Some(10)], 30);
        assert_eq!(line.unwrap(), "longest stop: s1 10s → s0 20s, 30s in all");
        assert_eq!(warning, None);
        let warning = told(&[Some(20), Some(10)], 29).1.unwrap();
        assert_eq!(warning, "s1 → s0 need 30s, shutdown-timeout is 29s");
    }

    #[test]
    fn one_service_is_a_chain_and_no_limit_never_fits() {
        let (line, warning) = told(&[None], 30);
        assert_eq!(line.unwrap(), "longest stop: s0 no limit");
        assert_eq!(warning.unwrap(), "s0 needs any time, shutdown-timeout is 30s");
        assert_eq!(told(&[Some(0)], 30), (None, None));
    }
}
