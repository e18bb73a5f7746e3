//! Policies as people write them: JSON with white space, lists in any order.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::{
    hash::{Index, Version},
    key::PublicKey,
    policy::{Policy, Revocation},
};
use serde_json::Value;

use crate::error::ClientError;

/// A policy as a file that a person may edit.
pub fn pretty(policy: &Policy) -> String {
    let value: Value = serde_json::from_slice(&policy.encode()).unwrap_or_default();
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

/// Reads a file that a person edited as the policy that is to follow `current`. It may still
/// state the current version, or the next one.
pub fn draft(text: &[u8], current: &Policy) -> Result<Policy, ClientError> {
    let invalid = |why: String| ClientError::Usage {
        why: format!("not a policy: {why}"),
    };
    let mut value: Value =
        serde_json::from_slice(text).map_err(|error| invalid(error.to_string()))?;
    if let Some(version) = value.get_mut("version")
        && *version == current.version.0
    {
        *version = current.version.0.saturating_add(1).into();
    }
    arrange(&mut value);
    let bytes = serde_json::to_vec(&value).map_err(|error| invalid(error.to_string()))?;
    Policy::decode(&bytes).map_err(ClientError::Draft)
}

/// Lists in their one order; what has no such order is for the policy's own rules to refuse.
fn arrange(policy: &mut Value) {
    sort(policy, "/admins/keys", |admin| text(&admin["name"]));
    let deployers = policy.get_mut("deployers").and_then(Value::as_array_mut);
    for deployer in deployers.into_iter().flatten() {
        sort(deployer, "/actions", text);
        sort(deployer, "/environments", text);
    }
    sort(policy, "/deployers", |deployer| text(&deployer["name"]));
    sort(policy, "/rules", |rule| text(&rule["environments"]));
    let key = |revocation: &Value| {
        let key = revocation["key"].as_str().unwrap_or_default();
        STANDARD.decode(key).unwrap_or_default()
    };
    sort(policy, "/revoked", key);
    if policy
        .get("revoked")
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty)
        && let Some(members) = policy.as_object_mut()
    {
        members.remove("revoked");
    }
}

fn text(value: &Value) -> Vec<u8> {
    value.as_str().unwrap_or_default().as_bytes().to_vec()
}

/// Sorts the list at a pointer, if there is one.
fn sort(value: &mut Value, pointer: &str, key: impl Fn(&Value) -> Vec<u8>) {
    let list = value.pointer_mut(pointer).and_then(Value::as_array_mut);
    if let Some(list) = list {
        list.sort_by_key(key);
    }
}

/// The policy that follows `current` and revokes a key: whoever it is is named no more.
pub fn revoking(
    current: &Policy,
    key: &PublicKey,
    since: Option<Index>,
    reason: Option<String>,
) -> Result<Policy, ClientError> {
    let mut next = current.clone();
    next.version = Version(current.version.0.saturating_add(1));
    next.admins.retain(|admin| admin.key != *key);
    next.deployers.retain(|deployer| deployer.key != *key);
    // What is known of it already stays, and may only become stricter.
    let known = current.revocation(key);
    let since = match (since, known.and_then(|known| known.since)) {
        (Some(since), Some(known)) => Some(since.min(known)),
        (since, known) => since.or(known),
    };
    let reason = reason.or_else(|| known.and_then(|known| known.reason.clone()));
    next.revoked.retain(|revocation| revocation.key != *key);
    next.revoked.push(Revocation {
        key: *key,
        reason,
        since,
    });
    next.revoked.sort_by_key(|revocation| revocation.key);
    if next.admins.len() < next.threshold {
        return Err(ClientError::Usage {
            why: format!(
                "{} admins would remain, and {} must sign: name another admin first, or lower \
                 the threshold, in a file for `cairn policy propose`",
                next.admins.len(),
                next.threshold
            ),
        });
    }
    Policy::decode(&next.encode()).map_err(ClientError::Draft)
}
