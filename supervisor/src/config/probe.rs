//! `readiness-probe` and `liveness-probe`: how it is found out that a service is ready, and that it
//! still works.

use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use supervisor_engine::Kind;

use super::decode::Decoder;
use super::reader::{self, Reader, not_supported};
use super::tree::{Node, Value};
use super::value::Bad;
use super::{LinePattern, LivenessProbe, ProbeCheck, ProbeConfig, Readiness};

/// What a probe tries.
const TRIED: [&str; 5] = ["exec", "tcp", "http", "unix", "file"];

/// What a service tells instead.
const TOLD: [&str; 2] = ["fd", "log"];

/// What can be tried again and again as long as a service is up.
const WATCHED: [&str; 4] = ["exec", "tcp", "http", "unix"];

/// What may stand beside the former.
const BESIDE_TRIED: [&str; 6] =
    ["initial-delay", "period", "timeout", "successes", "status", "headers"];

/// Reads the probe of a service of this kind. Relative paths are below `base`; `captured` is whether
/// output is read at all.
pub(super) fn read(
    reader: &Reader<'_>,
    kind: Kind,
    base: &Path,
    captured: bool,
) -> Option<Readiness> {
    let entry = reader.entry("readiness-probe")?;
    let why = match kind {
        Kind::Notify => Some("a service of type notify says itself when it is ready"),
        Kind::Oneshot => Some("a oneshot is up when it has ended well"),
        Kind::Simple | Kind::Forking | Kind::Target => None,
    };
    if let Some(why) = why {
        reader.decoder.bad::<()>(entry.key, Bad::new(why).hint("remove `readiness-probe`"));
    }
    let probe = reader.table("readiness-probe")?;
    let kinds: Vec<_> = TRIED.into_iter().chain(TOLD).collect();
    probe.exclusive(&kinds, "a probe is one thing");
    // Each is asked for, so that it is known also where another one is taken.
    let set: Vec<_> = kinds.iter().filter(|key| probe.entry(key).is_some()).collect();
    let read = if set.iter().any(|key| TOLD.contains(*key)) {
        told(&probe, captured)
    } else {
        let check = check(&probe, &entry.node, base, &kinds);
        Some(Readiness::Probe(timed(&probe, check, base)))
    };
    probe.finish();
    read
}

/// Reads what watches a service of this kind while it is up.
pub(super) fn read_liveness(reader: &Reader<'_>, kind: Kind, base: &Path) -> Option<LivenessProbe> {
    let entry = reader.entry("liveness-probe")?;
    if kind == Kind::Oneshot {
        let bad = Bad::new("a oneshot is up when it has ended, and nothing can be watched then");
        reader.decoder.bad::<()>(entry.key, bad.hint("remove `liveness-probe`"));
    }
    let probe = reader.table("liveness-probe")?;
    probe.exclusive(&WATCHED, "a probe is one thing");
    for key in TRIED.into_iter().chain(TOLD).filter(|key| !WATCHED.contains(key)) {
        if let Some(entry) = probe.entry(key) {
            let bad =
                Bad::new(format!("`{key}` shows once that a service is ready, not that it lives"));
            let hint = format!("take one of {}", reader::list(&WATCHED));
            reader.decoder.bad::<()>(entry.key, bad.hint(hint));
            return None;
        }
    }
    let check = check(&probe, &entry.node, base, &WATCHED);
    let timed = timed(&probe, check, base);
    let failures = probe.count("failures", 1..=1_000_000).unwrap_or(3);
    probe.finish();
    Some(LivenessProbe { probe: timed, failures })
}

/// When it is tried. What was wrong and is told is replaced by something.
fn timed(probe: &Reader<'_>, check: Option<ProbeCheck>, base: &Path) -> ProbeConfig {
    ProbeConfig {
        check: check.unwrap_or_else(|| ProbeCheck::File(base.to_owned())),
        initial_delay: probe.finite("initial-delay").unwrap_or(Duration::ZERO),
        period: probe.positive("period").unwrap_or(Duration::from_secs(1)),
        timeout: probe.positive("timeout").unwrap_or(Duration::from_secs(1)),
        successes: probe.count("successes", 1..=1_000_000).unwrap_or(1),
    }
}

/// What the service tells by itself; `None` if that is wrong, and told, or if it is to be tried.
fn told(probe: &Reader<'_>, captured: bool) -> Option<Readiness> {
    let decoder = &probe.decoder;
    let (key, entry) = TOLD.iter().find_map(|key| Some((*key, probe.entry(key)?)))?;
    for beside in BESIDE_TRIED {
        if let Some(entry) = probe.entry(beside) {
            let bad = Bad::new(format!("`{beside}` has no meaning beside `{key}`"));
            decoder.bad::<()>(entry.key, bad.hint("take it away"));
        }
    }
    if key == "fd" {
        let number = decoder.integer(&entry.node, 3..=255)?;
        return RawFd::try_from(number).ok().map(Readiness::Descriptor);
    }
    let pattern = decoder.parsed(&entry.node, |text| {
        LinePattern::new(text).map_err(|error| {
            Bad::new(format!("not a regular expression: {error}"))
                .hint("for a character itself write `\\\\` in front")
        })
    })?;
    if !captured {
        let bad = Bad::new("`log` of the service captures no output in which a line could match");
        return decoder.bad(entry.key, bad.hint("let `stdout` or `stderr` go to a file"));
    }
    Some(Readiness::Line(pattern))
}

/// What is tried; `None` if that is wrong, and told. `kinds` are the keys that say it.
fn check(probe: &Reader<'_>, node: &Node, base: &Path, kinds: &[&str]) -> Option<ProbeCheck> {
    let decoder = &probe.decoder;
    let entries = TRIED.map(|key| (key, probe.entry(key)));
    let is_http = entries.iter().any(|(key, entry)| *key == "http" && entry.is_some());
    let status = probe.entry("status");
    let headers = probe.entry("headers");
    if !is_http {
        for (key, entry) in [("status", status), ("headers", headers)] {
            if let Some(entry) = entry {
                let bad = Bad::new(format!("`{key}` has a meaning only beside `http`"))
                    .hint("take it away");
                decoder.bad::<()>(entry.key, bad);
            }
        }
    }
    let Some((key, entry)) = entries.into_iter().find_map(|(key, entry)| Some((key, entry?)))
    else {
        let (last, first) = kinds.split_last()?;
        let first: Vec<String> = first.iter().map(|key| format!("`{key}`")).collect();
        let bad = Bad::new(format!("a probe needs one of {} and `{last}`", first.join(", ")));
        return decoder.bad(node.place, bad.hint(r#"write { tcp = "127.0.0.1:8080" }"#));
    };
    let value = &entry.node;
    match key {
        "exec" => decoder.command(value).map(ProbeCheck::Exec),
        "tcp" => {
            let (host, port) = decoder.parsed(value, |text| host_and_port(text, None))?;
            Some(ProbeCheck::Tcp { host, port })
        }
        "http" => {
            let url = decoder.parsed(value, url);
            let status = match status {
                Some(entry) => decoder.parsed(&entry.node, statuses)?,
                None => vec![(200, 399)],
            };
            let headers = headers.map(|entry| header_pairs(&entry.node, decoder));
            let Url { host, port, path } = url?;
            let headers = headers.unwrap_or_default();
            Some(ProbeCheck::Http { host, port, path, status, headers })
        }
        "unix" => decoder.path(value, base).map(ProbeCheck::Unix),
        // `file`: no other is left.
        _ => decoder.path(value, base).map(ProbeCheck::File),
    }
}

/// `host:port`, `[::1]:port`.
fn host_and_port(text: &str, default: Option<u16>) -> Result<(String, u16), Bad> {
    let wrong = || Bad::new(format!("{text:?} is not host:port"));
    let example = r#"write it like "127.0.0.1:8080" or "[::1]:8080""#;
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| wrong().hint(example))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(wrong().hint(example));
        }
        match rest.strip_prefix(':') {
            None if !rest.is_empty() => return Err(wrong().hint(example)),
            port => (host, port),
        }
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let proper = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(proper) {
        return Err(wrong().hint(example));
    }
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok(),
        Some(_) => None,
        None => default,
    };
    match port {
        Some(port) if port > 0 => Ok((host.to_owned(), port)),
        _ => Err(wrong().hint(example)),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Url {
    host: String,
    port: u16,
    path: String,
}

/// `http://host[:port][/path][?query]`.
fn url(text: &str) -> Result<Url, Bad> {
    let wrong = || Bad::new(format!("{text:?} is not an http URL"));
    let example = r#"write it like "http://127.0.0.1:8080/health""#;
    if text.starts_with("https://") {
        return Err(not_supported("https").hint(r#"try { exec = ["curl", "-fsS", "https://…"] }"#));
    }
    let rest = text.strip_prefix("http://").ok_or_else(|| wrong().hint(example))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split('#').next().unwrap_or_default();
    // What is not allowed in a request line could make it another request (RFC 9112).
    if path.contains(|c: char| c.is_control() || c.is_whitespace() || !c.is_ascii()) {
        return Err(wrong().hint("write other characters than ASCII with `%`"));
    }
    let (host, port) = host_and_port(authority, Some(80)).map_err(|_| wrong().hint(example))?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Url { host, port, path })
}

/// `200-399`, `200,204`.
fn statuses(text: &str) -> Result<Vec<(u16, u16)>, Bad> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (100 <= first && first <= last && last <= 599).then_some((first, last))
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges.ok_or_else(|| {
        let bad = Bad::new(format!("{text:?} is not a range of statuses"));
        bad.hint(r#"write it like "200-399" or "200,204""#)
    })
}

fn header_pairs(node: &Node, decoder: &Decoder<'_>) -> Vec<(String, String)> {
    let Value::Table(table) = &node.value else {
        let hint = Some(r#"write { Host = "example.org" }"#.to_owned());
        decoder.wrong_type::<()>(node, "a table", hint);
        return Vec::new();
    };
    let mut pairs = Vec::new();
    for (name, entry) in &table.entries {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            decoder.bad::<()>(
                entry.key,
                Bad::new(format!("{name:?} is not the name of a header"))
                    .hint("write it like Host"),
            );
        } else if let Some(value) = decoder.string(&entry.node) {
            if value.contains(|c: char| c.is_control() && c != '\t') {
                let bad = Bad::new("a header must not contain control characters")
                    .hint("write it in one line");
                decoder.bad::<()>(entry.node.place, bad);
            } else {
                pairs.push((name.clone(), value));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read() {
        for (text, host, port) in [("a.b:1", "a.b", 1), ("[::1]:80", "::1", 80)] {
            assert_eq!(host_and_port(text, None), Ok((host.to_owned(), port)), "{text}");
        }
        for text in
            ["", ":80", "a", "a:", "a:0", "a:65536", "a:+1", "::1:80", "[a]:1", "[::1]80", "a b:1"]
        {
            assert!(host_and_port(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_are_read() {
        for (text, host, port, path) in [
            ("http://a", "a", 80, "/"),
            ("http://a:8080/x?y=1#z", "a", 8080, "/x?y=1"),
            ("http://[::1]/", "::1", 80, "/"),
            ("http://[::1]:81?q", "::1", 81, "/?q"),
        ] {
            let expected = Url { host: host.to_owned(), port, path: path.to_owned() };
            assert_eq!(url(text), Ok(expected), "{text}");
        }
        for text in
            ["", "a", "ftp://a", "https://a", "http://", "http://u@a", "http://a/ HTTP/1.1\r\nX: y"]
        {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn statuses_are_read() {
        assert_eq!(statuses("200-399"), Ok(vec![(200, 399)]));
        assert_eq!(statuses("200, 204"), Ok(vec![(200, 200), (204, 204)]));
        for text in ["", "99", "600", "300-200", "2xx", "200,"] {
            assert!(statuses(text).is_err(), "{text}");
        }
    }
}
