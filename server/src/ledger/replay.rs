//! Replaying: from what the view shows, or from nothing, to the state after the journal's
//! last record.
//!
//! Invariant: every leaf passes every rule again, every signature included, and the tree
//! ends each record with the root that the record states.

use std::sync::Arc;

use bytes::Bytes;
use cairn_proto::{
    entry::{EntryError, Leaf, MapRecord, Submission},
    hash::{DocumentId, Index, LeafHash},
    merkle::{Frontier, Tree},
    row::history_leaf,
    rules::{PolicyChain, RuleError, State, StateParts, authenticate_genesis},
};

use super::{LedgerError, PolicyBytes, commit::place_documents};
use crate::{
    journal::{Journal as _, Record},
    segment::StoreError,
    store::Store,
    view::{Loaded, Update, View, Watermark},
};

/// Rows that a replay writes to the view at once.
const REPLAY_ROWS_MAX: usize = 16_384;

/// The state after the records so far.
pub(super) struct Replay {
    pub(super) state: State,
    pub(super) tree: Tree,
    pub(super) frontier: Frontier,
    pub(super) position: u64,
}

impl Replay {
    /// Loads the view and replays the rest of the journal; where the view does not add up,
    /// from the beginning.
    pub(super) fn run(store: &Store, view: View) -> Result<(Self, View), LedgerError> {
        let loaded = view.load();
        let (mut replay, view) = match loaded.and_then(|loaded| Self::resume(store, &view, loaded))
        {
            Some(replay) => (replay, view),
            None => (Self::from_nothing(), view.rebuild()?),
        };
        let end = store.journal().tail().position;
        if end > replay.position {
            tracing::info!(from = replay.position, to = end, "replaying the journal");
        }
        let mut update = Update::default();
        while replay.position < end {
            replay.record(store, &view, &mut update)?;
            if update.len() >= REPLAY_ROWS_MAX || replay.position == end {
                view.write(std::mem::take(&mut update))?;
            }
        }
        view.flush()?;
        Ok((replay, view))
    }

    fn from_nothing() -> Self {
        Self {
            state: State::new(),
            tree: Tree::default(),
            frontier: Frontier::default(),
            position: 0,
        }
    }

    /// The state that the view shows, if its roots are the journal's.
    fn resume(store: &Store, view: &View, loaded: Loaded) -> Option<Self> {
        let journal = store.journal();
        let Watermark {
            position,
            size,
            time,
        } = loaded.watermark;
        let record = journal.read(position.checked_sub(1)?).ok()?;
        (record.size == size && loaded.tree.root() == record.root).then_some(())?;
        let chain = chain_of(store, view, &loaded.policies)?;
        let mut state = State::restore(StateParts {
            size,
            time,
            chain: Arc::new(chain),
            environments: loaded.environments,
            digests: loaded.digests,
        });
        let stated = MapRecord::decode(record.leaves.last()?).ok()?;
        let adds_up = MapRecord {
            covers: size.0.checked_sub(1)?,
            ..state.map_record(time)
        };
        (stated == adds_up).then_some(())?;
        histories_hold(&state, &loaded.tree)?;
        let frontier = Frontier::of(&loaded.tree, loaded.tree.size())?;
        Some(Self {
            state,
            tree: loaded.tree,
            frontier,
            position,
        })
    }

    fn record(
        &mut self,
        store: &Store,
        view: &View,
        update: &mut Update,
    ) -> Result<(), LedgerError> {
        let position = self.position;
        let record = store.journal().read(position)?;
        for (id, place) in place_documents(position, &record) {
            update.document(&id, place);
        }
        let mut leaves = Vec::with_capacity(record.leaves.len());
        for (offset, bytes) in record.leaves.iter().enumerate() {
            let index = Index(record.first.0 + offset as u64);
            self.leaf(store, view, &record, offset, bytes, update)
                .map_err(|error| match error {
                    Failure::Rule(error) => LedgerError::Rule { index, error },
                    Failure::Store(error) => LedgerError::Store(error),
                })?;
            leaves.push(LeafHash::of(bytes));
        }
        for leaf in &leaves {
            self.tree.push(*leaf);
            self.frontier.push(*leaf);
        }
        if self.frontier.root() != record.root || self.tree.size() != record.size {
            return Err(LedgerError::Record { position });
        }
        self.position += 1;
        update.leaves(record.first, &leaves);
        update.until(Watermark {
            position: self.position,
            size: record.size,
            time: self.state.time(),
        });
        Ok(())
    }

    fn leaf(
        &mut self,
        store: &Store,
        view: &View,
        record: &Record,
        offset: usize,
        bytes: &Bytes,
        update: &mut Update,
    ) -> Result<(), Failure> {
        match Leaf::decode(bytes)? {
            Leaf::MapRecord(stated) => Ok(self.state.apply_map_record(&stated)?),
            Leaf::Entry(entry) => {
                let id = entry.statement().subject.blake3;
                let own = record.documents.iter();
                let own = own.rev().find(|document| document.leaf as usize == offset);
                let document = match own {
                    Some(document) => document.bytes.clone(),
                    None => earlier(store, view, record, update, &id)?,
                };
                let submission = entry.with_document(&document)?;
                let signed = self.state.authenticate(submission)?;
                let effect = self.state.apply(&signed)?;
                update.effect(&self.state, &effect);
                Ok(())
            }
        }
    }
}

enum Failure {
    Rule(Box<RuleError>),
    Store(StoreError),
}

impl From<RuleError> for Failure {
    fn from(error: RuleError) -> Self {
        Self::Rule(Box::new(error))
    }
}

impl From<EntryError> for Failure {
    fn from(error: EntryError) -> Self {
        RuleError::from(error).into()
    }
}

/// A document that an earlier entry was the first to name: in this record, among the rows
/// not yet written, or in the view.
fn earlier(
    store: &Store,
    view: &View,
    record: &Record,
    update: &Update,
    id: &DocumentId,
) -> Result<Bytes, Failure> {
    let here = record.documents.iter();
    let here = here
        .map(|document| &document.bytes)
        .find(|bytes| DocumentId::of(bytes) == *id);
    if let Some(bytes) = here {
        return Ok(bytes.clone());
    }
    let place = update.placed(id).or_else(|| view.document(id));
    let missing = || {
        Failure::Store(StoreError::Absent {
            number: record.first.0,
        })
    };
    let place = place.ok_or_else(missing)?;
    let document = store.journal().document(place.position, place.ordinal, id);
    document.map_err(Failure::Store)
}

/// Entry and document of the policy at an index.
pub(super) fn policy_at(store: &Store, view: &View, index: Index) -> Option<PolicyBytes> {
    let journal = store.journal();
    let entry = journal.leaf(index).ok()?;
    let Ok(Leaf::Entry(decoded)) = Leaf::decode(&entry) else {
        return None;
    };
    let id = decoded.statement().subject.blake3;
    let place = view.document(&id)?;
    let document = journal.document(place.position, place.ordinal, &id).ok()?;
    Some(PolicyBytes {
        index,
        entry,
        document,
    })
}

/// Whether every step of every environment stands where the view says. The map's root covers
/// the root of each history; this covers what it was made from.
fn histories_hold(state: &State, tree: &Tree) -> Option<()> {
    for (_, environment) in state.environments() {
        let mut history = Frontier::default();
        for mark in &environment.releases {
            history.push(history_leaf(mark.index, &tree.leaf(mark.index)?));
        }
        (history == environment.history).then_some(())?;
    }
    Some(())
}

fn chain_of(store: &Store, view: &View, indices: &[Index]) -> Option<PolicyChain> {
    let mut chain: Option<PolicyChain> = None;
    for index in indices {
        let policy = policy_at(store, view, *index)?;
        let submission = Submission::decode(&policy.entry, &policy.document).ok()?;
        match &mut chain {
            None => chain = Some(PolicyChain::begin(&authenticate_genesis(submission).ok()?).ok()?),
            Some(chain) => {
                let signed = chain.authority().authenticate(submission).ok()?;
                chain.extend(*index, &signed).ok()?;
            }
        }
    }
    chain
}
