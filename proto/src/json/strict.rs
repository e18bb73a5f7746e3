//! The strict reader: a tree from text, or the first fault in it and where.
//!
//! Where a fault stands is spelt out only once there is one: a document of a peer's own
//! making must not cost more than its length.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};

use super::{JsonError, Object, Value};
use crate::{
    limits::{JSON_DEPTH_MAX, JSON_INTEGER_MAX},
    reason::Reason,
};

pub(super) fn parse(bytes: &[u8]) -> Result<Value<'_>, JsonError> {
    // All of it at first: bytes that are no text are no JSON, whatever else they hold.
    let text = str::from_utf8(bytes).map_err(|_| JsonError::new(Reason::JsonSyntax, ""))?;
    let mut fault = None;
    let mut source = serde_json::Deserializer::from_str(text);
    let seed = Strict {
        fault: &mut fault,
        place: &Place::Root,
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

/// Where the reader is, as a chain up to the root.
enum Place<'p> {
    Root,
    Member(&'p Place<'p>, &'p str),
    Element(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    /// Recursion is bounded by [`JSON_DEPTH_MAX`].
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Self::Root, name) => out.write_str(name),
            Self::Member(parent, name) => write!(out, "{parent}.{name}"),
            Self::Element(parent, position) => write!(out, "{parent}[{position}]"),
        }
    }
}

/// Builds a [`Value`], and leaves in `fault` why it stopped where the syntax was fine.
struct Strict<'a> {
    fault: &'a mut Option<JsonError>,
    place: &'a Place<'a>,
    depth: usize,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(&mut self, reason: Reason, place: &Place<'_>) -> E {
        *self.fault = Some(JsonError::new(reason, place.to_string()));
        E::custom("refused")
    }

    fn nested<'b>(&'b mut self, place: &'b Place<'b>) -> Strict<'b> {
        Strict {
            fault: self.fault,
            place,
            depth: self.depth.saturating_add(1),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value<'de>, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(mut self, value: i64) -> Result<Value<'de>, E> {
        if (-JSON_INTEGER_MAX..=JSON_INTEGER_MAX).contains(&value) {
            return Ok(Value::Integer(value));
        }
        let place = self.place;
        Err(self.refuse(Reason::JsonNumber, place))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value<'de>, E> {
        // Anything beyond i64 is beyond the bound as well.
        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value<'de>, E> {
        self.visit_i64(i64::MAX)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_string<E>(self, value: String) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut source: A) -> Result<Value<'de>, A::Error> {
        let here = self.place;
        if self.depth >= JSON_DEPTH_MAX {
            return Err(self.refuse(Reason::JsonTooDeep, here));
        }
        let mut values = Vec::new();
        loop {
            let place = Place::Element(here, values.len());
            match source.next_element_seed(self.nested(&place))? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut source: A) -> Result<Value<'de>, A::Error> {
        let here = self.place;
        if self.depth >= JSON_DEPTH_MAX {
            return Err(self.refuse(Reason::JsonTooDeep, here));
        }
        let mut members = Building::default();
        while let Some(Name(name)) = source.next_key()? {
            let place = Place::Member(here, &name);
            if members.has(&name) {
                return Err(self.refuse(Reason::JsonDuplicateMember, &place));
            }
            let value = source.next_value_seed(self.nested(&place))?;
            members.push(name, value);
        }
        Ok(Value::Object(members.finish()))
    }
}

/// A member's name; borrowed where it is spelt as it is.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Members in the order of the text, which is ascending in all that will be accepted.
#[derive(Default)]
struct Building<'a> {
    members: Vec<(Cow<'a, str>, Value<'a>)>,
    /// Every name, once one came out of order.
    unordered: Option<BTreeSet<Cow<'a, str>>>,
}

impl<'a> Building<'a> {
    fn follows(&self, name: &str) -> bool {
        self.members.last().is_none_or(|(last, _)| **last < *name)
    }

    fn has(&mut self, name: &str) -> bool {
        if self.unordered.is_none() && self.follows(name) {
            return false;
        }
        let members = &self.members;
        let names = || members.iter().map(|(name, _)| name.clone()).collect();
        self.unordered.get_or_insert_with(names).contains(name)
    }

    fn push(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        if let Some(names) = &mut self.unordered {
            names.insert(name.clone());
        }
        self.members.push((name, value));
    }

    fn finish(mut self) -> Object<'a> {
        if self.unordered.is_some() {
            self.members
                .sort_by(|(left, _), (right, _)| left.cmp(right));
        }
        Object(self.members)
    }
}
