//! Arguments, environment and paths as `execve(2)` takes them.

use std::cell::Cell;
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use supervisor_engine::SpawnError;

use super::command::Command;
use super::failure;

/// What `execvp(3)` searches when `PATH` is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// All strings that a child hands to the kernel.
#[derive(Debug)]
pub(super) struct Arguments {
    /// Paths to try as the program, in order.
    pub(super) candidates: StringArray,
    /// The arguments.
    pub(super) argv: StringArray,
    /// The environment.
    pub(super) environment: StringArray,
    /// Where in the environment the child writes its own pid.
    pub(super) own_pid: Vec<PidSlot>,
    /// The working directory.
    pub(super) directory: CString,
}

impl Arguments {
    /// Errors with step `arguments` if there is no program, or a NUL byte anywhere: C strings, and
    /// so the kernel, would see the end there.
    pub(super) fn new(command: &Command<'_>) -> Result<Self, SpawnError> {
        let context = command.context;
        let program = command.argv.first().ok_or_else(|| failure::arguments("no command"))?;
        for (index, argument) in command.argv.iter().enumerate() {
            if argument.contains('\0') {
                return Err(failure::arguments(format_args!("NUL byte in argument {index}")));
            }
        }
        for (name, value) in environment(command) {
            if name.contains('\0') || value.contains('\0') {
                let what = format_args!("NUL byte in environment variable {}", name.escape_debug());
                return Err(failure::arguments(what));
            }
        }
        for name in command.own_pid {
            if name.contains('\0') {
                return Err(failure::arguments("NUL byte in the name of a variable"));
            }
        }
        let directory = CString::new(context.working_directory.as_os_str().as_bytes())
            .map_err(|_| failure::arguments("NUL byte in working directory"))?;
        Ok(Self {
            candidates: StringArray::new(
                &candidates(program, search_path(command)),
                |path, out| {
                    out.extend_from_slice(path.as_bytes());
                },
            ),
            argv: StringArray::new(command.argv, |argument, out| {
                out.extend_from_slice(argument.as_bytes());
            }),
            own_pid: command
                .own_pid
                .iter()
                .enumerate()
                .map(|(index, name)| PidSlot { string: index, at: name.len() + 1 })
                .collect(),
            environment: StringArray::new(
                own_pids(command).chain(environment(command)),
                |(name, value), out| {
                    out.extend_from_slice(name.as_bytes());
                    out.push(b'=');
                    out.extend_from_slice(value.as_bytes());
                },
            ),
            directory,
        })
    }
}

/// The `PATH` of the service.
pub(super) fn search_path<'a>(command: &Command<'a>) -> &'a str {
    environment(command).find(|(name, _)| *name == "PATH").map_or(DEFAULT_PATH, |(_, value)| value)
}

/// The paths to try for a program, as `execvp(3)` makes them: an empty part of the search path is
/// the working directory.
pub(super) fn candidates(program: &str, search_path: &str) -> Vec<String> {
    if program.contains('/') || program.is_empty() {
        return vec![program.to_owned()];
    }
    search_path
        .split(':')
        .map(|directory| match directory {
            "" => program.to_owned(),
            directory => format!("{directory}/{program}"),
        })
        .collect()
}

/// The environment: the service's, then what the start adds, none twice, and none of those that the
/// child fills in.
fn environment<'a>(command: &Command<'a>) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let (added, own_pid) = (command.environment, command.own_pid);
    let is_added = move |name: &str| added.iter().any(|(added, _)| *added == name);
    command
        .context
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(move |(name, _)| !is_added(name))
        .chain(added.iter().map(|(name, value)| (*name, value.as_str())))
        .filter(move |(name, _)| !own_pid.contains(name))
}

/// The variables that the child fills in, with room for any pid.
fn own_pids<'a>(command: &Command<'a>) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    command.own_pid.iter().map(|name| (*name, ROOM_FOR_PID))
}

/// As many digits as the greatest pid could have.
const ROOM_FOR_PID: &str = "0000000000";

/// A place for a pid in a [`StringArray`].
#[derive(Clone, Copy, Debug)]
pub(super) struct PidSlot {
    /// Index of the string.
    string: usize,
    /// Where in it the number begins.
    at: usize,
}

/// Strings in one buffer, with the array of pointers to them that ends in a null pointer.
#[derive(Debug)]
pub(super) struct StringArray {
    /// What the pointers point into.
    bytes: Vec<Cell<u8>>,
    /// Where in it each string begins.
    starts: Vec<usize>,
    pointers: Vec<*const c_char>,
}

impl StringArray {
    /// Each item is written by `write`, without NUL bytes.
    fn new<T>(items: impl IntoIterator<Item = T>, write: impl Fn(T, &mut Vec<u8>)) -> Self {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for item in items {
            starts.push(bytes.len());
            write(item, &mut bytes);
            bytes.push(0);
        }
        let bytes: Vec<Cell<u8>> = bytes.into_iter().map(Cell::new).collect();
        let base = bytes.as_ptr().cast::<c_char>();
        let pointers = starts.iter().map(|start| base.wrapping_add(*start));
        Self { pointers: pointers.chain([ptr::null()]).collect(), starts, bytes }
    }

    /// Writes a pid where room was left for it, without zeroes in front: to some who read it those
    /// would make it octal. Neither allocates nor panics: called in the child.
    pub(super) fn write_pid(&self, slot: PidSlot, pid: u32) {
        let Some(start) = self.starts.get(slot.string) else { return };
        let digits = pid.checked_ilog10().unwrap_or(0);
        let place =
            |index: u32| self.bytes.get(start.wrapping_add(slot.at).wrapping_add(index as usize));
        let mut rest = pid;
        for index in (0..=digits).rev() {
            if let Some(byte) = place(index) {
                // The remainder of ten is a digit.
                byte.set(b'0'.wrapping_add((rest % 10) as u8));
            }
            rest /= 10;
        }
        // The string ends here; after ten digits it does anyway.
        if let Some(byte) = place(digits.wrapping_add(1)) {
            byte.set(0);
        }
    }

    /// The array for `execve(2)`.
    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }

    /// The strings, without the null pointer at the end.
    pub(super) fn strings(&self) -> &[*const c_char] {
        self.pointers.split_last().map_or(&[], |(_, strings)| strings)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::{PidSlot, ROOM_FOR_PID, StringArray, candidates};

    #[test]
    fn a_pid_of_any_length_fits_its_slot() {
        let strings = || {
            StringArray::new(["A", "PID", "B"], |name, out| {
                out.extend_from_slice(format!("{name}={ROOM_FOR_PID}").as_bytes());
            })
        };
        for pid in [1, 9, 10, 4_194_304, 2_147_483_647, u32::MAX] {
            let strings = strings();
            strings.write_pid(PidSlot { string: 1, at: 4 }, pid);
            let bytes: Vec<u8> = strings.bytes.iter().map(std::cell::Cell::get).collect();
            let read = |index: usize| {
                let string = CStr::from_bytes_until_nul(&bytes[strings.starts[index]..]);
                string.expect("a NUL byte").to_str().expect("digits").to_owned()
            };
            assert_eq!(read(0), format!("A={ROOM_FOR_PID}"));
            assert_eq!(read(1), format!("PID={pid}"));
            assert_eq!(read(2), format!("B={ROOM_FOR_PID}"));
        }
    }

    #[test]
    fn a_plain_name_is_tried_in_every_directory_of_the_path() {
        assert_eq!(candidates("x", "/a:/b"), ["/a/x", "/b/x"]);
        assert_eq!(candidates("x", "/a::b"), ["/a/x", "x", "b/x"]);
        assert_eq!(candidates("x", ""), ["x"]);
        assert_eq!(candidates("./x", "/a"), ["./x"]);
        assert_eq!(candidates("/x", "/a"), ["/x"]);
        assert_eq!(candidates("", "/a"), [""]);
    }
}
