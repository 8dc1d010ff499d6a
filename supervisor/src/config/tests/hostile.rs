//! Specs that nobody writes by accident: they are refused or loaded, fast, and nothing overflows.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{load_text, messages};

/// Generous: a debug build on a busy machine. What is quadratic takes minutes.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn ten_thousand_services_are_loaded_soon() {
    let mut text = String::from("[supervisor]\nenvironment = { A = '${SERVICE}' }\n");
    for i in 0..10_000 {
        let _ = writeln!(
            text,
            "[service.s{i}]\ncommand = ['sleep', '${{SERVICE}}']\nafter = {}\nuser = 'root'",
            if i > 0 { format!("['s{}']", i - 1) } else { "[]".to_owned() }
        );
    }
    let start = Instant::now();
    let config = load_text(&text).expect("it is valid");
    assert_eq!(config.services.len(), 10_000);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn thousands_of_faults_are_told_soon() {
    let mut text = String::new();
    for i in 0..3_000 {
        let _ = writeln!(text, "[service.s{i}]\ncommand = 'x'\nafter = ['t{i}']\nstop-timeout = 1");
    }
    let start = Instant::now();
    let error = load_text(&text).expect_err("it is wrong");
    assert_eq!(error.faults().len(), 6_000);
    assert!(error.to_string().len() > 100_000);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn deep_nesting_is_refused() {
    let lists = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let tables = "a = ".to_owned() + &"{ a = ".repeat(100_000);
    let keys = format!("{}a = 1", "a.".repeat(100_000));
    let header = format!("[{}a]", "a.".repeat(100_000));
    for text in [lists, tables, keys, header] {
        assert!(load_text(&text).is_err(), "{}", &text[..40]);
    }
}

#[test]
fn a_very_long_line_is_shown_in_part() {
    let text = format!("[service.a]\ncommand = [{}3]", "'x', ".repeat(200_000));
    let start = Instant::now();
    let text = load_text(&text).expect_err("it is wrong").to_string();
    assert!(text.contains("expected a string, found a number"), "{}", text.len());
    assert!(text.len() < 10_000 && start.elapsed() < SOON, "{} {:?}", text.len(), start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_to_a_spec_makes_the_loader_panic(
        at in 0_usize..2_760,
        taken in 0_usize..40,
        put in "[\\[\\]{}\"'=.,\\\\$#\r\n a0ä]{0,6}",
    ) {
        let spec: Vec<char> = include_str!("every-key.toml").chars().collect();
        let at = at.min(spec.len());
        let rest = &spec[(at + taken).min(spec.len())..];
        let text: String = spec[..at].iter().copied().chain(put.chars()).chain(rest.iter().copied()).collect();
        if let Err(error) = load_text(&text) {
            prop_assert!(error.to_string().starts_with("error: "));
            prop_assert!(!error.colored().is_empty());
        }
    }
}

#[test]
fn what_comes_out_of_a_variable_is_not_expanded() {
    let text = "[service.a]\ncommand = ['${A}']\nenvironment = { A = '$${A}' }";
    let config = load_text(text).expect("it is valid");
    assert_eq!(config.services[0].command.as_deref(), Some(&["${A}".to_owned()][..]));
}

#[test]
fn an_endless_file_is_refused() {
    let text = "[service.a]\ncommand = 'a'\nenvironment-files = ['/dev/zero']";
    let messages = messages(load_text(text));
    assert!(messages[0].starts_with("cannot read the environment file"), "{messages:?}");
}

#[test]
fn groups_nested_without_end_are_refused() {
    let mut text = String::new();
    for i in 0..10_000 {
        let _ = writeln!(text, "[group.g{i}]\nmembers = ['g{}']", i + 1);
    }
    text.push_str("[group.g10000]\nmembers = []");
    let _ = load_text(&text);
}

#[test]
fn a_terminal_gets_no_escape_sequence_from_a_spec() {
    let text = "[service.a]\ncommand = 'a'\n\"\\u001b[31mred\" = '\\u001b]0;title\\u0007'";
    let error = load_text(text).expect_err("it is wrong");
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}
