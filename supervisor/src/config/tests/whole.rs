//! Valid specs.

use std::path::Path;
use std::time::Duration;

use supervisor_engine::{
    DependencyKind, ExitSet, KillMode, Kind, ModeId, ReloadHow, RestartMode, RestartPolicy, Signal,
    StopHow, Until,
};

use super::super::{
    Capabilities, Console, CpuSet, FdStoreConfig, FdStorePreserve, Identity, IoClass, LogFormat,
    NotifyAccess, Privileges, ProbeCheck, Readiness, Scheduler, Sink,
};
use super::{load, load_text, options, service};

#[test]
fn a_spec_that_sets_every_supported_key_says_so_in_the_config() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/tests");
    let config = load(&options(&directory, "every-key.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.files, [directory.join("every-key.toml")]);
    let daemon = &config.daemon;
    assert_eq!(daemon.runtime_dir, Path::new("/run/test"));
    assert_eq!(daemon.log_dir, Path::new("/var/log/test"));
    assert_eq!(daemon.shutdown_timeout, Some(Duration::from_mins(2)));
    assert_eq!(daemon.log_level, tracing::Level::DEBUG);
    assert_eq!(daemon.log_format, LogFormat::Json);
    assert_eq!(daemon.console, Some(Console::Raw));
    assert_eq!(config.control.socket, Path::new("/run/test/c.sock"));
    assert_eq!((config.control.mode, config.control.group), (0o660, Some(0)));

    let names: Vec<_> = config.services.iter().map(|s| s.spec.name.as_str()).collect();
    assert_eq!(
        names,
        ["alert", "app", "cron", "db", "migrate", "old", "site", "target", "worker@a", "worker@b"]
    );
    let group = |name: &str| -> Vec<_> {
        let members = config.groups[name].members.iter();
        members.map(|id| config.services[id.index()].spec.name.as_str()).collect()
    };
    assert_eq!(config.groups.keys().collect::<Vec<_>>(), ["all", "backend", "worker"]);
    assert_eq!(group("worker"), ["worker@a", "worker@b"]);
    assert_eq!(group("backend"), ["db", "migrate", "worker@a", "worker@b"]);
    assert_eq!(group("all"), ["app", "db", "migrate", "worker@a", "worker@b"]);
    assert_eq!(config.groups["all"].description, "everything");

    let app = service(&config, "app");
    assert_eq!(app.spec.kind, Kind::Simple);
    assert_eq!(app.place, "every-key.toml:24");
    assert_eq!(app.description, "the app");
    assert_eq!(
        app.command.as_deref(),
        Some(&["app", "--dir", "/srv/app x", "$HOME"].map(String::from)[..])
    );
    assert!(!app.spec.enabled && app.spec.probed && app.spec.remain_after_exit);
    let identity = Identity { uid: 12345, gid: 0, groups: vec![7, 8] };
    assert_eq!(app.context.identity, Some(identity));
    assert_eq!(app.context.working_directory, Path::new("/srv"));
    assert_eq!(app.context.umask, 0o077);
    assert_eq!(app.context.stdin.as_deref(), Some(Path::new("/etc/hostname")));
    let environment: Vec<_> =
        app.context.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let expected = [
        "ALL=app",
        "DIR=/srv/app x",
        "FROM_FILE=1",
        "HOME=/home/test",
        "LEVEL=warn",
        "PATH=/opt:/bin",
    ];
    assert_eq!(environment, expected);
    let limits: Vec<_> = app.context.limits.iter().map(|l| (l.name, l.soft, l.hard)).collect();
    let most = u64::MAX;
    assert_eq!(
        limits,
        [("as", 1 << 30, 1 << 30), ("core", 0, most), ("cpu", 60, 60), ("nofile", 1024, 4096)]
    );
    let scheduling = &app.context.scheduling;
    assert_eq!((scheduling.nice, scheduling.oom_score_adj), (Some(-5), Some(-500)));
    assert_eq!(scheduling.cpus.as_ref().map(CpuSet::words), Some(&[0b111, 0b1][..]));
    assert_eq!(scheduling.io, Some(IoClass::BestEffort(7)));
    assert_eq!(scheduling.scheduler, Some(Scheduler::RoundRobin(10)));
    let (bounding, ambient) = (Capabilities::of([5, 10]), Capabilities::of([10]));
    let privileges = Privileges { no_new: true, bounding: Some(bounding), ambient };
    assert_eq!(app.context.privileges, privileges);
    assert_eq!(app.spec.start_timeout, Some(Duration::from_secs(30)));
    assert_eq!(app.spec.settle_time, Duration::from_millis(1500));
    assert_eq!(app.spec.runtime_max, Some(Duration::from_hours(24)));
    let Some(Readiness::Probe(probe)) = &app.readiness else { panic!("it has one") };
    let ProbeCheck::Http { host, port, path, status, headers } = &probe.check else {
        panic!("another probe");
    };
    assert_eq!((host.as_str(), *port, path.as_str()), ("::1", 8080, "/health"));
    assert_eq!(status, &[(200, 299)]);
    assert_eq!(headers, &[("Host".to_owned(), "app".to_owned())]);
    assert_eq!((probe.initial_delay.as_secs(), probe.period.as_secs()), (1, 2));
    assert_eq!((probe.timeout.as_secs(), probe.successes), (3, 4));
    let stop = &app.spec.stop;
    let steps: Vec<_> =
        stop.steps.iter().map(|s| (s.how, s.timeout.map(|t| t.as_secs()), s.wait)).collect();
    assert_eq!(
        steps,
        [
            (StopHow::Command(0), Some(30), false),
            (StopHow::Sleep, Some(2), true),
            (StopHow::Signal(Signal::QUIT), None, true),
        ]
    );
    let commands = [["app", "stop"], ["app", "quack"]].map(|argv| argv.map(String::from));
    assert_eq!(app.stop_commands, commands);
    assert_eq!((stop.send_sigkill, stop.kill_mode), (true, KillMode::Mixed));
    assert_eq!((stop.final_signal, stop.restart_signal), (Some(Signal::ABRT), Some(Signal::USR2)));
    assert!(stop.send_sighup);
    assert_eq!(config.stop_modes, ["drain", "lame-duck"]);
    let duck: Vec<_> = stop.modes[&ModeId(1)].iter().map(|step| (step.how, step.timeout)).collect();
    assert_eq!(
        duck,
        [
            (StopHow::Signal(Signal::USR2), Some(Duration::from_mins(2))),
            (StopHow::Command(1), Some(Duration::from_secs(10))),
        ]
    );
    let restart = &app.spec.restart;
    assert_eq!((restart.policy, restart.mode), (RestartPolicy::Always, RestartMode::Direct));
    assert_eq!(restart.delay, Duration::from_millis(200));
    assert_eq!(restart.max_delay, Duration::from_mins(1));
    assert!((restart.factor - 3.0).abs() < f64::EPSILON && restart.jitter.abs() < f64::EPSILON);
    assert_eq!(restart.reset, Duration::from_mins(10));
    assert_eq!((restart.limit_burst, restart.limit_interval), (0, Duration::from_secs(10)));
    let term = ExitSet { codes: vec![3], signals: vec![Signal::TERM] };
    assert_eq!(restart.success_exit, term);
    assert_eq!(restart.prevent_exit.codes, [4]);
    assert_eq!(restart.force_exit.codes, [5]);
    let reload = app.spec.reload.expect("it can");
    assert_eq!((reload.how, reload.timeout), (ReloadHow::Command, Some(Duration::from_secs(7))));
    assert_eq!(app.reload_command.as_deref(), Some(&["app", "reload"].map(String::from)[..]));
    let too: Vec<_> = app.spec.reload_propagates_to.iter().map(|id| names[id.index()]).collect();
    assert_eq!(too, ["db", "migrate", "worker@a", "worker@b"]);
    assert!(app.on_failure_shutdown && !app.on_success_shutdown);
    let log = &app.log;
    assert_eq!(log.stdout, Sink::File("/var/log/app.out".into()));
    assert_eq!(log.stderr, None);
    assert_eq!((log.rotate_size, log.rotate_keep, log.timestamp), (Some(1 << 20), 3, true));
    assert_eq!((log.buffer, log.max_line), (1 << 17, 1 << 12));
    let relations: Vec<_> = app
        .spec
        .dependencies
        .iter()
        .map(|d| (d.kind, config.services[d.on.index()].spec.name.as_str(), d.until))
        .collect();
    let ready = Some(Until::Ready);
    assert_eq!(
        relations,
        [
            (DependencyKind::Requires, "migrate", ready),
            (DependencyKind::Requires, "db", None),
            (DependencyKind::Wants, "worker@a", ready),
            (DependencyKind::Wants, "worker@b", ready),
            (DependencyKind::BindsTo, "db", ready),
            (DependencyKind::PartOf, "db", None),
            (DependencyKind::After, "worker@a", ready),
            (DependencyKind::Before, "site", ready),
            (DependencyKind::Conflicts, "old", None),
            (DependencyKind::Upholds, "cron", Some(Until::Started)),
            (DependencyKind::OnFailure, "alert", None),
            (DependencyKind::OnSuccess, "alert", None),
        ]
    );

    let db = service(&config, "db");
    assert_eq!((db.spec.kind, db.notify_access), (Kind::Notify, NotifyAccess::All));
    assert_eq!(db.fd_store, FdStoreConfig { max: 7, preserve: FdStorePreserve::Yes });
    let watchdog = db.spec.watchdog.expect("it has one");
    assert_eq!((watchdog.timeout.as_secs(), watchdog.signal), (20, Signal::INT));
    assert_eq!(watchdog.abort_timeout, Some(Duration::from_secs(5)));
    let steps: Vec<_> = db.spec.stop.steps.iter().map(|step| (step.how, step.timeout)).collect();
    let fast = Some(Duration::from_secs(15));
    assert_eq!(steps, [(StopHow::Command(0), fast), (StopHow::Signal(Signal::INT), fast)]);
    assert_eq!(db.spec.reload.map(|r| r.how), Some(ReloadHow::Signal(Signal::HUP)));
    assert_eq!(db.log.stdout, Sink::File("/var/log/test/db.log".into()));
    assert_eq!(db.log.rotate_keep, 9, "from the defaults");

    let migrate = service(&config, "migrate");
    assert_eq!((migrate.spec.kind, migrate.spec.start_timeout), (Kind::Oneshot, None));
    assert_eq!(migrate.spec.restart.policy, RestartPolicy::No);
    assert!(migrate.spec.remain_after_exit && migrate.on_success_shutdown);
    assert_eq!(migrate.log.stdout, Sink::Null);
    assert_eq!(migrate.log.stderr, Some(Sink::Inherit));

    let worker = service(&config, "worker@b");
    assert_eq!(worker.instance.as_deref(), Some("b"));
    assert_eq!(worker.command.as_deref(), Some(&["work", "worker", "b"].map(String::from)[..]));
    assert_eq!(worker.context.identity, None);
    assert_eq!(worker.log.stdout, Sink::File("/var/log/test/worker@b.log".into()));
    assert_eq!(service(&config, "target").spec.kind, Kind::Target);
}

#[test]
fn what_is_not_supported_yet_may_be_set_to_off() {
    let text = r#"
        [supervisor]
        watch-spec = false
        [control]
        rate-limit = 50
        operators = []
        [service.a]
        command = "a"
        exit-type = "main"
        no-new-privileges = false
        ambient-capabilities = []
        cgroup = {}
        pre-start = []
        condition = []
        drain = "0s"
        restart-mode = "normal"
        on-failure = []
        conflicts = []
        upholds = []
        sockets = []
        overlap = "skip"
        watchdog = "0s"
        log = { compress = false, format = "raw", when-full = "block" }
    "#;
    let config = load_text(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.services[0].spec.watchdog, None);
}

#[test]
fn an_empty_spec_has_the_defaults_of_the_user() {
    let config = load_text("").expect("it is valid");
    assert!(config.services.is_empty() && config.groups.is_empty());
    assert_eq!(config.daemon.runtime_dir, Path::new("/run/user/1000/supervisor"));
    assert_eq!(config.daemon.log_dir, Path::new("/var/log/supervisor/log"));
    assert_eq!(config.control.socket, Path::new("/run/user/1000/supervisor/control.sock"));
    assert_eq!((config.daemon.shutdown_timeout, config.daemon.console), (None, None));
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("empty.toml"), "").expect("it is written");
    let mut options = options(directory.path(), ".");
    options.environment = [("HOME".to_owned(), "/home/test".to_owned())].into();
    let config = load(&options).expect("an empty file is an empty spec");
    assert_eq!(config.daemon.runtime_dir, Path::new("/tmp/supervisor-1000"));
    assert_eq!(config.daemon.log_dir, Path::new("/home/test/.local/state/supervisor/log"));
    options.uid = 0;
    let config = load(&options).expect("and so it is for root");
    assert_eq!(config.control.socket, Path::new("/run/supervisor/control.sock"));
    assert_eq!(config.daemon.log_dir, Path::new("/var/log/supervisor"));
}

#[test]
fn a_service_takes_the_defaults_that_it_does_not_set() {
    let text = r#"
        [defaults]
        stop-signal = "INT"
        restart-delay = "1s"
        environment = { A = "default ${SERVICE}", B = "default" }
        log = { rotate-keep = 1, timestamp = true }
        [service.a]
        command = "a"
        stop-sequence = [{ signal = "QUIT" }]
        environment = { B = "own" }
        log = "a.log"
        [service.b]
        command = "b"
        restart-delay = "2s"
        [service.target]
    "#;
    let config = load_text(text).unwrap_or_else(|error| panic!("{error}"));
    let (a, b) = (service(&config, "a"), service(&config, "b"));
    assert_eq!(a.spec.stop.steps[0].how, StopHow::Signal(Signal::QUIT));
    assert_eq!(b.spec.stop.steps[0].how, StopHow::Signal(Signal::INT));
    assert_eq!((a.spec.restart.delay.as_secs(), b.spec.restart.delay.as_secs()), (1, 2));
    assert_eq!(a.context.environment["A"], "default a");
    assert_eq!(a.context.environment["B"], "own");
    assert_eq!((a.log.rotate_keep, a.log.timestamp), (1, true));
    assert_eq!(a.log.stdout, Sink::File("/var/log/supervisor/log/a.log".into()));
    assert_eq!(service(&config, "target").spec.kind, Kind::Target);
}

#[test]
fn a_final_kill_is_left_to_the_engine() {
    let steps = |line: &str| {
        let text = format!("[service.a]\ncommand = 'a'\n{line}");
        let config = load_text(&text).unwrap_or_else(|error| panic!("{error}"));
        config.services[0].spec.stop.steps.iter().map(|step| step.how).collect::<Vec<_>>()
    };
    let kill = StopHow::Signal(Signal::KILL);
    assert_eq!(steps("stop-signal = 'KILL'"), []);
    assert_eq!(steps("stop-signal = 'KILL'\nsend-sigkill = false"), [kill]);
    assert_eq!(
        steps("stop-sequence = [{ signal = 'TERM' }, { signal = 9 }]"),
        [StopHow::Signal(Signal::TERM)]
    );
}

#[test]
fn a_long_delay_is_not_cut_by_a_limit_that_nobody_set() {
    let config =
        load_text("[service.a]\ncommand = 'a'\nrestart-delay = '5min'").expect("it is valid");
    assert_eq!(config.services[0].spec.restart.max_delay, Duration::from_mins(5));
}

#[test]
fn a_user_gives_its_groups_and_its_environment() {
    let text = "[service.a]\ncommand = ['a', '${HOME}']\nuser = 'root'\nenvironment.SHELL = '/x'";
    let config = load_text(text).expect("root is everywhere");
    let context = &config.services[0].context;
    let identity = context.identity.as_ref().expect("it is another user");
    assert_eq!((identity.uid, identity.gid), (0, 0));
    assert_eq!(context.environment["USER"], "root");
    assert_eq!(context.environment["SHELL"], "/x");
    assert_ne!(context.environment["HOME"], "/home/test");
    let command = config.services[0].command.as_ref().expect("it has one");
    assert_eq!(command[1], context.environment["HOME"]);
}

#[test]
fn a_service_that_answers_its_reload_has_a_signal_for_it() {
    for (line, signal) in [("", Signal::HUP), ("reload-signal = 'USR1'", Signal::USR1)] {
        let text = format!("[service.a]\ncommand = 'a'\ntype = 'notify-reload'\n{line}");
        let config = load_text(&text).unwrap_or_else(|error| panic!("{error}"));
        let service = &config.services[0];
        assert_eq!(service.spec.kind, Kind::Notify);
        assert_eq!(service.notify_access, NotifyAccess::Main);
        assert_eq!(service.spec.reload.map(|r| r.how), Some(ReloadHow::Handshake(signal)));
    }
}
