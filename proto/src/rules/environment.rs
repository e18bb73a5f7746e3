//! An environment's chain of releases, and the rules that depend on what it holds. SPEC.md
//! sections 7.6 and 7.8.

use super::{Naming, RuleError};
use crate::{
    hash::{ArtifactsDigest, Index, LeafHash, Sequence, Sha256},
    manifest::Manifest,
    merkle::Frontier,
    row::{EnvironmentRow, history_leaf},
    statement::{Action, Approval, Release, Subject},
};

/// One step of an environment, as later rules need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseMark {
    /// Where its entry stands in the log.
    pub index: Index,
    /// What a rollback to it must repeat; a retirement has none.
    pub artifacts: Option<ArtifactsDigest>,
}

/// An environment: its current step, and what the rules need of the steps before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentState {
    /// Leaf hash of the current step's entry.
    pub leaf: LeafHash,
    /// What it does.
    pub action: Action,
    /// The manifest that it names.
    pub manifest: Subject,
    /// Right edge of the history tree.
    pub history: Frontier,
    /// The sha256 of its artifacts, ascending; none when retired.
    pub digests: Vec<Sha256>,
    /// Every step, from sequence 1.
    pub releases: Vec<ReleaseMark>,
    /// Where the approvals of the current step stand.
    pub approvals: Vec<Index>,
}

impl EnvironmentState {
    /// The current sequence.
    pub fn sequence(&self) -> Sequence {
        Sequence(u64::try_from(self.releases.len()).unwrap_or(u64::MAX))
    }

    /// A step of the chain.
    pub fn release(&self, sequence: Sequence) -> Option<&ReleaseMark> {
        let position = usize::try_from(sequence.0.checked_sub(1)?).ok()?;
        self.releases.get(position)
    }

    /// Takes a step that a rule allowed.
    pub(super) fn take(&mut self, index: Index, leaf: &LeafHash, step: &Step) {
        self.leaf = *leaf;
        self.approvals.clear();
        self.action = step.action;
        self.manifest = step.manifest;
        self.history.push(history_leaf(index, leaf));
        self.digests = symmetric_difference(&self.digests, &step.touched);
        self.releases.push(ReleaseMark {
            index,
            artifacts: step.artifacts,
        });
    }

    /// The map row that states it.
    pub fn row(&self) -> EnvironmentRow {
        EnvironmentRow {
            sequence: self.sequence(),
            index: self.releases.last().map_or(Index(0), |mark| mark.index),
            leaf: self.leaf,
            action: self.action,
            history: self.history.root(),
        }
    }
}

/// What a release, a rollback or a retirement makes of its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// The manifest that it names.
    pub manifest: Subject,
    /// What a rollback to it must repeat; a retirement has none.
    pub artifacts: Option<ArtifactsDigest>,
    /// The sha256 that came or went, ascending.
    pub touched: Vec<Sha256>,
    /// The immutable names that it gives.
    pub names: Vec<Naming>,
}

impl Step {
    /// The environment before its first step is this one's doing.
    pub(super) fn begin(&self, leaf: &LeafHash) -> EnvironmentState {
        EnvironmentState {
            leaf: *leaf,
            action: self.action,
            manifest: self.manifest,
            history: Frontier::default(),
            digests: Vec::new(),
            releases: Vec::new(),
            approvals: Vec::new(),
        }
    }
}

/// The rules that depend on what the environment's chain holds; `before` is `None` where it has
/// none.
pub(super) fn follows(
    before: Option<&EnvironmentState>,
    release: &Release,
    manifest: &Manifest,
    subject: &Subject,
) -> Result<(), RuleError> {
    let last = before.map_or(0, |state| state.sequence().0);
    if release.sequence.0 != last.saturating_add(1) {
        return Err(RuleError::WrongSequence {
            environment: release.environment.clone(),
            found: release.sequence,
            expected: Sequence(last.saturating_add(1)),
        });
    }
    let expected = before.map(|state| state.leaf);
    if release.previous != expected {
        return Err(RuleError::WrongPrevious {
            found: release.previous,
            expected,
        });
    }
    match (release.action, release.rollback_to) {
        (Action::Release, _) => Ok(()),
        (Action::Rollback, target) => {
            let target = target.unwrap_or_default();
            let mark = before.and_then(|state| state.release(target));
            let artifacts = mark
                .and_then(|mark| mark.artifacts)
                .ok_or(RuleError::RollbackTarget { target })?;
            let same = artifacts == manifest.artifacts_digest();
            same.then_some(())
                .ok_or(RuleError::RollbackArtifacts { target })
        }
        (Action::Retire, _) => {
            let standing = before.filter(|state| state.action != Action::Retire);
            let standing = standing.ok_or(RuleError::AlreadyRetired)?;
            let same = standing.manifest == *subject;
            same.then_some(()).ok_or(RuleError::RetireManifest)
        }
    }
}

/// The rules for an approval that depend on what the environment's chain holds.
pub(super) fn approves(
    standing: Option<&EnvironmentState>,
    approval: &Approval,
    subject: &Subject,
) -> Result<(), RuleError> {
    let last = standing.map_or(Sequence(0), EnvironmentState::sequence);
    let state = standing.filter(|_| approval.sequence == last);
    let state = state.ok_or_else(|| RuleError::WrongSequence {
        environment: approval.environment.clone(),
        found: approval.sequence,
        expected: last,
    })?;
    if approval.release != state.leaf {
        return Err(RuleError::WrongPrevious {
            found: Some(approval.release),
            expected: Some(state.leaf),
        });
    }
    if state.action == Action::Retire {
        return Err(RuleError::AlreadyRetired);
    }
    if *subject != state.manifest {
        return Err(RuleError::ApprovalManifest);
    }
    let number = u64::try_from(state.approvals.len()).unwrap_or(u64::MAX);
    let expected = number.saturating_add(1);
    if approval.number != expected {
        return Err(RuleError::WrongNumber {
            found: approval.number,
            expected,
        });
    }
    Ok(())
}

/// What is in exactly one of two ascending lists, ascending.
pub(super) fn symmetric_difference(left: &[Sha256], right: &[Sha256]) -> Vec<Sha256> {
    let only = |from: &[Sha256], other: &[Sha256]| -> Vec<Sha256> {
        let missing = |item: &&Sha256| other.binary_search(item).is_err();
        from.iter().filter(missing).copied().collect()
    };
    let mut difference = only(left, right);
    difference.extend(only(right, left));
    difference.sort_unstable();
    difference
}
