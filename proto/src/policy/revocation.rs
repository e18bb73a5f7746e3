//! Keys that count for nothing any more. SPEC.md section 4.

use super::{decode_key, encode_key};
use crate::{
    hash::Index,
    json::{Field, JsonError, Value, ascending},
    key::PublicKey,
    limits::{JSON_INTEGER_MAX, REVOCATIONS_MAX},
};

const REASON_BYTES_MAX: usize = 256;

/// A key that no policy names again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The key.
    pub key: PublicKey,
    /// Why, 1 to 256 bytes of text.
    pub reason: Option<String>,
    /// The first entry on which its signature counts for nothing: the key was compromised by
    /// then. `None`: what it signed before stands.
    pub since: Option<Index>,
}

impl Revocation {
    /// Whether a signature on the entry at `index` counts for nothing.
    pub fn strikes(&self, index: Index) -> bool {
        self.since.is_some_and(|since| since <= index)
    }

    /// Whether it takes as much from the key as another does.
    pub(crate) fn is_as_strict_as(&self, other: &Self) -> bool {
        match (self.since, other.since) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(other)) => own <= other,
        }
    }
}

pub(super) fn decode_list(field: Option<Field>) -> Result<Vec<Revocation>, JsonError> {
    let Some(field) = field else {
        return Ok(Vec::new());
    };
    let wrong_order = field.invalid();
    let items = field.array(1..=REVOCATIONS_MAX)?.into_iter();
    let revoked: Vec<_> = items.map(decode).collect::<Result<_, _>>()?;
    let keys: Vec<_> = revoked.iter().map(|revocation| revocation.key).collect();
    ascending(&keys, "").map_err(|_| wrong_order)?;
    Ok(revoked)
}

fn decode(field: Field) -> Result<Revocation, JsonError> {
    let mut members = field.members()?;
    let reason = members.take_optional("reason");
    let since = members.take_optional("since");
    let revocation = Revocation {
        key: decode_key(&members.take("key")?)?,
        reason: reason
            .map(|field| field.text(1..=REASON_BYTES_MAX).map(str::to_owned))
            .transpose()?,
        since: since
            .map(|field| field.number(0..=JSON_INTEGER_MAX.unsigned_abs()))
            .transpose()?
            .map(Index),
    };
    members.finish()?;
    Ok(revocation)
}

pub(super) fn encode_list(revoked: &[Revocation]) -> Value<'static> {
    let items = revoked.iter().map(|revocation| {
        let mut members = vec![("key", encode_key(&revocation.key))];
        let reason = revocation.reason.as_ref();
        members.extend(reason.map(|reason| ("reason", Value::text(reason))));
        let since = revocation.since;
        members.extend(since.map(|since| ("since", Value::number(since.0))));
        Value::object(members)
    });
    Value::Array(items.collect())
}
