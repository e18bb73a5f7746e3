//! Values as they may be recorded and shown: what is sensitive, or holds what is sensitive
//! elsewhere, as a tag.
//!
//! Invariants: what was recorded as a tag is compared as one, whatever is marked now; what was
//! recorded in clear stays in clear only while it is the same, and a new value of it that is
//! sensitive leaves as a tag. That a value is empty is no secret.

use cairn_proto::{manifest::Withheld, name::ArtifactName};
use serde_json::{Map, Value};

use super::{Desk, Secrets, marks};
use crate::{detail::pointer_step, sources::SourceError};

/// Redacts one object.
pub(super) struct Redactor<'r, 'd> {
    desk: &'r mut Desk<'d>,
    secrets: &'r Secrets,
    name: &'r ArtifactName,
    elsewhere: usize,
}

impl<'r, 'd> Redactor<'r, 'd> {
    pub(super) fn new(
        desk: &'r mut Desk<'d>,
        secrets: &'r Secrets,
        name: &'r ArtifactName,
    ) -> Self {
        Self {
            desk,
            secrets,
            name,
            elsewhere: 0,
        }
    }

    /// How many values were withheld that are not marked where they stand.
    pub(super) fn elsewhere(self) -> usize {
        self.elsewhere
    }

    /// A value with its marks, and what was recorded in its place. Recursion is bounded by the
    /// parser's limit on depth.
    pub(super) fn clean(
        &mut self,
        value: Value,
        marks: &Value,
        recorded: Option<&Value>,
        pointer: &str,
    ) -> Result<Value, SourceError> {
        if recorded.is_some_and(is_tag) {
            return self.withhold(&value, pointer);
        }
        let marked = marks::whole(marks, &value);
        let elsewhere = !marked && self.secrets.holds(&value);
        if (marked || elsewhere) && !is_empty(&value) && !self.goes_on(&value, recorded) {
            if recorded.is_some_and(|recorded| settled(recorded) == settled(&value)) {
                return Ok(value);
            }
            self.elsewhere += usize::from(elsewhere);
            return self.withhold(&value, pointer);
        }
        let marks = if marked || elsewhere {
            &marks::ALL
        } else {
            marks
        };
        match value {
            Value::Object(members) => self.members(members, marks, recorded, pointer),
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                let items = items.map(|(at, item)| {
                    let known = recorded.and_then(|recorded| recorded.get(at));
                    self.clean(
                        item,
                        marks::item(marks, at),
                        known,
                        &format!("{pointer}/{at}"),
                    )
                });
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            other => Ok(other),
        }
    }

    fn members(
        &mut self,
        members: Map<String, Value>,
        marks: &Value,
        recorded: Option<&Value>,
        pointer: &str,
    ) -> Result<Value, SourceError> {
        let mut cleaned = Map::new();
        for (name, value) in members {
            let known = recorded.and_then(|recorded| recorded.get(&name));
            // Nothing was recorded, and nothing is there.
            if recorded.is_some() && known.is_none() && is_empty(&value) {
                continue;
            }
            let pointer = format!("{pointer}{}", pointer_step(&name));
            let value = self.clean(value, marks::member(marks, &name), known, &pointer)?;
            cleaned.insert(name, value);
        }
        Ok(Value::Object(cleaned))
    }

    /// Whether what is sensitive as a whole was recorded part by part, and can be compared so.
    fn goes_on(&self, value: &Value, recorded: Option<&Value>) -> bool {
        match (value, recorded) {
            (Value::Object(_), Some(Value::Object(_))) => !self.secrets.in_names(value),
            (Value::Array(_), Some(Value::Array(_))) => true,
            _ => false,
        }
    }

    fn withhold(&mut self, value: &Value, pointer: &str) -> Result<Value, SourceError> {
        // A value that was read can be written.
        let bytes = serde_json::to_vec(&settled(value)).unwrap_or_default();
        self.desk.withhold(self.name, pointer, &bytes)
    }
}

fn is_tag(value: &Value) -> bool {
    let text = value.as_str();
    text.is_some_and(|text| text.starts_with(Withheld::IN_OBJECT))
}

/// Whether a value is as good as none.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
        _ => false,
    }
}

/// One spelling for values that mean the same.
fn settled(value: &Value) -> Value {
    match value {
        value if is_empty(value) => Value::Null,
        Value::Array(items) => Value::Array(items.iter().map(settled).collect()),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !is_empty(value));
            Value::Object(
                members
                    .map(|(name, value)| (name.clone(), settled(value)))
                    .collect(),
            )
        }
        value => value.clone(),
    }
}
