//! Parameters, as a template that is recorded before its stack says them: what a parameter file
//! gives, and else the template's own defaults.
//!
//! Drift is told against the template *and* these: with other ones, the same template makes
//! another stack. Invariants: no value leaves in clear; a value that nobody said, or that AWS
//! alone looks up, is unknown and never a match.

use std::collections::BTreeMap;

use cairn_proto::name::ArtifactName;
use serde_json::{Map, Value, json};

use super::{
    super::{aws::text, strict},
    Desk, PARAMETERS,
    documents::Told,
    not_given, stack,
    template::{Template, is_json},
};
use crate::{
    detail::{pointer_step, printable},
    sources::SourceError,
    systems,
};

/// Bytes of a parameter file: AWS takes 200 values of 4 KiB.
const FILE_BYTES_MAX: usize = 4 << 20;
/// What a parameter's type begins with where AWS looks its value up.
const LOOKED_UP: &str = "AWS::SSM::Parameter::Value<";
/// Members of the form that CodePipeline reads.
const OF_PIPELINE: [&str; 3] = ["Parameters", "Tags", "StackPolicy"];

/// What a parameter file gives: values, and none where the stack's previous one stays.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given(BTreeMap<String, Option<String>>);

impl Given {
    /// A parameter file, in each of the forms that AWS's command line takes; `None` if it is
    /// something else.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let is_list = bytes.trim_ascii_start().starts_with(b"[");
        if !is_list && (!is_json(bytes) || bytes.len() > FILE_BYTES_MAX) {
            return Ok(None);
        }
        if bytes.len() > FILE_BYTES_MAX {
            return Err(format!(
                "a parameter file is never longer than {} MiB",
                FILE_BYTES_MAX >> 20
            ));
        }
        let parsed = strict::parse(bytes);
        let values = match parsed {
            Err(_) if !is_list => return Ok(None),
            parsed => parsed.map_err(|why| format!("as a parameter file: {why}"))?,
        };
        let mut given = Self(BTreeMap::new());
        match values.as_slice() {
            [Value::Array(items)] => {
                for item in items {
                    given.item(item)?;
                }
            }
            [Value::Object(members)] if is_of_pipeline(members) => {
                let values = members.get("Parameters").and_then(Value::as_object);
                for (key, value) in values.into_iter().flatten() {
                    given.insert(key, Some(text_of(key, value)?))?;
                }
            }
            _ if is_list => return Err("a parameter file is one list".to_owned()),
            _ => return Ok(None),
        }
        Ok(Some(given))
    }

    fn item(&mut self, item: &Value) -> Result<(), String> {
        if let Some(pair) = item.as_str() {
            let (key, value) = pair
                .split_once('=')
                .ok_or("an item of a parameter file is no KEY=VALUE")?;
            return self.insert(key, Some(value.to_owned()));
        }
        let key = text(item, "ParameterKey");
        let key = key.ok_or("an item of a parameter file has no ParameterKey")?;
        let members = item.as_object().into_iter().flatten();
        let known = ["ParameterKey", "ParameterValue", "UsePreviousValue"];
        for (member, _) in members {
            if !known.contains(&member.as_str()) {
                return Err(format!(
                    "parameter {key} has a {member}, which is not known"
                ));
            }
        }
        let value = match (item.get("ParameterValue"), item.get("UsePreviousValue")) {
            (Some(value), None | Some(Value::Bool(false))) => Some(text_of(key, value)?),
            (None, Some(Value::Bool(true))) => None,
            _ => return Err(format!("parameter {key} has not one value")),
        };
        self.insert(key, value)
    }

    fn insert(&mut self, key: &str, value: Option<String>) -> Result<(), String> {
        match self.0.insert(key.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(format!("parameter {key} stands twice")),
        }
    }

    /// Puts these in the place of the defaults that were recorded of the template before.
    pub(super) fn lay_down(
        self,
        given: &systems::Given,
        bytes: &[u8],
        desk: &mut Desk<'_>,
    ) -> Result<(), SourceError> {
        let wrong = |why: &str| SourceError::Input {
            what: given.shown(),
            why: printable(why),
        };
        let last = desk.last_object();
        let last = last.filter(|(_, media_type, _)| *media_type == PARAMETERS);
        let Some((name, _, recorded)) = last else {
            return Err(wrong(
                "a parameter file goes right behind its template, which declares parameters: \
                 --cloudformation=TEMPLATE --cloudformation=PARAMETERS",
            ));
        };
        let (name, mut object) = (name.clone(), recorded.clone());
        if object.get("Stated").is_some() {
            return Err(wrong("its template's parameters were given already"));
        }
        let stated: Vec<String> = self.0.keys().cloned().collect();
        for (key, value) in self.0 {
            let at = object.pointer_mut(&format!("/Parameters{}", pointer_step(&key)));
            let Some(at) = at else {
                let why = format!("its template declares no parameter {key}");
                return Err(wrong(&why));
            };
            *at = tag(&name, &key, value.as_deref(), desk)?;
        }
        if let Some(object) = object.as_object_mut() {
            object.insert("Stated".to_owned(), Value::from(stated));
        }
        let base = given.base();
        let of = text(&object, "StackName").unwrap_or_default().to_owned();
        if let Some((.., recorded)) = desk.last_object() {
            *recorded = object;
        }
        // Its values may be anything.
        desk.secret_input(&["parameters", &of, &base.to_string_lossy()], bytes)
    }
}

/// Whether members are those of the form that CodePipeline reads, and of no template.
fn is_of_pipeline(members: &Map<String, Value>) -> bool {
    let known = |member: &String| OF_PIPELINE.contains(&member.as_str());
    members.get("Parameters").is_some_and(Value::is_object) && members.keys().all(known)
}

fn text_of(key: &str, value: &Value) -> Result<String, String> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| format!("the value of parameter {key} is no text"))
}

/// What stands for a value; where there is none, it is unknown.
fn tag(
    name: &ArtifactName,
    key: &str,
    value: Option<&str>,
    desk: &mut Desk<'_>,
) -> Result<Value, SourceError> {
    let at = format!("/Parameters{}", pointer_step(key));
    match value {
        Some(value) => desk.withhold(name, &at, value.as_bytes()),
        None => Ok(desk.untold()),
    }
}

/// Records what a template's parameters are by themselves: their defaults. They are laid down
/// behind all else of the template.
pub(super) fn record(
    template: &Template,
    of: &str,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let name = desk.name(&["parameters", of])?;
    let (mut values, mut resolved) = (Map::new(), Map::new());
    for (key, declared) in template.parameters() {
        let default = declared.get("Default").and_then(as_text);
        let value = tag(&name, key, default.as_deref(), desk)?;
        values.insert(key.clone(), value);
        let kind = text(declared, "Type").unwrap_or_default();
        if kind.starts_with(LOOKED_UP) {
            resolved.insert(key.clone(), desk.untold());
        }
    }
    if values.is_empty() {
        return Ok(());
    }
    let never: Vec<_> = template.never_told().collect();
    if !never.is_empty() {
        stack::note_never_told(&never, desk);
    }
    let mut object = json!({"StackName": of, "Parameters": values});
    if let (Some(object), false) = (object.as_object_mut(), resolved.is_empty()) {
        let keys: Vec<_> = resolved.keys().map(String::as_str).collect();
        desk.note(format!(
            "what AWS looks up for a parameter is known when it is deployed, and so cannot be \
             verified before the stack itself is recorded: {}",
            printable(&keys.join(", "))
        ));
        object.insert("ResolvedParameters".to_owned(), Value::Object(resolved));
    }
    desk.object(name, PARAMETERS, object);
    Ok(())
}

/// A default as AWS writes it, where all readers agree on it.
fn as_text(default: &Value) -> Option<String> {
    match default {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) if number.is_i64() => Some(number.to_string()),
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
    let mut object = Map::new();
    let of = recorded.get("StackName").cloned();
    object.insert("StackName".to_owned(), of.unwrap_or_default());
    stack::parameters(told, stack, name, &mut object, desk)?;
    // What was unknown then is not there now only if it was not told.
    let resolved = recorded.get("ResolvedParameters");
    if let (Some(Value::Object(recorded)), None) = (resolved, object.get("ResolvedParameters")) {
        let unknown = recorded.keys().map(|key| (key.clone(), desk.untold()));
        let unknown = Value::Object(unknown.collect());
        object.insert("ResolvedParameters".to_owned(), unknown);
    }
    desk.object(name.clone(), PARAMETERS, Value::Object(object));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Given;

    /// Goal: each form that AWS's command line takes says the same. Method: all of them.
    #[test]
    fn each_form_of_a_parameter_file_is_read() {
        let pairs = [("Host", Some("a=b")), ("Size", Some(""))];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        let expected = Given(pairs.into());
        for text in [
            r#"[{"ParameterKey": "Size", "ParameterValue": ""},
                {"ParameterKey": "Host", "ParameterValue": "a=b", "UsePreviousValue": false}]"#,
            "\u{feff} [\"Size=\", \"Host=a=b\"]",
            r#"{"Parameters": {"Size": "", "Host": "a=b"}, "Tags": {"a": "b"}}"#,
        ] {
            let given = Given::read(text.as_bytes()).unwrap();
            assert_eq!(given.as_ref(), Some(&expected), "{text}");
        }
        let before = r#"[{"ParameterKey": "Size", "UsePreviousValue": true}]"#;
        let before = Given::read(before.as_bytes()).unwrap().unwrap();
        assert_eq!(before.0["Size"], None);
    }

    /// Goal: what is no parameter file is left to others, and a bad one is refused by name.
    /// Method: one of each sort.
    #[test]
    fn what_is_no_parameter_file_is_told() {
        for text in [
            "Resources: {}",
            r#"{"Resources": {}, "Parameters": {}}"#,
            r#"{"Stacks": []}"#,
            r#"{"Parameters": {}} {"Parameters": {}}"#,
            r#"{"Parameters": {"A": "1", "A": "2"}}"#,
            "{",
        ] {
            assert_eq!(Given::read(text.as_bytes()), Ok(None), "{text}");
        }
        for (text, why) in [
            ("[", "as a parameter file"),
            ("[] []", "one list"),
            (r#"["Size"]"#, "no KEY=VALUE"),
            (r#"["A=1", "A=1"]"#, "A stands twice"),
            ("[1]", "no ParameterKey"),
            (r#"[{"ParameterKey": "A"}]"#, "has not one value"),
            (
                r#"[{"ParameterKey": "A", "ParameterValue": 1}]"#,
                "is no text",
            ),
            (
                r#"[{"ParameterKey": "A", "ParameterValue": "1", "UsePreviousValue": true}]"#,
                "has not one value",
            ),
            (
                r#"[{"ParameterKey": "A", "ParameterVal": "1"}]"#,
                "ParameterVal",
            ),
            (r#"{"Parameters": {"A": 1}}"#, "is no text"),
            (&format!("[{}", " ".repeat(5 << 20)), "never longer"),
        ] {
            let refused = Given::read(text.as_bytes()).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
