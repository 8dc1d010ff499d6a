//! What a line of output is compared with.

use std::sync::Arc;

use regex_lite::Regex;

/// A regular expression that lines of output may match.
#[derive(Clone, Debug)]
pub struct LinePattern(Arc<Regex>);

impl LinePattern {
    /// Reads the syntax of the crate `regex-lite`.
    pub(crate) fn new(text: &str) -> Result<Self, regex_lite::Error> {
        Regex::new(text).map(|regex| Self(Arc::new(regex)))
    }

    /// Whether some part of the line, which has no newline, matches. What is not UTF-8 in it counts
    /// as U+FFFD.
    pub fn matches(&self, line: &[u8]) -> bool {
        self.0.is_match(&String::from_utf8_lossy(line))
    }
}

impl PartialEq for LinePattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for LinePattern {}

#[cfg(test)]
mod tests {
    use super::LinePattern;

    #[test]
    fn a_part_of_the_line_may_match() {
        let pattern = LinePattern::new("^ready .*[0-9]+$|\u{fffd}").expect("a pattern");
        assert!(pattern.matches(b"ready on port 80") && pattern.matches(b"\xff"));
        assert!(!pattern.matches(b"not ready on port 80") && !pattern.matches(b""));
        assert!(LinePattern::new("(").is_err());
    }
}
