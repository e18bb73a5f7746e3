//! Asking helm: its configuration and its credentials are the caller's.

use serde_json::{Value, json};

use super::{
    super::{strict, tool::Tool},
    Id, Release, input,
};
use crate::{detail::printable, sources::SourceError};

/// What helm says of the newest revision of a release; `None` if it knows none.
pub(super) fn release(id: &Id) -> Result<Option<Release>, SourceError> {
    let Some(mut release) = ask(&["status"], id)? else {
        return Ok(None);
    };
    // All but the chart. The revision is named, so that both answers are of one.
    let revision = release.get("version").cloned().unwrap_or_default();
    let of = ["get", "metadata", "--revision", &revision.to_string()];
    let Some(metadata) = ask(&of, id)? else {
        return Ok(None);
    };
    let of_chart = |name: &str| metadata.get(name).cloned().unwrap_or_default();
    release["chart"] = json!({"metadata": {
        "name": of_chart("chart"),
        "version": of_chart("version"),
        "appVersion": of_chart("appVersion"),
    }});
    let release = Release::of(&release).map_err(|why| input("helm status", &why))?;
    if release.id != *id {
        return Err(input("helm status", "it speaks of another release"));
    }
    Ok(Some(release))
}

fn ask(what: &[&str], id: &Id) -> Result<Option<Value>, SourceError> {
    let mut arguments = what.to_vec();
    let of = [&id.name, "--namespace", &id.namespace, "--output", "json"];
    arguments.extend(of);
    let said = Tool::new("helm", &arguments).run()?;
    if said.complaint.contains("release: not found") {
        return Ok(None);
    }
    let wrong = |why: &str| input(&format!("helm {}", what.join(" ")), &printable(why));
    let mut values = strict::parse(&said.output()?).map_err(|why| wrong(&why))?;
    match (values.pop(), values.is_empty()) {
        (Some(value @ Value::Object(_)), true) => Ok(Some(value)),
        _ => Err(wrong("it is not one JSON object")),
    }
}
