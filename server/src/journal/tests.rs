//! Records, their bytes, and the reads of the embedded journal.
#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use cairn_proto::hash::{DocumentId, Index, LeafHash, RootHash, TreeSize};

use super::{scan::config, *};
use crate::{
    disk::{Disk, fake::FakeDisk},
    segment::{self, LedgerTag},
};

const DIRECTORY: &str = "/journal";
const LEDGER: LedgerTag = LedgerTag([7; 16]);

/// A record with this many leaves and documents that follows the tail.
pub(crate) fn record(tail: &Tail, leaves: u8, documents: u8) -> Record {
    let text = |kind: &str, number: u8| {
        let text = format!("{kind} {number} of record {}", tail.position);
        Bytes::from(text.repeat(usize::from(number) + 1))
    };
    Record {
        previous: tail.hash,
        first: Index(tail.size.0),
        leaves: (0..leaves).map(|number| text("leaf", number)).collect(),
        documents: (0..documents)
            .map(|number| RecordDocument {
                leaf: u32::from(number % leaves),
                bytes: text("document", number),
            })
            .collect(),
        size: TreeSize(tail.size.0 + u64::from(leaves)),
        root: RootHash(*blake3::hash(&tail.position.to_le_bytes()).as_bytes()),
    }
    .sorted()
}

impl Record {
    fn sorted(mut self) -> Self {
        self.documents.sort_by_key(|document| document.leaf);
        self
    }
}

fn open(disk: &Arc<dyn Disk>, segment_bytes_max: u64) -> FileJournal {
    let config = config(DIRECTORY.into(), LEDGER, segment_bytes_max);
    if disk.list(Path::new(DIRECTORY)).unwrap().is_empty() {
        segment::create(disk, &config).unwrap();
    }
    JournalScan::read_series(disk, config, None)
        .unwrap()
        .settle()
        .unwrap()
}

fn verify(journal: &FileJournal, records: &[Record]) {
    assert_eq!(journal.tail().position, records.len() as u64);
    for (position, record) in (0..).zip(records) {
        assert_eq!(journal.read(position).unwrap(), *record);
        for (index, leaf) in (record.first.0..).map(Index).zip(&record.leaves) {
            assert_eq!(journal.position_of(index), Some(position));
            assert_eq!(journal.leaf(index).unwrap(), leaf);
            assert_eq!(
                journal.leaf_checked(index, &LeafHash::of(leaf)).unwrap(),
                leaf
            );
        }
        assert_eq!(journal.documents_of(position).unwrap(), record.documents);
        for (ordinal, document) in (0..).zip(&record.documents) {
            let id = DocumentId::of(&document.bytes);
            assert_eq!(
                journal.document(position, ordinal, &id).unwrap(),
                document.bytes
            );
        }
    }
}

#[test]
fn records_are_there_again_after_reopening_over_several_segments() {
    let disk = FakeDisk::new().shared();
    let mut records = Vec::new();
    for round in 0..4 {
        let journal = open(&disk, 8 << 10);
        verify(&journal, &records);
        for number in 0..6 {
            let next = record(&journal.tail(), 1 + number, (number + round) % 4);
            let position = journal.tail().position;
            journal.reserve(next.encoded_len() as u64).unwrap();
            assert_eq!(journal.append(position, &next).unwrap(), Appended::Created);
            assert_eq!(journal.tail().hash, next.hash().unwrap());
            records.push(next);
        }
        verify(&journal, &records);
    }
    assert!(disk.list(Path::new(DIRECTORY)).unwrap().len() > 2);
}

#[test]
fn a_position_is_taken_once() {
    let journal = open(&FakeDisk::new().shared(), 1 << 20);
    let first = record(&journal.tail(), 2, 1);
    assert_eq!(journal.append(1, &first).unwrap(), Appended::Conflict);
    assert_eq!(journal.append(0, &first).unwrap(), Appended::Created);
    assert_eq!(journal.append(0, &first).unwrap(), Appended::Same);
    assert_eq!(journal.append(1, &first).unwrap(), Appended::Conflict);
    let other = record(&Tail::empty(), 3, 0);
    assert_eq!(journal.append(0, &other).unwrap(), Appended::Conflict);
    let mut stranger = record(&journal.tail(), 1, 0);
    stranger.previous = RecordHash([9; 32]);
    assert_eq!(journal.append(1, &stranger).unwrap(), Appended::Conflict);
    verify(&journal, &[first]);
}

#[test]
fn what_is_not_there_is_absent_and_a_wrong_hash_is_no_damage() {
    let journal = open(&FakeDisk::new().shared(), 1 << 20);
    let first = record(&journal.tail(), 2, 1);
    assert_eq!(journal.append(0, &first).unwrap(), Appended::Created);
    assert_eq!(journal.position_of(Index(2)), None);
    assert!(matches!(
        journal.leaf(Index(2)),
        Err(StoreError::Absent { number: 2 })
    ));
    assert!(matches!(
        journal.read(1),
        Err(StoreError::Absent { number: 1 })
    ));
    let wrong = journal.leaf_checked(Index(1), &LeafHash::of(b"other"));
    assert!(matches!(wrong, Err(StoreError::Mismatch { .. })));
    let id = DocumentId::of(&first.documents[0].bytes);
    for ordinal in [1, 2, u32::MAX] {
        let wrong = journal.document(0, ordinal, &id);
        assert!(matches!(wrong, Err(StoreError::Mismatch { .. })));
    }
}

#[test]
fn a_record_that_is_not_well_formed_is_not_appended() {
    let journal = open(&FakeDisk::new().shared(), 1 << 20);
    let good = record(&journal.tail(), 2, 2);
    let long = Bytes::from(vec![1; cairn_proto::limits::ENTRY_BYTES_MAX + 1]);
    let document = |leaf| RecordDocument {
        leaf,
        bytes: Bytes::from_static(b"d"),
    };
    let wrong = [
        (
            RecordFault::NoLeaf,
            Record {
                leaves: Vec::new(),
                documents: Vec::new(),
                ..good.clone()
            },
        ),
        (
            RecordFault::Size,
            Record {
                size: TreeSize(9),
                ..good.clone()
            },
        ),
        (
            RecordFault::LeafLength,
            Record {
                leaves: vec![long, Bytes::from_static(b"1")],
                ..good.clone()
            },
        ),
        (
            RecordFault::LeafLength,
            Record {
                leaves: vec![Bytes::new(), Bytes::from_static(b"1")],
                ..good.clone()
            },
        ),
        (
            RecordFault::DocumentLeaf,
            Record {
                documents: vec![document(2)],
                ..good.clone()
            },
        ),
        (
            RecordFault::DocumentLeaf,
            Record {
                documents: vec![document(1), document(0)],
                ..good.clone()
            },
        ),
    ];
    for (fault, record) in wrong {
        let error = journal.append(0, &record).unwrap_err();
        assert!(
            matches!(error, StoreError::Malformed(found) if found == fault),
            "{error}"
        );
    }
    assert_eq!(journal.tail(), Tail::empty());
}

/// Goal: one spelling. Flip, cut and extend the bytes; what still decodes encodes to them.
#[test]
fn bytes_that_decode_are_the_encoding_of_what_they_decode_to() {
    let mut tail = Tail::empty();
    tail.size = TreeSize(5);
    let bytes = record(&tail, 3, 2).encode().unwrap();
    let verify = |bytes: &[u8]| {
        if let Ok(record) = Record::decode(&Bytes::copy_from_slice(bytes)) {
            assert_eq!(record.encode().unwrap(), bytes);
        }
    };
    for at in 0..bytes.len() {
        assert!(Record::decode(&Bytes::copy_from_slice(&bytes[..at])).is_err());
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= value;
            verify(&changed);
            changed[at] = value;
            verify(&changed);
        }
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(
        Record::decode(&Bytes::from(longer)),
        Err(RecordFault::Tables)
    );
}
