//! Taking a value apart by name, so that a member nobody asked for is refused.

use std::{collections::BTreeMap, ops::RangeInclusive};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{JsonError, Value};
use crate::{hash::decode_hex32, reason::Reason};

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
