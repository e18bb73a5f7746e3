//! Fetching a log in order: entry bundles and their documents, a few ahead, within bounds.
//!
//! Invariant: what waits to be judged is bounded by [`BATCH_BYTES`] a batch, whatever the
//! size of the documents. Nothing is judged here; a leaf that does not decode is passed on.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use cairn_proto::{
    entry::{EntryError, Leaf},
    hash::{DocumentId, LeafHash, TreeSize},
    limits::MANIFEST_BYTES_MAX,
    reason::Reason,
    statement::Subject,
    tile::{Tile, TileKind, split_documents, split_entries},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;

use super::{mirror::Mirror, replay::Outcome};
use crate::{connect::ReadApi, error::ClientError};

/// Bundles that are fetched and decoded ahead.
const AHEAD: usize = 4;
/// Hash tiles in flight.
const TILES: usize = 8;
/// Bytes of entries and documents that go to the judge together.
const BATCH_BYTES: usize = 16 << 20;
/// Entries that do.
const BATCH_ENTRIES: usize = 1_024;
/// Bytes of documents that are kept at hand: rollbacks and retirements name older ones.
const RECENT_BYTES: usize = 32 << 20;

/// A leaf on its way to the judge.
pub(super) struct Item {
    pub(super) hash: LeafHash,
    pub(super) leaf: Result<Leaf, EntryError>,
    /// The document that it names; `None` where the source does not have it.
    pub(super) document: Option<Arc<Vec<u8>>>,
}

impl Item {
    /// Whether the document is another one than its entry names.
    pub(super) fn is_misdocumented(&self) -> bool {
        match (&self.leaf, &self.document) {
            (Ok(Leaf::Entry(entry)), Some(document)) => {
                Subject::of(document) != entry.statement().subject
            }
            _ => false,
        }
    }
}

/// Leaves that follow each other.
pub(super) type Batch = Vec<Item>;

/// A bundle as it was fetched.
struct Bundle {
    leaves: Vec<(LeafHash, Result<Leaf, EntryError>)>,
    documents: BTreeMap<u64, Vec<u8>>,
    first: u64,
}

pub(super) struct Fetcher<'a> {
    source: &'a ReadApi,
    mirror: Option<Mirror>,
    size: TreeSize,
    recent: Recent,
    batch: Batch,
    batch_bytes: usize,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(source: &'a ReadApi, mirror: Option<Mirror>, size: TreeSize) -> Self {
        Self {
            source,
            mirror,
            size,
            recent: Recent::default(),
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    /// Sends everything in order; ends early if the judge has seen enough.
    pub(super) async fn run(mut self, batches: mpsc::Sender<Batch>) -> Result<(), ClientError> {
        let (source, mirror) = (self.source, self.mirror.clone());
        let tiles = Tile::covering(TileKind::Entries, 0, self.size);
        let mut bundles = futures_util::stream::iter(tiles)
            .map(|tile| bundle(source, mirror.as_ref(), tile))
            .buffered(AHEAD);
        while let Some(bundle) = bundles.try_next().await? {
            let Bundle {
                leaves,
                mut documents,
                first,
            } = bundle;
            for ((hash, leaf), index) in leaves.into_iter().zip(first..) {
                let document = match &leaf {
                    Ok(Leaf::Entry(entry)) => {
                        let id = entry.statement().subject.blake3;
                        self.document(&id, documents.remove(&index)).await?
                    }
                    _ => None,
                };
                self.batch_bytes += document.as_ref().map_or(512, |document| document.len());
                self.batch.push(Item {
                    hash,
                    leaf,
                    document,
                });
                let full = self.batch.len() >= BATCH_ENTRIES || self.batch_bytes >= BATCH_BYTES;
                if full && !self.flush(&batches).await {
                    return Ok(());
                }
            }
        }
        self.flush(&batches).await;
        Ok(())
    }

    async fn flush(&mut self, batches: &mpsc::Sender<Batch>) -> bool {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        batches.send(batch).await.is_ok()
    }

    /// The document that came with its bundle; else one seen lately; else by its digest.
    async fn document(
        &mut self,
        id: &DocumentId,
        beside: Option<Vec<u8>>,
    ) -> Result<Option<Arc<Vec<u8>>>, ClientError> {
        if let Some(document) = beside {
            let document = Arc::new(document);
            self.recent.put(&document);
            return Ok(Some(document));
        }
        if let Some(document) = self.recent.get(id) {
            return Ok(Some(document));
        }
        let path = format!("document/{id}");
        if let Some(mirror) = &self.mirror
            && let Some(kept) = mirror.copy().get(&path, MANIFEST_BYTES_MAX).await?
        {
            return Ok(Some(Arc::new(kept)));
        }
        let fetched = self.source.document(id).await?;
        if let (Some(mirror), Some(bytes)) = (&self.mirror, &fetched) {
            mirror.keep(&path, bytes)?;
        }
        let document = fetched.map(Arc::new);
        if let Some(document) = &document {
            self.recent.put(document);
        }
        Ok(document)
    }
}

/// Fetches a bundle and its documents, and decodes the leaves beside other work.
async fn bundle(
    source: &ReadApi,
    mirror: Option<&Mirror>,
    tile: Tile,
) -> Result<Bundle, ClientError> {
    let beside = Tile {
        kind: TileKind::Documents,
        ..tile
    };
    if let Some(entries) = kept(mirror, &tile).await?
        && let Some(documents) = kept(mirror, &beside).await?
        && let Some(bundle) = decoded(tile, entries, documents).await
    {
        return Ok(bundle);
    }
    let entries = source.tile(&tile).await?;
    keep(mirror, &tile, &entries)?;
    let documents = source.documents(&beside).await?;
    if let Some(documents) = &documents {
        keep(mirror, &beside, documents)?;
    }
    let bundle = decoded(tile, entries, documents.unwrap_or_default()).await;
    bundle.ok_or_else(|| ClientError::Lacks {
        what: tile.to_string(),
    })
}

/// Decodes on a thread of its own.
async fn decoded(tile: Tile, entries: Vec<u8>, documents: Vec<u8>) -> Option<Bundle> {
    let decode = move || decode(&tile, &entries, &documents);
    tokio::task::spawn_blocking(decode).await.ok().flatten()
}

/// Only whole tiles never change, so only they are read from the copy.
async fn kept(mirror: Option<&Mirror>, tile: &Tile) -> Result<Option<Vec<u8>>, ClientError> {
    let Some(mirror) = mirror.filter(|_| tile.width == 256) else {
        return Ok(None);
    };
    match tile.kind {
        TileKind::Documents => mirror.copy().documents(tile).await,
        _ => match mirror.copy().tile(tile).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ClientError::Lacks { .. } | ClientError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        },
    }
}

fn keep(mirror: Option<&Mirror>, tile: &Tile, bytes: &[u8]) -> Result<(), ClientError> {
    match mirror {
        Some(mirror) => Ok(mirror.keep_tile(tile, bytes)?),
        None => Ok(()),
    }
}

fn decode(tile: &Tile, entries: &[u8], documents: &[u8]) -> Option<Bundle> {
    let beside = Tile {
        kind: TileKind::Documents,
        ..*tile
    };
    let leaves = split_entries(entries, tile.width).ok()?;
    let documents = split_documents(documents, &beside).ok()?;
    Some(Bundle {
        leaves: leaves
            .into_iter()
            .map(|leaf| (LeafHash::of(leaf), Leaf::decode(leaf)))
            .collect(),
        documents: documents
            .into_iter()
            .map(|(index, document)| (index.0, document))
            .collect(),
        first: tile.first(),
    })
}

/// Compares every hash tile that the source serves with the tree over its own leaves.
pub(super) async fn compare_tiles(
    source: &ReadApi,
    mirror: Option<Mirror>,
    outcome: &mut Outcome,
    size: TreeSize,
) -> Result<(), ClientError> {
    for level in 0..=7 {
        let tiles = Tile::covering(TileKind::Hashes(level), 0, size);
        let mut fetched = futures_util::stream::iter(tiles)
            .map(|tile| async move {
                match source.tile(&tile).await {
                    Ok(bytes) => Ok((tile, Some(bytes))),
                    Err(ClientError::Lacks { .. } | ClientError::TooLarge { .. }) => {
                        Ok((tile, None))
                    }
                    Err(error) => Err(error),
                }
            })
            .buffered(TILES);
        while let Some((tile, bytes)) = fetched.try_next().await? {
            let ours = tile.hashes(&outcome.tree);
            if ours.is_some() && ours == bytes {
                if let (Some(mirror), Some(ours)) = (&mirror, &ours) {
                    mirror.keep_tile(&tile, ours)?;
                }
                continue;
            }
            let what = match bytes {
                None => format!("{tile} is not served"),
                Some(_) => format!("{tile} is not what the leaves hash to"),
            };
            outcome.alarm(Reason::InclusionUnproven, None, what);
        }
    }
    Ok(())
}

/// Documents seen lately, oldest out first.
#[derive(Default)]
struct Recent {
    by_id: HashMap<DocumentId, Arc<Vec<u8>>>,
    order: VecDeque<DocumentId>,
    bytes: usize,
}

impl Recent {
    fn get(&self, id: &DocumentId) -> Option<Arc<Vec<u8>>> {
        self.by_id.get(id).cloned()
    }

    fn put(&mut self, document: &Arc<Vec<u8>>) {
        let id = DocumentId::of(document);
        if self.by_id.insert(id, Arc::clone(document)).is_some() {
            return;
        }
        self.order.push_back(id);
        self.bytes += document.len();
        while self.bytes > RECENT_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.by_id.remove(&oldest);
            self.bytes -= gone.map_or(0, |document| document.len());
        }
    }
}
