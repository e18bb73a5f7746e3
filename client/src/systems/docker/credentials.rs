//! Who this user is to a registry: what `docker login`, `podman login` or `skopeo login` kept,
//! and the helpers they name.
//!
//! Invariants: a password is in no message, and what is kept of it here is wiped when it is
//! dropped (what is sent is not); files and answers are read within bounds. Out of scope: what a
//! registry makes of it.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{graph::wrong, reference};
use crate::{files, sources::SourceError, systems::tool::Tool};

/// Bytes of a file of credentials.
const FILE_BYTES_MAX: usize = 1 << 20;
/// How long a helper may take: it may have to unlock something.
const PATIENCE: Duration = Duration::from_secs(30);
/// How Docker calls its own registry in these files.
const HUB: &str = "https://index.docker.io/v1/";
/// The name that says that the secret is no password but an identity token.
const IDENTITY: &str = "<token>";

/// What proves who somebody is.
pub(super) enum Proof {
    /// A name and a password, as RFC 7617 sends them, in base64.
    Basic(Zeroizing<String>),
    /// A token that stands for both, for a registry's token server alone.
    Identity(Zeroizing<String>),
}

/// A proof, and where it was found.
pub(super) struct Login {
    pub(super) proof: Proof,
    pub(super) place: String,
}

/// `config.json` of Docker, `auth.json` of the others.
///
/// Each member may be there with nothing in it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Kept {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, Option<String>>>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<Zeroizing<String>>,
    identitytoken: Option<Zeroizing<String>>,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: Zeroizing<String>,
    secret: Zeroizing<String>,
}

/// The user's proof for a repository, from the first file that has one; without any, what was
/// the matter with a file or a helper.
pub(super) fn find(registry: &str, repository: &str) -> Result<Option<Login>, SourceError> {
    let mut none = Ok(None);
    for path in places(|name| env::var_os(name).filter(|value| !value.is_empty())) {
        match find_in(&path, registry, repository) {
            Ok(Some(login)) => return Ok(Some(login)),
            Ok(None) => {}
            Err(trouble) => none = none.and(Err(trouble)),
        }
    }
    none
}

/// Where credentials may be, in the order in which they are looked for.
fn places(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    if let Some(only) = variable("REGISTRY_AUTH_FILE") {
        return vec![only.into()];
    }
    let below = |folder: Option<OsString>, name: &str| folder.map(|it| Path::new(&it).join(name));
    let home = || variable("HOME");
    let runtime = below(variable("XDG_RUNTIME_DIR"), "containers/auth.json");
    let user = rustix::process::getuid().as_raw();
    let config = below(variable("XDG_CONFIG_HOME"), "containers/auth.json");
    let docker = below(variable("DOCKER_CONFIG"), "config.json");
    let all = [
        runtime.or_else(|| Some(format!("/run/containers/{user}/auth.json").into())),
        config.or_else(|| below(home(), ".config/containers/auth.json")),
        docker.or_else(|| below(home(), ".docker/config.json")),
    ];
    all.into_iter().flatten().collect()
}

fn find_in(path: &Path, registry: &str, repository: &str) -> Result<Option<Login>, SourceError> {
    let shown = path.display().to_string();
    let bytes = files::read(path, FILE_BYTES_MAX);
    let bytes = bytes.map_err(|error| wrong(&shown, error.to_string()))?;
    let Some(bytes) = bytes.map(Zeroizing::new) else {
        return Ok(None);
    };
    // Not what the parser says: it may repeat what is in there.
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let why = format!("no file of credentials, from line {line}, column {column} on");
        wrong(&shown, why)
    })?;
    let names = names(registry, repository);
    let some = |name: &&str| !name.is_empty();
    let helpers = kept.cred_helpers.unwrap_or_default();
    if let Some(helper) = entry(&helpers, &names).map(String::as_str).filter(some) {
        return helped(helper, registry);
    }
    // As Docker has it: a store comes before what was left in the file.
    let stored = match kept.creds_store.as_deref().filter(some) {
        Some(helper) => helped(helper, registry),
        None => Ok(None),
    };
    if let Ok(Some(login)) = stored {
        return Ok(Some(login));
    }
    let auths = kept.auths.unwrap_or_default();
    let kept = entry(&auths, &names).map(|entry| entry.login(&shown, registry));
    match kept.transpose()?.flatten() {
        Some(login) => Ok(Some(login)),
        None => stored,
    }
}

impl Entry {
    /// The proof that stands here, if any does.
    fn login(&self, place: &str, registry: &str) -> Result<Option<Login>, SourceError> {
        let found = |proof| {
            let place = place.to_owned();
            Ok(Some(Login { proof, place }))
        };
        if let Some(token) = self.identitytoken.clone().filter(|it| !it.is_empty()) {
            return found(Proof::Identity(token));
        }
        let Some(auth) = self.auth.clone().filter(|it| !it.is_empty()) else {
            return Ok(None);
        };
        let plain = STANDARD.decode(auth.as_bytes()).map(Zeroizing::new);
        let colon = plain
            .as_ref()
            .map(|it| it.iter().position(|byte| *byte == b':'));
        match (colon, plain.as_ref().map(|it| it.len())) {
            (Ok(Some(at)), Ok(length)) if at > 0 && at + 1 < length => found(Proof::Basic(auth)),
            // Without a name, or without a password, nobody is meant.
            (Ok(Some(_)), _) => Ok(None),
            _ => {
                let why = format!("its `auth` for {registry} is no name and password in base64");
                Err(wrong(place, why))
            }
        }
    }
}

/// How a repository may be called in there, the most particular first.
fn names(registry: &str, repository: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut path = repository;
    loop {
        names.push(format!("{registry}/{path}"));
        match path.rsplit_once('/') {
            Some((above, _)) => path = above,
            None => break,
        }
    }
    names.push(registry.to_owned());
    if registry == reference::HUB {
        names.extend(["index.docker.io", "registry-1.docker.io"].map(str::to_owned));
    }
    names
}

/// What is there under the first of these names; older files have addresses for names.
fn entry<'a, T>(all: &'a BTreeMap<String, Option<T>>, names: &[String]) -> Option<&'a T> {
    let plain = |key: &str| {
        let key = key.strip_prefix("https://").unwrap_or(key);
        let key = key.strip_prefix("http://").unwrap_or(key);
        match key.trim_end_matches('/').split_once('/') {
            Some((host, "v1" | "v2")) => host.to_owned(),
            _ => key.trim_end_matches('/').to_owned(),
        }
    };
    names.iter().find_map(|name| {
        let mut entries = all.iter();
        let exact = all.get(name).and_then(Option::as_ref);
        exact.or_else(|| entries.find(|(key, _)| plain(key) == *name)?.1.as_ref())
    })
}

/// Asks a helper; that it has nothing is no failure.
fn helped(helper: &str, registry: &str) -> Result<Option<Login>, SourceError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !helper.bytes().all(plain) {
        let why = "its name for a helper is none";
        return Err(wrong(registry, why));
    }
    let program = format!("docker-credential-{helper}");
    let server = if registry == reference::HUB {
        HUB
    } else {
        registry
    };
    let tool = Tool::new(&program, &["get"]).patient(PATIENCE);
    let said = tool.reads(server.as_bytes().to_vec()).run()?;
    if said.output.starts_with(b"credentials not found") {
        return Ok(None);
    }
    let output = Zeroizing::new(said.output()?);
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| wrong(&program, "its answer is no credentials"))?;
    if answer.username.is_empty() || answer.secret.is_empty() {
        return Ok(None);
    }
    let proof = if answer.username.as_str() == IDENTITY {
        Proof::Identity(answer.secret)
    } else {
        let both = Zeroizing::new(format!("{}:{}", *answer.username, *answer.secret));
        Proof::Basic(Zeroizing::new(STANDARD.encode(both.as_bytes())))
    };
    let place = program;
    Ok(Some(Login { proof, place }))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{Proof, find_in, places};

    /// Goal: files are looked for where the tools keep them, in their order. Method: the
    /// variables that they heed.
    #[test]
    fn credentials_are_where_the_tools_keep_them() {
        let of = |set: &[(&str, &str)]| {
            let found = places(|name| {
                let value = set.iter().find(|(known, _)| *known == name);
                value.map(|(_, value)| (*value).into())
            });
            let shown = found.iter().map(|path| path.display().to_string());
            shown.collect::<Vec<_>>()
        };
        let home = ("HOME", "/h");
        let own = of(&[home]);
        assert!(own[0].starts_with("/run/containers/"), "{own:?}");
        assert_eq!(
            own[1..],
            ["/h/.config/containers/auth.json", "/h/.docker/config.json"]
        );
        let set = [
            home,
            ("XDG_RUNTIME_DIR", "/r"),
            ("XDG_CONFIG_HOME", "/c"),
            ("DOCKER_CONFIG", "/d"),
        ];
        let all = [
            "/r/containers/auth.json",
            "/c/containers/auth.json",
            "/d/config.json",
        ];
        assert_eq!(of(&set), all);
        assert_eq!(of(&[home, ("REGISTRY_AUTH_FILE", "/only")]), ["/only"]);
    }

    /// Goal: of several entries the one that the tools would use is used, whatever else stands
    /// there, and nothing is taken for somebody. Method: files as they come about.
    #[test]
    fn the_entry_is_that_which_the_tools_would_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let find = |text: &str, registry: &str| {
            fs::write(&path, text).unwrap();
            let found = find_in(&path, registry, "team/shop").unwrap();
            found.map(|login| match login.proof {
                Proof::Basic(text) | Proof::Identity(text) => text.to_string(),
            })
        };
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}},"credsStore":""}"#;
        assert_eq!(find(hub, "docker.io").as_deref(), Some("YTpi"));
        let deep = r#"{"auths":{"r.example":{"auth":"YTpi"},"r.example/team/v1":{"auth":"YTpj"},
            "r.example/team":{"auth":"YTpk"}}}"#;
        assert_eq!(find(deep, "r.example").as_deref(), Some("YTpk"));
        for nobody in [
            "{}",
            r#"{"auths":null,"credHelpers":null}"#,
            r#"{"auths":{"r.example":null}}"#,
            r#"{"auths":{"r.example":{}},"credHelpers":{"r.example":""}}"#,
            r#"{"auths":{"r.example":{"auth":"Og=="}}}"#,
            r#"{"auths":{"r.example":{"auth":"YTo="}}}"#,
            r#"{"auths":{"r.example.evil":{"auth":"YTpi"},"example":{"auth":"YTpi"}}}"#,
        ] {
            assert_eq!(find(nobody, "r.example"), None, "{nobody}");
        }
        let missing = find_in(Path::new("/nowhere/config.json"), "r.example", "a");
        assert!(missing.unwrap().is_none());
    }
}
