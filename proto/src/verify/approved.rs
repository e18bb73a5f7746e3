//! What a release comes to once everything of it is proven: approved, or compromised since.
//! SPEC.md section 9, step 6.

use super::VerifyError;
use crate::{
    entry::Content,
    hash::{Index, LeafHash},
    manifest::Manifest,
    rules::{Authority, PolicyChain, RuleError, SignedSubmission},
    statement::Release,
};

/// What the newest policy leaves of a release that the one in force at its entry allowed.
pub(super) fn judge(
    chain: &PolicyChain,
    authority: &Authority<'_>,
    index: Index,
    signed: &SignedSubmission,
) -> Result<Current, VerifyError> {
    let Content::Release(release, manifest) = signed.submission().content() else {
        return Err(VerifyError::RowMismatch { what: "the kind" });
    };
    let leaf = *signed.submission().leaf();
    let newest = &chain.current().policy;
    let policy_version = newest.version.0;
    let max_staleness = newest.max_staleness(&release.environment);
    let release = (**release).clone();
    match chain.standing(index, &release.environment, signed.signers()) {
        Ok(standing) => Ok(Current::Release(Box::new(ApprovedRelease {
            index,
            leaf,
            policy_version,
            max_staleness,
            signers: authority.deployers_named(&standing),
            release,
            manifest: manifest.clone(),
        }))),
        Err(why @ RuleError::SignerCompromised { .. }) => {
            Ok(Current::Compromised(Box::new(CompromisedRelease {
                index,
                leaf,
                policy_version,
                max_staleness,
                release,
                manifest: manifest.clone(),
                why,
            })))
        }
        Err(error) => Err(error.into()),
    }
}

/// A release that is recorded, current as of the checkpoint, and was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedRelease {
    index: Index,
    leaf: LeafHash,
    policy_version: u64,
    max_staleness: Option<u64>,
    signers: Vec<(String, String)>,
    release: Release,
    manifest: Manifest,
}

impl ApprovedRelease {
    /// Where its entry stands in the log.
    pub fn index(&self) -> Index {
        self.index
    }

    /// Leaf hash of its entry.
    pub fn leaf(&self) -> &LeafHash {
        &self.leaf
    }

    /// Version of the newest policy.
    pub fn policy_version(&self) -> u64 {
        self.policy_version
    }

    /// Seconds after which the newest policy calls a proof for this environment stale.
    pub fn max_staleness(&self) -> Option<u64> {
        self.max_staleness
    }

    /// Whose signatures count: name in the policy then in force, and keyid.
    pub fn signers(&self) -> &[(String, String)] {
        &self.signers
    }

    /// What they said.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// What the release consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// A release that is recorded and current, and was allowed where it stands; but a policy since
/// says that a signer's key was compromised by then, and too few others signed. Whatever runs
/// it is UNTRUSTED; it is known so that the next release can follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompromisedRelease {
    index: Index,
    leaf: LeafHash,
    policy_version: u64,
    max_staleness: Option<u64>,
    release: Release,
    manifest: Manifest,
    why: RuleError,
}

impl CompromisedRelease {
    /// Where its entry stands in the log.
    pub fn index(&self) -> Index {
        self.index
    }

    /// Leaf hash of its entry.
    pub fn leaf(&self) -> &LeafHash {
        &self.leaf
    }

    /// Version of the newest policy.
    pub fn policy_version(&self) -> u64 {
        self.policy_version
    }

    /// Seconds after which the newest policy calls a proof for this environment stale.
    pub fn max_staleness(&self) -> Option<u64> {
        self.max_staleness
    }

    /// What its signers said.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// What the release consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whose signatures count for nothing: a [`RuleError::SignerCompromised`].
    pub fn why(&self) -> &RuleError {
        &self.why
    }
}

/// What a ledger says of an environment, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    /// Its current release.
    Release(Box<ApprovedRelease>),
    /// Its current release, which nobody may rely on any more.
    Compromised(Box<CompromisedRelease>),
    /// It was never released to. Carries the policy's version.
    Absent {
        /// Version of the newest policy.
        policy_version: u64,
        /// Seconds after which it calls a proof for this environment stale.
        max_staleness: Option<u64>,
    },
}

impl Current {
    /// The statement of the current entry, whether or not it can be relied on, with its leaf
    /// hash: what the next one follows.
    pub fn last(&self) -> Option<(&Release, &LeafHash)> {
        match self {
            Self::Release(approved) => Some((&approved.release, &approved.leaf)),
            Self::Compromised(compromised) => Some((&compromised.release, &compromised.leaf)),
            Self::Absent { .. } => None,
        }
    }

    /// Version of the newest policy.
    pub fn policy_version(&self) -> u64 {
        match self {
            Self::Release(approved) => approved.policy_version,
            Self::Compromised(compromised) => compromised.policy_version,
            Self::Absent { policy_version, .. } => *policy_version,
        }
    }

    /// Seconds after which the newest policy calls a proof for this environment stale.
    pub fn max_staleness(&self) -> Option<u64> {
        match self {
            Self::Release(approved) => approved.max_staleness,
            Self::Compromised(compromised) => compromised.max_staleness,
            Self::Absent { max_staleness, .. } => *max_staleness,
        }
    }
}
