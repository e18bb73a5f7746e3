//! Having the API itself compare: what was recorded is applied to it without being stored, and
//! what it would make of that is held against what is live.
//!
//! A second opinion, which decides nothing alone. Where the API would change something there is
//! no match, whatever the rules say. Where it would not, a value that it spells otherwise is
//! that value still, and one that says nothing may be absent; no other is taken for the same on
//! its word, which a webhook may have put into its mouth.

use std::collections::BTreeMap;

use cairn_proto::{manifest::Withheld, name::ArtifactName, reason::Reason};
use serde_json::{Value, json};

use super::{
    super::tool::{Said, Tool},
    Desk, Found, Identity, by_identity, documents, quantity,
    rules::ObjectRules,
    secrets, take,
};
use crate::{
    compare::{Place, Rules, Signed, compare_fields},
    detail::printable,
    sources::{Recorded, SourceError},
};

/// Objects that kubectl is given at a time: it asks the API for each.
const AT_ONCE: usize = 200;

/// An object that is live, and what was recorded of it.
struct Pair {
    name: ArtifactName,
    live: Value,
    recorded: Value,
}

/// What is live, as it is to be compared. What the API contradicts, or does not tell, is laid
/// down as unmeasured.
pub(super) fn heard(
    live: Vec<(ArtifactName, Value)>,
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<Vec<(ArtifactName, Value)>, SourceError> {
    let mut known: BTreeMap<_, _> = recorded
        .objects_of("kubernetes")
        .filter_map(|(artifact, object)| Some((artifact.name.clone(), object?)))
        .collect();
    let (mut heard, mut pairs) = (Vec::new(), Vec::new());
    for (name, live) in live {
        match known.remove(&name).filter(|object| !is_withheld(object)) {
            Some(recorded) => pairs.push(Pair {
                name,
                live,
                recorded,
            }),
            // What was withheld from it cannot be applied.
            None => heard.push((name, live)),
        }
    }
    desk.note(format!(
        "compared by the API itself, in a dry run: {}; as a part of what is live: {}",
        pairs.len(),
        heard.len()
    ));
    let mut pairs = pairs.into_iter().peekable();
    while pairs.peek().is_some() {
        let some: Vec<_> = pairs.by_ref().take(AT_ONCE).collect();
        let (mut made, said) = ask(&some)?;
        for pair in some {
            let identity = Identity::of(&pair.live, "kubectl get")?;
            match take(&mut made, &identity) {
                None => {
                    let why = format!(
                        "the API did not say what it makes of it: {}",
                        said.failure()
                    );
                    desk.unmeasured(&pair.name, Reason::ToolFailed, why);
                }
                Some(made) => heard.extend(judge(pair, &made, recorded, desk)),
            }
        }
    }
    Ok(heard)
}

/// What the API makes of objects. Of those that it refuses it makes nothing.
fn ask(pairs: &[Pair]) -> Result<(Found, Said), SourceError> {
    let items = pairs.iter().map(|Pair { live, recorded, .. }| {
        let mut object = recorded.clone();
        // Recorded without a namespace, it went to the caller's, where it was found.
        if let Some(namespace) = live.pointer("/metadata/namespace") {
            object["metadata"]["namespace"] = namespace.clone();
        }
        object
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items.collect::<Vec<_>>()});
    let arguments = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--force-conflicts",
        "--field-manager=cairn",
        "--validate=ignore",
        "--output=json",
        "--filename=-",
    ];
    let said = Tool::new("kubectl", &arguments)
        .reads(list.to_string().into_bytes())
        .run()?;
    if let error @ SourceError::Unreachable { .. } = said.failure() {
        return Err(error);
    }
    let from = "kubectl apply --dry-run=server";
    let made = by_identity(documents::read(from, &said.output)?, from)?;
    Ok((made, said))
}

/// The live object as it is to be compared, if rules and API do not contradict each other.
fn judge(
    pair: Pair,
    made: &Value,
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Option<(ArtifactName, Value)> {
    let comparison = recorded.manifest().comparison();
    let ignore: Vec<_> = comparison.pointers(&pair.name).collect();
    let signed = Signed {
        ignore: &ignore,
        accept: false,
    };
    let would = compare_fields(made, &pair.live, &AsMade, signed).differences;
    let mut live = pair.live;
    settle(&pair.recorded, made, &mut live);
    let told = compare_fields(&pair.recorded, &live, &ObjectRules, signed).differences;
    match would.first() {
        Some(change) if told.is_empty() => {
            let path = printable(&change.path);
            let why =
                format!("it looks the same, but the API would change {path} if it were applied");
            desk.unmeasured(&pair.name, Reason::ToolFailed, why);
            None
        }
        _ => Some((pair.name, live)),
    }
}

/// Writes values as they were recorded where the API says, and anybody can see, that they are
/// the same. Lists are taken item by item only where none is longer than the others.
fn settle(recorded: &Value, made: &Value, live: &mut Value) {
    match (recorded, made, live) {
        (Value::Object(recorded), Value::Object(made), Value::Object(live)) => {
            for (name, value) in recorded {
                match (made.get(name), live.get_mut(name)) {
                    (Some(made), Some(live)) => settle(value, made, live),
                    (None, None) if is_nothing(value) => {
                        live.insert(name.clone(), value.clone());
                    }
                    _ => {}
                }
            }
        }
        (Value::Array(recorded), Value::Array(made), Value::Array(live))
            if recorded.len() == live.len() && made.len() == live.len() =>
        {
            for ((recorded, made), live) in recorded.iter().zip(made).zip(live) {
                settle(recorded, made, live);
            }
        }
        (recorded, made, live) if made == live && quantity::same(recorded, live) => {
            *live = recorded.clone();
        }
        _ => {}
    }
}

/// What a type that leaves out what is empty leaves out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Recursion is bounded by the parser's limit on depth.
fn is_withheld(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(Withheld::IN_OBJECT),
        Value::Array(items) => items.iter().any(is_withheld),
        Value::Object(members) => members.values().any(is_withheld),
        _ => false,
    }
}

/// Two answers of the API: all counts but what changes with each.
struct AsMade;

impl Rules for AsMade {
    fn passes_over(&self, place: &Place<'_>) -> bool {
        ObjectRules.passes_over(place) || secrets::is_own_metadata(place)
    }

    fn keys(&self, place: &Place<'_>) -> &'static [(&'static str, &'static str)] {
        ObjectRules.keys(place)
    }
}
