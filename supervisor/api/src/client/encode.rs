//! Paths and queries, percent-encoded (RFC 3986).

/// A path with its query as it grows.
#[derive(Debug)]
pub(super) struct Query {
    text: String,
    begun: bool,
}

impl Query {
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self { text: path.into(), begun: false }
    }

    /// Appends `key=value`; keys are our own words and need no encoding.
    pub(super) fn add(mut self, key: &str, value: &str) -> Self {
        self.text.push(if self.begun { '&' } else { '?' });
        self.begun = true;
        self.text.push_str(key);
        self.text.push('=');
        self.text.push_str(&encode(value));
        self
    }

    pub(super) fn add_some(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.add(key, value),
            None => self,
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Encodes every byte that is not unreserved, so that the result is one path segment or value.
pub(super) fn encode(text: &str) -> String {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_unreserved_bytes_is_encoded() {
        assert_eq!(encode("web-1_a.b~"), "web-1_a.b~");
        assert_eq!(encode("a/b?c=d&e%f g@1:é"), "a%2Fb%3Fc%3Dd%26e%25f%20g%401%3A%C3%A9");
        assert_eq!(encode("."), ".");
        assert_eq!(encode(""), "");
    }

    #[test]
    fn a_query_joins_what_there_is() {
        assert_eq!(Query::new("/p").finish(), "/p");
        assert_eq!(Query::new("/p").add_some("a", None).add("b", "x*").finish(), "/p?b=x%2A");
        assert_eq!(Query::new("/p").add("a", "1").add("a", "2").finish(), "/p?a=1&a=2");
    }
}
