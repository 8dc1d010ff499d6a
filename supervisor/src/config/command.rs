//! A command that is written as one string, split as a shell would.

use std::ops::Range;

use super::value::Bad;

/// The words, still to be expanded; or what is wrong, and where.
pub(super) fn split(text: &str) -> Result<Vec<String>, (Bad, Range<usize>)> {
    let mut splitter = Splitter { text, at: 0, words: Vec::new(), word: None };
    splitter.run()?;
    splitter.words.extend(splitter.word.take());
    if splitter.words.is_empty() {
        return Err((
            Bad::new("a command must not be empty")
                .hint("without `command` a service is a target: nothing runs"),
            0..text.len(),
        ));
    }
    Ok(splitter.words)
}

struct Splitter<'a> {
    text: &'a str,
    at: usize,
    words: Vec<String>,
    /// The word that has begun; `""` is one too.
    word: Option<String>,
}

impl Splitter<'_> {
    fn run(&mut self) -> Result<(), (Bad, Range<usize>)> {
        while let Some(c) = self.next() {
            let start = self.at - c.len_utf8();
            match c {
                ' ' | '\t' | '\n' | '\r' => self.words.extend(self.word.take()),
                '\'' => self.single_quoted(start)?,
                '"' => self.double_quoted(start)?,
                '\\' => match self.next() {
                    Some('\n') => {}
                    Some(escaped) => self.push_literal(escaped),
                    None => {
                        return Err((
                            Bad::new("a `\\` at the end").hint("for a `\\` itself write it twice"),
                            start..self.at,
                        ));
                    }
                },
                '$' => self.dollar(start)?,
                '|' | '&' | ';' | '<' | '>' | '(' | ')' | '`' | '*' | '?' | '[' => {
                    return Err(self.needs_shell(start, &format!("`{c}`")));
                }
                '~' | '#' if self.word.is_none() => {
                    return Err(self.needs_shell(start, &format!("`{c}`")));
                }
                '=' if self.words.is_empty() && self.word.as_deref().is_some_and(is_variable) => {
                    let bad = Bad::new("a command must not begin with a variable");
                    return Err((bad.hint("set it in `environment`"), 0..self.at));
                }
                _ => self.push(c),
            }
        }
        Ok(())
    }

    fn single_quoted(&mut self, start: usize) -> Result<(), (Bad, Range<usize>)> {
        self.word.get_or_insert_default();
        while let Some(c) = self.next() {
            if c == '\'' {
                return Ok(());
            }
            self.push(c);
        }
        Err((
            Bad::new("the quote is never closed").hint("for a quote itself write a `\\` in front"),
            start..self.text.len(),
        ))
    }

    fn double_quoted(&mut self, start: usize) -> Result<(), (Bad, Range<usize>)> {
        self.word.get_or_insert_default();
        while let Some(c) = self.next() {
            let here = self.at - c.len_utf8();
            match c {
                '"' => return Ok(()),
                '\\' => match self.next() {
                    Some('\n') => {}
                    Some(escaped @ ('"' | '\\' | '`' | '$')) => self.push_literal(escaped),
                    Some(other) => {
                        self.push('\\');
                        self.push(other);
                    }
                    None => break,
                },
                '$' => self.dollar(here)?,
                '`' => return Err(self.needs_shell(here, "`` ` ``")),
                _ => self.push(c),
            }
        }
        Err((
            Bad::new("the quote is never closed").hint("for a quote itself write a `\\` in front"),
            start..self.text.len(),
        ))
    }

    /// `${…}` is one piece, whatever is in it. `$NAME` and `$(…)` would mean something to a shell.
    fn dollar(&mut self, start: usize) -> Result<(), (Bad, Range<usize>)> {
        self.push('$');
        let rest = &self.text[self.at..];
        match rest.chars().next() {
            Some('{') => {
                // One that is never closed is told when the word is expanded.
                let length = rest.find('}').map_or(rest.len(), |end| end + 1);
                self.word.get_or_insert_default().push_str(&rest[..length]);
                self.at += length;
            }
            Some('$') => {
                self.push('$');
                self.at += 1;
            }
            Some('(') => return Err(self.needs_shell(start, "`$(`")),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let name = &rest[..end.unwrap_or(rest.len())];
                let bad = Bad::new(format!("`${name}` is not expanded"));
                let hint = format!("write `${{{name}}}`, or `$${name}` for the text itself");
                return Err((bad.hint(hint), start..self.at + name.len()));
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn needs_shell(&self, start: usize, what: &str) -> (Bad, Range<usize>) {
        let script = if self.text.len() > 200 { "…" } else { self.text.trim() };
        let hint = format!("quote it, or run a shell: [\"sh\", \"-c\", {}]", quoted(script));
        (
            Bad::new(format!("no shell runs the command, and {what} needs one")).hint(hint),
            start..self.at,
        )
    }

    fn next(&mut self) -> Option<char> {
        let c = self.text[self.at..].chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    /// A `$` that was escaped stays one when the word is expanded.
    fn push_literal(&mut self, c: char) {
        if c == '$' {
            self.push('$');
        }
        self.push(c);
    }
}

fn is_variable(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// As a TOML string: literal if that needs no escapes.
fn quoted(text: &str) -> String {
    if text.contains(['"', '\\']) && !text.contains(['\'', '\n']) {
        format!("'{text}'")
    } else {
        format!("{text:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        for (text, words) in [
            ("a b\tc\n d", &["a", "b", "c", "d"][..]),
            (r#"a 'b c' "d e" f\ g"#, &["a", "b c", "d e", "f g"]),
            (r#"a '' """#, &["a", "", ""]),
            (r#"--x="y z"w"#, &["--x=y zw"]),
            (r#""a\"b\\c\d" 'a"b\'"#, &[r#"a"b\c\d"#, r#"a"b\"#]),
            ("a \\\n b", &["a", "b"]),
            ("${A:-b c} 'x|y' \\| \"*\"", &["${A:-b c}", "x|y", "|", "*"]),
            (r#"\${A} "\$B" $$ x$"#, &["$${A}", "$$B", "$$", "x$"]),
            ("a~ b#c x=1 {a,b} !", &["a~", "b#c", "x=1", "{a,b}", "!"]),
            ("'$HOME'", &["$HOME"]),
        ] {
            let found = split(text).expect(text);
            assert_eq!(found, words, "{text}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_refused_with_the_place_and_how_to_run_one() {
        for (text, range) in [
            ("a | b", 2..3),
            ("a && b", 2..3),
            ("a; b", 1..2),
            ("a > b", 2..3),
            ("a `b`", 2..3),
            ("a \"`b`\"", 3..4),
            ("ls *.c", 3..4),
            ("ls ~", 3..4),
            ("a # b", 2..3),
            ("a $(b)", 2..3),
        ] {
            let (bad, found) = split(text).expect_err(text);
            assert_eq!(found, range, "{text}");
            let hint = bad.hint.unwrap_or_default();
            assert!(hint.contains(r#"["sh", "-c", "#) && hint.contains(text), "{hint}");
        }
        for (text, hint) in [("A=1 b", "environment"), ("a $HOME", "${HOME}")] {
            assert!(split(text).expect_err(text).0.hint.unwrap_or_default().contains(hint));
        }
        for text in ["", "  ", "'a", "\"a", "a\\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_quoted_comes_out_again(words in proptest::collection::vec("[^$\0]{0,8}", 1..5)) {
            let text = shlex::try_join(words.iter().map(String::as_str)).expect("there is no NUL");
            prop_assert_eq!(split(&text), Ok(words));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a \"'\\\\${}|ä\n]{0,20}") {
            if let Err((_, range)) = split(&text) {
                prop_assert!(text.get(range).is_some());
            }
        }
    }
}
