//! What a release comes to once everything of it is proven: approved, or compromised since.
//! SPEC.md section 9, step 6.

use super::VerifyError;
use crate::{
    entry::Content,
    hash::{Index, LeafHash},
    manifest::Manifest,
    policy::Terms,
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
    let terms = newest.terms(&release.environment);
    let release = (**release).clone();
    match chain.standing(index, &release.environment, signed.signers()) {
        Ok(standing) => Ok(Current::Release(Box::new(ApprovedRelease {
            index,
            leaf,
            terms,
            signers: authority.deployers_named(&standing),
            release,
            manifest: manifest.clone(),
        }))),
        Err(why @ RuleError::SignerCompromised { .. }) => {
            Ok(Current::Compromised(Box::new(CompromisedRelease {
                index,
                leaf,
                terms,
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
    terms: Terms,
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

    /// What the newest policy asks of a proof for this environment.
    pub fn terms(&self) -> &Terms {
        &self.terms
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
    terms: Terms,
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

    /// What the newest policy asks of a proof for this environment.
    pub fn terms(&self) -> &Terms {
        &self.terms
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
    /// It was never released to.
    Absent(Terms),
}

impl Current {
    /// The statement of the current entry, whether or not it can be relied on, with its leaf
    /// hash: what the next one follows.
    pub fn last(&self) -> Option<(&Release, &LeafHash)> {
        match self {
            Self::Release(approved) => Some((&approved.release, &approved.leaf)),
            Self::Compromised(compromised) => Some((&compromised.release, &compromised.leaf)),
            Self::Absent(_) => None,
        }
    }

    /// What the newest policy asks of a proof for this environment.
    pub fn terms(&self) -> &Terms {
        match self {
            Self::Release(approved) => &approved.terms,
            Self::Compromised(compromised) => &compromised.terms,
            Self::Absent(terms) => terms,
        }
    }
}
