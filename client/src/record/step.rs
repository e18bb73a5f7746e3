//! One step of an environment's chain: looked up, sent, signed, appended, proven.

use std::time::{Duration, Instant};

use cairn_grpc::{Refused, v1};
use cairn_proto::{
    envelope::Envelope,
    hash::{Index, LeafHash, Sequence},
    key::SignError,
    manifest::Manifest,
    name::Environment,
    reason::Reason,
    statement::{Action, Predicate, Release, Statement, Subject},
    verify::{Recorded, TrustedMap, VerifyError},
};

use super::{Outcome, Receipt, Sent, Terms, UploadProgress, Words};
use crate::{
    error::ClientError,
    ledger::{Ledger, Looked},
    read::{Chain, Logged},
    sources::Content,
};

/// Times that a lost race is run again.
const RACES_MAX: usize = 8;
/// Releases in between that are listed.
const BETWEEN_MAX: usize = 100;
/// Releases in between that are searched for an entry of our own.
const SEARCHED_MAX: usize = 10_000;

/// A step to be taken.
pub(super) struct Step<'a> {
    pub(super) environment: &'a Environment,
    pub(super) action: Action,
    pub(super) rollback_to: Option<Sequence>,
    pub(super) document: Vec<u8>,
    pub(super) artifacts: usize,
    pub(super) contents: &'a [Content],
}

impl<'a> Step<'a> {
    /// A release of a manifest, whose stored content is at hand.
    pub(super) fn release(
        environment: &'a Environment,
        manifest: &Manifest,
        contents: &'a [Content],
    ) -> Self {
        Self {
            environment,
            action: Action::Release,
            rollback_to: None,
            document: manifest.encode(),
            artifacts: manifest.artifacts().len(),
            contents,
        }
    }
}

/// What a race left behind.
#[derive(Default)]
struct Race {
    /// The current sequence at the first look; what comes after it was in between.
    began: Option<Sequence>,
    /// Entries that were sent, with the artifacts of each: they may stand though they were
    /// refused or unanswered.
    sent: Vec<(LeafHash, usize)>,
    upload: Sent,
}

/// What others, or an entry of our own whose answer was lost, did since the first look.
enum Between {
    /// Ours stands. To send its content again would undo what came after it.
    Own(Box<Receipt>),
    Others(Vec<Logged>),
}

pub(super) enum Appended {
    Yes(Box<Receipt>),
    /// Another release came first, or content went missing: look again.
    Again(Refused),
}

impl Ledger {
    pub(super) async fn take(
        &self,
        step: &Step<'_>,
        manifest: &Manifest,
        terms: &Terms<'_>,
        progress: &dyn UploadProgress,
    ) -> Result<Outcome, ClientError> {
        let mut race = Race::default();
        for _ in 0..RACES_MAX {
            let looked = self.lookup(step.environment).await?;
            let between = self.in_between(step.environment, terms, &looked, &mut race);
            let between = match between.await? {
                Between::Own(receipt) => return Ok(Outcome::Recorded(*receipt)),
                Between::Others(between) => between,
            };
            if !terms.again
                && let Some(mut receipt) = Self::unchanged(&looked, manifest)
            {
                let leaf = receipt.leaf_hash;
                receipt.between = between;
                receipt.between.retain(|other| other.leaf != leaf);
                return Ok(Outcome::Unchanged(receipt));
            }
            if let Some(done) = self
                .finish(step, terms, &looked, &mut race, between, progress)
                .await?
            {
                return Ok(done);
            }
        }
        Err(lost(step))
    }

    /// Retiring needs no manifest of the caller's: it repeats the standing one.
    pub(super) async fn retire_step(
        &self,
        environment: &Environment,
        terms: &Terms<'_>,
    ) -> Result<Outcome, ClientError> {
        let mut race = Race::default();
        for _ in 0..RACES_MAX {
            let looked = self.lookup(environment).await?;
            let between = self.in_between(environment, terms, &looked, &mut race);
            let between = match between.await? {
                Between::Own(receipt) => return Ok(Outcome::Recorded(*receipt)),
                Between::Others(between) => between,
            };
            let standing = looked.current.last();
            if standing.is_none_or(|(release, _)| release.action == Action::Retire) {
                return Err(ClientError::NothingStands {
                    environment: environment.clone(),
                });
            }
            let release = looked.evidence.release.as_ref();
            let step = Step {
                environment,
                action: Action::Retire,
                rollback_to: None,
                document: release.map(|it| it.manifest.clone()).unwrap_or_default(),
                artifacts: looked.artifacts(),
                contents: &[],
            };
            let done = self
                .finish(&step, terms, &looked, &mut race, between, &())
                .await?;
            if let Some(done) = done {
                return Ok(done);
            }
        }
        Err(ClientError::RaceLost {
            environment: environment.clone(),
            between: Vec::new(),
        })
    }

    /// What was recorded since the first look; an error if it was not by us and the caller
    /// expected none.
    async fn in_between(
        &self,
        environment: &Environment,
        terms: &Terms<'_>,
        looked: &Looked,
        race: &mut Race,
    ) -> Result<Between, ClientError> {
        let now = looked.sequence();
        let Some(began) = race.began else {
            race.began = Some(now);
            return match terms.expect {
                Some(expected) if expected != now => Err(ClientError::Expected {
                    environment: environment.clone(),
                    expected,
                    found: now,
                }),
                _ => Ok(Between::Others(Vec::new())),
            };
        };
        let mut between = Vec::new();
        let mut own = None;
        let mut chain = Chain::new(self, environment, looked)?;
        for _ in 0..SEARCHED_MAX {
            let Some(logged) = chain.next().await? else {
                break;
            };
            if logged
                .release()
                .is_none_or(|release| release.sequence <= began)
            {
                break;
            }
            let sent = race.sent.iter().find(|(leaf, _)| *leaf == logged.leaf);
            if let Some((_, artifacts)) = sent {
                own = overtaken(&logged, *artifacts, &chain, looked);
            } else if between.len() < BETWEEN_MAX {
                between.push(logged);
            }
        }
        between.reverse();
        if let Some(mut receipt) = own {
            receipt.sent = race.upload;
            receipt.between = between;
            return Ok(Between::Own(receipt));
        }
        if terms.expect.is_some() && !between.is_empty() {
            return Err(ClientError::RaceLost {
                environment: environment.clone(),
                between,
            });
        }
        Ok(Between::Others(between))
    }

    /// Uploads what is missing, then signs and appends. `None`: look again.
    async fn finish(
        &self,
        step: &Step<'_>,
        terms: &Terms<'_>,
        looked: &Looked,
        race: &mut Race,
        between: Vec<Logged>,
        progress: &dyn UploadProgress,
    ) -> Result<Option<Outcome>, ClientError> {
        let sent = self
            .upload(step.environment, step.contents, progress)
            .await?;
        race.upload.contents += sent.contents;
        race.upload.bytes += sent.bytes;
        let entry = self.sign(step, terms, looked)?;
        race.sent.push((LeafHash::of(&entry), step.artifacts));
        match self.append_step(step, looked, entry).await? {
            Appended::Again(_) => Ok(None),
            Appended::Yes(mut receipt) => {
                receipt.sent = race.upload;
                receipt.between = between;
                Ok(Some(Outcome::Recorded(*receipt)))
            }
        }
    }

    fn sign(
        &self,
        step: &Step<'_>,
        terms: &Terms<'_>,
        looked: &Looked,
    ) -> Result<Vec<u8>, ClientError> {
        let payload = self.statement(step, &terms.words, looked)?.encode();
        // What we would refuse to read we do not sign.
        Statement::parse(&payload).map_err(|error| ClientError::Usage {
            why: format!("the release cannot be recorded: {error}"),
        })?;
        if terms.signers.is_empty() {
            return Err(SignError("there is no key to sign with".to_owned()).into());
        }
        Ok(Envelope::sign(payload, &terms.signers)?.encode())
    }

    /// What a step says, following what was looked up.
    pub(super) fn statement(
        &self,
        step: &Step<'_>,
        words: &Words,
        looked: &Looked,
    ) -> Result<Statement, ClientError> {
        let previous = looked.current.last().map(|(_, leaf)| *leaf);
        let release = Release {
            ledger: *self.trust().genesis(),
            environment: step.environment.clone(),
            sequence: Sequence(looked.sequence().0.saturating_add(1)),
            previous,
            action: step.action,
            rollback_to: step.rollback_to,
            break_glass: words.break_glass,
            reason: words.reason.clone(),
            source: words.source.clone(),
            created_at: self.time_text()?,
            annotations: words.annotations.clone(),
        };
        Ok(Statement {
            subject: Subject::of(&step.document),
            predicate: Predicate::Release(Box::new(release)),
        })
    }

    pub(super) async fn append_step(
        &self,
        step: &Step<'_>,
        looked: &Looked,
        entry: Vec<u8>,
    ) -> Result<Appended, ClientError> {
        let held = self.held().load()?;
        let started = Instant::now();
        let request = v1::AppendRequest {
            envelope: entry.clone().into(),
            document: step.document.clone().into(),
            trusted_checkpoint: Self::note_of(held.as_ref()),
        };
        let answer = match self.connection().append(request).await {
            Ok(answer) => answer,
            Err(ClientError::Refused(refused))
                if matches!(
                    refused.reason,
                    Some(Reason::WrongSequence | Reason::WrongPrevious | Reason::ContentMissing)
                ) =>
            {
                return Ok(Appended::Again(refused));
            }
            Err(error) => return Err(error),
        };
        let elapsed = started.elapsed();
        let consistency = cairn_grpc::hashes(&answer.consistency, "consistency")?;
        let checkpoint = self
            .trusted(held.as_ref(), &answer.checkpoint, &consistency)
            .await?;
        let inclusion = cairn_grpc::hashes(&answer.inclusion, "inclusion")?;
        let recorded = Recorded::prove(checkpoint.head(), &entry, Index(answer.index), &inclusion)
            .map_err(ClientError::Verify)?;
        let proof = answer.current.ok_or(cairn_grpc::FieldError("current"))?;
        let map_inclusion =
            cairn_grpc::hashes(&proof.map_record_inclusion, "map_record_inclusion")?;
        let row = TrustedMap::prove(&checkpoint, &proof.map_record, &map_inclusion)
            .and_then(|map| map.environment(step.environment, &proof.row, &proof.row_proof))
            .map_err(ClientError::Verify)?;
        let sequence = Sequence(looked.sequence().0.saturating_add(1));
        let mismatch = |what| ClientError::Verify(VerifyError::RowMismatch { what });
        let row = row.ok_or(mismatch("the environment"))?;
        let current = row.sequence == sequence;
        if row.sequence < sequence {
            return Err(mismatch("the sequence"));
        }
        if current {
            let own = (*recorded.leaf(), recorded.index(), step.action);
            if own != (row.leaf, row.index, row.action) {
                return Err(mismatch("the leaf hash"));
            }
        }
        let seen = Some((step.environment, row.sequence));
        self.remember(held.as_ref(), &checkpoint, seen, 0).await?;
        Ok(Appended::Yes(Box::new(Receipt {
            environment: step.environment.clone(),
            sequence,
            action: step.action,
            index: recorded.index(),
            leaf_hash: *recorded.leaf(),
            checkpoint_size: recorded.size(),
            current,
            manifest: cairn_proto::hash::DocumentId::of(&step.document),
            artifacts: step.artifacts,
            sent: Sent::default(),
            elapsed,
            between: Vec::new(),
        })))
    }
}

/// The receipt of an entry whose answer was lost, current or overtaken meanwhile.
fn overtaken(
    logged: &Logged,
    artifacts: usize,
    chain: &Chain<'_>,
    looked: &Looked,
) -> Option<Box<Receipt>> {
    let (release, subject) = (logged.release()?, logged.subject?);
    Some(Box::new(Receipt {
        environment: release.environment.clone(),
        sequence: release.sequence,
        action: release.action,
        index: logged.index,
        leaf_hash: logged.leaf,
        checkpoint_size: chain.size()?,
        current: looked.sequence() == release.sequence,
        manifest: subject.blake3,
        artifacts,
        sent: Sent::default(),
        elapsed: Duration::ZERO,
        between: Vec::new(),
    }))
}

fn lost(step: &Step<'_>) -> ClientError {
    ClientError::RaceLost {
        environment: step.environment.clone(),
        between: Vec::new(),
    }
}
