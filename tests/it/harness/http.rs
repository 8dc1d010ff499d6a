//! A small HTTP/1.1 client over the Unix socket, written by hand: the tests shall not share the
//! product's own idea of HTTP.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{DEADLINE, Daemon};

/// A client of one control socket; every request is a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    socket: PathBuf,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// The body as text.
    pub(crate) body: String,
}

impl Response {
    /// The body as JSON of a type of the API.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as one JSON value per line.
    pub(crate) fn lines<T: DeserializeOwned>(&self) -> Vec<T> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Daemon {
    /// A client of its control socket.
    pub(crate) fn http(&self) -> Http {
        Http { socket: self.socket() }
    }
}

impl Http {
    /// `GET`.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.try_get(path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// `GET` where the daemon may not answer.
    pub(crate) fn try_get(&self, path: &str) -> io::Result<Response> {
        self.request("GET", path, "")
    }

    /// `POST` of a JSON body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.request("POST", path, &body.to_string())
            .unwrap_or_else(|error| panic!("POST {path} {body}: {error}"))
    }

    /// Any method, any body.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> io::Result<Response> {
        let (status, mut body) = self.open(method, path, body)?;
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        Ok(Response { status, body: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// `GET` of an answer that goes on: its lines, as they come.
    pub(crate) fn stream(&self, path: &str) -> impl Iterator<Item = String> + use<> {
        let (status, body) = self.open("GET", path, "").unwrap();
        assert_eq!(status, 200, "GET {path}");
        BufReader::new(body).lines().map_while(Result::ok)
    }

    /// Sends bytes as they are and returns all that comes back.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect().unwrap();
        // The daemon may close the connection in the middle of nonsense.
        drop(socket.write_all(bytes));
        drop(socket.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        drop(socket.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A connection that says nothing yet.
    pub(crate) fn connect(&self) -> io::Result<UnixStream> {
        let socket = UnixStream::connect(&self.socket)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_write_timeout(Some(DEADLINE))?;
        Ok(socket)
    }

    fn open(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, Body)> {
        let mut socket = self.connect()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // Who refuses a request need not read all of it: the answer counts.
        drop(socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body.as_bytes())));
        let mut reader = BufReader::new(socket);
        let status_line = read_line(&mut reader)?;
        let status = status_line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("answer: {status_line:?}")))?;
        let mut left = Left::UntilClosed;
        loop {
            let line = read_line(&mut reader)?.to_ascii_lowercase();
            match line.split_once(": ") {
                None => return Ok((status, Body { reader, left })),
                Some(("content-length", length)) => {
                    left = Left::Bytes(length.parse().map_err(io::Error::other)?);
                }
                Some(("transfer-encoding", "chunked")) => left = Left::Chunk(0),
                Some(_) => {}
            }
        }
    }
}

/// The body of an answer as it comes in.
#[derive(Debug)]
struct Body {
    reader: BufReader<UnixStream>,
    left: Left,
}

/// What is left of a body.
#[derive(Debug)]
enum Left {
    /// So many bytes.
    Bytes(usize),
    /// So many bytes of a chunk and, if it is not the last one, further chunks.
    Chunk(usize),
    /// All that comes.
    UntilClosed,
}

impl io::Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Left::Chunk(0) = self.left {
            let size = read_line(&mut self.reader)?;
            let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
            self.left = if size == 0 { Left::Bytes(0) } else { Left::Chunk(size) };
        }
        let limit = match self.left {
            Left::Bytes(left) | Left::Chunk(left) => left.min(buffer.len()),
            Left::UntilClosed => buffer.len(),
        };
        let count = self.reader.read(&mut buffer[..limit])?;
        if count == 0 && limit > 0 && !matches!(self.left, Left::UntilClosed) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &mut self.left {
            Left::Bytes(left) => *left -= count,
            Left::Chunk(left) => {
                *left -= count;
                if *left == 0 {
                    read_line(&mut self.reader)?;
                }
            }
            Left::UntilClosed => {}
        }
        Ok(count)
    }
}

fn read_line(reader: &mut BufReader<UnixStream>) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
