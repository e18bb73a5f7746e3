//! Canonical JSON: one spelling for every value, strictly read. SPEC.md section 1.
//!
//! Reading is in two steps: `parse_canonical` yields a tree without meaning, and
//! [`Members`] takes it apart by name, so that a member nobody asked for is refused.
//! Tokenising is `serde_json`'s; what it would let pass (duplicates, floats, spellings)
//! is refused here.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Serialize, Serializer,
    de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};
use thiserror::Error;

use crate::{
    hash::decode_hex32,
    limits::{JSON_DEPTH_MAX, JSON_INTEGER_MAX},
    reason::Reason,
};

/// Why JSON was refused: the stable reason, and where in the document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason} at `{path}`")]
pub struct JsonError {
    /// One of the `JSON_*` reasons, `NEEDS_NEWER_CAIRN` or `KEY_WEAK`.
    pub reason: Reason,
    /// Members and positions from the root, such as `artifacts[3].name`; empty at the root.
    pub path: String,
}

impl JsonError {
    pub(crate) fn new(reason: Reason, path: impl Into<String>) -> Self {
        Self {
            reason,
            path: path.into(),
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

    /// An unsigned number; callers bound it by [`JSON_INTEGER_MAX`] beforehand.
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
    let value = parse_strict(bytes)?;
    if value.encode() == bytes {
        Ok(value)
    } else {
        Err(JsonError::new(Reason::JsonNotCanonical, ""))
    }
}

fn parse_strict(bytes: &[u8]) -> Result<Value, JsonError> {
    // All of it at first: bytes that are no text are no JSON, whatever else they hold.
    let text = str::from_utf8(bytes).map_err(|_| JsonError::new(Reason::JsonSyntax, ""))?;
    let mut fault = None;
    let mut source = serde_json::Deserializer::from_str(text);
    let seed = Strict {
        fault: &mut fault,
        path: String::new(),
        depth: 0,
    };
    let parsed = seed
        .deserialize(&mut source)
        .and_then(|value| source.end().map(|()| value));
    parsed.map_err(|error| fault.unwrap_or_else(|| JsonError::new(reason_of(&error), "")))
}

/// Why the tokeniser stopped by itself: a number that no float can hold (`1e999`) is one by
/// RFC 8259's grammar, and the tokeniser has no other way to say so than its message.
fn reason_of(error: &serde_json::Error) -> Reason {
    if error.to_string().starts_with("number out of range") {
        Reason::JsonNumber
    } else {
        Reason::JsonSyntax
    }
}

/// Builds a [`Value`], and leaves in `fault` why it stopped where the syntax was fine.
struct Strict<'a> {
    fault: &'a mut Option<JsonError>,
    path: String,
    depth: usize,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(&mut self, reason: Reason, path: String) -> E {
        *self.fault = Some(JsonError::new(reason, path));
        E::custom("refused")
    }

    fn nested(&mut self, path: String) -> Strict<'_> {
        Strict {
            fault: self.fault,
            path,
            depth: self.depth.saturating_add(1),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(mut self, value: i64) -> Result<Value, E> {
        if (-JSON_INTEGER_MAX..=JSON_INTEGER_MAX).contains(&value) {
            return Ok(Value::Integer(value));
        }
        let path = std::mem::take(&mut self.path);
        Err(self.refuse(Reason::JsonNumber, path))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        // Anything beyond i64 is beyond the bound as well.
        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        self.visit_i64(i64::MAX)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut source: A) -> Result<Value, A::Error> {
        let path = std::mem::take(&mut self.path);
        if self.depth >= JSON_DEPTH_MAX {
            return Err(self.refuse(Reason::JsonTooDeep, path));
        }
        let mut values = Vec::new();
        loop {
            let place = format!("{path}[{}]", values.len());
            match source.next_element_seed(self.nested(place))? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut source: A) -> Result<Value, A::Error> {
        let path = std::mem::take(&mut self.path);
        if self.depth >= JSON_DEPTH_MAX {
            return Err(self.refuse(Reason::JsonTooDeep, path));
        }
        let mut members = BTreeMap::new();
        while let Some(name) = source.next_key::<String>()? {
            let place = join(&path, &name);
            if members.contains_key(&name) {
                return Err(self.refuse(Reason::JsonDuplicateMember, place));
            }
            let value = source.next_value_seed(self.nested(place))?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// A value with the place it stands in, so that errors can name it.
#[derive(Debug)]
pub struct Field {
    path: String,
    value: Value,
}

impl Field {
    /// The root of a document.
    pub fn root(value: Value) -> Self {
        Self {
            path: String::new(),
            value,
        }
    }

    /// An error at this place.
    pub fn invalid(&self) -> JsonError {
        self.error(Reason::JsonInvalidValue)
    }

    /// An error with another reason at this place.
    pub fn error(&self, reason: Reason) -> JsonError {
        JsonError::new(reason, self.path.clone())
    }

    /// A string of a length, in bytes, within `bytes`.
    pub fn text(&self, bytes: RangeInclusive<usize>) -> Result<&str, JsonError> {
        match &self.value {
            Value::Text(text) if bytes.contains(&text.len()) => Ok(text),
            _ => Err(self.invalid()),
        }
    }

    /// A string that some type can be parsed from.
    pub fn parsed<T: std::str::FromStr>(&self) -> Result<T, JsonError> {
        self.text(0..=usize::MAX)?
            .parse()
            .map_err(|_| self.invalid())
    }

    /// An integer within `bounds`.
    pub fn number(&self, bounds: RangeInclusive<u64>) -> Result<u64, JsonError> {
        match self.value {
            Value::Integer(number) => u64::try_from(number)
                .ok()
                .filter(|number| bounds.contains(number))
                .ok_or_else(|| self.invalid()),
            _ => Err(self.invalid()),
        }
    }

    /// 32 bytes in hex.
    pub fn hex32(&self) -> Result<[u8; 32], JsonError> {
        decode_hex32(self.text(64..=64)?).map_err(|_| self.invalid())
    }

    /// Strict base64.
    pub fn base64(&self) -> Result<Vec<u8>, JsonError> {
        STANDARD
            .decode(self.text(0..=usize::MAX)?)
            .map_err(|_| self.invalid())
    }

    /// An array with a number of elements within `bounds`.
    pub fn array(self, bounds: RangeInclusive<usize>) -> Result<Vec<Field>, JsonError> {
        match self.value {
            Value::Array(values) if bounds.contains(&values.len()) => Ok(values
                .into_iter()
                .enumerate()
                .map(|(position, value)| Field {
                    path: format!("{}[{position}]", self.path),
                    value,
                })
                .collect()),
            _ => Err(self.invalid()),
        }
    }

    /// An object, to be taken apart.
    pub fn members(self) -> Result<Members, JsonError> {
        match self.value {
            Value::Object(members) => Ok(Members {
                path: self.path,
                members,
            }),
            _ => Err(self.invalid()),
        }
    }
}

/// An object being taken apart; [`Members::finish`] refuses what nobody took.
#[derive(Debug)]
pub struct Members {
    path: String,
    members: BTreeMap<String, Value>,
}

impl Members {
    /// A member that must be there.
    pub fn take(&mut self, name: &str) -> Result<Field, JsonError> {
        self.take_optional(name)
            .ok_or_else(|| JsonError::new(Reason::JsonMissingMember, join(&self.path, name)))
    }

    /// A member that may be absent.
    pub fn take_optional(&mut self, name: &str) -> Option<Field> {
        let value = self.members.remove(name)?;
        Some(Field {
            path: join(&self.path, name),
            value,
        })
    }

    /// Takes `schema` and refuses another than `known` as too new.
    pub fn schema(&mut self, known: &str) -> Result<(), JsonError> {
        let schema = self.take("schema")?;
        if schema.text(0..=usize::MAX)? == known {
            Ok(())
        } else {
            Err(schema.error(Reason::NeedsNewerCairn))
        }
    }

    /// The members left, for objects whose names are data.
    pub fn rest(self) -> impl Iterator<Item = (String, Field)> {
        let path = self.path;
        self.members.into_iter().map(move |(name, value)| {
            let path = join(&path, &name);
            (name, Field { path, value })
        })
    }

    /// Ends the object: a member left over is unknown.
    pub fn finish(self) -> Result<(), JsonError> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(name) => Err(JsonError::new(
                Reason::JsonUnknownMember,
                join(&self.path, name),
            )),
        }
    }
}

/// Refuses a list that is not strictly ascending.
pub(crate) fn ascending<T: Ord>(items: &[T], path: &str) -> Result<(), JsonError> {
    if items.is_sorted_by(|left, right| left < right) {
        Ok(())
    } else {
        Err(JsonError::new(Reason::JsonInvalidValue, path))
    }
}
