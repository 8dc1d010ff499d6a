//! The service `main`: a command of the command line, run as an init would.

use std::collections::BTreeMap;

use supervisor_engine::{Kind, RestartPolicy, ServiceSpec};

use super::decode::Decoder;
use super::environment;
use super::expand::Scope;
use super::fault::Draft;
use super::load::LoadOptions;
use super::output;
use super::sections::Sections;
use super::service::Workshop;
use super::{Context, FdStoreConfig, ListedCommands, NotifyAccess, ServiceConfig, Sink};

const NAME: &str = "main";

/// It runs once, in the daemon's own context and with its streams, and its end is the daemon's.
pub(super) fn service(
    command: &[String],
    options: &LoadOptions,
    workshop: &Workshop<'_>,
    sections: &Sections,
) -> Option<ServiceConfig> {
    if command.first().is_none_or(String::is_empty) {
        workshop.faults.add(
            Draft::placeless("the command of the command line is empty")
                .hint("name a program behind --"),
        );
        return None;
    }
    for section in [&sections.services, &sections.groups, &sections.sockets] {
        if let Some(named) = section.get(NAME) {
            let message = format!("`{NAME}` is the name of the command of the command line");
            workshop.faults.add(Draft::new(named.place, message).hint("give it another name"));
        }
    }
    let mut environment = workshop.inherited.clone();
    if let Some(node) = workshop.daemon.environment {
        let builtins = BTreeMap::from([("SERVICE", NAME.to_owned())]);
        let layers = vec![&options.environment];
        let scope = Scope { builtins: &builtins, layers, beside: None, strict: true };
        let (faults, sources) = (workshop.faults, workshop.sources);
        let decoder = Decoder { faults, sources, scope: Some(&scope) };
        environment.extend(environment::pairs(node, &decoder));
    }
    let mut spec = ServiceSpec::new(NAME, Kind::Simple);
    spec.restart.policy = RestartPolicy::No;
    Some(ServiceConfig {
        spec,
        description: String::new(),
        instance: None,
        place: "the command line".to_owned(),
        command: Some(command.to_vec()),
        further_commands: Vec::new(),
        listed_commands: ListedCommands::default(),
        stop_commands: Vec::new(),
        reload_command: None,
        context: Context {
            working_directory: options.directory.clone(),
            umask: options.umask,
            environment: environment.into(),
            inherit_stdin: true,
            ..Context::default()
        },
        readiness: None,
        liveness: None,
        pid_file: None,
        notify_access: NotifyAccess::None,
        fd_store: FdStoreConfig::default(),
        log: output::to_streams(Sink::Inherit, Some(Sink::Inherit)),
        on_failure_shutdown: true,
        on_success_shutdown: true,
    })
}
