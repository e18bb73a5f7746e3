//! Older releases of an environment, proven by walking back from the current one.
//!
//! Why that is sound: the current release is proven and approved. Its signed statement
//! names the leaf hash of the release before it, that one's statement the one before, and
//! so on: of all entries that the log may hold under an environment's name, exactly one can
//! stand at each sequence. Each is proven to be included, at the index that is shown, under
//! an authentic checkpoint that is linked to everything seen.

use std::collections::VecDeque;

use cairn_grpc::v1;
use cairn_proto::{
    checkpoint::TrustedCheckpoint,
    entry::{Entry, Leaf, MapRecord},
    hash::{Index, KeyId, LeafHash, Sequence, TreeSize, Version},
    name::Environment,
    statement::{Approval, Enrolment, Order, Predicate, Release, Subject},
    verify::{Recorded, VerifyError},
};

use crate::{
    error::ClientError,
    held::Held,
    ledger::{Ledger, Looked},
};

/// Entries of a page.
const PAGE: u32 = 200;

/// An entry of the log, proven to be included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Where it stands.
    pub index: Index,
    /// Its leaf hash.
    pub leaf: LeafHash,
    /// What it says.
    pub kind: LoggedKind,
    /// The document that it names; `None` for a map record.
    pub subject: Option<Subject>,
    /// Whose signatures it carries. For an older entry nobody verified them here: reading
    /// the release itself does.
    pub keyids: Vec<KeyId>,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedKind {
    /// The ledger began.
    Genesis,
    /// The policy changed.
    Policy(Version),
    /// An environment changed.
    Release(Box<Release>),
    /// A release that stands got other signers.
    Approval(Box<Approval>),
    /// A host came or went.
    Enrolment(Box<Enrolment>),
    /// Admins ordered something.
    Order(Order),
    /// The server summed up.
    MapRecord(MapRecord),
    /// It is in the log and is no entry: no honest server sequences such a leaf.
    Unreadable,
}

impl Logged {
    pub(crate) fn of(index: Index, bytes: &[u8]) -> Result<Self, ClientError> {
        let leaf = LeafHash::of(bytes);
        let decoded = Leaf::decode(bytes).map_err(|error| ClientError::Verify(error.into()))?;
        Ok(match decoded {
            Leaf::MapRecord(record) => Self {
                index,
                leaf,
                kind: LoggedKind::MapRecord(record),
                subject: None,
                keyids: Vec::new(),
            },
            Leaf::Entry(entry) => Self::of_entry(index, leaf, &entry),
        })
    }

    fn of_entry(index: Index, leaf: LeafHash, entry: &Entry) -> Self {
        let signatures = entry.envelope().signatures().iter();
        Self {
            index,
            leaf,
            kind: match &entry.statement().predicate {
                Predicate::Genesis(_) => LoggedKind::Genesis,
                Predicate::Policy(change) => LoggedKind::Policy(change.version),
                Predicate::Release(release) => LoggedKind::Release(release.clone()),
                Predicate::Approval(approval) => LoggedKind::Approval(approval.clone()),
                Predicate::Enrolment(enrolment) => LoggedKind::Enrolment(enrolment.clone()),
                Predicate::Order(order) => LoggedKind::Order(*order),
            },
            subject: Some(entry.statement().subject),
            keyids: signatures.map(|signature| signature.keyid).collect(),
        }
    }

    /// The release that it is.
    pub fn release(&self) -> Option<&Release> {
        match &self.kind {
            LoggedKind::Release(release) => Some(release),
            _ => None,
        }
    }
}

/// Pages of the log, newest first, each entry proven.
pub(crate) struct Pages<'a> {
    ledger: &'a Ledger,
    held: Option<Held>,
    environment: String,
    token: Option<String>,
    ready: VecDeque<Logged>,
    last: Option<Index>,
    linked: Option<TrustedCheckpoint>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(
        ledger: &'a Ledger,
        environment: Option<&Environment>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            ledger,
            held: ledger.held().load()?,
            environment: environment.map(ToString::to_string).unwrap_or_default(),
            token: Some(String::new()),
            ready: VecDeque::new(),
            last: None,
            linked: None,
        })
    }

    /// The next entry; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Logged>, ClientError> {
        if self.ready.is_empty() {
            self.turn().await?;
        }
        Ok(self.ready.pop_front())
    }

    async fn turn(&mut self) -> Result<(), ClientError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        let request = v1::ListEntriesRequest {
            environment: self.environment.clone(),
            page_size: PAGE,
            page_token: token,
        };
        let page = self.ledger.connection().list_entries(request).await?;
        let checkpoint = self.checkpoint(&page.checkpoint).await?;
        for listed in &page.entries {
            let index = Index(listed.index);
            // Strictly older each time: a server cannot keep us turning pages for ever.
            if self.last.is_some_and(|last| index >= last) {
                return Err(ClientError::Lacks {
                    what: "its entries in order".to_owned(),
                });
            }
            if self.environment.is_empty() && !self.follows(index, &checkpoint) {
                return Err(ClientError::Lacks {
                    what: format!("the entry after {index}"),
                });
            }
            self.last = Some(index);
            let inclusion = cairn_grpc::hashes(&listed.inclusion, "entries.inclusion")?;
            Recorded::prove(checkpoint.head(), &listed.entry, index, &inclusion)
                .map_err(ClientError::Verify)?;
            self.ready.push_back(Logged::of(index, &listed.entry)?);
        }
        let more = !page.next_page_token.is_empty() && !page.entries.is_empty();
        if self.environment.is_empty() && !more && self.last != Some(Index(0)) {
            return Err(ClientError::Lacks {
                what: "the log's beginning".to_owned(),
            });
        }
        self.token = Some(page.next_page_token).filter(|_| more);
        Ok(())
    }

    /// Whether an entry of the whole log is the one before the last one shown; the first is
    /// the newest. What is left out of an environment's entries its chain shows.
    fn follows(&self, index: Index, checkpoint: &TrustedCheckpoint) -> bool {
        let newest = checkpoint.head().size().0;
        let above = self.last.map_or(newest, |last| last.0);
        index.0.checked_add(1) == Some(above)
    }

    async fn checkpoint(&mut self, note: &[u8]) -> Result<TrustedCheckpoint, ClientError> {
        if let Some(known) = &self.linked
            && known.head().bytes() == note
        {
            return Ok(known.clone());
        }
        let linked = self
            .ledger
            .trusted_unasked(self.held.as_ref(), note)
            .await?;
        Ledger::current(&linked)?;
        let held = self
            .ledger
            .remember(self.held.as_ref(), &linked, None, 0)
            .await?;
        self.held = Some(held);
        self.linked = Some(linked.clone());
        Ok(linked)
    }
}

/// The chain of an environment's releases, newest first, from a proven current one.
pub(crate) struct Chain<'a> {
    pages: Pages<'a>,
    environment: Environment,
    /// The next older release: its leaf hash, and its place in the chain.
    expected: Option<(LeafHash, Sequence)>,
}

impl<'a> Chain<'a> {
    pub(crate) fn new(
        ledger: &'a Ledger,
        environment: &Environment,
        looked: &Looked,
    ) -> Result<Self, ClientError> {
        let last = looked.current.last();
        let expected = last.map(|(release, leaf)| (*leaf, release.sequence));
        Ok(Self {
            pages: Pages::new(ledger, Some(environment))?,
            environment: environment.clone(),
            expected,
        })
    }

    /// Size of the checkpoint that the last release was proven under.
    pub(crate) fn size(&self) -> Option<TreeSize> {
        let linked = self.pages.linked.as_ref();
        linked.map(|checkpoint| checkpoint.head().size())
    }

    /// The next older release, the current one first.
    pub(crate) async fn next(&mut self) -> Result<Option<Logged>, ClientError> {
        let Some((expected, sequence)) = self.expected else {
            return Ok(None);
        };
        // Entries that are no part of the chain (recorded since the lookup, or breaking a
        // rule) are passed over.
        while let Some(logged) = self.pages.next().await? {
            if logged.leaf != expected {
                continue;
            }
            let Some(release) = logged.release() else {
                return Err(ClientError::Verify(VerifyError::RowMismatch {
                    what: "the kind",
                }));
            };
            // `previous` is its signer's word: it may name another environment's entry.
            if release.environment != self.environment || release.sequence != sequence {
                return Err(ClientError::Verify(VerifyError::RowMismatch {
                    what: "the environment or the sequence",
                }));
            }
            let older = Sequence(sequence.0.saturating_sub(1));
            self.expected = release.previous.map(|leaf| (leaf, older));
            return Ok(Some(logged));
        }
        Err(ClientError::Lacks {
            what: "the whole history of the environment".to_owned(),
        })
    }
}
