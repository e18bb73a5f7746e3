//! The predicate of an enrolment: which host belongs to which environment. SPEC.md section 3.

use super::{ENROLMENT_SCHEMA, NUMBER_MAX, Predicate};
use crate::{
    hash::LeafHash,
    json::{Field, JsonError, Members, Value},
    limits::TEXT_BYTES_MAX,
    name::TimeText,
};

/// What an enrolment does with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// From here on it may attest for the environment that its record names.
    Enrol,
    /// From here on it may not.
    Dismiss,
}

impl Standing {
    /// The text in a statement.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Dismiss => "dismiss",
        }
    }

    fn decode(field: &Field) -> Result<Self, JsonError> {
        match field.text(1..=16)? {
            "enrol" => Ok(Self::Enrol),
            "dismiss" => Ok(Self::Dismiss),
            _ => Err(field.invalid()),
        }
    }
}

/// A step in a host's chain. Its document is the host record, which names the host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Leaf hash of the genesis entry.
    pub ledger: LeafHash,
    /// What it does.
    pub action: Standing,
    /// Its place in the host's chain, from 1.
    pub number: u64,
    /// Leaf hash of the step before; absent at 1.
    pub previous: Option<LeafHash>,
    /// Why, in the signer's words.
    pub reason: Option<String>,
    /// By the signer's clock; informative.
    pub created_at: TimeText,
}

pub(super) fn decode_enrolment(mut members: Members) -> Result<Predicate, JsonError> {
    let enrolment = Enrolment {
        ledger: LeafHash(members.take("ledger")?.hex32()?),
        action: Standing::decode(&members.take("action")?)?,
        number: members.take("number")?.number(1..=NUMBER_MAX)?,
        previous: members
            .take_optional("previous")
            .map(|field| field.hex32().map(LeafHash))
            .transpose()?,
        reason: members
            .take_optional("reason")
            .map(|field| field.text(1..=TEXT_BYTES_MAX).map(ToOwned::to_owned))
            .transpose()?,
        created_at: members.take("createdAt")?.parsed()?,
    };
    members.finish()?;
    Ok(Predicate::Enrolment(Box::new(enrolment)))
}

pub(super) fn encode_enrolment(enrolment: &Enrolment) -> Value<'static> {
    let mut members = vec![
        ("action", Value::text(enrolment.action.as_str())),
        ("createdAt", Value::text(&enrolment.created_at)),
        ("ledger", Value::text(enrolment.ledger)),
        ("number", Value::number(enrolment.number)),
        ("schema", Value::text(ENROLMENT_SCHEMA)),
    ];
    let previous = enrolment.previous;
    members.extend(previous.map(|leaf| ("previous", Value::text(leaf))));
    let reason = enrolment.reason.as_ref();
    members.extend(reason.map(|text| ("reason", Value::text(text))));
    Value::object(members)
}
