//! Which files are read, and in which order.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use supervisor_engine::RestartPolicy;

use super::super::Sink;
use super::{environment, load, messages, options, service};

/// A directory with these files.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in the directory")).expect("it is made");
        fs::write(path, text).expect("it is written");
    }
    directory
}

#[test]
fn includes_are_read_in_order_and_once() {
    let tree = tree(&[
        ("a.toml", "include = ['d/*.toml', 'd/y.toml', '*.toml']\n[service.a]\ncommand = 'a'"),
        ("d/y.toml", "include = ['../e.txt']\n[service.y]\ncommand = 'y'"),
        ("d/x.toml", "[service.x]\ncommand = 'x'"),
        ("d/.hidden.toml", "nonsense"),
        ("e.txt", "[service.e]\ncommand = 'e'"),
    ]);
    let config = load(&options(tree.path(), "a.toml")).unwrap_or_else(|error| panic!("{error}"));
    let files = ["a.toml", "d/x.toml", "d/y.toml", "d/../e.txt"].map(|f| tree.path().join(f));
    assert_eq!(config.files, files);
    assert_eq!(service(&config, "e").place, "d/../e.txt:1");
}

#[test]
fn a_directory_is_all_its_toml_files() {
    let tree = tree(&[
        ("s/b.toml", "[service.b]\ncommand = 'b'"),
        ("s/a.toml", "[service.a]\ncommand = 'a ${SPEC_DIR}'"),
        ("s/c.txt", "nonsense"),
    ]);
    let config = load(&options(tree.path(), "s")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.files, ["s/a.toml", "s/b.toml"].map(|file| tree.path().join(file)));
    let command = service(&config, "a").command.as_ref().expect("it has one");
    assert_eq!(PathBuf::from(&command[1]), tree.path().join("s"));
    assert_eq!(service(&config, "a").context.working_directory, tree.path().join("s"));
}

#[test]
fn a_directory_without_a_file_is_no_spec() {
    let tree = tree(&[("s/sub/a.toml", "[service.a]\ncommand = 'a'"), ("s/.b.toml", "")]);
    let told = messages(load(&options(tree.path(), "s")));
    assert_eq!(told, ["cannot read s: the directory has no *.toml"]);
}

#[test]
fn drop_ins_override_key_by_key() {
    let tree = tree(&[
        (
            "a.toml",
            "[service.a]\ncommand = 'a'\nrestart = 'no'\nsuccess-exit = [1, 2]\nlog.rotate-keep = 1",
        ),
        ("a.toml.d/10.toml", "[service.a]\nrestart = 'always'\nsuccess-exit = [3]"),
        ("a.toml.d/20.toml", "service.a.restart = 'on-abort'\nservice.a.log.path = '/x'"),
        ("a.toml.d/30.txt", "nonsense"),
    ]);
    let config = load(&options(tree.path(), "a.toml")).unwrap_or_else(|error| panic!("{error}"));
    let service = service(&config, "a");
    assert_eq!(service.spec.restart.policy, RestartPolicy::OnAbort);
    assert_eq!(service.spec.restart.success_exit.codes, [3]);
    assert_eq!((service.log.rotate_keep, &service.log.stdout), (1, &Sink::File("/x".into())));
    assert_eq!(config.files.len(), 3);
}

#[test]
fn the_first_default_place_is_taken() {
    let tree = tree(&[
        ("cwd/supervisor.toml", "[service.cwd]"),
        ("config/supervisor/supervisor.toml", "[service.config]"),
        ("empty/x", ""),
    ]);
    let mut options = options(&tree.path().join("cwd"), "");
    options.path = None;
    let config_home = tree.path().join("config");
    options.environment = environment(&[("XDG_CONFIG_HOME", &config_home.to_string_lossy())]);
    let found = |options: &_| load(options).map(|config| config.services[0].spec.name.clone());
    assert_eq!(found(&options).ok().as_deref(), Some("cwd"));
    options.directory = tree.path().join("empty");
    assert_eq!(found(&options).ok().as_deref(), Some("config"));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let tree = tree(&[("a.toml/x", ""), ("s/b.toml/x", ""), ("s/a.toml", "[service.a]")]);
    for path in ["none.toml", "a.toml/x/y", "s"] {
        let messages = messages(load(&options(tree.path(), path)));
        assert!(messages[0].starts_with("cannot read"), "{messages:?}");
    }
}

#[test]
fn a_command_needs_no_spec() {
    let tree = tree(&[("supervisor.toml", "nonsense")]);
    let mut options = options(tree.path(), "");
    options.path = None;
    options.command = Some(["echo", "${X}"].map(String::from).to_vec());
    options.environment.insert("NOTIFY_SOCKET".into(), "/x".into());
    let config = load(&options).unwrap_or_else(|error| panic!("{error}"));
    let [main] = config.services.as_slice() else { panic!("one service") };
    assert_eq!(main.spec.name, "main");
    assert_eq!(main.command.as_deref(), options.command.as_deref());
    assert_eq!(main.spec.restart.policy, RestartPolicy::No);
    assert!(main.on_failure_shutdown && main.on_success_shutdown);
    assert!(main.context.inherit_stdin);
    assert_eq!(main.context.umask, 0o027);
    assert_eq!(main.context.working_directory, tree.path());
    assert!(!main.context.environment.contains_key("NOTIFY_SOCKET"));
    assert_eq!((&main.log.stdout, &main.log.stderr), (&Sink::Inherit, &Some(Sink::Inherit)));
    options.command = Some(Vec::new());
    assert_eq!(messages(load(&options)), ["the command of the command line is empty"]);
}

#[test]
fn a_command_is_one_more_service_of_a_spec() {
    let tree = tree(&[
        ("a.toml", "supervisor.environment.A = '1'\n[service.a]\n[service.z]\nafter = ['main']"),
        ("main.toml", "[group.main]\nmembers = []"),
    ]);
    let mut options = options(tree.path(), "a.toml");
    options.command = Some(vec!["true".into()]);
    let config = load(&options).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<_> = config.services.iter().map(|s| s.spec.name.as_str()).collect();
    assert_eq!(names, ["a", "main", "z"]);
    assert_eq!(service(&config, "z").spec.dependencies[0].on.index(), 1);
    assert_eq!(service(&config, "main").context.environment["A"], "1");
    options.path = Some("main.toml".into());
    let messages = messages(load(&options));
    assert_eq!(messages, ["`main` is the name of the command of the command line"]);
}

#[test]
fn the_environment_overrides_the_shutdown_timeout() {
    let tree = tree(&[("a.toml", "supervisor.shutdown-timeout = '5s'")]);
    let mut options = options(tree.path(), "a.toml");
    let mut timeout = |text: &str| {
        options.environment.insert("SUPERVISOR_SHUTDOWN_TIMEOUT".into(), text.into());
        load(&options).map(|config| config.daemon.shutdown_timeout)
    };
    assert_eq!(timeout("9s").ok(), Some(Some(Duration::from_secs(9))));
    assert_eq!(timeout("infinity").ok(), Some(None));
    assert_eq!(timeout("").ok(), Some(Some(Duration::from_secs(5))));
    let error = timeout("9").expect_err("it has no unit").to_string();
    assert!(error.contains("SUPERVISOR_SHUTDOWN_TIMEOUT") && error.contains("\"9s\""), "{error}");
}
