//! Reads the files of a spec: the first, what it includes, and what overrides them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use supervisor_api::pattern::is_pattern;
use toml::de::DeTable;

use super::fault::{Draft, Faults};
use super::glob;
use super::source::{Location, Place, Sources};
use super::tree::{Table, Value};

/// No spec is that large; a device that never ends is not read for ever.
const LARGEST: u64 = 64 << 20;
/// No reasonable spec includes deeper, and the stack has an end.
const DEEPEST: usize = 64;

/// What the files say, each with its overrides applied, in the order in which they were read.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) sources: Sources,
    pub(super) tables: Vec<Table>,
    /// Whether a file has a syntax error or cannot be read, so that things may be missing.
    pub(super) incomplete: bool,
}

impl Documents {
    /// Reads a file, or every `*.toml` of a directory.
    pub(super) fn read(directory: &Path, path: &Path, faults: &Faults) -> Self {
        let mut reader = FileReader {
            directory,
            faults,
            documents: Self::default(),
            open: Vec::new(),
            done: BTreeSet::new(),
        };
        if directory.join(path).is_dir() {
            match glob::expand(&directory.join(path), "*.toml") {
                // Rather the wrong directory than a spec of nothing.
                Ok(found) if found.is_empty() => {
                    reader.unreadable(path, "the directory has no *.toml", None);
                }
                Ok(found) => {
                    for file in found {
                        let shown =
                            file.file_name().map_or_else(|| file.clone(), |name| path.join(name));
                        reader.file(&shown, None);
                    }
                }
                Err(error) => reader.unreadable(path, &error.to_string(), None),
            }
        } else {
            reader.file(path, None);
        }
        reader.documents
    }
}

struct FileReader<'a> {
    directory: &'a Path,
    faults: &'a Faults,
    documents: Documents,
    /// The files whose includes are being read.
    open: Vec<PathBuf>,
    /// All files that have been read.
    done: BTreeSet<PathBuf>,
}

impl FileReader<'_> {
    /// Reads a file with all that belongs to it. `from` is the place that includes it.
    fn file(&mut self, shown: &Path, from: Option<Place>) {
        let path = self.directory.join(shown);
        let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
        if self.open.contains(&identity) || self.open.len() >= DEEPEST {
            self.documents.incomplete = true;
            let mut chain: Vec<_> = self.open.iter().skip_while(|p| **p != identity).collect();
            chain.push(&identity);
            let names: Vec<_> = chain
                .iter()
                .map(|path| path.file_name().unwrap_or_default().to_string_lossy())
                .collect();
            let message = if self.open.contains(&identity) {
                format!("the include goes in a circle: {}", names.join(" → "))
            } else {
                format!("includes are nested deeper than {DEEPEST}")
            };
            self.add(message, "take one of the includes away", from);
            return;
        }
        if !self.done.insert(identity.clone()) {
            return;
        }
        let Some(mut table) = self.parse(shown, from) else {
            return;
        };
        let mut drop_ins = OsString::from(&path);
        drop_ins.push(".d");
        match glob::expand(Path::new(&drop_ins), "*.toml") {
            Ok(found) => {
                for file in found {
                    let mut below = OsString::from(shown);
                    below.push(".d");
                    let shown = Path::new(&below).join(file.file_name().unwrap_or_default());
                    if let Some(override_) = self.parse(&shown, None) {
                        table.overridden_by(override_);
                    }
                }
            }
            Err(error) => self.unreadable(Path::new(&drop_ins), &error.to_string(), None),
        }
        let includes = table.entries.remove("include");
        self.documents.tables.push(table);
        let Some(includes) = includes else {
            return;
        };
        self.open.push(identity);
        if let Value::Array(items) = &includes.node.value {
            for item in items {
                if let Value::String(pattern) = &item.value {
                    self.include(pattern, item.place);
                } else {
                    let message = format!("expected a string, found {}", item.value.kind());
                    self.add(message, r#"write "FILE" or "DIRECTORY/*.toml""#, Some(item.place));
                }
            }
        } else {
            let message = format!("expected a list, found {}", includes.node.value.kind());
            let fault = Draft::new(includes.node.place, message);
            self.faults.add(fault.hint(r#"write include = ["conf.d/*.toml"]"#));
        }
        self.open.pop();
    }

    /// Reads what a pattern names, relative to the file in which it stands.
    fn include(&mut self, pattern: &str, place: Place) {
        let (base, shown) = match self.documents.sources.path(place.file()) {
            Some((path, shown)) => (parent(path), parent(shown)),
            None => return,
        };
        if pattern.contains("**") {
            let message = "`**` is not supported in an include".to_owned();
            return self.add(message, "write one pattern for each depth: */*.toml", Some(place));
        }
        if !is_pattern(pattern) {
            return self.file(&shown.join(pattern), Some(place));
        }
        let found = match glob::expand(&base, pattern) {
            Ok(found) => found,
            Err(error) => {
                return self.unreadable(&shown.join(pattern), &error.to_string(), Some(place));
            }
        };
        let this = self.open.last().cloned();
        for file in found {
            // A glob that matches its own file means the others.
            if this.is_some() && file.canonicalize().ok() == this {
                continue;
            }
            let relative =
                file.strip_prefix(&base).map_or_else(|_| file.clone(), |f| shown.join(f));
            self.file(&relative, Some(place));
        }
    }

    /// Reads and parses one file.
    fn parse(&mut self, shown: &Path, from: Option<Place>) -> Option<Table> {
        let path = self.directory.join(shown);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(shown, &error.to_string(), from);
                return None;
            }
        };
        let (text, broken) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(at))
            }
        };
        if let Some(at) = broken {
            let file = self.documents.sources.add(shown.to_owned(), path, text);
            let place = Place::new(file, &(at..at + '\u{fffd}'.len_utf8()));
            self.faults.add(Draft::new(place, "the file is not UTF-8").hint("save it as UTF-8"));
            self.documents.incomplete = true;
            return None;
        }
        let (tree, errors) = DeTable::parse_recoverable(&text);
        let file = self.documents.sources.add(shown.to_owned(), path, text.clone());
        let mut last = None;
        for error in errors {
            self.documents.incomplete = true;
            let place = Place::new(file, &error.span().unwrap_or(0..0));
            let location = self.documents.sources.locate(place);
            // What follows on the same line is mostly nothing but its consequence.
            let line = location.as_ref().map(|location| location.line);
            if line.is_none() || last.replace(line) != Some(line) {
                let hint = location.as_ref().and_then(|at| syntax_hint(error.message(), at));
                self.faults.add(Draft::new(place, error.message()).maybe_hint(hint));
            }
        }
        Some(Table::new(file, tree.get_ref(), self.faults))
    }

    fn unreadable(&mut self, shown: &Path, error: &str, from: Option<Place>) {
        self.documents.incomplete = true;
        let hint = if from.is_some() {
            "a pattern may match nothing, but what it matches and a plain name must be readable"
        } else {
            "a spec that cannot be read is never taken for an empty one"
        };
        self.add(format!("cannot read {}: {error}", shown.display()), hint, from);
    }

    fn add(&self, message: String, hint: &str, place: Option<Place>) {
        let fault = match place {
            Some(place) => Draft::new(place, message),
            None => Draft::placeless(message),
        };
        self.faults.add(fault.hint(hint));
    }
}

/// The bytes of a file that is not too large.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
    }
    Ok(bytes)
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

fn syntax_hint(message: &str, at: &Location) -> Option<String> {
    let written = at.text.get(at.mark.clone())?;
    if message.starts_with("string values must be quoted") {
        return Some(format!("write \"{written}\""));
    }
    (message == "duplicate key").then(|| "a key and a table can be set only once in a file".into())
}
