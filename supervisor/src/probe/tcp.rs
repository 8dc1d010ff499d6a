//! The TCP probe: a port accepts a connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::net::{TcpStream, lookup_host};

use super::ProbeError;

/// Connects to the first address of `host` that accepts; the error is that of the first address.
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, ProbeError> {
    let mut first_error = None;
    for address in addresses(host).await? {
        match TcpStream::connect((address, port)).await {
            Ok(stream) if !is_own_peer(&stream) => return Ok(stream),
            Ok(_) => {
                first_error.get_or_insert(io::Error::from_raw_os_error(libc::ECONNREFUSED));
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(match first_error {
        Some(error) => ProbeError::System(error),
        None => ProbeError::NoAddress(host.to_owned()),
    })
}

/// Whether both ends are the same. If nobody listens on a port of this machine, the kernel can
/// choose that very port for the client, and connects it to itself.
pub(super) fn is_own_peer(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

/// The addresses of `host`. Numbers and `localhost`, which is what nearly every spec has, need
/// no resolver and so no thread to wait for one.
async fn addresses(host: &str) -> Result<Vec<IpAddr>, ProbeError> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    match lookup_host((host, 0)).await {
        Ok(found) => Ok(found.map(|address| address.ip()).collect()),
        // The resolver's own words are long and differ from system to system.
        Err(_) => Err(ProbeError::NoAddress(host.to_owned())),
    }
}
