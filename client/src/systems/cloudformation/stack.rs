//! What is kept of a stack and of its resources: what was asked for and what AWS made of it,
//! and no value that could be a secret.

use std::collections::BTreeSet;

use cairn_proto::name::ArtifactName;
use serde_json::{Map, Value, json};

use super::{
    super::aws::{is_masked, items, text},
    Desk,
    documents::Told,
    template::Template,
};
use crate::{
    detail::{pointer_step, printable},
    sources::SourceError,
};

/// Members that are kept as they are. `Description` is the template's.
const KEPT: [&str; 12] = [
    "ChangeSetId",
    "DeletionMode",
    "DisableRollback",
    "EnableTerminationProtection",
    "ParentId",
    "RetainExceptOnCreate",
    "RoleARN",
    "RollbackConfiguration",
    "RootId",
    "StackId",
    "StackName",
    "StackStatus",
];

/// A stack on its way from one state to another is in none that could be recorded.
pub(super) fn refuse_unsettled(stack: &Value) -> Result<(), String> {
    let status = text(stack, "StackStatus").unwrap_or("in no state that is told");
    if status.ends_with("_COMPLETE") && status != "DELETE_COMPLETE" {
        return Ok(());
    }
    Err(format!(
        "the stack is {}: record it when that is done",
        printable(status)
    ))
}

/// The stack as it is recorded, or compared.
pub(super) fn object(
    told: &Told,
    name: &ArtifactName,
    desk: &mut Desk<'_>,
) -> Result<Value, SourceError> {
    let Some(stack) = &told.stack else {
        return Ok(Value::Null);
    };
    let mut object = Map::new();
    for member in KEPT {
        if let Some(value) = stack.get(member).filter(|value| !value.is_null()) {
            object.insert(member.to_owned(), value.clone());
        }
    }
    for member in ["Capabilities", "NotificationARNs"] {
        let mut words: Vec<_> = items(stack, member)
            .iter()
            .filter_map(Value::as_str)
            .collect();
        words.sort_unstable();
        object.insert(member.to_owned(), Value::from(words));
    }
    object.insert("Tags".to_owned(), keyed(stack, "Tags", "Key", "Value"));
    // What an output says may be anything; that it is there is what others rely on.
    let outputs = keyed(stack, "Outputs", "OutputKey", "ExportName");
    object.insert("Outputs".to_owned(), outputs);
    if desk.is_recording() || !told.change_sets.is_empty() {
        let sets = told.change_sets.iter();
        let sets = sets.filter_map(|set| {
            let status = text(set, "ExecutionStatus").unwrap_or_default();
            Some((text(set, "ChangeSetName")?.to_owned(), Value::from(status)))
        });
        object.insert("ChangeSets".to_owned(), Value::Object(sets.collect()));
    }
    let as_told = |_: &str, value: &str| value.to_owned();
    parameters(told, stack, name, &as_told, &mut object, desk)?;
    Ok(Value::Object(object))
}

/// A list of names and values as an object.
fn keyed(stack: &Value, member: &str, key: &str, value: &str) -> Value {
    let pairs = items(stack, member).iter().filter_map(|item| {
        let value = item.get(value).cloned().unwrap_or_else(|| Value::from(""));
        Some((text(item, key)?.to_owned(), value))
    });
    Value::Object(pairs.collect())
}

/// Tags for all values. What AWS does not tell cannot be compared later.
pub(super) fn parameters(
    told: &Told,
    stack: &Value,
    name: &ArtifactName,
    spelled: &dyn Fn(&str, &str) -> String,
    object: &mut Map<String, Value>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let original = told.original.iter();
    let never: BTreeSet<&str> = original.flat_map(Template::never_told).collect();
    let (mut values, mut resolved) = (Map::new(), Map::new());
    let mut untold = Vec::new();
    for parameter in items(stack, "Parameters") {
        let Some(key) = text(parameter, "ParameterKey") else {
            continue;
        };
        let value = parameter.get("ParameterValue").and_then(Value::as_str);
        let hidden = never.contains(key) || value.is_some_and(is_masked);
        if hidden {
            untold.push(key);
        }
        let step = pointer_step(key);
        let tag = match value {
            Some(value) if !hidden || desk.is_recording() => {
                let value = spelled(key, value);
                desk.withhold(name, &format!("/Parameters{step}"), value.as_bytes())?
            }
            _ => desk.untold(),
        };
        if values.insert(key.to_owned(), tag).is_some() {
            return Err(SourceError::Input {
                what: "describe-stacks".to_owned(),
                why: format!("it tells the parameter {} twice", printable(key)),
            });
        }
        if let Some(value) = parameter.get("ResolvedValue").and_then(Value::as_str) {
            let at = format!("/ResolvedParameters{step}");
            let tag = desk.withhold(name, &at, value.as_bytes())?;
            resolved.insert(key.to_owned(), tag);
        }
    }
    object.insert("Parameters".to_owned(), Value::Object(values));
    if !resolved.is_empty() {
        object.insert("ResolvedParameters".to_owned(), Value::Object(resolved));
    }
    if desk.is_recording() && !untold.is_empty() {
        note_never_told(&untold, desk);
    }
    Ok(())
}

/// Says which parameters nobody will be able to compare.
pub(super) fn note_never_told(keys: &[&str], desk: &mut Desk<'_>) {
    desk.note(format!(
        "AWS does not tell the values of parameters with NoEcho, and so these cannot be \
         verified: {}",
        keys.join(", ")
    ));
}

/// A resource as it is recorded, or compared; its drift is none until told.
pub(super) fn resource(told: &Value) -> Value {
    let of = |member: &str| told.get(member).cloned().unwrap_or_default();
    json!({
        "LogicalResourceId": of("LogicalResourceId"),
        "PhysicalResourceId": of("PhysicalResourceId"),
        "ResourceType": of("ResourceType"),
        "Drift": {},
    })
}

/// Whether a resource is the recorded one.
pub(super) fn is_same(recorded: &Value, found: &Value) -> bool {
    let same = |member: &str| {
        let recorded = recorded.get(member);
        recorded.is_none() || recorded == found.get(member)
    };
    same("ResourceType") && same("PhysicalResourceId")
}
