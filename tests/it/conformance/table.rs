//! The table in `docs/conformance.md` and the tests of the suite agree.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Number of the last item.
const LAST: usize = 150;

/// One line of the table.
#[derive(Debug)]
struct Row {
    number: usize,
    /// Name of the test; empty if there is none.
    test: String,
    verdict: String,
}

#[test]
fn every_item_is_in_the_table_once_and_names_its_test() {
    let rows = rows();
    let numbers: Vec<_> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=LAST).collect::<Vec<_>>());

    let mut tests = tests();
    let mut open = 0;
    for Row { number, test, verdict } in rows {
        if verdict == "open" {
            assert_eq!(test, "", "item {number} is open, yet has a test");
            open += 1;
            continue;
        }
        let reason = verdict.strip_prefix("decided: ").is_some_and(|why| !why.is_empty());
        assert!(verdict == "mirrored" || reason, "item {number} is {verdict:?}");
        assert!(test.starts_with(&format!("item_{number:03}_")), "item {number} names {test:?}");
        assert_eq!(tests.remove(&test), Some(1), "item {number} needs just one function {test}");
    }
    assert!(tests.is_empty(), "not in the table: {tests:?}");
    // Not by `eprintln!`, which the test runner swallows when the test passes.
    drop(writeln!(std::io::stderr(), "conformance: {open} of {LAST} items are open"));
}

fn rows() -> Vec<Row> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter_map(row).collect()
}

/// `| NUMBER | what | `TEST` | VERDICT |`; headings have no number.
fn row(line: &str) -> Option<Row> {
    let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let number = cells[0].parse().ok()?;
    assert_eq!(cells.len(), 5, "{line}");
    let (test, verdict) = (cells[2].trim_matches('`').to_owned(), cells[3].to_owned());
    Some(Row { number, test, verdict })
}

/// How often each function `item_…` is defined in the suite.
fn tests() -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance");
    for entry in fs::read_dir(suite).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("fn item_") else { continue };
            let (name, _) = rest.split_once('(').unwrap();
            *found.entry(format!("item_{name}")).or_default() += 1;
        }
    }
    found
}
