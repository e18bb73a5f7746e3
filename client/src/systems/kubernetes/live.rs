//! Asking the cluster, through kubectl: its configuration and its credentials are the caller's.

use std::collections::BTreeMap;

use cairn_proto::{name::ArtifactName, reason::Reason};
use serde_json::Value;

use super::{
    super::{strict, tool::Tool},
    Desk, Identity,
};
use crate::{detail::printable, sources::SourceError};

/// Objects of one kind and namespace that are asked for by name; more are listed.
const NAMED_MAX: usize = 16;

type Asked<'w> = BTreeMap<(String, Option<&'w str>), Vec<(&'w ArtifactName, &'w Identity)>>;

/// What the API has of what was recorded. What it will not tell is laid down as unmeasured.
pub(super) fn ask(
    wanted: &BTreeMap<ArtifactName, Identity>,
    desk: &mut Desk<'_>,
) -> Result<Vec<Value>, SourceError> {
    let mut asked = Asked::new();
    for (name, identity) in wanted {
        let of = (identity.resource(), identity.namespace.as_deref());
        asked.entry(of).or_default().push((name, identity));
    }
    let mut found = Vec::new();
    for ((resource, namespace), objects) in asked {
        match get(&resource, namespace, &objects) {
            Ok(answer) => found.extend(answer),
            // Nothing else will be told either.
            Err(error @ (SourceError::NoTool { .. } | SourceError::Unreachable { .. })) => {
                return Err(error);
            }
            Err(error) => {
                let why = error.to_string();
                for (name, _) in objects {
                    desk.unmeasured(name, Reason::ToolFailed, why.clone());
                }
            }
        }
    }
    Ok(found)
}

fn get(
    resource: &str,
    namespace: Option<&str>,
    objects: &[(&ArtifactName, &Identity)],
) -> Result<Vec<Value>, SourceError> {
    let mut arguments = vec!["get", resource];
    if objects.len() <= NAMED_MAX {
        arguments.extend(objects.iter().map(|(_, identity)| identity.name.as_str()));
        arguments.push("--ignore-not-found");
    }
    if let Some(namespace) = namespace {
        arguments.extend(["--namespace", namespace]);
    }
    arguments.extend(["--output", "json", "--chunk-size=500"]);
    let said = Tool::new("kubectl", &arguments).run()?.output()?;
    let wrong = |why: String| SourceError::Input {
        what: format!("kubectl get {}", printable(resource)),
        why: printable(&why),
    };
    let values = strict::parse(&said).map_err(wrong)?;
    let mut found = Vec::new();
    for mut value in values {
        match value.get_mut("items") {
            Some(Value::Array(items)) => found.append(items),
            _ => found.push(value),
        }
    }
    Ok(found)
}
