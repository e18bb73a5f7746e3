//! What there is now of the resources that a stack had: rows of drift decide, one by one.

use cairn_proto::reason::Reason;
use serde_json::{Map, Value};

use super::{
    super::aws::text,
    Desk, RESOURCE,
    documents::Told,
    drift::{Hidden, Row},
    not_given, stack,
    wanted::Wanted,
};
use crate::sources::SourceError;

/// What AWS says of resources that it made up, and that no record has.
#[derive(Default)]
pub(super) struct Made {
    /// What differs from AWS's own template, by resource and property.
    pub(super) drift: Map<String, Value>,
    /// Why there may be more.
    pub(super) unknown: Option<(Reason, String)>,
}

impl Made {
    pub(super) fn told(told: &Told) -> Self {
        let mut made = Self::default();
        let Some(resources) = &told.resources else {
            let why = "what list-stack-resources prints was not given".to_owned();
            made.unknown = Some((Reason::SourceInvalid, why));
            return made;
        };
        let hidden = told.hidden();
        for resource in resources.iter().filter(|it| !is_gone(it)) {
            let logical = text(resource, "LogicalResourceId").unwrap_or_default();
            match row(told, resource, &hidden) {
                Row::InSync => {}
                Row::Unknown(why) => {
                    let why = format!("resource {logical}: {why}");
                    made.unknown = Some((Reason::ToolFailed, why));
                }
                Row::Modified(properties) => {
                    let told = properties.into_iter();
                    let told = told.map(|(path, how)| (format!("{logical} {path}"), how));
                    made.drift.extend(told);
                }
                Row::Deleted => {
                    let how = Value::from("it is no more");
                    made.drift.insert(logical.to_owned(), how);
                }
            }
        }
        made
    }
}

/// Whether it is told only as one that was.
pub(super) fn is_gone(resource: &Value) -> bool {
    text(resource, "ResourceStatus") == Some("DELETE_COMPLETE")
}

fn row<'t>(told: &'t Told, resource: &Value, hidden: &Hidden) -> Row<'t> {
    let logical = text(resource, "LogicalResourceId").unwrap_or_default();
    let physical = text(resource, "PhysicalResourceId");
    let drift = told.drift.as_ref();
    drift.map_or(Row::Unknown("no drift of its was given"), |drift| {
        drift.row(logical, physical, hidden)
    })
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
    let hidden = told.hidden();
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
        match row(told, resource, &hidden) {
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
        !is_gone(resource) && !wanted.resources.contains_key(logical)
    };
    let added: Vec<_> = resources.iter().filter(added).cloned().collect();
    record_live(&added, &wanted.name, desk)
}

/// Each resource as it is.
pub(super) fn record_live(
    resources: &[Value],
    name: &str,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    for resource in resources {
        if !is_gone(resource) {
            let logical = text(resource, "LogicalResourceId").unwrap_or_default();
            let artifact = desk.name(&["resource", name, logical])?;
            desk.object(artifact, RESOURCE, stack::resource(resource));
        }
    }
    Ok(())
}
