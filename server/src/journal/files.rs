//! The embedded journal, over a series of segment files.
//!
//! Invariant: nobody sees a record before it is durable, and no read answers with bytes that
//! fail their hash, except `leaf`, which says so. Reads take `&self`, beside one appender,
//! and never wait for a sync. The table of first indices is in RAM, 24 bytes a record,
//! rebuilt at open by the scan.
//! Out of scope: what a crash leaves (`scan`), which tail is trusted (`store`).

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;
use cairn_proto::{
    hash::{DocumentId, Index, LeafHash},
    limits::ENTRY_BYTES_MAX,
};

use super::{
    Appended, Journal, Record, RecordDocument, RecordHash, Tail,
    record::{document_slot, leaf_slot},
    scan::config,
};
use crate::{
    disk::Disk,
    segment::{
        self, Damage, LedgerTag, Place, SEGMENT_BYTES_MAX, Series, SeriesTail, StoreError, reading,
        writing,
    },
};

/// Where a record lies, and its first index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) first: u64,
    pub(super) place: Place,
}

/// The journal in segment files.
#[derive(Debug)]
pub struct FileJournal {
    series: Series,
    /// One appender at a time, from comparing the tail to moving it.
    appending: Mutex<()>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    rows: Vec<Row>,
    tail: Tail,
    /// Where the last record ends in the files.
    end: SeriesTail,
}

impl FileJournal {
    pub(super) fn new(series: Series, rows: Vec<Row>, tail: Tail) -> Self {
        let end = series.durable_tail();
        let state = RwLock::new(State { rows, tail, end });
        Self {
            series,
            appending: Mutex::new(()),
            state,
        }
    }

    /// Makes an empty journal's first file in an existing directory.
    pub fn create(
        disk: &Arc<dyn Disk>,
        directory: PathBuf,
        ledger: LedgerTag,
    ) -> Result<(), StoreError> {
        segment::create(disk, &config(directory, ledger, SEGMENT_BYTES_MAX))
    }

    /// Allocates room for one record of so many encoded bytes, before it is sequenced.
    pub fn reserve(&self, record_bytes: u64) -> Result<(), StoreError> {
        self.series.reserve(record_bytes)
    }

    /// The durable end, and where it lies in the files, of one and the same moment.
    pub fn ends(&self) -> (Tail, SeriesTail) {
        let state = reading(&self.state);
        (state.tail, state.end)
    }

    /// The record that holds a leaf; `None` beyond the tail.
    pub fn position_of(&self, index: Index) -> Option<u64> {
        let state = reading(&self.state);
        if index.0 >= state.tail.size.0 {
            return None;
        }
        let after = state.rows.partition_point(|row| row.first <= index.0);
        after.checked_sub(1).map(|position| position as u64)
    }

    /// A leaf, by two small reads. **Not verified**: the caller re-hashes it, or uses
    /// `leaf_checked`.
    pub fn leaf(&self, index: Index) -> Result<Bytes, StoreError> {
        let (position, ordinal) = self.locate(index)?;
        if let Some(leaf) = self.leaf_part(position, ordinal)? {
            return Ok(leaf);
        }
        // The tables do not fit: the whole record is damaged, and says so.
        let record = self.read(position)?;
        let leaf = record.leaves.get(ordinal as usize).cloned();
        leaf.ok_or(StoreError::Absent { number: index.0 })
    }

    /// A leaf that has this hash. Anything else is named: damage of the frame, or a caller
    /// that asks for the wrong hash.
    pub fn leaf_checked(&self, index: Index, hash: &LeafHash) -> Result<Bytes, StoreError> {
        let (position, ordinal) = self.locate(index)?;
        let right = |leaf: &Bytes| LeafHash::of(leaf) == *hash;
        if let Some(leaf) = self.leaf_part(position, ordinal)?.filter(right) {
            return Ok(leaf);
        }
        let record = self.read(position)?;
        let leaf = record.leaves.get(ordinal as usize).cloned().filter(right);
        leaf.ok_or_else(|| self.mismatch(position))
    }

    /// A document of a record, verified by its id. `ordinal` counts `Record::documents`.
    pub fn document(
        &self,
        position: u64,
        ordinal: u32,
        id: &DocumentId,
    ) -> Result<Bytes, StoreError> {
        let right = |document: &Bytes| DocumentId::of(document) == *id;
        if let Some(document) = self.document_part(position, ordinal)?.filter(right) {
            return Ok(document);
        }
        let documents = self.read(position)?.documents;
        let document = documents.get(ordinal as usize).map(|one| one.bytes.clone());
        document
            .filter(right)
            .ok_or_else(|| self.mismatch(position))
    }

    /// All documents of a record, verified with it.
    pub fn documents_of(&self, position: u64) -> Result<Vec<RecordDocument>, StoreError> {
        Ok(self.read(position)?.documents)
    }

    fn mismatch(&self, position: u64) -> StoreError {
        match self.row(position) {
            Ok((row, _)) => StoreError::Mismatch {
                frame: self.series.name(row.place, position),
            },
            Err(error) => error,
        }
    }

    /// A record's row, and the number of its leaves.
    fn row(&self, position: u64) -> Result<(Row, u32), StoreError> {
        let absent = StoreError::Absent { number: position };
        let Ok(ordinal) = usize::try_from(position) else {
            return Err(absent);
        };
        let state = reading(&self.state);
        let Some(row) = state.rows.get(ordinal).copied() else {
            return Err(absent);
        };
        let next = state
            .rows
            .get(ordinal + 1)
            .map_or(state.tail.size.0, |next| next.first);
        Ok((row, u32::try_from(next - row.first).unwrap_or(u32::MAX)))
    }

    /// The record that holds a leaf, and which of its leaves it is.
    fn locate(&self, index: Index) -> Result<(u64, u32), StoreError> {
        let absent = || StoreError::Absent { number: index.0 };
        let position = self.position_of(index).ok_or_else(absent)?;
        let (row, _) = self.row(position)?;
        let ordinal = u32::try_from(index.0 - row.first).map_err(|_| absent())?;
        Ok((position, ordinal))
    }

    /// A leaf as the tables place it; `None` if they cannot be right.
    fn leaf_part(&self, position: u64, ordinal: u32) -> Result<Option<Bytes>, StoreError> {
        let (row, _) = self.row(position)?;
        let Some(slot) = self.series.read_part(row.place, leaf_slot(ordinal), 8)? else {
            return Ok(None);
        };
        match (u32_at(&slot, 0), u32_at(&slot, 4)) {
            (Some(start), Some(end)) if end >= start && end - start <= ENTRY_BYTES_MAX as u64 => {
                self.series.read_part(row.place, start, end - start)
            }
            _ => Ok(None),
        }
    }

    /// What the tables say of a document; beyond the last they say nothing of sense.
    fn document_part(&self, position: u64, ordinal: u32) -> Result<Option<Bytes>, StoreError> {
        let (row, leaves) = self.row(position)?;
        let slot = self
            .series
            .read_part(row.place, document_slot(leaves, ordinal), 12)?;
        let Some(slot) = slot else {
            return Ok(None);
        };
        match (u32_at(&slot, 0), u32_at(&slot, 8)) {
            (Some(start), Some(end)) if end >= start => {
                self.series.read_part(row.place, start, end - start)
            }
            _ => Ok(None),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u64::from(u32::from_le_bytes(*field)))
}

impl Journal for FileJournal {
    fn append(&self, position: u64, record: &Record) -> Result<Appended, StoreError> {
        // Poisoned by a panic inside the series, which is `Broken` then by itself.
        let _one = self
            .appending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let payload = record.encode()?;
        let hash = *blake3::hash(&payload).as_bytes();
        let tail = self.tail();
        if position < tail.position {
            let (row, _) = self.row(position)?;
            let (there, _) = self.series.read(row.place, position)?;
            return Ok(if there.digest == hash {
                Appended::Same
            } else {
                Appended::Conflict
            });
        }
        let follows = position == tail.position
            && record.previous == tail.hash
            && record.first.0 == tail.size.0;
        if !follows {
            return Ok(Appended::Conflict);
        }
        let frame = self.series.append(&payload, hash)?;
        // Nobody sees the record before it is durable: the tail moves after the sync.
        let end = self.series.sync()?;
        let mut state = writing(&self.state);
        state.end = end;
        state.rows.push(Row {
            first: record.first.0,
            place: frame.place,
        });
        state.tail = Tail {
            position: position + 1,
            hash: RecordHash(hash),
            size: record.size,
            root: record.root,
        };
        Ok(Appended::Created)
    }

    fn read(&self, position: u64) -> Result<Record, StoreError> {
        let (row, _) = self.row(position)?;
        let (_, payload) = self.series.read(row.place, position)?;
        Record::decode(&payload).map_err(|fault| StoreError::Damaged {
            frame: self.series.name(row.place, position),
            damage: Damage::Record(fault),
        })
    }

    fn tail(&self) -> Tail {
        reading(&self.state).tail
    }
}
