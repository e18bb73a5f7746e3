//! What is taken out of an object before it goes anywhere: the API's own notes, and the values
//! of Secrets, which base64 does not hide.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::name::ArtifactName;
use serde_json::{Map, Value};

use super::Desk;
use crate::{detail::pointer_step, sources::SourceError};

/// Where client-side apply keeps a copy of all of an object, Secrets included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What the API writes into `metadata` by itself. `managedFields` stays until it was compared:
/// it tells who added a field.
const OWN_METADATA: [&str; 5] = [
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The object as it is recorded, or compared.
pub(super) fn cleaned(
    mut object: Value,
    name: &ArtifactName,
    desk: &mut Desk<'_>,
) -> Result<Value, SourceError> {
    let core = object.get("apiVersion").and_then(Value::as_str) == Some("v1");
    let secret = core && object.get("kind").and_then(Value::as_str) == Some("Secret");
    let Some(members) = object.as_object_mut() else {
        return Ok(object);
    };
    members.remove("status");
    if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
        for own in OWN_METADATA {
            metadata.remove(own);
        }
        if desk.is_recording() {
            metadata.remove("managedFields");
        }
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    if secret {
        withhold(members, name, desk)?;
    }
    Ok(object)
}

/// Tags for all values. What was given as text goes to where the API keeps it.
fn withhold(
    members: &mut Map<String, Value>,
    name: &ArtifactName,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let mut tags = Map::new();
    for (member, encoded) in [("data", true), ("stringData", false)] {
        let Some(values) = members.remove(member) else {
            continue;
        };
        let Value::Object(values) = values else {
            // Whatever it is, it may be the secret.
            let text = values.to_string();
            tags.insert(
                String::new(),
                desk.withhold(name, "/data", text.as_bytes())?,
            );
            continue;
        };
        for (key, value) in values {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            // What is not base64 the API would not take: it is a secret all the same.
            let decoded = encoded
                .then(|| STANDARD.decode(text.as_bytes()).ok())
                .flatten();
            let bytes = decoded.unwrap_or_else(|| text.into_bytes());
            let pointer = format!("/data{}", pointer_step(&key));
            let tag = desk.withhold(name, &pointer, &bytes)?;
            tags.insert(key, tag);
        }
    }
    if !tags.is_empty() {
        members.insert("data".to_owned(), Value::Object(tags));
    }
    Ok(())
}
