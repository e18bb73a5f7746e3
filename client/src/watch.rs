//! Watching a ledger: every new entry, proven to be in the log and judged by the policy that was
//! in force where it stands.
//!
//! Invariants: what is returned was proven under a checkpoint that extends everything seen;
//! entries come once each and in their order; the place to go on from is moved only by the
//! caller, after it did what was to be done, so that nothing is missed over a restart.

use std::path::PathBuf;

use cairn_grpc::v1;
use cairn_proto::{
    entry::{Content, EntryError, Leaf, Submission},
    hash::{Index, KeyId, LeafHash, TreeSize},
    limits::ENTRY_BYTES_MAX,
    reason::Reason,
    rules::{PolicyChain, RuleError, SignedSubmission},
    statement::Subject,
    verify::{Recorded, VerifyError},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use crate::{
    error::{ClientError, HomeError},
    files::{self, Lock},
    ledger::{Ledger, age_of},
    policies::Policies,
    read::{Logged, LoggedKind},
};

const SCHEMA: &str = "cairn.watch-state/v1";
/// Bytes of the file.
const FILE_BYTES_MAX: usize = 4_096;
/// Entries that are read at once.
const ENTRIES_MAX: u64 = 256;
/// Entries in flight.
const FETCHES: usize = 16;

/// A new entry.
#[derive(Debug, Clone)]
pub struct Noticed {
    /// What it says; never a map record.
    pub logged: Logged,
    /// Who signed, by the name that the policy then in force has for the key, or by its keyid.
    pub signers: Vec<String>,
    /// The rule about signers that it breaks, if it breaks one: no honest server sequences such
    /// an entry.
    pub broken: Option<RuleError>,
}

impl Noticed {
    fn unreadable(index: Index, leaf: &[u8], error: EntryError) -> Self {
        Self {
            logged: Logged {
                index,
                leaf: LeafHash::of(leaf),
                kind: LoggedKind::Unreadable,
                subject: None,
                keyids: Vec::new(),
            },
            signers: Vec::new(),
            broken: Some(error.into()),
        }
    }
}

/// Where a watch goes on, kept over restarts. Two of one name do not run at once.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    next: Index,
    _lock: Lock,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceFile {
    schema: String,
    next: u64,
}

impl Place {
    /// Where the watch of this name goes on; `None` if it never ran.
    pub fn load(ledger: &Ledger, name: &str) -> Result<Option<Self>, ClientError> {
        let path = Self::path(ledger, name);
        let lock = Lock::of(&path)?;
        let Some(bytes) = files::read(&path, FILE_BYTES_MAX)? else {
            return Ok(None);
        };
        match serde_json::from_slice::<PlaceFile>(&bytes) {
            Ok(file) if file.schema == SCHEMA => Ok(Some(Self {
                path,
                next: Index(file.next),
                _lock: lock,
            })),
            _ => {
                let why = "it is no place in a log";
                Err(HomeError::Damaged { path, why }.into())
            }
        }
    }

    /// Begins a watch at an entry.
    pub fn begin(ledger: &Ledger, name: &str, next: Index) -> Result<Self, ClientError> {
        let path = Self::path(ledger, name);
        let mut place = Self {
            _lock: Lock::of(&path)?,
            path,
            next,
        };
        place.advance(next)?;
        Ok(place)
    }

    fn path(ledger: &Ledger, name: &str) -> PathBuf {
        let directory = ledger.home().state_directory(ledger.trust().genesis());
        directory.join(format!("watch-{name}.json"))
    }

    /// The next entry to look at.
    pub fn next(&self) -> Index {
        self.next
    }

    /// Everything before `next` was dealt with; durable on return.
    pub fn advance(&mut self, next: Index) -> Result<(), ClientError> {
        let file = PlaceFile {
            schema: SCHEMA.to_owned(),
            next: next.0,
        };
        let bytes = serde_json::to_vec(&file).unwrap_or_default();
        files::write(&self.path, &bytes)?;
        self.next = next;
        Ok(())
    }
}

/// Part of what came since, and how things stand.
#[derive(Debug)]
pub struct News {
    /// The new entries, in order, without map records.
    pub entries: Vec<Noticed>,
    /// Where to go on once they were dealt with.
    pub next: Index,
    /// Whether there is more by now.
    pub more: bool,
    /// Entries under the checkpoint that all this was proven under.
    pub size: TreeSize,
    /// Seconds since it was cosigned; `None`: unknown.
    pub age: Option<u64>,
}

impl Ledger {
    /// What is new from an entry on, at most a few hundred entries of it.
    pub async fn news(&self, from: Index) -> Result<News, ClientError> {
        // One checkpoint for all: the policies' own.
        let policies = self.policies().await?;
        // A release under a break-glass order is judged by it; an order that came since is one of
        // the next time's.
        let size = policies.checkpoint().head().size();
        let orders = self.orders().await?;
        let chain = orders.on(policies.chain().clone(), size)?;
        let until = size.0.min(from.0.saturating_add(ENTRIES_MAX)).max(from.0);
        let entries: Vec<_> = futures_util::stream::iter(from.0..until)
            .map(|index| self.noticed(Index(index), &policies, &chain))
            .buffered(FETCHES)
            .try_collect()
            .await?;
        Ok(News {
            entries: entries.into_iter().flatten().collect(),
            next: Index(until),
            more: until < size.0,
            size,
            age: age_of(policies.checkpoint().head(), self.now()),
        })
    }

    /// One entry under the policies' checkpoint; `None` for a map record.
    async fn noticed(
        &self,
        index: Index,
        policies: &Policies,
        chain: &PolicyChain,
    ) -> Result<Option<Noticed>, ClientError> {
        let head = policies.checkpoint().head();
        let request = v1::GetEntryRequest {
            index: index.0,
            size: head.size().0,
        };
        let answer = self.connection().get_entry(request).await?;
        if answer.entry.len() > ENTRY_BYTES_MAX {
            return Err(ClientError::TooLarge { what: "an entry" });
        }
        let inclusion = cairn_grpc::hashes(&answer.inclusion, "inclusion")?;
        Recorded::prove(head, &answer.entry, index, &inclusion).map_err(ClientError::Verify)?;
        let entry = match Leaf::decode(&answer.entry) {
            Ok(Leaf::MapRecord(_)) => return Ok(None),
            Ok(Leaf::Entry(entry)) => entry,
            Err(error) if error.reason() == Reason::NeedsNewerCairn => {
                return Err(ClientError::Verify(error.into()));
            }
            Err(error) => return Ok(Some(Noticed::unreadable(index, &answer.entry, error))),
        };
        // Until the document is the one that was signed for, nothing is said of who signed.
        if answer.document.is_empty() {
            return Err(ClientError::Verify(VerifyError::Undocumented));
        }
        if entry.statement().subject != Subject::of(&answer.document) {
            return Err(ClientError::Verify(EntryError::DocumentMismatch.into()));
        }
        let logged = Logged::of(index, &answer.entry)?;
        let judged = judge(&answer.entry, &answer.document, index, chain);
        let (signers, broken) = match judged {
            Ok(_) => (policies.names_at(index, &logged.keyids), None),
            Err(error) if error.reason() == Reason::NeedsNewerCairn => {
                return Err(ClientError::Verify(error.into()));
            }
            Err(error) => {
                let keyids = logged.keyids.iter().map(KeyId::to_string);
                (keyids.collect(), Some(error))
            }
        };
        Ok(Some(Noticed {
            logged,
            signers,
            broken,
        }))
    }
}

/// What the policy in force at an entry says of its signers. The first entry is the ledger's
/// own: that it is the pinned one was proven with the policies.
fn judge(
    entry: &[u8],
    document: &[u8],
    index: Index,
    chain: &PolicyChain,
) -> Result<Option<SignedSubmission>, RuleError> {
    let Some(authority) = chain.authority_at(index) else {
        return Ok(None);
    };
    let submission = Submission::decode(entry, document)?;
    match submission.content() {
        Content::Genesis(..) => Err(RuleError::GenesisTwice),
        _ => authority.authenticate(submission).map(Some),
    }
}
