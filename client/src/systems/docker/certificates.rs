//! The authorities that this machine accepts for a registry besides the web's: the files that
//! Docker, podman and skopeo read. Out of scope: certificates of clients.

use std::{env, fs, path::PathBuf};

/// Files of one registry that are looked at.
const FILES_MAX: usize = 64;

/// The files `*.crt` of the first folder that has some for a registry, in the order of names.
pub(super) fn of(registry: &str) -> Vec<PathBuf> {
    let own = env::var_os("HOME").filter(|home| !home.is_empty());
    let own = own.map(|home| PathBuf::from(home).join(".config/containers/certs.d"));
    let all = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    let folders = own.into_iter().chain(all).map(|it| it.join(registry));
    let found = folders.map(|folder| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let mut files: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|it| it == "crt"))
            .take(FILES_MAX)
            .collect();
        files.sort();
        files
    });
    found
        .into_iter()
        .find(|files| !files.is_empty())
        .unwrap_or_default()
}
