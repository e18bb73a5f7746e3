//! What there is now of the resources that a stack had: rows of drift decide, one by one.

use cairn_proto::reason::Reason;
use serde_json::{Value, json};

use super::{
    super::aws::text, Desk, RESOURCE, capture::record_live, documents::Told, drift::Row, not_given,
    stack, wanted::Wanted,
};
use crate::sources::SourceError;

/// What there is of resources that AWS made up, and that no record has: one that differs from
/// AWS's own template is told. Why there may be others, if that is not known.
pub(super) fn observe_made(
    told: &Told,
    wanted: &Wanted,
    desk: &mut Desk<'_>,
) -> Result<Option<String>, SourceError> {
    let Some(resources) = &told.resources else {
        return Ok(Some(
            "what list-stack-resources prints was not given".to_owned(),
        ));
    };
    let (mut unknown, hidden) = (None, told.parameter_values());
    for resource in resources {
        let logical = text(resource, "LogicalResourceId").unwrap_or_default();
        let physical = text(resource, "PhysicalResourceId");
        if text(resource, "ResourceStatus") == Some("DELETE_COMPLETE") {
            continue;
        }
        let drift = told.drift.as_ref();
        let row = drift.map(|drift| drift.row(logical, physical, &hidden));
        let drift = match row.unwrap_or(Row::Unknown("no drift of its was given")) {
            Row::InSync => continue,
            Row::Unknown(why) => {
                unknown = Some(format!("resource {logical}: {why}"));
                continue;
            }
            Row::Modified(properties) => Value::Object(properties),
            Row::Deleted => json!({"/": "it is no more"}),
        };
        let mut found = stack::resource(resource);
        found["Drift"] = drift;
        let artifact = desk.name(&["resource", &wanted.name, logical])?;
        desk.object(artifact, RESOURCE, found);
    }
    Ok(unknown)
}

pub(super) fn observe(
    told: &Told,
    wanted: &Wanted,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let Some(resources) = &told.resources else {
        for (artifact, _) in wanted.resources.values() {
            not_given(artifact, "what list-stack-resources prints", desk);
        }
        return Ok(());
    };
    let hidden = told.parameter_values();
    for (logical, (artifact, recorded)) in &wanted.resources {
        let Some(resource) = told.resource(logical) else {
            if recorded.get("Conditional").is_some() {
                let why = "whether its condition holds is not recorded";
                desk.unmeasured(artifact, Reason::SourceInvalid, why);
            }
            continue;
        };
        let mut found = stack::resource(resource);
        let Some(members) = found.as_object_mut() else {
            continue;
        };
        if let Some(conditional) = recorded.get("Conditional") {
            members.insert("Conditional".to_owned(), conditional.clone());
        }
        let physical = text(resource, "PhysicalResourceId");
        let row = told
            .drift
            .as_ref()
            .map(|drift| drift.row(logical, physical, &hidden));
        match row.unwrap_or(Row::Unknown("no drift of its was given")) {
            Row::InSync => {}
            Row::Modified(properties) => {
                members.insert("Drift".to_owned(), Value::Object(properties));
            }
            Row::Deleted => continue,
            // Another one is a difference, whatever it is like.
            Row::Unknown(_) if !stack::is_same(recorded, &found) => {}
            Row::Unknown(why) => {
                desk.unmeasured(artifact, Reason::ToolFailed, why);
                continue;
            }
        }
        desk.object(artifact.clone(), RESOURCE, found);
    }
    if wanted.resources.is_empty() {
        return Ok(());
    }
    let added = |resource: &&Value| {
        let logical = text(resource, "LogicalResourceId").unwrap_or_default();
        let gone = text(resource, "ResourceStatus") == Some("DELETE_COMPLETE");
        !gone && !wanted.resources.contains_key(logical)
    };
    let added: Vec<_> = resources.iter().filter(added).cloned().collect();
    record_live(&added, &wanted.name, desk)
}
