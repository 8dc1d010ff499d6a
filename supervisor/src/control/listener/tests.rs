use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;
use tempfile::TempDir;
use tokio::net::UnixStream;

use super::{BindError, ControlListener, MAX_PATH};

#[tokio::test]
async fn the_socket_has_its_permissions_and_takes_connections() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    let listener = ControlListener::bind(&path, 0o640, Some(Gid::effective().as_raw())).unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o640);
    assert_eq!(found.gid(), Gid::effective().as_raw());
    let (client, server) = tokio::join!(UnixStream::connect(&path), listener.accept());
    assert!(client.is_ok() && server.is_ok());
    assert_eq!(listener.path(), path);
}

#[tokio::test]
async fn nothing_but_the_lock_file_is_left_behind() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    drop(ControlListener::bind(&path, 0o600, None).unwrap());
    assert_eq!(names(dir.path()), ["control.sock.lock"]);
    drop(ControlListener::bind(&path, 0o600, None).unwrap());
}

#[tokio::test]
async fn a_missing_directory_is_created() {
    let dir = TempDir::new().unwrap();
    let parent = dir.path().join("run/supervisor");
    let _listener = ControlListener::bind(&parent.join("control.sock"), 0o600, None).unwrap();
    let wanted = if nix::unistd::geteuid().is_root() { 0o755 } else { 0o700 };
    assert_eq!(fs::metadata(parent).unwrap().permissions().mode() & 0o7777, wanted);
}

#[tokio::test]
async fn the_permissions_of_an_existing_directory_stay() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o710)).unwrap();
    let _listener = ControlListener::bind(&dir.path().join("s"), 0o600, None).unwrap();
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o7777, 0o710);
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_replaced() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    drop(net::UnixListener::bind(&path).unwrap());
    // And so is what a crash in the middle of an earlier start left.
    drop(net::UnixListener::bind(dir.path().join("control.soc~")).unwrap());
    let _listener = ControlListener::bind(&path, 0o600, None).unwrap();
    assert!(net::UnixStream::connect(&path).is_ok());
    assert_eq!(names(dir.path()), ["control.sock", "control.sock.lock"]);
}

#[tokio::test]
async fn a_living_daemon_is_left_alone_and_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    let _listener = ControlListener::bind(&path, 0o600, None).unwrap();
    let error = ControlListener::bind(&path, 0o600, None).unwrap_err();
    let message = format!(
        "another supervisord is running (pid {}) on {}",
        std::process::id(),
        path.display()
    );
    assert_eq!(error.to_string(), message);
    assert!(net::UnixStream::connect(&path).is_ok());
}

#[tokio::test]
async fn a_living_socket_without_a_lock_is_left_alone_too() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    let _other = net::UnixListener::bind(&path).unwrap();
    let error = ControlListener::bind(&path, 0o600, None).unwrap_err();
    let own_pid = i32::try_from(std::process::id()).unwrap();
    assert!(matches!(error, BindError::Running { pid: Some(pid), .. } if pid == own_pid));
}

#[tokio::test]
async fn a_daemon_that_hangs_is_still_running() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    let _listener = ControlListener::bind(&path, 0o600, None).unwrap();
    // It is the lock that says so when the socket is gone.
    fs::remove_file(&path).unwrap();
    let error = ControlListener::bind(&path, 0o600, None).unwrap_err();
    assert!(matches!(error, BindError::Running { pid: None, .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_not_a_socket_is_never_removed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    fs::write(&path, "precious").unwrap();
    let error = ControlListener::bind(&path, 0o600, None).unwrap_err();
    assert!(matches!(error, BindError::Occupied(_)), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn the_socket_of_a_successor_is_not_removed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("control.sock");
    let listener = ControlListener::bind(&path, 0o600, None).unwrap();
    let moved = dir.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    let _successor = net::UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
}

#[tokio::test]
async fn a_path_fits_up_to_its_last_byte() {
    let dir = TempDir::new().unwrap();
    let longest = path_of_length(dir.path(), MAX_PATH);
    let listener = ControlListener::bind(&longest, 0o600, None).unwrap();
    assert!(net::UnixStream::connect(listener.path()).is_ok());
    let too_long = path_of_length(dir.path(), MAX_PATH + 1);
    let error = ControlListener::bind(&too_long, 0o600, None).unwrap_err();
    assert!(matches!(error, BindError::PathTooLong { length: 108, .. }), "{error:?}");
    assert!(error.to_string().contains("can have 107 bytes, this one has 108"), "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_an_error() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = ControlListener::bind(&dir.path().join("file/s"), 0o600, None).unwrap_err();
    assert!(matches!(
        error,
        BindError::Io { step: "create", source, .. }
            if matches!(source.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists)
    ));
    assert!(matches!(
        ControlListener::bind(Path::new("/"), 0o600, None),
        Err(BindError::NotAFile(_))
    ));
}

fn path_of_length(dir: &Path, length: usize) -> PathBuf {
    dir.join("s".repeat(length - dir.as_os_str().len() - 1))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
