//! The chain of the admins' orders, and what each does. SPEC.md section 7.7.

use std::collections::HashMap;

use super::{PolicyChain, RuleError};
use crate::{
    checkpoint::SignedCheckpoint,
    hash::{ContentId, Index, LeafHash, RootHash},
    limits::BREAK_GLASS_MILLIS_MAX,
    manifest::{Bytes, Manifest},
    merkle::Frontier,
    name::Environment,
    order::{BreakGlass, KeySuccession, OrderDocument},
    row::{OrdersRow, history_leaf},
    statement::{Action, Order, Release},
    trust::{Era, Keys},
};

/// One order, and where it took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderStep {
    /// Index of its entry: it is in force from the next one on.
    pub index: Index,
    /// Leaf hash of its entry.
    pub leaf: LeafHash,
    /// The document.
    pub order: OrderDocument,
}

/// Orders in the order of the log. A verifier of one release holds those that were proven to it;
/// everybody else holds all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Orders {
    steps: Vec<OrderStep>,
    history: Frontier,
    erased: HashMap<ContentId, Index>,
}

impl Orders {
    pub(super) fn steps(&self) -> &[OrderStep] {
        &self.steps
    }

    /// An order by the leaf hash of its entry.
    pub(super) fn named(&self, leaf: &LeafHash) -> Option<&OrderStep> {
        self.steps.iter().find(|step| step.leaf == *leaf)
    }

    pub(super) fn take(&mut self, step: OrderStep) {
        self.history.push(history_leaf(step.index, &step.leaf));
        if let OrderDocument::Redaction(redaction) = &step.order {
            let contents = redaction.contents.iter();
            self.erased.extend(contents.map(|id| (*id, step.index)));
        }
        self.steps.push(step);
    }

    /// `None` where there was no order yet.
    pub(super) fn row(&self) -> Option<OrdersRow> {
        let last = self.steps.last()?;
        Some(OrdersRow {
            number: self.history.size().0,
            index: last.index,
            leaf: last.leaf,
            history: self.history.root(),
        })
    }

    /// Whether an order has the next place.
    pub(super) fn follows(&self, order: &Order) -> Result<(), RuleError> {
        let expected = self.history.size().0.saturating_add(1);
        if order.number != expected {
            return Err(RuleError::WrongNumber {
                found: order.number,
                expected,
            });
        }
        let last = self.steps.last().map(|step| step.leaf);
        if order.previous != last {
            return Err(RuleError::WrongPrevious {
                found: order.previous,
                expected: last,
            });
        }
        Ok(())
    }

    /// Which order erased a content.
    pub(super) fn erased(&self, content: &ContentId) -> Option<Index> {
        self.erased.get(content).copied()
    }

    /// The break-glass order that a release names, of those before an index.
    pub(super) fn glass(
        &self,
        environment: &Environment,
        named: LeafHash,
        before: Index,
    ) -> Result<&BreakGlass, RuleError> {
        let step = self.named(&named);
        match step.map(|step| (step.index, &step.order)) {
            Some((index, OrderDocument::BreakGlass(glass)))
                if index < before && glass.environments.matches(environment) =>
            {
                Ok(glass)
            }
            _ => Err(RuleError::BreakGlassUnknown),
        }
    }
}

/// The place at which an order would stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) index: Index,
    /// Root of the log before it.
    pub(super) root: RootHash,
    /// Unix milliseconds of the last map record before it.
    pub(super) time: u64,
}

impl PolicyChain {
    /// What depends on the state beside signatures and place.
    pub(super) fn order_holds(&self, order: &OrderDocument, at: &Place) -> Result<(), RuleError> {
        match order {
            OrderDocument::Redaction(redaction) => {
                let mut contents = redaction.contents.iter();
                match contents.find_map(|id| Some((*id, self.erased(id)?))) {
                    None => Ok(()),
                    Some((content, index)) => Err(RuleError::AlreadyErased { content, index }),
                }
            }
            OrderDocument::BreakGlass(glass) => {
                let expires = glass.expires.saturating_mul(1_000);
                let last = at.time.saturating_add(BREAK_GLASS_MILLIS_MAX);
                let fits = at.time < expires && expires <= last;
                fits.then_some(()).ok_or(RuleError::BreakGlassExpired {
                    expires: glass.expires,
                })
            }
            OrderDocument::KeySuccession(succession) => {
                let trust = self.identity().ok_or(RuleError::GenesisKeys)?;
                let taken_over = trust.clone().succeeded_by(succession.era(at.index));
                taken_over.map_err(|_| RuleError::SuccessionKeys)?;
                let head = SignedCheckpoint::parse(succession.head.as_bytes());
                let head = head.and_then(|note| note.authenticate(&trust, u64::MAX));
                let head = head.map_err(|_| RuleError::SuccessionHead)?;
                let fits = head.size().0 == at.index.0 && *head.root() == at.root;
                fits.then_some(()).ok_or(RuleError::SuccessionHead)
            }
        }
    }

    /// Nothing that a release stores was erased; a retirement stores nothing.
    pub(super) fn nothing_erased(
        &self,
        release: &Release,
        manifest: &Manifest,
    ) -> Result<(), RuleError> {
        if release.action == Action::Retire {
            return Ok(());
        }
        let stored = manifest
            .artifacts()
            .iter()
            .filter_map(|it| match &it.bytes {
                Bytes::Stored { digests, .. } => Some((&it.name, digests.blake3)),
                _ => None,
            });
        let mut erased = stored.filter_map(|(name, id)| Some((name, id, self.erased(&id)?)));
        match erased.next() {
            None => Ok(()),
            Some((name, content, index)) => Err(RuleError::ContentErased {
                name: name.clone(),
                content,
                index,
            }),
        }
    }
}

impl KeySuccession {
    /// The keys that take over by this order at an index.
    pub fn era(&self, index: Index) -> Era {
        Era {
            after: crate::hash::TreeSize(index.0),
            keys: Keys {
                log: self.log_key.clone(),
                clock: self.clock_key.clone(),
            },
        }
    }
}
