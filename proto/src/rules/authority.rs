//! Who may sign: the chain of policies, and the policy in force at a place in the log.
//!
//! One loop for each rule: `named` finds the keys, `authorise` counts them. Admission, the
//! sequencer and verifiers run these two, so no role is counted in two ways.

use super::RuleError;
use crate::{
    entry::{Content, Submission},
    hash::{Index, KeyId, LeafHash, RootHash, Version},
    key::PublicKey,
    merkle::Frontier,
    name::{Environment, Origin},
    note::VerifierKey,
    policy::{NamedKey, Policy},
    row::{PolicyRow, history_leaf},
    statement::{Genesis, PolicyChange, Release},
    trust::{Trust, check_keys},
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

/// One version of the policy, and where it took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStep {
    /// Index of its entry: it is in force from the next one on.
    pub index: Index,
    /// Leaf hash of its entry.
    pub leaf: LeafHash,
    /// The document.
    pub policy: Policy,
}

/// Every policy from genesis on, each allowed by the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChain {
    genesis: Genesis,
    first: PolicyStep,
    later: Vec<PolicyStep>,
    history: Frontier,
}

impl PolicyChain {
    /// Begins with an authenticated genesis entry, which stands at index 0.
    pub fn begin(signed: &SignedSubmission) -> Result<Self, RuleError> {
        let Content::Genesis(genesis, policy) = signed.submission.content() else {
            return Err(RuleError::GenesisMissing);
        };
        let first = PolicyStep {
            index: Index(0),
            leaf: *signed.submission.leaf(),
            policy: policy.clone(),
        };
        let mut history = Frontier::default();
        history.push(history_leaf(first.index, &first.leaf));
        Ok(Self {
            genesis: (**genesis).clone(),
            first,
            later: Vec::new(),
            history,
        })
    }

    /// Appends the next version, whose entry stands at `index`.
    pub fn extend(&mut self, index: Index, signed: &SignedSubmission) -> Result<(), RuleError> {
        self.authority().recheck(signed)?;
        let Content::Policy(_, policy) = signed.submission.content() else {
            return Err(RuleError::GenesisTwice);
        };
        let leaf = *signed.submission.leaf();
        self.history.push(history_leaf(index, &leaf));
        self.later.push(PolicyStep {
            index,
            leaf,
            policy: policy.clone(),
        });
        Ok(())
    }

    /// Leaf hash of the genesis entry: the ledger's identity.
    pub fn ledger(&self) -> &LeafHash {
        &self.first.leaf
    }

    /// The ledger's name.
    pub fn origin(&self) -> &Origin {
        &self.genesis.origin
    }

    /// The key that signs checkpoints.
    pub fn log_key(&self) -> &VerifierKey {
        &self.genesis.log_key
    }

    /// The key that bounds their age.
    pub fn clock_key(&self) -> &VerifierKey {
        &self.genesis.clock_key
    }

    /// What to pin to recognise this ledger; for showing to a person who decides.
    pub fn identity(&self) -> Option<Trust> {
        let genesis = &self.genesis;
        let keys = (genesis.log_key.clone(), genesis.clock_key.clone());
        Trust::new(genesis.origin.clone(), keys.0, keys.1, self.first.leaf).ok()
    }

    /// Every version, ascending.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &PolicyStep> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// The newest version.
    pub fn current(&self) -> &PolicyStep {
        self.later.last().unwrap_or(&self.first)
    }

    /// The map row that states this chain.
    pub fn row(&self) -> PolicyRow {
        let current = self.current();
        PolicyRow {
            version: current.policy.version,
            index: current.index,
            leaf: current.leaf,
            history: self.history_root(),
        }
    }

    /// Root over (index, leaf hash) of every version.
    pub fn history_root(&self) -> RootHash {
        self.history.root()
    }

    /// The rules that the newest policy sets.
    pub fn authority(&self) -> Authority<'_> {
        Authority {
            ledger: self.ledger(),
            step: self.current(),
        }
    }

    /// The rules for the entry at `index`; `None` for the genesis entry itself.
    pub fn authority_at(&self, index: Index) -> Option<Authority<'_>> {
        let step = self.steps().rev().find(|step| step.index < index)?;
        Some(Authority {
            ledger: self.ledger(),
            step,
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

    fn follows(&self, change: &PolicyChange, next: &Policy) -> Result<(), RuleError> {
        let expected = Version(self.step.policy.version.0.saturating_add(1));
        for found in [change.version, next.version] {
            if found != expected {
                return Err(RuleError::WrongVersion { found, expected });
            }
        }
        if change.previous == self.step.leaf {
            return Ok(());
        }
        Err(RuleError::WrongPrevious {
            found: Some(change.previous),
            expected: Some(self.step.leaf),
        })
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
