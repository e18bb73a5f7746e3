//! One committed batch, and its bytes.
//!
//! All numbers little-endian. `head | offsets | documents | body`:
//!
//! ```text
//! head       version u32, leaves u32, documents u32, zero u32,
//!            first u64, size u64, previous [32], root [32]            = 96 bytes
//! offsets    u32 * (leaves + 1): where each leaf begins, from the payload's start;
//!            the last is where the documents begin
//! documents  (leaf u32, end u32) * documents
//! body       the leaves' bytes, then the documents'
//! ```
//!
//! The tables come first and hold absolute offsets, so that one leaf or one document is
//! two small reads. Invariant: `decode` accepts exactly what `encode` writes, so a record
//! has one hash. Out of scope: where the bytes lie (`segment`).

use std::fmt;

use bytes::Bytes;
use cairn_proto::{
    hash::{Index, RootHash, TreeSize},
    limits::ENTRY_BYTES_MAX,
};
use thiserror::Error;

/// Bytes of an encoded record: a batch of the largest manifests still fits, a follower can
/// hold a few in memory, and it stays well below a segment, which no frame may span.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

const VERSION: u32 = 1;
/// Bytes of the fixed head.
pub(super) const HEAD_BYTES: usize = 96;

/// BLAKE3 of a record's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordHash(pub [u8; 32]);

impl RecordHash {
    /// What the first record names as its predecessor.
    pub const NONE: Self = Self([0; 32]);
}

impl fmt::Display for RecordHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RecordHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RecordHash({self})")
    }
}

/// A document in the record of the entry that first names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordDocument {
    /// Which of the record's leaves names it first, from 0.
    pub leaf: u32,
    /// The document.
    pub bytes: Bytes,
}

/// One committed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Hash of the record before it.
    pub previous: RecordHash,
    /// Index of the first leaf.
    pub first: Index,
    /// The leaves, the map record last.
    pub leaves: Vec<Bytes>,
    /// The documents that these leaves are the first to name, by ascending `leaf`.
    pub documents: Vec<RecordDocument>,
    /// Leaves in the tree that ends with this record.
    pub size: TreeSize,
    /// Root of that tree.
    pub root: RootHash,
}

/// Why a record, or the bytes of one, are not well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// More than `RECORD_BYTES_MAX`.
    #[error("the record is larger than {RECORD_BYTES_MAX} bytes")]
    TooLarge,
    /// No leaf.
    #[error("the record has no leaf")]
    NoLeaf,
    /// A leaf is empty or exceeds `ENTRY_BYTES_MAX`.
    #[error("a leaf's length is not 1 to {ENTRY_BYTES_MAX}")]
    LeafLength,
    /// `size` is not `first` and the number of leaves together.
    #[error("the size is not the first index plus the number of leaves")]
    Size,
    /// A document's leaf is not in the record, or the documents are not in order.
    #[error("a document names a leaf out of order or not in the record")]
    DocumentLeaf,
    /// Another format version.
    #[error("the record's format version is not known")]
    Version,
    /// The tables do not describe the bytes.
    #[error("the record's tables do not fit its bytes")]
    Tables,
}

/// The fixed part of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) leaves: u32,
    documents: u32,
    pub(super) first: Index,
    pub(super) size: TreeSize,
    pub(super) previous: RecordHash,
    pub(super) root: RootHash,
}

impl Head {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordFault> {
        let mut cursor = Cursor(bytes);
        if cursor.u32()? != VERSION {
            return Err(RecordFault::Version);
        }
        let (leaves, documents) = (cursor.u32()?, cursor.u32()?);
        if cursor.u32()? != 0 {
            return Err(RecordFault::Version);
        }
        let head = Self {
            leaves,
            documents,
            first: Index(cursor.u64()?),
            size: TreeSize(cursor.u64()?),
            previous: RecordHash(cursor.array()?),
            root: RootHash(cursor.array()?),
        };
        if head.leaves == 0 {
            return Err(RecordFault::NoLeaf);
        }
        if head.first.0.checked_add(u64::from(head.leaves)) != Some(head.size.0) {
            return Err(RecordFault::Size);
        }
        Ok(head)
    }
}

/// Where the two offsets of a leaf's beginning and end lie in the payload.
pub(super) fn leaf_slot(ordinal: u32) -> u64 {
    HEAD_BYTES as u64 + 4 * u64::from(ordinal)
}

/// Where a document's `(end of the one before, leaf, end)` lie in the payload. The last
/// leaf offset stands right before the documents' table, so the first needs no exception.
pub(super) fn document_slot(leaves: u32, ordinal: u32) -> u64 {
    HEAD_BYTES as u64 + 4 * u64::from(leaves) + 8 * u64::from(ordinal)
}

impl Record {
    /// Bytes of the encoded record: what to reserve.
    pub fn encoded_len(&self) -> usize {
        let leaves: usize = self.leaves.iter().map(Bytes::len).sum();
        let documents: usize = self.documents.iter().map(|one| one.bytes.len()).sum();
        self.tables_len() + leaves + documents
    }

    fn tables_len(&self) -> usize {
        HEAD_BYTES + 4 * (self.leaves.len() + 1) + 8 * self.documents.len()
    }

    /// The hash that the next record names.
    pub fn hash(&self) -> Result<RecordHash, RecordFault> {
        Ok(RecordHash(*blake3::hash(&self.encode()?).as_bytes()))
    }

    /// The one spelling of a well-formed record.
    pub fn encode(&self) -> Result<Vec<u8>, RecordFault> {
        if self.encoded_len() > RECORD_BYTES_MAX {
            return Err(RecordFault::TooLarge);
        }
        let count = |length: usize| u32::try_from(length).map_err(|_| RecordFault::TooLarge);
        let leaves = count(self.leaves.len())?;
        self.validate(leaves)?;

        let mut out = Vec::with_capacity(self.encoded_len());
        for number in [VERSION, leaves, count(self.documents.len())?, 0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.size.0.to_le_bytes());
        out.extend_from_slice(&self.previous.0);
        out.extend_from_slice(&self.root.0);
        let mut offset = self.tables_len();
        out.extend_from_slice(&count(offset)?.to_le_bytes());
        for leaf in &self.leaves {
            offset += leaf.len();
            out.extend_from_slice(&count(offset)?.to_le_bytes());
        }
        for document in &self.documents {
            offset += document.bytes.len();
            out.extend_from_slice(&document.leaf.to_le_bytes());
            out.extend_from_slice(&count(offset)?.to_le_bytes());
        }
        for bytes in self
            .leaves
            .iter()
            .chain(self.documents.iter().map(|one| &one.bytes))
        {
            out.extend_from_slice(bytes);
        }
        Ok(out)
    }

    /// Reads a record; its parts share the given bytes.
    pub fn decode(payload: &Bytes) -> Result<Self, RecordFault> {
        if payload.len() > RECORD_BYTES_MAX {
            return Err(RecordFault::TooLarge);
        }
        let head = Head::decode(payload)?;
        let mut cursor = Cursor(payload.get(HEAD_BYTES..).unwrap_or_default());
        let mut start = cursor.offset()?;
        // Bounded by the payload: each round consumes bytes of the table or fails.
        let mut leaves = Vec::new();
        for _ in 0..head.leaves {
            leaves.push(part(payload, &mut start, cursor.offset()?)?);
        }
        let mut documents = Vec::new();
        for _ in 0..head.documents {
            let leaf = cursor.u32()?;
            let bytes = part(payload, &mut start, cursor.offset()?)?;
            documents.push(RecordDocument { leaf, bytes });
        }
        let record = Self {
            previous: head.previous,
            first: head.first,
            leaves,
            documents,
            size: head.size,
            root: head.root,
        };
        record.validate(head.leaves)?;
        // Tables, parts and payload add up, so nothing is left over: one spelling.
        if start == payload.len() && record.encoded_len() == payload.len() {
            Ok(record)
        } else {
            Err(RecordFault::Tables)
        }
    }

    fn validate(&self, leaves: u32) -> Result<(), RecordFault> {
        if leaves == 0 {
            return Err(RecordFault::NoLeaf);
        }
        if self.first.0.checked_add(u64::from(leaves)) != Some(self.size.0) {
            return Err(RecordFault::Size);
        }
        if self
            .leaves
            .iter()
            .any(|leaf| leaf.is_empty() || leaf.len() > ENTRY_BYTES_MAX)
        {
            return Err(RecordFault::LeafLength);
        }
        let ordered = self.documents.is_sorted_by_key(|document| document.leaf);
        if !ordered
            || self
                .documents
                .last()
                .is_some_and(|last| last.leaf >= leaves)
        {
            return Err(RecordFault::DocumentLeaf);
        }
        Ok(())
    }
}

fn part(payload: &Bytes, start: &mut usize, end: usize) -> Result<Bytes, RecordFault> {
    if *start > end || end > payload.len() {
        return Err(RecordFault::Tables);
    }
    Ok(payload.slice(std::mem::replace(start, end)..end))
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordFault> {
        let (head, rest) = self.0.split_first_chunk().ok_or(RecordFault::Tables)?;
        self.0 = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, RecordFault> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, RecordFault> {
        self.array().map(u64::from_le_bytes)
    }

    fn offset(&mut self) -> Result<usize, RecordFault> {
        usize::try_from(self.u32()?).map_err(|_| RecordFault::Tables)
    }
}
