//! How many of what was recorded match: files, images with all their parts, objects.

use std::collections::BTreeMap;

use cairn_proto::manifest::{Artifact, ArtifactKind};

use super::{Comparer, Outcome};
use crate::sources::is_image_part;

impl<'a> Comparer<'a> {
    /// Counts artifacts: each is either a file or a part of one image.
    pub(super) fn count(&mut self, artifacts: &[&Artifact], outcomes: &[Outcome]) {
        let mut images: BTreeMap<&str, bool> = BTreeMap::new();
        for (artifact, outcome) in artifacts.iter().zip(outcomes) {
            let matches = *outcome == Outcome::Matches;
            if let Some(image) = self.image_of(artifact) {
                *images.entry(image).or_insert(true) &= matches;
            } else if artifact.kind == ArtifactKind::Object {
                self.outcome.objects_total += 1;
                self.outcome.objects_matched += usize::from(matches);
            } else {
                self.outcome.files_total += 1;
                self.outcome.files_matched += usize::from(matches);
            }
        }
        self.outcome.images_total = images.len();
        self.outcome.images_matched = images.values().filter(|matches| **matches).count();
    }

    /// The image that an artifact belongs to. Parents may form a circle: the manifest is
    /// somebody's claim.
    fn image_of(&self, artifact: &'a Artifact) -> Option<&'a str> {
        let manifest = self.recorded.manifest();
        let mut at = artifact;
        for _ in 0..32 {
            if !is_image_part(at.kind) {
                return None;
            }
            if at.kind == ArtifactKind::Image {
                return Some(at.name.as_str());
            }
            at = manifest.artifact(at.parent.as_ref()?.as_str())?;
        }
        None
    }
}

pub(super) fn count_matches(outcomes: &[Outcome]) -> usize {
    let matches = |outcome: &&Outcome| **outcome == Outcome::Matches;
    outcomes.iter().filter(matches).count()
}
