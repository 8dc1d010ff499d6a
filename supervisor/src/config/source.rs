//! The texts that the spec was read from, and places in them.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A stretch of text in one of the files of [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    file: u32,
    start: u32,
    end: u32,
}

impl Place {
    /// Bytes from the start of the file. A file is never as long as 4 GiB.
    pub(super) fn new(file: u32, span: &Range<usize>) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { file, start: narrow(span.start), end: narrow(span.end) }
    }

    pub(super) fn file(self) -> u32 {
        self.file
    }

    pub(super) fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// All files that were read, by number.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    /// As it is shown to people: relative if it was given so.
    shown: PathBuf,
    /// As it is opened.
    path: PathBuf,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Sources {
    pub(super) fn add(&mut self, shown: PathBuf, path: PathBuf, text: String) -> u32 {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        self.0.push(Source { shown, path, text, lines });
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// The files as they were opened, in the order in which they were read.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|source| source.path.as_path())
    }

    /// The files as they are opened and as they are shown.
    pub(super) fn path(&self, file: u32) -> Option<(&Path, &Path)> {
        self.0.get(file as usize).map(|source| (source.path.as_path(), source.shown.as_path()))
    }

    /// What stands at the place, as written.
    pub(super) fn text(&self, place: Place) -> &str {
        self.0.get(place.file as usize).and_then(|s| s.text.get(place.span())).unwrap_or_default()
    }

    pub(super) fn locate(&self, place: Place) -> Option<Location> {
        let source = self.0.get(place.file as usize)?;
        let Range { start, end } = place.span();
        let index = source.lines.partition_point(|begin| *begin <= start).checked_sub(1)?;
        let begin = *source.lines.get(index)?;
        let next = source.lines.get(index + 1).copied().unwrap_or(source.text.len());
        let line = source.text.get(begin..next)?.trim_end_matches(['\n', '\r']);
        let before = source.text.get(begin..start)?;
        // The break of the line, which may be what is marked, is not shown.
        let first = (start - begin).min(line.len());
        let mark = first..(end.max(start) - begin).clamp(first, line.len());
        Some(Location {
            file: source.shown.clone(),
            line: index + 1,
            column: before.chars().count() + 1,
            span: start..end,
            text: line.to_owned(),
            mark,
        })
    }

    /// The part of a string value that a range of its decoded text is written as, if the string
    /// has no escapes; else the whole value.
    pub(super) fn part(&self, place: Place, decoded: &str, range: Range<usize>) -> Place {
        let written = self.text(place);
        let quote = if written.starts_with("\"\"\"") || written.starts_with("'''") { 3 } else { 1 };
        let inner = written.len().checked_sub(quote).and_then(|end| written.get(quote..end));
        if inner != Some(decoded) {
            return place;
        }
        let begin = place.span().start + quote;
        Place::new(place.file, &(begin + range.start..begin + range.end))
    }
}

/// A place as people need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, relative if it was given so.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes from the start of the file.
    pub span: Range<usize>,
    /// The line itself.
    pub text: String,
    /// Bytes of the span within that line.
    pub mark: Range<usize>,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_by_line_and_column() {
        let mut sources = Sources::default();
        let file = sources.add("a".into(), "/a".into(), "x = 1\r\nä = \"b\"\n".into());
        let location = sources.locate(Place::new(file, &(10..11))).expect("it is in the file");
        assert_eq!((location.line, location.column), (2, 3));
        assert_eq!(location.text, "ä = \"b\"");
        let end = sources.locate(Place::new(file, &(16..16))).expect("the end is a place");
        assert_eq!((end.line, end.column, end.text.as_str()), (3, 1, ""));
        assert_eq!(sources.locate(Place::new(file, &(17..18))), None);
        assert_eq!(sources.locate(Place::new(7, &(0..0))), None);
    }

    #[test]
    fn a_part_of_a_string_is_found_unless_it_has_escapes() {
        let mut sources = Sources::default();
        let text = r#"a = "one two" b = "one\ttwo""#;
        let file = sources.add("a".into(), "/a".into(), text.into());
        let plain = Place::new(file, &(4..13));
        assert_eq!(sources.text(sources.part(plain, "one two", 4..7)), "two");
        let escaped = Place::new(file, &(18..28));
        assert_eq!(sources.part(escaped, "one\ttwo", 4..7), escaped);
    }
}
