//! The objects of a stream: JSON as it stands, YAML as kubectl reads it.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::super::{strict, tool::Tool};
use crate::{detail::printable, sources::SourceError};

/// Bytes that YAML's aliases may add to a stream.
const ALIAS_BYTES_MAX: usize = 8 << 20;
/// Events of a YAML stream: room for tens of thousands of objects.
const EVENTS_MAX: usize = 20_000_000;
/// Lists within lists.
const DEPTH_MAX: usize = 4;

/// All objects of a stream, those of lists included.
pub(in crate::systems) fn read(from: &str, bytes: &[u8]) -> Result<Vec<Value>, SourceError> {
    let wrong = |why: String| SourceError::Input {
        what: from.to_owned(),
        why: printable(&why),
    };
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let values = if matches!(first, Some(b'{' | b'[')) {
        strict::parse(bytes).map_err(wrong)?
    } else {
        lint(bytes).map_err(wrong)?;
        let said = from_yaml(from, bytes)?;
        strict::parse(&said).map_err(|why| wrong(format!("as kubectl reads it: {why}")))?
    };
    let mut objects = Vec::new();
    for value in values {
        flatten(value, DEPTH_MAX, &mut objects).map_err(|why| wrong(why.to_owned()))?;
    }
    Ok(objects)
}

fn flatten(value: Value, depth: usize, objects: &mut Vec<Value>) -> Result<(), &'static str> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err("lists are nested too deeply");
    };
    match value {
        Value::Null => Ok(()),
        Value::Array(values) => values
            .into_iter()
            .try_for_each(|value| flatten(value, depth, objects)),
        Value::Object(mut members) => {
            let kind = members.get("kind").and_then(Value::as_str);
            let is_list = kind.is_some_and(|kind| kind.ends_with("List"));
            match members.get_mut("items") {
                Some(Value::Array(items)) if is_list => std::mem::take(items)
                    .into_iter()
                    .try_for_each(|item| flatten(item, depth, objects)),
                _ => {
                    objects.push(Value::Object(members));
                    Ok(())
                }
            }
        }
        _ => Err("what stands there is no object"),
    }
}

/// Refuses YAML that readers take differently, or that is made to swell.
fn lint(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut aliases = serde_saphyr::options::AliasLimits::default();
    aliases.max_total_replayed_events = 100_000;
    aliases.max_replay_stack_depth = 16;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_events: EVENTS_MAX,
            max_nodes: EVENTS_MAX,
            max_documents: 100_000,
            max_recorded_anchor_events: 100_000,
            max_recorded_anchor_bytes: ALIAS_BYTES_MAX,
            max_total_scalar_bytes: 128 << 20,
            max_inclusion_depth: 0,
        },
        alias_limits: aliases,
    };
    let read = serde_saphyr::from_multiple_with_options::<IgnoredAny>(text, options);
    // The lines after the first show what stands there, which may be a secret.
    let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
    read.map(drop).map_err(|error| first(error.to_string()))
}

/// What kubectl makes of YAML, without asking any cluster: a patch that changes nothing.
fn from_yaml(from: &str, bytes: &[u8]) -> Result<Vec<u8>, SourceError> {
    let arguments = [
        "patch",
        "--local",
        "--type=merge",
        "-p",
        "{}",
        "-f",
        "-",
        "-o",
        "json",
    ];
    let said = Tool::new("kubectl", &arguments)
        .reads(bytes.to_vec())
        .run()?;
    if said.complaint.contains("no objects passed to patch") {
        return Ok(Vec::new());
    }
    // It asks nobody, so what it does not take is the input's fault.
    said.output().map_err(|error| match error {
        SourceError::Tool { why, .. } => SourceError::Input {
            what: from.to_owned(),
            // After these words stands the object itself, with all that is secret in it.
            why: format!(
                "kubectl cannot read it: {}",
                why.split(" is missing in ").next().unwrap_or_default()
            ),
        },
        error => error,
    })
}
