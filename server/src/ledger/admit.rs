//! Admission: everything about an entry that does not depend on its place in the order.
//! Many tasks at once, no locks held.
//!
//! Invariant: what leaves here decodes, is signed strictly by keys that the policy in force
//! allows, brings its document, and names only content that is durable and that the caller
//! may name. The sequencer looks again at what depends on order.

use bytes::Bytes;
use cairn_proto::{
    entry::{Content, Entry, Leaf, Submission},
    hash::{ContentId, LeafHash},
    manifest::{ArtifactKind, Bytes as ArtifactBytes, Manifest},
    name::{ArtifactName, Environment},
    order::OrderDocument,
    row::{Row, RowName},
    rules::{RuleError, authenticate_genesis},
    statement::{Action, OrderKind, Predicate, Release},
};

use super::{Ledger, Placed, QUEUE_MAX, Refusal, nameable::Nameable, reading, sequence::Candidate};
use crate::{access::Caller, clock::now, content::ContentStore as _};

/// What leads to an entry that may stand already, without an index of payloads.
struct Trace {
    leaf: LeafHash,
    /// Where and at which sequence, if it is a release.
    release: Option<(Environment, u64)>,
    /// Whether it is an order to erase contents.
    erases: bool,
}

/// An entry decoded far enough to know what it is for.
#[derive(Debug)]
pub(crate) struct Received {
    entry: Box<Entry>,
    bytes: Bytes,
}

impl Received {
    /// Decodes an envelope's bytes.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Refusal> {
        match Leaf::decode(&bytes).map_err(RuleError::Entry)? {
            Leaf::Entry(entry) => Ok(Self { entry, bytes }),
            Leaf::MapRecord(_) => Err(Refusal::MapRecord),
        }
    }

    /// The environment that a release, or an approval of one, is for.
    pub(crate) fn environment(&self) -> Option<&Environment> {
        match &self.entry.statement().predicate {
            Predicate::Release(release) => Some(&release.environment),
            Predicate::Approval(approval) => Some(&approval.environment),
            _ => None,
        }
    }

    fn trace(&self) -> Trace {
        let release = match &self.entry.statement().predicate {
            Predicate::Release(release) => Some((release.environment.clone(), release.sequence.0)),
            _ => None,
        };
        let erases = matches!(
            &self.entry.statement().predicate,
            Predicate::Order(order) if order.kind == OrderKind::Redaction
        );
        Trace {
            leaf: *self.entry.leaf(),
            release,
            erases,
        }
    }
}

impl Ledger {
    /// Admits an entry and waits until it is durable, included and anchored, and until what it
    /// erases is erased.
    pub(crate) async fn append(
        &self,
        received: Received,
        document: Bytes,
        caller: &Caller,
    ) -> Result<Placed, Refusal> {
        let trace = received.trace();
        let placed = self.placed(&trace, received, document, caller).await?;
        if trace.erases {
            self.carried_out(placed.index).await?;
        }
        Ok(placed)
    }

    async fn placed(
        &self,
        trace: &Trace,
        received: Received,
        document: Bytes,
        caller: &Caller,
    ) -> Result<Placed, Refusal> {
        if let Some(placed) = self.standing(trace) {
            return Ok(placed);
        }
        match self.admit(received, document, caller).await {
            // Another call may have appended the very same entry since it was looked for.
            Err(Refusal::Rule(error)) => self.standing(trace).ok_or(Refusal::Rule(error)),
            admitted => admitted,
        }
    }

    async fn admit(
        &self,
        received: Received,
        document: Bytes,
        caller: &Caller,
    ) -> Result<Placed, Refusal> {
        let document = self.complete(&received, document)?;
        let submission = received
            .entry
            .with_document(&document)
            .map_err(RuleError::Entry)?;
        let signed = self.authenticate(submission)?;
        match signed.submission().content() {
            Content::Release(release, manifest) => {
                self.in_order(release)?;
                self.in_time(release)?;
                self.hold_content(release, manifest, caller).await?;
            }
            Content::Order(_, OrderDocument::KeySuccession(_)) => {
                return Err(Refusal::SuccessionRunning);
            }
            _ => {}
        }
        self.enqueue(Candidate {
            signed,
            entry: received.bytes,
            document,
        })
        .await
    }

    /// A retry of an entry that stands is answered at once, whatever the policy says by now.
    fn standing(&self, trace: &Trace) -> Option<Placed> {
        let index = if let Some((environment, sequence)) = &trace.release {
            self.release(environment, *sequence)?
        } else {
            let head = self.head();
            // The genesis entry is the server's own: nobody who sends it tries again.
            let policies = head.chain.steps().skip(1);
            let policies = policies.map(|step| (step.leaf, step.index));
            let orders = head.chain.orders().iter();
            let mut all = policies.chain(orders.map(|step| (step.leaf, step.index)));
            all.find(|(leaf, _)| *leaf == trace.leaf)?.1
        };
        let leaf = reading(&self.shared.tree).leaf(index)?;
        // Read last: a head that was published since holds the entry as well.
        let head = self.head();
        (leaf == trace.leaf).then_some(Placed {
            index,
            repeated: true,
            head,
        })
    }

    fn complete(&self, received: &Received, document: Bytes) -> Result<Bytes, Refusal> {
        if !document.is_empty() {
            return Ok(document);
        }
        let id = received.entry.statement().subject.blake3;
        self.document(&id).map_err(|refusal| match refusal {
            Refusal::NotFound { .. } => Refusal::DocumentMissing { id },
            other => other,
        })
    }

    fn authenticate(
        &self,
        submission: Submission,
    ) -> Result<cairn_proto::rules::SignedSubmission, Refusal> {
        if let Content::Genesis(..) = submission.content() {
            // Authentic or not, this ledger has begun.
            authenticate_genesis(submission)?;
            return Err(RuleError::GenesisTwice.into());
        }
        let head = self.head();
        Ok(head.chain.authority().authenticate(submission)?)
    }

    /// The rules know no time but the last map record's: where nothing was recorded for long, an
    /// order that has expired since would still hold by them.
    fn in_time(&self, release: &Release) -> Result<(), Refusal> {
        let Some(named) = release.break_glass else {
            return Ok(());
        };
        let head = self.head();
        match head.chain.order(&named).map(|step| &step.order) {
            Some(OrderDocument::BreakGlass(glass)) if glass.expires <= now() => {
                let expires = glass.expires;
                Err(RuleError::BreakGlassExpired { expires }.into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses early what the sequencer would refuse anyway, before content is made durable
    /// for it.
    fn in_order(&self, release: &Release) -> Result<(), Refusal> {
        let head = self.head();
        let key = RowName::Environment(&release.environment).key();
        let (last, leaf) = match head.map.get(&key) {
            Some(Row::Environment(row)) => (row.sequence.0, Some(row.leaf)),
            _ => (0, None),
        };
        // A larger sequence may follow those that are being committed right now, of which
        // there are no more than wait.
        if release.sequence.0 <= last || release.sequence.0 - last > 2 * QUEUE_MAX as u64 {
            return Err(RuleError::WrongSequence {
                environment: release.environment.clone(),
                found: release.sequence,
                expected: cairn_proto::hash::Sequence(last + 1),
            }
            .into());
        }
        if release.sequence.0 == last + 1 && release.previous != leaf {
            return Err(RuleError::WrongPrevious {
                found: release.previous,
                expected: leaf,
            }
            .into());
        }
        Ok(())
    }

    /// Makes every stored content of the manifest durable, or says which is missing.
    async fn hold_content(
        &self,
        release: &Release,
        manifest: &Manifest,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let has_trees = manifest
            .artifacts()
            .iter()
            .any(|artifact| artifact.kind == ArtifactKind::Tree);
        let mut wanted: Vec<(ContentId, String)> = manifest
            .artifacts()
            .iter()
            .filter_map(|artifact| match &artifact.bytes {
                ArtifactBytes::Stored { digests, size } if *size > 0 => {
                    Some((digests.blake3, artifact.name.to_string()))
                }
                _ => None,
            })
            .collect();
        if wanted.is_empty() || release.action == Action::Retire {
            // A retirement keeps its predecessor's manifest, and nothing is stored for it.
            return Ok(());
        }
        self.refuse_erased(manifest)?;
        let known = self.nameable(release);
        wanted.retain(|(id, _)| !known.contents.contains(id));
        if wanted.is_empty() && !has_trees {
            return Ok(());
        }
        let (ledger, caller, manifest) = (self.clone(), caller.clone(), manifest.clone());
        let task = move || ledger.hold(&caller, &wanted, &manifest, &known);
        let done = tokio::task::spawn_blocking(task).await;
        done.map_err(|_| Refusal::ShuttingDown)?
    }

    /// Refuses early what the rules would refuse: an erased content that a manifest itself names.
    fn refuse_erased(&self, manifest: &Manifest) -> Result<(), Refusal> {
        for artifact in manifest.artifacts() {
            if let ArtifactBytes::Stored { digests, .. } = &artifact.bytes {
                self.not_erased(&artifact.name, &digests.blake3)?;
            }
        }
        Ok(())
    }

    fn not_erased(&self, name: &ArtifactName, content: &ContentId) -> Result<(), Refusal> {
        let Some(index) = self.erased(content) else {
            return Ok(());
        };
        let (name, content) = (name.clone(), *content);
        Err(Refusal::Rule(RuleError::ContentErased {
            name,
            content,
            index,
        }))
    }

    /// What this environment's current release, or the one that is rolled back to, names
    /// already: whoever may release here may name it again.
    fn nameable(&self, release: &Release) -> Nameable {
        let current = self.releases(&release.environment, &self.head());
        let targets = release.rollback_to.map(|target| target.0);
        let mut nameable = Nameable::default();
        for sequence in targets.into_iter().chain([current]) {
            if let Ok(manifest) = self.manifest_of(&release.environment, sequence) {
                nameable.add(&manifest);
            }
        }
        nameable
    }

    /// The manifest of a release.
    pub(crate) fn manifest_of(
        &self,
        environment: &Environment,
        sequence: u64,
    ) -> Result<Manifest, Refusal> {
        let missing = || Refusal::NotFound {
            what: format!("{environment}#{sequence}"),
        };
        let index = self.release(environment, sequence).ok_or_else(missing)?;
        let (_, document) = self.entry(index)?;
        Manifest::decode(&document).map_err(|_| missing())
    }

    fn hold(
        &self,
        caller: &Caller,
        wanted: &[(ContentId, String)],
        manifest: &Manifest,
        known: &Nameable,
    ) -> Result<(), Refusal> {
        let (ids, names): (Vec<_>, Vec<_>) = wanted.iter().cloned().unzip();
        self.promote(caller, &ids, &names.join(", "))?;
        let any_erased = self.store().content().has_erased();
        for artifact in manifest.artifacts() {
            let ArtifactBytes::Stored { digests, .. } = &artifact.bytes else {
                continue;
            };
            let is_known = known.trees.contains(&digests.blake3);
            if artifact.kind != ArtifactKind::Tree || (is_known && !any_erased) {
                continue;
            }
            let listing = self.listing(&digests.blake3, artifact.name.as_str())?;
            // The rules see the manifest alone, and what a listing names is looked at here.
            let mut contents = listing.contents().iter();
            contents.try_for_each(|id| self.not_erased(&artifact.name, id))?;
            if is_known {
                continue;
            }
            self.promote(caller, listing.contents(), artifact.name.as_str())?;
        }
        Ok(())
    }

    /// Makes contents durable that this caller sent, or may read anyway. `of` says who names
    /// them.
    fn promote(&self, caller: &Caller, ids: &[ContentId], of: &str) -> Result<(), Refusal> {
        let content = self.store().content();
        let staging = content.staging();
        let mut missing = 0;
        for id in ids {
            let durable = caller.reads_everything() && content.size(id).is_some();
            if !durable && self.heed(staging.claimed(caller.owner(), id))?.is_none() {
                missing += 1;
            }
        }
        if missing > 0 {
            let of = shortened(of);
            return Err(Refusal::ContentMissing { missing, of });
        }
        self.heed(content.promote(caller.owner(), ids))
    }
}

/// Enough of a list of names for an answer.
fn shortened(names: &str) -> String {
    names.chars().take(200).collect()
}

/// The content that a manifest names as stored.
pub(crate) fn stored(manifest: &Manifest) -> impl Iterator<Item = ContentId> + '_ {
    let artifacts = manifest.artifacts().iter();
    artifacts.filter_map(|artifact| match &artifact.bytes {
        ArtifactBytes::Stored { digests, .. } => Some(digests.blake3),
        _ => None,
    })
}
