//! The journal: every committed batch, in order, as one record each. The only truth.
//!
//! `Journal` is the trait that any engine can offer: create once at a position, read, tail.
//! `FileJournal` is the embedded one, over segment files.
//! Invariant: a record is written once, is durable before `append` says `Created`, names the
//! hash of the record before it, and begins at the size that the record before it ends with.
//! Out of scope: what leaves and documents mean, and whether a root is right; that is the
//! sequencer's and the auditor's work, with the rules of `cairn-proto`.

mod files;
mod record;
mod scan;
#[cfg(test)]
pub(crate) mod tests;

use cairn_proto::hash::{RootHash, TreeSize};

pub use files::FileJournal;
pub use record::{RECORD_BYTES_MAX, Record, RecordDocument, RecordFault, RecordHash};

pub use scan::JournalScan;
pub(crate) use scan::erased_by;

use crate::segment::StoreError;

/// Where a journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Position that the next record takes.
    pub position: u64,
    /// Hash of the last record; `RecordHash::NONE` before the first.
    pub hash: RecordHash,
    /// Leaves in the tree.
    pub size: TreeSize,
    /// Root of the tree.
    pub root: RootHash,
}

impl Tail {
    /// The end of a journal without records.
    pub fn empty() -> Self {
        Self {
            position: 0,
            hash: RecordHash::NONE,
            size: TreeSize(0),
            root: RootHash::empty(),
        }
    }
}

/// What became of an append. The position is the lock: whoever meets `Conflict` reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Appended {
    /// The record is durable at the position.
    Created,
    /// The very same record was there already.
    Same,
    /// Another record is there, or the position or `previous` is not the tail's.
    Conflict,
}

/// An append-only sequence of records whose only atomic primitive is *create once*.
pub trait Journal: Send + Sync {
    /// Writes the record at the position; durable on return. One appender at a time.
    fn append(&self, position: u64, record: &Record) -> Result<Appended, StoreError>;
    /// The record at a position below the tail's, verified against its checksum.
    fn read(&self, position: u64) -> Result<Record, StoreError>;
    /// The durable end.
    fn tail(&self) -> Tail;
}
