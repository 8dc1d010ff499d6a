//! What the tests are written with: a daemon of one's own, in a directory of its own.
//!
//! Nothing here sleeps for a fixed time: tests wait for conditions, see [`wait_until`]. Whatever a
//! daemon started is gone when it is dropped, also when the test has failed.

mod api;
mod ctl;
mod http;
mod port;
mod process;
mod record;
mod require;
mod wait;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

pub(crate) use ctl::Output;
pub(crate) use http::Response;
pub(crate) use port::free_port;
pub(crate) use process::{
    alive, children, descendants, is_root, open_fds, process_state, send_signal, user,
};
pub(crate) use record::Happening;
pub(crate) use require::{available, must, must_as_root};
pub(crate) use wait::{DEADLINE, wait_until};

/// Path of `supervisord`.
pub(crate) const SUPERVISORD: &str = env!("CARGO_BIN_EXE_supervisord");
/// Path of `supervisorctl`.
pub(crate) const SUPERVISORCTL: &str = env!("CARGO_BIN_EXE_supervisorctl");
/// Path of the scriptable service, `${FIXTURE}` in a spec.
pub(crate) const FIXTURE: &str = env!("CARGO_BIN_EXE_fixture-service");

/// Variable by which every process that descends from a test's daemon is known. Services inherit it;
/// what begins with `SUPERVISOR_` they would not.
const MARK: &str = "FIXTURE_DIR";

/// How a daemon is started; made by [`Daemon::builder`].
#[derive(Debug, Default)]
pub(crate) struct Builder {
    include: Option<PathBuf>,
    spec: String,
    supervisor: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Builder {
    /// Takes in a spec file of this repository.
    pub(crate) fn include(mut self, file: &Path) -> Self {
        self.include = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
        self
    }

    /// Adds lines to `[supervisor]`.
    pub(crate) fn supervisor(mut self, lines: &str) -> Self {
        self.supervisor.push_str(lines);
        self.supervisor.push('\n');
        self
    }

    /// Adds tables to the spec. `${FIXTURE}` and `${DIR}` stand for the test service and the
    /// test's directory.
    pub(crate) fn spec(mut self, text: &str) -> Self {
        self.spec.push_str(text);
        self.spec.push('\n');
        self
    }

    /// Adds arguments behind `-c FILE`.
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Sets a variable of the daemon.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and returns at once.
    pub(crate) fn spawn(self) -> Daemon {
        let dir = TestDir::new();
        let file = dir.path().join("supervisor.toml");
        let include = self.include.map(|file| format!("include = ['{}']\n", file.display()));
        let spec = format!(
            "{}{}{}\n{}",
            include.unwrap_or_default(),
            supervisor_table(dir.path()),
            self.supervisor,
            self.spec,
        );
        fs::write(&file, spec).unwrap();
        let mut command = supervisord(dir.path());
        command.arg("-c").arg(&file).args(&self.arguments).envs(self.environment);
        Daemon::run(&mut command, dir)
    }

    /// Starts it and waits until its control socket answers.
    pub(crate) fn start(self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_for_socket();
        daemon
    }

    /// Starts it and waits until all that should be up is, or has failed.
    pub(crate) fn boot(self) -> Daemon {
        let daemon = self.start();
        daemon.wait_booted();
        daemon
    }
}

/// A running daemon; killed with all that it started when it is dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// Exit status, once it has been asked for.
    ended: Option<i32>,
    dir: TestDir,
}

impl Daemon {
    /// A daemon with more than a spec.
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// A daemon with this spec whose control socket answers.
    pub(crate) fn start(spec: &str) -> Self {
        Self::builder().spec(spec).start()
    }

    /// A daemon with this spec where all that should be up is, or has failed.
    pub(crate) fn boot(spec: &str) -> Self {
        Self::builder().spec(spec).boot()
    }

    /// Runs a command that is, or contains, a daemon.
    pub(crate) fn run(command: &mut Command, dir: TestDir) -> Self {
        let output = |name| File::create(dir.path().join(name)).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, ended: None, dir }
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The test's own directory, `${DIR}` in a spec.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Path of a file in the test's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Text of a file in the test's directory; empty if there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read(self.path(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Makes the file that a service waits for by `--await`.
    pub(crate) fn open(&self, gate: &str) {
        File::create(self.path(gate)).unwrap();
    }

    /// What it wrote on stdout so far.
    pub(crate) fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What it wrote on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// What the test services did so far.
    pub(crate) fn record(&self) -> Vec<Happening> {
        record::parse(&self.read("record"))
    }

    /// Path of its control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/control.sock")
    }

    /// Sends a signal to the daemon alone.
    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// Waits for its end and returns what a shell would show: the status, or 128 + n for signal n.
    pub(crate) fn wait_exit(&mut self) -> i32 {
        wait_until("the daemon to end", self, Self::try_exit);
        self.try_exit().unwrap()
    }

    /// Stops it by TERM and returns its exit status.
    pub(crate) fn terminate(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.wait_exit()
    }

    /// Processes, other than the daemon, that descend from it, also if they have left it.
    pub(crate) fn started(&self) -> Vec<i32> {
        let mut pids = process::marked(self.dir());
        pids.retain(|&pid| pid != self.pid());
        pids
    }

    /// Says in the test's captured output what is known of a daemon whose test has failed.
    #[expect(clippy::print_stdout, reason = "shown by the test runner when the test has failed")]
    fn tell(&self) {
        println!("--- stderr of the daemon\n{}", self.stderr());
        println!("--- record\n{}---", self.read("record"));
    }

    fn try_exit(&mut self) -> Option<i32> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap().map(process::shell_status);
        }
        self.ended
    }

    /// Waits until its control socket answers.
    pub(crate) fn wait_for_socket(&mut self) {
        wait_until("the control socket", self, |daemon| {
            if let Some(status) = daemon.try_exit() {
                panic!("the daemon ended with status {status}");
            }
            daemon.http().try_get("/v1").ok().filter(|answer| answer.status == 200)
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        if self.try_exit().is_none() {
            process::kill_descendants(self.pid());
            drop(self.child.kill());
            drop(self.child.wait());
        }
        process::kill_marked(self.dir());
    }
}

/// A `[supervisor]` table for a daemon that leaves the host's directories alone.
pub(crate) fn supervisor_table(dir: &Path) -> String {
    let dir = dir.display();
    format!("[supervisor]\nruntime-dir = '{dir}/run'\nlog-dir = '{dir}/log'\n")
}

/// A `supervisord` with an environment and a working directory that say nothing about this host.
pub(crate) fn supervisord(dir: &Path) -> Command {
    let mut command = Command::new(SUPERVISORD);
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("HOME", dir)
        .env("XDG_RUNTIME_DIR", dir)
        .env("XDG_CONFIG_HOME", dir)
        .env("XDG_STATE_HOME", dir)
        .env(MARK, dir)
        .env("DIR", dir)
        .env("FIXTURE", FIXTURE)
        .env("FIXTURE_RECORD", dir.join("record"));
    command
}

/// A directory under `/tmp`, where the path of a socket cannot become too long.
#[derive(Debug)]
pub(crate) struct TestDir(tempfile::TempDir);

impl TestDir {
    /// An empty one; services that run as another user may read and write it.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("sv-it-").tempdir_in("/tmp").unwrap();
        if is_root() {
            let record = dir.path().join("record");
            fs::write(&record, "").unwrap();
            fs::set_permissions(record, Permissions::from_mode(0o666)).unwrap();
            fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        }
        Self(dir)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
