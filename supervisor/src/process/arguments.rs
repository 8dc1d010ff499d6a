//! Arguments, environment and paths as `execve(2)` takes them.

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
            environment: StringArray::new(environment(command), |(name, value), out| {
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                out.extend_from_slice(value.as_bytes());
            }),
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

/// The environment: the service's, then what the start adds, none twice.
fn environment<'a>(command: &Command<'a>) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let added = command.environment;
    let is_added = move |name: &str| added.iter().any(|(added, _)| *added == name);
    command
        .context
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(move |(name, _)| !is_added(name))
        .chain(added.iter().map(|(name, value)| (*name, value.as_str())))
}

/// Strings in one buffer, with the array of pointers to them that ends in a null pointer.
#[derive(Debug)]
pub(super) struct StringArray {
    /// What the pointers point into; never touched again.
    _bytes: Vec<u8>,
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
        let base = bytes.as_ptr().cast::<c_char>();
        let pointers = starts.into_iter().map(|start| base.wrapping_add(start));
        Self { pointers: pointers.chain([ptr::null()]).collect(), _bytes: bytes }
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
    use super::candidates;

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
