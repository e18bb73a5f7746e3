//! A release, as Helm keeps it: base64 of base64 of gzip of JSON in a Secret.
//!
//! Invariants: what is taken stands in [`Release`], by name; values, and a manifest that holds
//! a secret, leave as tags alone; what is packed is unpacked to a bound.

use std::io::Read as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::name::ArtifactName;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    super::{given::DOCUMENT_BYTES_MAX, strict},
    Desk, Id, MEDIA_TYPE, RELEASE, input,
};
use crate::{
    detail::printable,
    sources::{Recorded, SourceError, looks_secret},
};

/// How often something may be packed into something: a Secret's base64, Helm's, and gzip.
const LAYERS_MAX: usize = 4;
/// What gzip begins with.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What Helm's Secrets and config maps are named by.
const KEPT_AS: &str = "sh.helm.release.v1.";

/// A release. There is more in Helm's record: none of that goes anywhere.
pub(super) struct Release {
    pub(super) id: Id,
    pub(super) status: String,
    pub(super) manifest: String,
    revision: u64,
    /// The revision that this one was made from again, where Helm says so.
    rollback_to: Option<u64>,
    /// Name, version and version of the application.
    chart: [String; 3],
    /// What the caller set; empty for the chart's own.
    values: Map<String, Value>,
    hooks: Vec<Hook>,
}

/// An object that Helm applies around the others.
struct Hook {
    name: String,
    kind: String,
    path: String,
    manifest: String,
    events: Value,
    weight: Value,
    delete_policies: Value,
}

impl Release {
    /// From a Secret or a config map as kubectl prints it, from what it holds, or from what that
    /// unpacks to.
    pub(super) fn read(from: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        let wrong = |why: String| input(from, &printable(&why));
        let value = unpacked(bytes).map_err(wrong)?;
        let Some(kept) = kept(value.clone()).map_err(wrong)? else {
            return Self::of(&value).map_err(wrong);
        };
        let packed = kept.packed().map_err(wrong)?;
        let release = Self::of(&unpacked(&packed).map_err(wrong)?).map_err(wrong)?;
        let expected = format!("{KEPT_AS}{}.v{}", release.id.name, release.revision);
        if kept.name != expected || kept.namespace != release.id.namespace {
            return Err(wrong(format!(
                "{} in {} holds another release: revision {} of {} in {}",
                kept.name, kept.namespace, release.revision, release.id.name, release.id.namespace
            )));
        }
        Ok(release)
    }

    /// From Helm's JSON.
    pub(super) fn of(value: &Value) -> Result<Self, String> {
        let text = |value: Option<&Value>, what: &str| {
            let text = value.and_then(Value::as_str).filter(|it| !it.is_empty());
            text.map(str::to_owned)
                .ok_or_else(|| format!("it is no release of Helm: it has no {what}"))
        };
        let (namespace, name) = (value.get("namespace"), value.get("name"));
        let id = Id::new(&text(namespace, "namespace")?, &text(name, "name")?);
        let revision = value.get("version").and_then(Value::as_u64);
        let metadata = value.get("chart").and_then(|chart| chart.get("metadata"));
        let of_chart = |name: &str| metadata.and_then(|metadata| metadata.get(name));
        let app_version = of_chart("appVersion").and_then(Value::as_str);
        let manifest = match value.get("manifest") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(_) => return Err("its manifest is no text".to_owned()),
        };
        let values = match value.get("config") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(values)) => values.clone(),
            Some(_) => return Err("its values are no object".to_owned()),
        };
        let info = |name: &str| value.get("info").and_then(|info| info.get(name));
        let said = info("description").and_then(Value::as_str);
        let rollback_to = said.and_then(|said| said.strip_prefix("Rollback to ")?.parse().ok());
        let hooks = match value.get("hooks") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(hooks)) => hooks
                .iter()
                .map(Hook::of)
                .collect::<Option<_>>()
                .ok_or("one of its hooks is cut")?,
            Some(_) => return Err("its hooks are no list".to_owned()),
        };
        Ok(Self {
            id: id.ok_or("its name is one that Helm does not allow")?,
            status: text(info("status"), "status")?,
            manifest,
            revision: revision.ok_or("it is no release of Helm: it has no version")?,
            rollback_to,
            chart: [
                text(of_chart("name"), "name of a chart")?,
                text(of_chart("version"), "version of a chart")?,
                app_version.unwrap_or_default().to_owned(),
            ],
            values,
            hooks,
        })
    }

    /// Takes the number of the recorded revision, if this is that one again: Helm counts on when
    /// it rolls back. Nothing else is taken for the same.
    pub(super) fn stand_for(&mut self, recorded: &Recorded<'_>, desk: &mut Desk<'_>) {
        let mut objects = recorded.objects_of("helm");
        let own =
            objects.find(|(artifact, _)| Id::of(&artifact.name, RELEASE) == Some(self.id.clone()));
        let wanted = own.and_then(|(_, object)| object?.get("revision")?.as_u64());
        let (Some(wanted), true) = (wanted, wanted == self.rollback_to) else {
            return;
        };
        desk.note(format!(
            "revision {} of {} is revision {wanted} rolled back to, says helm",
            self.revision, self.id.name
        ));
        self.revision = wanted;
    }

    /// The object that is recorded, or compared.
    pub(super) fn lay_down(&self, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        let name = self.id.artifact_name(desk)?;
        let [chart, version, app_version] = &self.chart;
        let values = if self.values.is_empty() {
            Value::from("none")
        } else {
            let text = Value::Object(self.values.clone()).to_string();
            desk.withhold(&name, "/values", text.as_bytes())?
        };
        let manifest = digest(&name, "/manifest", &self.manifest, desk)?;
        let mut hooks = Vec::new();
        for (place, hook) in self.hooks.iter().enumerate() {
            let pointer = format!("/hooks/{place}/manifest");
            hooks.push(json!({
                "name": hook.name,
                "kind": hook.kind,
                "path": hook.path,
                "events": hook.events,
                "weight": hook.weight,
                "deletePolicies": hook.delete_policies,
                "manifest": digest(&name, &pointer, &hook.manifest, desk)?,
            }));
        }
        let value = json!({
            "name": self.id.name,
            "namespace": self.id.namespace,
            "revision": self.revision,
            "status": self.status,
            "chart": {"name": chart, "version": version, "appVersion": app_version},
            "values": values,
            "manifest": manifest,
            "hooks": hooks,
        });
        desk.object(name, MEDIA_TYPE, value);
        Ok(())
    }

    /// The hooks as one stream; `None` if there are none.
    pub(super) fn hooks_text(&self) -> Option<String> {
        let texts = self.hooks.iter();
        let texts = texts.map(|it| format!("---\n# Source: {}\n{}\n", it.path, it.manifest));
        Some(texts.collect::<String>()).filter(|text| !text.is_empty())
    }
}

impl Hook {
    fn of(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let other = |name: &str, absent: Value| match value.get(name) {
            None | Some(Value::Null) => absent,
            Some(value) => value.clone(),
        };
        Some(Self {
            name: text("name")?,
            kind: text("kind")?,
            path: text("path")?,
            manifest: text("manifest")?,
            events: other("events", json!([])),
            weight: other("weight", json!(0)),
            delete_policies: other("delete_policies", json!([])),
        })
    }
}

/// What tells a text from others. That of a secret could be found by trying: it gets a tag.
fn digest(
    name: &ArtifactName,
    pointer: &str,
    text: &str,
    desk: &mut Desk<'_>,
) -> Result<Value, SourceError> {
    if looks_secret("manifest.yaml", text.as_bytes()) {
        return desk.withhold(name, pointer, text.as_bytes());
    }
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    Ok(Value::from(format!("sha256:{digest}")))
}

/// What Kubernetes keeps for Helm.
struct Kept {
    name: String,
    namespace: String,
    /// Whether it is a Secret, whose values are base64 once more.
    secret: bool,
    release: String,
}

impl Kept {
    fn packed(&self) -> Result<Vec<u8>, String> {
        if self.secret {
            return decoded(self.release.as_bytes());
        }
        Ok(self.release.clone().into_bytes())
    }
}

/// The Secret or config map that a value is, or a list has alone; `None` if it is neither.
fn kept(mut value: Value) -> Result<Option<Kept>, String> {
    let kind = |value: &Value| value.get("kind").and_then(Value::as_str).map(str::to_owned);
    if kind(&value).is_some_and(|kind| kind.ends_with("List")) {
        let items = value.get_mut("items").and_then(Value::as_array_mut);
        value = match items.map(|items| (items.pop(), items.is_empty())) {
            Some((Some(item), true)) => item,
            _ => return Err("it is a list of more or less than one release".to_owned()),
        };
    }
    let secret = match kind(&value).as_deref() {
        Some("Secret") => true,
        Some("ConfigMap") => false,
        Some(other) => return Err(format!("it is a {other} and no release of Helm")),
        None => return Ok(None),
    };
    let text = |pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.map(str::to_owned).unwrap_or_default()
    };
    if secret && text("/type") != "helm.sh/release.v1" {
        return Err("it is a Secret of another type than helm.sh/release.v1".to_owned());
    }
    Ok(Some(Kept {
        name: text("/metadata/name"),
        namespace: text("/metadata/namespace"),
        secret,
        release: text("/data/release"),
    }))
}

/// The JSON below all layers.
fn unpacked(bytes: &[u8]) -> Result<Value, String> {
    let mut bytes = bytes.to_vec();
    for _ in 0..LAYERS_MAX {
        if bytes.starts_with(&GZIP) {
            bytes = unzipped(&bytes)?;
        } else if bytes.trim_ascii_start().starts_with(b"{") {
            let mut values = strict::parse(&bytes)?;
            return match (values.pop(), values.is_empty()) {
                (Some(value), true) => Ok(value),
                _ => Err("it is not one JSON object".to_owned()),
            };
        } else {
            bytes = decoded(&bytes)?;
        }
    }
    Err("it is packed too often".to_owned())
}

fn decoded(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = text.to_vec();
    text.retain(|byte| !byte.is_ascii_whitespace());
    if text.is_empty() {
        return Err("there is no release in it".to_owned());
    }
    let decoded = STANDARD.decode(&text);
    decoded.map_err(|_| "it is cut, or neither JSON, gzip nor base64".to_owned())
}

fn unzipped(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut unzip = MultiGzDecoder::new(bytes).take(DOCUMENT_BYTES_MAX + 1);
    let read = unzip.read_to_end(&mut plain);
    read.map_err(|error| format!("its gzip is cut or damaged: {error}"))?;
    if u64::try_from(plain.len()).is_ok_and(|length| length <= DOCUMENT_BYTES_MAX) {
        return Ok(plain);
    }
    let mib = DOCUMENT_BYTES_MAX >> 20;
    Err(format!("it unpacks to more than {mib} MiB"))
}
