//! Parameters, as a template that is recorded before its stack says them: what a parameter file
//! gives, and else the template's own defaults.
//!
//! With other ones the same template makes another stack, and AWS calls its resources in sync.
//! Invariants: no value leaves in clear; a value that nobody said, or that AWS alone looks up,
//! is unknown and never a match.

use cairn_proto::name::ArtifactName;
use serde_json::{Map, Value, json};

use super::{
    super::aws::text,
    Desk, PARAMETERS,
    documents::Told,
    not_given,
    parameter_file::{ParameterFile, Stated},
    stack,
    template::Template,
    yaml::PLAIN,
};
use crate::{
    detail::{pointer_step, printable},
    sources::SourceError,
};

/// What a parameter's type begins with where AWS looks its value up.
const LOOKED_UP: &str = "AWS::SSM::Parameter::Value<";

/// What there is to say of them to whoever records.
#[derive(Default)]
struct Remarks {
    by_default: Vec<String>,
    unknown: Vec<String>,
    looked_up: Vec<String>,
}

/// Records what a template's parameters will be.
pub(super) fn record(
    template: &Template,
    of: &str,
    file: &ParameterFile,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let name = desk.name(&["parameters", of])?;
    let (mut values, mut resolved) = (Map::new(), Map::new());
    let (mut lists, mut remarks) = (Vec::new(), Remarks::default());
    for (key, declared) in template.parameters() {
        let kind = text(declared, "Type").unwrap_or_default();
        let is_list = kind == "CommaDelimitedList" || kind.contains("List<");
        if is_list {
            lists.push(key.as_str());
        }
        let value = match file.0.get(key) {
            Some(stated) => stated.value.clone(),
            None => declared.get("Default").and_then(as_text),
        };
        match (file.0.get(key), &value) {
            (_, None) => remarks.unknown.push(key.clone()),
            (None, Some(_)) => remarks.by_default.push(key.clone()),
            (Some(_), Some(_)) => {}
        }
        let tag = match value {
            Some(value) => {
                let at = format!("/Parameters{}", pointer_step(key));
                desk.withhold(&name, &at, as_aws_tells(&value, is_list).as_bytes())?
            }
            None => desk.untold(),
        };
        values.insert(key.clone(), tag);
        if kind.starts_with(LOOKED_UP) && template.depends_on(key) {
            resolved.insert(key.clone(), desk.untold());
            remarks.looked_up.push(key.clone());
        }
    }
    remarks.tell(of, desk);
    let never: Vec<_> = template.never_told().collect();
    if !never.is_empty() {
        stack::note_never_told(&never, desk);
    }
    let others = file.0.iter().filter(|(key, _)| !values.contains_key(*key));
    let others: Vec<_> = others
        .map(|(_, Stated { shown, .. })| shown.as_str())
        .collect();
    if !others.is_empty() {
        desk.note(format!(
            "the template of {of} declares no such parameter, and so it is not recorded: {}",
            others.join(", ")
        ));
    }
    if !values.is_empty() {
        let object = json!({
            "StackName": of,
            "Parameters": values,
            "ResolvedParameters": resolved,
            "Lists": lists,
        });
        desk.object(name, PARAMETERS, object);
    }
    Ok(())
}

impl Remarks {
    fn tell(&self, of: &str, desk: &mut Desk<'_>) {
        let tell = |what: &str, keys: &[String], desk: &mut Desk<'_>| {
            if !keys.is_empty() {
                let keys = printable(&keys.join(", "));
                desk.note(format!("of the stack {of}, {what}: {keys}"));
            }
        };
        let what = "parameters stand at the template's defaults, where `aws cloudformation \
                    deploy` leaves those of before";
        tell(what, &self.by_default, desk);
        let what = "the values of parameters are not known, and so cannot be verified: give them \
                    in a parameter file behind the template, or as defaults in quotes";
        tell(what, &self.unknown, desk);
        let what = "what AWS looks up for parameters is known when it is deployed, and so cannot \
                    be verified until the stack itself is recorded (or is ignored, by `--ignore \
                    ...#/ResolvedParameters/KEY`)";
        tell(what, &self.looked_up, desk);
    }
}

/// A value as AWS tells it: items of a list without the space between them.
fn as_aws_tells(value: &str, is_list: bool) -> String {
    if !is_list {
        return value.to_owned();
    }
    let items: Vec<_> = value.split(',').map(str::trim).collect();
    items.join(",")
}

/// A default as AWS takes it, where all readers agree on it.
fn as_text(default: &Value) -> Option<String> {
    match default {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) if number.is_i64() => Some(number.to_string()),
        // A version or an address is no number to anybody.
        Value::Object(members) => {
            let text = members.get(PLAIN)?.as_str()?;
            let known = |byte: u8| byte.is_ascii_digit() || byte == b'.';
            let dots = text.matches('.').count();
            (dots > 1 && text.bytes().all(known)).then(|| text.to_owned())
        }
        _ => None,
    }
}

/// What the parameters of the stack are now.
pub(super) fn observe(
    told: &Told,
    name: &ArtifactName,
    recorded: &Value,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let Some(stack) = &told.stack else {
        not_given(name, "what describe-stacks prints", desk);
        return Ok(());
    };
    let lists = recorded.get("Lists").cloned().unwrap_or_default();
    let lists: Vec<&str> = lists
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let spelled = |key: &str, value: &str| as_aws_tells(value, lists.contains(&key));
    let mut object = Map::new();
    stack::parameters(told, stack, name, &spelled, &mut object, desk)?;
    let found = object.remove("ResolvedParameters").unwrap_or_default();
    let wanted = recorded
        .get("ResolvedParameters")
        .and_then(Value::as_object);
    let resolved = wanted.into_iter().flatten().map(|(key, _)| {
        let told = found.get(key).cloned();
        (key.clone(), told.unwrap_or_else(|| desk.untold()))
    });
    let resolved = Value::Object(resolved.collect());
    object.insert("ResolvedParameters".to_owned(), resolved);
    for member in ["StackName", "Lists"] {
        let same = recorded.get(member).cloned().unwrap_or_default();
        object.insert(member.to_owned(), same);
    }
    desk.object(name.clone(), PARAMETERS, Value::Object(object));
    Ok(())
}
