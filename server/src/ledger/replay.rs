//! Replaying: from what the view shows, or from nothing, to the state after the journal's
//! last record.
//!
//! Invariant: every leaf passes every rule again, every signature included, and the tree
//! ends each record with the root that the record states.
//!
//! Signatures take most of the time, so some records are read, decoded and verified ahead by
//! every core while those before are applied. Why that is sound: it is done under the policy
//! that was in force some entries earlier, and `State::apply` looks at names and counts again
//! under the one in force at its place. What fails ahead is tried again in its place, where
//! it counts.

use std::{sync::Arc, thread};

use bytes::Bytes;
use cairn_proto::{
    entry::{Content, Leaf, MapRecord, Submission},
    hash::{DocumentId, Index, LeafHash, RootHash, TreeSize},
    merkle::Tree,
    rules::{PolicyChain, RuleError, SignedSubmission, State, authenticate_genesis},
};

use super::{ChainEntry, LedgerError};
use crate::{
    journal::{Journal as _, Record},
    segment::StoreError,
    store::Store,
    view::{DocumentIndex, Loaded, Update, View, Watermark},
};

/// What a replay writes to the view at once.
const REPLAY_THINGS_MAX: usize = 16_384;
/// Leaves that are verified ahead, and bytes of them with their documents.
const AHEAD_LEAVES: usize = 2_048;
const AHEAD_BYTES: usize = 32 << 20;

/// The state after the records so far.
pub(super) struct Replay {
    pub(super) state: State,
    pub(super) tree: Tree,
    pub(super) position: u64,
    /// Runs ahead of the rest: of every record that was read.
    pub(super) documents: DocumentIndex,
}

/// A record that was read.
struct Read {
    position: u64,
    first: Index,
    size: TreeSize,
    root: RootHash,
    documents: Vec<DocumentId>,
    leaves: Vec<ReadLeaf>,
}

struct ReadLeaf {
    hash: LeafHash,
    bytes: Bytes,
    /// Empty for a map record.
    document: Bytes,
    ahead: Ahead,
}

/// What could be done with a leaf before its turn.
enum Ahead {
    /// Nothing, or it failed: all is done in its place.
    Nothing,
    MapRecord(MapRecord),
    Signed(Box<SignedSubmission>),
}

impl Replay {
    /// Loads the view and replays the rest of the journal; where the view does not add up,
    /// from the beginning.
    pub(super) fn run(store: &Store, view: View) -> Result<(Self, View), LedgerError> {
        let loaded = view.load();
        let (mut replay, view) = match loaded.and_then(|loaded| Self::resume(store, loaded)) {
            Some(replay) => (replay, view),
            None => (Self::from_nothing(), view.rebuild()?),
        };
        let end = store.journal().tail().position;
        if end > replay.position {
            tracing::info!(from = replay.position, to = end, "replaying the journal");
        }
        let (mut next, mut ready, mut update) = (replay.position, Vec::new(), Update::default());
        while replay.position < end {
            let mut group = replay.read(store, &mut next, end)?;
            let chain = replay.state.chain().cloned();
            let applied = thread::scope(|scope| {
                for part in parts(&mut group) {
                    let chain = chain.as_deref();
                    scope.spawn(move || part.into_iter().for_each(|leaf| leaf.look_ahead(chain)));
                }
                replay.apply_all(std::mem::take(&mut ready), &view, &mut update)
            });
            applied?;
            ready = group;
        }
        if update.len() > 0 {
            view.write(update)?;
        }
        view.flush()?;
        Ok((replay, view))
    }

    fn from_nothing() -> Self {
        Self {
            state: State::new(),
            tree: Tree::default(),
            position: 0,
            documents: DocumentIndex::default(),
        }
    }

    /// The state that the view shows, if its roots are the journal's.
    fn resume(store: &Store, loaded: Loaded) -> Option<Self> {
        let journal = store.journal();
        let Watermark {
            position,
            size,
            time,
        } = loaded.watermark;
        let record = journal.read(position.checked_sub(1)?).ok()?;
        (record.size == size && loaded.tree.root() == record.root).then_some(())?;
        let chain = Arc::new(chain_of(store, &loaded.documents, &loaded.chain)?);
        let mut state = loaded.state.finish(&loaded.tree, time, chain)?;
        let stated = MapRecord::decode(record.leaves.last()?).ok()?;
        let adds_up = MapRecord {
            covers: size.0.checked_sub(1)?,
            ..state.map_record(time)
        };
        (stated == adds_up).then_some(())?;
        Some(Self {
            state,
            tree: loaded.tree,
            position,
            documents: loaded.documents,
        })
    }

    /// Reads some records from a position on, and which documents their leaves name.
    fn read(&mut self, store: &Store, next: &mut u64, end: u64) -> Result<Vec<Read>, LedgerError> {
        let (mut group, mut leaves, mut bytes) = (Vec::new(), 0, 0);
        while *next < end && leaves < AHEAD_LEAVES && bytes < AHEAD_BYTES {
            let read = self.read_one(store, *next)?;
            *next += 1;
            leaves += read.leaves.len();
            let sizes = read.leaves.iter();
            let sizes = sizes.map(|leaf| leaf.bytes.len() + leaf.document.len());
            bytes += sizes.sum::<usize>();
            group.push(read);
        }
        Ok(group)
    }

    fn read_one(&mut self, store: &Store, position: u64) -> Result<Read, LedgerError> {
        let record = store.journal().read(position)?;
        let documents = record.documents.iter();
        let documents: Vec<_> = documents.map(|it| DocumentId::of(&it.bytes)).collect();
        self.documents.add(position, documents.iter().copied());
        let mut own = record.documents.iter().peekable();
        let mut leaves = Vec::with_capacity(record.leaves.len());
        for (bytes, offset) in record.leaves.iter().zip(0_u32..) {
            let mut document = Bytes::new();
            while let Some(one) = own.next_if(|one| one.leaf <= offset) {
                if one.leaf == offset {
                    document = one.bytes.clone();
                }
            }
            if document.is_empty() {
                document = self.earlier(store, &record, &documents, bytes)?;
            }
            leaves.push(ReadLeaf {
                hash: LeafHash::of(bytes),
                bytes: bytes.clone(),
                document,
                ahead: Ahead::Nothing,
            });
        }
        Ok(Read {
            position,
            first: record.first,
            size: record.size,
            root: record.root,
            documents,
            leaves,
        })
    }

    /// The document of a leaf that is not the first to name it: of this record or of one
    /// before. What is no entry has none.
    fn earlier(
        &self,
        store: &Store,
        record: &Record,
        documents: &[DocumentId],
        leaf: &[u8],
    ) -> Result<Bytes, LedgerError> {
        let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf) else {
            return Ok(Bytes::new());
        };
        let id = entry.statement().subject.blake3;
        let mut here = documents.iter().zip(&record.documents);
        if let Some((_, document)) = here.find(|(other, _)| **other == id) {
            return Ok(document.bytes.clone());
        }
        let missing = StoreError::Absent {
            number: record.first.0,
        };
        let place = self.documents.place(&id).ok_or(missing)?;
        let journal = store.journal();
        Ok(journal.document(place.position, place.ordinal, &id)?)
    }

    fn apply_all(
        &mut self,
        records: Vec<Read>,
        view: &View,
        update: &mut Update,
    ) -> Result<(), LedgerError> {
        for record in records {
            self.apply(record, update)?;
            if update.len() >= REPLAY_THINGS_MAX {
                view.write(std::mem::take(update))?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, record: Read, update: &mut Update) -> Result<(), LedgerError> {
        let hashes: Vec<LeafHash> = record.leaves.iter().map(|leaf| leaf.hash).collect();
        update.leaves(record.first, &hashes);
        for (leaf, index) in record.leaves.into_iter().zip(record.first.0..) {
            let index = Index(index);
            self.leaf(leaf, update).map_err(|error| LedgerError::Rule {
                index,
                error: Box::new(error),
            })?;
        }
        record.documents.iter().for_each(|id| update.document(id));
        for leaf in &hashes {
            self.tree.push(*leaf);
        }
        if self.state.root() != record.root || self.tree.size() != record.size {
            let position = record.position;
            return Err(LedgerError::Record { position });
        }
        self.position += 1;
        update.until(Watermark {
            position: self.position,
            size: record.size,
            time: self.state.time(),
        });
        Ok(())
    }

    fn leaf(&mut self, leaf: ReadLeaf, update: &mut Update) -> Result<(), RuleError> {
        let signed = match leaf.ahead {
            Ahead::MapRecord(stated) => return self.state.apply_map_record(&stated),
            Ahead::Signed(signed) => *signed,
            Ahead::Nothing => match Leaf::decode(&leaf.bytes)? {
                Leaf::MapRecord(stated) => return self.state.apply_map_record(&stated),
                Leaf::Entry(entry) => {
                    let submission = entry.with_document(&leaf.document)?;
                    self.state.authenticate(submission)?
                }
            },
        };
        let effect = self.state.apply(&signed)?;
        update.effect(&self.state, &effect);
        Ok(())
    }
}

impl ReadLeaf {
    fn look_ahead(&mut self, chain: Option<&PolicyChain>) {
        self.ahead = match (Leaf::decode(&self.bytes), chain) {
            (Ok(Leaf::MapRecord(record)), _) => Ahead::MapRecord(record),
            (Ok(Leaf::Entry(entry)), Some(chain)) => {
                let submission = entry.with_document(&self.document);
                let signed = submission.map(|it| chain.authority().authenticate(it));
                match signed {
                    Ok(Ok(signed)) => Ahead::Signed(Box::new(signed)),
                    _ => Ahead::Nothing,
                }
            }
            _ => Ahead::Nothing,
        };
    }
}

/// The leaves of some records in as many parts as there are cores.
fn parts(group: &mut [Read]) -> Vec<Vec<&mut ReadLeaf>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut leaves: Vec<_> = group.iter_mut().flat_map(|it| &mut it.leaves).collect();
    let each = leaves.len().div_ceil(cores).max(1);
    let mut parts = Vec::new();
    while !leaves.is_empty() {
        let rest = leaves.split_off(each.min(leaves.len()));
        parts.push(std::mem::replace(&mut leaves, rest));
    }
    parts
}

/// Entry and document of the policy or order at an index.
pub(super) fn chain_entry(
    store: &Store,
    documents: &DocumentIndex,
    index: Index,
) -> Option<ChainEntry> {
    let journal = store.journal();
    let entry = journal.leaf(index).ok()?;
    let Ok(Leaf::Entry(decoded)) = Leaf::decode(&entry) else {
        return None;
    };
    let id = decoded.statement().subject.blake3;
    let place = documents.place(&id)?;
    let document = journal.document(place.position, place.ordinal, &id).ok()?;
    Some(ChainEntry {
        index,
        entry,
        document,
    })
}

fn chain_of(store: &Store, documents: &DocumentIndex, indices: &[Index]) -> Option<PolicyChain> {
    let mut chain: Option<PolicyChain> = None;
    for index in indices {
        let bytes = chain_entry(store, documents, *index)?;
        let submission = Submission::decode(&bytes.entry, &bytes.document).ok()?;
        match &mut chain {
            None => chain = Some(PolicyChain::begin(&authenticate_genesis(submission).ok()?).ok()?),
            Some(chain) => {
                if let Content::Order(..) = submission.content() {
                    chain.adopt_order(*index, submission).ok()?;
                    continue;
                }
                let signed = chain.authority().authenticate(submission).ok()?;
                chain.extend(*index, &signed).ok()?;
            }
        }
    }
    chain
}
