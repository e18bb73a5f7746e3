//! The sequencer's core: a pure step from a state and a batch to the next state and the
//! record to commit. SPEC.md section 7; the task around it (`commit`) does the I/O.
//!
//! Invariant: what is refused leaves no trace in the record or the state, and every record
//! ends with the map record that covers the rest.

use std::collections::HashSet;

use bytes::Bytes;
use cairn_proto::{
    entry::{Content, MapRecord},
    hash::{DocumentId, Index, LeafHash, TreeSize},
    merkle::Tree,
    rules::{Effect, RuleError, SignedSubmission, State},
};

use crate::journal::{Record, RecordDocument, RecordHash};

/// An entry that passed admission, with the bytes to keep.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) signed: SignedSubmission,
    pub(crate) entry: Bytes,
    pub(crate) document: Bytes,
}

/// What became of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It got this index.
    Recorded(Index),
    /// The very same leaf stood there already.
    Repeated(Index),
    /// A rule refuses it.
    Refused(Box<RuleError>),
}

/// A batch ready to be committed.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) record: Record,
    pub(crate) leaves: Vec<LeafHash>,
    /// Ids of the record's documents, in its order.
    pub(crate) documents: Vec<DocumentId>,
    pub(crate) effects: Vec<(Index, Effect)>,
    pub(crate) map_record: MapRecord,
}

/// The state after every sequenced leaf, committed or about to be.
#[derive(Debug)]
pub(crate) struct Sequencer {
    pub(crate) state: State,
    pub(crate) last: RecordHash,
}

impl Sequencer {
    /// Sequences a batch. `known` says whether the ledger has a document already; `tree` holds
    /// the leaves of earlier batches; `now` is Unix milliseconds.
    pub(crate) fn step(
        &mut self,
        candidates: &[Candidate],
        known: &dyn Fn(&DocumentId) -> bool,
        tree: &Tree,
        now: u64,
    ) -> (Vec<Outcome>, Option<Batch>) {
        let first = Index(self.state.size().0);
        let mut building = Building::default();
        let mut outcomes = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            outcomes.push(self.place(candidate, known, tree, &mut building));
        }
        if building.leaves.is_empty() {
            return (outcomes, None);
        }
        let map_record = self.state.map_record(now);
        // The state's own statement about itself always applies.
        let applied = self.state.apply_map_record(&map_record);
        debug_assert!(applied.is_ok());
        building.push(Bytes::from(map_record.encode()));
        let record = Record {
            previous: self.last,
            first,
            leaves: building.entries,
            documents: building.documents,
            size: TreeSize(self.state.size().0),
            root: self.state.root(),
        };
        let batch = Batch {
            record,
            leaves: building.leaves,
            documents: building.ids,
            effects: building.effects,
            map_record,
        };
        (outcomes, Some(batch))
    }

    fn place(
        &mut self,
        candidate: &Candidate,
        known: &dyn Fn(&DocumentId) -> bool,
        tree: &Tree,
        building: &mut Building,
    ) -> Outcome {
        let index = Index(self.state.size().0);
        match self.state.apply(&candidate.signed) {
            Ok(effect) => {
                building.effects.push((index, effect));
                let id = candidate.signed.submission().subject().blake3;
                if building.named.insert(id) && !known(&id) {
                    building.ids.push(id);
                    building.documents.push(RecordDocument {
                        leaf: u32::try_from(building.entries.len()).unwrap_or(u32::MAX),
                        bytes: candidate.document.clone(),
                    });
                }
                building.push(candidate.entry.clone());
                Outcome::Recorded(index)
            }
            Err(error) => match self.stands(candidate, tree, building, index) {
                Some(index) => Outcome::Repeated(index),
                None => Outcome::Refused(Box::new(error)),
            },
        }
    }

    /// Where this very leaf stands already: a retry. (environment, sequence), and the policy's
    /// version, lead to it without an index of payloads.
    fn stands(
        &self,
        candidate: &Candidate,
        tree: &Tree,
        building: &Building,
        next: Index,
    ) -> Option<Index> {
        let submission = candidate.signed.submission();
        let index = match submission.content() {
            Content::Genesis(..) => Index(0),
            Content::Policy(change, _) => {
                let chain = self.state.chain()?;
                let mut steps = chain.steps();
                steps
                    .find(|step| step.policy.version == change.version)?
                    .index
            }
            Content::Release(release, _) => {
                let state = self.state.environment(&release.environment)?;
                state.release(release.sequence)?.index
            }
            Content::Approval(approval, _) => {
                let state = self.state.environment(&approval.environment)?;
                let position = usize::try_from(approval.number.checked_sub(1)?).ok()?;
                *state.approvals.get(position)?
            }
            Content::Enrolment(_, record) => self.state.host(&record.id())?.index,
            Content::Order(order, _) => {
                let position = usize::try_from(order.number.checked_sub(1)?).ok()?;
                self.state.chain()?.orders().get(position)?.index
            }
        };
        let before = next.0.saturating_sub(building.leaves.len() as u64);
        let leaf = match index.0.checked_sub(before) {
            Some(offset) => building.leaves.get(usize::try_from(offset).ok()?).copied(),
            None => tree.leaf(index),
        };
        (leaf? == *submission.leaf()).then_some(index)
    }
}

#[derive(Debug, Default)]
struct Building {
    entries: Vec<Bytes>,
    leaves: Vec<LeafHash>,
    documents: Vec<RecordDocument>,
    /// Of each of them.
    ids: Vec<DocumentId>,
    named: HashSet<DocumentId>,
    effects: Vec<(Index, Effect)>,
}

impl Building {
    fn push(&mut self, entry: Bytes) {
        let leaf = LeafHash::of(&entry);
        self.leaves.push(leaf);
        self.entries.push(entry);
    }
}
