//! Each limit at its edge, and clients that do what they should not.

use std::os::unix::net;
use std::time::Duration;

use hyper::StatusCode;
use supervisor_api::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::harness::{Daemon, publish, raw, read_to_end, read_until};
use crate::control::{
    ACCEPTS_PER_TURN, Call, EventLog, MAX_BODY, MAX_CONNECTIONS, MAX_HEAD, REQUEST_TIME,
    UNREAD_TIME,
};

const GET: &str = "GET /v1 HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_head_may_have_16_kib() {
    let daemon = Daemon::start_with_info();
    for (length, status) in [(MAX_HEAD, "200"), (MAX_HEAD + 1, "431"), (MAX_HEAD * 4, "431")] {
        let frame = "GET /livez HTTP/1.1\r\nconnection: close\r\nx: \r\n\r\n".len();
        let head = format!(
            "GET /livez HTTP/1.1\r\nconnection: close\r\nx: {}\r\n\r\n",
            "x".repeat(length - frame)
        );
        assert_eq!(head.len(), length);
        let answer = raw(&mut daemon.connect().await, head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{length}: {answer}");
    }
}

#[tokio::test]
async fn a_body_may_have_1_mib() {
    let daemon = Daemon::start_with_info();
    let fits = " ".repeat(MAX_BODY);
    let answer = daemon.ask("POST", "/v1/operations", &fits).await;
    assert_eq!(answer.error().code, ErrorCode::BadRequest, "read, but no JSON");
    // Said before it is sent, so it is refused before it is sent.
    let head = format!(
        "POST /v1/operations HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        MAX_BODY + 1
    );
    let answer = raw(&mut daemon.connect().await, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""code":"too-large""#), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_may_have_1_mib() {
    let daemon = Daemon::start_with_info();
    for (length, status) in [(MAX_BODY, "400"), (MAX_BODY + 1, "413")] {
        let request = format!(
            "POST /v1/operations HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             transfer-encoding: chunked\r\n\r\n{length:x}\r\n{}\r\n0\r\n\r\n",
            " ".repeat(length)
        );
        let answer = raw(&mut daemon.connect().await, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{length}: {answer}");
    }
}

#[tokio::test]
async fn the_257th_connection_is_refused() {
    let daemon = Daemon::start_with_info();
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = daemon.connect().await;
        stream.write_all(GET.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "}").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        held.push(stream);
    }
    let answer = read_to_end(&mut daemon.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("too many connections"), "{answer}");
    // One goes, another one gets in.
    held.pop();
    loop {
        let mut stream = daemon.connect().await;
        let _ = stream.write_all(GET.as_bytes()).await;
        let mut first = [0; 12];
        if stream.read_exact(&mut first).await.is_ok() && &first == b"HTTP/1.1 200" {
            break;
        }
    }
}

#[tokio::test]
async fn thousands_of_connections_do_not_hold_up_the_runtime() {
    // Less than the shortest queue that a socket may have by default.
    const QUEUED: usize = 120;
    let daemon = Daemon::start_with_info();
    for _ in 0..10_000 / QUEUED {
        // While this thread connects the server has no turn.
        for _ in 1..QUEUED {
            drop(net::UnixStream::connect(&daemon.path).unwrap());
        }
        let last = daemon.asking("GET", "/livez", "");
        let mut turns = 0;
        while !last.is_finished() {
            tokio::task::yield_now().await;
            turns += 1;
        }
        assert_eq!(last.await.unwrap().status, StatusCode::OK);
        assert!(turns >= QUEUED / ACCEPTS_PER_TURN, "everybody else had only {turns} turns");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_10_s_for_its_first_request() {
    let daemon = Daemon::start_with_info();
    let began = Instant::now();
    assert_eq!(read_to_end(&mut daemon.connect().await).await, "");
    assert_between(began, REQUEST_TIME, REQUEST_TIME + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_trickling_head_has_10_s() {
    let daemon = Daemon::start_with_info();
    let began = Instant::now();
    let mut stream = daemon.connect().await;
    let trickle = trickle(&mut stream, b"GET /v1 HTTP/1.1\r\nx: xxxxxxxxxxxxxxxxxxxxxx").await;
    assert!(trickle < 20, "{trickle}");
    assert_between(began, REQUEST_TIME, REQUEST_TIME + Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_trickling_body_has_what_is_left_of_10_s() {
    let daemon = Daemon::start_with_info();
    let began = Instant::now();
    let mut stream = daemon.connect().await;
    sleep(Duration::from_secs(5)).await;
    let head = b"POST /v1/shutdown HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let trickle = trickle(&mut stream, &[b' '; 50]).await;
    assert!(trickle < 10, "{trickle}");
    assert_between(began, REQUEST_TIME, REQUEST_TIME + Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_may_stay_and_then_has_10_s_again() {
    let daemon = Daemon::start_with_info();
    let mut stream = daemon.connect().await;
    for _ in 0..3 {
        stream.write_all(GET.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "}").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        sleep(REQUEST_TIME * 100).await;
    }
    let began = Instant::now();
    assert_eq!(raw(&mut stream, b"GET /v1").await, "");
    assert_between(began, REQUEST_TIME, REQUEST_TIME + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_an_answer_may_take_longer_than_10_s() {
    let (daemon, mut calls) = Daemon::start();
    let asking = daemon.asking("GET", "/v1/operations/1?wait=infinity", "");
    let Some(Call::WaitOperation { mut reply, .. }) = calls.recv().await else { panic!() };
    sleep(REQUEST_TIME * 100).await;
    assert!(!asking.is_finished() && !reply.is_closed());
    asking.abort();
    reply.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_dropped() {
    let (daemon, mut calls) = Daemon::start();
    let mut log = EventLog::new();
    let mut stream = daemon.connect().await;
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let Some(Call::Events { since, reply }) = calls.recv().await else { panic!() };
    reply.send(log.subscribe(since).map_err(Into::into)).unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    let began = Instant::now();
    // Until the socket is full, and then for as long as it is borne.
    while log.subscribers() > 0 {
        for _ in 0..100 {
            publish(&mut log);
        }
        sleep(Duration::from_millis(100)).await;
    }
    let rest = read_to_end(&mut stream).await;
    assert!(!rest.ends_with("0\r\n\r\n"), "it was cut off, not ended");
    assert!(began.elapsed() >= UNREAD_TIME);
}

#[tokio::test]
async fn garbage_is_answered_and_closed() {
    let daemon = Daemon::start_with_info();
    for garbage in [
        &b"\0\x01\x02\xff\xfe\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /v1 HTTP/9.9\r\n\r\n",
        b"GET /v1 HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /v1 HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST /v1/shutdown HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ] {
        let answer = raw(&mut daemon.connect().await, garbage).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{garbage:?}: {answer}");
    }
    let preface = raw(&mut daemon.connect().await, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!preface.contains("200"), "{preface}");
    assert_eq!(daemon.get("/v1").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_garbled_reaches_nobody() {
    let (daemon, mut calls) = Daemon::start();
    let mut stream = daemon.connect().await;
    stream.write_all(b"POST /v1/shutdown HTTP/1.1\r\ncontent-length: 9\r\n\r\n{}").await.unwrap();
    stream.shutdown().await.unwrap();
    read_to_end(&mut stream).await;
    let garbled = b"POST /v1/shutdown HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n";
    let answer = raw(&mut daemon.connect().await, garbled).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{answer}");
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::start_with_info();
    let mut stream = daemon.connect().await;
    let last = "GET /v1/none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = raw(&mut stream, format!("{}{last}", GET.repeat(20)).as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 20);
    assert_eq!(answers.matches("HTTP/1.1 404 Not Found").count(), 1);
    assert!(answers.rfind("HTTP/1.1 200").unwrap() < answers.find("HTTP/1.1 404").unwrap());
}

#[tokio::test]
async fn the_body_of_a_get_does_not_matter() {
    let daemon = Daemon::start_with_info();
    let answer = daemon.ask("GET", "/v1", "whatever").await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// Sends a byte a second for as long as the connection takes them; how many that were.
async fn trickle(stream: &mut UnixStream, bytes: &[u8]) -> usize {
    for (sent, byte) in bytes.iter().enumerate() {
        if stream.write_all(&[*byte]).await.is_err() {
            return sent;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("it took all of them");
}

fn assert_between(began: Instant, least: Duration, most: Duration) {
    let elapsed = began.elapsed();
    assert!(elapsed >= least && elapsed <= most, "{elapsed:?}");
}
