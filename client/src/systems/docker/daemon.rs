//! Asking Docker what there is, through its own command line: which daemon, and with which
//! credentials, is the caller's to say.

use serde_json::Value;

use super::{
    super::{strict, tool::Tool},
    graph::wrong,
};
use crate::sources::SourceError;

/// Things that are asked for at once: what a command line holds with ease.
const ASKED_MAX: usize = 128;
/// How often is asked again when a container ended meanwhile.
const TRIES: usize = 3;

/// The documents of all containers, running or not.
pub(super) fn containers() -> Result<Vec<Value>, SourceError> {
    let mut last = None;
    for _ in 0..TRIES {
        let arguments = ["ps", "--all", "--quiet", "--no-trunc"];
        let said = Tool::new("docker", &arguments).run()?.output()?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let ids: Vec<&str> = said.split_whitespace().collect();
        match inspect("container", &ids) {
            // One that is gone again has not failed to be told.
            Err(SourceError::Tool { tool, why }) if why.contains("o such container") => {
                last = Some(SourceError::Tool { tool, why });
            }
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| wrong("docker", "containers come and go")))
}

/// The documents of images, of which all were there a moment ago.
pub(super) fn images(ids: &[&str]) -> Result<Vec<Value>, SourceError> {
    inspect("image", ids)
}

fn inspect(kind: &str, ids: &[&str]) -> Result<Vec<Value>, SourceError> {
    let mut documents = Vec::new();
    for some in ids.chunks(ASKED_MAX) {
        let mut arguments = vec!["inspect", "--type", kind];
        arguments.extend(some);
        let said = Tool::new("docker", &arguments).run()?.output()?;
        let values = strict::parse(&said);
        let values = values.map_err(|why| wrong("docker inspect", why))?;
        documents.extend(flat(values));
    }
    Ok(documents)
}

/// The documents of a list, or of several after each other.
pub(super) fn flat(values: Vec<Value>) -> Vec<Value> {
    let each = |value| match value {
        Value::Array(items) => items,
        other => vec![other],
    };
    values.into_iter().flat_map(each).collect()
}
