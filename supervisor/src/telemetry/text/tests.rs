use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::subscriber::with_default;
use tracing_subscriber::fmt;

use super::Text;

/// What is logged meanwhile, without the time.
fn logged(ansi: bool, log: impl FnOnce()) -> String {
    let buffer = Buffer::default();
    let to = buffer.clone();
    let subscriber =
        fmt().with_ansi(ansi).event_format(Text).with_writer(move || to.clone()).finish();
    with_default(subscriber, log);
    let bytes = buffer.0.lock().unwrap().clone();
    let line = String::from_utf8(bytes).unwrap();
    let (time, rest) = line.split_once(' ').unwrap();
    if ansi {
        assert!(time.starts_with("\x1b[2m") && time.ends_with("Z\x1b[0m"), "{line}");
    } else {
        assert_eq!(time.len(), "2026-11-24T13:11:36.123Z".len(), "{line}");
    }
    rest.to_owned()
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_service_comes_first_and_the_facts_last() {
    let line = logged(false, || tracing::warn!(service = "web", pid = 7, "something"));
    assert_eq!(line, " WARN web: something pid=7\n");
    let line = logged(false, || tracing::info!(steps = "a, \"b\"", "x"));
    assert_eq!(line, " INFO x steps=\"a, \\\"b\\\"\"\n");
    let line = logged(false, || tracing::info!(ok = true, "all is well"));
    assert_eq!(line, " INFO all is well ok=true\n");
}

#[test]
fn a_transition_is_a_sentence() {
    let line = logged(false, || {
        tracing::info!(
            service = "web",
            invocation = 1,
            from = "starting",
            to = "running",
            cause = "said READY=1",
            "transition"
        );
    });
    assert_eq!(line, " INFO web: starting → running: said READY=1 invocation=1\n");
    let line = logged(false, || {
        tracing::info!(
            service = "web",
            from = "stopping",
            to = "stopping",
            cause = "got KILL",
            "transition"
        );
    });
    assert_eq!(line, " INFO web: stopping: got KILL\n");
}

#[test]
fn what_others_wrote_cannot_forge_lines() {
    for ansi in [false, true] {
        let line = logged(ansi, || {
            tracing::info!(
                service = "web\nx",
                from = "a\n",
                to = "b\x1b[2J",
                cause = "exec: \r\n\x1b[31m",
                text = "1\n2 3",
                "transition"
            );
        });
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(!line.contains("\x1b[2J") && !line.contains('\r'), "{line:?}");
        let line = logged(ansi, || tracing::info!("{}", "a\nb\x1b[2J"));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(!line.contains("\x1b[2J"), "{line:?}");
    }
}

#[test]
fn levels_have_colours_where_colours_are_wanted() {
    let line = logged(true, || tracing::error!("x"));
    assert_eq!(line, "\x1b[31mERROR\x1b[0m x\n");
    let line = logged(true, || tracing::info!(pid = 1, "x"));
    assert_eq!(line, "\x1b[32m INFO\x1b[0m x\x1b[2m pid=1\x1b[0m\n");
}
