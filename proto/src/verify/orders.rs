//! The admins' orders, and hosts' standing, proven. SPEC.md sections 8 and 9, steps 4 and 6.

use super::{
    Evidence, PolicyEvidence, TrustedMap, VerifyError, chain_with_orders, recorded::included,
    relied_on,
};
use crate::{
    checkpoint::TrustedCheckpoint,
    entry::{Content, Submission},
    hash::{Index, KeyId, LeafHash, NodeHash},
    host::HostRecord,
    merkle::Frontier,
    row::{OrdersRow, Row, RowName, history_leaf},
    rules::OrderStep,
    statement::{Enrolment, Standing},
    trust::Trust,
};

/// Some orders, each in the log and signed by those who might, and the row that says how many
/// there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenOrders {
    /// In the order of the log.
    pub steps: Vec<OrderStep>,
    /// `None` where there never was one.
    pub row: Option<OrdersRow>,
}

/// Proves orders under a trusted checkpoint.
pub fn orders(
    trust: &Trust,
    checkpoint: &TrustedCheckpoint,
    evidence: &Evidence,
    (row, row_proof): (&[u8], &[u8]),
) -> Result<ProvenOrders, VerifyError> {
    let record = (&evidence.map_record, &evidence.map_record_inclusion);
    let map = TrustedMap::prove(checkpoint, record.0, record.1)?;
    let row = match map.row(&RowName::Orders, row, row_proof, "the orders")? {
        Some(Row::Orders(row)) => Some(row),
        _ => None,
    };
    let chain = chain_with_orders(&map, trust, evidence)?;
    Ok(ProvenOrders {
        steps: chain.orders().to_vec(),
        row,
    })
}

/// Whether these are all the orders that a row states, from the first on.
pub fn are_all_orders<'a>(
    steps: impl IntoIterator<Item = &'a OrderStep>,
    row: Option<&OrdersRow>,
) -> bool {
    let mut history = Frontier::default();
    for step in steps {
        history.push(history_leaf(step.index, &step.leaf));
    }
    match row {
        None => history.size().0 == 0,
        Some(row) => row.number == history.size().0 && row.history == history.root(),
    }
}

/// Raw evidence for one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostEvidence {
    /// The last leaf under the checkpoint.
    pub map_record: Vec<u8>,
    /// Its inclusion proof.
    pub map_record_inclusion: Vec<NodeHash>,
    /// The host's row; empty if it was never enrolled.
    pub row: Vec<u8>,
    /// The map proof for it.
    pub row_proof: Vec<u8>,
    /// The policy's row.
    pub policy_row: Vec<u8>,
    /// The map proof for it.
    pub policy_proof: Vec<u8>,
    /// Every policy, from genesis on.
    pub policies: Vec<PolicyEvidence>,
    /// The entry that the row states; `None` if the host was never enrolled.
    pub newest: Option<EntryEvidence>,
}

/// An entry with its document, as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryEvidence {
    /// Where it stands.
    pub index: Index,
    /// The entry.
    pub entry: Vec<u8>,
    /// Its document.
    pub document: Vec<u8>,
    /// Its inclusion proof.
    pub inclusion: Vec<NodeHash>,
}

/// A host's newest enrolment or dismissal: in the log, current, and allowed where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenHost {
    index: Index,
    enrolment: Enrolment,
    record: HostRecord,
    signers: Vec<(String, String)>,
}

impl ProvenHost {
    /// Where its entry stands.
    pub fn index(&self) -> Index {
        self.index
    }

    /// Whether it is enrolled now.
    pub fn is_enrolled(&self) -> bool {
        self.enrolment.action == Standing::Enrol
    }

    /// What its signers said.
    pub fn enrolment(&self) -> &Enrolment {
        &self.enrolment
    }

    /// The host record.
    pub fn record(&self) -> &HostRecord {
        &self.record
    }

    /// Who signed: name in the policy then in force, and keyid.
    pub fn signers(&self) -> &[(String, String)] {
        &self.signers
    }
}

/// Proves a host's standing under a trusted checkpoint, or that it was never enrolled. A signer
/// that the newest policy calls compromised by then does not count.
pub fn host(
    trust: &Trust,
    checkpoint: &TrustedCheckpoint,
    id: &KeyId,
    evidence: &HostEvidence,
) -> Result<Option<ProvenHost>, VerifyError> {
    let record = (&evidence.map_record, &evidence.map_record_inclusion);
    let map = TrustedMap::prove(checkpoint, record.0, record.1)?;
    let (row, proof) = (&evidence.row, &evidence.row_proof);
    let Some(Row::Host(row)) = map.row(&RowName::Host(id), row, proof, "the host")? else {
        return Ok(None);
    };
    let (policy_row, policy_proof) = (&evidence.policy_row, &evidence.policy_proof);
    let chain = map.policies(trust, policy_row, policy_proof, &evidence.policies)?;
    let indices: Vec<_> = evidence.policies.iter().map(|it| it.index).collect();
    map.prove_policies(&evidence.policies, &relied_on(&indices, [row.index]))?;
    let newest = evidence.newest.as_ref();
    let newest = newest.ok_or(VerifyError::Lacks {
        what: "the enrolment",
    })?;
    let same = |same: bool, what| same.then_some(()).ok_or(VerifyError::RowMismatch { what });
    let leaf = LeafHash::of(&newest.entry);
    same(leaf == row.leaf, "the leaf hash")?;
    same(newest.index == row.index, "the index")?;
    let proof = &newest.inclusion;
    included(checkpoint.head(), leaf, row.index, proof, "the enrolment")?;
    let submission = Submission::decode(&newest.entry, &newest.document)?;
    let authority = chain.authority_at(row.index);
    let authority = authority.ok_or(VerifyError::PolicyChain)?;
    let signed = authority.authenticate(submission)?;
    let counted = chain.enrolled(row.index, signed.signers())?;
    let Content::Enrolment(enrolment, record) = signed.submission().content() else {
        return Err(VerifyError::RowMismatch { what: "the kind" });
    };
    same(record.id() == *id, "the host")?;
    same(enrolment.number == row.number, "the number")?;
    same(enrolment.action == row.action, "the action")?;
    Ok(Some(ProvenHost {
        index: row.index,
        enrolment: (**enrolment).clone(),
        record: record.clone(),
        signers: authority.deployers_named(&counted.signers),
    }))
}
