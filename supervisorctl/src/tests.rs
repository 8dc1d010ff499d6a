//! Whole command lines, in this process, against a daemon that plays back answers.

mod classic;
mod modern;
mod notify;

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Read as _, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use supervisor_api::{Service, Snapshot, State, Why};

use crate::environment::Environment;
use crate::ui::{Channel, Terminal};

/// What a command line did.
#[derive(Debug)]
struct Outcome {
    out: String,
    err: String,
    code: u8,
}

impl Outcome {
    /// All of it, for a snapshot.
    fn text(&self) -> String {
        let Self { out, err, code } = self;
        let err = if err.is_empty() { String::new() } else { format!("--- stderr\n{err}") };
        format!("{out}{err}--- exit {code}")
    }
}

#[derive(Clone, Default)]
struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

fn ctl_with(environment: &Environment, words: &[&str], is_terminal: bool) -> Outcome {
    let (out, err) = (Buffer::default(), Buffer::default());
    let terminal = Terminal {
        out: Channel::new(out.clone(), is_terminal),
        err: Channel::new(err.clone(), is_terminal),
    };
    let words = words.iter().map(OsString::from).collect();
    let code = crate::run(words, environment, terminal);
    Outcome { out: out.text(), err: err.text(), code }
}

/// Runs a command line without a daemon.
fn ctl(words: &[&str]) -> Outcome {
    ctl_with(&Environment::default(), words, false)
}

/// A daemon that knows one answer for each request line that begins in a certain way.
struct Daemon {
    dir: tempfile::TempDir,
    requests: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    /// `answers`: how the request line begins, the status, the body. An answer is used again
    /// unless one that is further down fits as well: then each is used once, in order.
    fn start(answers: &[(&str, u16, &str)]) -> Self {
        let mut answers: Vec<(String, String)> = answers
            .iter()
            .map(|(begin, status, body)| {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}", body.len());
                ((*begin).to_owned(), format!("{head}\r\n\r\n{body}"))
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let (requests, is_over) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (log, stop) = (Arc::clone(&requests), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = stream.unwrap();
                let request = read_request(&mut stream);
                let fits: Vec<usize> =
                    (0..answers.len()).filter(|at| request.starts_with(&answers[*at].0)).collect();
                let answer = match fits.as_slice() {
                    [] => "HTTP/1.1 500 X\r\ncontent-length: 10\r\n\r\nunexpected".to_owned(),
                    [only] => answers[*only].1.clone(),
                    [first, ..] => answers.remove(*first).1,
                };
                log.lock().unwrap().push(request);
                // Whoever has gone does not want it.
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        Self { dir, requests, is_over, thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn ctl(&self, words: &[&str]) -> Outcome {
        self.ctl_on(words, false)
    }

    /// As on a terminal.
    fn ctl_live(&self, words: &[&str]) -> Outcome {
        self.ctl_on(words, true)
    }

    fn ctl_on(&self, words: &[&str], is_terminal: bool) -> Outcome {
        let environment = Environment {
            socket: Some(self.socket().into()),
            tz: Some(String::new()),
            ..Environment::default()
        };
        ctl_with(&environment, words, is_terminal)
    }

    /// The requests so far: request line and body, without the version.
    fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|request| {
                let (head, body) = request.split_once("\r\n\r\n").unwrap();
                let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
                format!("{line} {body}").trim_end().to_owned()
            })
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(self.socket()));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn read_request(stream: &mut UnixStream) -> String {
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut chunk).unwrap();
        request.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if n == 0 || body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return text.into_owned();
        }
    }
}

/// Seven services, one per state that matters, at a fixed time.
fn snapshot() -> String {
    const NOW: u64 = 1_763_712_062_000;
    let mut services =
        ["a-waiting", "backoff", "exited", "failed", "never", "stopped", "web@1"].map(service);
    let [waiting, backoff, exited, failed, _, stopped, web] = &mut services;
    waiting.state = State::Waiting;
    waiting.why.message = "waits for db".into();
    backoff.state = State::Backoff;
    backoff.why.message = "exit status 1, next try in 5s".into();
    exited.state = State::Exited;
    exited.exited_ms = Some(NOW - 3_600_000);
    failed.state = State::Failed;
    failed.why.message = "too many\nstarts".into();
    failed.status = Some("serving".into());
    stopped.exited_ms = Some(NOW);
    web.state = State::Running;
    web.instance = Some("1".into());
    web.groups = vec!["front".into()];
    web.pid = Some(17271);
    web.started_ms = Some(NOW - 6_500);
    web.since_ms = NOW - 6_000;
    web.ready = true;
    web.status = Some("serving".into());
    let services = services.to_vec();
    let snapshot = Snapshot { boot_id: "b".into(), rev: 9, now_ms: NOW, services };
    serde_json::to_string(&snapshot).unwrap()
}

/// A stopped service.
pub(crate) fn service(name: &str) -> Service {
    Service {
        name: name.into(),
        instance: None,
        groups: Vec::new(),
        description: String::new(),
        kind: "simple".into(),
        enabled: true,
        state: State::Stopped,
        since_ms: 1_763_712_000_000,
        pid: None,
        started_ms: None,
        invocation: None,
        status: None,
        health: None,
        processes: None,
        ready: false,
        restarts: 0,
        exit: None,
        exited_ms: None,
        deadline_ms: None,
        why: Why { code: "never-started".into(), services: Vec::new(), message: String::new() },
    }
}

/// An operation with these items: name, named, result (`""`: none yet), message.
fn operation(done: bool, items: &[(&str, bool, &str, &str)]) -> String {
    let items: Vec<_> = items
        .iter()
        .map(|(service, named, result, message)| {
            let mut item =
                serde_json::json!({ "service": service, "named": named, "message": message });
            if !result.is_empty() {
                item["result"] = (*result).into();
            }
            item
        })
        .collect();
    serde_json::json!({
        "id": 7, "verb": "start", "done": done, "ok": done, "elapsed_ms": 5, "items": items,
    })
    .to_string()
}

/// The body of a refusal.
fn refusal(code: &str, message: &str, details: &[&str]) -> String {
    let error = serde_json::json!({ "code": code, "message": message, "details": details });
    serde_json::json!({ "error": error }).to_string()
}
