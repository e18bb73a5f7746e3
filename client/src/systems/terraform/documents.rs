//! What a file of Terraform's is: a plan, a state, or what `show -json` says of either.
//!
//! Raw plans and raw states are read by the tool alone: their form is its own, and only it knows
//! which values a provider's schema calls sensitive.

use serde_json::Value;

use crate::{
    detail::printable,
    sources::SourceError,
    systems::{given::DOCUMENT_BYTES_MAX, strict},
};

/// How a plan file begins: it is a ZIP archive.
const PLAN_FILE: &[u8] = b"PK\x03\x04";
/// The version of raw states that is read.
const STATE_VERSION: u64 = 4;
/// Members of what `show -json` says of a state.
const STATE_MEMBERS: [&str; 4] = ["format_version", "terraform_version", "values", "checks"];

/// What `show -json` printed.
pub(super) enum Document {
    Plan(Value),
    State(Value),
}

/// What a raw state says of itself; nothing where there is none.
#[derive(Default)]
pub(super) struct RawState {
    pub(super) lineage: Option<String>,
    pub(super) serial: Option<u64>,
}

/// What bytes are.
pub(super) enum Bytes {
    /// What `show -json` printed.
    Shown(Document),
    /// A plan that is to be shown.
    RawPlan,
    /// A state that is to be shown.
    RawState(RawState),
}

/// Takes bytes for what they are.
pub(super) fn recognise(from: &str, bytes: &[u8]) -> Result<Bytes, SourceError> {
    if bytes.starts_with(PLAN_FILE) {
        return Ok(Bytes::RawPlan);
    }
    let wrong = |why: &str| SourceError::Input {
        what: from.to_owned(),
        why: why.to_owned(),
    };
    let value = one(from, bytes)?;
    if value.get("encrypted_data").is_some() {
        return Err(wrong("it is encrypted: give what `show -json` prints"));
    }
    if let Some(version) = value.get("version") {
        if version.as_u64() != Some(STATE_VERSION) {
            return Err(wrong(&format!(
                "it is a state of version {}, and those of version {STATE_VERSION} are read",
                printable(&version.to_string())
            )));
        }
        let lineage = value.get("lineage").and_then(Value::as_str);
        let serial = value.get("serial").and_then(Value::as_u64);
        let (Some(lineage), Some(serial)) = (lineage, serial) else {
            return Err(wrong("it is a state without lineage or serial"));
        };
        return Ok(Bytes::RawState(RawState {
            lineage: Some(lineage.to_owned()),
            serial: Some(serial),
        }));
    }
    shown(value, from).map(Bytes::Shown)
}

/// What `show -json` printed of a plan or a state.
pub(super) fn read_shown(from: &str, bytes: &[u8]) -> Result<Document, SourceError> {
    shown(one(from, bytes)?, from)
}

fn shown(value: Value, from: &str) -> Result<Document, SourceError> {
    check_version(&value, from)?;
    if value.get("planned_values").is_some() {
        return Ok(Document::Plan(value));
    }
    let members = value.as_object().into_iter().flatten();
    if let Some((other, _)) = members
        .into_iter()
        .find(|(name, _)| !STATE_MEMBERS.contains(&name.as_str()))
    {
        return Err(SourceError::Input {
            what: from.to_owned(),
            why: format!(
                "it is neither a plan nor a state as `show -json` prints them: it has {}",
                printable(other)
            ),
        });
    }
    Ok(Document::State(value))
}

/// Whether the format is one that is known.
pub(super) fn check_version(value: &Value, from: &str) -> Result<(), SourceError> {
    let version = value.get("format_version").and_then(Value::as_str);
    let why = match version.map(|version| version.split('.').next()) {
        Some(Some("1")) => return Ok(()),
        Some(_) => format!(
            "its format is of version {}, and those of version 1 are read",
            printable(version.unwrap_or_default())
        ),
        None => "it is neither a plan nor a state as `show -json` prints them".to_owned(),
    };
    Err(SourceError::Input {
        what: from.to_owned(),
        why,
    })
}

/// The one value of a text.
fn one(from: &str, bytes: &[u8]) -> Result<Value, SourceError> {
    let wrong = |why: String| SourceError::Input {
        what: from.to_owned(),
        why,
    };
    if u64::try_from(bytes.len()).is_ok_and(|length| length > DOCUMENT_BYTES_MAX) {
        let most = DOCUMENT_BYTES_MAX >> 20;
        return Err(wrong(format!("it is longer than {most} MiB")));
    }
    let mut values = strict::parse(bytes).map_err(|why| wrong(printable(&why)))?;
    match (values.pop(), values.is_empty()) {
        (Some(value), true) => Ok(value),
        (None, _) => Err(wrong("it is empty".to_owned())),
        _ => {
            let why = "it is a stream of messages: give what `show -json` prints";
            Err(wrong(why.to_owned()))
        }
    }
}

/// A plan without what differs each time it is made.
pub(super) fn semantic(plan: &Value) -> Vec<u8> {
    let mut plan = plan.clone();
    if let Some(members) = plan.as_object_mut() {
        members.remove("timestamp");
    }
    // A value that was read can be written.
    serde_json::to_vec(&plan).unwrap_or_default()
}
