//! What a release comes to once everything of it is proven: approved, or compromised since.
//! SPEC.md section 9, step 6.

use super::{ApprovalEvidence, TrustedMap, VerifyError, recorded::included};
use crate::{
    entry::{Content, Leaf},
    hash::{Index, LeafHash},
    manifest::Manifest,
    policy::Terms,
    rules::{Counted, PolicyChain, RuleError, SignedSubmission},
    statement::{Predicate, Release},
};

/// An approval proven to be in the log, of the release asked about, allowed where it stands.
pub(super) struct ProvenApproval {
    index: Index,
    signed: SignedSubmission,
}

pub(super) fn prove(
    map: &TrustedMap<'_>,
    chain: &PolicyChain,
    (release_index, release): (Index, &SignedSubmission),
    evidence: &ApprovalEvidence,
) -> Result<ProvenApproval, VerifyError> {
    let same = |same: bool, what| same.then_some(()).ok_or(VerifyError::Misplaced { what });
    let no_approval = "what is no approval in place of one";
    let Content::Release(stated, manifest) = release.submission().content() else {
        return Err(VerifyError::RowMismatch { what: "the kind" });
    };
    let (leaf, index) = (LeafHash::of(&evidence.entry), evidence.index);
    let proof = &evidence.inclusion;
    included(map.checkpoint.head(), leaf, index, proof, "the approval")?;
    let Leaf::Entry(entry) = Leaf::decode(&evidence.entry)? else {
        return Err(VerifyError::Misplaced { what: no_approval });
    };
    let Predicate::Approval(approval) = &entry.statement().predicate else {
        return Err(VerifyError::Misplaced { what: no_approval });
    };
    let of = release.submission().leaf();
    same(
        approval.ledger == stated.ledger,
        "an approval of another ledger",
    )?;
    same(approval.release == *of, "an approval of another release")?;
    same(release_index < index, "an approval from before the release")?;
    let environment = &approval.environment;
    let place = (environment, approval.sequence);
    let stated = (&stated.environment, stated.sequence);
    same(place == stated, "an approval for another place")?;
    let submission = entry.with_document(&manifest.encode())?;
    let authority = chain.authority_at(index).ok_or(VerifyError::PolicyChain)?;
    let signed = authority.authenticate(submission)?;
    Ok(ProvenApproval { index, signed })
}

/// What the newest policy leaves of a release that the one in force at its entry allowed.
pub(super) fn judge(
    chain: &PolicyChain,
    index: Index,
    signed: &SignedSubmission,
    approval: Option<&ProvenApproval>,
    now: u64,
) -> Result<Current, VerifyError> {
    let Content::Release(release, manifest) = signed.submission().content() else {
        return Err(VerifyError::RowMismatch { what: "the kind" });
    };
    let leaf = *signed.submission().leaf();
    let terms = chain.terms(&release.environment, now);
    let release = (**release).clone();
    let asked = (&release.environment, release.break_glass);
    let own = chain.standing(index, asked, signed.signers(), now);
    let by = approval.and_then(|approval| {
        let signers = approval.signed.signers();
        let counted = chain.approved(approval.index, &release.environment, signers);
        Some((approval.index, counted.ok()?))
    });
    let (at, counted) = match (own, by) {
        // Enough of its own, for good: nobody else need stand up for it.
        (Ok(counted @ Counted { until: None, .. }), _) => (None, Ok(counted)),
        (_, Some((index, counted))) => (Some(index), Ok(counted)),
        (own, None) => (None, own),
    };
    match counted {
        Ok(counted) => Ok(Current::Release(Box::new(ApprovedRelease {
            index,
            leaf,
            terms,
            signers: chain
                .authority_at(at.unwrap_or(index))
                .ok_or(VerifyError::PolicyChain)?
                .deployers_named(&counted.signers),
            until: counted.until,
            approval: at,
            release,
            manifest: manifest.clone(),
        }))),
        Err(why @ (RuleError::SignerCompromised { .. } | RuleError::BreakGlassExpired { .. })) => {
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
    until: Option<u64>,
    approval: Option<Index>,
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

    /// Whose signatures count: name in the policy then in force, and keyid. Those of the approval
    /// where it stands by one.
    pub fn signers(&self) -> &[(String, String)] {
        &self.signers
    }

    /// Until when (Unix seconds) a break-glass order lets it stand with fewer signatures than the
    /// policy asks for; `None` where it has them.
    pub fn until(&self) -> Option<u64> {
        self.until
    }

    /// Where the approval stands by which it stands, rather than by its own signatures.
    pub fn approval(&self) -> Option<Index> {
        self.approval
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
/// says that a signer's key was compromised by then, and too few others signed; or the break-glass
/// order has expired under which too few signed. No approval makes up for it. Whatever runs
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

    /// Why it does not stand: a [`RuleError::SignerCompromised`] or
    /// [`RuleError::BreakGlassExpired`].
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
