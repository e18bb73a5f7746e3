//! A running ledger: admission, the sequencer, the published head and the proofs made of it.
//!
//! ```text
//! append --admit--> queue --sequence--> commit --anchor--> sign --> publish --> receipt
//!  many tasks                one thread: `commit`                    views, after the answer
//! ```
//!
//! Invariant: a head is published only after its record is durable, read back and hashed
//! again, and anchored; answers are made from one published head.
//! Out of scope: transport (`service`, `http`), who may call (`access`).

mod admit;
mod commit;
mod cosigning;
mod documents;
mod erasure;
mod head;
mod listing;
mod nameable;
mod open;
mod orders;
mod prove;
mod read;
mod releases;
mod replay;
mod sequence;
mod standing;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use cairn_proto::{
    hash::{DocumentId, Index},
    json::JsonError,
    merkle::Tree,
    reason::Reason,
    rules::RuleError,
    trust::Trust,
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

pub use crate::view::ViewError;
pub(crate) use admit::{Received, stored};
pub use commit::Failure;
pub(crate) use cosigning::Wanted;
pub(crate) use head::Head;
pub use head::ServerKeys;
pub(crate) use listing::Named;
pub use open::{Genesis, LedgerError};

use crate::{content::ContentError, segment::StoreError, store::Store};
use documents::Documents;
use sequence::{Candidate, Outcome};

/// Entries waiting to be sequenced: a few batches' worth. More callers are told to wait.
const QUEUE_MAX: usize = 4_096;

/// Why the ledger refuses or cannot answer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A rule, or the entry's form.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// Clients do not write map records.
    #[error("map records are written by the server alone")]
    MapRecord,
    /// The document was not sent, and is not here.
    #[error("document {id} was not sent and is not in the ledger")]
    DocumentMissing {
        /// The document that the entry names.
        id: DocumentId,
    },
    /// Content is missing, or the tree listing that names it is.
    #[error("{missing} of the contents of {of} were not sent")]
    ContentMissing {
        /// How many.
        missing: usize,
        /// The artifacts that name them.
        of: String,
    },
    /// A tree artifact's listing is not one.
    #[error("the listing of tree `{artifact}`: {error}")]
    Listing {
        /// The artifact.
        artifact: String,
        /// What is wrong with it.
        error: JsonError,
    },
    /// Content could not be stored.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Other keys take over between two runs.
    #[error("keys take over between two runs of the server, not while it runs")]
    SuccessionRunning,
    /// The server shows less than was signed before, and signs nothing.
    #[error("this server's store shows less than was signed before: it signs nothing more")]
    NotSigning,
    /// Auditors cosign the checkpoint on offer, and no other.
    #[error("the checkpoint is not the one on offer")]
    NotOffered,
    /// A cosignature that is none.
    #[error("the cosignature was not taken: {why}")]
    Cosignature {
        /// Why.
        why: String,
    },
    /// Too much is in flight.
    #[error("too many entries are waiting")]
    Overloaded,
    /// The server is stopping.
    #[error("the server is stopping")]
    ShuttingDown,
    /// No such thing.
    #[error("{what} is not in the ledger")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// A proof that was about to be sent does not hold: this server's memory or store is
    /// damaged. Nothing was sent.
    #[error("a proof built here does not hold; nothing was sent")]
    SelfCheck,
}

impl Refusal {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Rule(error) => error.reason(),
            Self::MapRecord => Reason::MapRecordSubmitted,
            Self::DocumentMissing { .. } => Reason::DocumentMissing,
            Self::ContentMissing { .. } => Reason::ContentMissing,
            Self::Listing { error, .. } => error.reason,
            Self::Content(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::SuccessionRunning => Reason::SuccessionRunning,
            Self::NotSigning => Reason::NotSigning,
            Self::NotOffered => Reason::NotOffered,
            Self::Cosignature { .. } => Reason::NoteSignature,
            Self::Overloaded => Reason::Overloaded,
            Self::ShuttingDown => Reason::ShuttingDown,
            Self::NotFound { .. } => Reason::NotFound,
            Self::SelfCheck => Reason::Internal,
        }
    }

    /// Whether the fault is this server's, or its disk's.
    pub(crate) fn is_own_fault(&self) -> bool {
        matches!(
            self,
            Self::Store(_) | Self::Content(ContentError::Store(_)) | Self::SelfCheck
        )
    }

    /// What a caller is told. Files and offsets of this machine are for its log alone.
    pub(crate) fn told(&self) -> String {
        if self.is_own_fault() {
            return self.reason().meaning().to_owned();
        }
        self.to_string()
    }
}

/// What the sequencer's thread is told.
#[derive(Debug)]
enum Message {
    /// Sequence this.
    Append(Box<Queued>),
    /// End in good order, and say so.
    Close(oneshot::Sender<()>),
}

/// A candidate on its way to the sequencer, and who waits for it.
#[derive(Debug)]
struct Queued {
    candidate: Candidate,
    answer: oneshot::Sender<Result<Placed, Refusal>>,
}

/// Where an entry stands, under which head.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) index: Index,
    pub(crate) repeated: bool,
    pub(crate) head: Arc<Head>,
}

/// A policy, or an order of the admins, as raw bytes.
#[derive(Debug, Clone)]
struct ChainEntry {
    index: Index,
    entry: Bytes,
    document: Bytes,
}

/// What readers share with the sequencer.
#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    trust: Trust,
    tree: RwLock<Tree>,
    head: watch::Sender<Arc<Head>>,
    releases: releases::Releases,
    policies: RwLock<Vec<ChainEntry>>,
    orders: RwLock<Vec<ChainEntry>>,
    documents: Documents,
    cache: read::EntryCache,
    listings: listing::Listings,
    cosigning: cosigning::Cosigning,
    /// All orders below this index to erase contents are carried out.
    erased_below: watch::Sender<u64>,
    /// What ended this ledger, once something did.
    failed: watch::Sender<Option<Failure>>,
    /// Set for good once the server has met its own signature above its own head.
    halted: AtomicBool,
}

impl Shared {
    fn head(&self) -> Arc<Head> {
        self.head.borrow().clone()
    }

    fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    fn halt(&self) {
        self.halted.store(true, Ordering::Release);
    }

    /// Nothing is signed from now on, and the process is told to abort.
    fn fail(&self, failure: Failure) {
        tracing::error!(%failure, "the store failed: nothing more is signed");
        self.halt();
        self.failed.send_replace(Some(failure));
    }
}

/// A poisoned lock means that a thread panicked in a few lines of ours that only push to
/// vectors; what it guards is still whole.
fn reading<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn writing<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A handle to a running ledger; clones share it. The sequencer stops when the last is gone.
#[derive(Debug, Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Message>,
}

impl Ledger {
    /// The identity that clients pin.
    pub fn trust(&self) -> &Trust {
        &self.shared.trust
    }

    /// The store below.
    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Drops uploads that no entry came to name.
    pub(crate) fn expire(&self, age: std::time::Duration) -> Result<usize, Refusal> {
        self.heed(self.shared.store.content().staging().expire(age))
    }

    /// Passes a result of the content store on; a fault after which nothing in memory may be
    /// trusted ends the ledger as well.
    pub(crate) fn heed<T>(&self, result: Result<T, ContentError>) -> Result<T, Refusal> {
        result.map_err(|error| {
            if let ContentError::Store(store) = &error
                && store.is_fatal()
            {
                self.shared.fail(Failure::Store(store.clone()));
            }
            Refusal::Content(error)
        })
    }

    /// Whether nothing is signed any more.
    pub(crate) fn is_halted(&self) -> bool {
        self.shared.is_halted()
    }

    /// The newest published head.
    pub(crate) fn head(&self) -> Arc<Head> {
        self.shared.head()
    }

    /// Follows the published heads.
    pub(crate) fn heads(&self) -> watch::Receiver<Arc<Head>> {
        self.shared.head.subscribe()
    }

    /// Resolves once the store has failed in a way after which nothing in memory may be
    /// trusted: the process must abort.
    pub async fn failed(&self) -> Failure {
        let mut failed = self.shared.failed.subscribe();
        loop {
            if let Some(error) = failed.borrow_and_update().clone() {
                return error;
            }
            // The sender is ours: it is not gone while this handle is here.
            let _ = failed.changed().await;
        }
    }

    /// Ends the sequencer: what is queued is committed, the view is written and flushed, and
    /// every later append is refused. The data directory stays locked while handles exist.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // An error means that the thread is gone already.
            let _ = closed.await;
        }
    }

    async fn enqueue(&self, candidate: Candidate) -> Result<Placed, Refusal> {
        if self.shared.is_halted() {
            return Err(Refusal::NotSigning);
        }
        let (answer, placed) = oneshot::channel();
        let queued = Box::new(Queued { candidate, answer });
        self.queue
            .try_send(Message::Append(queued))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Refusal::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Refusal::ShuttingDown,
            })?;
        placed.await.map_err(|_| Refusal::ShuttingDown)?
    }
}

impl From<Outcome> for Result<(Index, bool), Refusal> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Recorded(index) => Ok((index, false)),
            Outcome::Repeated(index) => Ok((index, true)),
            Outcome::Refused(error) => Err(Refusal::Rule(*error)),
        }
    }
}
