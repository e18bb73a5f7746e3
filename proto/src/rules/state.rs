//! The ledger's state: a pure function of its leaves and their documents.

use std::{collections::HashMap, sync::Arc};

use super::{Naming, PolicyChain, RuleError, SignedSubmission, authenticate_genesis, names::Names};
use crate::{
    entry::{Content, MapRecord, Submission},
    hash::{ArtifactsDigest, Index, LeafHash, Sequence, Sha256, TreeSize},
    manifest::Manifest,
    map::Map,
    merkle::Frontier,
    name::Environment,
    row::{DigestRow, EnvironmentRow, Row, RowName, history_leaf},
    statement::{Action, Release, Subject},
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
        }
    }
}

/// What an applied entry changed: the rows to write down again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effect {
    /// The policy's row, and the chain.
    pub policy: bool,
    /// This environment.
    pub environment: Option<Environment>,
    /// These digest rows.
    pub digests: Vec<Sha256>,
    /// These immutable names.
    pub names: Vec<Naming>,
}

/// Everything that the rules read, and the map over it.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) size: u64,
    pub(super) time: u64,
    pub(super) chain: Option<Arc<PolicyChain>>,
    pub(super) environments: HashMap<Environment, EnvironmentState>,
    pub(super) names: Names,
    pub(super) map: Map,
}

impl State {
    /// The state before the first leaf.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves so far.
    pub fn size(&self) -> TreeSize {
        TreeSize(self.size)
    }

    /// Time of the last map record, Unix milliseconds.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The policies; `None` before genesis.
    pub fn chain(&self) -> Option<&Arc<PolicyChain>> {
        self.chain.as_ref()
    }

    /// An environment.
    pub fn environment(&self, name: &Environment) -> Option<&EnvironmentState> {
        self.environments.get(name)
    }

    /// Every environment, in no order.
    pub fn environments(&self) -> impl Iterator<Item = (&Environment, &EnvironmentState)> {
        self.environments.iter()
    }

    /// The map, as of the last entry.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Authenticates the next leaf: a genesis entry by its own policy where nothing stands
    /// before it, everything else by the policy in force.
    pub fn authenticate(&self, submission: Submission) -> Result<SignedSubmission, RuleError> {
        match (&self.chain, self.size, submission.content()) {
            (Some(chain), ..) => chain.authority().authenticate(submission),
            (None, 0, _) => authenticate_genesis(submission),
            // Leaf 0 was refused: no ledger can begin any more.
            (None, _, Content::Genesis(..)) => Err(RuleError::GenesisTwice),
            (None, ..) => Err(RuleError::GenesisMissing),
        }
    }

    /// Applies the next leaf, an entry; refused, it changes nothing.
    pub fn apply(&mut self, signed: &SignedSubmission) -> Result<Effect, RuleError> {
        let index = Index(self.size);
        let effect = match signed.submission().content() {
            Content::Genesis(..) => self.apply_genesis(signed)?,
            Content::Policy(..) => {
                let chain = self.chain.as_mut().ok_or(RuleError::GenesisMissing)?;
                let mut longer = (**chain).clone();
                longer.extend(index, signed)?;
                *chain = Arc::new(longer);
                self.policy_row()
            }
            Content::Release(release, manifest) => {
                let chain = self.chain.as_ref().ok_or(RuleError::GenesisMissing)?;
                chain.authority().recheck(signed)?;
                self.follows(release, manifest, signed.submission().subject())?;
                let names = self.names.given(release, manifest)?;
                self.apply_release(index, signed, (release, manifest), names)
            }
        };
        self.size = self.size.saturating_add(1);
        Ok(effect)
    }

    /// Passes over a leaf that broke a rule: it takes an index and changes nothing else.
    pub fn ignore(&mut self) {
        self.size = self.size.saturating_add(1);
    }

    fn apply_genesis(&mut self, signed: &SignedSubmission) -> Result<Effect, RuleError> {
        if self.size != 0 || self.chain.is_some() {
            return Err(RuleError::GenesisTwice);
        }
        self.chain = Some(Arc::new(PolicyChain::begin(signed)?));
        Ok(self.policy_row())
    }

    fn policy_row(&mut self) -> Effect {
        if let Some(chain) = &self.chain {
            let row = Row::Policy(chain.row());
            self.map.insert(RowName::Policy.key(), row);
        }
        Effect {
            policy: true,
            ..Effect::default()
        }
    }

    /// The rules that depend on what the environment's chain holds.
    fn follows(
        &self,
        release: &Release,
        manifest: &Manifest,
        subject: &Subject,
    ) -> Result<(), RuleError> {
        let before = self.environments.get(&release.environment);
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

    fn apply_release(
        &mut self,
        index: Index,
        signed: &SignedSubmission,
        (release, manifest): (&Release, &Manifest),
        names: Vec<Naming>,
    ) -> Effect {
        let leaf = *signed.submission().leaf();
        let subject = *signed.submission().subject();
        let retired = release.action == Action::Retire;
        let digests: Vec<Sha256> = if retired {
            Vec::new()
        } else {
            manifest.sha256_set().into_iter().collect()
        };
        let before = self.environments.get(&release.environment);
        let step = Step {
            action: release.action,
            manifest: subject,
            artifacts: (!retired).then(|| manifest.artifacts_digest()),
            touched: match before {
                Some(state) => symmetric_difference(&state.digests, &digests),
                None => digests,
            },
            names,
        };
        let state = self.environments.entry(release.environment.clone());
        let state = state.or_insert_with(|| step.begin(&leaf));
        state.take(index, &leaf, &step);
        self.names.take(index, &step.names);
        let touched = step.touched;
        let name = RowName::Environment(&release.environment);
        self.map.insert(name.key(), Row::Environment(state.row()));
        for sha256 in &touched {
            let key = RowName::Digest(sha256).key();
            let before = match self.map.get(&key) {
                Some(Row::Digest(row)) => Some(*row),
                _ => None,
            };
            let row = DigestRow::touched(before.as_ref(), index, &leaf);
            self.map.insert(key, Row::Digest(row));
        }
        Effect {
            policy: false,
            environment: Some(release.environment.clone()),
            digests: touched,
            names: step.names,
        }
    }

    /// What the next leaf must say if it is a map record; `now` in Unix milliseconds.
    pub fn map_record(&mut self, now: u64) -> MapRecord {
        MapRecord {
            covers: self.size,
            root: self.map.root(),
            rows: self.map.rows(),
            time: now.max(self.time),
        }
    }

    /// Applies the next leaf, a map record.
    pub fn apply_map_record(&mut self, record: &MapRecord) -> Result<(), RuleError> {
        if self.chain.is_none() {
            return Err(RuleError::GenesisMissing);
        }
        // Any time from the last record's on is allowed: `now` is what the leaf states.
        let expected = self.map_record(record.time);
        if *record != expected {
            return Err(RuleError::MapRecordWrong {
                found: Box::new(*record),
                expected: Box::new(expected),
            });
        }
        self.time = record.time;
        self.size = self.size.saturating_add(1);
        Ok(())
    }
}

/// What is in exactly one of two ascending lists, ascending.
fn symmetric_difference(left: &[Sha256], right: &[Sha256]) -> Vec<Sha256> {
    let only = |from: &[Sha256], other: &[Sha256]| -> Vec<Sha256> {
        let missing = |item: &&Sha256| other.binary_search(item).is_err();
        from.iter().filter(missing).copied().collect()
    };
    let mut difference = only(left, right);
    difference.extend(only(right, left));
    difference.sort_unstable();
    difference
}
