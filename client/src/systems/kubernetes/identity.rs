//! What tells one object from all others.

use cairn_proto::name::ArtifactName;
use serde_json::Value;

use super::Desk;
use crate::{detail::printable, sources::SourceError};

/// Group, kind, namespace and name; and the version in which it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::systems) struct Identity {
    /// Empty for the core group.
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    /// None where the object does not say: it has none, or it is the caller's.
    pub(in crate::systems) namespace: Option<String>,
    pub(super) name: String,
}

impl Identity {
    pub(super) fn of(object: &Value, from: &str) -> Result<Self, SourceError> {
        let wrong = |why: &str| SourceError::Input {
            what: from.to_owned(),
            why: why.to_owned(),
        };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let filled = |text: &String| !text.is_empty();
        let version = text(object.get("apiVersion")).filter(filled);
        let version = version.ok_or_else(|| wrong("an object has no apiVersion"))?;
        let (group, version) = match version.split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), version),
        };
        let kind = text(object.get("kind")).filter(filled);
        let kind = kind.ok_or_else(|| wrong("an object has no kind"))?;
        let metadata = object.get("metadata");
        let of_metadata = |name: &str| text(metadata.and_then(|it| it.get(name))).filter(filled);
        let name = of_metadata("name").ok_or_else(|| {
            wrong(&match of_metadata("generateName") {
                Some(prefix) => format!(
                    "the name of {} {}… is made up anew each time: it cannot be verified",
                    printable(&kind),
                    printable(&prefix)
                ),
                None => format!("an object of kind {} has no name", printable(&kind)),
            })
        })?;
        let namespace = of_metadata("namespace");
        let words = [&group, &version, &kind];
        if words.into_iter().any(|word| !is_word(word))
            || !is_name(&name)
            || !namespace.as_deref().is_none_or(is_name)
        {
            return Err(wrong(&format!(
                "{} {} has a name that Kubernetes does not allow",
                printable(&kind),
                printable(&name)
            )));
        }
        Ok(Self {
            group,
            version,
            kind,
            namespace,
            name,
        })
    }

    /// `<group>/<kind>/<namespace>/<name>` below the system's name and some words; `core` and
    /// `_` stand for none.
    pub(super) fn artifact_name(
        &self,
        below: &[&str],
        desk: &Desk<'_>,
    ) -> Result<ArtifactName, SourceError> {
        let group = if self.group.is_empty() {
            "core"
        } else {
            &self.group
        };
        let namespace = self.namespace.as_deref().unwrap_or("_");
        let mut words = below.to_vec();
        words.extend([group, &self.kind, namespace, &self.name]);
        desk.name(&words)
    }

    /// What stays the same whichever namespace it is in.
    pub(super) fn key(&self) -> (String, String, String) {
        (self.group.clone(), self.kind.clone(), self.name.clone())
    }

    /// The resource as kubectl takes it: `Deployment.v1.apps`, `Pod.v1.`.
    pub(super) fn resource(&self) -> String {
        format!("{}.{}.{}", self.kind, self.version, self.group)
    }
}

/// Of groups, versions and kinds. A comma or a slash would name several things to kubectl.
fn is_word(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    word.bytes().all(fits) && !word.starts_with('-')
}

/// As the API has it: a segment of a path. One that begins with `-` would be an option.
fn is_name(name: &str) -> bool {
    let unfit = |letter: char| {
        letter.is_control() || letter.is_whitespace() || matches!(letter, '/' | '%' | ',')
    };
    !name.starts_with('-') && !name.contains(unfit) && !matches!(name, "." | "..")
}
