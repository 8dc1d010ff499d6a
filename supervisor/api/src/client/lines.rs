//! An answer that comes line by line (NDJSON).

use std::fmt;
use std::marker::PhantomData;

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::ClientError;
use crate::ErrorResponse;

/// A longer line is a broken or hostile server; log lines are at most some hundred KiB.
const MAX_LINE: usize = 16 << 20;

/// The lines of an answer as they come. Dropping it closes the connection.
pub struct Lines<T> {
    body: Incoming,
    buffer: BytesMut,
    /// How much of `buffer` is known to have no newline.
    searched: usize,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(super) fn new(response: Response<Incoming>) -> Self {
        Self { body: response.into_body(), buffer: BytesMut::new(), searched: 0, kind: PhantomData }
    }

    /// The next line, `None` after the last one. It may be dropped while it waits and called
    /// again: nothing is lost.
    ///
    /// Empty lines are heartbeats. A line of a kind that this version does not know is left out:
    /// the API only ever adds kinds. A line that is an error ends in [`ClientError::Api`].
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            while let Some(line) = self.take_line() {
                if let Some(item) = decode(&line)? {
                    return Ok(Some(item));
                }
            }
            if self.buffer.len() > MAX_LINE {
                return Err(ClientError::Protocol(format!("a line over {MAX_LINE} bytes")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(ClientError::from_hyper(&error)),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(ClientError::Protocol("it ends within a line".into())),
            }
        }
    }

    fn take_line(&mut self) -> Option<BytesMut> {
        let fresh = self.buffer.get(self.searched..).unwrap_or_default();
        if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(self.searched + at + 1);
            self.searched = 0;
            return Some(line);
        }
        self.searched = self.buffer.len();
        None
    }
}

impl<T> fmt::Debug for Lines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<Option<T>, ClientError> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(line) {
        Ok(item) => Ok(Some(item)),
        Err(error) if error.is_data() => match serde_json::from_slice::<ErrorResponse>(line) {
            Ok(ErrorResponse { error }) => {
                Err(ClientError::Api { status: error.code.status(), body: error })
            }
            Err(_) => Ok(None),
        },
        Err(error) => Err(ClientError::protocol(error)),
    }
}
