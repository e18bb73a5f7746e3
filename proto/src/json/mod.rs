//! Canonical JSON: one spelling for every value, strictly read. SPEC.md section 1.
//!
//! Reading is in two steps: `parse_canonical` yields a tree without meaning, and
//! [`Members`] takes it apart by name, so that a member nobody asked for is refused.
//! Tokenising is `serde_json`'s; what it would let pass (duplicates, floats, spellings)
//! is refused here.

mod field;
mod strict;

use std::{borrow::Cow, collections::BTreeMap, fmt, io};

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

/// A JSON value as Cairn knows them: no floats, no order but the canonical one. Text is
/// borrowed from what was parsed where that spells it as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`; no member of ours ever is.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer within 2^53.
    Integer(i64),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// The members of an object, ascending by name, no name twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Object<'a> {
    /// Removes a member.
    fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let found = self.0.binary_search_by(|(other, _)| (**other).cmp(name));
        found.ok().map(|position| self.0.remove(position).1)
    }
}

impl<'a, N: Into<Cow<'a, str>>> FromIterator<(N, Value<'a>)> for Object<'a> {
    /// Sorts; of members with one name the last is kept.
    fn from_iter<I: IntoIterator<Item = (N, Value<'a>)>>(members: I) -> Self {
        let members = members.into_iter();
        let sorted: BTreeMap<_, _> = members.map(|(name, it)| (name.into(), it)).collect();
        Self(sorted.into_iter().collect())
    }
}

impl<'a> Value<'a> {
    /// An object of the given members.
    pub fn object(members: impl IntoIterator<Item = (&'a str, Value<'a>)>) -> Self {
        Self::Object(members.into_iter().collect())
    }

    /// A string.
    pub fn text(text: impl fmt::Display) -> Self {
        Self::Text(text.to_string().into())
    }

    /// An unsigned number; callers bound it by [`crate::limits::JSON_INTEGER_MAX`] beforehand.
    pub fn number(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Writing a tree of values into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether these are the canonical bytes.
    fn is_spelt(&self, bytes: &[u8]) -> bool {
        let mut rest = Unread(bytes);
        serde_json::to_writer(&mut rest, self).is_ok() && rest.0.is_empty()
    }
}

/// Bytes that must be written next, and nothing else.
struct Unread<'a>(&'a [u8]);

impl io::Write for Unread<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let rest = self.0.strip_prefix(written);
        self.0 = rest.ok_or(io::ErrorKind::InvalidData)?;
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => out.serialize_unit(),
            Self::Bool(value) => out.serialize_bool(*value),
            Self::Integer(value) => out.serialize_i64(*value),
            Self::Text(value) => out.serialize_str(value),
            Self::Array(values) => out.collect_seq(values),
            Self::Object(Object(members)) => {
                out.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

/// Reads one value and refuses every spelling but the canonical one.
pub fn parse_canonical(bytes: &[u8]) -> Result<Value<'_>, JsonError> {
    let value = strict::parse(bytes)?;
    if value.is_spelt(bytes) {
        Ok(value)
    } else {
        Err(JsonError::new(Reason::JsonNotCanonical, ""))
    }
}
