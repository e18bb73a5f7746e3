//! That other keys of a log took over from those that are pinned. SPEC.md section 9.1.

use super::{Evidence, TrustedMap, VerifyError, chain_with_orders};
use crate::{
    checkpoint::{AuthenticCheckpoint, SignedCheckpoint},
    entry::{Content, Submission},
    hash::Index,
    merkle::verify_consistency,
    order::KeySuccession,
    trust::Trust,
    verify::OrderEvidence,
};

/// The trust that follows from `trust` by the orders of succession in the evidence, under a note
/// that the newest of their keys signed. `now` is Unix seconds.
///
/// Each order is signed by the admins whom the policy in force at its place names, by a chain from
/// the pinned genesis; it stands right behind the last head that the keys before signed; and the
/// log under the note extends that head. So nobody who holds the log's keys alone, old or new,
/// names others.
pub fn succession(
    trust: &Trust,
    note: &[u8],
    evidence: &Evidence,
    now: u64,
) -> Result<Trust, VerifyError> {
    let mut candidate = trust.clone();
    let mut heads = Vec::new();
    for order in &evidence.orders {
        let Some(succession) = succession_of(order)? else {
            continue;
        };
        let era = succession.era(order.index);
        if candidate.later_keys().contains(&era) {
            continue;
        }
        heads.push((last_head(&candidate, &succession, order.index)?, order));
        let wrong = |_| VerifyError::WrongKeys;
        candidate = candidate.succeeded_by(era).map_err(wrong)?;
    }
    if heads.is_empty() {
        let what = "an order by which other keys took over";
        return Err(VerifyError::Lacks { what });
    }
    let checkpoint = authentic(note, &candidate, now)?.trust_first();
    let record = (&evidence.map_record, &evidence.map_record_inclusion);
    let map = TrustedMap::prove(&checkpoint, record.0, record.1)?;
    chain_with_orders(&map, &candidate, evidence)?;
    let newest = checkpoint.head();
    for (head, order) in heads {
        let what = "the last head of the keys before";
        let sizes = (head.size(), newest.size());
        let proof = &order.consistency;
        verify_consistency(sizes.0, sizes.1, proof, head.root(), newest.root())
            .map_err(|error| VerifyError::Inclusion { what, error })?;
    }
    Ok(candidate)
}

fn succession_of(order: &OrderEvidence) -> Result<Option<KeySuccession>, VerifyError> {
    let submission = Submission::decode(&order.entry, &order.document)?;
    let what = "what is no order in place of one";
    match submission.content() {
        Content::Order(_, crate::order::OrderDocument::KeySuccession(order)) => {
            Ok(Some((**order).clone()))
        }
        Content::Order(..) => Ok(None),
        _ => Err(VerifyError::Misplaced { what }),
    }
}

/// The head that an order names: signed by the keys before, right before the order. Whoever else
/// cosigned it is not looked at, nor when.
fn last_head(
    before: &Trust,
    order: &KeySuccession,
    index: Index,
) -> Result<AuthenticCheckpoint, VerifyError> {
    let head = authentic(order.head.as_bytes(), &before.clone().alone(), u64::MAX);
    let head = head.map_err(|_| VerifyError::SuccessionHead)?;
    let fits = head.size().0 == index.0;
    fits.then_some(head).ok_or(VerifyError::SuccessionHead)
}

fn authentic(note: &[u8], trust: &Trust, now: u64) -> Result<AuthenticCheckpoint, VerifyError> {
    let note = SignedCheckpoint::parse(note)?;
    Ok(note.authenticate(trust, now)?)
}
