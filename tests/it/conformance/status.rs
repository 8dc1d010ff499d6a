//! Items 53 to 55: what a service says for people to read.

use serde_json::json;

use super::speaker::{Speaker, app, status};
use crate::harness::Daemon;

#[test]
fn item_053_the_status_text_is_set_replaced_cleared_and_forgotten_at_the_next_start() {
    let (daemon, speaker) = app("", &[]);
    for (message, expected) in [
        (&b"STATUS=loading 1 of 2"[..], Some("loading 1 of 2")),
        (b"STATUS=50 % = half", Some("50 % = half")),
        (b"STATUS=", None),
        ("STATUS=größer ✓".as_bytes(), Some("größer ✓")),
        // systemd clears the text here.
        (b"STATUS=\xff\xfe", Some("größer ✓")),
    ] {
        speaker.tell(message);
        assert_eq!(status(&daemon).as_deref(), expected);
    }
    daemon.operation(&json!({ "verb": "restart", "targets": ["app"] }));
    let speaker = Speaker::nth(&daemon, "app", 2);
    speaker.barrier();
    assert_eq!(status(&daemon), None);
}

#[test]
fn item_054_errno_is_a_number_or_a_name_and_an_invalid_one_keeps_the_old() {
    let (daemon, speaker) = app("", &[]);
    for (text, expected) in [
        ("5", 5),
        ("ENOENT", 2),
        ("many", 2),
        ("99999", 2),
        ("-1", 2),
        ("enoent", 2),
        ("EWOULDBLOCK", 11),
        ("4095", 4095),
        ("0", 0),
    ] {
        speaker.tell(format!("ERRNO={text}"));
        assert_eq!(daemon.detail("app").said.errno, Some(expected), "{text:?}");
    }
}

#[test]
fn item_055_bus_and_varlink_errors_are_plain_ascii_and_empty_clears_them() {
    let (daemon, speaker) = app("", &[]);
    let said = |daemon: &Daemon| {
        let said = daemon.detail("app").said;
        (said.bus_error, said.varlink_error)
    };
    speaker.tell("BUSERROR=org.example.No\nVARLINKERROR=org.example.Not");
    let both = (Some("org.example.No".to_owned()), Some("org.example.Not".to_owned()));
    assert_eq!(said(&daemon), both);
    for text in [&b"a\"b"[..], b"it's", b"back\\slash", b"tab\t", "ü".as_bytes(), b"\xff", b"\x7f"]
    {
        for key in [&b"BUSERROR="[..], b"VARLINKERROR="] {
            speaker.tell([key, text].concat());
            assert_eq!(said(&daemon), both, "{:?}", String::from_utf8_lossy(text));
        }
    }
    speaker.tell("BUSERROR=");
    assert_eq!(said(&daemon), (None, both.1));
    speaker.tell("VARLINKERROR=");
    assert_eq!(said(&daemon), (None, None));
    // All is forgotten at the next start.
    speaker.tell("BUSERROR=a\nERRNO=1");
    daemon.operation(&json!({ "verb": "restart", "targets": ["app"] }));
    Speaker::nth(&daemon, "app", 2).barrier();
    let said = daemon.detail("app").said;
    assert_eq!((said.bus_error, said.errno), (None, None));
}
