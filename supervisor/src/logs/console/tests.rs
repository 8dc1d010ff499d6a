use std::io::Read;

use nix::unistd::pipe2;
use supervisor_api::LogLine;
use supervisor_engine::ServiceId;

use super::*;

/// A console on a pipe that can be read without waiting.
fn console(format: Console, color: bool) -> (ConsoleCopy, File) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).expect("pipe");
    // As a daemon finds it: blocking.
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(OFlag::empty())).expect("flags");
    (ConsoleCopy::new(format, color, Some(writer)), reader.into())
}

fn batch<'a>(source: u64, name: &'a str, stream: Stream, text: &'a [u8]) -> Batch<'a> {
    Batch {
        service: ServiceId(0),
        source: SourceId(source),
        name,
        stream,
        time_ms: 7,
        text,
        max_line: 100,
    }
}

fn written(reader: &mut File) -> String {
    let mut bytes = vec![0; 2 * 1024 * 1024];
    let mut len = 0;
    while let Ok(more) = reader.read(&mut bytes[len..])
        && more > 0
    {
        len += more;
    }
    bytes.truncate(len);
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn names_stand_in_front_of_lines() {
    let (mut console, mut reader) = console(Console::Prefix, false);
    for name in ["db", "web@1", "a-service-with-a-very-long-name-indeed"] {
        console.register(name);
    }
    let now = Instant::now();
    console.write(&batch(1, "db", Stream::Stdout, b"one\n\n"), now);
    console.write(&batch(2, "web@1", Stream::Stderr, b"two\n"), now);
    let expected = "db                       | one\n\
                    db                       | \n\
                    web@1                    ! two\n";
    assert_eq!(written(&mut reader), expected);
}

#[test]
fn a_name_keeps_its_colour() {
    let (mut console, mut reader) = console(Console::Prefix, true);
    console.register("db");
    console.write(&batch(1, "db", Stream::Stdout, b"one\n"), Instant::now());
    let color = color_of("db");
    assert_eq!(written(&mut reader), format!("\x1b[{color}mdb |\x1b[0m one\n"));
    assert_ne!(color_of("web@1"), color_of("web@2"));
}

#[test]
fn pieces_are_joined_unless_another_comes_between() {
    let now = Instant::now();
    for (format, expected) in [
        (Console::Raw, "one\npie\ntwo\nce\n"),
        (Console::Prefix, "a | one\na | pie\nb | two\na | ce\n"),
    ] {
        let (mut console, mut reader) = console(format, false);
        console.write(&batch(1, "a", Stream::Stdout, b"on"), now);
        console.write(&batch(1, "a", Stream::Stdout, b"e\npie"), now);
        console.write(&batch(2, "b", Stream::Stdout, b"two\n"), now);
        console.write(&batch(1, "a", Stream::Stdout, b"ce\n"), now);
        assert_eq!(written(&mut reader), expected);
    }
}

#[test]
fn json_lines_are_those_of_the_api() {
    let (mut console, mut reader) = console(Console::Json, false);
    console.write(&batch(1, "a", Stream::Stderr, b"\"quoted\"\n\x01\xff\n"), Instant::now());
    let text = written(&mut reader);
    let lines: Vec<LogLine> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let line = |line: &str| LogLine {
        service: "a".to_owned(),
        stream: Stream::Stderr,
        time_ms: 7,
        line: line.to_owned(),
    };
    assert_eq!(lines, [line("\"quoted\""), line("\u{1}\u{fffd}")]);
    assert_eq!(
        text,
        lines
            .iter()
            .map(|line| serde_json::to_string(line).expect("JSON") + "\n")
            .collect::<String>()
    );
}

#[test]
fn a_console_that_nobody_reads_is_waited_for_and_then_no_longer() {
    let (mut console, mut reader) = console(Console::Raw, false);
    let start = Instant::now();
    let line = [b"x".repeat(99), b"\n".to_vec()].concat();
    let mut copied = 0;
    while !console.holds(start) {
        console.write(&batch(1, "a", Stream::Stdout, &line), start);
        copied += line.len();
    }
    assert!(console.blocked().is_some());
    // What is read already is not lost while it is waited for.
    console.write(&batch(2, "b", Stream::Stdout, &line), start);
    copied += line.len();
    let late = start + GRACE;
    assert!(!console.holds(late));
    console.write(&batch(2, "b", Stream::Stdout, b"lost\n"), late);
    let mut text = written(&mut reader);
    console.send(late);
    console.write(&batch(2, "b", Stream::Stdout, b"shown\n"), late);
    assert!(console.blocked().is_none() && console.hold_until().is_none());
    text += &written(&mut reader);
    let (lines, rest) = text.split_at(copied);
    assert!(lines.lines().all(|shown| shown.as_bytes() == &line[..99]));
    assert_eq!(rest, "supervisord: 5 bytes of output not shown here\nshown\n");
}

#[test]
fn a_console_that_is_gone_is_not_missed() {
    let (mut console, reader) = console(Console::Raw, false);
    drop(reader);
    console.write(&batch(1, "a", Stream::Stdout, b"one\n"), Instant::now());
    assert!(console.file.is_none() && console.blocked().is_none());
    console.write(&batch(1, "a", Stream::Stdout, b"one\n"), Instant::now());
    console.finish(Instant::now());
}

#[test]
fn those_who_share_the_console_are_not_made_non_blocking() {
    let (_reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    let shared = writer.try_clone().expect("copy");
    let console = ConsoleCopy::new(Console::Raw, false, Some(writer));
    let flags = |fd: BorrowedFd<'_>| {
        OFlag::from_bits_retain(nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL).expect("open"))
    };
    let ours = console.file.as_ref().expect("on").as_fd();
    assert!(flags(ours).contains(OFlag::O_NONBLOCK));
    assert!(!flags(shared.as_fd()).contains(OFlag::O_NONBLOCK));
}

#[test]
fn a_console_on_a_full_disk_says_later_what_is_missing() {
    let (mut console, mut reader) = console(Console::Prefix, false);
    let pipe =
        console.file.replace(OpenOptions::new().write(true).open("/dev/full").expect("open"));
    let now = Instant::now();
    console.write(&batch(1, "a", Stream::Stdout, b"lost\n"), now);
    assert!(console.blocked().is_none() && console.file.is_some());
    console.file = pipe;
    console.write(&batch(1, "a", Stream::Stdout, b"one\n"), now);
    let expected = "\nsupervisord: 9 bytes of output not shown here\na | one\n";
    assert_eq!(written(&mut reader), expected);
}
