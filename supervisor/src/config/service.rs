//! One `[service.NAME]` table as a [`ServiceConfig`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use supervisor_engine::{Kind, ReloadHow, ReloadSpec, ServiceSpec, Signal, WatchdogSpec};

use super::commands;
use super::daemon::Daemon;
use super::decode::Decoder;
use super::defaults;
use super::dependency::{self, Relation};
use super::environment;
use super::environment_file::EnvironmentFiles;
use super::expand::Scope;
use super::fault::{Draft, Faults};
use super::identity::Identities;
use super::keys;
use super::load::LoadOptions;
use super::output::{self, LogFile};
use super::reader::{Reader, not_supported};
use super::source::{Place, Sources};
use super::stop::ModeNames;
use super::tree::Table;
use super::value::Bad;
use super::{
    Context, FdStoreConfig, FdStorePreserve, Identity, NotifyAccess, Readiness, ServiceConfig,
    limits, main_process, privileges, probe, restart, scheduling, stop,
};

/// What all services are made with.
#[derive(Debug)]
pub(super) struct Workshop<'a> {
    pub(super) options: &'a LoadOptions,
    pub(super) sources: &'a Sources,
    pub(super) faults: &'a Faults,
    pub(super) daemon: &'a Daemon<'a>,
    /// Where what no file says begins.
    pub(super) spec_dir: &'a Path,
    /// What every service inherits.
    pub(super) inherited: &'a BTreeMap<String, String>,
    pub(super) identities: &'a Identities,
    pub(super) environment_files: &'a EnvironmentFiles,
    /// Each whole environment once: most services have the same.
    pub(super) environments: RefCell<BTreeSet<Arc<BTreeMap<String, String>>>>,
    pub(super) stop_modes: &'a ModeNames,
    /// Whether parts of the spec could not be read, so that what is missing is no fault.
    pub(super) incomplete: bool,
}

/// A service table to be made, with the defaults already in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) table: &'a Table,
    /// Where its name stands.
    pub(super) place: Place,
    /// The name of the table.
    pub(super) name: &'a str,
    pub(super) instance: Option<&'a str>,
    /// Whether it is `[defaults]` itself, which is only checked.
    pub(super) defaults: bool,
}

/// A service whose relations to others are still names.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) config: ServiceConfig,
    pub(super) relations: Vec<Relation>,
    pub(super) log_files: Vec<LogFile>,
    /// `reload-propagates-to`.
    pub(super) reloads: Vec<(Place, String)>,
}

impl Workshop<'_> {
    /// Reads a service. What is wrong is told; then the answer is worth nothing.
    pub(super) fn build(&self, order: Order<'_>) -> Built {
        let full_name = match order.instance {
            Some(instance) => format!("{}@{instance}", order.name),
            None => order.name.to_owned(),
        };
        let title = if order.defaults {
            "[defaults]".to_owned()
        } else {
            format!("[service.{}]", order.name)
        };
        let home = self.home(&order);
        let builtins = self.builtins(&order, &home);
        let unread = Reader::new(order.table, title, self.decoder(None));
        let (identity, environment) = self.surroundings(&order, &home, &builtins, &unread);
        let environment = self.share(environment);
        let scope = Scope {
            builtins: &builtins,
            layers: vec![&environment, &self.options.environment],
            beside: None,
            strict: !order.defaults,
        };
        let reader = unread.with(self.decoder(Some(&scope)));
        reader.join(&unread);
        let mut context = self.context(&reader, &home);
        context.identity = identity;
        context.environment = Arc::clone(&environment);
        self.service(&order, full_name, &reader, context)
    }

    fn service(
        &self,
        order: &Order<'_>,
        full_name: String,
        reader: &Reader<'_>,
        context: Context,
    ) -> Built {
        let main = if order.defaults { commands::Main::default() } else { commands::main(reader) };
        let kind = kind(reader, order, self.incomplete);
        let mut spec = ServiceSpec::new(full_name, kind);
        reader.node("instances");
        if let Some(enabled) = reader.boolean("enabled") {
            spec.enabled = enabled;
        }
        if let Some(remain) = reader.boolean("remain-after-exit") {
            spec.remain_after_exit = remain;
        }
        if let Some(timeout) = start_timeout(reader) {
            spec.start_timeout = timeout;
        }
        if let Some(time) = reader.finite("settle-time") {
            spec.settle_time = time;
        }
        spec.runtime_max = runtime_max(reader);
        commands::check_main(reader, kind);
        spec.commands.main = main.failures;
        let listed_commands = commands::around(reader, &mut spec.commands);
        let stop = stop::read(reader, self.stop_modes);
        spec.stop = stop.spec;
        spec.exit_type = main_process::exit_type(reader, kind, spec.stop.kill_mode);
        let pid_file = main_process::pid_file(reader, kind, &context.working_directory);
        spec.restart = restart::read(reader, kind, pid_file.is_some(), spec.restart);
        spec.watchdog = watchdog(reader, stop.timeout);
        let reload_command = reader.command("reload-command");
        spec.reload = reload(reader, reload_command.is_some(), spec.start_timeout);
        let fd_store = fd_store(reader);
        let notify_access = notify_access(reader, kind, spec.watchdog.is_some(), fd_store.max > 0);
        let (log, log_files) =
            output::read(reader, &spec.name, order.place, &self.daemon.config.log_dir);
        let readiness = probe::read(reader, kind, &context.working_directory, log.is_captured());
        spec.probed = readiness.is_some();
        let liveness = probe::read_liveness(reader, kind, &context.working_directory);
        spec.liveness = liveness.is_some();
        keep_apart(reader, readiness.as_ref(), fd_store);
        let actions = [("none", false), ("shutdown", true)];
        let relations = if order.defaults { Vec::new() } else { dependency::read(reader) };
        let reloads = if order.defaults { None } else { reader.strings("reload-propagates-to") };
        let reloads = reloads.unwrap_or_default();
        let config = ServiceConfig {
            spec,
            description: description(reader).unwrap_or_default(),
            instance: order.instance.map(str::to_owned),
            place: self.place(order.place),
            command: main.first,
            further_commands: main.further,
            listed_commands,
            stop_commands: stop.commands,
            reload_command,
            context,
            readiness,
            liveness,
            pid_file,
            notify_access,
            fd_store,
            log,
            on_failure_shutdown: reader.choice("failure-action", &actions).unwrap_or(false),
            on_success_shutdown: reader.choice("success-action", &actions).unwrap_or(false),
        };
        reader.later(keys::SERVICE);
        if order.defaults {
            defaults::refuse(reader);
        } else {
            reader.later(keys::RELATIONS);
        }
        reader.finish();
        Built { config, relations, log_files, reloads }
    }

    /// Reads who the service runs as, and its whole environment.
    ///
    /// `environment` is read twice: what it says is known to `user` and `environment-files`, and
    /// what those say is known to it.
    fn surroundings(
        &self,
        order: &Order<'_>,
        home: &Path,
        builtins: &BTreeMap<&'static str, String>,
        unread: &Reader<'_>,
    ) -> (Option<Identity>, BTreeMap<String, String>) {
        let daemon = &self.options.environment;
        let strict = !order.defaults;
        let scope = |layers, beside, strict| Scope { builtins, layers, beside, strict };
        let own = unread.node("environment");

        let bare = scope(vec![daemon], None, strict);
        let everywhere = self.daemon.environment;
        let added = everywhere.map(|node| environment::pairs(node, &self.decoder(Some(&bare))));
        let added = added.unwrap_or_default();

        let below = scope(vec![&added, daemon], None, false);
        let untold = Faults::default();
        let quiet = Decoder { faults: &untold, ..self.decoder(Some(&below)) };
        let first = own.map(|node| environment::pairs(node, &quiet)).unwrap_or_default();

        let known = scope(vec![&first, &added, daemon], None, strict);
        let reader = unread.with(self.decoder(Some(&known)));
        let account = self.identities.account(&reader, self.options.uid);
        let files = reader
            .node("environment-files")
            .map(|node| self.environment_files.read(node, home, &reader.decoder));
        let files = files.unwrap_or_default();
        unread.join(&reader);

        let layers = vec![&files, &added, &account.environment, daemon];
        let known = scope(layers, Some(&first), strict);
        let own = own.map(|node| environment::pairs(node, &self.decoder(Some(&known))));
        let mut whole = self.inherited.clone();
        whole.extend(account.environment);
        whole.extend(added);
        whole.extend(files);
        whole.extend(own.unwrap_or_default());
        (account.identity, whole)
    }

    fn decoder<'b>(&'b self, scope: Option<&'b Scope<'b>>) -> Decoder<'b> {
        Decoder { faults: self.faults, sources: self.sources, scope }
    }

    fn share(&self, environment: BTreeMap<String, String>) -> Arc<BTreeMap<String, String>> {
        let mut environments = self.environments.borrow_mut();
        if let Some(known) = environments.get(&environment) {
            return Arc::clone(known);
        }
        let environment = Arc::new(environment);
        environments.insert(Arc::clone(&environment));
        environment
    }

    /// The directory of the file that the service stands in: a file can be included from anywhere
    /// with what lies beside it.
    fn home(&self, order: &Order<'_>) -> PathBuf {
        let file = self.sources.path(order.place.file()).map(|(path, _)| path);
        file.and_then(Path::parent).unwrap_or(self.spec_dir).to_owned()
    }

    fn builtins(&self, order: &Order<'_>, home: &Path) -> BTreeMap<&'static str, String> {
        let mut builtins = BTreeMap::from([
            ("SPEC_DIR", home.to_string_lossy().into_owned()),
            ("RUNTIME_DIR", self.daemon.config.runtime_dir.to_string_lossy().into_owned()),
        ]);
        if !order.defaults {
            builtins.insert("SERVICE", order.name.to_owned());
        }
        if let Some(instance) = order.instance {
            builtins.insert("INSTANCE", instance.to_owned());
        }
        builtins
    }

    fn context(&self, reader: &Reader<'_>, home: &Path) -> Context {
        let decoder = &reader.decoder;
        let default = if self.options.uid == 0 { Path::new("/") } else { home };
        let directory = reader.node("working-directory");
        let stdin = reader.node("stdin").and_then(|node| match node.value.as_str() {
            Some("null") => None,
            Some("pty") => decoder.bad(node.place, not_supported("\"pty\"")),
            Some(_) | None => decoder.path(node, home),
        });
        Context {
            working_directory: directory
                .and_then(|node| decoder.path(node, home))
                .unwrap_or_else(|| default.to_owned()),
            umask: umask(reader).unwrap_or(0o022),
            limits: limits::read(reader),
            scheduling: scheduling::read(reader),
            privileges: privileges::read(reader),
            stdin,
            ..Context::default()
        }
    }

    fn place(&self, place: Place) -> String {
        let location = self.sources.locate(place);
        location.map(|at| format!("{}:{}", at.file.display(), at.line)).unwrap_or_default()
    }
}

/// The `type` of a service that says itself when it has reloaded.
const NOTIFY_RELOAD: &str = "notify-reload";

/// What it is. A table with keys that say something about a process, but without a process, is not
/// meant to be a target.
fn kind(reader: &Reader<'_>, order: &Order<'_>, incomplete: bool) -> Kind {
    let kinds = [
        ("simple", Kind::Simple),
        ("notify", Kind::Notify),
        (NOTIFY_RELOAD, Kind::Notify),
        ("forking", Kind::Forking),
        ("oneshot", Kind::Oneshot),
    ];
    let kind = reader.choice("type", &kinds).unwrap_or(Kind::Simple);
    if order.defaults || order.table.entries.contains_key("command") {
        return kind;
    }
    let useless = keys::NEEDS_COMMAND.iter().find_map(|key| {
        // What every service gets says nothing about this one.
        let entry = order.table.entries.get(*key)?;
        (!entry.default).then_some((key, entry.key))
    });
    if let Some((key, place)) = useless
        && !incomplete
    {
        let message = format!("`{key}` is set, but service `{}` has no `command`", order.name);
        let fault = Draft::new(place, message).related(order.place, "this service");
        let hint = "a service without `command` is a target: it is up when all it requires is up";
        reader.decoder.faults.add(fault.hint(hint));
    }
    Kind::Target
}

fn description(reader: &Reader<'_>) -> Option<String> {
    let node = reader.node("description")?;
    let text = reader.decoder.string(node)?;
    if text.contains(char::is_control) {
        return reader.decoder.bad(
            node.place,
            Bad::new("a description is one line of text").hint("write more as a comment"),
        );
    }
    Some(text)
}

fn umask(reader: &Reader<'_>) -> Option<u32> {
    let node = reader.node("umask")?;
    let umask = reader.decoder.mode(node)?;
    if umask > 0o777 {
        return reader
            .decoder
            .bad(node.place, Bad::new("a umask has three digits").hint("write it like \"0022\""));
    }
    Some(umask)
}

#[expect(clippy::option_option, reason = "no value, no limit and a limit are three things")]
fn start_timeout(reader: &Reader<'_>) -> Option<Option<Duration>> {
    let node = reader.node("start-timeout")?;
    let timeout = reader.decoder.duration(node)?;
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        let bad = Bad::new("no service is up at once").hint(r#"for no limit write "infinity""#);
        return reader.decoder.bad(node.place, bad);
    }
    Some(timeout)
}

fn runtime_max(reader: &Reader<'_>) -> Option<Duration> {
    let node = reader.node("runtime-max")?;
    let longest = reader.decoder.duration(node)?;
    if longest.is_some_and(|longest| longest.is_zero()) {
        let bad = Bad::new("a service that is up runs for some time");
        return reader.decoder.bad(node.place, bad.hint(r#"for no limit write "infinity""#));
    }
    longest
}

/// `watchdog = "0s"` and `"infinity"` mean none.
fn watchdog(reader: &Reader<'_>, stop_timeout: Option<Duration>) -> Option<WatchdogSpec> {
    let signal = reader.signal("watchdog-signal").unwrap_or(Signal::ABRT);
    let abort_timeout = reader.duration("abort-timeout").unwrap_or(stop_timeout);
    let timeout = reader.duration("watchdog").flatten().filter(|timeout| !timeout.is_zero())?;
    Some(WatchdogSpec { timeout, signal, abort_timeout })
}

fn reload(
    reader: &Reader<'_>,
    has_command: bool,
    start_timeout: Option<Duration>,
) -> Option<ReloadSpec> {
    reader.exclusive(&["reload-command", "reload-signal"], "a reload is one or the other");
    let signal = reader.signal("reload-signal");
    let answers =
        reader.node("type").is_some_and(|node| node.value.as_str() == Some(NOTIFY_RELOAD));
    if answers && let Some(entry) = reader.entry("reload-command").filter(|_| has_command) {
        let bad = Bad::new("a service of type notify-reload is reloaded by its signal");
        reader.decoder.bad::<()>(entry.key, bad.hint(r#"take it away, or write type = "notify""#));
    }
    let timeout = reader.duration("reload-timeout").unwrap_or(start_timeout);
    let how = if answers {
        ReloadHow::Handshake(signal.unwrap_or(Signal::HUP))
    } else if has_command {
        ReloadHow::Command
    } else {
        ReloadHow::Signal(signal?)
    };
    Some(ReloadSpec { how, timeout })
}

fn fd_store(reader: &Reader<'_>) -> FdStoreConfig {
    /// With names of 255 bytes more would not fit into a variable, and the service could not be
    /// started again: the kernel takes 128 KiB (`MAX_ARG_STRLEN`).
    const MOST: u32 = 500;
    let max = reader.count("fd-store-max", 0..=MOST).unwrap_or(0);
    let choices = [
        ("no", FdStorePreserve::No),
        ("restart", FdStorePreserve::Restart),
        ("yes", FdStorePreserve::Yes),
    ];
    let preserve = reader.choice("fd-store-preserve", &choices).unwrap_or_default();
    FdStoreConfig { max: max as usize, preserve }
}

/// Stored descriptors are passed from 3 on, and none of them may be the one of the readiness probe.
fn keep_apart(reader: &Reader<'_>, readiness: Option<&Readiness>, fd_store: FdStoreConfig) {
    let first_free = fd_store.max + 3;
    if let Some(Readiness::Descriptor(number)) = readiness
        && usize::try_from(*number).is_ok_and(|number| number < first_free)
        && fd_store.max > 0
        && let Some(node) = reader.node("readiness-probe")
    {
        let bad = Bad::new(format!("descriptor {number} may be one of the stored ones"));
        let hint = format!("with this fd-store-max the first that is free is {first_free}");
        reader.decoder.bad::<()>(node.place, bad.hint(hint));
    }
}

fn notify_access(reader: &Reader<'_>, kind: Kind, watchdog: bool, fd_store: bool) -> NotifyAccess {
    let lifecycle = kind == Kind::Notify || watchdog;
    let needed = lifecycle || fd_store;
    let default = if needed { NotifyAccess::Main } else { NotifyAccess::None };
    let choices = [
        ("none", NotifyAccess::None),
        ("main", NotifyAccess::Main),
        ("exec", NotifyAccess::Exec),
        ("all", NotifyAccess::All),
    ];
    let Some(access) = reader.choice("notify-access", &choices) else {
        return default;
    };
    if needed
        && access == NotifyAccess::None
        && let Some(node) = reader.node("notify-access")
    {
        let (what, who) = if lifecycle {
            (
                "nobody could tell that the service is ready or alive",
                "of type notify or with a watchdog",
            )
        } else {
            ("nobody could store a descriptor", "with fd-store-max")
        };
        let bad = Bad::new(what);
        let hint = format!("a service {who} needs \"main\", \"exec\" or \"all\"");
        reader.decoder.bad::<()>(node.place, bad.hint(hint));
    }
    access
}

/// Where a relative path of the spec begins.
pub(super) fn spec_dir(directory: &Path, path: &Path) -> PathBuf {
    let path = directory.join(path);
    if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("/")).to_owned() }
}
