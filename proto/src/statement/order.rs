//! The predicate of the admins' orders. SPEC.md section 3.

use super::{NUMBER_MAX, ORDER_SCHEMA, Predicate};
use crate::{
    hash::LeafHash,
    json::{JsonError, Members, Value},
};

/// What kind of order it is; the order itself is the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderKind {
    /// Contents are erased.
    Redaction,
    /// For a while the policy asks for less.
    BreakGlass,
    /// Other keys sign checkpoints from here on.
    KeySuccession,
}

impl OrderKind {
    /// The text in a statement's type and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redaction => "redaction",
            Self::BreakGlass => "break-glass",
            Self::KeySuccession => "key-succession",
        }
    }

    pub(super) const fn predicate_type(self) -> &'static str {
        match self {
            Self::Redaction => "urn:cairn:redaction:v1",
            Self::BreakGlass => "urn:cairn:break-glass:v1",
            Self::KeySuccession => "urn:cairn:key-succession:v1",
        }
    }
}

/// A step in the one chain of all orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What its document is.
    pub kind: OrderKind,
    /// Leaf hash of the genesis entry.
    pub ledger: LeafHash,
    /// Its place in the chain, from 1.
    pub number: u64,
    /// Leaf hash of the order before, of whatever kind; absent at 1.
    pub previous: Option<LeafHash>,
}

pub(super) fn decode_order(kind: OrderKind, mut members: Members) -> Result<Predicate, JsonError> {
    let order = Order {
        kind,
        ledger: LeafHash(members.take("ledger")?.hex32()?),
        number: members.take("number")?.number(1..=NUMBER_MAX)?,
        previous: members
            .take_optional("previous")
            .map(|field| field.hex32().map(LeafHash))
            .transpose()?,
    };
    members.finish()?;
    Ok(Predicate::Order(order))
}

pub(super) fn encode_order(order: &Order) -> Value<'static> {
    let mut members = vec![
        ("ledger", Value::text(order.ledger)),
        ("number", Value::number(order.number)),
        ("schema", Value::text(ORDER_SCHEMA)),
    ];
    let previous = order.previous;
    members.extend(previous.map(|leaf| ("previous", Value::text(leaf))));
    Value::object(members)
}
