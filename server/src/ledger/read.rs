//! Entries, documents and tiles as they are stored, each checked by its own hash before it
//! is served.

use bytes::{BufMut as _, Bytes, BytesMut};
use cairn_proto::{
    entry::Leaf,
    hash::{DocumentId, Index},
    name::Environment,
    tile::{Tile, TileKind, document_head, push_entry},
};
use quick_cache::{Weighter, sync::Cache};

use super::{Ledger, Refusal, Shared, head::Head, reading};
use crate::journal::Journal as _;

/// Bytes of entries and documents kept in memory for the next reader.
const CACHE_BYTES: u64 = 32 << 20;
const CACHE_ITEMS: usize = 16_384;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Entry(u64),
    Document(DocumentId),
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Bytes> for Weight {
    fn weight(&self, _: &Key, bytes: &Bytes) -> u64 {
        bytes.len() as u64 + 128
    }
}

/// Entries and documents that were read lately, already checked.
pub(super) struct EntryCache(Cache<Key, Bytes, Weight>);

impl EntryCache {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(CACHE_ITEMS, CACHE_BYTES, Weight))
    }
}

impl std::fmt::Debug for EntryCache {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "EntryCache({} items)", self.0.len())
    }
}

fn not_found(what: impl Into<String>) -> Refusal {
    Refusal::NotFound { what: what.into() }
}

impl Shared {
    /// A leaf below the published head, re-hashed.
    pub(super) fn entry(&self, index: Index) -> Result<Bytes, Refusal> {
        if index.0 >= self.head().size().0 {
            return Err(not_found(format!("entry {index}")));
        }
        let key = Key::Entry(index.0);
        if let Some(entry) = self.cache.0.get(&key) {
            return Ok(entry);
        }
        let leaf = reading(&self.tree).leaf(index);
        let leaf = leaf.ok_or_else(|| not_found(format!("entry {index}")))?;
        let entry = self.store.journal().leaf_checked(index, &leaf)?;
        self.cache.0.insert(key, entry.clone());
        Ok(entry)
    }

    /// A document, re-hashed.
    pub(super) fn document(&self, id: &DocumentId) -> Result<Bytes, Refusal> {
        let key = Key::Document(*id);
        if let Some(document) = self.cache.0.get(&key) {
            return Ok(document);
        }
        let place = self.documents.place(id);
        let place = place.ok_or_else(|| not_found(format!("document blake3:{id}")))?;
        let journal = self.store.journal();
        let document = journal.document(place.position, place.ordinal, id)?;
        self.cache.0.insert(key, document.clone());
        Ok(document)
    }

    /// The document that an entry names; none for a map record.
    pub(super) fn document_of(&self, entry: &[u8]) -> Result<Bytes, Refusal> {
        let Ok(Leaf::Entry(entry)) = Leaf::decode(entry) else {
            return Ok(Bytes::new());
        };
        self.document(&entry.statement().subject.blake3)
    }

    /// The manifest of an environment's release. Of its newest it is known which it is; an
    /// earlier one is decoded for it.
    pub(super) fn manifest(
        &self,
        environment: &Environment,
        index: Index,
        entry: &[u8],
    ) -> Result<Bytes, Refusal> {
        match self.releases.manifest(environment, index) {
            Some(id) => self.document(&id),
            None => self.document_of(entry),
        }
    }
}

impl Ledger {
    /// One leaf, and the document that it names (empty for a map record).
    pub(crate) fn entry(&self, index: Index) -> Result<(Bytes, Bytes), Refusal> {
        let entry = self.shared.entry(index)?;
        let document = self.shared.document_of(&entry)?;
        Ok((entry, document))
    }

    /// One leaf alone.
    pub(crate) fn leaf(&self, index: Index) -> Result<Bytes, Refusal> {
        self.shared.entry(index)
    }

    /// A document by its id.
    pub(crate) fn document(&self, id: &DocumentId) -> Result<Bytes, Refusal> {
        self.shared.document(id)
    }

    /// Index of a release of an environment, below the published head.
    pub(crate) fn release(&self, environment: &Environment, sequence: u64) -> Option<Index> {
        let index = self.shared.releases.index(environment, sequence)?;
        (index.0 < self.head().size().0).then_some(index)
    }

    /// Number of releases of an environment below a head.
    pub(crate) fn releases(&self, environment: &Environment, head: &Head) -> u64 {
        self.shared.releases.below(environment, head.size())
    }

    /// A tile's bytes. A partial tile of any width is served while the log reaches that far.
    pub(crate) fn tile(&self, tile: &Tile) -> Result<Bytes, Refusal> {
        let missing = || not_found(format!("tile {tile}"));
        if !tile.within(self.head().size()) {
            return Err(missing());
        }
        match tile.kind {
            TileKind::Hashes(_) => {
                let hashes = tile.hashes(&*reading(&self.shared.tree));
                hashes.map(Bytes::from).ok_or_else(missing)
            }
            TileKind::Entries | TileKind::Documents => Err(missing()),
        }
    }

    /// Entries of a bundle from an offset on, some `bytes` of them and at least one, and the
    /// offset after them: a bundle of the largest entries has 16 MiB.
    pub(crate) fn entries_in(
        &self,
        tile: &Tile,
        from: u16,
        bytes: usize,
    ) -> Result<(Bytes, u16), Refusal> {
        if tile.kind != TileKind::Entries || !tile.within(self.head().size()) {
            return Err(not_found(format!("tile {tile}")));
        }
        let (mut part, mut offset) = (Vec::new(), from);
        while offset < tile.width && part.len() < bytes {
            let entry = self.shared.entry(Index(tile.first() + u64::from(offset)))?;
            push_entry(&mut part, &entry);
            offset += 1;
        }
        Ok((part.into(), offset))
    }

    /// Records that hold the documents of a tile, to be streamed one at a time: up to 256
    /// manifests of 4 MiB are more than one answer may hold in memory.
    pub(crate) fn document_records(&self, tile: &Tile) -> Result<Vec<u64>, Refusal> {
        if tile.kind != TileKind::Documents || !tile.within(self.head().size()) {
            return Err(not_found(format!("{tile}")));
        }
        let journal = self.shared.store.journal();
        let last = Index(tile.first() + u64::from(tile.width) - 1);
        let first = journal.position_of(Index(tile.first()));
        match (first, journal.position_of(last)) {
            (Some(first), Some(last)) => Ok((first..=last).collect()),
            _ => Err(not_found(format!("{tile}"))),
        }
    }

    /// The part of a document tile that one record holds.
    pub(crate) fn documents_in(&self, tile: &Tile, position: u64) -> Result<Bytes, Refusal> {
        let record = self.shared.store.journal().read(position)?;
        let mut part = BytesMut::new();
        for document in &record.documents {
            let index = record.first.0 + u64::from(document.leaf);
            let Some(offset) = index.checked_sub(tile.first()) else {
                continue;
            };
            if offset >= u64::from(tile.width) {
                break;
            }
            let length = u32::try_from(document.bytes.len()).unwrap_or(u32::MAX);
            part.put_slice(&document_head(
                u8::try_from(offset).unwrap_or(u8::MAX),
                length,
            ));
            part.put_slice(&document.bytes);
        }
        Ok(part.freeze())
    }
}
