//! The client against a server that plays back bytes.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;
use crate::{ErrorCode, EventKind, State, Verb};

/// A server for one connection: answers `answer` and returns what it was sent.
struct Server {
    dir: tempfile::TempDir,
    thread: JoinHandle<String>,
}

impl Server {
    fn start(answer: impl Into<String>) -> Self {
        let (dir, answer) = (tempfile::tempdir().unwrap(), answer.into());
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
            loop {
                let n = stream.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..n]);
                let text = String::from_utf8_lossy(&request);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .lines()
                    .filter_map(|line| line.strip_prefix("content-length: "))
                    .find_map(|value| value.parse().ok())
                    .unwrap_or(0);
                if body.len() >= length {
                    break;
                }
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        Self { dir, thread }
    }

    fn json(status: &str, body: &str) -> Self {
        Self::start(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    }

    fn client(&self) -> Client {
        Client::new(Address::Unix(self.dir.path().join("s")))
    }

    fn first_line(self) -> String {
        self.request().lines().next().unwrap().to_owned()
    }

    fn request(self) -> String {
        self.thread.join().unwrap()
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

const OPERATION: &str = r#"{"id":7,"verb":"start","done":true,"ok":true,"elapsed_ms":3,"items":[{"service":"web","named":true,"result":"started","new_field":1}]}"#;

#[test]
fn an_operation_is_posted_as_json_and_its_answer_read() {
    let server = Server::json("200 OK", OPERATION);
    let request = OperationRequest {
        verb: Verb::Start,
        targets: vec!["web".into()],
        timeout: None,
        mode: None,
        signal: None,
        dry_run: false,
        wait: true,
        no_dependents: false,
        rolling: false,
        instances: None,
    };
    let operation = run(server.client().operate(&request)).unwrap();
    assert_eq!((operation.id, operation.ok), (7, true));
    let sent = server.request();
    assert!(sent.starts_with("POST /v1/operations HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("host: localhost\r\n"), "{sent}");
    assert!(sent.ends_with(r#"{"verb":"start","targets":["web"],"wait":true}"#), "{sent}");
}

#[test]
fn paths_and_queries_are_encoded() {
    let server = Server::json("200 OK", OPERATION);
    run(server.client().operation(7, Some(Duration::from_secs(30)))).unwrap();
    assert_eq!(server.first_line(), "GET /v1/operations/7?wait=30s HTTP/1.1");

    let server = Server::json("200 OK", r#"{"boot_id":"b","rev":1,"now_ms":1,"services":[]}"#);
    run(server.client().services(Some("a b*"))).unwrap();
    assert_eq!(server.first_line(), "GET /v1/services?match=a%20b%2A HTTP/1.1");

    let server = Server::json("200 OK", "");
    let query = LogQuery {
        names: vec!["a".into(), "g:*".into()],
        stream: Some(Stream::Stderr),
        tail: Some(5),
        follow: true,
    };
    let mut lines = run(server.client().logs(&query)).unwrap();
    assert_eq!(run(lines.next()).unwrap(), None);
    assert_eq!(
        server.first_line(),
        "GET /v1/logs?match=a&match=g%3A%2A&stream=stderr&tail=5&follow=true HTTP/1.1"
    );
}

#[test]
fn refusals_carry_what_the_daemon_says() {
    let body =
        r#"{"error":{"code":"unknown-service","message":"no service \"x\"","details":["y"]}}"#;
    let server = Server::json("404 Not Found", body);
    let Err(ClientError::Api { status: 404, body }) = run(server.client().service("x")) else {
        panic!("not refused");
    };
    assert_eq!(
        (body.code, body.details.as_slice()),
        (ErrorCode::UnknownService, &["y".to_owned()][..])
    );

    let server = Server::json("500 Oops", "<html>");
    let error = run(server.client().info()).unwrap_err();
    assert_eq!(error.to_string(), "the daemon's answer cannot be read: status 500 <html>");
}

#[test]
fn streams_come_line_by_line_whatever_the_pieces() {
    let lines = concat!(
        r#"{"rev":1,"time_ms":1,"event":"status","service":"a","text":"x"}"#,
        "\n\n",
        r#"{"rev":2,"time_ms":1,"event":"of-the-future","service":"a"}"#,
        "\n",
        r#"{"rev":3,"time_ms":1,"event":"transition","service":"a","from":"stopped","to":"running","cause":"c"}"#,
        "\n",
    );
    let mut answer = vec!["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()];
    for piece in lines.as_bytes().chunks(7) {
        let piece = std::str::from_utf8(piece).unwrap();
        answer.push(format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    answer.push("0\r\n\r\n".to_owned());
    let server = Server::start(answer.concat());
    let events = run(async {
        let mut lines = server.client().events(Some(0)).await.unwrap();
        let mut events = Vec::new();
        while let Some(event) = lines.next().await.unwrap() {
            events.push(event);
        }
        events
    });
    let revs: Vec<u64> = events.iter().map(|event| event.rev).collect();
    assert_eq!(revs, [1, 3]);
    assert!(matches!(events[1].kind, EventKind::Transition { to: State::Running, .. }));
    assert_eq!(server.first_line(), "GET /v1/events?since=0 HTTP/1.1");
}

#[test]
fn broken_streams_are_errors() {
    let read = |answer: &str| {
        let server = Server::start(answer);
        run(async { server.client().events(None).await.unwrap().next().await }).unwrap_err()
    };
    let torn = read("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{\"a\":");
    assert!(matches!(torn, ClientError::Protocol(_)), "{torn:?}");
    let cut = read("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"a\":");
    assert!(matches!(cut, ClientError::Io(_)), "{cut:?}");
    let error = concat!(r#"{"error":{"code":"gone","message":"too slow"}}"#, "\n");
    let refused =
        read(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{error}", error.len()));
    assert!(matches!(refused, ClientError::Api { status: 410, .. }), "{refused:?}");
}

#[test]
fn health_is_the_status() {
    let server = Server::json("200 OK", "");
    assert!(run(server.client().is_live()).unwrap());
    let server = Server::json("503 Service Unavailable", "web is starting");
    assert!(!run(server.client().is_ready()).unwrap());
}

#[test]
fn a_daemon_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let says = |path: &Path| {
        let error = run(Client::new(Address::Unix(path.into())).info()).unwrap_err();
        error.to_string().replace(dir.path().to_str().unwrap(), "")
    };
    assert_eq!(says(&path), "unix:///s no such file");
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(says(&path), "unix:///s refused connection");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may use every socket.
    if !says(&path).ends_with("refused connection") {
        assert_eq!(says(&path), "unix:///s permission denied");
    }
}

#[test]
fn a_connection_that_closes_without_an_answer_is_an_io_error() {
    let server = Server::start("");
    let error = run(server.client().info()).unwrap_err();
    assert!(matches!(error, ClientError::Io(_)), "{error:?}");
}
