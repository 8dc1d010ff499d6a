//! The loader as a whole, by files.

mod broken;
mod files;
mod hostile;
mod recipe;
mod whole;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Config, LoadError, LoadOptions, ServiceConfig, load};

/// An ordinary user in this directory.
fn options(directory: &Path, path: &str) -> LoadOptions {
    LoadOptions {
        path: Some(PathBuf::from(path)),
        command: None,
        environment: environment(&[
            ("HOME", "/home/test"),
            ("PATH", "/bin"),
            ("XDG_STATE_HOME", "/var/log"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
        ]),
        uid: 1000,
        directory: directory.to_owned(),
        umask: 0o027,
    }
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Loads a spec that is one text.
fn load_text(text: &str) -> Result<Config, LoadError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("spec.toml"), text).expect("it is written");
    load(&options(directory.path(), "spec.toml"))
}

fn service<'a>(config: &'a Config, name: &str) -> &'a ServiceConfig {
    config.services.iter().find(|service| service.spec.name == name).expect(name)
}

/// The messages of the faults, one a line.
fn messages(result: Result<Config, LoadError>) -> Vec<String> {
    let error = result.expect_err("it is wrong");
    error.faults().iter().map(|fault| fault.message.clone()).collect()
}
