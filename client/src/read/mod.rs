//! Reading a ledger: references, releases, the log, digests.
//!
//! Invariant: everything returned was proven under a checkpoint that is linked to what was
//! seen before; what was not verified says so in its type's documentation.

mod complete;
mod content;
mod diff;
mod digests;
mod erased;
mod history;
mod objects;
pub(crate) mod place;
mod reference;
mod restore;

use cairn_grpc::v1;
use cairn_proto::{
    checkpoint::TrustedCheckpoint,
    entry::{Content, Submission},
    hash::{DocumentId, Index, LeafHash, RootHash, Sequence, TreeSize},
    limits::MANIFEST_BYTES_MAX,
    manifest::Manifest,
    name::Environment,
    rules::PolicyChain,
    statement::Release,
    verify::{Current, VerifyError},
};

pub use complete::WholeHistory;
pub(crate) use content::Want;
pub use diff::Diff;
pub(crate) use diff::manifest_differences;
pub use digests::{Found, sha256_of};
pub use erased::Erasure;
pub(crate) use erased::ProvenBefore;
pub(crate) use history::{Chain, Pages};
pub use history::{Logged, LoggedKind};
pub use objects::RecordedObject;
pub use reference::{Reference, ReferenceError};
pub use restore::{RestoreProgress, Restored};

use crate::{
    clock::parse_time,
    error::ClientError,
    evidence::LeafEvidence,
    held::Held,
    ledger::{Ledger, Looked, age_of},
};

/// A release that was proven: included, part of its environment's chain, and signed by
/// whom the policy then in force allowed.
#[derive(Debug, Clone)]
pub struct Proven {
    /// Where its entry stands.
    pub index: Index,
    /// Leaf hash of its entry.
    pub leaf: LeafHash,
    /// What its signers said.
    pub release: Release,
    /// What it consists of.
    pub manifest: Manifest,
    /// The manifest's bytes.
    pub document: Vec<u8>,
    /// Name in the policy then in force, and keyid.
    pub signers: Vec<(String, String)>,
    /// The environment's current sequence.
    pub newest: Sequence,
    /// The checkpoint under which that is current.
    pub size: TreeSize,
    /// Its root.
    pub root: RootHash,
    /// Seconds since it was cosigned; `None`: unknown.
    pub age: Option<u64>,
}

/// How things stand with a ledger.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its checkpoint: size and root.
    pub size: TreeSize,
    /// Root over them.
    pub root: RootHash,
    /// Seconds since it was cosigned; `None`: unknown.
    pub age: Option<u64>,
    /// The size that was seen before, if any.
    pub held: Option<TreeSize>,
    /// The server's own word on its version.
    pub server_version: String,
}

impl Ledger {
    /// The release that a reference names, proven.
    pub async fn resolve(&self, reference: &Reference) -> Result<Proven, ClientError> {
        let not_found = || ClientError::NotFound {
            what: reference.to_string(),
        };
        let (environment, wanted) = match reference {
            Reference::Sha256(sha256) => {
                let last = self.find(sha256).await?.last.ok_or_else(not_found)?;
                let release = last.release().ok_or_else(not_found)?.clone();
                (release.environment, Wanted::Sequence(release.sequence))
            }
            Reference::Blake3(_) => {
                return Err(ClientError::Usage {
                    why: "blake3: names a document; name a release as ENV or ENV#12".to_owned(),
                });
            }
            Reference::Current(environment) => (environment.clone(), Wanted::Back(0)),
            Reference::Back(environment, steps) => (environment.clone(), Wanted::Back(*steps)),
            Reference::At(environment, time) => (environment.clone(), Wanted::At(*time)),
            Reference::Sequence(environment, sequence) => {
                (environment.clone(), Wanted::Sequence(*sequence))
            }
        };
        let looked = self.lookup(&environment).await?;
        let newest = looked.sequence();
        let wanted = match wanted {
            Wanted::Back(steps) => match newest.0.checked_sub(steps) {
                None | Some(0) => return Err(not_found()),
                Some(sequence) => Wanted::Sequence(Sequence(sequence)),
            },
            wanted => wanted,
        };
        let found = self.walk(&environment, &looked, &wanted).await?;
        found.ok_or_else(not_found)
    }

    async fn walk(
        &self,
        environment: &Environment,
        looked: &Looked,
        wanted: &Wanted,
    ) -> Result<Option<Proven>, ClientError> {
        if let Some(current) = current_of(looked)
            && wanted.is(&current.release)
        {
            return Ok(Some(current));
        }
        let policies = looked.policies(self.trust()).map_err(ClientError::Verify)?;
        let mut chain = Chain::new(self, environment, looked)?;
        while let Some(logged) = chain.next().await? {
            let Some(release) = logged.release() else {
                continue;
            };
            if wanted.is(release) {
                let proven = self.prove_older(&logged, looked, &policies).await?;
                return Ok(Some(proven));
            }
            if wanted.is_above(release.sequence) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Fetches the manifest of an entry of the chain, and judges its signers by the policy
    /// that was in force where it stands.
    pub(crate) async fn prove_older(
        &self,
        logged: &Logged,
        looked: &Looked,
        policies: &PolicyChain,
    ) -> Result<Proven, ClientError> {
        let named = logged.release().and_then(|release| release.break_glass);
        let with_orders = match named {
            Some(_) => {
                let size = looked.checkpoint.head().size();
                Some(self.orders().await?.on(policies.clone(), size)?)
            }
            None => None,
        };
        let policies = with_orders.as_ref().unwrap_or(policies);
        let request = v1::GetEntryRequest {
            index: logged.index.0,
            size: 0,
        };
        let answer = self.connection().get_entry(request).await?;
        if LeafHash::of(&answer.entry) != logged.leaf || answer.document.len() > MANIFEST_BYTES_MAX
        {
            return Err(ClientError::Lacks {
                what: format!("entry {}", logged.index),
            });
        }
        let leaf = LeafEvidence {
            index: logged.index.0,
            entry: &answer.entry,
            document: &answer.document,
            inclusion: &[],
        };
        let submission = self.submission(&leaf, looked)?;
        let rule = |error: cairn_proto::rules::RuleError| ClientError::Verify(error.into());
        let authority = policies
            .authority_at(logged.index)
            .ok_or(ClientError::Verify(VerifyError::PolicyChain))?;
        let signed = authority.authenticate(submission).map_err(rule)?;
        let Content::Release(release, manifest) = signed.submission().content() else {
            return Err(ClientError::Verify(VerifyError::RowMismatch {
                what: "the kind",
            }));
        };
        // Of history an order that has expired since takes nothing; of what is current it does.
        let current = looked.current.last().map(|(_, leaf)| *leaf);
        let now = if current == Some(logged.leaf) {
            self.now()
        } else {
            0
        };
        let asked = (&release.environment, release.break_glass);
        let counted = policies.standing(logged.index, asked, signed.signers(), now);
        let counted = counted.map_err(rule)?;
        Ok(Proven {
            index: logged.index,
            leaf: logged.leaf,
            signers: authority.deployers_named(&counted.signers),
            release: (**release).clone(),
            manifest: manifest.clone(),
            document: answer.document.to_vec(),
            newest: looked.sequence(),
            size: looked.checkpoint.head().size(),
            root: *looked.checkpoint.head().root(),
            age: looked.age,
        })
    }

    /// A document that is not the one signed for contradicts the log, and is kept.
    fn submission(
        &self,
        leaf: &LeafEvidence<'_>,
        looked: &Looked,
    ) -> Result<Submission, ClientError> {
        use cairn_proto::{
            entry::{EntryError, Leaf},
            statement::Subject,
        };
        let unproven = |error: EntryError| ClientError::Verify(error.into());
        // The entry is bound by the chain. Its document is, once it hashes to the subject, and
        // is not decoded before.
        let Leaf::Entry(entry) = Leaf::decode(leaf.entry).map_err(unproven)? else {
            return Err(unproven(EntryError::UnknownShape));
        };
        if leaf.document.is_empty() {
            return Err(ClientError::Verify(VerifyError::Undocumented));
        }
        if entry.statement().subject == Subject::of(leaf.document) {
            return entry.with_document(leaf.document).map_err(unproven);
        }
        let error = VerifyError::Entry(EntryError::DocumentMismatch);
        let note = looked.checkpoint.head().bytes();
        let code = error.reason().code();
        match self.evidence().leaf(code, note, leaf, self.now()) {
            Ok(evidence) => Err(ClientError::Contradiction { error, evidence }),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The newest entries of an environment, or of the whole log, at most `limit`. Those of
    /// an environment are its chain; each is proven to be included.
    pub async fn log(
        &self,
        environment: Option<&Environment>,
        limit: usize,
    ) -> Result<Vec<Logged>, ClientError> {
        let mut entries = Vec::new();
        if let Some(environment) = environment {
            let looked = self.lookup(environment).await?;
            let mut chain = Chain::new(self, environment, &looked)?;
            while entries.len() < limit {
                match chain.next().await? {
                    Some(logged) => entries.push(logged),
                    None => break,
                }
            }
            return Ok(entries);
        }
        let mut pages = Pages::new(self, None)?;
        while entries.len() < limit {
            match pages.next().await? {
                Some(logged) => entries.push(logged),
                None => break,
            }
        }
        Ok(entries)
    }

    /// A document by its digest.
    pub async fn document(&self, id: &DocumentId) -> Result<Vec<u8>, ClientError> {
        let document = self.connection().read_api().document(id).await?;
        let document = document.ok_or_else(|| ClientError::NotFound {
            what: format!("blake3:{id}"),
        })?;
        if DocumentId::of(&document) == *id {
            Ok(document)
        } else {
            // Content-addressed: there is no signed head that these bytes contradict.
            Err(ClientError::Lacks {
                what: format!("the document blake3:{id}"),
            })
        }
    }

    /// What was held, the newest checkpoint linked to it, and what else the server says of itself.
    pub(crate) async fn newest(
        &self,
    ) -> Result<(Option<Held>, TrustedCheckpoint, v1::GetLedgerResponse), ClientError> {
        let held = self.held().load()?;
        let said = self
            .connection()
            .get_ledger(v1::GetLedgerRequest {})
            .await?;
        let checkpoint = self
            .trusted_unasked(held.as_ref(), &said.checkpoint)
            .await?;
        Self::current(&checkpoint)?;
        Ok((held, checkpoint, said))
    }

    /// The newest checkpoint's note, linked to what was seen.
    pub async fn newest_note(&self) -> Result<String, ClientError> {
        let (_, checkpoint, _) = self.newest().await?;
        Ok(String::from_utf8_lossy(checkpoint.head().bytes()).into_owned())
    }

    /// How things stand, linked to what was seen.
    pub async fn status(&self) -> Result<Status, ClientError> {
        let (held, checkpoint, said) = self.newest().await?;
        self.remember(held.as_ref(), &checkpoint, None, 0).await?;
        Ok(Status {
            size: checkpoint.head().size(),
            root: *checkpoint.head().root(),
            age: age_of(checkpoint.head(), self.now()),
            held: held.map(|held| held.checkpoint().head().size()),
            server_version: crate::detail::shortened(&said.version, 64),
        })
    }
}

/// Which release of a chain is meant.
enum Wanted {
    Sequence(Sequence),
    Back(u64),
    At(u64),
}

impl Wanted {
    fn is(&self, release: &Release) -> bool {
        match self {
            Self::Sequence(sequence) => release.sequence == *sequence,
            Self::Back(_) => false,
            Self::At(time) => {
                parse_time(release.created_at.as_str()).is_some_and(|made| made <= *time)
            }
        }
    }

    /// Whether no older release can be the one.
    fn is_above(&self, sequence: Sequence) -> bool {
        matches!(self, Self::Sequence(wanted) if *wanted > sequence)
    }
}

/// The current release as any other.
pub(crate) fn current_of(looked: &Looked) -> Option<Proven> {
    let Current::Release(approved) = &looked.current else {
        return None;
    };
    let evidence = looked.evidence.release.as_ref()?;
    Some(Proven {
        index: approved.index(),
        leaf: *approved.leaf(),
        release: approved.release().clone(),
        manifest: approved.manifest().clone(),
        document: evidence.manifest.clone(),
        signers: approved.signers().to_vec(),
        newest: looked.sequence(),
        size: looked.checkpoint.head().size(),
        root: *looked.checkpoint.head().root(),
        age: looked.age,
    })
}
