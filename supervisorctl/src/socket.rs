//! Where the daemon's socket is.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use supervisor_api::Address;
use toml::de::DeTable;

use crate::args::Globals;
use crate::environment::Environment;
use crate::error::CtlError;
use crate::exit::Exit;

/// The name of the socket in the daemon's runtime directory.
const SOCKET: &str = "control.sock";

/// Where the daemon listens: `-s`, `SUPERVISOR_SOCKET`, what the spec of `-c` says, then the
/// default places.
pub(crate) fn find(globals: &Globals, environment: &Environment) -> Result<Address, CtlError> {
    if let Some(url) = &globals.server {
        return parse(url);
    }
    if let Some(socket) = &environment.socket {
        return parse(&socket.to_string_lossy());
    }
    if let Some(spec) = &globals.config
        && let Some(socket) = of_spec(spec)?
    {
        return Ok(Address::Unix(socket));
    }
    let places = default_places(environment);
    let usable = |place: &&PathBuf| place.exists() && is_safe(place, environment.uid);
    let place = places.iter().find(usable).or(places.first());
    place.cloned().map(Address::Unix).ok_or_else(|| CtlError::new(Exit::Usage, "no place to look"))
}

fn parse(url: &str) -> Result<Address, CtlError> {
    url.parse().map_err(|error: supervisor_api::client::AddressError| {
        CtlError::new(Exit::Usage, error.to_string())
    })
}

/// In the order in which they are tried; the first is the one to name when none exists.
fn default_places(environment: &Environment) -> Vec<PathBuf> {
    let system = Path::new("/run/supervisor").join(SOCKET);
    if environment.uid == 0 {
        return vec![system];
    }
    let own = environment.runtime_dir.as_ref().map(|dir| dir.join("supervisor").join(SOCKET));
    let fallback = PathBuf::from(format!("/tmp/supervisor-{}", environment.uid)).join(SOCKET);
    own.into_iter().chain([fallback, system]).collect()
}

/// Everybody may make a directory in `/tmp`: one that is neither ours nor root's is a trap.
fn is_safe(socket: &Path, uid: u32) -> bool {
    let owner = socket.parent().and_then(|dir| dir.symlink_metadata().ok()).map(|dir| dir.uid());
    owner == Some(uid) || owner == Some(0)
}

/// What `[control] socket` or `[supervisor] runtime-dir` of a spec says. Only these two are
/// looked at: whether the rest is valid is the daemon's business. Of several files in a
/// directory the last one counts.
fn of_spec(spec: &Path) -> Result<Option<PathBuf>, CtlError> {
    let (mut socket, mut runtime_dir) = (None, None);
    for file in spec_files(spec)? {
        let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        let table = DeTable::parse(&text).map_err(|error| {
            let message = format!("{} is not valid TOML: {}", file.display(), error.message());
            let hint = format!("supervisorctl check {}", file.display());
            CtlError::new(Exit::Usage, message).with_hint(hint)
        })?;
        let setting = |section: &str, key: &str| {
            let value = table.get_ref().get(section)?.get_ref().get(key)?.get_ref().as_str()?;
            let dir = file.parent().unwrap_or(Path::new("/"));
            std::path::absolute(dir.join(value)).ok()
        };
        socket = setting("control", "socket").or(socket);
        runtime_dir = setting("supervisor", "runtime-dir").or(runtime_dir);
    }
    Ok(socket.or_else(|| runtime_dir.map(|dir| dir.join(SOCKET))))
}

fn spec_files(spec: &Path) -> Result<Vec<PathBuf>, CtlError> {
    if !spec.is_dir() {
        return Ok(vec![spec.to_owned()]);
    }
    let entries = spec.read_dir().map_err(|error| unreadable(spec, &error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file() && path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, error: &std::io::Error) -> CtlError {
    CtlError::new(Exit::Usage, format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    fn found(arguments: &[&str], environment: &Environment) -> Result<String, String> {
        let words = ["supervisorctl"].iter().chain(arguments);
        let globals = Cli::try_parse_from(words).unwrap().globals;
        match find(&globals, environment) {
            Ok(address) => Ok(address.to_string()),
            Err(error) => Err(format!("{} {}", error.exit.code(), error.message)),
        }
    }

    #[test]
    fn the_option_comes_before_the_environment_before_the_spec() {
        let dir = tempfile::tempdir().unwrap();
        let spec = dir.path().join("s.toml");
        std::fs::write(&spec, "[control]\nsocket = \"/c.sock\"\n").unwrap();
        let spec = spec.to_str().unwrap();
        let mut environment =
            Environment { socket: Some("/e.sock".into()), ..Environment::default() };
        assert_eq!(
            found(&["-s", "unix:///o.sock", "-c", spec], &environment).unwrap(),
            "unix:///o.sock"
        );
        assert_eq!(found(&["-c", spec], &environment).unwrap(), "unix:///e.sock");
        environment.socket = None;
        assert_eq!(found(&["-c", spec], &environment).unwrap(), "unix:///c.sock");
        assert_eq!(found(&[], &environment).unwrap(), "unix:///run/supervisor/control.sock");
    }

    #[test]
    fn a_spec_may_be_a_directory_and_name_the_runtime_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (path, environment) = (dir.path(), Environment::default());
        std::fs::write(path.join("a.toml"), "[supervisor]\nruntime-dir = \"run\"").unwrap();
        std::fs::write(path.join("b.toml"), "[service.x]\ncommand = 1").unwrap();
        std::fs::write(path.join("c.conf"), "[[[").unwrap();
        let expected = format!("unix://{}/run/control.sock", path.display());
        assert_eq!(found(&["-c", path.to_str().unwrap()], &environment).unwrap(), expected);
        std::fs::write(path.join("d.toml"), "[[[").unwrap();
        let error = found(&["-c", path.to_str().unwrap()], &environment).unwrap_err();
        assert!(error.starts_with("2 ") && error.contains("d.toml is not valid TOML"), "{error}");
    }

    #[test]
    fn wrong_addresses_and_missing_specs_are_usage_errors() {
        let environment = Environment::default();
        let error = found(&["-s", "http://localhost:9001"], &environment).unwrap_err();
        assert!(error.starts_with("2 ") && error.contains("not supported yet"), "{error}");
        let error = found(&["-c", "/no/such/file"], &environment).unwrap_err();
        assert!(error.starts_with("2 cannot read /no/such/file"), "{error}");
    }

    #[test]
    fn a_user_looks_at_home_first() {
        let dir = tempfile::tempdir().unwrap();
        let uid = dir.path().metadata().unwrap().uid();
        let environment = Environment {
            runtime_dir: Some(dir.path().into()),
            uid: if uid == 0 { 4_000_000_000 } else { uid },
            ..Environment::default()
        };
        let own = dir.path().join("supervisor").join(SOCKET);
        assert_eq!(
            default_places(&environment),
            [
                own.clone(),
                format!("/tmp/supervisor-{}/control.sock", environment.uid).into(),
                "/run/supervisor/control.sock".into(),
            ]
        );
        std::fs::create_dir(own.parent().unwrap()).unwrap();
        std::fs::write(&own, "").unwrap();
        assert_eq!(found(&[], &environment).unwrap(), format!("unix://{}", own.display()));
        assert!(!is_safe(&own, uid + 1) || uid == 0);
    }
}
