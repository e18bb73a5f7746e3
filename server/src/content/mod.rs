//! Artifacts' bytes, addressed by BLAKE3: packs, large files, and what is staged.
//!
//! ```text
//! packs/NNNNNNNN.seg   content under 1 MiB, as frames whose digest is the content's id
//! large/<id>           everything else, one file each
//! staging/<owner>/<id> uploads; `owner` is a hash of who sent them. Beside each: `<id>.marks`
//! ```
//!
//! Invariants:
//! - `size` answers only for what is durable, and what is durable was hashed whole first.
//! - A staged content counts only for the owner that sent all of its bytes: to know an id
//!   is not to have the content.
//! - The empty content always exists.
//! - What an order of the admins erased (`bar`) is neither read, nor sent, nor stored from then
//!   on; after `erase` no byte of it is in any of these files, durably. Nothing beside it changes.
//!
//! The index of packs and of large files is in RAM, rebuilt at open by a scan of headers and
//! a listing. Out of scope: what is to be erased, and when (`ledger/erasure`), who may read a
//! content, what entries name.

mod erased;
mod index;
mod large;
mod marks;
mod packs;
mod staging;
#[cfg(test)]
mod tests;
mod upload;

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use cairn_proto::{
    hash::{ContentId, Index},
    reason::Reason,
};
use thiserror::Error;

pub use packs::PackScan;
pub use staging::{Part, Staging};

use crate::{
    disk::Disk,
    segment::{LedgerTag, SeriesTail, StoreError},
};
use erased::Erased;
use large::Large;
use packs::{Packed, Packs};
use upload::Ready;

/// Content of fewer bytes goes into a pack: one sync for many, and no file each.
pub const PACKED_BYTES_LIMIT: u64 = 1 << 20;
/// Bytes that one read returns: what a request may hold in memory.
pub const READ_BYTES_MAX: u64 = 16 << 20;

/// What uploads may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentLimits {
    /// Bytes of one content.
    pub content_bytes_max: u64,
    /// Bytes of all staged contents together.
    pub staged_bytes_max: u64,
    /// Staged contents and claims of all owners together: some 200 bytes of RAM each.
    pub uploads_max: usize,
    /// Unfinished uploads of all owners together: some 2 KiB of RAM and an open file each.
    pub unfinished_max: usize,
    /// Unfinished uploads of one owner, so that none crowds out the others.
    pub unfinished_per_owner_max: usize,
}

impl Default for ContentLimits {
    fn default() -> Self {
        Self {
            content_bytes_max: 64 << 30,
            staged_bytes_max: 128 << 30,
            uploads_max: 128 << 10,
            unfinished_max: 1024,
            unfinished_per_owner_max: 64,
        }
    }
}

/// Why a content was not stored or read.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The files below failed; see `StoreError` on when to abort.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not stored, or this owner has not sent it whole.
    #[error("content {id} is not here")]
    Missing {
        /// What was asked for.
        id: ContentId,
    },
    /// An order of the admins erased it.
    #[error("content {id} was erased by entry {index}")]
    Erased {
        /// The content.
        id: ContentId,
        /// The order's index.
        index: Index,
    },
    /// The bytes hash to something else. What was staged of them is dropped.
    #[error("the bytes sent as content {id} hash to {found}")]
    Mismatch {
        /// What they were sent as.
        id: ContentId,
        /// What they are.
        found: ContentId,
    },
    /// The part does not follow what is kept. Go on at `kept`.
    #[error("a part at another offset than the {kept} bytes that are kept")]
    Offset {
        /// Bytes of it that are kept.
        kept: u64,
    },
    /// More than one content may have.
    #[error("a content of more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: u64,
    },
    /// All owners together have staged as much as is allowed.
    #[error("as much is staged as the server allows")]
    StagingFull,
    /// This owner has as many unfinished uploads as is allowed.
    #[error("{max} uploads are unfinished already")]
    TooManyUploads {
        /// The bound.
        max: usize,
    },
    /// The range does not lie within the content, or is longer than one read may be.
    #[error("bytes {start} to {end} of a content of {size} cannot be read at once")]
    Range {
        /// First byte.
        start: u64,
        /// After the last byte.
        end: u64,
        /// Bytes of the content.
        size: u64,
    },
}

impl ContentError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Store(error) => error.reason(),
            Self::Missing { .. } => Reason::ContentMissing,
            Self::Erased { .. } => Reason::ContentErased,
            Self::Mismatch { .. } => Reason::ContentMismatch,
            Self::Offset { .. } => Reason::ContentOffset,
            Self::TooLarge { .. } => Reason::ContentTooLarge,
            Self::StagingFull | Self::TooManyUploads { .. } => Reason::Overloaded,
            Self::Range { .. } => Reason::InvalidRequest,
        }
    }

    /// Whether the process must abort.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_fatal())
    }
}

/// Durable contents, of any engine.
pub trait ContentStore: Send + Sync {
    /// Bytes of a content; `None` unless it is durable.
    fn size(&self, id: &ContentId) -> Option<u64>;
    /// A part of a content, at most `READ_BYTES_MAX`. Of a packed one, the whole is verified
    /// first; of a large one nothing is: whoever reads it all checks the id.
    fn read(&self, id: &ContentId, range: Range<u64>) -> Result<Bytes, ContentError>;
    /// From now on the contents are neither read, nor sent, nor stored. On return no call is
    /// under way that would still add one of them to a pack.
    fn bar(&self, contents: &[(ContentId, Index)]);
    /// Overwrites what there is of contents that were barred before the anchor covered the order,
    /// durably. Any error means that the process must abort.
    fn erase(&self, ids: &[ContentId]) -> Result<(), StoreError>;
}

/// Contents in files.
#[derive(Debug)]
pub struct ContentFiles {
    packs: Packs,
    large: Large,
    staging: Staging,
    erased: Arc<Erased>,
}

/// Where contents lie below the data directory.
#[derive(Debug, Clone)]
pub struct ContentPaths {
    /// Segments of small contents.
    pub packs: PathBuf,
    /// Large contents.
    pub large: PathBuf,
    /// Uploads.
    pub staging: PathBuf,
}

impl ContentPaths {
    /// The usual names below a data directory.
    pub fn below(directory: &Path) -> Self {
        Self {
            packs: directory.join("packs"),
            large: directory.join("large"),
            staging: directory.join("staging"),
        }
    }
}

/// The id of the content without bytes.
pub fn empty_content() -> ContentId {
    ContentId::of(&[])
}

impl ContentFiles {
    /// Makes the first pack, in directories that exist.
    pub fn create(
        disk: &Arc<dyn Disk>,
        paths: &ContentPaths,
        ledger: LedgerTag,
    ) -> Result<(), StoreError> {
        packs::create(disk, paths.packs.clone(), ledger)
    }

    /// Settles the packs, and lists what else there is.
    pub fn open(
        disk: &Arc<dyn Disk>,
        paths: &ContentPaths,
        packs: PackScan,
        limits: ContentLimits,
    ) -> Result<Self, StoreError> {
        let erased = Arc::<Erased>::default();
        let both = || (Arc::clone(disk), Arc::clone(&erased));
        let ((packs_disk, for_packs), (large_disk, for_large)) = (both(), both());
        let staging = paths.staging.clone();
        Ok(Self {
            packs: packs.settle(packs_disk, for_packs)?,
            large: Large::open(large_disk, paths.large.clone(), for_large)?,
            staging: Staging::open(Arc::clone(disk), staging, limits, Arc::clone(&erased))?,
            erased,
        })
    }

    /// Uploads.
    pub fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Which order erased a content.
    pub fn erased(&self, id: &ContentId) -> Option<Index> {
        self.erased.index(id)
    }

    /// Whether anything was erased at all.
    pub fn has_erased(&self) -> bool {
        self.erased.any()
    }

    /// Whether a byte of a content that was barred is still in a file, as far as one can see: a
    /// process before this one may have seen zeros that the disk never got.
    pub fn remains(&self, id: &ContentId) -> Result<bool, StoreError> {
        let in_files = self.large.size(id).is_some() || self.staging.holds(id);
        Ok(in_files || self.packs.remains(id)?)
    }

    /// The durable end of the packs.
    pub fn packs_tail(&self) -> SeriesTail {
        self.packs.durable_tail()
    }

    /// Makes contents that the owner has sent durable: the small ones of all concurrent callers
    /// by one sync, the large ones, whose bytes are synced already, by a rename. Those that
    /// are durable are skipped. The owner's claim on each stays until it expires, so that a
    /// retry after a lost race need not send them again. `Missing` names one that is neither
    /// durable nor sent.
    pub fn promote(&self, owner: &str, ids: &[ContentId]) -> Result<(), ContentError> {
        let ids: BTreeSet<ContentId> = ids.iter().copied().collect();
        let mut small = Vec::new();
        let mut large = Vec::new();
        let mut staged = Vec::new();
        for id in ids {
            self.erased.check(&id)?;
            let ready = self.staging.ready(owner, &id)?;
            if ready.is_some() {
                staged.push(id);
            }
            match ready {
                _ if self.size(&id).is_some() => {}
                None => return Err(ContentError::Missing { id }),
                Some(Ready { path, bytes }) if bytes < PACKED_BYTES_LIMIT => {
                    small.push(Packed { id, path, bytes });
                }
                Some(_) => large.push(id),
            }
        }
        self.packs.put(small)?;
        self.large.adopt(&large, |id, target| {
            self.staging.hand_over(owner, id, target)
        })?;
        // Only now: a staged file goes when its content is durable elsewhere.
        staged
            .iter()
            .try_for_each(|id| self.staging.settle(owner, id))
    }
}

impl ContentStore for ContentFiles {
    fn size(&self, id: &ContentId) -> Option<u64> {
        if self.erased.index(id).is_some() {
            return None;
        }
        if *id == empty_content() {
            return Some(0);
        }
        self.packs.size(id).or_else(|| self.large.size(id))
    }

    fn read(&self, id: &ContentId, range: Range<u64>) -> Result<Bytes, ContentError> {
        self.erased.check(id)?;
        let size = self.size(id).ok_or(ContentError::Missing { id: *id })?;
        let Range { start, end } = range;
        let length = end
            .checked_sub(start)
            .filter(|length| *length <= READ_BYTES_MAX);
        if length.is_none() || end > size {
            return Err(ContentError::Range { start, end, size });
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        let content = match self.packs.read(id) {
            Ok(Some(content)) => {
                let cut = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
                Ok(content.slice(cut(start)..cut(end)))
            }
            Ok(None) => self.large.read(id, start..end),
            Err(error) => Err(error),
        };
        // Once more: what was read meanwhile may be zeros, and no damage.
        self.erased.check(id)?;
        Ok(content?)
    }

    fn bar(&self, contents: &[(ContentId, Index)]) {
        self.erased.add(contents.iter().copied());
        self.packs.pass_erased();
    }

    fn erase(&self, ids: &[ContentId]) -> Result<(), StoreError> {
        // In the order in which bytes move on: what leaves one place is met in the next.
        self.staging.erase(ids)?;
        self.large.erase(ids)?;
        self.packs.erase(ids)
    }
}
