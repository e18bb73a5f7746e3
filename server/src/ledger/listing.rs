//! Tree listings and manifests, read once: which contents a `tree` artifact, or a release, names.
//!
//! Invariant: one listing at a time is decoded, whoever asks, and what is kept of them is
//! bounded. A listing may be 256 MiB of somebody else's JSON.

use std::sync::{Arc, Mutex, PoisonError};

use cairn_proto::{
    hash::ContentId,
    limits::TREE_BYTES_MAX,
    manifest::{ArtifactKind, Bytes, Manifest},
    name::{ArtifactName, Environment},
    tree::{Tree, TreeBytes},
};
use quick_cache::{Weighter, sync::Cache};

use super::{Ledger, Refusal};
use crate::content::{ContentError, ContentStore as _, READ_BYTES_MAX};

/// Bytes of decoded listings that are kept.
const CACHE_BYTES: u64 = 64 << 20;
const CACHE_ITEMS: usize = 256;

/// The stored contents that a listing names, ascending, without the empty one.
#[derive(Debug, Clone)]
pub(crate) struct Listing(Arc<[ContentId]>);

impl Listing {
    /// The contents.
    pub(crate) fn contents(&self) -> &[ContentId] {
        &self.0
    }

    /// Whether it names a content.
    pub(crate) fn names(&self, id: &ContentId) -> bool {
        self.0.binary_search(id).is_ok()
    }

    fn of(tree: &Tree) -> Self {
        let stored = tree
            .entries()
            .iter()
            .filter_map(|entry| match &entry.bytes {
                TreeBytes::Stored { digests, size } if *size > 0 => Some(digests.blake3),
                _ => None,
            });
        let mut contents: Vec<ContentId> = stored.collect();
        contents.sort_unstable();
        contents.dedup();
        Self(contents.into())
    }
}

/// What a release's manifest names: a release of thousands of objects is asked for each.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    contents: Arc<[ContentId]>,
    trees: Arc<[(ContentId, ArtifactName)]>,
}

impl Named {
    /// Whether the manifest itself names a stored content.
    pub(crate) fn names(&self, id: &ContentId) -> bool {
        self.contents.binary_search(id).is_ok()
    }

    /// The listings of its trees, and what these are called.
    pub(crate) fn trees(&self) -> &[(ContentId, ArtifactName)] {
        &self.trees
    }

    fn of(manifest: &Manifest) -> Self {
        let stored = || {
            let artifacts = manifest.artifacts().iter();
            artifacts.filter_map(|artifact| match &artifact.bytes {
                Bytes::Stored { digests, .. } => Some((digests.blake3, artifact)),
                _ => None,
            })
        };
        let mut contents: Vec<_> = stored().map(|(id, _)| id).collect();
        contents.sort_unstable();
        let trees = stored().filter(|(_, artifact)| artifact.kind == ArtifactKind::Tree);
        Self {
            contents: contents.into(),
            trees: trees.map(|(id, tree)| (id, tree.name.clone())).collect(),
        }
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<u64, Named> for Weight {
    fn weight(&self, _: &u64, named: &Named) -> u64 {
        (named.contents.len() as u64 + named.trees.len() as u64 * 8) * 32 + 128
    }
}

impl Weighter<ContentId, Listing> for Weight {
    fn weight(&self, _: &ContentId, listing: &Listing) -> u64 {
        listing.0.len() as u64 * 32 + 128
    }
}

/// Listings and manifests that were decoded lately.
pub(super) struct Listings {
    cache: Cache<ContentId, Listing, Weight>,
    /// By the index of the release's entry.
    named: Cache<u64, Named, Weight>,
    decoding: Mutex<()>,
}

impl Listings {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::with_weighter(CACHE_ITEMS, CACHE_BYTES, Weight),
            named: Cache::with_weighter(CACHE_ITEMS, CACHE_BYTES, Weight),
            decoding: Mutex::new(()),
        }
    }

    /// Drops listings that were erased.
    pub(super) fn forget(&self, ids: &[ContentId]) {
        let _one = self.decoding.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            self.cache.remove(id);
        }
    }
}

impl std::fmt::Debug for Listings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Listings({} items)", self.cache.len())
    }
}

impl Ledger {
    /// The listing that is stored as a content; `artifact` is who names it, for the refusal.
    /// Blocks while another one is decoded.
    pub(crate) fn listing(&self, id: &ContentId, artifact: &str) -> Result<Listing, Refusal> {
        let listings = &self.shared.listings;
        let erased = |index| ContentError::Erased { id: *id, index };
        if let Some(index) = self.erased(id) {
            return Err(erased(index).into());
        }
        if let Some(listing) = listings.cache.get(id) {
            return Ok(listing);
        }
        let _one = listings
            .decoding
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = listings.cache.get(id) {
            return Ok(listing);
        }
        let tree = Tree::decode(&self.read_all(id)?).map_err(|error| Refusal::Listing {
            artifact: artifact.to_owned(),
            error,
        })?;
        let listing = Listing::of(&tree);
        listings.cache.insert(*id, listing.clone());
        Ok(listing)
    }

    /// What a release names. Blocks while another one is decoded.
    pub(crate) fn named(&self, environment: &Environment, sequence: u64) -> Result<Named, Refusal> {
        let missing = || Refusal::NotFound {
            what: format!("{environment}#{sequence}"),
        };
        let index = self.release(environment, sequence).ok_or_else(missing)?.0;
        let listings = &self.shared.listings;
        if let Some(named) = listings.named.get(&index) {
            return Ok(named);
        }
        let _one = listings
            .decoding
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(named) = listings.named.get(&index) {
            return Ok(named);
        }
        let named = Named::of(&self.manifest_of(environment, sequence)?);
        listings.named.insert(index, named.clone());
        Ok(named)
    }

    /// A content as a whole; only listings are read so, and they are bounded.
    fn read_all(&self, id: &ContentId) -> Result<Vec<u8>, Refusal> {
        let content = self.store().content();
        let missing = || Refusal::NotFound {
            what: format!("content blake3:{id}"),
        };
        let size = content.size(id).ok_or_else(missing)?;
        if size > TREE_BYTES_MAX as u64 {
            return Err(missing());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        while (bytes.len() as u64) < size {
            let start = bytes.len() as u64;
            let end = size.min(start + READ_BYTES_MAX);
            bytes.extend_from_slice(&content.read(id, start..end)?);
        }
        Ok(bytes)
    }
}
