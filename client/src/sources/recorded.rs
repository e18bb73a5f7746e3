//! What was recorded, as measuring and comparing need it.
//!
//! Invariant: every listing in here hashed to both digests that the manifest states for
//! its tree.

use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::{
    json::JsonError,
    manifest::{Artifact, ArtifactKind, Bytes, Digests, Manifest},
    name::ArtifactName,
    reason::Reason,
    tree::{Tree, TreeBytes, TreeEntry},
};
use serde_json::Value;
use thiserror::Error;

use crate::systems::strict;

/// A manifest, and the listings of its trees as far as they are to hand.
#[derive(Debug)]
pub struct Recorded<'a> {
    manifest: &'a Manifest,
    trees: BTreeSet<&'a str>,
    listings: BTreeMap<ArtifactName, Tree>,
    /// As they were sent: taken apart they are ten times as large.
    objects: BTreeMap<ArtifactName, Vec<u8>>,
}

/// Why bytes are not a tree's recorded listing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListingError {
    /// The manifest has no tree of that name.
    #[error("no tree {name} is recorded")]
    NoTree {
        /// The name.
        name: ArtifactName,
    },
    /// The bytes are others than the recorded ones.
    #[error("the listing of {name} does not match its digests")]
    Mismatch {
        /// The tree.
        name: ArtifactName,
    },
    /// What was recorded of an object is no JSON.
    #[error("what is recorded of {name} is not one JSON value")]
    NotJson {
        /// The object.
        name: ArtifactName,
    },
    /// The recorded bytes are no listing.
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl ListingError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NoTree { .. } => Reason::NotFound,
            Self::Mismatch { .. } => Reason::ContentMismatch,
            Self::NotJson { .. } => Reason::SourceInvalid,
            Self::Json(error) => error.reason,
        }
    }
}

impl<'a> Recorded<'a> {
    /// A manifest without listings: trees are compared as wholes.
    pub fn new(manifest: &'a Manifest) -> Self {
        let trees = manifest
            .artifacts()
            .iter()
            .filter(|artifact| artifact.kind == ArtifactKind::Tree)
            .map(|artifact| artifact.name.as_str())
            .collect();
        Self {
            manifest,
            trees,
            listings: BTreeMap::new(),
            objects: BTreeMap::new(),
        }
    }

    /// Adds the listing of a tree, from bytes that anybody may have sent.
    pub fn add_listing(&mut self, name: &ArtifactName, bytes: &[u8]) -> Result<(), ListingError> {
        let name = name.clone();
        let Some(artifact) = self.plain(name.as_str()) else {
            return Err(ListingError::NoTree { name });
        };
        if artifact.kind != ArtifactKind::Tree {
            return Err(ListingError::NoTree { name });
        }
        if artifact.bytes.digests() != Some(&Digests::of(bytes)) {
            return Err(ListingError::Mismatch { name });
        }
        self.listings.insert(name, Tree::decode(bytes)?);
        Ok(())
    }

    /// Adds what a deployment tool said of an object, from bytes that anybody may have sent.
    pub fn add_object(&mut self, name: &ArtifactName, bytes: &[u8]) -> Result<(), ListingError> {
        let name = name.clone();
        let artifact = self.plain(name.as_str());
        let artifact = artifact.filter(|artifact| artifact.kind == ArtifactKind::Object);
        if artifact.and_then(|artifact| artifact.bytes.digests()) != Some(&Digests::of(bytes)) {
            return Err(ListingError::Mismatch { name });
        }
        if parsed(bytes).is_none() {
            return Err(ListingError::NotJson { name });
        }
        self.objects.insert(name, bytes.to_vec());
        Ok(())
    }

    /// The objects of a system, and what was said of each, as far as it is to hand.
    pub fn objects_of<'s>(
        &'s self,
        system: &'s str,
    ) -> impl Iterator<Item = (&'a Artifact, Option<Value>)> {
        let artifacts = self.manifest.artifacts().iter();
        let own = artifacts.filter(move |artifact| {
            let rest = artifact.name.as_str().strip_prefix(system);
            artifact.kind == ArtifactKind::Object && rest.is_some_and(|it| it.starts_with('/'))
        });
        own.map(|artifact| (artifact, self.object(artifact.name.as_str())))
    }

    pub(crate) fn object(&self, name: &str) -> Option<Value> {
        parsed(self.objects.get(&name.parse::<ArtifactName>().ok()?)?)
    }

    /// The trees whose listings are not here, with their digests: what to fetch.
    pub fn listings_wanted(&self) -> impl Iterator<Item = (&'a ArtifactName, &'a Digests)> + '_ {
        self.manifest
            .artifacts()
            .iter()
            .filter(|artifact| artifact.kind == ArtifactKind::Tree)
            .filter(|artifact| !self.listings.contains_key(&artifact.name))
            .filter_map(|artifact| Some((&artifact.name, artifact.bytes.digests()?)))
    }

    /// The manifest.
    pub fn manifest(&self) -> &'a Manifest {
        self.manifest
    }

    pub(crate) fn listing(&self, tree: &ArtifactName) -> Option<&Tree> {
        self.listings.get(tree)
    }

    pub(super) fn tree_names(&self) -> &BTreeSet<&'a str> {
        &self.trees
    }

    /// The artifact of that name which is not withheld.
    fn plain(&self, name: &str) -> Option<&'a Artifact> {
        self.manifest
            .artifact(name)
            .filter(|artifact| artifact.bytes.digests().is_some())
    }

    /// The recorded tree that a path belongs to: none if it is an artifact of its own.
    pub(super) fn tree_of(&self, name: &str) -> Option<&'a str> {
        if self.is_own(name) {
            return None;
        }
        ancestors(name)
            .find_map(|above| self.trees.get(above))
            .or_else(|| self.trees.get("."))
            .copied()
    }

    /// Whether a path is recorded as an artifact, other than a tree.
    pub(super) fn is_own(&self, name: &str) -> bool {
        self.manifest
            .artifact(name)
            .is_some_and(|artifact| artifact.kind != ArtifactKind::Tree)
    }

    /// Whether a path was recorded, and if so whether as withheld.
    pub(super) fn withheld(&self, name: &str) -> Option<bool> {
        if let Some(artifact) = self.manifest.artifact(name)
            && artifact.kind != ArtifactKind::Tree
        {
            return Some(matches!(artifact.bytes, Bytes::Withheld(_)));
        }
        let tree: ArtifactName = self.tree_of(name)?.parse().ok()?;
        let inside = match tree.as_str() {
            "." => name,
            tree => name.strip_prefix(tree)?.strip_prefix('/')?,
        };
        let entry = entry(self.listing(&tree)?, inside)?;
        Some(matches!(entry.bytes, TreeBytes::Withheld(_)))
    }

    /// Whether the path is recorded as a symbolic link of its own.
    pub(super) fn is_symlink(&self, name: &str) -> bool {
        self.manifest
            .artifact(name)
            .is_some_and(|artifact| artifact.kind == ArtifactKind::Symlink)
    }
}

/// The one value that bytes are, read strictly.
fn parsed(bytes: &[u8]) -> Option<Value> {
    let mut values = strict::parse(bytes).ok()?;
    values.pop().filter(|_| values.is_empty())
}

fn entry<'t>(tree: &'t Tree, name: &str) -> Option<&'t TreeEntry> {
    let position = tree
        .entries()
        .binary_search_by(|entry| entry.name.as_str().cmp(name))
        .ok()?;
    tree.entries().get(position)
}

/// The directories above a path, nearest first: `a/b/c` has `a/b` and `a`.
pub(crate) fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    name.rmatch_indices('/')
        .filter_map(|(at, _)| name.get(..at))
}
