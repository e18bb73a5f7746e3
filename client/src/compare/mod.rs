//! A recorded manifest against what was found: every difference, and what was counted.
//!
//! Pure: no file is read here. Invariants: two things match only if both digests, or tags
//! under the same key, are equal, and so are kind and mode; what could not be measured is
//! never counted as a match; every recorded artifact either matches, or is accepted as
//! unmeasured by what was signed, or yields a difference; and so does every path that was
//! found within what the inputs cover and was not recorded.

mod count;
mod fields;
mod objects;
mod side;
#[cfg(test)]
mod tests;
mod trees;

use std::collections::BTreeMap;

use cairn_proto::{
    manifest::{Artifact, ArtifactKind, Unmeasured as OfUnmeasured},
    name::ArtifactName,
    reason::Reason,
};
use serde::Serialize;

use crate::{
    detail::FieldDifference,
    sources::{Capture, Covered, Recorded, Unmeasured, ancestors},
};
pub(crate) use fields::UNKNOWN;
pub use fields::{Place, Rules};
#[cfg(test)]
pub(crate) use fields::{Signed, compare as compare_fields};
pub(crate) use objects::compare_as_signed;

use side::{Entry, Side, beneath, find, full_name};

/// Added fields that are listed.
pub const ADDED_MAX: usize = 1_000;

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// It is there, but other than recorded.
    Changed,
    /// It was recorded and is not there.
    Missing,
    /// It is there and was not recorded.
    Added,
    /// It was recorded, and nobody can tell.
    Unverifiable,
}

/// One difference, as `cairn.verify/v1` has it. The texts are not escaped: whoever writes
/// them to a terminal uses [`crate::detail::printable`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// The artifact's name; `tree/file` within a tree.
    pub artifact: String,
    /// What of it: empty for its bytes or the whole, `mode`, `kind`, or a field of it.
    pub path: String,
    /// How.
    pub kind: DifferenceKind,
    /// What was recorded, in short.
    pub recorded: Option<String>,
    /// What was found, in short.
    pub found: Option<String>,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// All differences, sorted by artifact.
    pub differences: Vec<Difference>,
    /// Recorded files, links and empty directories that match, those of trees included.
    pub files_matched: usize,
    /// All of them; a tree of which no listing is known counts as one.
    pub files_total: usize,
    /// Recorded images that match with all that they consist of.
    pub images_matched: usize,
    /// All of them.
    pub images_total: usize,
    /// Recorded objects of deployment tools that match.
    pub objects_matched: usize,
    /// All of them.
    pub objects_total: usize,
    /// What the release was made from, which is not compared.
    pub inputs: usize,
    /// Fields of objects that were found and not recorded, which is no difference; the first
    /// [`ADDED_MAX`].
    pub added: Vec<Difference>,
    /// How many more there are.
    pub more_added: usize,
    /// Differences that the manifest's comparison says to ignore.
    pub ignored: usize,
    /// Withheld values that could not be measured, which the manifest's comparison accepts.
    pub accepted_unmeasured: usize,
    /// Recorded things that were measured, whether they match or not.
    pub measured: usize,
}

/// Compares. The capture is one for [`crate::sources::Purpose::Verify`] of the same record.
pub fn compare(recorded: &Recorded<'_>, capture: &Capture) -> Comparison {
    let mut comparer = Comparer::new(recorded, capture);
    let artifacts = recorded.manifest().artifacts();
    let is_tree = |artifact: &&Artifact| artifact.kind == ArtifactKind::Tree;
    let identified = [ArtifactKind::Input, ArtifactKind::Name];
    let is_input = |artifact: &&Artifact| identified.contains(&artifact.kind);
    let inputs = artifacts.iter();
    let inputs = inputs.filter(|artifact| artifact.kind == ArtifactKind::Input);
    comparer.outcome.inputs = inputs.count();
    let own = artifacts.iter().filter(|it| !is_tree(it) && !is_input(it));
    let own: Vec<_> = own.collect();
    let entries: Vec<_> = own.iter().map(|artifact| Entry::of(artifact)).collect();
    let found = capture.artifacts.iter().filter(|it| !is_tree(it));
    let found: Vec<_> = found.map(Entry::of).collect();
    let matched = comparer.lists(None, &entries, &found);
    comparer.count(&own, &matched);
    artifacts
        .iter()
        .filter(is_tree)
        .for_each(|tree| comparer.tree(tree));
    comparer.unrecorded_trees();
    comparer.unrecorded_unmeasured();
    let mut outcome = comparer.outcome;
    outcome.differences.sort();
    outcome
}

/// What came of one recorded thing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Matches,
    Differs,
}

struct Comparer<'a> {
    recorded: &'a Recorded<'a>,
    capture: &'a Capture,
    unmeasured: BTreeMap<&'a str, &'a Unmeasured>,
    outcome: Comparison,
}

impl<'a> Comparer<'a> {
    fn new(recorded: &'a Recorded<'a>, capture: &'a Capture) -> Self {
        let unmeasured = capture.unmeasured.iter();
        Self {
            recorded,
            capture,
            unmeasured: unmeasured
                .filter_map(|it| Some((it.name.as_ref()?.as_str(), it)))
                .collect(),
            outcome: Comparison::default(),
        }
    }

    fn differ(
        &mut self,
        artifact: &str,
        path: &str,
        kind: DifferenceKind,
        recorded: Option<String>,
        found: Option<String>,
    ) {
        self.outcome.differences.push(Difference {
            artifact: artifact.to_owned(),
            path: path.to_owned(),
            kind,
            recorded,
            found,
        });
    }

    /// Compares two sorted lists, of artifacts or of a tree's files. One outcome for each
    /// recorded entry.
    fn lists(
        &mut self,
        tree: Option<&ArtifactName>,
        recorded: &[Entry<'_>],
        found: &[Entry<'_>],
    ) -> Vec<Outcome> {
        let outcomes = recorded
            .iter()
            .map(|entry| {
                let name = full_name(tree, entry.name);
                if let Some(other) = find(found, entry.name) {
                    return self.pair(tree, &name, &entry.side, &other.side);
                }
                let has_files = beneath(found, Entry::name, entry.name);
                self.not_found(tree, &name, &entry.side, has_files)
            })
            .collect();
        for entry in found {
            // A directory that lost all its files is reported as those files.
            let emptied = entry.side.is_directory() && beneath(recorded, Entry::name, entry.name);
            let name = full_name(tree, entry.name);
            let replaces_tree = tree.is_none() && self.is_tree(&name);
            if find(recorded, entry.name).is_none() && !emptied && !replaces_tree {
                let what = Some(entry.side.describe());
                self.differ(&name, "", DifferenceKind::Added, None, what);
            }
        }
        outcomes
    }

    /// Two things of one name.
    fn pair(
        &mut self,
        tree: Option<&ArtifactName>,
        name: &str,
        recorded: &Side<'_>,
        found: &Side<'_>,
    ) -> Outcome {
        self.outcome.measured += 1;
        if !recorded.same_class(found) {
            let (left, right) = (recorded.describe(), found.describe());
            self.differ(
                name,
                "kind",
                DifferenceKind::Changed,
                Some(left),
                Some(right),
            );
            return Outcome::Differs;
        }
        if recorded.kind == ArtifactKind::Object {
            return self.object(name, recorded, found);
        }
        let mode = self.modes(tree, name, recorded, found);
        let bytes = match recorded.difference(found) {
            None => Outcome::Matches,
            Some((DifferenceKind::Unverifiable, ..))
                if found.is_withheld() && self.accepts(recorded) =>
            {
                self.outcome.measured -= 1;
                self.outcome.accepted_unmeasured += 1;
                Outcome::Differs
            }
            Some((kind, left, right)) => {
                if kind == DifferenceKind::Unverifiable {
                    self.outcome.measured -= 1;
                }
                self.differ(name, "", kind, Some(left), Some(right));
                Outcome::Differs
            }
        };
        if mode == Outcome::Matches {
            bytes
        } else {
            mode
        }
    }

    /// Modes are compared where both sides have one.
    fn modes(
        &mut self,
        tree: Option<&ArtifactName>,
        name: &str,
        recorded: &Side<'_>,
        found: &Side<'_>,
    ) -> Outcome {
        let (Some(left), Some(right)) = (recorded.mode, found.mode) else {
            return Outcome::Matches;
        };
        if left == right || recorded.kind == ArtifactKind::Symlink {
            return Outcome::Matches;
        }
        let rules = self.recorded.manifest().comparison();
        let own: Option<ArtifactName> = name.parse().ok();
        let ignored = tree
            .into_iter()
            .chain(&own)
            .any(|it| rules.ignores_mode(it));
        if ignored {
            self.outcome.ignored += 1;
            return Outcome::Matches;
        }
        let (left, right) = (Some(left.to_string()), Some(right.to_string()));
        self.differ(name, "mode", DifferenceKind::Changed, left, right);
        Outcome::Differs
    }

    /// Whether what was signed accepts that this cannot be measured.
    fn accepts(&self, recorded: &Side<'_>) -> bool {
        let accept = self.recorded.manifest().comparison().unmeasured == OfUnmeasured::Accept;
        accept && recorded.is_withheld()
    }

    /// A recorded thing that was not measured under its name.
    fn not_found(
        &mut self,
        tree: Option<&ArtifactName>,
        name: &str,
        side: &Side<'_>,
        has_files: bool,
    ) -> Outcome {
        let recorded = Some(side.describe());
        if !self.is_covered(name, side) {
            let why = Some("not measured".to_owned());
            self.differ(name, "", DifferenceKind::Unverifiable, recorded, why);
        } else if let Some(special) = self.unmeasured.get(name).filter(|it| is_special(it)) {
            let what = Some(special.why.clone());
            self.differ(name, "kind", DifferenceKind::Changed, recorded, what);
        } else if let Some(unmeasured) = self.why_unmeasured(name) {
            let itself = unmeasured.name.as_ref().map(ArtifactName::as_str) == Some(name);
            let no_key = itself && unmeasured.reason == Reason::SecretKey;
            if itself {
                // Without its key a secret's permissions still show.
                let found = side.with_mode(unmeasured.mode);
                self.modes(tree, name, side, &found);
            }
            if no_key && self.accepts(side) {
                self.outcome.accepted_unmeasured += 1;
            } else {
                let why = Some(unmeasured.why.clone());
                self.differ(name, "", DifferenceKind::Unverifiable, recorded, why);
            }
        } else if side.is_directory() && has_files {
            let files = Some("directory with files".to_owned());
            self.differ(name, "", DifferenceKind::Changed, recorded, files);
        } else {
            self.differ(name, "", DifferenceKind::Missing, recorded, None);
        }
        Outcome::Differs
    }

    /// Whether a tree of that name was recorded; what is in its place is compared with it.
    fn is_tree(&self, name: &str) -> bool {
        let artifact = self.recorded.manifest().artifact(name);
        artifact.is_some_and(|artifact| artifact.kind == ArtifactKind::Tree)
    }

    /// Objects are spoken for by their system alone: a directory of files has none.
    fn is_covered(&self, name: &str, side: &Side<'_>) -> bool {
        let Ok(name) = name.parse() else { return false };
        let mut covered = self.capture.covered.iter();
        let files = side.kind != ArtifactKind::Object;
        covered.any(|it| (files || *it != Covered::Everything) && it.covers(&name))
    }

    /// Whether a name, or a directory above it, could not be measured. Below a pipe or the
    /// like there is nothing, which is known well enough.
    fn why_unmeasured(&self, name: &str) -> Option<&'a Unmeasured> {
        std::iter::once(name)
            .chain(ancestors(name))
            .find_map(|name| self.unmeasured.get(name).filter(|it| !is_special(it)))
            .copied()
    }

    /// What could not be measured and was not recorded either: it is there, so it was added.
    fn unrecorded_unmeasured(&mut self) {
        for unmeasured in &self.capture.unmeasured {
            let known = match &unmeasured.name {
                Some(name) if is_special(unmeasured) => self.is_recorded_itself(name),
                Some(name) => self.is_recorded(name),
                None => false,
            };
            if !known {
                let name = unmeasured.name.as_ref();
                let name = name.map_or_else(|| unmeasured.shown.clone(), ToString::to_string);
                let why = Some(unmeasured.why.clone());
                self.differ(&name, "", DifferenceKind::Added, None, why);
            }
        }
    }
}

/// A device, socket or pipe: it cannot be measured, but it is certainly no file.
fn is_special(unmeasured: &Unmeasured) -> bool {
    unmeasured.reason == Reason::PathSpecial
}
