//! What a verifier is given: raw bytes, none of them believed. SPEC.md section 9.

use std::collections::BTreeSet;

use crate::hash::{Index, NodeHash};

/// Raw evidence for one name: what `Lookup` answers and a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The last leaf under the checkpoint.
    pub map_record: Vec<u8>,
    /// Its inclusion proof.
    pub map_record_inclusion: Vec<NodeHash>,
    /// The environment's row; empty if it is absent.
    pub environment_row: Vec<u8>,
    /// The map proof for it.
    pub environment_proof: Vec<u8>,
    /// The policy's row.
    pub policy_row: Vec<u8>,
    /// The map proof for it.
    pub policy_proof: Vec<u8>,
    /// Every policy, from genesis on.
    pub policies: Vec<PolicyEvidence>,
    /// The release that the row states; `None` if the environment is absent.
    pub release: Option<ReleaseEvidence>,
}

/// One version of the policy, as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyEvidence {
    /// Where its entry stands.
    pub index: Index,
    /// The entry.
    pub entry: Vec<u8>,
    /// The policy document.
    pub document: Vec<u8>,
    /// Inclusion proof; empty unless it is asked for.
    pub inclusion: Vec<NodeHash>,
}

/// A release, as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseEvidence {
    /// Where its entry stands.
    pub index: Index,
    /// The entry.
    pub entry: Vec<u8>,
    /// Its inclusion proof.
    pub inclusion: Vec<NodeHash>,
    /// The manifest.
    pub manifest: Vec<u8>,
}

/// Positions of the policies whose inclusion in the log must be proven for an entry at `entry`:
/// the one in force there, its successor, and the newest. `policies` are the indices of all
/// versions, ascending.
pub fn relied_on(policies: &[Index], entry: Index) -> BTreeSet<usize> {
    let before = policies.iter().filter(|index| **index < entry).count();
    let in_force = before.saturating_sub(1);
    let newest = policies.len().saturating_sub(1);
    [in_force, before.min(newest), newest].into()
}
