//! Canonical JSON: one spelling for every value, strictly read. SPEC.md section 1.
//!
//! Reading is in two steps: `parse_canonical` yields a tree without meaning, and
//! [`Members`] takes it apart by name, so that a member nobody asked for is refused.
//! Tokenising is `serde_json`'s; what it would let pass (duplicates, floats, spellings)
//! is refused here.

mod field;
mod strict;

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};
use thiserror::Error;

pub(crate) use field::ascending;
pub use field::{Field, Members};

use crate::reason::Reason;

/// Characters of a path that are kept: a peer's own member names may be megabytes.
const PATH_CHARS_MAX: usize = 200;

/// Why JSON was refused: the stable reason, and where in the document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason} at `{path}`")]
pub struct JsonError {
    /// One of the `JSON_*` reasons, `NEEDS_NEWER_CAIRN` or `KEY_WEAK`.
    pub reason: Reason,
    /// Members and positions from the root, such as `artifacts[3].name`; empty at the root.
    /// Safe to print: control characters are escaped, and a long one is cut.
    pub path: String,
}

impl JsonError {
    pub(crate) fn new(reason: Reason, path: impl AsRef<str>) -> Self {
        let escaped = path.as_ref().chars().flat_map(char::escape_debug);
        Self {
            reason,
            path: escaped.take(PATH_CHARS_MAX).collect(),
        }
    }
}

/// A JSON value as Cairn knows them: no floats, no order but the canonical one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`; no member of ours ever is.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer within 2^53.
    Integer(i64),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Value>),
    /// An object, members sorted by name.
    Object(BTreeMap<String, Value>),
}

impl Value {
    /// An object of the given members.
    pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Self::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// A string.
    pub fn text(text: impl fmt::Display) -> Self {
        Self::Text(text.to_string())
    }

    /// An unsigned number; callers bound it by [`crate::limits::JSON_INTEGER_MAX`] beforehand.
    pub fn number(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Writing a tree of owned values into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => out.serialize_unit(),
            Self::Bool(value) => out.serialize_bool(*value),
            Self::Integer(value) => out.serialize_i64(*value),
            Self::Text(value) => out.serialize_str(value),
            Self::Array(values) => out.collect_seq(values),
            Self::Object(members) => out.collect_map(members),
        }
    }
}

/// Reads one value and refuses every spelling but the canonical one.
pub fn parse_canonical(bytes: &[u8]) -> Result<Value, JsonError> {
    let value = strict::parse(bytes)?;
    if value.encode() == bytes {
        Ok(value)
    } else {
        Err(JsonError::new(Reason::JsonNotCanonical, ""))
    }
}
