//! The file probe: it exists.

use std::fs;
use std::path::Path;

use super::ProbeError;

/// Looks for `path`, through symbolic links. Does not wait, other than for the file system.
pub(super) fn exists(path: &Path) -> Result<(), ProbeError> {
    fs::metadata(path)?;
    Ok(())
}
