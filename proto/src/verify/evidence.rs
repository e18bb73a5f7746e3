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
    /// Orders of the admins that matter for it, ascending: the break-glass order that the release
    /// names, those that allow older proofs, and by whom the log's keys were succeeded.
    pub orders: Vec<OrderEvidence>,
    /// The newest approval of the release, where there is one.
    pub approval: Option<ApprovalEvidence>,
}

impl Evidence {
    /// Positions of the policies whose inclusion in the log must be proven for what it carries.
    pub fn relied_on(&self) -> BTreeSet<usize> {
        let policies: Vec<_> = self.policies.iter().map(|it| it.index).collect();
        let entries = self.orders.iter().map(|order| order.index);
        let entries = entries.chain(self.release.iter().map(|release| release.index));
        relied_on(
            &policies,
            entries.chain(self.approval.iter().map(|it| it.index)),
        )
    }
}

/// An order of the admins, as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderEvidence {
    /// Where its entry stands.
    pub index: Index,
    /// The entry.
    pub entry: Vec<u8>,
    /// The order.
    pub document: Vec<u8>,
    /// Inclusion proof.
    pub inclusion: Vec<NodeHash>,
    /// Of a succession: consistency proof from the head that it names.
    pub consistency: Vec<NodeHash>,
}

/// An approval, as raw bytes; its document is the release's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalEvidence {
    /// Where its entry stands.
    pub index: Index,
    /// The entry.
    pub entry: Vec<u8>,
    /// Its inclusion proof.
    pub inclusion: Vec<NodeHash>,
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

/// Positions of the policies whose inclusion in the log must be proven for some entries: of each
/// the one in force there and its successor, and the newest. `policies` are the indices of all
/// versions, ascending.
pub fn relied_on(policies: &[Index], entries: impl IntoIterator<Item = Index>) -> BTreeSet<usize> {
    let newest = policies.len().saturating_sub(1);
    let positions = entries.into_iter().flat_map(|entry| {
        let before = policies.iter().filter(|index| **index < entry).count();
        [before.saturating_sub(1), before.min(newest), newest]
    });
    positions.collect()
}
