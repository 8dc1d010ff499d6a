//! `${NAME}` and `${NAME:-default}` in the strings of a service.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::value::Bad;
use crate::suggest;

/// What the variables of one service stand for.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// `SERVICE`, `INSTANCE`, `SPEC_DIR`, `RUNTIME_DIR`: always first.
    pub(super) builtins: &'a BTreeMap<&'static str, String>,
    /// Then these, the first that has the name.
    pub(super) layers: Vec<&'a BTreeMap<String, String>>,
    /// What is set beside, and cannot be used in a value of the same `environment`.
    pub(super) beside: Option<&'a BTreeMap<String, String>>,
    /// Whether an undefined variable is a fault. Defaults are also read without a service, only to
    /// be checked, and then nobody knows what it will be.
    pub(super) strict: bool,
}

/// Why a string cannot be expanded, and which part of it is to blame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExpandFault {
    pub(super) bad: Bad,
    pub(super) range: Range<usize>,
    /// Whether it is only that a variable is not defined.
    pub(super) undefined: bool,
}

impl Scope<'_> {
    /// Expands a text once: what comes out of a variable is not looked at again.
    pub(super) fn expand(&self, text: &str) -> Result<String, ExpandFault> {
        let mut expanded = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(dollar) = text[at..].find('$').map(|offset| at + offset) {
            expanded.push_str(&text[at..dollar]);
            let rest = &text[dollar + 1..];
            if rest.starts_with('$') {
                expanded.push('$');
                at = dollar + 2;
            } else if let Some(rest) = rest.strip_prefix('{') {
                let Some(length) = rest.find('}') else {
                    let bad = Bad::new("`${` is never closed").hint("for a `$` itself write `$$`");
                    return Err(ExpandFault { bad, range: dollar..text.len(), undefined: false });
                };
                at = dollar + 2 + length + 1;
                let range = dollar..at;
                let value = self
                    .variable(&rest[..length])
                    .map_err(|(bad, undefined)| ExpandFault { bad, range, undefined })?;
                expanded.push_str(&value);
            } else {
                expanded.push('$');
                at = dollar + 1;
            }
        }
        expanded.push_str(&text[at..]);
        Ok(expanded)
    }

    /// The value of what stands between the braces; or what is wrong, and whether it is only that
    /// the variable is not defined.
    fn variable(&self, inner: &str) -> Result<Cow<'_, str>, (Bad, bool)> {
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = inner.split_at(end.unwrap_or(inner.len()));
        let default = rest.strip_prefix(":-");
        let proper = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !proper || (default.is_none() && !rest.is_empty()) {
            let bad = Bad::new(format!("`${{{inner}}}` is not a variable"));
            let hint = "write `${NAME}` or `${NAME:-default}`, and `$$` for a `$`";
            return Err((bad.hint(hint), false));
        }
        if default.is_some_and(|default| default.contains("${")) {
            let bad = Bad::new("a default must not contain a variable");
            return Err((bad.hint("give the variable its default in `environment`"), false));
        }
        match (self.lookup(name), default) {
            (Some(value), None) => Ok(value.into()),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value.into()),
            (_, Some(default)) => Ok(default.replace("$$", "$").into()),
            (None, None) => {
                let bad = Bad::new(format!("`{name}` is not defined"));
                Err((bad.hint(self.hint(name)), true))
            }
        }
    }

    fn lookup(&self, name: &str) -> Option<&str> {
        let builtin = self.builtins.get(name);
        let value = builtin.or_else(|| self.layers.iter().find_map(|layer| layer.get(name)));
        value.map(String::as_str)
    }

    fn hint(&self, name: &str) -> String {
        if name == "INSTANCE" {
            return "only a service with `instances` has `INSTANCE`".to_owned();
        }
        if self.beside.is_some_and(|beside| beside.contains_key(name)) {
            return "the values of one `environment` do not see each other".to_owned();
        }
        let builtins = self.builtins.keys().copied();
        let others = self.layers.iter().flat_map(|layer| layer.keys().map(String::as_str));
        suggest::nearest(name, builtins.chain(others)).map_or_else(
            || format!("set it in `environment`, or write `${{{name}:-default}}`"),
            |meant| format!("did you mean `${{{meant}}}`?"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expand(text: &str) -> Result<String, ExpandFault> {
        let builtins = BTreeMap::from([("SERVICE", "web".to_owned())]);
        let layer = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let own = layer(&[("A", "own"), ("EMPTY", ""), ("SERVICE", "x"), ("TWICE", "${A}")]);
        let daemon = layer(&[("A", "daemon"), ("HOME", "/root")]);
        Scope { builtins: &builtins, layers: vec![&own, &daemon], beside: None, strict: true }
            .expand(text)
    }

    #[test]
    fn variables_are_replaced_once() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("${A}-${HOME}", "own-/root"),
            ("${SERVICE}", "web"),
            ("${TWICE}", "${A}"),
            ("${NONE:-d}${NONE:-}", "d"),
            ("${EMPTY:-d}${EMPTY}", "d"),
            ("${NONE:-a:-b$$}", "a:-b$"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("$$$$x", "$$x"),
            ("end$", "end$"),
            ("$A costs $5", "$A costs $5"),
            ("ä${A}ä", "äownä"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_range() {
        for (text, range, message, hint) in [
            ("a ${NONE} b", 2..9, "`NONE` is not defined", "${NONE:-default}"),
            ("${HOMF}", 0..7, "`HOMF` is not defined", "did you mean `${HOME}`"),
            ("${INSTANCE}", 0..11, "`INSTANCE` is not defined", "instances"),
            ("x${A", 1..4, "`${` is never closed", "$$"),
            ("${}", 0..3, "`${}` is not a variable", "${NAME}"),
            ("${A-b}", 0..6, "`${A-b}` is not a variable", "${NAME:-default}"),
            ("${1}", 0..4, "`${1}` is not a variable", "${NAME}"),
            ("${A:-${B}}", 0..9, "a default must not contain a variable", "environment"),
        ] {
            let fault = expand(text).expect_err(text);
            assert_eq!((fault.range, fault.bad.message.as_str()), (range, message), "{text}");
            assert!(fault.bad.hint.unwrap_or_default().contains(hint), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_doubled_dollar_keeps_any_text(text in "\\PC{0,20}|[${}A-]{0,20}") {
            prop_assert_eq!(expand(&text.replace('$', "$$")), Ok(text));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[${}A:ä-]{0,20}") {
            if let Err(fault) = expand(&text) {
                prop_assert!(text.get(fault.range).is_some());
            }
        }
    }
}
