//! Recording: a release, a rollback, a retirement, each proven before it is reported.
//!
//! Invariants: a [`Receipt`] is given only for an entry whose very bytes were proven to be
//! in the log and whose map row was proven beside it. To record what is current already
//! makes no entry, so that after a lost answer the same call may be made again.

mod propose;
mod step;
mod upload;

use std::{collections::BTreeMap, time::Duration};

use cairn_proto::{
    hash::{DocumentId, Index, LeafHash, Sequence, TreeSize},
    key::Signer,
    manifest::{Comparison, Manifest},
    name::Environment,
    statement::{Action, Source},
    verify::Current,
};

pub use propose::ProposedRelease;
pub use upload::{Sent, UploadProgress};

use crate::{
    error::ClientError,
    ledger::{Ledger, Looked},
    read::{Logged, Reference},
    sources::{Capture, Content},
};
use step::Step;

/// What is said of an entry beside what it does.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// Why.
    pub reason: Option<String>,
    /// What made it.
    pub source: Option<Source>,
    /// The deployer's own data.
    pub annotations: BTreeMap<String, String>,
    /// Leaf hash of the break-glass order under which fewer sign than the policy asks for.
    pub break_glass: Option<LeafHash>,
}

/// How to append.
#[derive(Clone, Default)]
pub struct Terms<'a> {
    /// Whose keys sign; as many as the policy asks for.
    pub signers: Vec<&'a dyn Signer>,
    /// What is said.
    pub words: Words,
    /// Make an entry even if nothing changes.
    pub again: bool,
    /// The sequence that must be current now (0: none yet). Without it, an entry that comes
    /// in between is built upon; with it, that is an error.
    pub expect: Option<Sequence>,
}

/// What came of recording.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// An entry was made.
    Recorded(Receipt),
    /// It is current already; no entry was made.
    Unchanged(Receipt),
}

impl Outcome {
    /// The receipt of the entry that stands now.
    pub fn receipt(&self) -> &Receipt {
        match self {
            Self::Recorded(receipt) | Self::Unchanged(receipt) => receipt,
        }
    }
}

/// An entry that was proven to stand.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Where.
    pub environment: Environment,
    /// Its place in the environment's chain.
    pub sequence: Sequence,
    /// What it does.
    pub action: Action,
    /// Where it stands in the log.
    pub index: Index,
    /// Its leaf hash.
    pub leaf_hash: LeafHash,
    /// Size of the checkpoint that it was proven under.
    pub checkpoint_size: TreeSize,
    /// Whether it was proven current under that checkpoint: not overtaken by another.
    pub current: bool,
    /// The manifest that it names.
    pub manifest: DocumentId,
    /// Artifacts of the manifest.
    pub artifacts: usize,
    /// What was sent beside it.
    pub sent: Sent,
    /// From sending the entry to its durable, proven answer.
    pub elapsed: Duration,
    /// Releases that others recorded while this one was being made, oldest first.
    pub between: Vec<Logged>,
}

impl Ledger {
    /// Records what was captured as an environment's new release.
    pub async fn record(
        &self,
        environment: &Environment,
        capture: &Capture,
        comparison: Comparison,
        terms: &Terms<'_>,
        progress: &dyn UploadProgress,
    ) -> Result<Outcome, ClientError> {
        let manifest = Manifest::new(capture.artifacts.clone(), capture.compared_by(comparison))?;
        let step = Step::release(environment, &manifest, &capture.contents);
        self.take(&step, &manifest, terms, progress).await
    }

    /// Makes an older release of an environment its newest one.
    pub async fn rollback(
        &self,
        environment: &Environment,
        to: &Reference,
        terms: &Terms<'_>,
    ) -> Result<Outcome, ClientError> {
        if to.environment() != Some(environment) {
            return Err(ClientError::Usage {
                why: format!("{to} is not a release of {environment}"),
            });
        }
        let target = self.resolve(to).await?;
        if target.release.action == Action::Retire {
            return Err(ClientError::NotFound {
                what: format!("a release at {environment}#{}", target.release.sequence),
            });
        }
        let step = Step {
            environment,
            action: Action::Rollback,
            rollback_to: Some(target.release.sequence),
            artifacts: target.manifest.artifacts().len(),
            document: target.document,
            contents: &[] as &[Content],
        };
        self.take(&step, &target.manifest, terms, &()).await
    }

    /// Ends an environment, until it is released to again.
    pub async fn retire(
        &self,
        environment: &Environment,
        terms: &Terms<'_>,
    ) -> Result<Outcome, ClientError> {
        self.retire_step(environment, terms).await
    }

    /// The receipt of the standing release, if recording `manifest` would change nothing.
    fn unchanged(looked: &Looked, manifest: &Manifest) -> Option<Receipt> {
        let Current::Release(approved) = &looked.current else {
            return None;
        };
        let standing = approved.release().action != Action::Retire;
        if !standing || approved.manifest() != manifest {
            return None;
        }
        let evidence = looked.evidence.release.as_ref()?;
        Some(Receipt {
            environment: approved.release().environment.clone(),
            sequence: approved.release().sequence,
            action: approved.release().action,
            index: approved.index(),
            leaf_hash: *approved.leaf(),
            checkpoint_size: looked.checkpoint.head().size(),
            current: true,
            manifest: DocumentId::of(&evidence.manifest),
            artifacts: manifest.artifacts().len(),
            sent: Sent::default(),
            elapsed: Duration::ZERO,
            between: Vec::new(),
        })
    }
}
