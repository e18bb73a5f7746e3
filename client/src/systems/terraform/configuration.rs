//! The configuration that a directory holds, or that a plan was made from: its lock file, and the
//! files of all its modules, downloaded ones too. They are identified, and never compared.
//!
//! Invariant: files of variables' values leave as tags alone, and so does any file in which a
//! sensitive value stands, or may stand. What a configuration reads with `file()` is not found here: a
//! directory can be recorded beside it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Desk, Secrets, planned};
use crate::{
    sources::{SourceError, shown},
    systems::{
        given::{DOCUMENT_BYTES_MAX, read_file},
        strict,
    },
};

/// Which providers were chosen, by digest.
pub(super) const LOCK_FILE: &str = ".terraform.lock.hcl";
/// Which modules there are, and where.
const MODULES_FILE: &str = ".terraform/modules/modules.json";
/// Endings of files that are configuration.
const ENDINGS: [&str; 4] = [".tf", ".tf.json", ".tofu", ".tofu.json"];
/// Endings of files that hold values of variables.
const SECRET_ENDINGS: [&str; 2] = [".tfvars", ".tfvars.json"];
/// What an argument of a provider, a backend or a connection is called that is a secret.
const SECRETS: [&str; 6] = [
    "password",
    "secret",
    "token",
    "api_key",
    "access_key",
    "private_key",
];
/// Files of all modules: more than any real configuration has.
pub(super) const FILES_MAX: usize = 10_000;

/// Where it is.
pub(super) enum Configuration {
    /// Nowhere: a state says nothing of it, nor does what was printed.
    Untold,
    /// In the plan that was given.
    Planned,
    /// In a directory.
    At(PathBuf),
}

/// Lays down what a plan holds of it.
pub(super) fn lay_down_planned(
    plan: &[u8],
    from: &str,
    secrets: &Secrets,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    for (words, bytes) in planned::files(plan, from)? {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        put(&words, bytes, secrets, desk)?;
    }
    Ok(())
}

/// Lays down what a directory holds of it.
pub(super) fn lay_down(
    directory: &Path,
    secrets: &Secrets,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let lock = directory.join(LOCK_FILE);
    if lock.is_file() {
        let words = ["configuration", LOCK_FILE];
        put(&words, read_file(&lock)?, secrets, desk)?;
    }
    let (mut files, mut bytes) = (0, 0);
    for module in module_directories(directory)? {
        for path in files_of(&directory.join(&module))? {
            files += 1;
            bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if files > FILES_MAX || bytes > DOCUMENT_BYTES_MAX {
                return Err(SourceError::Input {
                    what: shown(directory),
                    why: format!(
                        "its modules have more than {FILES_MAX} files, or {} MiB",
                        DOCUMENT_BYTES_MAX >> 20
                    ),
                });
            }
            let mut words = vec!["configuration".to_owned()];
            let below = module.join(path.file_name().unwrap_or_default());
            let steps = planned::steps(&below);
            words.extend(steps.ok_or_else(|| SourceError::Name { path: shown(&path) })?);
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            put(&words, read_file(&path)?, secrets, desk)?;
        }
    }
    Ok(())
}

fn put(
    words: &[&str],
    bytes: Vec<u8>,
    secrets: &Secrets,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let name = words.last().copied().unwrap_or_default();
    let of_values = SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending));
    if of_values || secrets.in_bytes(&bytes) || declares_secret(&bytes) {
        desk.secret_input(words, &bytes)
    } else {
        desk.input(words, bytes)
    }
}

/// Whether it may say a secret that neither a state nor a plan tells: what a sensitive variable is by
/// default, where another value was given, or how a provider logs in.
fn declares_secret(bytes: &[u8]) -> bool {
    let has = |word: &&str| memchr::memmem::find(bytes, word.as_bytes()).is_some();
    let any = |words: &[&str]| words.iter().any(has);
    (has(&"default") && any(&["sensitive", "ephemeral"]))
        || (any(&["provider", "backend", "connection"]) && any(&SECRETS))
}

/// Where the modules are, below the directory or beside it; itself among them.
fn module_directories(directory: &Path) -> Result<BTreeSet<PathBuf>, SourceError> {
    let mut found = BTreeSet::from([PathBuf::from(".")]);
    let path = directory.join(MODULES_FILE);
    if !path.is_file() {
        return Ok(found);
    }
    let wrong = |why: String| SourceError::Input {
        what: shown(&path),
        why,
    };
    let listed = strict::parse(&read_file(&path)?).map_err(wrong)?;
    let listed = listed.first().and_then(|listed| listed.get("Modules"));
    let modules = listed.and_then(Value::as_array).into_iter().flatten();
    let places = modules.filter_map(|module| module.get("Dir")?.as_str());
    found.extend(places.map(PathBuf::from));
    Ok(found)
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |error| SourceError::unreadable(directory, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let mut endings = ENDINGS.iter().chain(&SECRET_ENDINGS);
        // A link that leads out of the configuration is somebody else's file.
        let own = directory.canonicalize();
        let inside = entry
            .path()
            .canonicalize()
            .is_ok_and(|to| own.is_ok_and(|own| to.starts_with(own)));
        if endings.any(|ending| name.ends_with(ending)) && inside && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
