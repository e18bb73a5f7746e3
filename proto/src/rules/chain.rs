//! The chain of policies, from genesis on, and what the newest leaves of older signatures.

use super::{Authority, RuleError, SignedSubmission};
use crate::{
    entry::Content,
    hash::{Index, LeafHash, RootHash},
    key::PublicKey,
    merkle::Frontier,
    name::{Environment, Origin},
    note::VerifierKey,
    policy::Policy,
    row::{PolicyRow, history_leaf},
    statement::Genesis,
    trust::Trust,
};

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
        let Content::Genesis(genesis, policy) = signed.submission().content() else {
            return Err(RuleError::GenesisMissing);
        };
        let first = PolicyStep {
            index: Index(0),
            leaf: *signed.submission().leaf(),
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
        let Content::Policy(_, policy) = signed.submission().content() else {
            return Err(RuleError::GenesisTwice);
        };
        let leaf = *signed.submission().leaf();
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
        Authority::new(self.ledger(), self.current())
    }

    /// What the newest policy leaves of the signatures on the release at `index`, which the
    /// policy then in force allowed: the signers that count, if they are still enough.
    pub fn standing<'a>(
        &self,
        index: Index,
        environment: &Environment,
        signers: &'a [PublicKey],
    ) -> Result<Vec<&'a PublicKey>, RuleError> {
        let newest = &self.current().policy;
        let (struck, standing): (Vec<_>, Vec<_>) = signers.iter().partition(|key| {
            let revocation = newest.revocation(key);
            revocation.is_some_and(|revocation| revocation.strikes(index))
        });
        let authority = self.authority_at(index).ok_or(RuleError::GenesisTwice)?;
        let policy = &authority.step().policy;
        let needed = policy.approvals(environment);
        if struck.is_empty() || standing.len() >= needed {
            return Ok(standing);
        }
        let names = struck.iter().filter_map(|key| {
            let deployer = policy.deployers.iter().find(|it| it.key == **key);
            deployer.map(|deployer| deployer.name.clone())
        });
        Err(RuleError::SignerCompromised {
            index,
            struck: names.collect(),
            remaining: standing.len(),
            needed,
        })
    }

    /// The rules for the entry at `index`; `None` for the genesis entry itself.
    pub fn authority_at(&self, index: Index) -> Option<Authority<'_>> {
        let step = self.steps().rev().find(|step| step.index < index)?;
        Some(Authority::new(self.ledger(), step))
    }
}
