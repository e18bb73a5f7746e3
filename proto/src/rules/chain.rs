//! The chain of policies, from genesis on, with the admins' orders beside it, and what the newest
//! policy leaves of older signatures.

use super::{
    Authority, OrderStep, RuleError, SignedSubmission,
    authority::Suffices,
    orders::{Orders, Place},
};
use crate::{
    entry::{Content, Submission},
    hash::{ContentId, Index, LeafHash, RootHash},
    key::PublicKey,
    merkle::Frontier,
    name::{Environment, Origin},
    order::OrderDocument,
    policy::{Policy, Terms},
    row::{OrdersRow, PolicyRow, history_leaf},
    statement::Genesis,
    trust::{Keys, Trust},
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
    orders: Orders,
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
            orders: Orders::default(),
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

    /// The keys that the genesis entry names.
    pub fn first_keys(&self) -> Keys {
        Keys {
            log: self.genesis.log_key.clone(),
            clock: self.genesis.clock_key.clone(),
        }
    }

    /// What to pin to recognise this ledger, with the keys that took over since; for showing to a
    /// person who decides.
    pub fn identity(&self) -> Option<Trust> {
        let Keys { log, clock } = self.first_keys();
        let mut trust = Trust::new(self.origin().clone(), log, clock, self.first.leaf).ok()?;
        for step in self.orders() {
            if let OrderDocument::KeySuccession(order) = &step.order {
                trust = trust.succeeded_by(order.era(step.index)).ok()?;
            }
        }
        Some(trust)
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
        let next = Index(u64::MAX);
        Authority::new(self.ledger(), self.current(), &self.orders, next)
    }

    /// What the newest policy leaves of the signatures on the release at `index`, which the
    /// policy then in force allowed: the signers that count, if they are still enough at `now`
    /// (Unix seconds). Of the release it needs the environment, and the order that it names.
    pub fn standing<'a>(
        &self,
        index: Index,
        release: (&Environment, Option<LeafHash>),
        signers: &'a [PublicKey],
        now: u64,
    ) -> Result<Counted<'a>, RuleError> {
        let authority = self.authority_at(index).ok_or(RuleError::GenesisTwice)?;
        let (struck, signers) = self.parted(index, signers);
        match authority.suffices(release, signers.len())? {
            Suffices::ForGood => Ok(Counted {
                signers,
                until: None,
            }),
            Suffices::Until(expires) if now < expires => Ok(Counted {
                signers,
                until: Some(expires),
            }),
            Suffices::Until(expires) => Err(RuleError::BreakGlassExpired { expires }),
            Suffices::No { needed } => {
                Err(authority.compromised(index, &struck, signers.len(), needed))
            }
        }
    }

    /// The same for an approval at `index`: by the policy alone.
    pub fn approved<'a>(
        &self,
        index: Index,
        environment: &Environment,
        signers: &'a [PublicKey],
    ) -> Result<Counted<'a>, RuleError> {
        let authority = self.authority_at(index).ok_or(RuleError::GenesisTwice)?;
        let (struck, signers) = self.parted(index, signers);
        let needed = authority.step().policy.approvals(environment);
        if signers.len() >= needed {
            let until = None;
            return Ok(Counted { signers, until });
        }
        Err(authority.compromised(index, &struck, signers.len(), needed))
    }

    /// The same for an enrolment at `index`: one is enough.
    pub fn enrolled<'a>(
        &self,
        index: Index,
        signers: &'a [PublicKey],
    ) -> Result<Counted<'a>, RuleError> {
        let authority = self.authority_at(index).ok_or(RuleError::GenesisTwice)?;
        let (struck, signers) = self.parted(index, signers);
        if signers.is_empty() {
            return Err(authority.compromised(index, &struck, 0, 1));
        }
        let until = None;
        Ok(Counted { signers, until })
    }

    /// Those whose signatures on the entry at `index` count for nothing, and the others.
    fn parted<'a>(
        &self,
        index: Index,
        signers: &'a [PublicKey],
    ) -> (Vec<&'a PublicKey>, Vec<&'a PublicKey>) {
        let newest = &self.current().policy;
        signers.iter().partition(|key| {
            let revocation = newest.revocation(key);
            revocation.is_some_and(|revocation| revocation.strikes(index))
        })
    }

    /// The rules for the entry at `index`; `None` for the genesis entry itself.
    pub fn authority_at(&self, index: Index) -> Option<Authority<'_>> {
        let step = self.steps().rev().find(|step| step.index < index)?;
        Some(Authority::new(self.ledger(), step, &self.orders, index))
    }

    /// What the newest policy asks of a proof for an environment at `now` (Unix seconds), less
    /// what a break-glass order allows that is known here and has not expired.
    pub fn terms(&self, environment: &Environment, now: u64) -> Terms {
        let mut terms = self.current().policy.terms(environment);
        let Some(usual) = terms.max_staleness else {
            return terms;
        };
        for step in self.orders() {
            let OrderDocument::BreakGlass(glass) = &step.order else {
                continue;
            };
            let holds = now < glass.expires && glass.environments.matches(environment);
            let longer = glass.max_staleness.filter(|_| holds);
            if longer > terms.max_staleness.max(Some(usual)) {
                terms.max_staleness = longer;
                terms.eased_by = Some(step.index);
            }
        }
        terms
    }

    /// Every order that is known here, in the order of the log.
    pub fn orders(&self) -> &[OrderStep] {
        self.orders.steps()
    }

    /// An order that is known here, by the leaf hash of its entry.
    pub fn order(&self, leaf: &LeafHash) -> Option<&OrderStep> {
        self.orders.named(leaf)
    }

    /// The map row that states the orders; `None` before the first.
    pub fn orders_row(&self) -> Option<OrdersRow> {
        self.orders.row()
    }

    /// Which order erased a content.
    pub fn erased(&self, content: &ContentId) -> Option<Index> {
        self.orders.erased(content)
    }

    /// Takes the next order, whose entry stands at that place.
    pub(super) fn take_order(
        &mut self,
        signed: &SignedSubmission,
        at: &Place,
    ) -> Result<(), RuleError> {
        self.authority().recheck(signed)?;
        let Content::Order(order, document) = signed.submission().content() else {
            return Err(RuleError::GenesisTwice);
        };
        self.orders.follows(order)?;
        self.order_holds(document, at)?;
        self.orders.take(OrderStep {
            index: at.index,
            leaf: *signed.submission().leaf(),
            order: document.clone(),
        });
        Ok(())
    }

    /// Takes an order at an index of which nothing before it need be known: who signed it might,
    /// by the policy then in force. Orders come in the order of the log.
    ///
    /// What its place and the state there say of it is not looked at: that is for those who
    /// replay the log (section 7.7).
    pub fn adopt_order(&mut self, index: Index, submission: Submission) -> Result<(), RuleError> {
        let last = self.orders.steps().last().map(|step| step.index);
        let authority = self.authority_at(index).filter(|_| last < Some(index));
        let authority = authority.ok_or(RuleError::GenesisTwice)?;
        let signed = authority.authenticate(submission)?;
        let Content::Order(_, document) = signed.submission().content() else {
            return Err(RuleError::GenesisTwice);
        };
        let step = OrderStep {
            index,
            leaf: *signed.submission().leaf(),
            order: document.clone(),
        };
        self.orders.take(step);
        Ok(())
    }
}

/// Signers of a release that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<'a> {
    /// Who.
    pub signers: Vec<&'a PublicKey>,
    /// Until when they are enough (Unix seconds), where that is by a break-glass order.
    pub until: Option<u64>,
}
