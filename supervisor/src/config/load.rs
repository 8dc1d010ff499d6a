//! From files to a [`Config`], or to everything that is wrong with them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command_line;
use super::daemon::{self, Daemon};
use super::decode::Decoder;
use super::defaults::with_defaults;
use super::environment;
use super::environment_file::EnvironmentFiles;
use super::fault::{Draft, Faults};
use super::files::Documents;
use super::identity::Identities;
use super::instances::{self, Counts, Instances};
use super::keys;
use super::names;
use super::output;
use super::reader::not_supported;
use super::recipe::Recipe;
use super::sections::Sections;
use super::service::{Built, Order, Workshop, spec_dir};
use super::source::{Place, Sources};
use super::stop::ModeNames;
use super::tree::Table;
use super::{Config, LoadError};

/// What a spec is loaded with: nothing else of the process has an effect on it.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// A file, or a directory whose `*.toml` are read. `None`: the first of the default places,
    /// unless there is a `command`.
    pub path: Option<PathBuf>,
    /// A further service `main`, whose end ends everything. Without `path` it is the only one.
    pub command: Option<Vec<String>>,
    /// The daemon's environment.
    pub environment: BTreeMap<String, String>,
    /// The daemon's effective user id.
    pub uid: u32,
    /// The daemon's working directory: absolute, or `.` if it has been removed.
    pub directory: PathBuf,
    /// The daemon's file mode creation mask, which `command` keeps.
    pub umask: u32,
}

impl LoadOptions {
    /// Those of this process. Variables that are not UTF-8 are left out.
    pub fn of_process(path: Option<PathBuf>, command: Option<Vec<String>>) -> Self {
        let variables = std::env::vars_os();
        let environment = variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            path,
            command,
            environment,
            uid: nix::unistd::geteuid().as_raw(),
            // Even a directory that has been removed can still be worked in.
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            umask: umask(),
        }
    }
}

/// Reads, checks and expands a spec.
///
/// A spec without services is valid: the daemon then waits for nothing but requests.
///
/// # Errors
/// Everything that is wrong with the spec, all at once.
pub fn load(options: &LoadOptions) -> Result<Config, LoadError> {
    let faults = Faults::default();
    let path = match (&options.path, &options.command) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(_)) => None,
        (None, None) => match search(options) {
            Ok(path) => Some(path),
            Err(fault) => {
                faults.add(fault);
                return faults.finish(&Sources::default(), None);
            }
        },
    };
    let documents = match &path {
        Some(path) => Documents::read(&options.directory, path, &faults),
        None => Documents::default(),
    };
    let spec_dir = match &path {
        Some(path) => spec_dir(&options.directory, path),
        None => options.directory.clone(),
    };
    let Documents { sources, tables, incomplete } = documents;
    let sections = Sections::new(tables, incomplete, &faults);
    let counts = Counts::new();
    let config = assemble(options, &spec_dir, &sections, &sources, incomplete, &counts, &faults);
    let mut config = faults.finish(&sources, config)?;
    let scalable = |instances: &Instances| matches!(instances, Instances::Number(_));
    if config.instances.values().any(scalable) {
        config.recipe = Some(Recipe::new(options.clone(), spec_dir, sections, sources));
    }
    Ok(config)
}

/// Makes the services; `counts` says for some how many instances they have.
pub(super) fn assemble(
    options: &LoadOptions,
    spec_dir: &Path,
    sections: &Sections,
    sources: &Sources,
    incomplete: bool,
    counts: &Counts,
    faults: &Faults,
) -> Option<Config> {
    let plain = Decoder { faults, sources, scope: None };
    let identities = Identities::default();
    let daemon = Daemon::read(&sections.supervisor, spec_dir, options, sources, faults);
    let runtime_dir = &daemon.config.runtime_dir;
    let control = daemon::control(&sections.control, spec_dir, runtime_dir, &identities, plain);
    let stop_modes = ModeNames::default();
    let workshop = Workshop {
        options,
        sources,
        faults,
        daemon: &daemon,
        spec_dir,
        inherited: &environment::inherited(&options.environment, daemon.clear_environment),
        identities: &identities,
        environment_files: &EnvironmentFiles::default(),
        environments: RefCell::default(),
        stop_modes: &stop_modes,
        incomplete,
    };
    check_defaults(&workshop, &sections.defaults);
    for socket in sections.sockets.values() {
        plain.bad::<()>(socket.place, not_supported("\"socket\""));
        for (name, entry) in &socket.table.entries {
            if !keys::SOCKET.contains(&name.as_str()) {
                keys::unknown(&plain, name, entry.key, keys::SOCKET);
            }
        }
    }
    let mut built = Vec::new();
    let mut instanced = BTreeMap::new();
    let mut said = BTreeMap::new();
    for (name, service) in &sections.services {
        let table = with_defaults(&service.table, &sections.defaults);
        let order =
            Order { table: &table, place: service.place, name, instance: None, defaults: false };
        match table.entries.get("instances") {
            None => built.push(workshop.build(order)),
            Some(entry) => {
                let instead = counts.get(name).copied();
                let (how, list) = instances::read(&entry.node, &plain, instead);
                said.insert(name.clone(), how);
                let each = list.iter().map(|instance| Order { instance: Some(instance), ..order });
                built.extend(each.map(|order| workshop.build(order)));
                instanced.insert(name.clone(), list);
            }
        }
    }
    let main = match &options.command {
        Some(command) => Some(command_line::service(command, options, &workshop, sections)?),
        None => None,
    };
    let files = built.iter().flat_map(|built: &Built| {
        built.log_files.iter().map(|file| (built.config.spec.name.as_str(), file))
    });
    output::refuse_sharing(files, faults);
    if incomplete {
        return None;
    }
    let (services, groups) = names::resolve(built, main, &instanced, sections, plain);
    Some(Config {
        files: sources.paths().map(Path::to_owned).collect(),
        daemon: daemon.config.clone(),
        control,
        services,
        groups,
        stop_modes: stop_modes.into_list(),
        instances: said,
        recipe: None,
    })
}

/// Reads `[defaults]` as if it were a service, so that what is wrong is told even if no service
/// takes it.
fn check_defaults(workshop: &Workshop<'_>, defaults: &Table) {
    let Some(first) = defaults.entries.values().next() else {
        return;
    };
    let place: Place = first.key;
    let order = Order { table: defaults, place, name: "defaults", instance: None, defaults: true };
    workshop.build(order);
}

/// The first of the default places where there is a spec.
fn search(options: &LoadOptions) -> Result<PathBuf, Draft> {
    let mut places = vec![PathBuf::from("supervisor.toml")];
    if options.uid != 0 {
        let config = daemon::directory(&options.environment, "XDG_CONFIG_HOME").or_else(|| {
            daemon::directory(&options.environment, "HOME").map(|home| home.join(".config"))
        });
        places.extend(config.map(|config| config.join("supervisor/supervisor.toml")));
    }
    places.push(PathBuf::from("/etc/supervisor/supervisor.toml"));
    // One that is there but cannot be read is the spec all the same, and reading it tells why.
    let there = |place: &&PathBuf| options.directory.join(place).symlink_metadata().is_ok();
    if let Some(found) = places.iter().find(there) {
        return Ok(found.clone());
    }
    let tried: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    let fault = Draft::placeless(format!("there is no spec at {}", tried.join(" or ")));
    Err(fault.hint("name one with --config FILE, or a command behind --"))
}

/// Reading it by `umask(2)` would change it for a moment, for all threads (`proc_pid_status(5)`).
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}
