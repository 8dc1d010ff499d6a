//! Failures of a start as the sentences that people read.

use std::ffi::c_int;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use supervisor_engine::SpawnError;

use super::arguments::{candidates, search_path};
use super::child_setup::{Failure, Step};
use super::command::{Command, Session};

/// The arguments cannot be passed on.
pub(super) fn arguments(what: impl Display) -> SpawnError {
    error("arguments", libc::EINVAL, what)
}

/// A step of the daemon itself has failed.
pub(super) fn step(step: &'static str, error: &io::Error) -> SpawnError {
    let errno = errno(error);
    SpawnError { step, errno, message: format!("{step}: {}", reason(errno)) }
}

/// Standard input cannot be opened.
pub(super) fn stdin(path: &Path, cause: &io::Error) -> SpawnError {
    error("stdin", errno(cause), path.display())
}

/// The child has failed.
pub(super) fn child(failure: Failure, command: &Command<'_>) -> SpawnError {
    let errno = failure.errno;
    let context = command.context;
    match failure.step {
        Step::Session => {
            let step = match command.session {
                Session::Own => "setsid",
                Session::Group => "setpgid",
            };
            self::step(step, &io::Error::from_raw_os_error(errno))
        }
        Step::Stdio(fd) => {
            error("stdio", errno, ["stdin", "stdout", "stderr"].get(fd).unwrap_or(&"?"))
        }
        Step::Passed(index) => error("descriptors", errno, index + 3),
        Step::Limit(index) => {
            let name = context.limits.get(index).map_or("?", |limit| limit.name);
            let hint = match errno {
                libc::EPERM => " (needs CAP_SYS_RESOURCE)",
                libc::EINVAL => " (soft limit above hard limit)",
                _ => "",
            };
            let message = format!("setrlimit {name}: {}{hint}", reason(errno));
            SpawnError { step: "setrlimit", errno, message }
        }
        Step::OomScore => privileged("oom-score-adj", errno, "CAP_SYS_RESOURCE"),
        Step::Cpus => {
            let hint = match errno {
                libc::EINVAL => " (this machine has none of these processors)",
                _ => "",
            };
            let message = format!("cpu-affinity: {}{hint}", reason(errno));
            SpawnError { step: "cpu-affinity", errno, message }
        }
        Step::Scheduler => privileged("scheduler", errno, "CAP_SYS_NICE"),
        Step::Nice => privileged("nice", errno, "CAP_SYS_NICE"),
        Step::IoClass => privileged("io-class", errno, "CAP_SYS_NICE"),
        Step::Bounding => privileged("capabilities", errno, "CAP_SETPCAP"),
        Step::Capabilities => {
            privileged("ambient-capabilities", errno, "that the daemon has them itself")
        }
        Step::NoNewPrivileges => step("no-new-privileges", &io::Error::from_raw_os_error(errno)),
        Step::Groups => {
            let groups = context.identity.as_ref().map_or(&[][..], |identity| &identity.groups);
            identity("setgroups", errno, format_args!("{groups:?}"))
        }
        Step::Group => identity("setgid", errno, context.identity.as_ref().map_or(0, |id| id.gid)),
        Step::User => identity("setuid", errno, context.identity.as_ref().map_or(0, |id| id.uid)),
        Step::Directory => error("chdir", errno, context.working_directory.display()),
        Step::Descriptors => step("close_range", &io::Error::from_raw_os_error(errno)),
        Step::Extra => {
            let number = command.extra.map_or(0, |(number, _)| number);
            // It is over the limit of open files, or no descriptor would be wrong.
            error("descriptor", errno, format_args!("{number} (is it below the limit `nofile`?)"))
        }
        Step::Exec(index) => exec(errno, index, command),
    }
}

/// What takes a privilege.
fn privileged(step: &'static str, errno: c_int, needs: &str) -> SpawnError {
    let hint = match errno {
        libc::EPERM | libc::EACCES => format!(" (needs {needs})"),
        _ => String::new(),
    };
    SpawnError { step, errno, message: format!("{step}: {}{hint}", reason(errno)) }
}

/// A user or group that cannot be taken on.
fn identity(step: &'static str, errno: c_int, subject: impl Display) -> SpawnError {
    match errno {
        libc::EPERM => {
            let hint = "another user or group takes a daemon that runs as root";
            error(step, errno, format_args!("{subject} ({hint})"))
        }
        _ => error(step, errno, subject),
    }
}

/// Why `execve(2)` has refused, found out afterwards: its error alone may mean several things.
fn exec(errno: c_int, index: usize, command: &Command<'_>) -> SpawnError {
    let program = command.argv.first().map_or("", String::as_str);
    let search_path = search_path(command);
    let candidates: Vec<PathBuf> = candidates(program, search_path)
        .iter()
        .map(|candidate| command.context.working_directory.join(candidate))
        .collect();
    let path = match errno {
        libc::ENOENT => candidates.iter().find(|path| path.is_file()),
        _ => candidates.get(index),
    };
    let Some(path) = path else {
        // Nothing of that name is there.
        return match candidates.as_slice() {
            [_] => error("exec", errno, program),
            _ => error("exec", errno, format_args!("{program} (not in PATH {search_path})")),
        };
    };
    match hint(errno, path) {
        Some(hint) => error("exec", errno, format_args!("{} ({hint})", path.display())),
        None => error("exec", errno, path.display()),
    }
}

/// What `errno` means for this very file, where that is not plain.
fn hint(errno: c_int, path: &Path) -> Option<String> {
    let hint = match errno {
        libc::ENOENT => match Beginning::of(path)? {
            Beginning::Script(interpreter) if Path::new(&interpreter).exists() => return None,
            // Quoted, for a carriage return at its end is the usual reason.
            Beginning::Script(interpreter) => {
                return Some(format!("its interpreter {interpreter:?} is missing"));
            }
            Beginning::Elf => "its dynamic loader is missing",
            Beginning::Empty | Beginning::Other => return None,
        },
        libc::ENOEXEC => match Beginning::of(path)? {
            Beginning::Empty => "an empty file",
            Beginning::Elf => "built for another kind of machine",
            Beginning::Script(_) => return None,
            Beginning::Other => "no program, and no #! line for a script",
        },
        libc::EACCES => {
            let metadata = fs::metadata(path).ok()?;
            if metadata.is_dir() {
                "a directory"
            } else if metadata.permissions().mode() & 0o111 == 0 {
                "not executable"
            } else {
                return None;
            }
        }
        libc::EAGAIN => "the user's nproc limit is exceeded",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What the first bytes of a file say about how the kernel runs it (`execve(2)`).
enum Beginning {
    Empty,
    /// With the interpreter behind `#!`.
    Script(String),
    Elf,
    Other,
}

impl Beginning {
    fn of(path: &Path) -> Option<Self> {
        /// The kernel reads no more (`BINPRM_BUF_SIZE`).
        const LONGEST: u64 = 256;
        if !path.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(match bytes.as_slice() {
            [] => Self::Empty,
            [b'#', b'!', line @ ..] => {
                let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
                let line = String::from_utf8_lossy(line);
                // Blanks and tabs end it, a carriage return does not: the kernel is as strict.
                let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
                Self::Script(words.next().unwrap_or("").to_owned())
            }
            [0x7f, b'E', b'L', b'F', ..] => Self::Elf,
            _ => Self::Other,
        })
    }
}

/// `STEP: REASON: SUBJECT`.
fn error(step: &'static str, errno: c_int, subject: impl Display) -> SpawnError {
    SpawnError { step, errno, message: format!("{step}: {}: {subject}", reason(errno)) }
}

/// The words for an error, without the number that `std` adds.
fn reason(errno: c_int) -> &'static str {
    Errno::from_raw(errno).desc()
}

/// The number behind an error of `std`; `EIO` for what has none.
fn errno(error: &io::Error) -> c_int {
    error.raw_os_error().unwrap_or(libc::EIO)
}
