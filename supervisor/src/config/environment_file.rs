//! `environment-files`: KEY=value files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::decode::Decoder;
use super::tree::Node;
use super::value::Bad;

/// No such file is larger; a device that never ends is not read for ever.
const LARGEST_FILE: u64 = 1 << 20;

/// Environment files, read once however many services have them.
#[derive(Debug, Default)]
pub(super) struct EnvironmentFiles(RefCell<BTreeMap<PathBuf, Rc<ReadFile>>>);

type ReadFile = Result<BTreeMap<String, String>, FileFault>;

#[derive(Debug)]
enum FileFault {
    Missing(String),
    Unreadable(String),
    /// The line, from 1, and what is wrong. What stands there may be secret and is not shown.
    Line(usize, &'static str),
}

impl EnvironmentFiles {
    /// Reads the files of an `environment-files` list; the later ones win.
    pub(super) fn read(
        &self,
        node: &Node,
        base: &Path,
        decoder: &Decoder<'_>,
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for item in decoder.list(node).unwrap_or_default() {
            let place = item.place;
            let Some(name) = decoder.string(item) else {
                continue;
            };
            let (optional, name) = match name.strip_prefix('-') {
                Some(name) => (true, name),
                None => (false, name.as_str()),
            };
            if name.is_empty() {
                decoder.bad::<()>(place, Bad::new("a path must not be empty").hint("name a file"));
                continue;
            }
            let path = base.join(name);
            let file = Rc::clone(
                self.0.borrow_mut().entry(path).or_insert_with_key(|path| Rc::new(read(path))),
            );
            let bad = match &*file {
                Ok(pairs) => {
                    all.extend(pairs.iter().map(|(name, value)| (name.clone(), value.clone())));
                    continue;
                }
                Err(FileFault::Missing(_)) if optional => continue,
                Err(FileFault::Missing(error)) => {
                    Bad::new(format!("cannot read the environment file {name}: {error}"))
                        .hint(format!("if it may be missing, write \"-{name}\""))
                }
                Err(FileFault::Unreadable(error)) => {
                    Bad::new(format!("cannot read the environment file {name}: {error}"))
                        .hint("it is a file of KEY=value lines")
                }
                Err(FileFault::Line(line, what)) => Bad::new(format!("{name}:{line}: {what}"))
                    .hint("each line is KEY=value, empty or a comment with `#`"),
            };
            decoder.bad::<()>(place, bad);
        }
        all
    }
}

fn read(path: &Path) -> ReadFile {
    let mut text = String::new();
    let result =
        File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text));
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(FileFault::Missing(error.to_string()))
        }
        Err(error) => Err(FileFault::Unreadable(error.to_string())),
        Ok(length) if length as u64 > LARGEST_FILE => {
            Err(FileFault::Unreadable("larger than 1 MiB".to_owned()))
        }
        Ok(_) => parse(&text).map_err(|(line, what)| FileFault::Line(line, what)),
    }
}

/// `KEY=value` lines as `EnvironmentFile=` of `systemd.exec(5)` has them, but a value cannot go on
/// in the next line.
fn parse(text: &str) -> Result<BTreeMap<String, String>, (usize, &'static str)> {
    let mut pairs = BTreeMap::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or((number, "there is no `=`"))?;
        let name = name.trim_end();
        let proper = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(proper) {
            return Err((number, "the name of a variable is letters, digits and `_`"));
        }
        let value = unquote(value.trim_start()).map_err(|what| (number, what))?;
        if value.contains('\0') {
            return Err((number, "a value must not contain NUL"));
        }
        pairs.insert(name.to_owned(), value);
    }
    Ok(pairs)
}

/// Takes the quotes away, and within double quotes the backslashes.
fn unquote(value: &str) -> Result<String, &'static str> {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Ok(value.to_owned());
    };
    let mut unquoted = String::new();
    let mut chars = value[1..].chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quote == '"' => {
                let escaped = chars.next().ok_or("the quote is never closed")?;
                if !matches!(escaped, '"' | '\\' | '$' | '`') {
                    unquoted.push('\\');
                }
                unquoted.push(escaped);
            }
            c if c == quote && chars.as_str().is_empty() => return Ok(unquoted),
            c if c == quote => return Err("there is text behind the closing quote"),
            c => unquoted.push(c),
        }
    }
    Err("the quote is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files_are_read_as_systemd_does() {
        let text = "# c\n; c\n\nA=1\nB = two words \nC=\"a\\\"b $x\" \nD='a\\b'\nE=\nF=a=b#c\r\n";
        let pairs = parse(text).expect("it is right");
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "a\"b $x"),
            ("D", "a\\b"),
            ("E", ""),
            ("F", "a=b#c"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs, BTreeMap::from(expected));
    }

    #[test]
    fn a_wrong_line_is_told_by_its_number() {
        for text in ["\nfoo", "\nA B=1", "\n=1", "\nA=\"x", "\nA='x' y", "\nA=\0"] {
            assert_eq!(parse(text).expect_err(text).0, 2, "{text}");
        }
    }
}
