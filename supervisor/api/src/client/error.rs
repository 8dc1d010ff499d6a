//! Why a call failed.

use std::error::Error;
use std::io;

use super::Address;
use crate::{ErrorBody, ErrorResponse};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at that address: no such file, refused connection.
    #[error("{address} {}", reason(source))]
    Connect {
        /// Where.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The socket is there, but this user may not use it.
    #[error("{address} permission denied")]
    PermissionDenied {
        /// Where.
        address: Address,
    },
    /// The daemon refused the request.
    #[error("{}", body.message)]
    Api {
        /// HTTP status.
        status: u16,
        /// What it says.
        body: ErrorBody,
    },
    /// The answer makes no sense.
    #[error("the daemon's answer cannot be read: {0}")]
    Protocol(String),
    /// The connection broke.
    #[error("the connection to the daemon broke: {0}")]
    Io(#[source] io::Error),
}

impl ClientError {
    pub(super) fn connect(address: &Address, source: io::Error) -> Self {
        let address = address.clone();
        if source.kind() == io::ErrorKind::PermissionDenied {
            Self::PermissionDenied { address }
        } else {
            Self::Connect { address, source }
        }
    }

    pub(super) fn protocol<E: Error>(error: E) -> Self {
        Self::Protocol(error.to_string())
    }

    /// An error of hyper: of the connection, or of what came over it.
    pub(super) fn from_hyper(error: &hyper::Error) -> Self {
        let broken = error.is_incomplete_message()
            || error.is_closed()
            || error.is_canceled()
            || error.is_body_write_aborted();
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        match cause {
            Some(cause) => Self::Io(io::Error::new(cause.kind(), cause.to_string())),
            None if broken => Self::Io(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it closed before the answer was complete",
            )),
            None => Self::Protocol(error.to_string()),
        }
    }

    /// An error while reading a body of limited length.
    pub(super) fn from_body(error: Box<dyn Error + Send + Sync>) -> Self {
        match error.downcast::<hyper::Error>() {
            Ok(error) => Self::from_hyper(&error),
            Err(error) => Self::Protocol(error.to_string()),
        }
    }

    /// The error that an answer with `status` carries. A body that cannot be read, say of an
    /// error code newer than this client, is shown as it is.
    pub(super) fn from_refusal(status: u16, body: &[u8]) -> Self {
        if let Ok(ErrorResponse { error }) = serde_json::from_slice(body) {
            return Self::Api { status, body: error };
        }
        let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
        Self::Protocol(format!("status {status} {}", text.trim()))
    }
}

/// Supervisor's words, which scripts look for.
fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "no such file".into()
    } else if error.kind() == io::ErrorKind::ConnectionRefused {
        "refused connection".into()
    } else {
        error.to_string()
    }
}
