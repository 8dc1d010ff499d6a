//! Items 38 to 42: `BARRIER=1`, by which a sender waits until it has been heard.

use std::io::{Read as _, pipe};
use std::os::fd::AsFd as _;

use supervisor_api::State;

use super::speaker::{Speaker, app, status};
use crate::harness::{Daemon, available, must, user};

#[test]
fn item_038_a_barrier_opens_when_everything_before_it_has_taken_effect() {
    let (daemon, speaker) = app("", &[]);
    for number in 0..20 {
        let text = format!("message {number}");
        speaker.say(format!("STATUS={text}"));
        speaker.barrier();
        assert_eq!(status(&daemon), Some(text));
    }
}

#[test]
fn item_039_a_barrier_with_other_fields_is_answered_and_nothing_of_it_counts() {
    let (daemon, speaker) = app("", &[]);
    for message in ["BARRIER=1\nREADY=1", "STATUS=no\nBARRIER=1", "BARRIER=1\nBARRIER=1\nX=1"] {
        speaker.is_closed(message.as_bytes());
        assert_eq!((daemon.state("app"), status(&daemon)), (State::Starting, None), "{message:?}");
    }
    speaker.tell("READY=1");
    assert_eq!(daemon.state("app"), State::Running);
}

#[test]
fn item_040_a_barrier_with_no_or_two_descriptors_is_closed_without_effect() {
    let (daemon, speaker) = app("", &[]);
    speaker.say("BARRIER=1");
    let (mut reader, writer) = pipe().unwrap();
    speaker.say_with("BARRIER=1", &[writer.as_fd(), writer.as_fd()]);
    drop(writer);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    speaker.tell("STATUS=goes on");
    assert_eq!(status(&daemon).as_deref(), Some("goes on"));
}

#[test]
fn item_041_a_barrier_of_a_stranger_is_answered() {
    let (daemon, speaker) = app("", &[]);
    let stranger = Speaker::stranger(&daemon, "app");
    for message in ["READY=1", "STOPPING=1", "STATUS=hacked", "WATCHDOG=trigger", "MAINPID=1"] {
        stranger.tell(message);
        assert_eq!((daemon.state("app"), status(&daemon)), (State::Starting, None), "{message}");
    }
    speaker.tell("NOTIFYACCESS=none");
    speaker.tell("READY=1");
    assert_eq!(daemon.state("app"), State::Starting);
}

#[test]
fn item_042_systemd_notify_returns_at_once_and_well_while_others_flood() {
    if !must(
        available("systemd-notify", &["--version"]),
        "systemd-notify",
        "run scripts/install-test-services",
    ) {
        return;
    }
    let daemon = Daemon::builder()
        .environment("USER_NAME", &user())
        .spec(
            r#"
            [defaults]
            type = "notify"
            notify-access = "all"
            [service.flood]
            command = "${FIXTURE} ${SERVICE} --ready --child '--flood 20000' --flood 20000"
            [service.app]
            type = "oneshot"
            user = "${USER_NAME}"
            start-timeout = "10s"
            command = ["sh", "-c", "systemd-notify --status='by hand' || exit 3"]"#,
        )
        .start();
    // It gives up, with status 1, after five seconds.
    daemon.wait_state("app", State::Exited);
    assert_eq!(status(&daemon).as_deref(), Some("by hand"));
}
