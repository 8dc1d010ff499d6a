use std::collections::BTreeMap;

use supervisor_engine::ServiceId;

use super::Names;
use crate::config::load::{LoadOptions, load};

/// In the order of ids: `batch`, `db`, `web@1`, `web@2`; a group `site` of `db` and `web`.
fn names() -> Names {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("supervisor.toml");
    let spec = r#"
        [service.web]
        command = ["true"]
        instances = 2
        [service.db]
        command = ["true"]
        [service.batch]
        command = ["true"]
        [group.site]
        members = ["db", "web"]"#;
    std::fs::write(&path, spec).unwrap();
    let options = LoadOptions {
        path: Some(path),
        command: None,
        environment: BTreeMap::new(),
        uid: 1000,
        directory: directory.path().to_owned(),
        umask: 0o022,
    };
    Names::new(&load(&options).unwrap_or_else(|error| panic!("{error}")), |_| true)
}

#[test]
fn a_word_means_services() {
    let names = names();
    for (word, ids) in [
        ("db", &[1][..]),
        ("web@2", &[3]),
        ("all", &[0, 1, 2, 3]),
        ("web", &[2, 3]),
        ("site", &[1, 2, 3]),
        ("site:*", &[1, 2, 3]),
        ("site:", &[1, 2, 3]),
        ("site:db", &[1]),
        ("site:batch", &[]),
        ("web:1", &[2]),
        ("web:web@1", &[2]),
        ("db:db", &[1]),
        ("db:*", &[1]),
        ("db:web@1", &[]),
        ("web@*", &[2, 3]),
        ("*b*", &[0, 1, 2, 3]),
        ("[!w]*", &[0, 1]),
        ("x*", &[]),
        ("none", &[]),
        ("", &[]),
    ] {
        let mut found: Vec<u32> = names.find(word).into_iter().map(|id| id.0).collect();
        found.sort_unstable();
        assert_eq!(found, ids, "{word}");
    }
}

#[test]
fn several_words_mean_each_service_once_in_their_order() {
    let words = ["web@2", "site", "db"].map(str::to_owned);
    let found = names().find_all(&words).unwrap();
    assert_eq!(found.first(), Some(&ServiceId(3)));
    assert_eq!(found.len(), 3);
}

#[test]
fn a_word_that_means_nothing_is_an_error_with_the_nearest_name() {
    let error = names().find_all(&["db", "bacth"].map(str::to_owned)).unwrap_err();
    assert_eq!(error.message, "no service \"bacth\"");
    assert_eq!(error.hint.as_deref(), Some("did you mean \"batch\"?"));
    assert_eq!(error.details, ["batch"]);
    let error = names().find_all(&["elasticsearch".to_owned()]).unwrap_err();
    assert_eq!((error.hint, error.details), (None, Vec::new()));
}

#[test]
fn groups_are_known_by_their_members() {
    let names = names();
    assert_eq!(names.groups_of(ServiceId(0)), [""; 0]);
    assert_eq!(names.groups_of(ServiceId(1)), ["site"]);
    assert_eq!(names.groups_of(ServiceId(2)), ["site", "web"]);
}
