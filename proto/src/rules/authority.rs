//! Who may sign: the policy in force at a place in the log.
//!
//! One loop for each rule: `named` finds the keys, `authorise` counts them. Admission, the
//! sequencer and verifiers run these two, so no role is counted in two ways.

use super::{PolicyStep, RuleError, orders::Orders};
use crate::{
    entry::{Content, Submission},
    hash::{Index, KeyId, LeafHash, Version},
    key::PublicKey,
    name::Environment,
    policy::{NamedKey, Policy, Right},
    statement::PolicyChange,
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
    orders: &'a Orders,
    /// Where the entry stands that it is asked about: only what is before it counts.
    index: Index,
}

impl<'a> Authority<'a> {
    pub(super) fn new(
        ledger: &'a LeafHash,
        step: &'a PolicyStep,
        orders: &'a Orders,
        index: Index,
    ) -> Self {
        Self {
            ledger,
            step,
            orders,
            index,
        }
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
            Content::Release(release, _) => self.deployers(submission, &release.ledger),
            Content::Approval(approval, _) => self.deployers(submission, &approval.ledger),
            Content::Enrolment(enrolment, _) => self.deployers(submission, &enrolment.ledger),
            Content::Order(order, _) => {
                self.same_ledger(&order.ledger)?;
                keys_by(submission, |keyid| {
                    policy.admin(keyid).map(|admin| admin.key)
                })
            }
        }
    }

    fn deployers(
        &self,
        submission: &Submission,
        ledger: &LeafHash,
    ) -> Result<Vec<PublicKey>, RuleError> {
        self.same_ledger(ledger)?;
        keys_by(submission, |keyid| {
            let deployer = self.step.policy.deployer(keyid);
            deployer.map(|deployer| deployer.key)
        })
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
                let environment = &release.environment;
                self.all_may(&signed.signers, release.action.into(), environment)?;
                let needed = self.needed(environment, release.break_glass)?;
                enough(environment, signed.signers.len(), needed)
            }
            Content::Approval(approval, _) => {
                let environment = &approval.environment;
                self.all_may(&signed.signers, Right::Release, environment)?;
                let needed = self.step.policy.approvals(environment);
                enough(environment, signed.signers.len(), needed)
            }
            Content::Enrolment(_, record) => {
                self.all_may(&signed.signers, Right::Enrol, &record.environment)
            }
            Content::Order(..) => admins_reach(&self.step.policy, &signed.signers),
        }
    }

    /// How many deployers a release takes: as many as the policy says, or fewer by the order that
    /// it names.
    fn needed(
        &self,
        environment: &Environment,
        named: Option<LeafHash>,
    ) -> Result<usize, RuleError> {
        let needed = self.step.policy.approvals(environment);
        let Some(named) = named else {
            return Ok(needed);
        };
        let glass = self.orders.glass(environment, named, self.index)?;
        Ok(glass.approvals.map_or(needed, |less| less.min(needed)))
    }

    /// Too few signers of the entry at `index` count, because these do not.
    pub(super) fn compromised(
        &self,
        index: Index,
        struck: &[&PublicKey],
        remaining: usize,
        needed: usize,
    ) -> RuleError {
        let deployers = &self.step.policy.deployers;
        let names = struck.iter().filter_map(|key| {
            let deployer = deployers.iter().find(|it| it.key == **key);
            deployer.map(|deployer| deployer.name.clone())
        });
        RuleError::SignerCompromised {
            index,
            struck: names.collect(),
            remaining,
            needed,
        }
    }

    /// How many of the signers of a release are enough where so many count, and until when
    /// (Unix seconds) if that is by a break-glass order alone.
    pub(super) fn suffices(
        &self,
        (environment, named): (&Environment, Option<LeafHash>),
        counting: usize,
    ) -> Result<Suffices, RuleError> {
        let usual = self.step.policy.approvals(environment);
        if counting >= usual {
            return Ok(Suffices::ForGood);
        }
        let enough = counting > 0 && counting >= self.needed(environment, named)?;
        let Some(named) = named.filter(|_| enough) else {
            return Ok(Suffices::No { needed: usual });
        };
        let glass = self.orders.glass(environment, named, self.index)?;
        Ok(Suffices::Until(glass.expires))
    }

    /// Every one of these deployers may do this there.
    pub(super) fn all_may(
        &self,
        signers: &[PublicKey],
        right: Right,
        environment: &Environment,
    ) -> Result<(), RuleError> {
        for key in signers {
            let mut deployers = self.step.policy.deployers.iter();
            let deployer = deployers.find(|deployer| deployer.key == *key);
            let deployer = deployer.ok_or(RuleError::UnknownSigner { keyid: key.id() })?;
            if !deployer.may(right, environment) {
                return Err(RuleError::SignerNotAllowed {
                    signer: deployer.name.clone(),
                    right,
                    environment: environment.clone(),
                });
            }
        }
        Ok(())
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

fn enough(environment: &Environment, found: usize, needed: usize) -> Result<(), RuleError> {
    if found >= needed {
        return Ok(());
    }
    Err(RuleError::TooFewApprovals {
        environment: environment.clone(),
        found,
        needed,
    })
}

/// Whether so many of a release's signers are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffices {
    /// The policy in force at the entry says so.
    ForGood,
    /// A break-glass order says so, until then.
    Until(u64),
    /// So many would be.
    No {
        /// By the policy.
        needed: usize,
    },
}
