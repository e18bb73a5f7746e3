//! A template: its bytes as they were given, and what they say in the long form.

use serde_json::{Map, Value};

use super::{
    super::{
        aws::{ENVIRONMENT, names_secret},
        strict,
    },
    Desk,
    yaml::{self, PLAIN},
};
use crate::{
    detail::{pointer_step, printable},
    sources::{SourceError, looks_secret},
};
use cairn_proto::name::ArtifactName;

/// Bytes of a template; AWS takes one MiB, and says so of the processed one, too.
const TEMPLATE_BYTES_MAX: usize = 4 << 20;
/// What text that is looked up elsewhere begins with: it names a secret and is none.
const LOOKED_UP: &str = "{{resolve:";

/// Whether a text is one such reference and nothing beside it.
fn is_looked_up(text: &str) -> bool {
    let once = |brace: &str| text.matches(brace).count() == 1;
    text.starts_with(LOOKED_UP) && text.ends_with("}}") && once("{{") && once("}}")
}

/// Members of a template whose members are declarations.
const SECTIONS: [&str; 5] = [
    "/Resources",
    "/Parameters",
    "/Outputs",
    "/Conditions",
    "/Mappings",
];
/// Functions whose argument is a name.
const REFERENCES: [&str; 5] = [
    "Ref",
    "Condition",
    "Fn::GetAtt",
    "Fn::GetAZs",
    "Fn::ImportValue",
];

/// A template that was read.
pub(super) struct Template {
    /// `json` or `yaml`.
    pub(super) format: &'static str,
    /// In the long form.
    pub(super) body: Value,
    /// As it was given, where that is known: the command line prints JSON anew.
    pub(super) bytes: Option<Vec<u8>>,
}

impl Template {
    /// From a file, or from the text that AWS kept.
    pub(super) fn read(from: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        let wrong = |why: String| SourceError::Input {
            what: from.to_owned(),
            why: printable(&why),
        };
        if bytes.len() > TEMPLATE_BYTES_MAX {
            let max = TEMPLATE_BYTES_MAX >> 20;
            return Err(wrong(format!("a template is never longer than {max} MiB")));
        }
        let (format, body) = if is_json(bytes) {
            let mut values = strict::parse(bytes).map_err(wrong)?;
            match (values.pop(), values.is_empty()) {
                (Some(value), true) => ("json", value),
                _ => return Err(wrong("it holds more than one JSON value".to_owned())),
            }
        } else {
            let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
            ("yaml", yaml::read(text).map_err(wrong)?)
        };
        if !body.get("Resources").is_some_and(Value::is_object) {
            return Err(wrong(
                "a template has Resources, and this has none".to_owned(),
            ));
        }
        Ok(Self {
            format,
            body,
            bytes: Some(bytes.to_vec()),
        })
    }

    /// As the command line prints it: JSON as JSON, YAML as a text.
    pub(super) fn told(from: &str, body: &Value) -> Result<Self, SourceError> {
        match body {
            Value::String(text) => Self::read(from, text.as_bytes()),
            body => {
                let bytes = serde_json::to_vec(body).unwrap_or_default();
                let template = Self::read(from, &bytes)?;
                Ok(Self {
                    bytes: None,
                    ..template
                })
            }
        }
    }

    /// The parameters that it declares, and how.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&String, &Value)> {
        let parameters = self.body.get("Parameters").and_then(Value::as_object);
        parameters.into_iter().flatten()
    }

    /// The parameters whose values AWS never tells.
    pub(super) fn never_told(&self) -> impl Iterator<Item = &str> {
        self.parameters()
            .filter(|(_, parameter)| parameter.as_object().is_some_and(is_no_echo))
            .map(|(name, _)| name.as_str())
    }

    /// Whether a parameter's value may decide anything but whether it may be deployed. What AWS
    /// puts in, and its macros, may use each.
    pub(super) fn depends_on(&self, parameter: &str) -> bool {
        if self.is_transformed() {
            return true;
        }
        let within = format!("${{{parameter}");
        let names = |text: &str| text == parameter || text.contains(&within);
        let mut sections = self.body.as_object().into_iter().flatten();
        sections.any(|(section, body)| {
            !["Parameters", "Rules", "Metadata"].contains(&section.as_str())
                && strict::any_text(body, &names)
        })
    }

    /// Whether AWS makes another template of it.
    pub(super) fn is_transformed(&self) -> bool {
        self.body.get("Transform").is_some() || has_transform(&self.body)
    }

    /// The resources that it declares: name, type, and whether a condition decides.
    pub(super) fn resources(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        let resources = self.body.get("Resources").and_then(Value::as_object);
        resources.into_iter().flatten().map(|(name, resource)| {
            let kind = resource.get("Type").and_then(Value::as_str);
            let conditional = resource.get("Condition").is_some();
            (name.as_str(), kind.unwrap_or_default(), conditional)
        })
    }
}

/// Whether bytes are meant as JSON.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&b'{')
}

/// What is not clearly told is not told.
fn is_no_echo(parameter: &Map<String, Value>) -> bool {
    match parameter.get("NoEcho") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.eq_ignore_ascii_case("false"),
        Some(_) => true,
    }
}

/// Recursion is bounded by the parsers' limits on depth.
fn has_transform(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| {
            name == "Fn::Transform" || name.starts_with("Fn::ForEach::") || has_transform(value)
        }),
        Value::Array(items) => items.iter().any(has_transform),
        _ => false,
    }
}

/// Two texts as one reader or another could take them: without quotes and without types.
pub(super) fn loosely(value: &Value) -> Value {
    match value {
        Value::Object(members) => match members.get(PLAIN) {
            Some(text) if members.len() == 1 => text.clone(),
            _ => {
                let members = members.iter();
                let members = members.map(|(name, value)| (name.clone(), loosely(value)));
                Value::Object(members.collect())
            }
        },
        Value::Array(items) => Value::Array(items.iter().map(loosely).collect()),
        Value::Bool(_) | Value::Number(_) => Value::from(value.to_string()),
        Value::String(_) | Value::Null => value.clone(),
    }
}

/// Tags in the place of what is secret in a template, and whether there was any: values that
/// their names call so, environments of functions and containers, and what a parameter is
/// that is never told.
pub(super) fn cleaned(
    body: &Value,
    name: &ArtifactName,
    pointer: &str,
    desk: &mut Desk<'_>,
) -> Result<(Value, bool), SourceError> {
    let mut cleaner = Cleaner {
        name,
        root: pointer,
        desk,
        found: false,
    };
    let body = cleaner.value(body, pointer, false)?;
    Ok((body, cleaner.found))
}

struct Cleaner<'d, 'k> {
    name: &'d ArtifactName,
    /// Where the template stands in the object.
    root: &'d str,
    desk: &'d mut Desk<'k>,
    found: bool,
}

impl Cleaner<'_, '_> {
    /// `secret` is what stands above. Recursion is bounded by the parsers' limits on depth.
    fn value(&mut self, value: &Value, at: &str, secret: bool) -> Result<Value, SourceError> {
        match value {
            Value::Object(members) => {
                let mut cleaned = Map::new();
                for (name, value) in members {
                    let secret = self.is_secret(members, name, at, secret);
                    let at = format!("{at}{}", pointer_step(name));
                    cleaned.insert(name.clone(), self.value(value, &at, secret)?);
                }
                Ok(Value::Object(cleaned))
            }
            Value::Array(items) => {
                let mut cleaned = Vec::with_capacity(items.len());
                for (place, item) in items.iter().enumerate() {
                    cleaned.push(self.value(item, &format!("{at}/{place}"), secret)?);
                }
                Ok(Value::Array(cleaned))
            }
            Value::String(text)
                if (secret && !is_looked_up(text)) || looks_secret("text", text.as_bytes()) =>
            {
                self.tag(at, text)
            }
            Value::Number(number) if secret => self.tag(at, &number.to_string()),
            other => Ok(other.clone()),
        }
    }

    fn is_secret(&self, of: &Map<String, Value>, name: &str, at: &str, above: bool) -> bool {
        let at = at.strip_prefix(self.root).unwrap_or(at);
        // What is declared is named as its author likes, and a reference names what is elsewhere.
        if SECTIONS.contains(&at) || REFERENCES.contains(&name) {
            return false;
        }
        if let Some(parameter) = at.strip_prefix("/Parameters/") {
            return name == "Default" && (is_no_echo(of) || names_secret(parameter));
        }
        above
            || names_secret(name)
            || name == "Environment"
            || (name == "Value" && is_environment_option(of))
    }

    fn tag(&mut self, at: &str, text: &str) -> Result<Value, SourceError> {
        self.found = true;
        self.desk.withhold(self.name, at, text.as_bytes())
    }
}

/// Whether it is an option of Elastic Beanstalk that is a variable of the application.
fn is_environment_option(of: &Map<String, Value>) -> bool {
    let namespace = of.get("Namespace").and_then(Value::as_str);
    namespace.is_some_and(|namespace| namespace.starts_with(ENVIRONMENT))
}
