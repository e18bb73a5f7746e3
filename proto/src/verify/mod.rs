//! From a trusted checkpoint to an approved release, one proven step at a time.
//! SPEC.md section 9, steps 3 to 6.
//!
//! ```text
//! TrustedCheckpoint --prove_map--> TrustedMap --prove_row--> CurrentRow | Absent
//!   --prove_entry--> IncludedEntry --approve--> ApprovedRelease
//! ```
//!
//! Invariant: each type can be built only by the step that proves it, from raw bytes and the
//! type before. Nothing here takes a value on the caller's word.
//! Out of scope: fetching; comparing with what runs.

mod approved;
mod error;
mod evidence;
mod orders;
mod recorded;
mod succession;

pub use approved::{ApprovedRelease, CompromisedRelease, Current};
pub use error::VerifyError;
pub use evidence::{
    ApprovalEvidence, Evidence, OrderEvidence, PolicyEvidence, ReleaseEvidence, relied_on,
};
pub use orders::{
    EntryEvidence, HostEvidence, ProvenHost, ProvenOrders, are_all_orders, host, orders,
};
pub use recorded::Recorded;
pub use succession::succession;

use recorded::included;

use std::collections::BTreeSet;

use crate::{
    checkpoint::{CheckpointError, TrustedCheckpoint},
    entry::{Content, Leaf, MapRecord, Submission},
    hash::{Index, LeafHash, NodeHash, Sha256},
    map::MapProof,
    name::Environment,
    order::OrderDocument,
    row::{DigestRow, EnvironmentRow, PolicyRow, Row, RowName},
    rules::{PolicyChain, authenticate_genesis},
    statement::Predicate,
    trust::Trust,
};

/// The map under a trusted checkpoint, as the log's last leaf states it.
#[derive(Debug, Clone)]
pub struct TrustedMap<'a> {
    checkpoint: &'a TrustedCheckpoint,
    record: MapRecord,
}

impl<'a> TrustedMap<'a> {
    /// Step 3: the last leaf is included and is a map record over all leaves before it.
    pub fn prove(
        checkpoint: &'a TrustedCheckpoint,
        leaf: &[u8],
        inclusion: &[NodeHash],
    ) -> Result<Self, VerifyError> {
        let size = checkpoint.head().size().0;
        let last = size.checked_sub(1).ok_or(VerifyError::MapRecord)?;
        let hash = LeafHash::of(leaf);
        included(
            checkpoint.head(),
            hash,
            Index(last),
            inclusion,
            "the map record",
        )?;
        match Leaf::decode(leaf)? {
            Leaf::MapRecord(record) if record.covers == last => Ok(Self { checkpoint, record }),
            _ => Err(VerifyError::MapRecord),
        }
    }

    /// What the leaf states.
    pub fn record(&self) -> &MapRecord {
        &self.record
    }

    fn row(
        &self,
        name: &RowName<'_>,
        row: &[u8],
        proof: &[u8],
        what: &'static str,
    ) -> Result<Option<Row>, VerifyError> {
        MapProof::decode(proof)
            .and_then(|proof| proof.verify(&self.record.root, name, row))
            .map_err(|error| VerifyError::Map { what, error })
    }

    /// Step 4 for an environment: its row, or that it has none.
    pub fn environment(
        &self,
        name: &Environment,
        row: &[u8],
        proof: &[u8],
    ) -> Result<Option<EnvironmentRow>, VerifyError> {
        let name = RowName::Environment(name);
        match self.row(&name, row, proof, "the environment")? {
            Some(Row::Environment(row)) => Ok(Some(row)),
            _ => Ok(None),
        }
    }

    /// Step 4 for a sha256: its row, or that no release ever held it.
    pub fn digest(
        &self,
        sha256: &Sha256,
        row: &[u8],
        proof: &[u8],
    ) -> Result<Option<DigestRow>, VerifyError> {
        match self.row(&RowName::Digest(sha256), row, proof, "the digest")? {
            Some(Row::Digest(row)) => Ok(Some(row)),
            _ => Ok(None),
        }
    }

    fn policy(&self, row: &[u8], proof: &[u8]) -> Result<PolicyRow, VerifyError> {
        match self.row(&RowName::Policy, row, proof, "the policy")? {
            Some(Row::Policy(row)) => Ok(row),
            _ => Err(VerifyError::PolicyChain),
        }
    }

    /// That the policies at these positions stand in the log where they are said to.
    fn prove_policies(
        &self,
        policies: &[PolicyEvidence],
        relied_on: &BTreeSet<usize>,
    ) -> Result<(), VerifyError> {
        for position in relied_on {
            let policy = policies.get(*position).ok_or(VerifyError::PolicyChain)?;
            let (leaf, proof) = (LeafHash::of(&policy.entry), &policy.inclusion);
            let head = self.checkpoint.head();
            included(head, leaf, policy.index, proof, "a policy")?;
        }
        Ok(())
    }

    /// Step 6, first half: the whole chain of policies, from the pinned genesis to the row.
    pub fn policies(
        &self,
        trust: &Trust,
        row: &[u8],
        proof: &[u8],
        policies: &[PolicyEvidence],
    ) -> Result<PolicyChain, VerifyError> {
        let row = self.policy(row, proof)?;
        let (first, later) = policies.split_first().ok_or(VerifyError::PolicyChain)?;
        let genesis = LeafHash::of(&first.entry);
        if genesis != *trust.genesis() {
            return Err(VerifyError::WrongGenesis {
                found: genesis,
                pinned: *trust.genesis(),
            });
        }
        if first.index != Index(0) {
            return Err(VerifyError::PolicyChain);
        }
        let genesis = policy_submission(first)?;
        let mut chain = PolicyChain::begin(&authenticate_genesis(genesis)?)?;
        if (chain.origin(), &chain.first_keys()) != (trust.origin(), trust.first_keys()) {
            return Err(VerifyError::WrongKeys);
        }
        for policy in later {
            if policy.index <= chain.current().index {
                return Err(VerifyError::PolicyChain);
            }
            let submission = policy_submission(policy)?;
            let signed = chain.authority().authenticate(submission)?;
            chain.extend(policy.index, &signed)?;
        }
        if chain.row() == row {
            Ok(chain)
        } else {
            Err(VerifyError::PolicyChain)
        }
    }
}

/// An entry of the chain with its document: a policy, and a genesis entry exactly at index 0.
fn policy_submission(evidence: &PolicyEvidence) -> Result<Submission, VerifyError> {
    let Leaf::Entry(entry) = Leaf::decode(&evidence.entry)? else {
        return Err(VerifyError::PolicyChain);
    };
    match (&entry.statement().predicate, evidence.index) {
        (Predicate::Genesis(_), Index(0)) | (Predicate::Policy(_), Index(1..)) => {}
        _ => return Err(VerifyError::PolicyChain),
    }
    Ok(entry.with_document(&evidence.document)?)
}

/// Step 5: the entry that the row states, included where the row states it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct IncludedEntry {
    index: Index,
    submission: Submission,
}

impl IncludedEntry {
    fn prove(
        map: &TrustedMap<'_>,
        row: &EnvironmentRow,
        environment: &Environment,
        trust: &Trust,
        evidence: &ReleaseEvidence,
    ) -> Result<Self, VerifyError> {
        let same = |same: bool, what| same.then_some(()).ok_or(VerifyError::RowMismatch { what });
        let leaf = LeafHash::of(&evidence.entry);
        same(leaf == row.leaf, "the leaf hash")?;
        same(evidence.index == row.index, "the index")?;
        included(
            map.checkpoint.head(),
            leaf,
            row.index,
            &evidence.inclusion,
            "the entry",
        )?;
        let other_kind = VerifyError::RowMismatch { what: "the kind" };
        let Leaf::Entry(entry) = Leaf::decode(&evidence.entry)? else {
            return Err(other_kind);
        };
        let Predicate::Release(release) = &entry.statement().predicate else {
            return Err(other_kind);
        };
        same(release.ledger == *trust.genesis(), "the ledger")?;
        same(release.environment == *environment, "the environment")?;
        same(release.sequence == row.sequence, "the sequence")?;
        same(release.action == row.action, "the action")?;
        Ok(Self {
            index: row.index,
            submission: entry.with_document(&evidence.manifest)?,
        })
    }

    /// Step 6, second half: the policy in force at the entry allows it, and the newest leaves it,
    /// or an approval of it, enough signers at `now`.
    fn approve(
        self,
        map: &TrustedMap<'_>,
        chain: &PolicyChain,
        approval: Option<&ApprovalEvidence>,
        now: u64,
    ) -> Result<Current, VerifyError> {
        let authority = chain.authority_at(self.index);
        let authority = authority.ok_or(VerifyError::PolicyChain)?;
        // What whoever answered left out says nothing of the log.
        if let Content::Release(release, _) = self.submission.content()
            && let Some(named) = release.break_glass
            && chain.order(&named).is_none()
        {
            let what = "the break-glass order that the release names";
            return Err(VerifyError::Lacks { what });
        }
        let signed = authority.authenticate(self.submission)?;
        let approval = approval.map(|it| approved::prove(map, chain, (self.index, &signed), it));
        approved::judge(
            chain,
            self.index,
            &signed,
            approval.transpose()?.as_ref(),
            now,
        )
    }
}

/// The policies relied on stand in the log where the chain says, and so do the orders, each signed
/// by those who might.
fn chain_with_orders(
    map: &TrustedMap<'_>,
    trust: &Trust,
    evidence: &Evidence,
) -> Result<PolicyChain, VerifyError> {
    let (row, proof) = (&evidence.policy_row, &evidence.policy_proof);
    let mut chain = map.policies(trust, row, proof, &evidence.policies)?;
    map.prove_policies(&evidence.policies, &evidence.relied_on())?;
    let head = map.checkpoint.head();
    for order in &evidence.orders {
        let leaf = LeafHash::of(&order.entry);
        included(head, leaf, order.index, &order.inclusion, "an order")?;
        let no_order = VerifyError::Misplaced {
            what: "what is no order in place of one, or orders that do not ascend",
        };
        let Leaf::Entry(entry) = Leaf::decode(&order.entry)? else {
            return Err(no_order);
        };
        let is_order = matches!(entry.statement().predicate, Predicate::Order(_));
        let last = chain.orders().last().map(|step| step.index);
        if !is_order || last >= Some(order.index) {
            return Err(no_order);
        }
        let submission = entry.with_document(&order.document)?;
        chain.adopt_order(order.index, submission)?;
    }
    nobody_else_signs(&chain, trust, map.checkpoint)?;
    Ok(chain)
}

/// Whoever is shown that other keys took over believes no checkpoint by those before: it goes
/// through [`succession`] first, which makes those keys known.
fn nobody_else_signs(
    chain: &PolicyChain,
    trust: &Trust,
    checkpoint: &TrustedCheckpoint,
) -> Result<(), VerifyError> {
    let size = checkpoint.head().size();
    for step in chain.orders() {
        if let OrderDocument::KeySuccession(order) = &step.order
            && !trust.later_keys().contains(&order.era(step.index))
        {
            return Err(CheckpointError::OtherEra { size }.into());
        }
    }
    Ok(())
}

/// Steps 3 to 6 for an environment under a trusted checkpoint, at `now` (Unix seconds), or at the
/// map record's time where that is later: a clock that was set back expires nothing later.
pub fn current(
    trust: &Trust,
    checkpoint: &TrustedCheckpoint,
    environment: &Environment,
    evidence: &Evidence,
    now: u64,
) -> Result<Current, VerifyError> {
    let map = TrustedMap::prove(
        checkpoint,
        &evidence.map_record,
        &evidence.map_record_inclusion,
    )?;
    let row = map.environment(
        environment,
        &evidence.environment_row,
        &evidence.environment_proof,
    )?;
    let chain = chain_with_orders(&map, trust, evidence)?;
    let now = now.max(map.record.time.div_euclid(1_000));
    let Some(row) = row else {
        return Ok(Current::Absent(chain.terms(environment, now)));
    };
    let release = evidence.release.as_ref();
    let release = release.ok_or(VerifyError::Lacks {
        what: "the release",
    })?;
    let entry = IncludedEntry::prove(&map, &row, environment, trust, release)?;
    entry.approve(&map, &chain, evidence.approval.as_ref(), now)
}
