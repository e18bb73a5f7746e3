//! Trees: equal listings need no second look; otherwise files are compared one by one if
//! the recorded listing is to hand, and the tree as a whole if it is not.

use cairn_proto::{
    manifest::{Artifact, ArtifactKind},
    name::ArtifactName,
    tree::Tree,
};

use super::{
    Comparer, DifferenceKind,
    count::count_matches,
    is_special,
    side::{Entry, Side, at_or_beneath, full_name},
};
use crate::sources::{Unmeasured, ancestors};

impl Comparer<'_> {
    /// Compares one recorded tree.
    pub(super) fn tree(&mut self, artifact: &Artifact) {
        let name = &artifact.name;
        let side = Side::of(artifact);
        let listing = self.recorded.listing(name);
        let files = listing.map(|tree| tree.entries().iter().map(Entry::of_file).collect());
        let files: Option<Vec<_>> = files;
        let covered = self.capture.covers(name);
        let found = self.capture.trees.get(name).filter(|_| covered);
        let Some(found) = found else {
            self.outcome.files_total += files.map_or(1, |files| files.len().max(1));
            match self.capture.artifact(name.as_str()).filter(|_| covered) {
                Some(other) => self.pair(None, name.as_str(), &side, &Side::of(other)),
                None => self.not_found(None, name.as_str(), &side, false),
            };
            return;
        };
        let whole = self.capture.artifact(name.as_str()).map(Side::of);
        if whole.is_some_and(|whole| side.difference(&whole).is_none()) {
            let count = found.entries().len().max(1);
            self.outcome.files_total += count;
            self.outcome.files_matched += count;
            self.outcome.measured += count;
        } else if let Some(files) = files {
            let found: Vec<_> = found.entries().iter().map(Entry::of_file).collect();
            let outcomes = self.lists(Some(name), &files, &found);
            self.outcome.files_total += files.len();
            self.outcome.files_matched += count_matches(&outcomes);
        } else {
            self.outcome.files_total += 1;
            self.unlisted(name, &side, whole.as_ref());
        }
    }

    /// A tree that differs, and nobody can tell where.
    fn unlisted(&mut self, tree: &ArtifactName, recorded: &Side<'_>, found: Option<&Side<'_>>) {
        let inside = |it: &&&Unmeasured| {
            let named = it.name.as_ref();
            !is_special(it) && named.is_some_and(|name| within(tree, name))
        };
        let blind = self.unmeasured.values().find(inside).copied();
        let (kind, found) = if let Some(unmeasured) = blind {
            (DifferenceKind::Unverifiable, Some(unmeasured.why.clone()))
        } else {
            self.outcome.measured += 1;
            (DifferenceKind::Changed, found.map(Side::digest))
        };
        self.differ(tree.as_str(), "", kind, Some(recorded.digest()), found);
    }

    /// Trees that were measured and not recorded.
    pub(super) fn unrecorded_trees(&mut self) {
        let manifest = self.recorded.manifest();
        for name in self.capture.trees.keys() {
            if manifest.artifact(name.as_str()).is_none() {
                let what = Some(ArtifactKind::Tree.as_str().to_owned());
                self.differ(name.as_str(), "", DifferenceKind::Added, None, what);
            }
        }
    }

    /// Whether a name, or something below it, was recorded. In a tree that differs, and
    /// whose listing is not to hand, anything could have been.
    pub(super) fn is_recorded(&self, name: &ArtifactName) -> bool {
        let artifacts = self.recorded.manifest().artifacts();
        at_or_beneath(artifacts, |it| it.name.as_str(), name.as_str())
            || artifacts
                .iter()
                .filter(|it| it.kind == ArtifactKind::Tree && within(&it.name, name))
                .any(|tree| self.is_in_tree(tree, name))
    }

    /// Whether exactly this name was recorded, as far as anybody can tell.
    pub(super) fn is_recorded_itself(&self, name: &ArtifactName) -> bool {
        let manifest = self.recorded.manifest();
        let own = manifest.artifact(name.as_str()).is_some();
        let mut trees = manifest
            .artifacts()
            .iter()
            .filter(|it| it.kind == ArtifactKind::Tree && within(&it.name, name));
        own || trees.any(|tree| {
            let inside = name_inside(&tree.name, name);
            let entries = self.recorded.listing(&tree.name).map(Tree::entries);
            let entries = entries.unwrap_or_default();
            entries
                .binary_search_by(|entry| entry.name.as_str().cmp(inside))
                .is_ok()
        })
    }

    fn is_in_tree(&self, tree: &Artifact, name: &ArtifactName) -> bool {
        let Some(listing) = self.recorded.listing(&tree.name) else {
            let found = self.capture.artifact(tree.name.as_str()).map(Side::of);
            return found.is_none_or(|found| Side::of(tree).difference(&found).is_some());
        };
        let inside = name_inside(&tree.name, name);
        at_or_beneath(listing.entries(), |entry| entry.name.as_str(), inside)
    }
}

/// The name of a file within a tree that it lies below.
fn name_inside<'n>(tree: &ArtifactName, name: &'n ArtifactName) -> &'n str {
    let above = full_name(Some(tree), "");
    name.as_str().strip_prefix(&above).unwrap_or_default()
}

/// Whether a name lies below a tree.
fn within(tree: &ArtifactName, name: &ArtifactName) -> bool {
    tree.as_str() == "." || ancestors(name.as_str()).any(|above| above == tree.as_str())
}
