//! The predicate of an approval: other deployers stand up for a release. SPEC.md section 3.

use super::{APPROVAL_SCHEMA, NUMBER_MAX, Predicate};
use crate::{
    hash::{LeafHash, Sequence},
    json::{JsonError, Members, Value},
    limits::TEXT_BYTES_MAX,
    name::{Environment, TimeText},
};

/// Deployers sign for a release that stands already: its own signers' keys were compromised, or
/// a break-glass order let it in with fewer of them than the policy asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Leaf hash of the genesis entry.
    pub ledger: LeafHash,
    /// Where.
    pub environment: Environment,
    /// The release's place in the environment's chain.
    pub sequence: Sequence,
    /// Leaf hash of the release's entry.
    pub release: LeafHash,
    /// Which approval of this release it is, from 1.
    pub number: u64,
    /// Why, in the deployers' words.
    pub reason: Option<String>,
    /// By the proposer's clock; informative.
    pub created_at: TimeText,
}

pub(super) fn decode_approval(mut members: Members) -> Result<Predicate, JsonError> {
    let approval = Approval {
        ledger: LeafHash(members.take("ledger")?.hex32()?),
        environment: members.take("environment")?.parsed()?,
        sequence: Sequence(members.take("sequence")?.number(1..=NUMBER_MAX)?),
        release: LeafHash(members.take("release")?.hex32()?),
        number: members.take("number")?.number(1..=NUMBER_MAX)?,
        reason: members
            .take_optional("reason")
            .map(|field| field.text(1..=TEXT_BYTES_MAX).map(ToOwned::to_owned))
            .transpose()?,
        created_at: members.take("createdAt")?.parsed()?,
    };
    members.finish()?;
    Ok(Predicate::Approval(Box::new(approval)))
}

pub(super) fn encode_approval(approval: &Approval) -> Value<'static> {
    let mut members = vec![
        ("createdAt", Value::text(&approval.created_at)),
        ("environment", Value::text(&approval.environment)),
        ("ledger", Value::text(approval.ledger)),
        ("number", Value::number(approval.number)),
        ("release", Value::text(approval.release)),
        ("schema", Value::text(APPROVAL_SCHEMA)),
        ("sequence", Value::number(approval.sequence.0)),
    ];
    let reason = approval.reason.as_ref();
    members.extend(reason.map(|text| ("reason", Value::text(text))));
    Value::object(members)
}
