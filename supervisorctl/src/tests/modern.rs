//! The verbs that Supervisor does not have, help, and errors for people.

use super::*;

const EVENTS: &str = concat!(
    r#"{"rev":4,"time_ms":1763712062345,"event":"transition","service":"web","from":"starting","to":"running","cause":"ready"}"#,
    "\n",
    r#"{"rev":5,"time_ms":1763712063000,"event":"status","service":"web","text":"serving\u001b[2J"}"#,
    "\n",
    r#"{"rev":6,"time_ms":1763712064000,"event":"operation","id":7,"verb":"start","done":true,"ok":false}"#,
    "\n",
);

#[test]
fn events_are_a_line_each_until_the_daemon_goes() {
    let daemon = Daemon::start(&[("GET /v1/events?since=3 ", 200, EVENTS)]);
    insta::assert_snapshot!(daemon.ctl(&["events", "-f", "--since", "3"]).text(), @r#"
    2025-11-21 08:01:02.345 web: starting -> running (ready)
    2025-11-21 08:01:03.000 web: status "serving [2J"
    2025-11-21 08:01:04.000 operation 7 (start): failed
    --- stderr
    error: the daemon has closed the stream of events
    --- exit 7
    "#);
    let lines = daemon.ctl(&["-o", "ndjson", "events", "--since=3"]);
    assert_eq!(lines.out.lines().collect::<Vec<_>>(), EVENTS.lines().collect::<Vec<_>>());
}

#[test]
fn events_can_end_with_the_last_one() {
    let info = r#"{"version":"0.1.0","api_version":"v1","pid":42,"boot_id":"b","started_ms":1,"state":"running","spec_files":[],"rev":5}"#;
    let daemon =
        Daemon::start(&[("GET /v1 ", 200, info), ("GET /v1/events?since=3 ", 200, EVENTS)]);
    let outcome = daemon.ctl(&["events", "--since", "3", "--no-follow"]);
    assert_eq!((outcome.out.lines().count(), outcome.code), (2, 0));
    assert_eq!(daemon.ctl(&["events", "--since", "5", "--no-follow"]).text(), "--- exit 0");
}

const LOGS: &str = concat!(
    r#"{"service":"web","stream":"stdout","time_ms":1763712062345,"line":"hello"}"#,
    "\n",
    r#"{"service":"db","stream":"stderr","time_ms":1763712062346,"line":"  oops"}"#,
    "\n",
);

#[test]
fn logs_name_the_service_unless_there_is_only_one() {
    let daemon = Daemon::start(&[("GET /v1/logs", 200, LOGS)]);
    assert_eq!(daemon.ctl(&["logs"]).text(), "web | hello\ndb |   oops\n--- exit 0");
    assert_eq!(daemon.ctl(&["logs", "web"]).out, "hello\ndb |   oops\n");
    daemon.ctl(&["logs", "a", "g:*", "-f", "-n", "5", "--stream", "stderr"]);
    assert_eq!(
        daemon.requests(),
        [
            "GET /v1/logs",
            "GET /v1/logs?match=web",
            "GET /v1/logs?match=a&match=g%3A%2A&stream=stderr&tail=5&follow=true",
        ]
    );
    insta::assert_snapshot!(daemon.ctl(&["-o", "wide", "logs"]).text(), @r"
    2025-11-21 08:01:02.345 web stdout | hello
    2025-11-21 08:01:02.346 db stderr |   oops
    --- exit 0
    ");
}

#[test]
fn a_plan_is_shown_in_waves() {
    let plan = r#"{"verb":"stop","waves":[{"steps":[{"service":"web","action":"stop","why":"requires db","worst_ms":20000}]},{"steps":[{"service":"db","action":"stop","why":"named"}]}]}"#;
    let daemon = Daemon::start(&[("POST /v1/operations ", 200, plan)]);
    insta::assert_snapshot!(daemon.ctl(&["plan", "stop", "db"]).text(), @r"
    WAVE  ACTION  NAME  AT MOST   WHY
    1     stop    web   20.0s     requires db
    2     stop    db    no limit  named
    at most no limit
    --- exit 0
    ");
    assert_eq!(daemon.ctl(&["-o", "name", "plan", "stop", "db"]).out, "web\ndb\n");
    assert_eq!(
        daemon.requests()[0],
        r#"POST /v1/operations {"verb":"stop","targets":["db"],"dry_run":true}"#
    );
    let daemon = Daemon::start(&[("POST ", 200, r#"{"verb":"start","waves":[]}"#)]);
    assert_eq!(daemon.ctl(&["plan", "start", "db"]).text(), "nothing to do\n--- exit 0");
}

#[test]
fn why_tells_what_is_not_as_wanted_and_where_it_begins() {
    let mut snapshot: Snapshot = serde_json::from_str(&snapshot()).unwrap();
    let now = snapshot.now_ms;
    let [waiting, backoff, _, failed, never, ..] = &mut snapshot.services[..] else { panic!() };
    waiting.why = why("waits-for", &["backoff", "failed", "web@1"]);
    backoff.why.code = "backoff".into();
    backoff.deadline_ms = Some(now + 3_000);
    failed.why = why("start-limit", &[]);
    never.enabled = false;
    snapshot.services[5].why = why("requested", &[]);
    snapshot.services[6].why.code = "up".into();
    let mut starting = service("z");
    starting.state = State::Starting;
    starting.status = Some("50 %".into());
    starting.deadline_ms = Some(now + 65_000);
    starting.why = why("starting", &["failed"]);
    snapshot.services.push(starting);
    let answer = serde_json::to_string(&snapshot).unwrap();
    let daemon = Daemon::start(&[("GET /v1/services ", 200, &answer)]);
    insta::assert_snapshot!(daemon.ctl(&["why"]).text(), @r#"
    a-waiting is waiting: the daemon's words
      backoff is in backoff: exit status 1, next try in 5s; tried again in 3.0s
        hint: supervisorctl logs backoff; to try now, supervisorctl start backoff
      failed has failed: the daemon's words
        hint: supervisorctl logs failed; when it is mended, supervisorctl start failed
      web@1 is running

    z is starting: the daemon's words; it says "50 %"; its start times out in 1min 5s
      hint: supervisorctl logs z
      failed has failed: see above
    --- exit 0
    "#);
    insta::assert_snapshot!(daemon.ctl(&["why", "stopped", "web"]).text(), @r"
    stopped is stopped: the daemon's words
      hint: supervisorctl start stopped

    web@1 is running
    --- exit 0
    ");
    assert_eq!(daemon.ctl(&["-o", "name", "why"]).out, "a-waiting\nbackoff\nfailed\nz\n");
    let json: Snapshot =
        serde_json::from_str(&daemon.ctl(&["-o", "json", "why", "z"]).out).unwrap();
    let names: Vec<_> = json.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["failed", "z"]);
}

#[test]
fn why_has_no_more_to_say_than_that_all_is_well() {
    let snapshot = Snapshot { boot_id: "b".into(), rev: 9, now_ms: 0, services: Vec::new() };
    let body = refusal("unknown-service", "no service \"wbe\"", &["web"]);
    let daemon = Daemon::start(&[
        ("GET /v1/services ", 200, &serde_json::to_string(&snapshot).unwrap()),
        ("GET /v1/services?match=wbe ", 404, &body),
    ]);
    assert_eq!(daemon.ctl(&["why"]).text(), "all is as wanted\n--- exit 0");
    insta::assert_snapshot!(daemon.ctl(&["why", "wbe"]).text(), @r#"
    --- stderr
    error: no service "wbe"
      did you mean "web"?
    --- exit 1
    "#);
}

fn why(code: &str, services: &[&str]) -> Why {
    let services = services.iter().map(ToString::to_string).collect();
    Why { code: code.into(), services, message: "the daemon's words".into() }
}

#[test]
fn unknown_names_are_errors_for_people() {
    let body = refusal("unknown-service", "no service \"serach\"", &["search", "searchd"]);
    let daemon = Daemon::start(&[("POST /v1/operations ", 404, &body)]);
    insta::assert_snapshot!(daemon.ctl(&["plan", "start", "serach"]).text(), @r#"
    --- stderr
    error: no service "serach"
      did you mean "search"?
    --- exit 1
    "#);
    let outcome = daemon.ctl_live(&["-o", "json", "start", "serach"]);
    assert!(outcome.err.starts_with("\x1b[31merror:\x1b[0m no service"), "{outcome:?}");
}

#[test]
fn a_daemon_that_is_not_there_comes_with_a_hint() {
    let outcome = ctl(&["-s", "unix:///no/such/socket", "logs"]);
    insta::assert_snapshot!(outcome.text(), @r"
    --- stderr
    error: unix:///no/such/socket no such file
      hint: is supervisord running? -s unix:///path says where
    --- exit 7
    ");
    insta::assert_snapshot!(ctl(&["-s", "http://localhost:9001", "status"]).text(), @r#"
    --- stderr
    error: "http://localhost:9001": http is not supported yet, use unix:///path
    --- exit 2
    "#);
}

#[test]
fn later_verbs_are_known() {
    for line in ["update", "-q tail -f x", "help graph", "blame web"] {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = ctl(&words);
        assert!(outcome.err.ends_with("\" is not supported yet\n"), "{line}: {outcome:?}");
        assert_eq!((outcome.out.as_str(), outcome.code), ("", 1));
    }
}

#[test]
fn wrong_words_are_usage_errors() {
    for line in [
        "bogus",
        "status --bogus",
        "-o xml status",
        "start --timeout 5 x",
        "plan x y",
        "plan stop",
        "logs -n x",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = ctl(&words);
        assert_eq!((outcome.out.as_str(), outcome.code), ("", 2), "{line}");
        assert!(outcome.err.starts_with("error: "), "{line}: {outcome:?}");
    }
}

#[test]
fn help_is_an_answer() {
    let help = ctl(&["help"]);
    assert_eq!((help.err.as_str(), help.code), ("", 0));
    assert!(help.out.starts_with("Control supervisord\n\nUsage: supervisorctl"), "{}", help.out);
    let start = ctl(&["help", "start"]);
    assert!(start.out.contains("--timeout <DURATION>"), "{}", start.out);
    assert!(ctl(&["help", "exit-codes"]).out.contains("124  --timeout is over"));
    assert_eq!(ctl(&["--version"]).out, format!("supervisorctl {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_closed_output_ends_quietly() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let err = Buffer::default();
    let terminal =
        Terminal { out: Channel::new(Closed, false), err: Channel::new(err.clone(), false) };
    let code = crate::run(vec!["version".into()], &Environment::default(), terminal);
    assert_eq!((err.text().as_str(), code), ("", 141));
}

#[test]
fn check_runs_the_daemon_that_lies_beside_or_in_path() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let daemon = dir.path().join("supervisord");
    let script = format!("#!/bin/sh\necho \"$@\" > {}/said\nexit 42\n", dir.path().display());
    std::fs::write(&daemon, script).unwrap();
    std::fs::set_permissions(&daemon, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut environment = Environment { path: Some(dir.path().into()), ..Environment::default() };
    let said = || std::fs::read_to_string(dir.path().join("said")).unwrap();
    assert_eq!(ctl_with(&environment, &["check", "/a b.toml"], false).code, 42);
    assert_eq!(said(), "--check -c /a b.toml\n");
    environment =
        Environment { program: Some(dir.path().join("supervisorctl")), ..Environment::default() };
    assert_eq!(ctl_with(&environment, &["-c", "x.toml", "check"], false).code, 42);
    assert_eq!(said(), "--check -c x.toml\n");
    let outcome = ctl(&["check"]);
    assert!(outcome.err.contains("cannot find supervisord") && outcome.code == 1, "{outcome:?}");
}
