//! Asking the cluster, through kubectl: its configuration and its credentials are the caller's.

use std::collections::BTreeMap;

use cairn_proto::{name::ArtifactName, reason::Reason};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::{strict, tool::Tool},
    Desk, Identity, Wanted,
    owned::List,
};
use crate::{detail::printable, sources::SourceError};

/// Objects of one kind and namespace that are asked for by name; more are listed.
const NAMED_MAX: usize = 16;

type Asked<'w> = BTreeMap<(String, Option<&'w str>), Vec<(&'w ArtifactName, &'w Identity)>>;

/// What the API has of what was recorded. What it will not tell is laid down as unmeasured.
pub(super) fn ask(
    wanted: &Wanted,
    desk: &mut Desk<'_>,
) -> Result<Vec<(ArtifactName, Value)>, SourceError> {
    let mut asked = Asked::new();
    for (name, identity) in wanted {
        let of = (identity.resource(), identity.namespace.as_deref());
        asked.entry(of).or_default().push((name, identity));
    }
    let mut found = Vec::new();
    for ((resource, namespace), objects) in asked {
        match get(&resource, namespace, &objects) {
            Ok(answer) => pick(answer, &objects, &mut found),
            // Nothing else will be told either.
            Err(error) if error.is_of_all() => return Err(error),
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

/// Those of an answer that were asked for. All are of one kind, and of one namespace or none.
fn pick(
    answer: Vec<Value>,
    objects: &[(&ArtifactName, &Identity)],
    found: &mut Vec<(ArtifactName, Value)>,
) {
    let named = answer.into_iter().filter_map(|object| {
        let name = object.get("metadata")?.get("name")?.as_str()?.to_owned();
        Some((name, object))
    });
    let mut named: BTreeMap<_, _> = named.collect();
    for (name, identity) in objects {
        if let Some(object) = named.remove(&identity.name) {
            found.push(((*name).clone(), object));
        }
    }
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
    // Without being asked to, kubectl does not say who manages which field.
    arguments.push("--show-managed-fields");
    let said = answer(arguments)?;
    let values = strict::parse(&said).map_err(|why| wrong(resource, &why))?;
    let mut found = Vec::new();
    for mut value in values {
        let is_list = value.get("kind").and_then(Value::as_str);
        let is_list = is_list.is_some_and(|kind| kind.ends_with("List"));
        match value.get_mut("items") {
            Some(Value::Array(items)) if is_list => found.append(items),
            _ => found.push(value),
        }
    }
    Ok(found)
}

/// All of a kind in a namespace, of which only what is meant is read.
pub(super) fn all<T: DeserializeOwned>(
    resource: &str,
    namespace: &str,
) -> Result<Vec<T>, SourceError> {
    let said = answer(vec!["get", resource, "--namespace", namespace])?;
    let list: List<T> =
        serde_json::from_slice(&said).map_err(|error| wrong(resource, &error.to_string()))?;
    Ok(list.items)
}

fn answer(mut arguments: Vec<&str>) -> Result<Vec<u8>, SourceError> {
    arguments.extend(["--output", "json", "--chunk-size=500"]);
    Tool::new("kubectl", &arguments).run()?.output()
}

fn wrong(resource: &str, why: &str) -> SourceError {
    SourceError::Input {
        what: format!("kubectl get {}", printable(resource)),
        why: printable(why),
    }
}
