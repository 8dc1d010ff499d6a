//! Query strings and percent-encoding (RFC 3986; in queries `+` is a space, as forms write it).

use std::str::FromStr;
use std::time::Duration;

use crate::config;

/// Why a query or a path cannot be used; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The path takes no such parameter.
    #[error("unknown query parameter \"{0}\"")]
    Unknown(String),
    /// A parameter is there more than once.
    #[error("query parameter \"{0}\" is given twice")]
    Twice(String),
    /// A parameter has a value that it cannot have.
    #[error("query parameter \"{name}\" cannot be \"{value}\", it is {wanted}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What it was given.
        value: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("bad percent-encoding in \"{0}\"")]
    Encoding(String),
}

/// What a parameter with a duration is.
const DURATION: &str = r#"a duration like "500ms", "30s", "1h30m" or "infinity""#;

/// The parameter that names services; several of it mean all of theirs.
const REPEATABLE: &str = "match";

/// The parameters of a request. Each is taken out by name; what is left in the end is unknown.
#[derive(Debug)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    /// Splits and decodes; an absent query has no parameters.
    pub fn parse(query: Option<&str>) -> Result<Self, QueryError> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(&name.replace('+', " "))?;
            if name != REPEATABLE && parameters.iter().any(|(known, _)| *known == name) {
                return Err(QueryError::Twice(name));
            }
            parameters.push((name, decode(&value.replace('+', " "))?));
        }
        Ok(Self { parameters })
    }

    /// All values of the one parameter that may be there more than once, empty ones left out.
    pub fn matches(&mut self) -> Vec<String> {
        let mut values = Vec::new();
        while let Some(value) = self.take(REPEATABLE) {
            values.push(value);
        }
        values.retain(|value| !value.is_empty());
        values
    }

    /// A text; an empty one counts as absent.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).filter(|value| !value.is_empty())
    }

    /// A whole number.
    pub fn number<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, QueryError> {
        self.take(name)
            .map(|value| value.parse().map_err(|_| wrong(name, &value, "a whole number")))
            .transpose()
    }

    /// A switch: `true`, `1` or no value turn it on.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, QueryError> {
        match self.take(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => Err(wrong(name, other, "\"true\" or \"false\"")),
        }
    }

    /// A duration as in the spec; the inner `None` is no limit.
    pub fn duration(&mut self, name: &'static str) -> Result<Option<Option<Duration>>, QueryError> {
        self.take(name)
            .map(|value| config::duration(&value).map_err(|_| wrong(name, &value, DURATION)))
            .transpose()
    }

    /// One word of several, each with what it stands for.
    pub fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
        wanted: &'static str,
    ) -> Result<Option<T>, QueryError> {
        self.text(name)
            .map(|value| {
                let found = words.iter().find(|(word, _)| *word == value);
                found.map(|&(_, meaning)| meaning).ok_or_else(|| wrong(name, &value, wanted))
            })
            .transpose()
    }

    /// Refuses what has not been taken.
    pub fn finish(self) -> Result<(), QueryError> {
        match self.parameters.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(QueryError::Unknown(name)),
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.parameters.iter().position(|(known, _)| known == name)?;
        Some(self.parameters.swap_remove(place).1)
    }
}

/// Replaces each `%XX` by its byte; the result has to be UTF-8.
pub fn decode(text: &str) -> Result<String, QueryError> {
    let bad = || QueryError::Encoding(text.to_owned());
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            hex_pair(bytes.next(), bytes.next()).ok_or_else(bad)?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).map_err(|_| bad())
}

fn hex_pair(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| u8::try_from(char::from(byte?).to_digit(16)?).ok();
    Some(digit(high)? << 4 | digit(low)?)
}

fn wrong(name: &'static str, value: &str, wanted: &'static str) -> QueryError {
    QueryError::Value { name, value: value.to_owned(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_percent_and_plus() {
        let mut query = Query::parse(Some("match=web%401+x&empty=&&bare")).unwrap();
        assert_eq!(query.text("match").as_deref(), Some("web@1 x"));
        assert_eq!(query.text("empty"), None);
        assert_eq!(query.flag("bare"), Ok(true));
        assert_eq!(query.finish(), Ok(()));
        assert_eq!(decode("a+b%2B%c3%A9").as_deref(), Ok("a+b+é"));
    }

    #[test]
    fn refuses_broken_encoding() {
        for text in ["%", "%4", "%zz", "a%4", "%ff", "%+1", "%é"] {
            assert_eq!(decode(text), Err(QueryError::Encoding(text.into())), "{text}");
        }
        assert!(Query::parse(Some("x=%")).is_err());
    }

    #[test]
    fn what_is_not_taken_is_unknown() {
        let query = Query::parse(Some("mtach=web")).unwrap();
        assert_eq!(query.finish(), Err(QueryError::Unknown("mtach".into())));
        assert_eq!(Query::parse(None).unwrap().finish(), Ok(()));
        assert_eq!(Query::parse(Some("")).unwrap().finish(), Ok(()));
    }

    #[test]
    fn several_names_may_be_given() {
        let mut query = Query::parse(Some("match=a&match=&match=b%40*")).unwrap();
        assert_eq!(query.matches(), ["a", "b@*"]);
        assert_eq!(query.finish(), Ok(()));
    }

    #[test]
    fn nothing_else_is_given_twice() {
        let error = Query::parse(Some("a=1&%61=2")).unwrap_err();
        assert_eq!(error, QueryError::Twice("a".into()));
    }

    #[test]
    fn values_have_their_types() {
        let parse = |text| Query::parse(Some(text)).unwrap();
        assert_eq!(parse("since=7").number("since"), Ok(Some(7_u64)));
        assert_eq!(parse("x=7").number::<u64>("since"), Ok(None));
        assert!(parse("since=-1").number::<u64>("since").is_err());
        assert!(parse("since=").number::<u64>("since").is_err());
        assert_eq!(parse("follow=false").flag("follow"), Ok(false));
        assert!(parse("follow=maybe").flag("follow").is_err());
        let second = Duration::from_secs(1);
        assert_eq!(parse("wait=1s").duration("wait"), Ok(Some(Some(second))));
        assert!(parse("wait=1").duration("wait").is_err());
        let words = [("on", 1), ("off", 0)];
        assert_eq!(parse("x=off").one_of("x", &words, "on or off"), Ok(Some(0)));
        let error = parse("x=of").one_of("x", &words, "on or off").unwrap_err();
        assert_eq!(error.to_string(), "query parameter \"x\" cannot be \"of\", it is on or off");
    }
}
