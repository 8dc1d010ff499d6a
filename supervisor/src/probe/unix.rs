//! The Unix probe: a stream socket accepts a connection.

use std::path::Path;

use tokio::net::UnixStream;

use super::ProbeError;

/// Connects to the stream socket at `path`.
pub(super) async fn connect(path: &Path) -> Result<(), ProbeError> {
    UnixStream::connect(path).await?;
    Ok(())
}
