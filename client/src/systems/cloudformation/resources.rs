//! What there is now of the resources that a stack had: rows of drift decide, one by one.

use cairn_proto::reason::Reason;
use serde_json::Value;

use super::{
    super::aws::text, Desk, RESOURCE, documents::Told, drift::Row, not_given, record_live, stack,
    wanted::Wanted,
};
use crate::sources::SourceError;

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
            .map(|drift| drift.row(logical, physical));
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
