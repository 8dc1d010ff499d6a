//! Values of the spec as what they mean; what is wrong with one becomes a fault at its place.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use supervisor_engine::{ExitSet, Signal};

use super::command;
use super::expand::Scope;
use super::fault::{Draft, Faults};
use super::source::{Place, Sources};
use super::tree::{Node, Value};
use super::value::{self, Bad};
use crate::suggest;

/// Reads values. Every method answers `None` when it has told a fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder<'a> {
    pub(super) faults: &'a Faults,
    pub(super) sources: &'a Sources,
    /// What `${NAME}` stands for; `None` where strings are taken as they are.
    pub(super) scope: Option<&'a Scope<'a>>,
}

impl Decoder<'_> {
    pub(super) fn string(&self, node: &Node) -> Option<String> {
        let Value::String(text) = &node.value else {
            let hint = match &node.value {
                Value::Integer(_, text) | Value::Float(_, text) => {
                    Some(format!("write \"{text}\""))
                }
                Value::Boolean(yes) => Some(format!("write \"{yes}\"")),
                Value::Datetime => Some(format!("write \"{}\"", self.sources.text(node.place))),
                Value::String(_) | Value::Array(_) | Value::Table(_) => {
                    Some("write it in quotes, like \"text\"".to_owned())
                }
            };
            return self.wrong_type(node, "a string", hint);
        };
        self.expand(node.place, text, text)
    }

    /// Expands `word`, which `text` as written at the place consists of or contains.
    fn expand(&self, place: Place, text: &str, word: &str) -> Option<String> {
        let Some(scope) = self.scope else {
            return Some(word.to_owned());
        };
        let fault = match scope.expand(word) {
            Ok(expanded) => return Some(expanded),
            Err(fault) if fault.undefined && !scope.strict => return None,
            Err(fault) => fault,
        };
        let place = match text.find(word) {
            Some(at) => {
                let range = at + fault.range.start..at + fault.range.end;
                self.sources.part(place, text, range)
            }
            None => place,
        };
        self.bad(place, fault.bad)
    }

    pub(super) fn boolean(&self, node: &Node) -> Option<bool> {
        match &node.value {
            Value::Boolean(yes) => Some(*yes),
            Value::String(text) if text == "true" || text == "false" => {
                self.wrong_type(node, "a boolean", Some(format!("write {text} without quotes")))
            }
            Value::String(_)
            | Value::Integer(..)
            | Value::Float(..)
            | Value::Datetime
            | Value::Array(_)
            | Value::Table(_) => {
                self.wrong_type(node, "a boolean", Some("write true or false".to_owned()))
            }
        }
    }

    pub(super) fn integer(&self, node: &Node, range: RangeInclusive<i64>) -> Option<i64> {
        let Value::Integer(number, _) = &node.value else {
            let quoted = node.value.as_str().filter(|text| text.parse::<i64>().is_ok());
            let hint = quoted.map_or_else(
                || "write it like 10".into(),
                |text| format!("write {text} without quotes"),
            );
            return self.wrong_type(node, "a whole number", Some(hint));
        };
        let (least, most) = (*range.start(), *range.end());
        let found = number.filter(|number| range.contains(number));
        found.or_else(|| {
            let hint = if most == i64::MAX {
                format!("it can be {least} or more")
            } else {
                format!("it can be {least} to {most}")
            };
            self.bad(node.place, Bad::new("the number is out of range").hint(hint))
        })
    }

    pub(super) fn count(&self, node: &Node, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.integer(node, i64::from(*range.start())..=i64::from(*range.end()))?;
        u32::try_from(number).ok()
    }

    pub(super) fn float(&self, node: &Node, range: RangeInclusive<f64>) -> Option<f64> {
        let number = match &node.value {
            Value::Float(number, _) => Some(*number),
            Value::Integer(Some(number), _) => i32::try_from(*number).ok().map(f64::from),
            Value::Integer(None, _) => None,
            Value::String(_)
            | Value::Boolean(_)
            | Value::Datetime
            | Value::Array(_)
            | Value::Table(_) => {
                return self.wrong_type(node, "a number", Some("write it like 1.5".to_owned()));
            }
        };
        number.filter(|number| range.contains(number)).or_else(|| {
            let hint = format!("it can be {} to {}", range.start(), range.end());
            self.bad(node.place, Bad::new("the number is out of range").hint(hint))
        })
    }

    /// A duration; the inner `None` is infinity.
    #[expect(clippy::option_option, reason = "no value, no limit and a limit are three things")]
    pub(super) fn duration(&self, node: &Node) -> Option<Option<Duration>> {
        self.quoted_number(node, "a duration", |number| format!("write \"{number}s\""))?;
        self.parsed(node, value::duration)
    }

    /// A duration that ends.
    pub(super) fn finite(&self, node: &Node) -> Option<Duration> {
        self.duration(node)?.or_else(|| {
            self.bad(
                node.place,
                Bad::new("it must not be infinite").hint("write a duration like \"10s\""),
            )
        })
    }

    /// A duration that ends, but not at once.
    pub(super) fn positive(&self, node: &Node) -> Option<Duration> {
        let duration = self.finite(node)?;
        if duration.is_zero() {
            return self.bad(
                node.place,
                Bad::new("it must be longer than nothing").hint("write a duration like \"1s\""),
            );
        }
        Some(duration)
    }

    pub(super) fn size(&self, node: &Node) -> Option<u64> {
        self.quoted_number(node, "a size", |number| {
            format!("write \"{}\"", value::write_size(number))
        })?;
        self.parsed(node, value::size)
    }

    pub(super) fn mode(&self, node: &Node) -> Option<u32> {
        if let Value::Integer(_, digits) = &node.value {
            let hint = format!("write it in octal, as a string: \"{digits:0>4}\"");
            return self.wrong_type(node, "a mode", Some(hint));
        }
        self.parsed(node, value::mode)
    }

    pub(super) fn signal(&self, node: &Node) -> Option<Signal> {
        let text = match &node.value {
            Value::Integer(_, text) => text.clone(),
            Value::String(_)
            | Value::Float(..)
            | Value::Boolean(_)
            | Value::Datetime
            | Value::Array(_)
            | Value::Table(_) => self.string(node)?,
        };
        Signal::parse(&text).or_else(|| {
            let names: Vec<String> =
                (1..=64).filter_map(Signal::from_number).map(|s| s.to_string()).collect();
            let upper = text.trim().to_ascii_uppercase();
            let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
            let hint = suggest::did_you_mean(bare, names.iter().map(String::as_str));
            let hint =
                hint.unwrap_or_else(|| r#"write it like "TERM", "SIGHUP" or "RTMIN+3""#.into());
            self.bad(node.place, Bad::new(format!("there is no signal {text:?}")).hint(hint))
        })
    }

    /// Exit codes as numbers, signals by name.
    pub(super) fn exits(&self, node: &Node) -> Option<ExitSet> {
        let mut set = ExitSet::default();
        let mut whole = true;
        for item in self.list(node)? {
            if let Value::String(text) = &item.value {
                if let Ok(number) = text.trim().parse::<u8>() {
                    let bad = Bad::new("is it an exit code or a signal?");
                    let hint =
                        format!("write {number} without quotes for the code; a signal by its name");
                    whole &= self.bad::<()>(item.place, bad.hint(hint)).is_some();
                } else if let Some(signal) = self.signal(item) {
                    set.signals.push(signal);
                } else {
                    whole = false;
                }
            } else if let Some(code) = self.integer(item, 0..=255) {
                set.codes.extend(u8::try_from(code));
            } else {
                whole = false;
            }
        }
        whole.then_some(set)
    }

    pub(super) fn choice<T: Copy>(&self, node: &Node, choices: &[(&str, T)]) -> Option<T> {
        let names = || choices.iter().map(|(name, _)| *name);
        let all = || {
            let quoted: Vec<String> = names().map(|name| format!("\"{name}\"")).collect();
            format!("it can be {}", quoted.join(", "))
        };
        if !matches!(node.value, Value::String(_)) {
            return self.wrong_type(node, "a string", Some(all()));
        }
        let text = self.string(node)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        found.or_else(|| {
            let meant = suggest::did_you_mean(&text, names());
            let hint = meant.map_or_else(all, |meant| format!("{meant} {}", all()));
            self.bad(node.place, Bad::new(format!("{text:?} is not one of the choices")).hint(hint))
        })
    }

    pub(super) fn list<'n>(&self, node: &'n Node) -> Option<&'n [Node]> {
        if let Value::Array(items) = &node.value {
            return Some(items);
        }
        let written = self.sources.text(node.place);
        let short = written.len() < 100 && !written.contains('\n');
        let hint = if short { format!("write [{written}]") } else { "write [ … ]".to_owned() };
        self.wrong_type(node, "a list", Some(hint))
    }

    /// The strings of a list, each with its place.
    pub(super) fn strings(&self, node: &Node) -> Option<Vec<(Place, String)>> {
        let items = self.list(node)?;
        let strings = items.iter().map(|item| Some((item.place, self.string(item)?)));
        // All are read before one that is missing counts, so that every fault is told.
        let strings: Vec<Option<_>> = strings.collect();
        strings.into_iter().collect()
    }

    /// A command: a list of words, or one string that is split.
    pub(super) fn command(&self, node: &Node) -> Option<Vec<String>> {
        let words = match &node.value {
            Value::String(text) => match command::split(text) {
                Ok(words) => words
                    .iter()
                    .map(|word| self.expand(node.place, text, word))
                    .collect::<Option<Vec<_>>>()?,
                Err((bad, range)) => {
                    return self.bad(self.sources.part(node.place, text, range), bad);
                }
            },
            Value::Array(_) => self.strings(node)?.into_iter().map(|(_, word)| word).collect(),
            Value::Integer(..)
            | Value::Float(..)
            | Value::Boolean(_)
            | Value::Datetime
            | Value::Table(_) => {
                let hint = r#"write ["program", "argument"] or "program argument""#.to_owned();
                return self.wrong_type(node, "a command", Some(hint));
            }
        };
        if words.first().is_none_or(String::is_empty) {
            return self.bad(
                node.place,
                Bad::new("a command must not be empty")
                    .hint("without `command` a service is a target: nothing runs"),
            );
        }
        Some(words)
    }

    /// A path; a relative one is below `base`.
    pub(super) fn path(&self, node: &Node, base: &Path) -> Option<PathBuf> {
        let text = self.string(node)?;
        if text.is_empty() {
            return self.bad(node.place, Bad::new("a path must not be empty").hint("name a file"));
        }
        if self.scope.is_none() && text.contains("${") {
            let bad = Bad::new("variables are expanded only in services");
            return self.bad(node.place, bad.hint("write the path as it is"));
        }
        Some(base.join(text))
    }

    /// Tells a fault.
    pub(super) fn bad<T>(&self, place: Place, bad: Bad) -> Option<T> {
        self.faults.add(Draft::new(place, bad.message).maybe_hint(bad.hint));
        None
    }

    pub(super) fn wrong_type<T>(
        &self,
        node: &Node,
        expected: &str,
        hint: Option<String>,
    ) -> Option<T> {
        let message = format!("expected {expected}, found {}", node.value.kind());
        self.faults.add(Draft::new(node.place, message).maybe_hint(hint));
        None
    }

    /// Refuses a bare number where one with a unit is needed, and writes it right.
    fn quoted_number(
        &self,
        node: &Node,
        expected: &str,
        right: impl Fn(&str) -> String,
    ) -> Option<()> {
        match &node.value {
            Value::Integer(_, text) | Value::Float(_, text) => {
                let hint = Some(right(text.trim_start_matches(['-', '+'])));
                self.wrong_type(node, expected, hint)
            }
            Value::String(_) => Some(()),
            Value::Boolean(_) | Value::Datetime | Value::Array(_) | Value::Table(_) => {
                self.wrong_type(node, expected, Some(right("10")))
            }
        }
    }

    pub(super) fn parsed<T>(
        &self,
        node: &Node,
        parse: impl Fn(&str) -> Result<T, Bad>,
    ) -> Option<T> {
        let text = self.string(node)?;
        parse(&text).map_or_else(|bad| self.bad(node.place, bad), Some)
    }
}
