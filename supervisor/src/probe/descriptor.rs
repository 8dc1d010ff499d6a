//! A service that tells by a newline in a pipe that it is ready, as s6 has it.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

/// Waits until a newline comes out of the pipe; what is in front of it counts for nothing. Without
/// one before all writers are gone it is an [`io::ErrorKind::UnexpectedEof`]. Dropping the future
/// closes the pipe.
///
/// Needs tokio's I/O driver.
pub async fn newline(pipe: OwnedFd) -> io::Result<()> {
    let mut pipe = Receiver::from_owned_fd(pipe)?;
    let mut buffer = [0; 256];
    loop {
        match pipe.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length if buffer.iter().take(length).any(|byte| *byte == b'\n') => return Ok(()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn only_a_newline_counts() {
        let (reader, mut writer) = io::pipe().unwrap();
        let told = tokio::spawn(newline(reader.into()));
        writer.write_all(&[b'x'; 1000]).unwrap();
        writer.write_all(b"y\nz").unwrap();
        told.await.unwrap().unwrap();
        writer.write_all(b"more").unwrap_err();

        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        drop(writer);
        let error = newline(reader.into()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
