//! What is taken out of an object before it goes anywhere: the API's own notes, and what is
//! secret. base64 hides nothing.
//!
//! Invariants: of a Secret nothing leaves in clear but what is named here; of any other object no
//! text leaves that would be withheld if it were a file.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::name::ArtifactName;
use serde_json::{Map, Value};

use super::Desk;
use crate::{
    compare::Place,
    detail::pointer_step,
    sources::{SourceError, looks_secret},
};

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

/// Whether the API writes what stands there by itself, and anew each time.
pub(super) fn is_own_metadata(place: &Place<'_>) -> bool {
    place.is(&["metadata", "annotations", LAST_APPLIED])
        || (place.depth() == 2
            && place.is(&["metadata", "*"])
            && OWN_METADATA.contains(&place.last()))
}

/// What a Secret has beside its values.
const OF_SECRET: [&str; 5] = ["apiVersion", "kind", "metadata", "type", "immutable"];
/// And what its metadata may say. Annotations are not among them: tools keep copies there.
const OF_METADATA: [&str; 6] = [
    "finalizers",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
];
/// Where keys are names of files.
const FILES: [&str; 2] = ["data", "binaryData"];
/// Bytes of the shortest text that can hold a key or another object.
const SECRET_BYTES_MIN: usize = 16;

/// The object as it is recorded, or compared.
pub(super) fn cleaned(
    mut object: Value,
    name: &ArtifactName,
    desk: &mut Desk<'_>,
) -> Result<Value, SourceError> {
    let kind = object.get("kind").and_then(Value::as_str);
    let secret = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("Secret"));
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
    } else {
        withhold_texts(&mut object, "", "", name, desk)?;
    }
    Ok(object)
}

/// Tags for texts that look like secrets, by themselves or by the names that they have.
fn withhold_texts(
    value: &mut Value,
    above: &str,
    pointer: &str,
    name: &ArtifactName,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let pointer = format!("{pointer}{}", pointer_step(key));
                let as_file = FILES.contains(&above);
                match value {
                    Value::String(text) if is_secret(as_file.then_some(key), text) => {
                        *value = desk.withhold(name, &pointer, text.as_bytes())?;
                    }
                    value => withhold_texts(value, key, &pointer, name, desk)?,
                }
            }
        }
        Value::Array(items) => {
            for (place, value) in items.iter_mut().enumerate() {
                let pointer = format!("{pointer}/{place}");
                match value {
                    Value::String(text) if is_secret(None, text) => {
                        *value = desk.withhold(name, &pointer, text.as_bytes())?;
                    }
                    value => withhold_texts(value, above, &pointer, name, desk)?,
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_secret(file: Option<&String>, text: &str) -> bool {
    let plain = |bytes: &[u8]| looks_secret(file.map_or("text", String::as_str), bytes);
    if file.is_none() && text.len() < SECRET_BYTES_MIN {
        return false;
    }
    plain(text.as_bytes())
        || (file.is_some()
            && STANDARD
                .decode(text.as_bytes())
                .is_ok_and(|bytes| plain(&bytes)))
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
    for (member, value) in members.iter_mut() {
        if !OF_SECRET.contains(&member.as_str()) {
            *value = whole(value, &pointer_step(member), name, desk)?;
        }
    }
    let metadata = members.get_mut("metadata").and_then(Value::as_object_mut);
    for (member, value) in metadata.into_iter().flatten() {
        let pointer = format!("/metadata{}", pointer_step(member));
        match value {
            Value::Object(annotations) if member == "annotations" => {
                for (key, value) in annotations {
                    let pointer = format!("{pointer}{}", pointer_step(key));
                    *value = whole(value, &pointer, name, desk)?;
                }
            }
            value if !OF_METADATA.contains(&member.as_str()) => {
                *value = whole(value, &pointer, name, desk)?;
            }
            _ => {}
        }
    }
    if !tags.is_empty() {
        members.insert("data".to_owned(), Value::Object(tags));
    }
    Ok(())
}

fn whole(
    value: &Value,
    pointer: &str,
    name: &ArtifactName,
    desk: &mut Desk<'_>,
) -> Result<Value, SourceError> {
    desk.withhold(name, pointer, value.to_string().as_bytes())
}
