//! Which releases each environment has, shared between the sequencer, which adds, and everyone
//! who reads.
//!
//! Invariant: a published release is found here from the moment of publication on. What is not
//! published yet may be here too: readers look below their head.

use std::{collections::HashMap, sync::RwLock};

use cairn_proto::{
    hash::{DocumentId, Index, TreeSize},
    name::Environment,
    rules::State,
};

use super::{reading, writing};

#[derive(Debug)]
pub(super) struct Releases(RwLock<HashMap<Environment, Steps>>);

/// The releases of one environment.
#[derive(Debug)]
struct Steps {
    /// Where each stands, from sequence 1.
    indices: Vec<Index>,
    /// What the newest names.
    manifest: DocumentId,
    /// Where the approvals of a release stand, by where that stands. Those of releases that were
    /// followed before the last start are forgotten: nothing asks for them.
    approvals: HashMap<Index, Vec<Index>>,
}

impl Releases {
    pub(super) fn of(state: &State) -> Self {
        let all = state.environments().map(|(name, environment)| {
            let marks = environment.releases.iter();
            let newest = environment.releases.last().map(|mark| mark.index);
            let approvals = Some(environment.approvals.clone()).filter(|all| !all.is_empty());
            let steps = Steps {
                indices: marks.map(|mark| mark.index).collect(),
                manifest: environment.manifest.blake3,
                approvals: newest.zip(approvals).into_iter().collect(),
            };
            (name.clone(), steps)
        });
        Self(RwLock::new(all.collect()))
    }

    /// One more release. Before publication. `manifest` may be that of a later one which is
    /// added, too, before either is published.
    pub(super) fn add(&self, environment: &Environment, index: Index, manifest: DocumentId) {
        let mut all = writing(&self.0);
        let steps = all.entry(environment.clone()).or_insert_with(|| Steps {
            indices: Vec::new(),
            manifest,
            approvals: HashMap::new(),
        });
        steps.indices.push(index);
        steps.manifest = manifest;
    }

    /// One more approval of the environment's newest release. Before publication.
    pub(super) fn approve(&self, environment: &Environment, index: Index) {
        let mut all = writing(&self.0);
        let Some(steps) = all.get_mut(environment) else {
            return;
        };
        let before = steps.indices.partition_point(|release| *release < index);
        let approved = before.checked_sub(1).and_then(|at| steps.indices.get(at));
        if let Some(release) = approved {
            steps.approvals.entry(*release).or_default().push(index);
        }
    }

    /// The newest approval below a size of the release at an index.
    pub(super) fn approval(
        &self,
        environment: &Environment,
        release: Index,
        size: TreeSize,
    ) -> Option<Index> {
        let all = reading(&self.0);
        let approvals = all.get(environment)?.approvals.get(&release)?;
        let mut newest = approvals.iter().rev();
        newest.find(|index| index.0 < size.0).copied()
    }

    /// Where a release stands.
    pub(super) fn index(&self, environment: &Environment, sequence: u64) -> Option<Index> {
        let position = usize::try_from(sequence.checked_sub(1)?).ok()?;
        let all = reading(&self.0);
        all.get(environment)?.indices.get(position).copied()
    }

    /// How many there are below a size.
    pub(super) fn below(&self, environment: &Environment, size: TreeSize) -> u64 {
        let all = reading(&self.0);
        all.get(environment).map_or(0, |steps| {
            steps.indices.partition_point(|index| index.0 < size.0) as u64
        })
    }

    /// The manifest of the release at an index, if it is the environment's newest.
    pub(super) fn manifest(&self, environment: &Environment, index: Index) -> Option<DocumentId> {
        let all = reading(&self.0);
        let steps = all.get(environment)?;
        (steps.indices.last() == Some(&index)).then_some(steps.manifest)
    }
}
