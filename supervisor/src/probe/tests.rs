use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

use super::*;

/// Longer than any try here takes.
const LONG: Duration = Duration::from_mins(1);

/// What a try ended with, in the words that people see.
async fn outcome(check: ProbeCheck) -> Result<(), String> {
    run(&check, LONG).await.map_err(|error| error.to_string())
}

fn refused<T>() -> Result<T, String> {
    Err("connection refused".to_owned())
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port where nobody listens, and nobody else will as long as the socket lives.
fn unused_port() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

fn tcp(host: &str, port: u16) -> ProbeCheck {
    ProbeCheck::Tcp { host: host.to_owned(), port }
}

fn http(port: u16) -> ProbeCheck {
    ProbeCheck::Http {
        host: "127.0.0.1".to_owned(),
        port,
        path: "/health?deep=1".to_owned(),
        status: vec![(200, 299), (418, 418)],
        headers: vec![],
    }
}

/// Tries `check` against a server that answers the next connection with `answer` and keeps it open.
/// Gives the outcome and the request.
async fn exchange(
    listener: &TcpListener,
    check: ProbeCheck,
    answer: &str,
) -> (Result<(), String>, String) {
    let serve = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(connection.read_u8().await.unwrap());
        }
        connection.write_all(answer.as_bytes()).await.unwrap();
        (connection, String::from_utf8(request).unwrap())
    };
    let (outcome, (_connection, request)) = tokio::join!(outcome(check), serve);
    (outcome, request)
}

#[tokio::test]
async fn tcp_wants_a_listener() {
    let (_listener, port) = listener().await;
    assert_eq!(outcome(tcp("127.0.0.1", port)).await, Ok(()));
    assert_eq!(outcome(tcp("localhost", port)).await, Ok(()));

    let (_socket, port) = unused_port();
    assert_eq!(outcome(tcp("127.0.0.1", port)).await, refused());
    assert_eq!(outcome(tcp("LocalHost", port)).await, refused());
}

#[tokio::test]
async fn tcp_does_not_take_itself_for_the_service() {
    // What the kernel may do by chance when it chooses the port of a client.
    let (socket, port) = unused_port();
    let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    assert!(tcp::is_own_peer(&stream));
    drop(stream);

    let (_listener, port) = listener().await;
    let stream = tcp::connect("127.0.0.1", port).await.unwrap();
    assert!(!tcp::is_own_peer(&stream));
}

#[tokio::test]
async fn localhost_may_be_ipv6_only() {
    let address = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0));
    // Not every machine has IPv6.
    let Ok(listener) = TcpListener::bind(address).await else { return };
    let port = listener.local_addr().unwrap().port();
    assert_eq!(outcome(tcp("::1", port)).await, Ok(()));
    assert_eq!(outcome(tcp("localhost", port)).await, Ok(()));
}

#[tokio::test]
async fn a_name_without_address_is_named() {
    // A label of more than 63 bytes is refused without asking a server.
    let host = "x".repeat(64);
    assert_eq!(outcome(tcp(&host, 1)).await, Err(format!("no address for host {host}")));
}

#[tokio::test]
async fn http_accepts_the_statuses_of_the_spec() {
    let (listener, port) = listener().await;
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Ok(())),
        // The body is not waited for.
        ("HTTP/1.1 204 No Content\r\nContent-Length: 1000\r\n\r\n", Ok(())),
        ("HTTP/1.0 418 I'm a teapot\r\n\r\n", Ok(())),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Ok(())),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Err("status 503")),
        // Not followed.
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", Err("status 302")),
        ("HTTP/1.1 417 No\r\n\r\n", Err("status 417")),
    ] {
        let (actual, _) = exchange(&listener, http(port), answer).await;
        assert_eq!(actual, expected.map_err(str::to_owned), "{answer:?}");
    }
}

#[tokio::test]
async fn http_asks_for_the_path_with_its_headers() {
    const OK: &str = "HTTP/1.1 200 OK\r\n\r\n";
    let (listener, port) = listener().await;
    let (_, request) = exchange(&listener, http(port), OK).await;
    let host = format!("host: 127.0.0.1:{port}");
    assert_eq!(
        request.lines().collect::<Vec<_>>(),
        ["GET /health?deep=1 HTTP/1.1", "connection: close", &host, ""]
    );

    let ProbeCheck::Http { host, path, status, .. } = http(port) else { unreachable!() };
    let headers = vec![("Host".into(), "example.com".into()), ("X-Probe".into(), "1".into())];
    let check = ProbeCheck::Http { host, port, path, status, headers };
    let (_, request) = exchange(&listener, check, OK).await;
    assert_eq!(
        request.lines().collect::<Vec<_>>(),
        ["GET /health?deep=1 HTTP/1.1", "connection: close", "host: example.com", "x-probe: 1", ""]
    );
}

#[tokio::test]
async fn http_wants_http() {
    let (listener, port) = listener().await;
    let (actual, _) = exchange(&listener, http(port), "SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
    let error = actual.unwrap_err();
    assert!(error.starts_with("no HTTP answer: "), "{error}");

    let closing = async { drop(listener.accept().await.unwrap()) };
    let (actual, ()) = tokio::join!(outcome(http(port)), closing);
    let error = actual.unwrap_err();
    assert!(error.starts_with("no HTTP answer: "), "{error}");

    let (_socket, port) = unused_port();
    assert_eq!(outcome(http(port)).await, refused());
}

#[tokio::test]
async fn http_refuses_what_it_cannot_say() {
    let ProbeCheck::Http { host, port, path, status, .. } = http(1) else { unreachable!() };
    let headers = vec![("bad name".into(), "1".into())];
    let check = ProbeCheck::Http { host, port, path, status, headers };
    let error = outcome(check).await.unwrap_err();
    assert!(error.starts_with("invalid HTTP request: "), "{error}");
}

#[tokio::test]
async fn silence_is_timed_out() {
    let (_listener, port) = listener().await;
    // The kernel accepts; nobody answers.
    let timeout = Duration::from_millis(20);
    let error = run(&http(port), timeout).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer within 20ms");
}

#[tokio::test]
async fn unix_wants_a_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("service.sock");
    let check = ProbeCheck::Unix(path.clone());
    assert_eq!(outcome(check.clone()).await, Err("no such file or directory".to_owned()));
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(outcome(check.clone()).await, Ok(()));
    drop(listener);
    assert_eq!(outcome(check).await, refused());
}

#[tokio::test]
async fn file_wants_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ready");
    let check = ProbeCheck::File(path.clone());
    assert_eq!(outcome(check.clone()).await, Err("no such file or directory".to_owned()));
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert_eq!(outcome(check.clone()).await, Err("no such file or directory".to_owned()));
    assert_eq!(outcome(ProbeCheck::File(directory.path().to_owned())).await, Ok(()));
}

#[tokio::test]
async fn a_command_is_not_for_here() {
    let error = run(&ProbeCheck::Exec(vec!["true".into()]), LONG).await.unwrap_err();
    assert!(matches!(error, ProbeError::Command));
}

fn timing(initial_delay_ms: u64, period_ms: u64, successes: u32) -> ProbeConfig {
    ProbeConfig {
        check: ProbeCheck::File(PathBuf::from("/unused")),
        initial_delay: Duration::from_millis(initial_delay_ms),
        period: Duration::from_millis(period_ms),
        timeout: LONG,
        successes,
    }
}

/// Runs `until_ready` on a clock that jumps. Each try takes so many milliseconds and ends so.
/// Gives when each began and when all was over, in milliseconds.
async fn schedule(probe: &ProbeConfig, tries: &[(u64, bool)]) -> (Vec<u128>, u128) {
    let epoch = Instant::now();
    let mut begun = Vec::new();
    let mut tries = tries.iter();
    until_ready(probe, || {
        begun.push(epoch.elapsed().as_millis());
        let (takes, succeeds) = *tries.next().unwrap();
        async move {
            time::sleep(Duration::from_millis(takes)).await;
            succeeds.then_some(()).ok_or("not yet")
        }
    })
    .await;
    assert_eq!(tries.len(), 0, "not all tries were needed");
    (begun, epoch.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn the_first_try_follows_the_initial_delay_and_success_ends_it() {
    assert_eq!(schedule(&timing(0, 1000, 1), &[(0, true)]).await, (vec![0], 0));
    assert_eq!(schedule(&timing(500, 1000, 1), &[(30, true)]).await, (vec![500], 530));
}

#[tokio::test(start_paused = true)]
async fn the_period_runs_from_begin_to_begin() {
    let tries = [(0, false), (400, false), (0, true)];
    assert_eq!(schedule(&timing(0, 1000, 1), &tries).await, (vec![0, 1000, 2000], 2000));
}

#[tokio::test(start_paused = true)]
async fn a_try_longer_than_the_period_is_followed_at_once() {
    let tries = [(1500, false), (0, false), (0, true)];
    assert_eq!(schedule(&timing(0, 1000, 1), &tries).await, (vec![0, 1500, 2500], 2500));
}

#[tokio::test(start_paused = true)]
async fn successes_count_in_a_row() {
    let tries = [(0, true), (0, true), (0, false), (0, true), (0, true), (0, true)];
    let (begun, end) = schedule(&timing(0, 100, 3), &tries).await;
    assert_eq!((begun.len(), end), (6, 500));
}

#[tokio::test(start_paused = true)]
async fn zeros_are_harmless() {
    let tries = [(0, false), (0, true)];
    assert_eq!(schedule(&timing(0, 0, 0), &tries).await, (vec![0, 10], 10));
}

#[tokio::test(start_paused = true)]
async fn an_endless_period_does_not_panic() {
    let mut probe = timing(0, 0, 1);
    probe.period = Duration::MAX;
    let never = until_ready(&probe, async || Err::<(), _>("no"));
    assert!(time::timeout(LONG, never).await.is_err());
    probe.initial_delay = Duration::MAX;
    let never = until_ready(&probe, async || Ok::<(), ()>(()));
    assert!(time::timeout(LONG, never).await.is_err());
}

#[tokio::test]
async fn both_together_can_be_spawned() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ready");
    let probe = ProbeConfig { check: ProbeCheck::File(path.clone()), ..timing(0, 10, 2) };
    let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let ready = tokio::spawn(async move {
        until_ready(&probe, async || {
            let outcome = run(&probe.check, probe.timeout).await;
            outcome.inspect_err(|error| failed.send(error.to_string()).unwrap())
        })
        .await;
    });
    assert_eq!(failures.recv().await.unwrap(), "no such file or directory");
    std::fs::write(&path, "").unwrap();
    ready.await.unwrap();
}
