//! Append-only series of segment files of frames. One component, two uses: journal, packs.
//!
//! ```text
//! file    NNNNNNNN.seg = header (one 4096-byte block), frames, zeros to the allocated end
//! header  magic [8], version u32, kind u32, number u32, zero u32, first position u64,
//!         key [32], ledger [16], keyed BLAKE3 of all that [32]
//! frame   magic u32, payload length u32, position u64, ledger [16], payload digest [32],
//!         keyed BLAKE3 of all that and the frame's offset, first [16]; payload; zeros to 8
//! ```
//!
//! Numbers are little-endian; positions count over the whole series. The key is random per
//! segment, so no payload can contain bytes that pass for a frame.
//!
//! Invariants:
//! - A frame is written into space that was zeroed and synced before, once, and never again
//!   except byte for byte at open, or when its payload is erased: zeros, the header kept.
//! - The end is the first all-zero header; past it everything is zero and synced before the
//!   first append after an open.
//! - Nothing is changed on disk by `Scan::read`; only `Scan::settle` writes. So a refusal to
//!   open leaves the evidence as it was.
//! - What lies at or after the anchored tail was verified whole, rewritten and synced before
//!   a `Series` exists.
//!
//! Out of scope: what payloads mean, deciding what may be served or signed. One descriptor
//! stays open per segment (256 MiB): the process raises its descriptor limit at start.

mod error;
mod file;
mod frame;
mod scan;
mod series;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

pub(crate) use file::{is_draft, zero};

pub use error::{Damage, FrameAt, StoreError};
pub use scan::{Found, Scan};
pub use series::Series;

use crate::disk::Disk;

/// Bytes after which a segment takes no more frames: a copy or a repair moves one file.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Smallest step in which space is allocated: a new ledger takes 1 MiB, not 256.
pub const STEP_BYTES_MIN: u64 = 1 << 20;
/// Largest step: what is zeroed and synced at once, some 20 ms on a plain disk.
pub const STEP_BYTES_MAX: u64 = 16 << 20;

/// First 16 bytes of a hash of the ledger's identity: a file of another ledger is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerTag(pub [u8; 16]);

impl LedgerTag {
    /// The tag of the ledger with this origin.
    pub fn of(origin: &cairn_proto::name::Origin) -> Self {
        let mut tag = [0; 16];
        blake3::Hasher::new_derive_key("cairn 2025 storage ledger tag")
            .update(origin.as_str().as_bytes())
            .finalize_xof()
            .fill(&mut tag);
        Self(tag)
    }
}

/// What a series holds; part of every segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Journal records.
    Journal,
    /// Contents.
    Pack,
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Kind::Journal => 1,
            Kind::Pack => 2,
        }
    }
}

/// What a good frame after a bad one means above the anchored tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successor {
    /// Every frame is synced before the next one is written, so no crash explains it.
    IsDamage,
    /// Many frames share one sync, so a torn batch looks like this: cut before it.
    IsCut,
}

/// How a series is kept.
#[derive(Debug, Clone)]
pub struct SeriesConfig {
    /// Where its files lie.
    pub directory: PathBuf,
    /// What it holds.
    pub kind: Kind,
    /// Whose it is.
    pub ledger: LedgerTag,
    /// Bytes of the largest payload; below `segment_bytes_max`.
    pub payload_bytes_max: u32,
    /// Bytes after which a segment is full; `SEGMENT_BYTES_MAX` outside tests.
    pub segment_bytes_max: u64,
}

/// Where a series ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesTail {
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the next frame.
    pub offset: u64,
    /// Position of the next frame.
    pub position: u64,
}

impl SeriesTail {
    /// The beginning of every series.
    pub const START: Self = Self {
        segment: 0,
        offset: file::HEADER_BYTES,
        position: 0,
    };
}

impl fmt::Display for SeriesTail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segment,
            offset,
            position,
        } = self;
        write!(
            out,
            "position {position} (segment {segment}, offset {offset})"
        )
    }
}

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the segment.
    pub segment: u32,
    /// Bytes of the payload.
    pub bytes: u32,
    /// Offset of the frame's header.
    pub offset: u64,
}

/// A frame whose header is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Where it lies.
    pub place: Place,
    /// Its ordinal over the series.
    pub position: u64,
    /// BLAKE3 that its payload must have.
    pub digest: [u8; 32],
}

/// Makes the first segment of a new series, durable with its directory. The directory
/// exists already.
pub fn create(disk: &Arc<dyn Disk>, config: &SeriesConfig) -> Result<(), StoreError> {
    file::SegmentFile::create(disk.as_ref(), config, 0, 0).map(drop)
}

/// Locks a table in RAM. Each change to one is a single insertion or removal, so that what a
/// panicking thread left behind is whole; what must not go on after a panic is `Broken`.
pub(crate) fn reading<T>(table: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    table.read().unwrap_or_else(PoisonError::into_inner)
}

/// As `reading`, to change it.
pub(crate) fn writing<T>(table: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    table.write().unwrap_or_else(PoisonError::into_inner)
}
