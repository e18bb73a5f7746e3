//! Taking a value apart by name, so that a member nobody asked for is refused.

use std::{borrow::Cow, fmt, ops::RangeInclusive, rc::Rc};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{JsonError, Object, Value};
use crate::{hash::decode_hex32, reason::Reason};

/// Where a value stands, as a chain up to the root. It is spelt out only for an error: a
/// path for every value would cost more than the values.
#[derive(Debug, Clone)]
enum Place<'a> {
    Root,
    Member(Rc<Place<'a>>, Cow<'a, str>),
    Element(Rc<Place<'a>>, usize),
}

impl fmt::Display for Place<'_> {
    /// Recursion is bounded by [`crate::limits::JSON_DEPTH_MAX`].
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(parent, name) if matches!(**parent, Self::Root) => out.write_str(name),
            Self::Member(parent, name) => write!(out, "{parent}.{name}"),
            Self::Element(parent, position) => write!(out, "{parent}[{position}]"),
        }
    }
}

/// A value with the place it stands in, so that errors can name it.
#[derive(Debug)]
pub struct Field<'a> {
    place: Place<'a>,
    value: Value<'a>,
}

impl<'a> Field<'a> {
    /// The root of a document.
    pub fn root(value: Value<'a>) -> Self {
        Self {
            place: Place::Root,
            value,
        }
    }

    /// An error at this place.
    pub fn invalid(&self) -> JsonError {
        self.error(Reason::JsonInvalidValue)
    }

    /// An error with another reason at this place.
    pub fn error(&self, reason: Reason) -> JsonError {
        JsonError::new(reason, self.place.to_string())
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
    pub fn array(self, bounds: RangeInclusive<usize>) -> Result<Vec<Field<'a>>, JsonError> {
        match self.value {
            Value::Array(values) if bounds.contains(&values.len()) => {
                let here = Rc::new(self.place);
                let fields = values
                    .into_iter()
                    .enumerate()
                    .map(|(position, value)| Field {
                        place: Place::Element(Rc::clone(&here), position),
                        value,
                    });
                Ok(fields.collect())
            }
            _ => Err(self.invalid()),
        }
    }

    /// An object, to be taken apart.
    pub fn members(self) -> Result<Members<'a>, JsonError> {
        match self.value {
            Value::Object(members) => Ok(Members {
                place: Rc::new(self.place),
                members,
            }),
            _ => Err(self.invalid()),
        }
    }
}

/// An object being taken apart; [`Members::finish`] refuses what nobody took.
#[derive(Debug)]
pub struct Members<'a> {
    place: Rc<Place<'a>>,
    members: Object<'a>,
}

impl<'a> Members<'a> {
    fn error(&self, reason: Reason, name: &str) -> JsonError {
        let place = Place::Member(Rc::clone(&self.place), name.into());
        JsonError::new(reason, place.to_string())
    }

    /// A member that must be there.
    pub fn take(&mut self, name: &'a str) -> Result<Field<'a>, JsonError> {
        self.take_optional(name)
            .ok_or_else(|| self.error(Reason::JsonMissingMember, name))
    }

    /// A member that may be absent.
    pub fn take_optional(&mut self, name: &'a str) -> Option<Field<'a>> {
        let value = self.members.take(name)?;
        Some(Field {
            place: Place::Member(Rc::clone(&self.place), name.into()),
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
    pub fn rest(self) -> impl Iterator<Item = (String, Field<'a>)> {
        let place = self.place;
        self.members.0.into_iter().map(move |(name, value)| {
            let text = name.clone().into_owned();
            let place = Place::Member(Rc::clone(&place), name);
            (text, Field { place, value })
        })
    }

    /// Ends the object: a member left over is unknown.
    pub fn finish(self) -> Result<(), JsonError> {
        match self.members.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(self.error(Reason::JsonUnknownMember, name)),
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
