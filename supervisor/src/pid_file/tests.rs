use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::geteuid;
use tempfile::TempDir;

use super::*;

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().canonicalize().expect("it is there").join("x.pid");
    (dir, file)
}

#[test]
fn the_first_line_is_a_pid_among_blanks() {
    for (text, pid) in [
        ("7", Some(7)),
        (" 7 \n", Some(7)),
        ("7\n/var/lib/db\n", Some(7)),
        ("\t12345\r\n", Some(12345)),
        ("", None),
        ("\n7", None),
        ("+7", None),
        ("-7", None),
        ("0", None),
        ("7 8", None),
        ("4294967303", None),
        ("seven", None),
    ] {
        assert_eq!(parse(text.as_bytes()), pid.map(Pid::from_raw), "{text:?}");
    }
}

#[test]
fn a_file_is_read_through_links_and_removed_without_them() {
    let (dir, file) = place();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    symlink("inner/../inner", dir.path().join("link")).unwrap();
    let through = dir.path().canonicalize().unwrap().join("link/x.pid");
    assert!(matches!(read(&through), Err(PidFileError::Io(_))));
    fs::write(inner.join("x.pid"), "7\n").unwrap();
    assert_eq!(read(&through).unwrap().pid, Pid::from_raw(7));
    symlink("inner/x.pid", &file).unwrap();
    assert_eq!(read(&file).unwrap().pid, Pid::from_raw(7));
    remove(&through).unwrap();
    assert!(!inner.join("x.pid").exists());
    remove(&through).unwrap();
    remove(&inner.join("not/there")).unwrap();
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let (dir, file) = place();
    nix::unistd::mkfifo(&file, Mode::S_IRWXU).unwrap();
    assert!(matches!(read(&file), Err(PidFileError::NotAFile)));
    assert!(matches!(read(dir.path()), Err(PidFileError::NotAFile)));
    symlink("loop", dir.path().join("loop")).unwrap();
    assert!(read(&dir.path().join("loop")).is_err());
}

#[test]
fn what_others_own_is_not_trusted_and_their_links_are_not_followed_to_remove() {
    let (dir, file) = place();
    fs::write(&file, "7").unwrap();
    assert!(read(&file).unwrap().trusted);
    if !geteuid().is_root() {
        return;
    }
    let theirs = dir.path().canonicalize().unwrap().join("theirs");
    fs::create_dir(&theirs).unwrap();
    symlink(&file, theirs.join("link")).unwrap();
    fs::write(theirs.join("own"), "8").unwrap();
    assert!(read(&theirs.join("link")).unwrap().trusted);
    chown(&theirs, Some(65534), None).unwrap();
    assert!(!read(&theirs.join("link")).unwrap().trusted);
    assert!(!read(&theirs.join("own")).unwrap().trusted);
    assert_eq!(remove(&theirs.join("link")).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert!(file.exists());
    remove(&theirs.join("own")).unwrap();
    assert!(!theirs.join("own").exists());
    chown(&file, Some(65534), None).unwrap();
    assert!(!read(&file).unwrap().trusted);
}

#[test]
fn a_file_that_comes_late_or_is_written_late_is_told() {
    let (dir, _) = place();
    let file = dir.path().join("run/x.pid");
    let has_news = |watch: &Watch| {
        let mut fds = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    };
    let watch = Watch::new(&file).unwrap();
    assert!(!has_news(&watch));
    fs::create_dir(dir.path().join("run")).unwrap();
    assert!(has_news(&watch));
    let watch = Watch::new(&file).unwrap();
    assert!(!has_news(&watch));
    let written = File::create(&file).unwrap();
    assert!(has_news(&watch));
    let watch = Watch::new(&file).unwrap();
    io::Write::write_all(&mut &written, b"7\n").unwrap();
    assert!(has_news(&watch), "also while it stays open");
}
