//! A release, and what is recorded of it.
//!
//! Invariants: what is taken stands in [`Release`], by name; values, and a manifest that holds
//! a secret, leave as tags alone.

use cairn_proto::{name::ArtifactName, reason::Reason};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Desk, Id, MEDIA_TYPE, PRINTED, RELEASE};
use crate::sources::{Recorded, SourceError, looks_secret};

/// Values, as JSON and as helm prints them, where none were set.
const NO_VALUES: [&str; 2] = ["{}", "null"];

/// A release. There is more in Helm's record: none of that goes anywhere.
pub(super) struct Release {
    pub(super) id: Id,
    pub(super) status: String,
    pub(super) manifest: String,
    pub(super) revision: u64,
    /// The revision that this one was made from again, where Helm says so.
    pub(super) rollback_to: Option<u64>,
    /// Name, version and version of the application.
    pub(super) chart: [String; 3],
    pub(super) told: Told,
}

/// How its values and hooks were told.
pub(super) enum Told {
    /// As Helm keeps them.
    Kept {
        /// What the caller set; empty for the chart's own.
        values: Map<String, Value>,
        hooks: Vec<Hook>,
        /// The values as helm prints them, where it was asked for that.
        printed: Option<String>,
    },
    /// As helm prints them.
    Printed { values: String, hooks: String },
}

/// What is recorded of a release, after how it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Kept,
    Printed,
}

impl Form {
    /// That of what was recorded of a release.
    pub(super) fn of(id: &Id, recorded: &Recorded<'_>) -> Self {
        let printed = recorded.manifest().artifacts().iter().any(|artifact| {
            artifact.media_type.as_deref() == Some(PRINTED)
                && Id::of(&artifact.name, RELEASE).as_ref() == Some(id)
        });
        if printed { Self::Printed } else { Self::Kept }
    }
}

/// An object that Helm applies around the others.
pub(super) struct Hook {
    name: String,
    kind: String,
    path: String,
    manifest: String,
    events: Value,
    weight: Value,
    delete_policies: Value,
}

impl Release {
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
            told: Told::Kept {
                values,
                hooks,
                printed: None,
            },
        })
    }

    /// The form in which it can be recorded.
    pub(super) fn form(&self) -> Form {
        match self.told {
            Told::Kept { .. } => Form::Kept,
            Told::Printed { .. } => Form::Printed,
        }
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

    /// The object that is recorded, or compared, in one form.
    pub(super) fn lay_down(&self, form: Form, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        let name = self.id.artifact_name(desk)?;
        let (media_type, values, hooks) = match (form, &self.told) {
            (Form::Kept, Told::Kept { values, hooks, .. }) => {
                let text = Value::Object(values.clone()).to_string();
                let values = withheld(&name, &text, desk)?;
                (MEDIA_TYPE, values, kept_hooks(&name, hooks, desk)?)
            }
            (Form::Printed, told) => {
                let values = match told.printed_values() {
                    Some(text) => withheld(&name, text, desk)?,
                    None => desk.untold(),
                };
                let hooks = self.hooks_text().unwrap_or_default();
                (PRINTED, values, digest(&name, "/hooks", &hooks, desk)?)
            }
            (Form::Kept, Told::Printed { .. }) => {
                let why = "`helm get all` prints less than what was recorded of it: give its \
                           Secret, or `--helm` alone";
                desk.unmeasured(&name, Reason::SourceInvalid, why);
                return Ok(());
            }
        };
        let [chart, version, app_version] = &self.chart;
        let value = json!({
            "name": self.id.name,
            "namespace": self.id.namespace,
            "revision": self.revision,
            "status": self.status,
            "chart": {"name": chart, "version": version, "appVersion": app_version},
            "values": values,
            "manifest": digest(&name, "/manifest", &self.manifest, desk)?,
            "hooks": hooks,
        });
        desk.object(name, media_type, value);
        Ok(())
    }

    /// The hooks as one stream, as helm prints them; `None` if there are none.
    pub(super) fn hooks_text(&self) -> Option<String> {
        let text = match &self.told {
            Told::Printed { hooks, .. } => hooks.clone(),
            Told::Kept { hooks, .. } => hooks.iter().map(Hook::printed).collect(),
        };
        Some(text).filter(|text| !text.is_empty())
    }
}

impl Told {
    /// The values as helm prints them, where that is known.
    fn printed_values(&self) -> Option<&str> {
        match self {
            Self::Kept { values, .. } if values.is_empty() => Some(NO_VALUES[0]),
            Self::Kept { printed, .. } => printed.as_deref(),
            Self::Printed { values, .. } => Some(values),
        }
    }
}

/// What stands for values: a tag, or that none were set.
fn withheld(name: &ArtifactName, values: &str, desk: &mut Desk<'_>) -> Result<Value, SourceError> {
    if NO_VALUES.contains(&values.trim_end()) {
        return Ok(Value::from("none"));
    }
    desk.withhold(name, "/values", values.as_bytes())
}

fn kept_hooks(
    name: &ArtifactName,
    hooks: &[Hook],
    desk: &mut Desk<'_>,
) -> Result<Value, SourceError> {
    let mut kept = Vec::with_capacity(hooks.len());
    for (place, hook) in hooks.iter().enumerate() {
        let pointer = format!("/hooks/{place}/manifest");
        kept.push(json!({
            "name": hook.name,
            "kind": hook.kind,
            "path": hook.path,
            "events": hook.events,
            "weight": hook.weight,
            "deletePolicies": hook.delete_policies,
            "manifest": digest(name, &pointer, &hook.manifest, desk)?,
        }));
    }
    Ok(Value::Array(kept))
}

impl Hook {
    fn printed(&self) -> String {
        format!("---\n# Source: {}\n{}\n", self.path, self.manifest)
    }

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
