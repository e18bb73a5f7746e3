//! A parameter file: what a caller gives AWS's command line beside a template.
//!
//! Invariant: no text of it stands in an error, but for names that stand where only names do.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    super::{aws::text, strict},
    template::is_json,
};
use crate::detail::printable;

/// Bytes of a parameter file: AWS takes 200 values of 4 KiB.
const BYTES_MAX: usize = 4 << 20;
/// Members of an item; the last is what AWS adds when it prints one, and takes again.
const OF_ITEM: [&str; 4] = [
    "ParameterKey",
    "ParameterValue",
    "UsePreviousValue",
    "ResolvedValue",
];
/// What tells an answer or a template from the form that `CodePipeline` reads.
const OF_OTHERS: [&str; 4] = ["Resources", "Stacks", "TemplateBody", "ChangeSetName"];

/// What it gives: values by their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ParameterFile(pub(super) BTreeMap<String, Stated>);

/// What is said of a parameter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stated {
    /// None where the stack's previous value stays.
    pub(super) value: Option<String>,
    /// What it may be called where its name could be a value that lacks one.
    pub(super) shown: String,
}

impl ParameterFile {
    /// A parameter file, in each of the forms that AWS's command line takes; `None` if the bytes
    /// are something else.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let is_list = bytes.trim_ascii_start().starts_with(b"[");
        if !is_list && (!is_json(bytes) || bytes.len() > BYTES_MAX) {
            return Ok(None);
        }
        if bytes.len() > BYTES_MAX {
            let max = BYTES_MAX >> 20;
            return Err(format!("a parameter file is never longer than {max} MiB"));
        }
        let values = match strict::parse(bytes) {
            Ok(values) => values,
            Err(_) if !is_list => return Ok(None),
            Err(why) => return Err(format!("as a parameter file: {why}")),
        };
        match values.as_slice() {
            [Value::Array(items)] => Self::of_items(items).map(Some),
            [Value::Object(members)] if is_of_pipeline(members) => {
                Self::of_pipeline(members).map(Some)
            }
            _ if is_list => Err("a parameter file is one list".to_owned()),
            _ => Ok(None),
        }
    }

    fn of_items(items: &[Value]) -> Result<Self, String> {
        let mut file = Self::default();
        for (place, item) in items.iter().enumerate() {
            let at = format!("item {} of the parameter file", place + 1);
            if let Some(pair) = item.as_str() {
                let pair = pair.split_once('=');
                let (key, value) = pair.ok_or_else(|| format!("{at} is no KEY=VALUE"))?;
                file.insert(key, Some(value), at)?;
                continue;
            }
            let key = text(item, "ParameterKey");
            let key = key.ok_or_else(|| format!("{at} has no ParameterKey"))?;
            let mut members = item.as_object().into_iter().flatten();
            if let Some((other, _)) = members.find(|it| !OF_ITEM.contains(&it.0.as_str())) {
                let other = printable(other);
                return Err(format!("{at} has a {other}, which AWS does not know"));
            }
            let previous = item.get("UsePreviousValue") == Some(&Value::Bool(true));
            let value = match item.get("ParameterValue") {
                None if previous => None,
                Some(Value::String(text)) if previous && text.is_empty() => None,
                Some(Value::String(text)) if !previous => Some(text.as_str()),
                None | Some(Value::String(_)) => return Err(format!("{at} has not one value")),
                Some(_) => return Err(format!("the value of {at} is no text")),
            };
            file.insert(key, value, format!("parameter {}", printable(key)))?;
        }
        Ok(file)
    }

    fn of_pipeline(members: &Map<String, Value>) -> Result<Self, String> {
        let mut file = Self::default();
        let values = members.get("Parameters").and_then(Value::as_object);
        for (key, value) in values.into_iter().flatten() {
            let shown = format!("parameter {}", printable(key));
            let value = value.as_str();
            let no_text = || format!("as a parameter file: the value of {shown} is no text");
            let value = value.ok_or_else(no_text)?;
            file.insert(key, Some(value), shown)?;
        }
        Ok(file)
    }

    fn insert(&mut self, key: &str, value: Option<&str>, shown: String) -> Result<(), String> {
        let value = value.map(str::to_owned);
        let again = format!("{shown} is of a parameter that was given before");
        match self.0.insert(key.to_owned(), Stated { value, shown }) {
            None => Ok(()),
            Some(_) => Err(again),
        }
    }
}

fn is_of_pipeline(members: &Map<String, Value>) -> bool {
    let other = |member: &&str| members.contains_key(*member);
    // A template declares its parameters as objects.
    let values = |values: &Map<String, Value>| !values.values().any(Value::is_object);
    members
        .get("Parameters")
        .and_then(Value::as_object)
        .is_some_and(values)
        && !OF_OTHERS.iter().any(other)
}

#[cfg(test)]
mod tests {
    use super::ParameterFile;

    fn read(text: &str) -> Vec<(String, Option<String>)> {
        let file = ParameterFile::read(text.as_bytes()).unwrap().unwrap();
        let all = file.0.into_iter();
        all.map(|(key, stated)| (key, stated.value)).collect()
    }

    /// Goal: each form that AWS's command line takes says the same. Method: all of them.
    #[test]
    fn each_form_of_a_parameter_file_is_read() {
        let pairs = [("Host", Some("a=b")), ("Size", Some(""))];
        let expected = pairs.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        for text in [
            r#"[{"ParameterKey": "Size", "ParameterValue": "", "ResolvedValue": "x"},
                {"ParameterKey": "Host", "ParameterValue": "a=b", "UsePreviousValue": false}]"#,
            "\u{feff} [\"Size=\", \"Host=a=b\"]",
            r#"{"Parameters": {"Size": "", "Host": "a=b"}, "Tags": {"a": "b"}, "Any": 1}"#,
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        for text in [
            r#"[{"ParameterKey": "Size", "UsePreviousValue": true}]"#,
            r#"[{"ParameterKey": "Size", "ParameterValue": "", "UsePreviousValue": true}]"#,
        ] {
            assert_eq!(read(text), [("Size".to_owned(), None)]);
        }
        assert_eq!(read("[]"), []);
    }

    /// Goal: what is no parameter file is left to others, and a bad one is refused without a
    /// word of its values. Method: one of each sort.
    #[test]
    fn what_is_no_parameter_file_is_told() {
        for text in [
            "Resources: {}",
            r#"{"Resources": {}, "Parameters": {}}"#,
            r#"{"Stacks": []}"#,
            r#"{"Parameters": {"Env": {"Type": "String"}}}"#,
            r#"{"ChangeSetName": "x", "Parameters": {}}"#,
            r#"{"Parameters": {}} {"Parameters": {}}"#,
            r#"{"Parameters": {"A": "1", "A": "2"}}"#,
            "{",
        ] {
            assert_eq!(ParameterFile::read(text.as_bytes()), Ok(None), "{text}");
        }
        for (text, why) in [
            ("[", "as a parameter file"),
            ("[] []", "one list"),
            (r#"["swordfish"]"#, "item 1 of the parameter file is no KEY"),
            (
                r#"["A=1", "A=swordfish"]"#,
                "item 2 of the parameter file is of a parameter that was given before",
            ),
            (
                r#"["swordfish=", "swordfish="]"#,
                "a parameter that was given before",
            ),
            ("[1]", "no ParameterKey"),
            (r#"[{"ParameterKey": "A"}]"#, "has not one value"),
            (
                r#"[{"ParameterKey": "A", "ParameterValue": 1}]"#,
                "is no text",
            ),
            ("[123456789012345678901]", "the number at byte 1"),
            (
                r#"[{"ParameterKey": "A", "ParameterValue": "swordfish", "UsePreviousValue": true}]"#,
                "has not one value",
            ),
            (
                r#"[{"ParameterKey": "A", "ParameterVal": "swordfish"}]"#,
                "has a ParameterVal",
            ),
            (r#"{"Parameters": {"A": 1}}"#, "parameter A is no text"),
            (&format!("[{}", " ".repeat(5 << 20)), "never longer"),
        ] {
            let refused = ParameterFile::read(text.as_bytes()).unwrap_err();
            assert!(refused.contains(why), "{refused}");
            let kept = !refused.contains("swordfish") && !refused.contains("12345");
            assert!(kept, "{refused}");
        }
    }
}
