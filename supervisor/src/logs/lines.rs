//! Where a line ends: at its newline, or where it has become too long.
//!
//! A line of more than `max_line` bytes is split into pieces of `max_line` bytes and a rest. The
//! pieces do not depend on how the bytes arrive, because text is passed on only up to such an end.

/// One line or one piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Without its newline.
    pub(super) text: &'a [u8],
    /// Whether a newline ended it.
    pub(super) ended: bool,
}

/// The lines of a text that begins at the begin of a line or piece.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    max_line: usize,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(text: &'a [u8], max_line: usize) -> Self {
        Self { rest: text, max_line }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        // The newline of the longest line that is not split stands at `max_line`.
        let window = self.rest.get(..=self.max_line).unwrap_or(self.rest);
        let newline = memchr::memchr(b'\n', window);
        let (text, rest) = self.rest.split_at(newline.unwrap_or(window.len().min(self.max_line)));
        self.rest = if newline.is_some() { rest.get(1..).unwrap_or_default() } else { rest };
        Some(Line { text, ended: newline.is_some() })
    }
}

/// How much of `text`, which begins at the begin of a line or piece, is complete lines and pieces.
/// The first `searched` bytes are known to have no newline. What is left is a begun line of at
/// most `max_line` bytes.
pub(super) fn complete(text: &[u8], searched: usize, max_line: usize) -> usize {
    let fresh = text.get(searched..).unwrap_or_default();
    let lines = memchr::memrchr(b'\n', fresh).map_or(0, |newline| searched + newline + 1);
    let begun = text.len() - lines;
    if begun > max_line { lines + (begun - 1) / max_line * max_line } else { lines }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &[u8], max_line: usize) -> Vec<(Vec<u8>, bool)> {
        Lines::new(text, max_line).map(|line| (line.text.to_vec(), line.ended)).collect()
    }

    #[test]
    fn a_line_is_split_only_when_it_is_longer() {
        assert_eq!(split(b"abc\n", 3), [(b"abc".to_vec(), true)]);
        assert_eq!(split(b"abcd\n", 3), [(b"abc".to_vec(), false), (b"d".to_vec(), true)]);
        assert_eq!(split(b"\n\na", 3), [(vec![], true), (vec![], true), (b"a".to_vec(), false)]);
        assert_eq!(split(b"", 3), []);
    }

    #[test]
    fn begun_lines_are_kept() {
        assert_eq!(complete(b"", 0, 3), 0);
        assert_eq!(complete(b"abc", 0, 3), 0);
        assert_eq!(complete(b"abcd", 0, 3), 3);
        assert_eq!(complete(b"abcdefg", 3, 3), 6);
        assert_eq!(complete(b"a\nbcd", 0, 3), 2);
        assert_eq!(complete(b"a\nb\n", 1, 3), 4);
    }

    proptest! {
        #[test]
        fn pieces_do_not_depend_on_how_the_bytes_arrive(
            text in prop::collection::vec(prop::sample::select(b"abc\n".to_vec()), 0..200),
            cuts in prop::collection::vec(1_usize..20, 0..100),
            max_line in 1_usize..10,
        ) {
            let mut pieces = Vec::new();
            let mut carry = Vec::new();
            let mut rest = text.as_slice();
            for cut in cuts.into_iter().chain([text.len()]) {
                let (chunk, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                let searched = carry.len();
                carry.extend_from_slice(chunk);
                let ready = complete(&carry, searched, max_line);
                pieces.extend(split(&carry[..ready], max_line));
                carry.drain(..ready);
                prop_assert!(carry.len() <= max_line);
            }
            pieces.extend(split(&carry, max_line));
            prop_assert_eq!(pieces, split(&text, max_line));
        }
    }
}
