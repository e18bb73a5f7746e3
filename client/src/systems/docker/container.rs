//! A container as `docker inspect` shows it, and what of that is recorded.
//!
//! Invariants: a field leaves in clear only if it stands in [`SHOWN`]; what stands in
//! [`PASSED_OVER`] changes by itself; all else, of any version of Docker, leaves as a keyed tag,
//! so that a change shows and the value does not. Values of environment variables and labels
//! are always tags, and so is an argument that looks like a secret.

use cairn_proto::{hash::Sha256, name::ArtifactName};
use serde_json::{Map, Value, json};

use super::{
    super::Desk,
    fields::{PASSED_OVER, SETS, SHOWN},
    graph::wrong,
    reference::{digest_of, text_of},
    words,
};
use crate::{detail::pointer_step, sources::SourceError};

/// Of a container as it is recorded.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.cairn.docker.container.v1+json";

/// A container, and what its document says of its image.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) state: String,
    /// As it was named when the container was made.
    pub(super) reference: String,
    /// The id of its image: of the configuration, or with containerd's store of the manifest.
    pub(super) image: Sha256,
    /// The manifest of its platform; only containerd's store tells it.
    pub(super) manifest: Option<Sha256>,
    document: Map<String, Value>,
}

impl Container {
    /// Whether the document is one of a container.
    pub(super) fn is(document: &Value) -> bool {
        let has = |name| document.get(name).is_some_and(Value::is_object);
        has("Config") && has("State")
    }

    pub(super) fn read(from: &str, document: Value) -> Result<Self, SourceError> {
        let text = |path: &str| {
            let value = document.pointer(path).and_then(Value::as_str);
            value.map(str::to_owned)
        };
        let name = text("/Name").unwrap_or_default();
        let name = name.trim_start_matches('/').to_owned();
        let lacks = |what: &str| wrong(from, format!("the container {name} has no {what}"));
        if name.is_empty() {
            return Err(wrong(from, "a container has no Name"));
        }
        let image = text("/Image").ok_or_else(|| lacks("Image"))?;
        let digest = digest_of(&image).or_else(|| image.parse().ok());
        let manifest = text("/ImageManifestDescriptor/digest");
        Ok(Self {
            state: text("/State/Status").ok_or_else(|| lacks("State.Status"))?,
            reference: text("/Config/Image").unwrap_or_default(),
            image: digest.ok_or_else(|| lacks("Image that is a digest"))?,
            manifest: manifest.as_deref().and_then(digest_of),
            document: match document {
                Value::Object(document) => document,
                _ => return Err(lacks("members")),
            },
            name,
        })
    }

    /// The id is that of a configuration, and not of a manifest.
    pub(super) fn config(&self) -> Option<Sha256> {
        self.manifest.is_none().then_some(self.image)
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == "running"
    }

    /// Nothing of it runs, nor will by itself.
    pub(super) fn is_over(&self) -> bool {
        matches!(
            self.state.as_str(),
            "created" | "exited" | "dead" | "removing"
        )
    }

    /// What is recorded, or compared.
    pub(super) fn cleaned(
        &self,
        name: &ArtifactName,
        desk: &mut Desk<'_>,
    ) -> Result<Value, SourceError> {
        let mut cleaner = Cleaner { name, desk };
        let mut all = cleaner.part("", "", &self.document)?;
        all.insert("name".to_owned(), self.name.clone().into());
        all.insert("state".to_owned(), self.state.clone().into());
        all.insert("image".to_owned(), self.image());
        all.insert("config".to_owned(), self.configured(&mut cleaner)?.into());
        let host = self.members("HostConfig");
        let host = cleaner.part("HostConfig", "/hostConfig", &host)?;
        all.insert("hostConfig".to_owned(), host.into());
        all.insert("mounts".to_owned(), self.mounts(&mut cleaner)?);
        let networks = self.document.get("NetworkSettings");
        let networks = networks.and_then(|it| it.get("Networks")?.as_object());
        let networks = networks.into_iter().flat_map(Map::keys);
        let networks: Map<_, _> = networks.map(|name| (name.clone(), true.into())).collect();
        all.insert("networks".to_owned(), networks.into());
        Ok(all.into())
    }

    fn members(&self, part: &str) -> Map<String, Value> {
        let members = self.document.get(part).and_then(Value::as_object);
        members.cloned().unwrap_or_default()
    }

    fn image(&self) -> Value {
        let kind = if self.manifest.is_some() {
            "manifest"
        } else {
            "config"
        };
        json!({ kind: text_of(&self.manifest.unwrap_or(self.image)) })
    }

    fn configured(&self, cleaner: &mut Cleaner<'_, '_>) -> Result<Map<String, Value>, SourceError> {
        let config = self.members("Config");
        let mut shown = cleaner.part("Config", "/config", &config)?;
        let id = self.document.get("Id").and_then(Value::as_str);
        let host = config.get("Hostname").and_then(Value::as_str);
        // Docker's own choice, another one for each container.
        if host.is_some_and(|host| host.len() >= 12 && id.is_some_and(|id| id.starts_with(host))) {
            shown.remove("hostname");
        }
        for part in ["Cmd", "Entrypoint"] {
            let own = spelled(part);
            let value = config.get(part).unwrap_or(&Value::Null);
            let value = cleaner.arguments(&format!("/config/{own}"), value)?;
            shown.insert(own, value);
        }
        if let Some(check) = config.get("Healthcheck").and_then(Value::as_object) {
            let pointer = "/config/healthcheck";
            let mut kept = cleaner.part("Healthcheck", pointer, check)?;
            let test = check.get("Test").unwrap_or(&Value::Null);
            let test = cleaner.arguments(&format!("{pointer}/test"), test)?;
            kept.insert("test".to_owned(), test);
            shown.insert("healthcheck".to_owned(), kept.into());
        }
        let env = config.get("Env").and_then(Value::as_array);
        let mut variables: Map<String, Value> = Map::new();
        for variable in env.into_iter().flatten().filter_map(Value::as_str) {
            let (key, value) = variable.split_once('=').unwrap_or((variable, ""));
            let pointer = format!("/config/env{}", pointer_step(key));
            let tag = cleaner.tag(&pointer, value)?;
            if variables.insert(key.to_owned(), tag).is_some() {
                let why = format!("the variable {key} is there twice");
                return Err(wrong(&self.name, why));
            }
        }
        shown.insert("env".to_owned(), variables.into());
        let mut labels = Map::new();
        let own = config.get("Labels").and_then(Value::as_object);
        for (key, value) in own.into_iter().flatten() {
            let pointer = format!("/config/labels{}", pointer_step(key));
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            labels.insert(key.clone(), cleaner.tag(&pointer, &value)?);
        }
        shown.insert("labels".to_owned(), labels.into());
        Ok(shown)
    }

    fn mounts(&self, cleaner: &mut Cleaner<'_, '_>) -> Result<Value, SourceError> {
        let mounts = self.document.get("Mounts").and_then(Value::as_array);
        let mut shown = Vec::new();
        for mount in mounts.into_iter().flatten().filter_map(Value::as_object) {
            let to = mount.get("Destination").and_then(Value::as_str);
            let pointer = format!("/mounts{}", pointer_step(to.unwrap_or_default()));
            let mut mount = cleaner.part("Mounts", &pointer, mount)?;
            let volume = mount.get("name").and_then(Value::as_str);
            let hex =
                |name: &str| name.len() == 64 && name.bytes().all(|it| it.is_ascii_hexdigit());
            // A volume without a name of its own gets another one for each container.
            if volume.is_some_and(hex) {
                mount.remove("name");
                mount.remove("source");
            }
            shown.push(Value::from(mount));
        }
        Ok(shown.into())
    }
}

struct Cleaner<'c, 'd> {
    name: &'c ArtifactName,
    desk: &'c mut Desk<'d>,
}

impl Cleaner<'_, '_> {
    fn tag(&mut self, pointer: &str, value: &str) -> Result<Value, SourceError> {
        self.desk.withhold(self.name, pointer, value.as_bytes())
    }

    /// The members of one part: shown, passed over, or as tags.
    fn part(
        &mut self,
        part: &str,
        pointer: &str,
        members: &Map<String, Value>,
    ) -> Result<Map<String, Value>, SourceError> {
        let of = |table: &[(&str, &'static [&'static str])]| {
            let found = table.iter().find(|(name, _)| *name == part);
            found.map_or::<&[&str], _>(&[], |(_, names)| names)
        };
        let (shown, passed) = (of(&SHOWN), of(&PASSED_OVER));
        let mut kept = Map::new();
        for (name, value) in members {
            let own = spelled(name);
            let pointer = format!("{pointer}{}", pointer_step(&own));
            if passed.contains(&name.as_str()) {
                continue;
            }
            if shown.contains(&name.as_str()) {
                // A repository may be called `auth` and is no secret.
                let mut value = match name.as_str() {
                    "Image" => value.clone(),
                    _ => self.shown(&pointer, value)?,
                };
                if let (true, Some(items)) = (SETS.contains(&name.as_str()), value.as_array_mut()) {
                    let text = |item: &Value| item.as_str().unwrap_or_default().to_owned();
                    items.sort_by_key(text);
                }
                kept.insert(own, value);
            } else if !says_nothing(value) {
                kept.insert(own, self.tag(&pointer, &value.to_string())?);
            }
        }
        Ok(kept)
    }

    /// A value that may be shown, but for texts in it that look like secrets.
    fn shown(&mut self, pointer: &str, value: &Value) -> Result<Value, SourceError> {
        Ok(match value {
            Value::String(text) if words::is_secret(text) => self.tag(pointer, text)?,
            Value::Array(items) => {
                let mut kept = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    kept.push(self.shown(&format!("{pointer}/{at}"), item)?);
                }
                kept.into()
            }
            Value::Object(members) => {
                let mut kept = Map::new();
                for (name, item) in members {
                    let pointer = format!("{pointer}{}", pointer_step(name));
                    kept.insert(name.clone(), self.shown(&pointer, item)?);
                }
                kept.into()
            }
            other => other.clone(),
        })
    }

    /// Arguments of a command: one that follows `--password` is a secret whatever it is.
    fn arguments(&mut self, pointer: &str, value: &Value) -> Result<Value, SourceError> {
        let Some(items) = value.as_array() else {
            return self.shown(pointer, value);
        };
        let mut kept = Vec::with_capacity(items.len());
        let mut announced = false;
        for (at, item) in items.iter().enumerate() {
            let pointer = format!("{pointer}/{at}");
            let text = item.as_str().unwrap_or_default();
            kept.push(if announced {
                self.tag(&pointer, text)?
            } else {
                self.shown(&pointer, item)?
            });
            announced = words::announces(text);
        }
        Ok(kept.into())
    }
}

/// Whether a value says no more than that there is none.
pub(super) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) => false,
    }
}

/// `CapAdd` as `capAdd`, `UTSMode` as `utsMode`, `RW` as `rw`.
fn spelled(name: &str) -> String {
    let capitals = name.bytes().take_while(u8::is_ascii_uppercase).count();
    let lowered = match capitals {
        0 | 1 => capitals,
        all if all == name.len() => all,
        some => some - 1,
    };
    let (head, tail) = name.split_at(lowered);
    head.to_ascii_lowercase() + tail
}
