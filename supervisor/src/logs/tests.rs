use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use super::*;
use crate::config::Sink;

struct Fixture {
    directory: TempDir,
    logs: Logs,
    faults: mpsc::UnboundedReceiver<Fault>,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (logs, faults) =
            Logs::start_on(ConsoleCopy::new(Console::None, false, None)).expect("thread");
        Self { directory, logs, faults }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self) -> LogConfig {
        LogConfig {
            stdout: Sink::File(self.path("log")),
            stderr: None,
            max_line: 16 * 1024,
            buffer: 64 * 1024,
            rotate_size: None,
            rotate_keep: 5,
            timestamp: false,
        }
    }

    fn open(&self, id: u32, config: &LogConfig) -> ServiceOutputs {
        self.logs.open(ServiceId(id), &format!("service-{id}"), config, None).expect("pipes")
    }

    fn tail(&self, ids: &[u32], stream: Option<Stream>, lines: usize) -> Vec<LogLine> {
        self.logs.tail(query(ids, stream, lines)).blocking_recv().expect("answer")
    }

    /// What is in the file when all is over.
    fn end(&self, name: &str) -> Vec<u8> {
        self.logs.shutdown();
        fs::read(self.path(name)).expect(name)
    }
}

fn query(ids: &[u32], stream: Option<Stream>, lines: usize) -> Query {
    Query { services: ids.iter().copied().map(ServiceId).collect(), stream, lines }
}

fn write(fd: std::os::fd::BorrowedFd<'_>, text: impl AsRef<[u8]>) {
    let mut file = File::from(fd.try_clone_to_owned().expect("copy"));
    file.write_all(text.as_ref()).expect("written");
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.line.as_str()).collect()
}

fn runtime() -> Runtime {
    RuntimeBuilder::new_current_thread().build().expect("runtime")
}

#[test]
fn bytes_pass_unchanged() {
    let fixture = Fixture::new();
    let outputs = fixture.open(0, &fixture.config());
    let binary: Vec<u8> = (0..=255).cycle().take(300_000).chain(*b"no newline").collect();
    write(outputs.stdout(), &binary);
    assert!(fixture.end("log") == binary);
}

#[test]
fn a_watch_is_told_once_of_a_line_of_its_own_outputs() {
    let fixture = Fixture::new();
    let config = LogConfig { stderr: Some(Sink::File(fixture.path("err"))), ..fixture.config() };
    let watch = || {
        let pattern = LinePattern::new("^up [0-9]+$").expect("a pattern");
        fixture.logs.watch(ServiceId(0), "service-0", &config, None, pattern).expect("pipes")
    };
    let (old, mut first) = watch();
    write(old.stdout(), "upup 1\nup 1");
    assert_eq!(texts(&fixture.tail(&[0], None, 9)), ["upup 1"]);
    assert!(first.try_recv().is_err(), "not a line yet");
    write(old.stdout(), "\nup 2\n");
    assert_eq!(first.blocking_recv(), Ok(()));

    let (new, mut second) = watch();
    write(old.stdout(), "up 3\n");
    assert_eq!(texts(&fixture.tail(&[0], None, 9)), ["upup 1", "up 1", "up 2", "up 3"]);
    assert!(second.try_recv().is_err(), "the line is not of this start");
    write(new.stderr(), "up 4\n");
    assert_eq!(second.blocking_recv(), Ok(()));

    // What has no writer any more is over.
    let (last, third) = watch();
    drop((old, new, last));
    assert!(third.blocking_recv().is_err());
    assert_eq!(fixture.end("log"), b"upup 1\nup 1\nup 2\nup 3\n");
}

#[test]
fn no_line_of_many_writers_is_lost_or_torn() {
    const WRITERS: usize = 4;
    const LINES: usize = 25_000;
    let fixture = Fixture::new();
    let config = LogConfig {
        stderr: Some(Sink::File(fixture.path("log"))),
        rotate_size: Some(1024 * 1024),
        ..fixture.config()
    };
    let outputs = fixture.open(0, &config);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let fd = if writer % 2 == 0 { outputs.stdout() } else { outputs.stderr() };
            scope.spawn(move || {
                let mut file = File::from(fd.try_clone_to_owned().expect("copy"));
                for line in 0..LINES {
                    file.write_all(format!("{writer} {line}\n").as_bytes()).expect("written");
                }
            });
        }
    });
    let newest = fixture.end("log");
    let older = (1..=5).rev().map(|number| fs::read(fixture.path(&format!("log.{number}"))));
    let all = [older.filter_map(Result::ok).flatten().collect(), newest].concat();
    let mut next = BTreeMap::<usize, usize>::new();
    for line in String::from_utf8(all).expect("UTF-8").lines() {
        let (writer, number) = line.split_once(' ').expect("whole line");
        let expected = next.entry(writer.parse().expect("writer")).or_default();
        assert_eq!(number.parse(), Ok(*expected), "{line}");
        *expected += 1;
    }
    assert_eq!(next, (0..WRITERS).map(|writer| (writer, LINES)).collect());
}

#[test]
fn a_service_can_open_its_stdout_and_outlive_the_daemon() {
    let fixture = Fixture::new();
    let outputs = fixture.open(0, &fixture.config());
    let script = "echo one; echo two >/dev/stdout; echo three >&2; read go; echo four && printf 5";
    #[expect(clippy::disallowed_methods, reason = "a writer that is nobody's service")]
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(outputs.stdout().try_clone_to_owned().expect("copy"))
        .stderr(outputs.stderr().try_clone_to_owned().expect("copy"))
        .spawn()
        .expect("sh");
    while fixture.tail(&[0], None, 9).len() < 3 {
        thread::yield_now();
    }
    assert_eq!(texts(&fixture.tail(&[0], None, 9)), ["one", "two", "three"]);
    assert_eq!(fixture.end("log"), b"one\ntwo\nthree\n");
    drop(outputs);
    child.stdin.take().expect("piped").write_all(b"go\n").expect("written");
    assert!(child.wait().expect("ended").success());
}

#[test]
fn long_lines_are_split_in_memory_and_whole_in_the_file() {
    let fixture = Fixture::new();
    let outputs = fixture.open(0, &LogConfig { max_line: 10, ..fixture.config() });
    write(outputs.stdout(), "0123456789\n0123456789abcdefghij012");
    assert_eq!(texts(&fixture.tail(&[0], None, 9)), ["0123456789", "0123456789", "abcdefghij"]);
    write(outputs.stdout(), "3\n");
    assert_eq!(texts(&fixture.tail(&[0], None, 2)), ["abcdefghij", "0123"]);
    assert_eq!(fixture.end("log"), b"0123456789\n0123456789abcdefghij0123\n");
}

#[test]
fn an_unfinished_line_ends_with_its_invocation() {
    let fixture = Fixture::new();
    let outputs = fixture.open(0, &fixture.config());
    write(outputs.stdout(), "one\nunfinished");
    assert_eq!(texts(&fixture.tail(&[0], None, 9)), ["one"]);
    fixture.logs.flush(ServiceId(0));
    assert_eq!(texts(&fixture.tail(&[0], None, 9)), ["one", "unfinished"]);
    write(outputs.stdout(), "two\nend");
    assert_eq!(fixture.end("log"), b"one\nunfinished\ntwo\nend");
}

#[test]
fn stamps_stand_in_front_of_lines_and_not_of_pieces() {
    let fixture = Fixture::new();
    let config = LogConfig { timestamp: true, max_line: 4, ..fixture.config() };
    let outputs = fixture.open(0, &config);
    write(outputs.stdout(), "one\n\nabcdefgh");
    fixture.tail(&[0], None, 0);
    write(outputs.stdout(), "ij\ntwo\n");
    let text = String::from_utf8(fixture.end("log")).expect("UTF-8");
    let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').expect("stamp")).collect();
    let (stamps, lines): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
    assert_eq!(lines, ["one", "", "abcdefghij", "two"]);
    assert!(stamps.iter().all(|stamp| stamp.len() == 24 && stamp.ends_with('Z')), "{text}");
}

#[test]
fn streams_may_go_different_ways() {
    let fixture = Fixture::new();
    let config = LogConfig { stderr: Some(Sink::File(fixture.path("errors"))), ..fixture.config() };
    let outputs = fixture.open(0, &config);
    let other =
        LogConfig { stderr: Some(Sink::File(fixture.path("log"))), stdout: Sink::Null, ..config };
    let silent = fixture.open(1, &other);
    write(outputs.stdout(), "out\n");
    write(outputs.stderr(), "err\n");
    write(silent.stdout(), "nowhere\n");
    assert_eq!(texts(&fixture.tail(&[0, 1], Some(Stream::Stderr), 9)), ["err"]);
    write(silent.stderr(), "shared\n");
    assert_eq!(texts(&fixture.tail(&[1], None, 9)), ["shared"]);
    assert_eq!(fixture.end("log"), b"out\nshared\n");
    assert_eq!(fixture.end("errors"), b"err\n");
}

#[test]
fn tails_are_merged_by_time() {
    let fixture = Fixture::new();
    let config = fixture.config();
    let (one, two) = (fixture.open(0, &config), fixture.open(1, &config));
    for line in 0..10 {
        let outputs = if line % 2 == 0 { &one } else { &two };
        write(outputs.stdout(), format!("{line}\n"));
        let before = fixture.tail(&[0, 1], None, 1)[0].time_ms;
        while stamp::unix_ms() == before {
            thread::yield_now();
        }
    }
    let lines = fixture.tail(&[1, 0, 7], None, 4);
    assert_eq!(texts(&lines), ["6", "7", "8", "9"]);
    assert_eq!(lines[0].service, "service-0");
    assert_eq!(texts(&fixture.tail(&[1], None, 2)), ["7", "9"]);
    assert_eq!(fixture.tail(&[7], None, 2), []);
}

#[test]
fn following_goes_on_where_the_tail_ended() {
    let mut fixture = Fixture::new();
    let outputs = fixture.open(0, &fixture.config());
    write(outputs.stdout(), "one\ntwo\n");
    let (tail, mut following) = fixture.logs.follow(query(&[0], None, 1));
    assert_eq!(texts(&tail.blocking_recv().expect("answer")), ["two"]);
    write(outputs.stdout(), "three\n");
    let runtime = runtime();
    let next = |following: &mut Following| match runtime.block_on(following.next()) {
        Some(Followed::Line(line)) => Some(line.line),
        Some(Followed::Lost(lost)) => Some(format!("lost {lost}")),
        None => None,
    };
    assert_eq!(next(&mut following).as_deref(), Some("three"));
    write(outputs.stdout(), "last");
    fixture.logs.shutdown();
    assert_eq!(next(&mut following).as_deref(), Some("last"));
    assert_eq!(next(&mut following), None);
    let (tail, mut following) = fixture.logs.follow(query(&[0], None, 1));
    assert!(tail.blocking_recv().is_err());
    assert_eq!(next(&mut following), None);
    assert!(fixture.faults.try_recv().is_err());
}

#[test]
fn a_follower_that_does_not_read_holds_up_nobody() {
    let fixture = Fixture::new();
    let outputs = fixture.open(0, &fixture.config());
    let (tail, mut following) = fixture.logs.follow(query(&[0], None, 0));
    assert_eq!(tail.blocking_recv(), Ok(vec![]));
    let text = "a line that nobody reads\n".repeat(100_000);
    write(outputs.stdout(), &text);
    assert!(fixture.end("log") == text.as_bytes());
    let runtime = runtime();
    let (mut seen, mut lost) = (0, 0);
    while let Some(followed) = runtime.block_on(following.next()) {
        match followed {
            Followed::Line(_) => seen += 1,
            Followed::Lost(lines) => lost += lines,
        }
    }
    assert!(seen > 0 && lost > 0, "{seen} {lost}");
    assert_eq!(seen + lost, 100_000);
}

#[test]
fn a_file_that_fails_is_tried_again_and_the_service_goes_on() {
    let mut fixture = Fixture::new();
    fs::create_dir(fixture.path("log")).expect("directory");
    let outputs = fixture.open(5, &fixture.config());
    write(outputs.stdout(), "one\n");
    let fault = fixture.faults.blocking_recv().expect("fault");
    assert_eq!((fault.service, fault.path), (ServiceId(5), fixture.path("log")));
    assert!(matches!(fault.kind, FaultKind::WriteFailed { .. }));
    assert_eq!(texts(&fixture.tail(&[5], None, 9)), ["one"]);
    fs::remove_dir(fixture.path("log")).expect("removed");
    // Without anybody's help, and without anything new to write.
    let fault = fixture.faults.blocking_recv().expect("fault");
    assert_eq!(fault.kind, FaultKind::WriteResumed { lost: 4 });
    write(outputs.stdout(), "two\n");
    let text = String::from_utf8(fixture.end("log")).expect("UTF-8");
    assert_eq!(text.lines().count(), 2);
    assert!(text.ends_with("\ntwo\n"), "{text}");
}

#[test]
fn reopening_tries_what_fails_at_once_and_leaves_moved_files_alone() {
    let mut fixture = Fixture::new();
    let outputs = fixture.open(0, &fixture.config());
    let broken = LogConfig { stdout: Sink::File("/dev/full".into()), ..fixture.config() };
    let full = fixture.open(1, &broken);
    write(outputs.stdout(), "one\n");
    write(full.stdout(), "lost\n");
    assert_eq!(texts(&fixture.tail(&[0], None, 9)), ["one"]);
    fs::rename(fixture.path("log"), fixture.path("moved")).expect("renamed");
    fixture.logs.reopen();
    fixture.tail(&[], None, 0);
    write(outputs.stdout(), "two\n");
    assert_eq!(fixture.end("log"), b"two\n");
    assert_eq!(fixture.end("moved"), b"one\n");
    let FaultKind::WriteFailed { error } = fixture.faults.blocking_recv().expect("fault").kind
    else {
        panic!("another fault")
    };
    assert!(error.contains("No space left"), "{error}");
}

#[test]
fn registering_again_replaces() {
    let fixture = Fixture::new();
    let old = fixture.open(0, &fixture.config());
    write(old.stdout(), "unfinished");
    let new = LogConfig { stdout: Sink::File(fixture.path("new")), ..fixture.config() };
    let new = fixture.open(0, &new);
    write(new.stdout(), "new\n");
    assert_eq!(texts(&fixture.tail(&[0], None, 9)), ["new"]);
    // Nobody reads it, but nobody is killed by it either.
    write(old.stdout(), "nowhere\n");
    assert_eq!(fixture.end("log"), b"unfinished");
    assert_eq!(fixture.end("new"), b"new\n");
}

#[test]
fn a_stream_without_writers_ends() {
    let fixture = Fixture::new();
    let outputs = fixture.open(0, &fixture.config());
    write(outputs.stdout(), "one\nlast");
    drop(outputs);
    while fixture.tail(&[0], None, 9).len() < 2 {
        thread::yield_now();
    }
    assert_eq!(texts(&fixture.tail(&[0], None, 9)), ["one", "last"]);
    assert_eq!(fixture.end("log"), b"one\nlast");
}

#[test]
fn the_console_shows_whole_lines() {
    let (reader, writer) = nix::unistd::pipe().expect("pipe");
    let directory = tempfile::tempdir().expect("temporary directory");
    let (logs, faults) =
        Logs::start_on(ConsoleCopy::new(Console::Prefix, false, Some(writer))).expect("thread");
    let fixture = Fixture { directory, logs, faults };
    let shown = thread::spawn(move || io::read_to_string(File::from(reader)).expect("UTF-8"));
    let outputs: Vec<_> = (0..4).map(|id| fixture.open(id, &fixture.config())).collect();
    thread::scope(|scope| {
        for outputs in &outputs {
            scope.spawn(|| {
                for _ in 0..5000 {
                    write(outputs.stdout(), "half a ");
                    write(outputs.stdout(), "line\n");
                }
            });
        }
    });
    fixture.logs.shutdown();
    let shown = shown.join().expect("reader");
    assert_eq!(shown.lines().count(), 20_000);
    for line in shown.lines() {
        let (name, text) = line.split_once(" | ").expect(line);
        assert!(name.starts_with("service-") && text == "half a line", "{line}");
    }
}

#[test]
fn a_console_that_nobody_reads_does_not_prevent_the_end() {
    let (_reader, writer) = nix::unistd::pipe().expect("pipe");
    let directory = tempfile::tempdir().expect("temporary directory");
    let (logs, faults) =
        Logs::start_on(ConsoleCopy::new(Console::Raw, false, Some(writer))).expect("thread");
    let fixture = Fixture { directory, logs, faults };
    let outputs = fixture.open(0, &fixture.config());
    let text = "a line that nobody reads\n".repeat(20_000);
    write(outputs.stdout(), &text);
    // Commands are heard meanwhile.
    fixture.tail(&[0], None, 1);
    assert!(fixture.end("log") == text.as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn files_together_are_what_was_written_however_it_was_cut(
        chunks in prop::collection::vec(prop::collection::vec(
            prop_oneof![4 => 0_u8..=255, 1 => Just(b'\n')], 0..300), 0..30),
        rotate_size in 20_u64..2000,
        max_line in 1_usize..400,
    ) {
        let fixture = Fixture::new();
        let config = LogConfig {
            rotate_size: Some(rotate_size),
            rotate_keep: 10_000,
            max_line,
            ..fixture.config()
        };
        let outputs = fixture.open(0, &config);
        for chunk in &chunks {
            write(outputs.stdout(), chunk);
        }
        fixture.logs.shutdown();
        let older: Vec<_> = (1..=10_000)
            .map_while(|number| fs::read(fixture.path(&format!("log.{number}"))).ok())
            .collect();
        let newest = fs::read(fixture.path("log")).unwrap_or_default();
        let all: Vec<u8> = older.into_iter().rev().chain([newest]).flatten().collect();
        prop_assert!(all == chunks.concat());
    }
}
