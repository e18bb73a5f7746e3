//! What every answer under one head says alike: the policy's row, the map record's place, the
//! policies' places. Made and checked when it is first asked for, then kept with the head.
//!
//! Invariant: it belongs to one head's root and map; a head with another of either has its own.

use std::sync::{Arc, OnceLock};

use cairn_proto::hash::NodeHash;

use super::{PolicyBytes, Refusal};

/// A cell that is filled by whoever comes first. Two that come at once both work; a failure
/// fills nothing, and the next one tries again.
#[derive(Debug, Default)]
struct Once<T>(OnceLock<T>);

impl<T> Once<T> {
    fn get(&self, make: impl FnOnce() -> Result<T, Refusal>) -> Result<&T, Refusal> {
        if let Some(made) = self.0.get() {
            return Ok(made);
        }
        let fresh = make()?;
        Ok(self.0.get_or_init(|| fresh))
    }
}

/// One policy below the head, and its inclusion once somebody relied on it.
#[derive(Debug)]
pub(super) struct StandingPolicy {
    pub(super) policy: PolicyBytes,
    inclusion: Once<Vec<NodeHash>>,
}

impl StandingPolicy {
    pub(super) fn new(policy: PolicyBytes) -> Self {
        Self {
            policy,
            inclusion: Once::default(),
        }
    }

    pub(super) fn inclusion(
        &self,
        make: impl FnOnce() -> Result<Vec<NodeHash>, Refusal>,
    ) -> Result<&[NodeHash], Refusal> {
        self.inclusion.get(make).map(Vec::as_slice)
    }
}

/// The proofs of one head; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    policy_row: Once<(Vec<u8>, Vec<u8>)>,
    map_record: Once<Vec<NodeHash>>,
    policies: Once<Vec<StandingPolicy>>,
}

impl Standing {
    /// The policy's row, and its proof.
    pub(super) fn policy_row(
        &self,
        make: impl FnOnce() -> Result<(Vec<u8>, Vec<u8>), Refusal>,
    ) -> Result<&(Vec<u8>, Vec<u8>), Refusal> {
        self.0.policy_row.get(make)
    }

    /// Inclusion of the map record.
    pub(super) fn map_record(
        &self,
        make: impl FnOnce() -> Result<Vec<NodeHash>, Refusal>,
    ) -> Result<&Vec<NodeHash>, Refusal> {
        self.0.map_record.get(make)
    }

    /// The policies below the head, oldest first.
    pub(super) fn policies(
        &self,
        make: impl FnOnce() -> Vec<StandingPolicy>,
    ) -> Result<&[StandingPolicy], Refusal> {
        self.0.policies.get(|| Ok(make())).map(Vec::as_slice)
    }
}
