//! The trees of marks that stand beside values: `sensitive_values`, `after_sensitive`,
//! `after_unknown`. A mark is `true` for all below it, or a tree of the value's shape.
//!
//! Invariant: where a tree does not fit its value, what it marks is not known, and then it marks
//! all of it.

use serde_json::{Map, Value};

/// The mark of all.
pub(super) static ALL: Value = Value::Bool(true);
/// The mark of nothing.
pub(super) static NONE: Value = Value::Bool(false);

/// Whether anything is marked.
pub(super) fn any(marks: &Value) -> bool {
    match marks {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => items.iter().any(any),
        Value::Object(members) => members.values().any(any),
        // A mark of another sort is one that this cannot read.
        _ => true,
    }
}

/// Whether all of a value is marked: by one mark, or since the tree does not fit.
pub(super) fn whole(marks: &Value, value: &Value) -> bool {
    match (marks, value) {
        (Value::Object(_), Value::Object(_)) => false,
        (Value::Array(marks), Value::Array(values)) if marks.len() == values.len() => false,
        (marks, _) => any(marks),
    }
}

/// How many places are marked.
pub(super) fn count(marks: &Value) -> usize {
    match marks {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        marks => usize::from(any(marks)),
    }
}

/// The marks of a member.
pub(super) fn member<'m>(marks: &'m Value, name: &str) -> &'m Value {
    match marks {
        Value::Object(members) => members.get(name).unwrap_or(&NONE),
        marks if any(marks) => &ALL,
        _ => &NONE,
    }
}

/// The marks of an item of a list.
pub(super) fn item(marks: &Value, at: usize) -> &Value {
    match marks {
        Value::Array(items) => items.get(at).unwrap_or(&NONE),
        marks if any(marks) => &ALL,
        _ => &NONE,
    }
}

/// What either of two trees marks.
pub(super) fn either(left: Value, right: Value) -> Value {
    match (left, right) {
        (left, right) if !any(&right) => left,
        (left, right) if !any(&left) => right,
        (Value::Object(mut left), Value::Object(right)) => {
            for (name, marks) in right {
                let other = left.remove(&name).unwrap_or(Value::Bool(false));
                left.insert(name, either(other, marks));
            }
            Value::Object(left)
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let pairs = left.into_iter().zip(right);
            Value::Array(pairs.map(|(left, right)| either(left, right)).collect())
        }
        _ => Value::Bool(true),
    }
}

/// Adds what Terraform itself leaves unmarked of its own resources: a copy of the input of
/// `terraform_data`, and all that another state's outputs and a backend's settings hold.
pub(super) fn completed(kind: &str, values: &Value, marks: Value) -> Value {
    match kind {
        "terraform_data" => {
            let output = Map::from_iter([("output".to_owned(), member(&marks, "input").clone())]);
            either(marks, Value::Object(output))
        }
        "terraform_remote_state" => {
            let mut all = Map::new();
            for name in ["config", "defaults", "outputs"] {
                let each = match values.get(name) {
                    Some(Value::Object(members)) => {
                        let names = members.keys().cloned();
                        Value::Object(names.map(|name| (name, Value::Bool(true))).collect())
                    }
                    _ => Value::Bool(true),
                };
                all.insert(name.to_owned(), each);
            }
            either(marks, Value::Object(all))
        }
        _ => marks,
    }
}
