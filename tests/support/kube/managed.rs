//! Who manages which field, in the form of `managedFields`: `f:` members, `k:` items.

use serde_json::{Map, Value, json};

use super::patch::merge_key;

/// The object that somebody's apply makes of what there is: what they own and left out goes.
pub(super) fn applied(before: Option<&Value>, patch: &Value, manager: &str) -> Value {
    let mut object = before.cloned().unwrap_or_else(|| json!({}));
    if let Some(own) = before.and_then(|it| fields_by(it, manager, "Apply")) {
        remove(&mut object, &minus(&own, &fields(patch)));
    }
    lay(&mut object, patch, "");
    object
}

fn lay(object: &mut Value, patch: &Value, inside: &str) {
    let (Value::Object(_), Value::Object(members)) = (&object, patch) else {
        *object = patch.clone();
        return;
    };
    for (name, value) in members {
        let into = &mut object[name.as_str()];
        match (value, merge_key(name, inside)) {
            (Value::Array(items), Some(key)) if into.is_array() => {
                let list = into.as_array_mut().unwrap();
                for item in items {
                    match list.iter_mut().find(|other| other[key] == item[key]) {
                        Some(other) => lay(other, item, ""),
                        None => list.push(item.clone()),
                    }
                }
            }
            (value, _) if into.is_object() => lay(into, value, name),
            (value, _) => *into = value.clone(),
        }
    }
}

/// Notes what an apply owns from now on.
pub(super) fn apply(before: Option<&Value>, object: &mut Value, patch: &Value, manager: &str) {
    note(before, object, manager, "Apply", &fields(patch));
}

/// Notes what an update changed: its manager owns that, and nobody else any more.
pub(super) fn update(before: Option<&Value>, object: &mut Value, manager: &str) {
    let all = fields(object);
    let nothing = json!({});
    let changed = before.map_or_else(
        || all.clone(),
        |before| changed(before, object, &all, &nothing),
    );
    note(before, object, manager, "Update", &changed);
}

fn note(before: Option<&Value>, object: &mut Value, manager: &str, how: &str, owned: &Value) {
    let before = before.and_then(|it| it["metadata"]["managedFields"].as_array());
    let mut entries = before.cloned().unwrap_or_default();
    let is_own = |entry: &Value| entry["manager"] == manager && entry["operation"] == how;
    if how == "Update" {
        for entry in entries.iter_mut().filter(|entry| !is_own(entry)) {
            entry["fieldsV1"] = minus(&entry["fieldsV1"], owned);
        }
    }
    let api_version = object["apiVersion"].clone();
    match entries.iter_mut().find(|entry| is_own(entry)) {
        Some(entry) if how == "Update" => entry["fieldsV1"] = plus(&entry["fieldsV1"], owned),
        Some(entry) => entry["fieldsV1"] = owned.clone(),
        None => entries.push(json!({
            "manager": manager, "operation": how, "apiVersion": api_version,
            "time": "2026-11-01T10:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": owned,
        })),
    }
    entries.retain(|entry| !is_empty(&entry["fieldsV1"]));
    object["metadata"]["managedFields"] = Value::Array(entries);
}

fn fields_by(object: &Value, manager: &str, how: &str) -> Option<Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let own = entries
        .iter()
        .find(|entry| entry["manager"] == manager && entry["operation"] == how)?;
    Some(own["fieldsV1"].clone())
}

/// All fields of an object but those that nobody manages.
fn fields(object: &Value) -> Value {
    let mut object = object.clone();
    let members = object.as_object_mut().unwrap();
    members.remove("apiVersion");
    members.remove("kind");
    if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
        let own = [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "managedFields",
        ];
        metadata.retain(|name, _| !own.contains(&name.as_str()));
    }
    fields_of(&object, "", "")
}

fn fields_of(value: &Value, name: &str, inside: &str) -> Value {
    match (value, merge_key(name, inside)) {
        (Value::Object(members), _) => members
            .iter()
            .map(|(below, value)| (format!("f:{below}"), fields_of(value, below, name)))
            .collect::<Map<_, _>>()
            .into(),
        (Value::Array(items), Some(key)) => {
            let items = items.iter().map(|item| {
                let mut below = fields_of(item, "", "");
                below["."] = json!({});
                (item_key(item, key), below)
            });
            items.collect::<Map<_, _>>().into()
        }
        _ => json!({}),
    }
}

/// `k:{"containerPort":80,"protocol":"TCP"}`.
fn item_key(item: &Value, key: &str) -> String {
    let mut keys = json!({key: item[key]});
    if matches!(key, "port" | "containerPort") {
        let protocol = item.get("protocol").cloned();
        keys["protocol"] = protocol.unwrap_or_else(|| "TCP".into());
    }
    format!("k:{keys}")
}

/// The fields of an object that are not as before.
fn changed(before: &Value, after: &Value, all: &Value, nothing: &Value) -> Value {
    let mut found = Map::new();
    for (step, below) in all.as_object().unwrap() {
        if step == "." {
            continue;
        }
        let (left, right) = (at(before, step), at(after, step));
        if left.unwrap_or(nothing) == right.unwrap_or(nothing) && left.is_some() {
            continue;
        }
        let (Some(left), Some(right)) = (left, right) else {
            found.insert(step.clone(), below.clone());
            continue;
        };
        found.insert(step.clone(), changed(left, right, below, nothing));
    }
    Value::Object(found)
}

/// What a step leads to.
fn at<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    if let Some(name) = step.strip_prefix("f:") {
        return value.get(name);
    }
    let keys: Map<String, Value> = serde_json::from_str(step.strip_prefix("k:")?).unwrap();
    value.as_array()?.iter().find(|item| {
        keys.iter()
            .all(|(name, value)| item.get(name).is_none_or(|own| own == value))
    })
}

fn remove(object: &mut Value, fields: &Value) {
    for (step, below) in fields.as_object().unwrap() {
        let leaf = is_empty(below) || below.get(".").is_some();
        if let (Some(name), Value::Object(members)) = (step.strip_prefix("f:"), &mut *object) {
            if leaf {
                members.remove(name);
            } else if let Some(inner) = members.get_mut(name) {
                remove(inner, below);
            }
        } else if step.starts_with("k:") {
            let found = at(object, step).cloned();
            let items = object.as_array_mut().unwrap();
            if leaf {
                items.retain(|item| Some(item) != found.as_ref());
            } else if let Some(item) = items
                .iter_mut()
                .find(|item| Some(&**item) == found.as_ref())
            {
                remove(item, below);
            }
        }
    }
}

fn minus(from: &Value, what: &Value) -> Value {
    let mut left = Map::new();
    for (step, below) in from.as_object().unwrap() {
        match what.get(step) {
            None => {
                left.insert(step.clone(), below.clone());
            }
            Some(other) if !is_empty(below) => {
                let rest = minus(below, other);
                if !is_empty(&rest) {
                    left.insert(step.clone(), rest);
                }
            }
            Some(_) => {}
        }
    }
    Value::Object(left)
}

fn plus(left: &Value, right: &Value) -> Value {
    let mut all = left.as_object().unwrap().clone();
    for (step, below) in right.as_object().unwrap() {
        let sum = all
            .get(step)
            .map_or_else(|| below.clone(), |own| plus(own, below));
        all.insert(step.clone(), sum);
    }
    Value::Object(all)
}

fn is_empty(fields: &Value) -> bool {
    fields.as_object().is_none_or(Map::is_empty)
}
