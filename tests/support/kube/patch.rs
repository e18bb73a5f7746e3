//! Patches as the API takes them.

use serde_json::{Map, Value};

/// The member that tells the items of a list apart; `None` where the list is one value.
pub(super) fn merge_key(list: &str, inside: &str) -> Option<&'static str> {
    match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "hostAliases" => Some("ip"),
        "ports" if inside == "spec" => Some("port"),
        "ports" => Some("containerPort"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

/// RFC 7386.
pub(super) fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *object = patch.clone();
        return;
    };
    let into = as_object(object);
    for (name, value) in members {
        if value.is_null() {
            into.remove(name);
        } else {
            merge(into.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Kubernetes' own: lists whose items have names are merged.
pub(super) fn strategic(object: &mut Value, patch: &Value, inside: &str) {
    let Value::Object(members) = patch else {
        *object = patch.clone();
        return;
    };
    if members.get("$patch").and_then(Value::as_str) == Some("replace") {
        let mut whole = members.clone();
        whole.remove("$patch");
        *object = Value::Object(whole);
        return;
    }
    let into = as_object(object);
    if let Some(Value::Array(kept)) = members.get("$retainKeys") {
        into.retain(|name, _| kept.iter().any(|keep| keep == name));
    }
    for (name, value) in members {
        if name.starts_with('$') {
            continue;
        }
        match (value, merge_key(name, inside)) {
            (Value::Null, _) => {
                into.remove(name);
            }
            (Value::Array(items), Some(key)) => {
                let list = into
                    .entry(name.clone())
                    .or_insert_with(|| Value::Array(vec![]));
                strategic_list(list, items, key);
            }
            (value, _) => {
                strategic(into.entry(name.clone()).or_insert(Value::Null), value, name);
            }
        }
    }
}

fn strategic_list(list: &mut Value, items: &[Value], key: &str) {
    let kept = list.as_array_mut().unwrap();
    for item in items {
        let place = kept.iter().position(|other| other[key] == item[key]);
        let gone = item.get("$patch").and_then(Value::as_str) == Some("delete");
        match place {
            Some(place) if gone => {
                kept.remove(place);
            }
            Some(place) => strategic(&mut kept[place], item, ""),
            None if gone => {}
            None => kept.push(item.clone()),
        }
    }
}

/// RFC 6902, of which kubectl sends `add`, `replace` and `remove`.
pub(super) fn operations(object: &mut Value, all: &Value) -> Result<(), &'static str> {
    for operation in all.as_array().ok_or("no list of operations")? {
        let path = operation["path"].as_str().ok_or("no path")?;
        let (above, last) = path.rsplit_once('/').ok_or("no pointer")?;
        let last = last.replace("~1", "/").replace("~0", "~");
        let above = object.pointer_mut(above).ok_or("nothing is there")?;
        let value = operation["value"].clone();
        match (operation["op"].as_str(), above) {
            (Some("add" | "replace"), Value::Object(members)) => {
                members.insert(last, value);
            }
            (Some("add"), Value::Array(items)) => match last.parse::<usize>() {
                Ok(place) if place <= items.len() => items.insert(place, value),
                _ => items.push(value),
            },
            (Some("replace"), Value::Array(items)) => {
                let place: usize = last.parse().map_err(|_| "no index")?;
                *items.get_mut(place).ok_or("no such item")? = value;
            }
            (Some("remove"), Value::Object(members)) => {
                members.remove(&last).ok_or("nothing is there")?;
            }
            (Some("remove"), Value::Array(items)) => {
                let place: usize = last.parse().map_err(|_| "no index")?;
                items.remove(place);
            }
            _ => return Err("not this operation"),
        }
    }
    Ok(())
}

fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().unwrap()
}
