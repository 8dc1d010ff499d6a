//! What the API asks of the runtime loop.

use std::io;

use supervisor_api::{
    ErrorBody, Info, LogLine, Operation, OperationRequest, Plan, Report, ServiceDetail,
    ShutdownRequest, Snapshot, Stream,
};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::Subscription;

/// Where the answer to a [`Call`] goes. It is closed when the client has gone away; whoever keeps
/// it for later must then drop it.
pub type Reply<T> = oneshot::Sender<Result<T, ErrorBody>>;

/// One request to the runtime loop. Each is answered at once unless it says otherwise.
#[derive(Debug)]
pub enum Call {
    /// The daemon itself.
    Info {
        /// The answer.
        reply: Reply<Info>,
    },
    /// The state of services.
    Services {
        /// Names, groups or globs; none is all.
        matching: Vec<String>,
        /// The answer.
        reply: Reply<Snapshot>,
    },
    /// One service in full.
    Service {
        /// Full name.
        name: String,
        /// The answer.
        reply: Reply<ServiceDetail>,
    },
    /// Begin an operation; answered when it has begun, or ended if nothing was to be done.
    Operate {
        /// What to do; its `wait`, `timeout` and `dry_run` are dealt with here.
        request: OperationRequest,
        /// Who asks.
        caller: Caller,
        /// The answer.
        reply: Reply<Operation>,
    },
    /// What an operation would do.
    Plan {
        /// What would be done.
        request: OperationRequest,
        /// The answer.
        reply: Reply<Plan>,
    },
    /// An operation as it is now.
    Operation {
        /// Its number.
        id: u64,
        /// The answer.
        reply: Reply<Operation>,
    },
    /// Answered when the operation has ended; the reply is closed if the client stops waiting.
    WaitOperation {
        /// Its number.
        id: u64,
        /// The answer.
        reply: Reply<Operation>,
    },
    /// Stop everything and end the daemon; answered when the shutdown has begun.
    Shutdown {
        /// How. An unreadable `timeout` has been refused already; `wait` is dealt with here.
        request: ShutdownRequest,
        /// Who asks.
        caller: Caller,
        /// The answer.
        reply: Reply<Shutdown>,
    },
    /// Follow the events.
    Events {
        /// The last event that the client knows; `None`: only what happens from now on.
        since: Option<u64>,
        /// The answer; [`super::Gone`] converts into the error for it.
        reply: Reply<Subscription>,
    },
    /// Output of services.
    Logs {
        /// Names, groups or globs; none is all.
        matching: Vec<String>,
        /// Only this output; `None` is both.
        stream: Option<Stream>,
        /// Most lines of what is kept, the last ones.
        tail: usize,
        /// Go on with new lines.
        follow: bool,
        /// The answer.
        reply: Reply<LogStream>,
    },
    /// Whether everything, or one service, is ready.
    Ready {
        /// The service; `None` is the daemon as a whole.
        name: Option<String>,
        /// The answer.
        reply: Reply<Readiness>,
    },
}

/// Who is at the other end of the connection, by `SO_PEERCRED` (`unix(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Effective user id when it connected.
    pub uid: u32,
    /// Effective group id when it connected.
    pub gid: u32,
    /// Its pid as the daemon sees it, if it does.
    pub pid: Option<i32>,
}

impl Caller {
    /// Asks the kernel.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let peer = stream.peer_cred()?;
        // 0 is a process of another pid namespace.
        Ok(Self { uid: peer.uid(), gid: peer.gid(), pid: peer.pid().filter(|&pid| pid > 0) })
    }

    /// Whether it may do more than probe: root and the daemon's own user may.
    pub const fn may(self, own_uid: u32) -> bool {
        self.uid == 0 || self.uid == own_uid
    }
}

/// A shutdown that has begun.
#[derive(Debug)]
pub struct Shutdown {
    /// What happens from now on.
    pub events: Subscription,
    /// How it went, sent after the last event.
    pub report: oneshot::Receiver<Report>,
}

/// Output of services.
#[derive(Debug)]
pub struct LogStream {
    /// What is kept, oldest first.
    pub backlog: Vec<LogLine>,
    /// What follows, if asked for. The sender must not wait: if this is full the client is too
    /// slow, and dropping the sender ends its stream.
    pub live: Option<mpsc::Receiver<LogLine>>,
}

/// Answer to [`Call::Ready`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it is ready.
    pub ready: bool,
    /// For people: what it waits for, if it is not.
    pub reasons: Vec<String>,
}
