//! The words after the options, joined with spaces and split again as Supervisor does:
//! `supervisorctl "signal HUP" web` and `supervisorctl "status a b"` work, and tools rely on it.

use std::ffi::OsString;

/// Options in front of the verb that take the next word as their value. A test keeps this equal
/// to what [`Globals`](crate::args::Globals) says.
pub(crate) const SHORT_WITH_VALUE: &str = "csoup";
/// The long ones.
pub(crate) const LONG_WITH_VALUE: [&str; 6] =
    ["--color", "--config", "--output", "--password", "--server", "--user"];

/// Verbs whose words are values that may hold spaces: paths, `STATUS=` texts.
const WHOLE: [&str; 2] = ["check", "notify"];

/// Splits the words behind the leading options at white space.
pub(crate) fn rejoin(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut out = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        if text.len() > 1 && text.starts_with('-') {
            let takes_value = takes_next(text);
            out.push(argument);
            out.extend(takes_value.then(|| arguments.next()).flatten());
        } else if WHOLE.contains(&text) {
            out.push(argument);
            break;
        } else {
            split(argument, &mut out);
            for rest in arguments.by_ref() {
                split(rest, &mut out);
            }
        }
    }
    out.extend(arguments);
    out
}

/// The words behind the leading options.
pub(crate) fn behind_options(arguments: &[OsString]) -> impl Iterator<Item = &OsString> {
    let mut value_follows = false;
    arguments.iter().skip_while(move |argument| {
        let text = argument.to_str().unwrap_or_default();
        let is_value = std::mem::take(&mut value_follows);
        let is_option = text.len() > 1 && text.starts_with('-');
        value_follows = !is_value && is_option && takes_next(text);
        is_value || is_option
    })
}

/// Whether the value of this option is the next word: `-s URL`, `-qs URL`, `--server URL`, but
/// not `-sURL` nor `--server=URL`.
fn takes_next(option: &str) -> bool {
    match option.strip_prefix("--") {
        Some(_) => LONG_WITH_VALUE.contains(&option),
        None => option.find(|letter| SHORT_WITH_VALUE.contains(letter)) == Some(option.len() - 1),
    }
}

/// A word that is not UTF-8 stays whole.
fn split(argument: OsString, out: &mut Vec<OsString>) {
    match argument.to_str() {
        Some(text) => out.extend(text.split_whitespace().map(OsString::from)),
        None => out.push(argument),
    }
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, CommandFactory as _};

    use super::*;

    fn rejoined(arguments: &[&str]) -> Vec<String> {
        rejoin(arguments.iter().map(OsString::from).collect())
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect()
    }

    #[test]
    fn words_behind_the_options_are_split_again() {
        assert_eq!(rejoined(&["signal HUP", "web"]), ["signal", "HUP", "web"]);
        assert_eq!(rejoined(&["status a b"]), ["status", "a", "b"]);
        assert_eq!(
            rejoined(&["-q", "-s", "a b", "start  x\t", "y z"])[2..],
            ["a b", "start", "x", "y", "z"]
        );
        assert_eq!(rejoined(&["-qs", "a b", "stop x"]), ["-qs", "a b", "stop", "x"]);
        assert_eq!(rejoined(&["-sab", "stop x"]), ["-sab", "stop", "x"]);
        assert_eq!(rejoined(&["--server=a b", "stop x"]), ["--server=a b", "stop", "x"]);
        assert_eq!(rejoined(&["--server", "a b", "stop x"]), ["--server", "a b", "stop", "x"]);
        assert_eq!(
            rejoined(&["stop", "--timeout", "5s", "a b"]),
            ["stop", "--timeout", "5s", "a", "b"]
        );
        assert_eq!(rejoined(&["-s"]), ["-s"]);
        assert_eq!(rejoined(&[]), [""; 0]);
        assert_eq!(rejoined(&["", " "]), [""; 0]);
    }

    #[test]
    fn values_with_spaces_stay_whole() {
        assert_eq!(rejoined(&["notify", "STATUS=a b"]), ["notify", "STATUS=a b"]);
        assert_eq!(rejoined(&["-q", "check", "/a b.toml"]), ["-q", "check", "/a b.toml"]);
        assert_eq!(rejoined(&["start notify", "a b"]), ["start", "notify", "a", "b"]);
    }

    #[test]
    fn the_options_with_values_are_those_of_the_command_line() {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        let command = crate::args::Cli::command();
        for option in command.get_arguments().filter(|option| {
            option.is_global_set() && matches!(option.get_action(), ArgAction::Set)
        }) {
            short.extend(option.get_short());
            long.extend(option.get_long().map(|long| format!("--{long}")));
        }
        let mut expected: Vec<char> = SHORT_WITH_VALUE.chars().collect();
        expected.sort_unstable();
        short.sort_unstable();
        long.sort_unstable();
        assert_eq!((short, long), (expected, LONG_WITH_VALUE.map(String::from).to_vec()));
    }
}
