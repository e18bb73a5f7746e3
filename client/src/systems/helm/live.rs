//! Asking helm: its configuration and its credentials are the caller's.

use serde_json::{Value, json};

use super::{
    super::{strict, tool::Tool},
    Id, Release, input,
    release::{Form, Told},
};
use crate::{detail::printable, sources::SourceError};

/// What helm says of the newest revision of a release, with all that one form of it takes;
/// `None` if it knows none.
pub(super) fn release(id: &Id, form: Form) -> Result<Option<Release>, SourceError> {
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
    let mut release = Release::of(&release).map_err(|why| input("helm status", &why))?;
    if release.id != *id {
        return Err(input("helm status", "it speaks of another release"));
    }
    if let (Form::Printed, Told::Kept { printed, .. }) = (form, &mut release.told) {
        let of = ["get", "values", &id.name, "--namespace", &id.namespace];
        let revision = revision.to_string();
        let arguments = [&of[..], &["--revision", &revision, "--output", "yaml"]].concat();
        let text = String::from_utf8(Tool::new("helm", &arguments).run()?.output()?);
        let wrong = |_| input("helm get values", "it is no text");
        *printed = Some(text.map_err(wrong)?);
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
