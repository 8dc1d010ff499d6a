//! One request over one connection.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{Address, ClientError};

/// A full accept queue answers `EAGAIN` at once where a blocking `connect` would wait
/// (unix(7)); this is how often and how long we try before we give up.
const BUSY_TRIES: u32 = 500;
const BUSY_DELAY: Duration = Duration::from_millis(10);

/// Sends the request and reads the head of the answer.
pub(super) async fn exchange(
    address: &Address,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<Response<Incoming>, ClientError> {
    let Address::Unix(socket) = address;
    let stream = connect(socket).await.map_err(|error| ClientError::connect(address, error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ClientError::from_hyper(&error))?;
    // It ends with the answer, or when the answer is dropped; its error reaches the answer's
    // reader as well.
    tokio::spawn(async move { drop(connection.await) });

    let mut request = Request::builder().method(method).uri(path);
    // RFC 9112 wants one; the socket has no name to put there.
    request = request.header(header::HOST, "localhost");
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = Full::new(Bytes::from(body.unwrap_or_default()));
    let request = request.body(body).map_err(ClientError::protocol)?;
    sender.send_request(request).await.map_err(|error| ClientError::from_hyper(&error))
}

async fn connect(socket: &Path) -> io::Result<UnixStream> {
    for _ in 1..BUSY_TRIES {
        match UnixStream::connect(socket).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(BUSY_DELAY).await;
            }
            result => return result,
        }
    }
    UnixStream::connect(socket).await
}
