//! Who this user is to a registry: what `docker login`, `podman login` or `skopeo login` kept,
//! and the helpers they name.
//!
//! Invariants: a password is wiped when it is dropped, and is in no message; files and answers
//! are read within bounds. Out of scope: what a registry makes of it.

use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::graph::wrong;
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
#[derive(Clone)]
pub(super) enum Proof {
    /// A name and a password, as RFC 7617 sends them, in base64.
    Basic(Zeroizing<String>),
    /// A token that stands for both, for a registry's token server alone.
    Identity(Zeroizing<String>),
}

/// A proof, and where it was found.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) proof: Proof,
    pub(super) place: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Login({})", self.place)
    }
}

/// `config.json` of Docker, `auth.json` of the others.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Kept {
    auths: HashMap<String, Entry>,
    cred_helpers: HashMap<String, String>,
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

/// The user's proof for a repository, from the first file that has one.
pub(super) fn find(registry: &str, repository: &str) -> Result<Option<Login>, SourceError> {
    for path in places(|name| env::var_os(name).filter(|value| !value.is_empty())) {
        if let Some(login) = find_in(&path, registry, repository)? {
            return Ok(Some(login));
        }
    }
    Ok(None)
}

/// Where credentials may be, in the order in which they are looked for.
fn places(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    if let Some(only) = variable("REGISTRY_AUTH_FILE") {
        return vec![only.into()];
    }
    let below = |folder: Option<OsString>, name: &str| folder.map(|it| Path::new(&it).join(name));
    let home = || variable("HOME");
    let docker = below(variable("DOCKER_CONFIG"), "config.json");
    let all = [
        below(variable("XDG_RUNTIME_DIR"), "containers/auth.json"),
        below(home(), ".config/containers/auth.json"),
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
    if let Some(helper) = entry(&kept.cred_helpers, &names) {
        return helped(helper, registry);
    }
    let found = entry(&kept.auths, &names);
    if let Some(token) = found.and_then(|it| it.identitytoken.clone().filter(|it| !it.is_empty())) {
        let proof = Proof::Identity(token);
        return Ok(Some(Login {
            proof,
            place: shown,
        }));
    }
    match found.and_then(|it| it.auth.clone().filter(|it| !it.is_empty())) {
        Some(auth) => {
            let sound = STANDARD.decode(auth.as_bytes()).map(Zeroizing::new);
            if !sound.is_ok_and(|text| text.contains(&b':')) {
                let why = format!("its `auth` for {registry} is no name and password in base64");
                return Err(wrong(&shown, why));
            }
            let proof = Proof::Basic(auth);
            Ok(Some(Login {
                proof,
                place: shown,
            }))
        }
        None => match &kept.creds_store {
            Some(helper) => helped(helper, registry),
            None => Ok(None),
        },
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
    if registry == "docker.io" {
        names.extend(["index.docker.io", "registry-1.docker.io"].map(str::to_owned));
    }
    names
}

/// What is there under the first of these names; older files have addresses for names.
fn entry<'a, T>(all: &'a HashMap<String, T>, names: &[String]) -> Option<&'a T> {
    let plain = |key: &str| {
        let key = key.strip_prefix("https://").unwrap_or(key);
        let key = key.strip_prefix("http://").unwrap_or(key);
        let key = key.trim_end_matches('/');
        let old = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2"));
        old.unwrap_or(key).to_owned()
    };
    names.iter().find_map(|name| {
        let mut entries = all.iter();
        all.get(name)
            .or_else(|| entries.find(|(key, _)| plain(key) == *name).map(|it| it.1))
    })
}

/// Asks a helper; that it has nothing is no failure.
fn helped(helper: &str, registry: &str) -> Result<Option<Login>, SourceError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if helper.is_empty() || !helper.bytes().all(plain) {
        let why = "its name for a helper is none";
        return Err(wrong(registry, why));
    }
    let program = format!("docker-credential-{helper}");
    let server = if registry == "docker.io" {
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
    let proof = if answer.username.as_str() == IDENTITY {
        Proof::Identity(answer.secret)
    } else {
        let both = Zeroizing::new(format!("{}:{}", *answer.username, *answer.secret));
        Proof::Basic(Zeroizing::new(STANDARD.encode(both.as_bytes())))
    };
    let place = program;
    Ok(Some(Login { proof, place }))
}
