//! Where the end of a file or console stands, so that no source continues another's line.

use super::source::SourceId;

/// What a sink that several sources write into ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A newline, or nothing at all.
    LineStart,
    /// A piece of a line, which this source may continue.
    Within(SourceId),
    /// A piece of a line that nobody will continue.
    Torn,
}

impl Place {
    /// Whether text of the source goes on with the line that the sink ends with.
    pub(super) fn continues(self, source: SourceId) -> bool {
        self == Self::Within(source)
    }

    /// Whether a newline must come before text of the source.
    pub(super) fn needs_newline(self, source: SourceId) -> bool {
        self != Self::LineStart && !self.continues(source)
    }

    /// Where the sink stands behind text of the source.
    pub(super) fn after(self, source: SourceId, text: &[u8]) -> Self {
        match text.last() {
            None => self,
            Some(b'\n') => Self::LineStart,
            Some(_) => Self::Within(source),
        }
    }

    /// The source has no more to say in this line.
    pub(super) fn abandon(&mut self, source: SourceId) {
        if self.continues(source) {
            *self = Self::Torn;
        }
    }
}
