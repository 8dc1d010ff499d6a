//! Directories that the daemon makes for itself.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::Uid;

/// Who may do what with the directory of the notify sockets: services of any user find theirs,
/// nobody looks around.
pub(crate) const NOTIFY_MODE: u32 = 0o711;

/// Makes a directory, and those above it, with this mode; one that is there and ours gets the mode.
pub(crate) fn make(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    // The umask does not count for what this says.
    if fs::metadata(path)?.uid() == Uid::effective().as_raw() {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}
