//! Proofs, made from one published head and checked before they are sent, so that bit rot
//! here never looks like an attack there.

use std::sync::Arc;

use bytes::Bytes;
use cairn_grpc::{hash_list, v1};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    hash::{Index, LeafHash, NodeHash, Sha256, TreeSize},
    merkle::{prove_consistency, prove_inclusion, root_at, verify_inclusion},
    name::Environment,
    row::{Row, RowName},
    verify::relied_on,
};

use super::{
    Ledger, Placed, Refusal, Shared, Wanted,
    head::Head,
    reading,
    standing::{Once, StandingPolicy},
};

/// A row, its bytes, and the proof for it.
type ProvenRow = (Option<Row>, Bytes, Bytes);

impl Shared {
    /// Proves that a leaf is under a head, and checks the proof.
    pub(super) fn inclusion(
        &self,
        index: Index,
        leaf: LeafHash,
        head: &Head,
    ) -> Result<Vec<NodeHash>, Refusal> {
        let proof = prove_inclusion(&*reading(&self.tree), index, head.size());
        let proof = proof.ok_or(Refusal::SelfCheck)?;
        verify_inclusion(leaf, index, head.size(), &proof, &head.root())
            .map_err(|_| Refusal::SelfCheck)?;
        Ok(proof)
    }

    /// A row and the proof for it, or for its absence.
    pub(super) fn row(head: &Head, name: &RowName<'_>) -> Result<ProvenRow, Refusal> {
        let key = name.key();
        let row = head.map.get(&key).copied();
        let bytes = row.map(|row| row.encode()).unwrap_or_default();
        let proof = head.map.prove(&key).ok_or(Refusal::SelfCheck)?;
        proof
            .verify(&head.map_root, name, &bytes)
            .map_err(|_| Refusal::SelfCheck)?;
        Ok((row, bytes.into(), proof.encode().into()))
    }

    /// The policy's row, and the proof for it.
    pub(super) fn policy_row(head: &Head) -> Result<(Bytes, Bytes), Refusal> {
        let made = head.standing.policy_row.get(|| {
            let (_, row, proof) = Self::row(head, &RowName::Policy)?;
            Ok((row, proof))
        })?;
        Ok(made.clone())
    }

    fn map_record(&self, head: &Head) -> Result<(Bytes, Vec<Bytes>), Refusal> {
        let last = Index(head.size().0.saturating_sub(1));
        let inclusion = head.standing.map_record.get(|| {
            let leaf = LeafHash::of(&head.map_record);
            Ok(hash_list(&self.inclusion(last, leaf, head)?))
        })?;
        Ok((head.map_record.clone(), inclusion.clone()))
    }

    /// A proven row, and the map record that its root stands in.
    pub(super) fn under_map_record(
        &self,
        head: &Head,
        row: Bytes,
        row_proof: Bytes,
    ) -> Result<v1::CurrentProof, Refusal> {
        let (map_record, map_record_inclusion) = self.map_record(head)?;
        Ok(v1::CurrentProof {
            map_record,
            map_record_inclusion,
            row,
            row_proof,
        })
    }

    /// The policies; inclusion is proven for those that a verifier of the entries at these
    /// indices relies on.
    pub(super) fn policies(
        &self,
        head: &Head,
        entries: impl IntoIterator<Item = Index>,
    ) -> Result<Vec<v1::PolicyStep>, Refusal> {
        let known = head.standing.policies.get_or_init(|| {
            let policies = reading(&self.policies);
            let below = policies
                .iter()
                .filter(|policy| policy.index.0 < head.size().0);
            let standing = below.cloned().map(|policy| StandingPolicy {
                policy,
                inclusion: Once::default(),
            });
            standing.collect()
        });
        let indices: Vec<_> = known.iter().map(|one| one.policy.index).collect();
        let wanted = relied_on(&indices, entries);
        let steps = known.iter().enumerate().map(|(position, one)| {
            let policy = &one.policy;
            let inclusion = if wanted.contains(&position) {
                let made = one.inclusion.get(|| {
                    let leaf = LeafHash::of(&policy.entry);
                    Ok(hash_list(&self.inclusion(policy.index, leaf, head)?))
                });
                made?.clone()
            } else {
                Vec::new()
            };
            Ok(v1::PolicyStep {
                index: policy.index.0,
                entry: policy.entry.clone(),
                document: policy.document.clone(),
                inclusion,
            })
        });
        steps.collect()
    }
}

impl Ledger {
    /// Reads a note that a client sent back, and the size that it shows. A note of ours above
    /// our own head, or with another root than ours at its size, means that this store is an
    /// old copy: nothing is signed from then on.
    pub(crate) fn meet_note(&self, note: &[u8]) -> Option<TreeSize> {
        let trust = &self.shared.trust;
        let authentic = SignedCheckpoint::parse(note).ok()?;
        // Our own signature counts whatever this machine's clock says by now.
        let authentic = authentic.authenticate(trust, u64::MAX).ok()?;
        // Read after the note was parsed: whatever we signed is published by now.
        let head = self.head();
        let ours = root_at(&*reading(&self.shared.tree), authentic.size());
        // What keys that were taken over from signed proves nothing of this store: the order that took
        // over binds all that they were to sign, and whoever has them now may sign anything.
        if authentic.overtaken().is_some() {
            return (ours == Some(*authentic.root())).then(|| authentic.size());
        }
        if authentic.size() > head.size() || ours != Some(*authentic.root()) {
            tracing::error!(
                shown = authentic.size().0,
                head = head.size().0,
                "a client holds a note of this log that is not of this history: the store is an \
                 old copy"
            );
            self.shared.halt();
        }
        Some(authentic.size())
    }

    pub(super) fn link(&self, trusted: &[u8], head: &Head) -> Vec<NodeHash> {
        if trusted.is_empty() {
            return Vec::new();
        }
        match self.meet_note(trusted) {
            Some(from) if from.0 > 0 && from < head.size() => {
                let proof = prove_consistency(&*reading(&self.shared.tree), from, head.size());
                proof.unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Consistency between two sizes up to the published head; size 0 of `to` means the head.
    pub(crate) fn consistency(
        &self,
        from: TreeSize,
        to: TreeSize,
    ) -> Result<(Vec<NodeHash>, Arc<Head>), Refusal> {
        let head = self.head();
        let to = if to.0 == 0 { head.size() } else { to };
        let missing = || Refusal::NotFound {
            what: format!("consistency from size {from} to {to}"),
        };
        if to > head.size() {
            return Err(missing());
        }
        let proof = prove_consistency(&*reading(&self.shared.tree), from, to);
        Ok((proof.ok_or_else(missing)?, head))
    }

    /// Inclusion of the leaf at an index under the published head, or under an older size.
    pub(crate) fn inclusion(
        &self,
        index: Index,
        size: TreeSize,
        head: &Head,
    ) -> Result<Vec<NodeHash>, Refusal> {
        let size = if size.0 == 0 { head.size() } else { size };
        let proof = if size <= head.size() {
            prove_inclusion(&*reading(&self.shared.tree), index, size)
        } else {
            None
        };
        proof.ok_or_else(|| Refusal::NotFound {
            what: format!("entry {index} in a tree of {size}"),
        })
    }

    /// The receipt of an appended entry.
    pub(crate) fn receipt(
        &self,
        placed: &Placed,
        environment: Option<&Environment>,
        trusted: &[u8],
    ) -> Result<v1::AppendResponse, Refusal> {
        let shared = &self.shared;
        let head = &placed.head;
        let leaf = reading(&shared.tree).leaf(placed.index);
        let leaf = leaf.ok_or(Refusal::SelfCheck)?;
        let current = environment
            .map(|environment| self.current_proof(head, &RowName::Environment(environment)))
            .transpose()?;
        Ok(v1::AppendResponse {
            index: placed.index.0,
            checkpoint: head.note.clone(),
            inclusion: hash_list(&shared.inclusion(placed.index, leaf, head)?),
            consistency: hash_list(&self.link(trusted, head)),
            current,
            repeated_call: placed.repeated,
        })
    }

    pub(super) fn current_proof(
        &self,
        head: &Head,
        name: &RowName<'_>,
    ) -> Result<v1::CurrentProof, Refusal> {
        let (_, row, row_proof) = Shared::row(head, name)?;
        self.shared.under_map_record(head, row, row_proof)
    }

    /// An environment's current release, or its absence, with every proof.
    pub(crate) fn lookup(
        &self,
        environment: &Environment,
        trusted: &[u8],
        wanted: &Wanted<'_>,
    ) -> Result<v1::LookupResponse, Refusal> {
        let head = self.cosigned_head(wanted);
        let shared = &self.shared;
        let name = RowName::Environment(environment);
        let (row, bytes, proof) = Shared::row(&head, &name)?;
        let (policy_row, policy_proof) = Shared::policy_row(&head)?;
        let mut answer = v1::LookupResponse {
            checkpoint: head.note.clone(),
            consistency: hash_list(&self.link(trusted, &head)),
            environment: Some(shared.under_map_record(&head, bytes, proof)?),
            policy_row,
            policy_proof,
            ..v1::LookupResponse::default()
        };
        let mut relied = Vec::new();
        if let Some(Row::Environment(row)) = row {
            relied.push(row.index);
            answer.index = row.index.0;
            answer.entry = shared.entry(row.index)?;
            let leaf = LeafHash::of(&answer.entry);
            answer.inclusion = hash_list(&shared.inclusion(row.index, leaf, &head)?);
            answer.manifest = shared.manifest(environment, row.index, &answer.entry)?;
        }
        let release = relied.first().copied();
        answer.orders = self.orders_for(&head, environment, &answer.entry)?;
        relied.extend(answer.orders.iter().map(|order| Index(order.index)));
        let approval =
            release.and_then(|index| shared.releases.approval(environment, index, head.size()));
        if let Some(index) = approval {
            relied.push(index);
            let entry = shared.entry(index)?;
            let leaf = LeafHash::of(&entry);
            answer.approval = Some(v1::ApprovalStep {
                index: index.0,
                inclusion: hash_list(&shared.inclusion(index, leaf, &head)?),
                entry,
            });
        }
        answer.policies = shared.policies(&head, relied)?;
        Ok(answer)
    }

    /// Where a sha256 was ever released, or that it never was.
    pub(crate) fn find_digest(
        &self,
        sha256: &Sha256,
        trusted: &[u8],
    ) -> Result<v1::FindDigestResponse, Refusal> {
        let head = self.head();
        Ok(v1::FindDigestResponse {
            checkpoint: head.note.clone(),
            consistency: hash_list(&self.link(trusted, &head)),
            digest: Some(self.current_proof(&head, &RowName::Digest(sha256))?),
        })
    }
}
