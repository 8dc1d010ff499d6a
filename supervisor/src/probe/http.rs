//! The HTTP probe: `GET` is answered.

use std::convert::Infallible;
use std::future;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper_util::rt::TokioIo;

use super::{ProbeError, tcp};

/// The status that the server answers with. Redirects are not followed and the body is not read.
///
/// `Host` is made of `host` and `port` unless `headers` has one.
pub(super) async fn get(
    host: &str,
    port: u16,
    path: &str,
    headers: &[(String, String)],
) -> Result<u16, ProbeError> {
    let mut request = Request::get(path).header(CONNECTION, "close");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(HOST.as_str())) {
        request = request.header(HOST, authority(host, port));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new())?;

    let stream = tcp::connect(host, port).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // When the connection ends, the request ends too, with the better error.
    let drive = async {
        let _ = connection.await;
        future::pending::<Infallible>().await
    };
    tokio::select! {
        response = sender.send_request(request) => Ok(response?.status().as_u16()),
        never = drive => match never {},
    }
}

/// How `Host` names the server.
fn authority(host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == 80 { host } else { format!("{host}:{port}") }
}
