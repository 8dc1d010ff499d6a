use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::logs::fault::{Fault, FaultKind};

const SERVICE: ServiceId = ServiceId(3);
const ONE: SourceId = SourceId(1);
const TWO: SourceId = SourceId(2);

struct Fixture {
    directory: TempDir,
    file: LogFile,
    sender: FaultSender,
    faults: UnboundedReceiver<Fault>,
}

impl Fixture {
    fn new(name: &str, rotation: Option<(u64, u32)>) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let rotation = rotation.map(|(size, keep)| Rotation { size, keep });
        let file = LogFile::new(directory.path().join(name), rotation);
        let (sender, faults) = unbounded_channel();
        Self { directory, file, sender: FaultSender(sender), faults }
    }

    fn write(&mut self, source: SourceId, text: &[u8]) {
        self.file.write(SERVICE, source, text, &self.sender);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).expect(name)).expect("UTF-8")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .expect("directory")
            .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }

    fn fault(&mut self) -> Option<FaultKind> {
        self.faults.try_recv().ok().map(|fault| fault.kind)
    }

    fn lift_retry_limit(&mut self) {
        self.file.rotation_failed = self.file.rotation_failed.and_then(|at| at.checked_sub(RETRY));
    }
}

#[test]
fn nothing_is_made_before_the_first_byte() {
    let mut fixture = Fixture::new("deep/down/log", None);
    fixture.write(ONE, b"");
    assert_eq!(fixture.names(), [""; 0]);
    fixture.write(ONE, b"one\n");
    assert_eq!(fixture.text("deep/down/log"), "one\n");
    let mode = std::os::unix::fs::MetadataExt::mode(
        &fixture.path("deep/down/log").metadata().expect("metadata"),
    );
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn rotates_between_lines() {
    let mut fixture = Fixture::new("log", Some((8, 2)));
    fixture.write(ONE, b"one\ntwo\nthree\nfour\nfive\nsix\nseven\n");
    assert_eq!(fixture.names(), ["log", "log.1", "log.2"]);
    assert_eq!(fixture.text("log"), "seven\n");
    assert_eq!(fixture.text("log.1"), "six\n");
    assert_eq!(fixture.text("log.2"), "five\n");
}

#[test]
fn a_line_longer_than_a_file_is_not_torn() {
    let mut fixture = Fixture::new("log", Some((4, 9)));
    fixture.write(ONE, b"a\nlong line\nb\n");
    assert_eq!(fixture.text("log.2"), "a\n");
    assert_eq!(fixture.text("log.1"), "long line\n");
    assert_eq!(fixture.text("log"), "b\n");
    // Pieces that never end fill one file each.
    fixture.write(ONE, b"endless");
    fixture.write(ONE, b"endless");
    assert_eq!(fixture.text("log.1"), "endless");
    assert_eq!(fixture.text("log"), "endless");
}

#[test]
fn keeping_none_empties_the_file() {
    let mut fixture = Fixture::new("log", Some((4, 0)));
    fixture.write(ONE, b"one\ntwo\n");
    assert_eq!((fixture.text("log"), fixture.names()), ("two\n".into(), vec!["log".into()]));
}

#[test]
fn old_files_move_only_as_far_as_they_must() {
    let mut fixture = Fixture::new("log", Some((4, 9)));
    fs::write(fixture.path("log"), "old\n").expect("written");
    fs::write(fixture.path("log.1"), "1").expect("written");
    fs::write(fixture.path("log.3"), "3").expect("written");
    fixture.write(ONE, b"new\n");
    assert_eq!(fixture.names(), ["log", "log.1", "log.2", "log.3"]);
    assert_eq!(fixture.text("log.1"), "old\n");
    assert_eq!(fixture.text("log.2"), "1");
    assert_eq!(fixture.text("log.3"), "3");
}

#[test]
fn a_rotation_that_fails_is_told_once_and_stops_nothing() {
    let mut fixture = Fixture::new("log", Some((4, 1)));
    fs::create_dir(fixture.path("log.1")).expect("directory");
    fixture.write(ONE, b"one\ntwo\n");
    fixture.write(ONE, b"three\n");
    fixture.lift_retry_limit();
    fixture.write(ONE, b"four\n");
    assert_eq!(fixture.text("log"), "one\ntwo\nthree\nfour\n");
    assert!(matches!(fixture.fault(), Some(FaultKind::RotationFailed { .. })));
    assert_eq!(fixture.fault(), None);
    fs::remove_dir(fixture.path("log.1")).expect("removed");
    fixture.lift_retry_limit();
    fixture.write(ONE, b"five\n");
    assert_eq!(fixture.text("log"), "five\n");
    assert_eq!(fixture.fault(), Some(FaultKind::RotationResumed));
}

#[test]
fn an_outage_is_told_once_and_leaves_a_notice() {
    let mut fixture = Fixture::new("log", None);
    fs::create_dir(fixture.path("log")).expect("directory");
    fixture.write(ONE, b"one\n");
    fixture.write(ONE, b"two\n");
    assert!(matches!(fixture.fault(), Some(FaultKind::WriteFailed { .. })));
    fixture.file.retry(&fixture.sender);
    assert_eq!(fixture.fault(), None);
    fs::remove_dir(fixture.path("log")).expect("removed");
    fixture.write(ONE, b"three\n");
    fixture.file.retry(&fixture.sender);
    assert_eq!(fixture.fault(), Some(FaultKind::WriteResumed { lost: 14 }));
    assert!(!fixture.file.is_out());
    fixture.write(ONE, b"four\n");
    let text = fixture.text("log");
    let (_, notice) = text.split_at(24);
    assert!(notice.starts_with(" supervisord: 14 bytes of output lost: Is a directory"), "{text}");
    assert!(notice.ends_with("\nfour\n"), "{text}");
}

#[test]
fn a_full_disk_and_a_pipe_without_a_reader_hold_up_nobody() {
    let mut fixture = Fixture::new("log", None);
    fixture.file.path = "/dev/full".into();
    fixture.write(ONE, b"one\n");
    assert!(fixture.file.is_out());

    let mut fixture = Fixture::new("log", Some((4, 1)));
    mkfifo(&fixture.path("log"), Mode::S_IRWXU).expect("pipe");
    fixture.write(ONE, b"one\n");
    assert!(fixture.file.is_out());
    let reader = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(fixture.path("log"))
        .expect("reader");
    fixture.file.retry(&fixture.sender);
    fixture.write(ONE, b"a longer line\n");
    assert_eq!(io::read_to_string(reader.take_available()).expect("text").lines().count(), 2);
    assert_eq!(fixture.names(), ["log"]);
}

/// Reads a pipe as far as it is filled.
trait TakeAvailable {
    fn take_available(self) -> io::Cursor<Vec<u8>>;
}

impl TakeAvailable for File {
    fn take_available(mut self) -> io::Cursor<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        let len = io::Read::read(&mut self, &mut buffer).expect("filled");
        buffer.truncate(len);
        io::Cursor::new(buffer)
    }
}

#[test]
fn nobody_continues_the_line_of_another() {
    let mut fixture = Fixture::new("log", None);
    fs::write(fixture.path("log"), "crash").expect("written");
    fixture.write(ONE, b"pie");
    assert!(fixture.file.continues(ONE) && !fixture.file.continues(TWO));
    fixture.write(ONE, b"ce\n");
    fixture.write(ONE, b"left");
    fixture.write(TWO, b"two\n");
    fixture.write(TWO, b"unfinished");
    fixture.file.abandon(ONE);
    fixture.file.abandon(TWO);
    fixture.write(TWO, b"new\n");
    assert_eq!(fixture.text("log"), "crash\npiece\nleft\ntwo\nunfinished\nnew\n");
}

#[test]
fn a_file_that_was_moved_away_is_left_alone_after_reopening() {
    let mut fixture = Fixture::new("log", None);
    fixture.write(ONE, b"one\n");
    fs::rename(fixture.path("log"), fixture.path("moved")).expect("renamed");
    fixture.write(ONE, b"two\n");
    fixture.file.reopen();
    fixture.write(ONE, b"three\n");
    assert_eq!(fixture.text("moved"), "one\ntwo\n");
    assert_eq!(fixture.text("log"), "three\n");
}

proptest! {
    #[test]
    fn rotated_files_together_are_what_was_written(
        batches in prop::collection::vec("([a-c]{0,9}\n){0,4}([a-c]{12})?", 0..40),
        size in 1_u64..40,
    ) {
        let mut fixture = Fixture::new("log", Some((size, 1000)));
        for batch in &batches {
            fixture.write(ONE, batch.as_bytes());
        }
        let files: Vec<_> = (1..=1000)
            .map_while(|number| fs::read_to_string(fixture.path(&format!("log.{number}"))).ok())
            .collect();
        let newest = fs::read_to_string(fixture.path("log")).unwrap_or_default();
        let all: String = files.iter().rev().map(String::as_str).chain([newest.as_str()]).collect();
        prop_assert_eq!(all, batches.concat());
        for file in &files {
            // One line or piece may come on top; a line ends in another file only if it was split.
            prop_assert!(file.len() as u64 <= size + 12, "{file:?}");
            prop_assert!(file.ends_with('\n') || file.ends_with(['a', 'b', 'c']) && file.len() >= 12);
        }
    }
}
