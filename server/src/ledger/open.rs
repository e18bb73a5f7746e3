//! From a store to a running ledger: load what the view has, replay what it lacks, rebuild
//! it where it does not add up; or begin a ledger with its genesis entry.
//!
//! Invariant: nothing is published before the tree's root equals the journal's, and the
//! map's the last map record's. A replay checks every rule and every signature again: this
//! server's own history is not trusted either.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, RwLock, atomic::AtomicBool},
};

use bytes::Bytes;
use cairn_proto::{
    checkpoint::Checkpoint,
    entry::{EntryError, Leaf, MapRecord, Submission},
    hash::{DocumentId, Index, LeafHash},
    key::SignError,
    merkle::{Frontier, Tree},
    name::Environment,
    reason::Reason,
    rules::{PolicyChain, RuleError, SignedSubmission, State, StateParts, authenticate_genesis},
};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::{
    Ledger, PolicyBytes, QUEUE_MAX, Shared,
    commit::{Committer, now_ms, place_documents},
    documents::Documents,
    head::{Head, ServerKeys},
    read::EntryCache,
    sequence::{Candidate, Sequencer},
};
use crate::{
    journal::{Journal as _, Record},
    segment::StoreError,
    store::Store,
    view::{Loaded, Update, View, ViewError, Watermark},
};

/// Rows that a replay writes to the view at once.
const REPLAY_ROWS_MAX: usize = 16_384;

/// Bytes to reserve for the first record: a genesis entry, the largest policy, a map record.
const GENESIS_BYTES: u64 = 1 << 20;

/// The first entry of a ledger that does not exist yet.
#[derive(Debug, Clone)]
pub struct Genesis {
    /// The signed envelope.
    pub entry: Bytes,
    /// The first policy.
    pub document: Bytes,
}

/// Why a ledger does not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The view cannot be used, not even an empty one.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The journal is empty and no genesis entry was given.
    #[error("the store holds no ledger")]
    NoGenesis,
    /// The store holds another ledger than the genesis entry that was given.
    #[error("the store holds another ledger: it begins with {found}")]
    OtherLedger {
        /// Leaf hash of its first entry.
        found: LeafHash,
    },
    /// A recorded leaf breaks a rule: these are not the bytes that this program wrote.
    #[error("the recorded entry {index} breaks a rule: {error}")]
    Rule {
        /// Where it stands.
        index: Index,
        /// The rule.
        error: Box<RuleError>,
    },
    /// A record does not state what its leaves add up to.
    #[error("record {position} does not state what its leaves add up to")]
    Record {
        /// Where it stands in the journal.
        position: u64,
    },
    /// The keys are not this ledger's.
    #[error("the {which} key is not the one that the ledger's genesis entry names")]
    WrongKey {
        /// Which of the two.
        which: &'static str,
    },
    /// A key refused to sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl LedgerError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Store(error) => error.reason(),
            Self::View(_) | Self::Sign(_) => Reason::Internal,
            Self::NoGenesis => Reason::GenesisMissing,
            Self::OtherLedger { .. } => Reason::WrongGenesis,
            Self::Rule { error, .. } => error.reason(),
            Self::Record { .. } => Reason::StoreDamaged,
            Self::WrongKey { .. } => Reason::GenesisKeys,
        }
    }
}

impl Ledger {
    /// Starts the ledger that the store holds, or begins it with `genesis`. `view` is the
    /// directory of what can be rebuilt.
    pub fn open(
        store: Store,
        view: &Path,
        keys: ServerKeys,
        genesis: Option<&Genesis>,
    ) -> Result<Self, LedgerError> {
        begin(&store, genesis)?;
        let (replay, view) = Replay::run(&store, View::open(view)?)?;
        let view = Arc::new(view);
        let shared = Arc::new(replay.share(store, &view, &keys)?);
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        let (failed_sender, failed) = watch::channel(None);
        let committer = Committer {
            sequencer: Sequencer {
                state: replay.state,
                frontier: replay.frontier,
                last: shared.store.journal().tail().hash,
            },
            position: replay.position,
            shared: shared.clone(),
            keys,
        };
        std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || committer.run(receiver, view, &failed_sender))
            .map_err(|error| StoreError::read(Path::new("thread"), 0)(error))?;
        Ok(Self {
            shared,
            queue,
            failed,
        })
    }

    /// Signs the current head again, with a newer time: freshness while nothing happens.
    pub fn renew(&self, keys: &ServerKeys) -> Result<(), SignError> {
        if self.shared.is_halted() {
            return Ok(());
        }
        let head = self.head();
        let renewed = head.renewed(keys, now_ms() / 1_000)?;
        self.shared.head.send_if_modified(|current| {
            let same = current.size() == renewed.size();
            if same {
                *current = Arc::new(renewed);
            }
            same
        });
        Ok(())
    }
}

/// Commits the genesis entry to an empty journal, through the sequencer's own step.
fn begin(store: &Store, genesis: Option<&Genesis>) -> Result<(), LedgerError> {
    let tail = store.journal().tail();
    let rule = |error: RuleError| LedgerError::Rule {
        index: Index(0),
        error: Box::new(error),
    };
    match (tail.position, genesis) {
        (0, None) => Err(LedgerError::NoGenesis),
        (0, Some(genesis)) => {
            let submission = Submission::decode(&genesis.entry, &genesis.document);
            let submission = submission.map_err(|error| rule(error.into()))?;
            let signed = authenticate_genesis(submission).map_err(rule)?;
            let candidate = Candidate {
                signed,
                entry: genesis.entry.clone(),
                document: genesis.document.clone(),
            };
            let mut sequencer = Sequencer {
                state: State::new(),
                frontier: Frontier::default(),
                last: tail.hash,
            };
            let tree = Tree::default();
            let (_, batch) = sequencer.step(&[candidate], &|_| false, &tree, now_ms());
            let batch = batch.ok_or(LedgerError::NoGenesis)?;
            store.journal().reserve(GENESIS_BYTES)?;
            let _ = store.commit(&batch.record)?;
            store.advance_anchor()?;
            Ok(())
        }
        (_, None) => Ok(()),
        (_, Some(genesis)) => {
            let found = LeafHash::of(&store.journal().leaf(Index(0))?);
            let same = found == LeafHash::of(&genesis.entry);
            same.then_some(()).ok_or(LedgerError::OtherLedger { found })
        }
    }
}

/// The state after the records so far.
struct Replay {
    state: State,
    tree: Tree,
    frontier: Frontier,
    position: u64,
}

impl Replay {
    /// Loads the view and replays the rest of the journal; where the view does not add up,
    /// from the beginning.
    fn run(store: &Store, view: View) -> Result<(Self, View), LedgerError> {
        let loaded = view.load();
        let (mut replay, view) = match loaded.and_then(|loaded| Self::resume(store, &view, loaded)) {
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
        let Watermark { position, size, time } = loaded.watermark;
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
                let signed = self.authenticate(submission)?;
                let effect = self.state.apply(&signed)?;
                update.effect(&self.state, &effect);
                Ok(())
            }
        }
    }

    fn authenticate(&self, submission: Submission) -> Result<SignedSubmission, RuleError> {
        match self.state.chain() {
            None => authenticate_genesis(submission),
            Some(chain) => chain.authority().authenticate(submission),
        }
    }

    fn share(
        &self,
        store: Store,
        view: &Arc<View>,
        keys: &ServerKeys,
    ) -> Result<Shared, LedgerError> {
        let chain = self.state.chain().ok_or(LedgerError::NoGenesis)?.clone();
        let trust = chain.identity().ok_or(LedgerError::NoGenesis)?;
        for (pinned, signer, which) in [
            (trust.log_key(), &keys.log, "log"),
            (trust.clock_key(), &keys.clock, "clock"),
        ] {
            if *pinned.key() != signer.public_key() {
                return Err(LedgerError::WrongKey { which });
            }
        }
        let record = store.journal().read(self.position - 1)?;
        let checkpoint = Checkpoint {
            origin: trust.origin().clone(),
            size: record.size,
            root: record.root,
        };
        let note = checkpoint.sign(&*keys.log, &*keys.clock, now_ms() / 1_000)?;
        let head = Head {
            checkpoint,
            note: note.into(),
            map: self.state.map().clone(),
            map_record: record.leaves.last().cloned().unwrap_or_default(),
            chain: chain.clone(),
        };
        let policies = policies_of(&store, view, &chain)?;
        Ok(Shared {
            store: Arc::new(store),
            trust,
            tree: RwLock::new(self.tree.clone()),
            head: watch::Sender::new(Arc::new(head)),
            releases: RwLock::new(releases_of(&self.state)),
            policies: RwLock::new(policies),
            documents: Documents::new(view.clone()),
            cache: EntryCache::new(),
            halted: AtomicBool::new(false),
        })
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
    let here = here.map(|document| &document.bytes).find(|bytes| DocumentId::of(bytes) == *id);
    if let Some(bytes) = here {
        return Ok(bytes.clone());
    }
    let place = update.placed(id).or_else(|| view.document(id));
    let missing = || Failure::Store(StoreError::Absent { number: record.first.0 });
    let place = place.ok_or_else(missing)?;
    let document = store.journal().document(place.position, place.ordinal, id);
    document.map_err(Failure::Store)
}

fn releases_of(state: &State) -> HashMap<Environment, Vec<Index>> {
    state
        .environments()
        .map(|(name, environment)| {
            let indices = environment.releases.iter().map(|mark| mark.index).collect();
            (name.clone(), indices)
        })
        .collect()
}

/// Entry and document of the policy at an index.
fn policy_at(store: &Store, view: &View, index: Index) -> Option<PolicyBytes> {
    let journal = store.journal();
    let entry = journal.leaf(index).ok()?;
    let Ok(Leaf::Entry(decoded)) = Leaf::decode(&entry) else { return None };
    let id = decoded.statement().subject.blake3;
    let place = view.document(&id)?;
    let document = journal.document(place.position, place.ordinal, &id).ok()?;
    Some(PolicyBytes {
        index,
        entry,
        document,
    })
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

fn policies_of(
    store: &Store,
    view: &View,
    chain: &PolicyChain,
) -> Result<Vec<PolicyBytes>, LedgerError> {
    chain
        .steps()
        .map(|step| {
            let missing = StoreError::Absent { number: step.index.0 };
            policy_at(store, view, step.index).ok_or(LedgerError::Store(missing))
        })
        .collect()
}
