//! What every answer under one head says alike: the policy's row, the map record's place, the
//! policies' places, as they are sent. Made and checked when it is first asked for, then kept with the head.
//!
//! Invariant: it belongs to one head's root and map; a head with another of either has its own.

use std::sync::OnceLock;

use bytes::Bytes;

use super::{ChainEntry, Refusal};

/// A cell that is filled by whoever comes first. Two that come at once both work; a failure
/// fills nothing, and the next one tries again.
#[derive(Debug, Default)]
pub(super) struct Once<T>(OnceLock<T>);

impl<T> Once<T> {
    pub(super) fn get(&self, make: impl FnOnce() -> Result<T, Refusal>) -> Result<&T, Refusal> {
        if let Some(made) = self.0.get() {
            return Ok(made);
        }
        let fresh = make()?;
        Ok(self.0.get_or_init(|| fresh))
    }
}

/// One policy below the head.
#[derive(Debug)]
pub(super) struct StandingPolicy {
    pub(super) policy: ChainEntry,
    /// Its inclusion, once somebody relied on it.
    pub(super) inclusion: Once<Vec<Bytes>>,
}

/// The proofs of one head.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// The policy's row, and its proof.
    pub(super) policy_row: Once<(Bytes, Bytes)>,
    /// Inclusion of the map record.
    pub(super) map_record: Once<Vec<Bytes>>,
    /// The policies below the head, oldest first.
    pub(super) policies: OnceLock<Vec<StandingPolicy>>,
}
