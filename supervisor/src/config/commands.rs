//! `condition`, `pre-start`, `post-start`, `post-stop`, and `command` where it is several: lists of
//! commands.

use supervisor_engine::{Commands, Failure, Kind};

use super::fault::Draft;
use super::reader::Reader;
use super::tree::{Node, Value};
use super::value::Bad;
use super::{Argv, ListedCommands};

/// In front of a command: its failure does not count.
const MAY_FAIL: &str = "-";

/// A list of commands with what their failure means.
type List = Vec<(Argv, Failure)>;

/// The main command, and the further ones of a oneshot that has several.
#[derive(Debug, Default)]
pub(super) struct Main {
    pub(super) first: Option<Argv>,
    pub(super) further: Vec<Argv>,
    pub(super) failures: Vec<Failure>,
}

/// Reads `command`: one, or a list of lists.
pub(super) fn main(reader: &Reader<'_>) -> Main {
    let Some(node) = reader.node("command") else { return Main::default() };
    if !is_several(node) {
        return Main { first: reader.decoder.command(node), ..Main::default() };
    }
    let (mut argvs, failures): (Vec<Argv>, Vec<Failure>) = list(reader, node).into_iter().unzip();
    if argvs.is_empty() {
        return Main::default();
    }
    let first = Some(argvs.remove(0));
    Main { first, further: argvs, failures }
}

/// Several commands are for what ends by itself.
pub(super) fn check_main(reader: &Reader<'_>, kind: Kind) {
    let several = |node: &&Node| is_several(node) && kind != Kind::Oneshot;
    if let Some(node) = reader.node("command").filter(several) {
        let bad = Bad::new("only a oneshot has several commands");
        let hint = r#"write type = "oneshot", or run the others by `pre-start` or `post-start`"#;
        reader.decoder.bad::<()>(node.place, bad.hint(hint));
    }
}

/// Reads the lists around the main process; what the engine knows goes to `commands`.
pub(super) fn around(reader: &Reader<'_>, commands: &mut Commands) -> ListedCommands {
    let read = |key| {
        let list = reader.node(key).map(|node| list(reader, node)).unwrap_or_default();
        list.into_iter().unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let mut listed = ListedCommands::default();
    (listed.condition, commands.condition) = read("condition");
    (listed.pre_start, commands.pre_start) = read("pre-start");
    (listed.post_start, commands.post_start) = read("post-start");
    (listed.post_stop, commands.post_stop) = read("post-stop");
    listed
}

/// Whether a list contains a list.
fn is_several(node: &Node) -> bool {
    match &node.value {
        Value::Array(items) => items.iter().any(|item| matches!(item.value, Value::Array(_))),
        Value::String(_)
        | Value::Integer(..)
        | Value::Float(..)
        | Value::Boolean(_)
        | Value::Datetime
        | Value::Table(_) => false,
    }
}

fn list(reader: &Reader<'_>, node: &Node) -> List {
    let decoder = &reader.decoder;
    let Value::Array(items) = &node.value else {
        let written = decoder.sources.text(node.place);
        let hint = if written.len() < 100 && !written.contains('\n') {
            format!("write [{written}]")
        } else {
            r#"write [["program", "argument"], "program argument"]"#.to_owned()
        };
        decoder.wrong_type::<()>(node, "a list of commands", Some(hint));
        return List::new();
    };
    // ["program", "argument"] would be two commands.
    let words: Option<Vec<&str>> = items.iter().map(|item| item.value.as_str()).collect();
    let option = |word: &&str| word.starts_with(MAY_FAIL);
    if let Some([first, rest @ ..]) = words.as_deref()
        && (*first == MAY_FAIL || rest.iter().any(option))
    {
        let message = "this is a list of commands, each of them a list or a string";
        let hint = format!("write [{}]", decoder.sources.text(node.place));
        decoder.faults.add(Draft::new(node.place, message).hint(hint));
        return List::new();
    }
    items.iter().filter_map(|item| command(reader, item)).collect()
}

fn command(reader: &Reader<'_>, node: &Node) -> Option<(Argv, Failure)> {
    let mut argv = reader.decoder.command(node)?;
    if argv[0] != MAY_FAIL {
        return Some((argv, Failure::Counts));
    }
    argv.remove(0);
    if argv.first().is_none_or(String::is_empty) {
        let bad = Bad::new("there is no command after the `-`");
        let hint = r#"write ["-", "program", "argument"]"#;
        return reader.decoder.bad(node.place, bad.hint(hint));
    }
    Some((argv, Failure::IsIgnored))
}
