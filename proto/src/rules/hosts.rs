//! Hosts: which belongs to which environment. SPEC.md section 7.9.

use std::collections::HashMap;

use super::{Authority, RuleError, SignedSubmission};
use crate::{
    hash::{Index, KeyId, LeafHash},
    host::HostRecord,
    merkle::Frontier,
    name::Environment,
    policy::Right,
    row::{HostRow, history_leaf},
    statement::{Enrolment, Standing, Subject},
};

/// A host, as later rules need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    /// Where its newest entry stands.
    pub index: Index,
    /// Leaf hash of that.
    pub leaf: LeafHash,
    /// What that does.
    pub action: Standing,
    /// The record that it names.
    pub record: Subject,
    /// Where the record says it belongs.
    pub environment: Environment,
    /// Right edge of the history tree.
    pub history: Frontier,
}

/// What an enrolment or a dismissal makes of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStep {
    /// Which host.
    pub host: KeyId,
    /// What it does.
    pub action: Standing,
    /// The record that it names.
    pub record: Subject,
    /// Where the record says it belongs.
    pub environment: Environment,
}

impl HostState {
    /// The map row that states it.
    pub fn row(&self) -> HostRow {
        HostRow {
            number: self.history.size().0,
            index: self.index,
            leaf: self.leaf,
            action: self.action,
            history: self.history.root(),
        }
    }
}

/// Every host that was ever enrolled.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts(HashMap<KeyId, HostState>);

impl Hosts {
    pub(super) fn get(&self, host: &KeyId) -> Option<&HostState> {
        self.0.get(host)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&KeyId, &HostState)> {
        self.0.iter()
    }

    /// What an entry changes, where it follows what stands.
    pub(super) fn follows(
        &self,
        authority: &Authority<'_>,
        signed: &SignedSubmission,
        (enrolment, record): (&Enrolment, &HostRecord),
    ) -> Result<HostStep, RuleError> {
        let step = HostStep {
            host: record.id(),
            action: enrolment.action,
            record: *signed.submission().subject(),
            environment: record.environment.clone(),
        };
        let before = self.0.get(&step.host);
        let number = before.map_or(0, |state| state.history.size().0);
        let expected = number.saturating_add(1);
        if enrolment.number != expected {
            return Err(RuleError::WrongNumber {
                found: enrolment.number,
                expected,
            });
        }
        let last = before.map(|state| state.leaf);
        if enrolment.previous != last {
            return Err(RuleError::WrongPrevious {
                found: enrolment.previous,
                expected: last,
            });
        }
        let standing = before.filter(|state| state.action == Standing::Enrol);
        if step.action == Standing::Dismiss {
            let same = standing.is_some_and(|state| state.record == step.record);
            return same.then_some(step).ok_or(RuleError::HostOther);
        }
        // Who takes a host from an environment must be allowed there as well.
        if let Some(state) = standing {
            authority.all_may(signed.signers(), Right::Enrol, &state.environment)?;
        }
        Ok(step)
    }

    /// Takes what a rule allowed; returns the row.
    pub(super) fn take(&mut self, index: Index, leaf: &LeafHash, step: &HostStep) -> HostRow {
        let state = self.0.entry(step.host).or_insert_with(|| HostState {
            index,
            leaf: *leaf,
            action: step.action,
            record: step.record,
            environment: step.environment.clone(),
            history: Frontier::default(),
        });
        state.index = index;
        state.leaf = *leaf;
        state.action = step.action;
        state.record = step.record;
        state.environment = step.environment.clone();
        state.history.push(history_leaf(index, leaf));
        state.row()
    }
}
