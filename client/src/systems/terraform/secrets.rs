//! The sensitive values of a plan or a state, to be found wherever else they stand.
//!
//! Terraform marks the places that a sensitive value was written to, and not what a provider
//! computes from it: `terraform_data.x.output` is `input` without its marks. So every value that
//! is marked anywhere is looked for in all others. What a provider made of it by hashing or
//! encoding is not found; nor are values shorter than [`TEXT_BYTES_MIN`].

use std::collections::HashSet;

use aho_corasick::AhoCorasick;
use serde_json::{Map, Value};

use super::marks;
use crate::sources::SourceError;

/// Bytes of a text that is looked for: shorter ones stand everywhere.
const TEXT_BYTES_MIN: usize = 4;
/// Bytes of a text that is looked for within others.
const PART_BYTES_MIN: usize = 8;
/// Bytes of it that are compared: a longer text is found by its beginning.
const PART_BYTES_MAX: usize = 64;
/// Bytes of all of these: the automaton takes some thirty times as many.
const PARTS_BYTES_MAX: usize = 8 << 20;

/// Sensitive values.
pub(super) struct Secrets {
    texts: HashSet<String>,
    /// Lists and objects of them.
    wholes: HashSet<Value>,
    /// Those that are long enough to be found within other texts.
    parts: AhoCorasick,
    /// All of them.
    all: AhoCorasick,
}

impl Secrets {
    /// Those of a state.
    pub(super) fn of_state(state: &Value, from: &str) -> Result<Self, SourceError> {
        Collector::default().finish_with(state, from)
    }

    /// Those of a plan; among them the variables that its configuration calls sensitive.
    pub(super) fn of_plan(plan: &Value, from: &str) -> Result<Self, SourceError> {
        let mut collector = Collector::default();
        let declared = plan.pointer("/configuration/root_module/variables");
        for (name, variable) in members(plan.get("variables")) {
            let declared = declared.and_then(|declared| declared.get(name));
            let sensitive = declared.and_then(|declared| declared.get("sensitive"));
            if let (Some(Value::Bool(true)), Some(value)) = (sensitive, variable.get("value")) {
                collector.all(value);
            }
        }
        collector.finish_with(plan, from)
    }

    /// Whether a value is one of them, or a text that holds one.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.texts.contains(text) || self.parts.is_match(text),
            Value::Number(number) => self.texts.contains(&number.to_string()),
            Value::Array(_) => self.wholes.contains(value),
            Value::Object(_) => self.wholes.contains(value) || self.in_names(value),
            _ => false,
        }
    }

    /// Whether the name of a member holds one of them.
    pub(super) fn in_names(&self, value: &Value) -> bool {
        members(Some(value)).any(|(name, _)| self.parts.is_match(name))
    }

    /// Whether one of them stands in a file.
    pub(super) fn in_bytes(&self, bytes: &[u8]) -> bool {
        self.all.is_match(bytes)
    }
}

#[derive(Default)]
struct Collector {
    texts: HashSet<String>,
    wholes: HashSet<Value>,
}

impl Collector {
    fn finish_with(mut self, document: &Value, from: &str) -> Result<Secrets, SourceError> {
        self.walk(document);
        Ok(Secrets {
            parts: self.automaton(PART_BYTES_MIN, false, from)?,
            all: self.automaton(TEXT_BYTES_MIN, true, from)?,
            texts: self.texts,
            wholes: self.wholes,
        })
    }

    /// Takes what is marked anywhere in a document. Recursion is bounded by the parser's limit
    /// on depth.
    fn walk(&mut self, value: &Value) {
        let object = match value {
            Value::Object(object) => object,
            Value::Array(items) => {
                for item in items {
                    self.walk(item);
                }
                return;
            }
            _ => return,
        };
        for (values, marks) in [
            ("values", "sensitive_values"),
            ("before", "before_sensitive"),
            ("after", "after_sensitive"),
        ] {
            if let (Some(values), Some(marks)) = (object.get(values), object.get(marks)) {
                self.take(values, marks);
            }
        }
        if let (Some(value), Some(marks)) = (object.get("value"), object.get("sensitive")) {
            self.take(value, marks);
        }
        for (name, below) in object {
            // Not into values, whose names may be any; configuration has none.
            let structure = !matches!(
                name.as_str(),
                "before" | "after" | "value" | "variables" | "configuration"
            );
            let values = name == "values" && object.contains_key("sensitive_values");
            if structure && !values {
                self.walk(below);
            }
        }
    }

    fn take(&mut self, value: &Value, marks: &Value) {
        if marks::whole(marks, value) {
            self.all(value);
            return;
        }
        match value {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.take(item, marks::item(marks, at));
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    self.take(member, marks::member(marks, name));
                }
            }
            _ => {}
        }
    }

    /// Takes a value and all within it. Says whether that was worth looking for.
    fn all(&mut self, value: &Value) -> bool {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Array(items) => {
                let worth = items
                    .iter()
                    .fold(false, |worth, item| self.all(item) | worth);
                return self.whole(value, worth);
            }
            Value::Object(members) => {
                let items = members.values();
                let worth = items.fold(false, |worth, item| self.all(item) | worth);
                return self.whole(value, worth);
            }
            Value::Null | Value::Bool(_) => return false,
        };
        let worth = text.len() >= TEXT_BYTES_MIN;
        if worth {
            self.texts.insert(text);
        }
        worth
    }

    fn whole(&mut self, value: &Value, worth: bool) -> bool {
        if worth {
            self.wholes.insert(value.clone());
        }
        worth
    }

    fn automaton(
        &self,
        bytes_min: usize,
        runs: bool,
        from: &str,
    ) -> Result<AhoCorasick, SourceError> {
        let texts = self.texts.iter().map(String::as_bytes);
        let runs = texts.clone().filter(|_| runs).flat_map(plain_runs);
        let texts = texts.filter(|text| text.len() >= bytes_min).chain(runs);
        let parts = texts.map(|text| text.get(..PART_BYTES_MAX).unwrap_or(text));
        let parts: HashSet<_> = parts.collect();
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let too_many = || SourceError::Input {
            what: from.to_owned(),
            why: "it has more sensitive values than can be looked for".to_owned(),
        };
        if bytes > PARTS_BYTES_MAX {
            return Err(too_many());
        }
        AhoCorasick::new(parts).map_err(|_| too_many())
    }
}

/// What stands as it is in a text that a configuration spells otherwise: between the letters that
/// it escapes.
fn plain_runs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let runs = text.split(|byte| byte.is_ascii_control() || b"\"\\$%".contains(byte));
    runs.filter(|run| run.len() < text.len() && run.len() >= PART_BYTES_MIN)
}

/// The members of an object; none of anything else.
fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Secrets;

    /// Goal: a secret is found in a file that spells it otherwise. Method: one with letters that
    /// a configuration escapes, as itself and as HCL has it; and a file without it.
    #[test]
    fn a_secret_that_is_spelled_otherwise_is_found() {
        let resource = json!({
            "values": {"password": "p@ss\"word-12345"},
            "sensitive_values": {"password": true},
        });
        let state = json!({"values": {"root_module": {"resources": [resource]}}});
        let secrets = Secrets::of_state(&state, "s").unwrap();
        for file in ["x = \"p@ss\"word-12345\"", "x = \"p@ss\\\"word-12345\""] {
            assert!(secrets.in_bytes(file.as_bytes()), "{file}");
        }
        assert!(!secrets.in_bytes(b"x = \"another-12345\""));
    }
}
