//! Who may sign: the policy in force at a place in the log.
//!
//! One loop for each rule: `named` finds the keys, `authorise` counts them. Admission, the
//! sequencer and verifiers run these two, so no role is counted in two ways.

use super::{PolicyStep, RuleError};
use crate::{
    entry::{Content, Submission},
    hash::{KeyId, LeafHash, Version},
    key::PublicKey,
    name::Environment,
    policy::{NamedKey, Policy},
    statement::{PolicyChange, Release},
    trust::check_keys,
};

/// A submission of which every signature verifies, with a key that the policy it was
/// authenticated under names for the role. Built by [`Authority::authenticate`] and
/// [`authenticate_genesis`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedSubmission {
    submission: Submission,
    signers: Vec<PublicKey>,
}

impl SignedSubmission {
    /// What was signed.
    pub fn submission(&self) -> &Submission {
        &self.submission
    }

    /// Who signed; distinct.
    pub fn signers(&self) -> &[PublicKey] {
        &self.signers
    }

    fn verify(submission: Submission, signers: Vec<PublicKey>) -> Result<Self, RuleError> {
        let verified = submission.envelope().verify(&signers);
        verified.map_err(|_| RuleError::BadSignature)?;
        Ok(Self {
            submission,
            signers,
        })
    }
}

/// The policy in force at some place in a ledger.
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a> {
    ledger: &'a LeafHash,
    step: &'a PolicyStep,
}

impl<'a> Authority<'a> {
    pub(super) fn new(ledger: &'a LeafHash, step: &'a PolicyStep) -> Self {
        Self { ledger, step }
    }

    /// What the policy calls deployers' keys: name, and keyid.
    pub fn deployers_named(&self, keys: &[&PublicKey]) -> Vec<(String, String)> {
        let deployers = &self.step.policy.deployers;
        keys.iter()
            .filter_map(|key| deployers.iter().find(|deployer| deployer.key == **key))
            .map(|deployer| (deployer.name.to_string(), deployer.key.id().to_string()))
            .collect()
    }

    /// The policy, and where it took effect.
    pub fn step(&self) -> &'a PolicyStep {
        self.step
    }

    /// Verifies every signature with a key that the policy names for the role, and that the
    /// signers may do together what they say.
    pub fn authenticate(&self, submission: Submission) -> Result<SignedSubmission, RuleError> {
        let signers = self.named(&submission)?;
        let signed = SignedSubmission::verify(submission, signers)?;
        self.authorise(&signed)?;
        Ok(signed)
    }

    /// The same for a submission authenticated under an earlier policy: its signatures are
    /// known to verify, so only names and counts are looked at again.
    pub(super) fn recheck(&self, signed: &SignedSubmission) -> Result<(), RuleError> {
        self.named(&signed.submission)?;
        self.authorise(signed)
    }

    /// The keys of the signatures, in their order.
    fn named(&self, submission: &Submission) -> Result<Vec<PublicKey>, RuleError> {
        let policy = &self.step.policy;
        match submission.content() {
            Content::Genesis(..) => Err(RuleError::GenesisTwice),
            Content::Policy(change, next) => {
                self.same_ledger(&change.ledger)?;
                self.follows(change, next)?;
                keys_by(submission, |keyid| {
                    let admin = policy.admin(keyid).or_else(|| next.admin(keyid));
                    admin.map(|admin| admin.key)
                })
            }
            Content::Release(release, _) => {
                self.same_ledger(&release.ledger)?;
                keys_by(submission, |keyid| {
                    policy.deployer(keyid).map(|deployer| deployer.key)
                })
            }
        }
    }

    fn same_ledger(&self, found: &LeafHash) -> Result<(), RuleError> {
        if found == self.ledger {
            return Ok(());
        }
        Err(RuleError::WrongLedger {
            found: *found,
            this: *self.ledger,
        })
    }

    /// Whether a policy can be the next one, whoever signs it.
    pub fn follows(&self, change: &PolicyChange, next: &Policy) -> Result<(), RuleError> {
        let expected = Version(self.step.policy.version.0.saturating_add(1));
        for found in [change.version, next.version] {
            if found != expected {
                return Err(RuleError::WrongVersion { found, expected });
            }
        }
        if change.previous != self.step.leaf {
            return Err(RuleError::WrongPrevious {
                found: Some(change.previous),
                expected: Some(self.step.leaf),
            });
        }
        let lifted = self.step.policy.revoked.iter().find(|revocation| {
            let kept = next.revocation(&revocation.key);
            !kept.is_some_and(|kept| kept.is_as_strict_as(revocation))
        });
        match lifted {
            None => Ok(()),
            Some(revocation) => Err(RuleError::RevocationLifted {
                keyid: revocation.key.id(),
            }),
        }
    }

    fn authorise(&self, signed: &SignedSubmission) -> Result<(), RuleError> {
        match signed.submission.content() {
            Content::Genesis(..) => Err(RuleError::GenesisTwice),
            Content::Policy(_, next) => {
                admins_reach(&self.step.policy, &signed.signers)?;
                admins_reach(next, &signed.signers)
            }
            Content::Release(release, _) => {
                deployers_reach(&self.step.policy, release, &signed.signers)
            }
        }
    }
}

/// Authenticates a genesis entry by its own policy document.
pub fn authenticate_genesis(submission: Submission) -> Result<SignedSubmission, RuleError> {
    let Content::Genesis(genesis, policy) = submission.content() else {
        return Err(RuleError::GenesisMissing);
    };
    if policy.version != Version(1) {
        return Err(RuleError::WrongVersion {
            found: policy.version,
            expected: Version(1),
        });
    }
    check_keys(&genesis.origin, &genesis.log_key, &genesis.clock_key)
        .map_err(|_| RuleError::GenesisKeys)?;
    let policy = policy.clone();
    let signers = keys_by(&submission, |keyid| {
        policy.admin(keyid).map(|admin| admin.key)
    })?;
    let signed = SignedSubmission::verify(submission, signers)?;
    admins_reach(&policy, &signed.signers)?;
    Ok(signed)
}

/// Looks up the key of every signature. Keyids are distinct, so the keys are.
fn keys_by(
    submission: &Submission,
    key: impl Fn(&KeyId) -> Option<PublicKey>,
) -> Result<Vec<PublicKey>, RuleError> {
    let signatures = submission.envelope().signatures().iter();
    signatures
        .map(|signature| {
            let keyid = signature.keyid;
            key(&keyid).ok_or(RuleError::UnknownSigner { keyid })
        })
        .collect()
}

fn admins_reach(policy: &Policy, signers: &[PublicKey]) -> Result<(), RuleError> {
    let is_signer = |admin: &&NamedKey| signers.contains(&admin.key);
    let found = policy.admins.iter().filter(is_signer).count();
    if found >= policy.threshold {
        return Ok(());
    }
    Err(RuleError::TooFewSignatures {
        version: policy.version,
        found,
        needed: policy.threshold,
    })
}

fn deployers_reach(
    policy: &Policy,
    release: &Release,
    signers: &[PublicKey],
) -> Result<(), RuleError> {
    let environment: &Environment = &release.environment;
    for key in signers {
        let deployer = policy
            .deployers
            .iter()
            .find(|deployer| deployer.key == *key);
        let deployer = deployer.ok_or(RuleError::UnknownSigner { keyid: key.id() })?;
        if !deployer.may(release.action, environment) {
            return Err(RuleError::SignerNotAllowed {
                signer: deployer.name.clone(),
                action: release.action,
                environment: environment.clone(),
            });
        }
    }
    let needed = policy.approvals(environment);
    if signers.len() >= needed {
        return Ok(());
    }
    Err(RuleError::TooFewApprovals {
        environment: environment.clone(),
        found: signers.len(),
        needed,
    })
}
