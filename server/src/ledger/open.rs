//! From a store to a running ledger: load what the view has, replay what it lacks, rebuild
//! it where it does not add up; or begin a ledger with its genesis entry.
//!
//! Invariant: nothing is published before the tree's root equals the journal's, and the
//! map's the last map record's. A replay checks every rule and every signature again: this
//! server's own history is not trusted either.

use std::{
    path::Path,
    sync::{Arc, RwLock, atomic::AtomicBool},
};

use bytes::Bytes;
use cairn_proto::{
    checkpoint::Checkpoint,
    entry::{Content, Submission},
    hash::{Index, LeafHash},
    key::SignError,
    merkle::Tree,
    order::OrderDocument,
    reason::Reason,
    rules::{RuleError, State, authenticate_genesis},
};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::{
    ChainEntry, Ledger, QUEUE_MAX, Shared,
    commit::{Clock, Committer},
    cosigning::Cosigning,
    documents::Documents,
    erasure::{self, Eraser},
    head::{Head, ServerKeys},
    listing::Listings,
    read::EntryCache,
    releases::Releases,
    replay::{Replay, chain_entry},
    sequence::{Batch, Candidate, Outcome, Sequencer},
};
use crate::{
    clock::{now, now_ms},
    journal::Journal as _,
    segment::StoreError,
    store::Store,
    view::{DocumentIndex, View, ViewError},
};

/// Bytes to reserve for such a record: an entry, the largest policy or order, a map record.
const GENESIS_BYTES: u64 = 1 << 20;

/// The first entry of a ledger that does not exist yet, or an order by which other keys take over
/// between two runs: what no client appends.
#[derive(Debug, Clone)]
pub struct Genesis {
    /// The signed envelope.
    pub entry: Bytes,
    /// Its document.
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
    #[error(
        "the {which} key is not the one that signs this ledger: the genesis entry, or the newest \
         order of succession, names another"
    )]
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
        begin(&store, genesis, now_ms)?;
        Self::start(store, View::open(view)?, keys, now_ms)
    }

    /// Starts the ledger that the store holds under keys that take over by `order`.
    pub fn open_under_new_keys(
        store: Store,
        view: &Path,
        keys: ServerKeys,
        order: &Genesis,
    ) -> Result<Self, LedgerError> {
        take_over(&store, View::open(view)?, &keys, order, now_ms)?;
        Self::start(store, View::open(view)?, keys, now_ms)
    }

    pub(super) fn start(
        store: Store,
        view: View,
        keys: ServerKeys,
        clock: Clock,
    ) -> Result<Self, LedgerError> {
        let (committer, view) = Committer::prepare(store, view, keys, clock)?;
        let shared = committer.shared.clone();
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        let thread = |error| StoreError::read(Path::new("thread"), 0)(error);
        let eraser = Eraser::start(&shared).map_err(thread)?;
        std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || committer.run(receiver, view, eraser))
            .map_err(thread)?;
        Ok(Self { shared, queue })
    }

    /// Signs the current head again, with a newer time: freshness while nothing happens.
    pub fn renew(&self, keys: &ServerKeys) -> Result<(), SignError> {
        if self.shared.is_halted() {
            return Ok(());
        }
        let head = self.head();
        let renewed = head.renewed(keys, now())?;
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

impl Committer {
    /// All that the sequencer's thread needs, and what the others share with it.
    pub(super) fn prepare(
        store: Store,
        view: View,
        keys: ServerKeys,
        clock: Clock,
    ) -> Result<(Self, Arc<View>), LedgerError> {
        let (replay, view) = Replay::run(&store, view)?;
        let (shared, state, position) = replay.share(store, &keys, clock)?;
        let committer = Self {
            sequencer: Sequencer {
                state,
                last: shared.store.journal().tail().hash,
            },
            position,
            shared: Arc::new(shared),
            keys,
            clock,
            erasures: Vec::new(),
        };
        Ok((committer, Arc::new(view)))
    }
}

/// Commits an order by which these keys take over, as the next entry of a ledger that does not run,
/// through the sequencer's own step. One that stands already is passed over: the start after it
/// may have failed.
pub(super) fn take_over(
    store: &Store,
    view: View,
    keys: &ServerKeys,
    order: &Genesis,
    clock: Clock,
) -> Result<(), LedgerError> {
    let (replay, _) = Replay::run(store, view)?;
    let chain = replay.state.chain().ok_or(LedgerError::NoGenesis)?.clone();
    let leaf = LeafHash::of(&order.entry);
    if chain.orders().iter().any(|step| step.leaf == leaf) {
        return Ok(());
    }
    let index = Index(replay.state.size().0);
    let rule = |error: RuleError| LedgerError::Rule {
        index,
        error: Box::new(error),
    };
    let submission = Submission::decode(&order.entry, &order.document);
    let submission = submission.map_err(|error| rule(error.into()))?;
    let Content::Order(_, OrderDocument::KeySuccession(succession)) = submission.content() else {
        return Err(rule(RuleError::SuccessionKeys));
    };
    for (named, signer, which) in [
        (&succession.log_key, &keys.log, "log"),
        (&succession.clock_key, &keys.clock, "clock"),
    ] {
        if *named.key() != signer.public_key() {
            return Err(LedgerError::WrongKey { which });
        }
    }
    let signed = chain.authority().authenticate(submission).map_err(rule)?;
    let mut sequencer = Sequencer {
        state: replay.state,
        last: store.journal().tail().hash,
    };
    let known = |id: &_| replay.documents.place(id).is_some();
    let (mut outcomes, batch) = sequencer.step(
        &[Candidate {
            signed,
            entry: order.entry.clone(),
            document: order.document.clone(),
        }],
        &known,
        &replay.tree,
        clock(),
    );
    if let Some(Outcome::Refused(error)) = outcomes.pop() {
        return Err(rule(*error));
    }
    commit(store, batch)
}

fn commit(store: &Store, batch: Option<Batch>) -> Result<(), LedgerError> {
    let batch = batch.ok_or(LedgerError::NoGenesis)?;
    store.journal().reserve(GENESIS_BYTES)?;
    let _ = store.commit(&batch.record)?;
    store.advance_anchor()?;
    Ok(())
}

/// Commits the genesis entry to an empty journal, through the sequencer's own step.
pub(super) fn begin(
    store: &Store,
    genesis: Option<&Genesis>,
    clock: Clock,
) -> Result<(), LedgerError> {
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
                last: tail.hash,
            };
            let tree = Tree::default();
            let (_, batch) = sequencer.step(&[candidate], &|_| false, &tree, clock());
            commit(store, batch)
        }
        (_, None) => Ok(()),
        (_, Some(genesis)) => {
            let found = LeafHash::of(&store.journal().leaf(Index(0))?);
            let same = found == LeafHash::of(&genesis.entry);
            same.then_some(()).ok_or(LedgerError::OtherLedger { found })
        }
    }
}

impl Replay {
    /// Splits into what readers share and what the sequencer goes on with.
    fn share(
        self,
        store: Store,
        keys: &ServerKeys,
        clock: Clock,
    ) -> Result<(Shared, State, u64), LedgerError> {
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
        let note = checkpoint.sign(&*keys.log, &*keys.clock, clock() / 1_000)?;
        let mut map = self.state.map().clone();
        let head = Head {
            checkpoint,
            note: note.into(),
            map_root: map.root(),
            map,
            map_record: record.leaves.last().cloned().unwrap_or_default(),
            chain: chain.clone(),
            standing: Arc::default(),
        };
        let policies = chain.steps().map(|step| step.index);
        let policies = entries_of(&store, &self.documents, policies)?;
        let orders = chain.orders().iter().map(|step| step.index);
        let orders = entries_of(&store, &self.documents, orders)?;
        erasure::finish(&store, &chain)?;
        let shared = Shared {
            store: Arc::new(store),
            trust,
            tree: RwLock::new(self.tree),
            head: watch::Sender::new(Arc::new(head)),
            releases: Releases::of(&self.state),
            policies: RwLock::new(policies),
            orders: RwLock::new(orders),
            documents: Documents::new(self.documents),
            cache: EntryCache::new(),
            listings: Listings::new(),
            cosigning: Cosigning::default(),
            erased_below: watch::Sender::new(record.size.0),
            failed: watch::Sender::new(None),
            halted: AtomicBool::new(false),
        };
        Ok((shared, self.state, self.position))
    }
}

fn entries_of(
    store: &Store,
    documents: &DocumentIndex,
    mut indices: impl Iterator<Item = Index>,
) -> Result<Vec<ChainEntry>, LedgerError> {
    indices.try_fold(Vec::new(), |mut entries, index| {
        let missing = StoreError::Absent { number: index.0 };
        let entry = chain_entry(store, documents, index);
        entries.push(entry.ok_or(LedgerError::Store(missing))?);
        Ok(entries)
    })
}
