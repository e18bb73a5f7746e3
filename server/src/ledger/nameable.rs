//! What a release may name because an earlier one of its environment does.

use std::collections::HashSet;

use cairn_proto::{
    hash::ContentId,
    manifest::{ArtifactKind, Bytes as ArtifactBytes, Manifest},
};

/// Content that may be named without being sent again.
#[derive(Debug, Default)]
pub(super) struct Nameable {
    pub(super) contents: HashSet<ContentId>,
    /// Those of them that are listings of trees, whose own contents were looked at when they
    /// were recorded. A listing that was recorded as a plain file was never looked into: it
    /// may name anybody's content.
    pub(super) trees: HashSet<ContentId>,
}

impl Nameable {
    pub(super) fn add(&mut self, manifest: &Manifest) {
        for artifact in manifest.artifacts() {
            if let ArtifactBytes::Stored { digests, .. } = &artifact.bytes {
                self.contents.insert(digests.blake3);
                if artifact.kind == ArtifactKind::Tree {
                    self.trees.insert(digests.blake3);
                }
            }
        }
    }
}
