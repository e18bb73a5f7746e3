//! What one append costs at the least: each part alone, on one core, in the same run.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use cairn_grpc::v1;
use cairn_proto::{
    entry::Submission,
    hash::{Index, LeafHash, MapKey, Sha256},
    key::Signer as _,
    map::Map,
    row::{DigestRow, Row},
};

use crate::{
    report::{Line, Report, Unit, cost},
    support::{DEV, key},
};

/// Rows of the map that a release of the workload changes: the environment's, a digest that
/// came and one that went.
const MAP_ROWS: f64 = 3.0;
/// Keys that an index of such a ledger cannot do without: those three, and the document's.
const INDEX_KEYS: f64 = 4.0;
/// Entries of a batch in the floor of the disk.
const BATCH: usize = 16;

/// Seconds of one core for one append, without the network; each part becomes a line.
pub(crate) fn append(sample: &[v1::AppendRequest], report: &mut Report) -> f64 {
    let parts = [
        ("floor: strict Ed25519 verification", verification(), 1.0),
        (
            "floor: decoding and hashing an entry",
            decoding(sample),
            1.0,
        ),
        ("floor: a map row, root every 64", map_row(), MAP_ROWS),
        (
            "floor: an index key in sled, 64 a batch",
            index_key(),
            INDEX_KEYS,
        ),
        (
            "floor: durable record and anchor, 16 a batch",
            durable(sample),
            1.0,
        ),
    ];
    for (what, seconds, _) in &parts {
        report.push(Line::new(*what, seconds * 1e6, Unit::Micros));
    }
    parts
        .iter()
        .map(|(_, seconds, times)| seconds * times)
        .sum()
}

fn verification() -> f64 {
    let dev = key(DEV);
    let message = vec![7; 1_024];
    let signature = dev.sign(&message).unwrap();
    let public = dev.public_key();
    cost(4_000, |_| public.verify(&message, &signature).unwrap())
}

fn decoding(sample: &[v1::AppendRequest]) -> f64 {
    cost(sample.len() * 4, |turn| {
        let request = &sample[turn % sample.len()];
        Submission::decode(&request.envelope, &request.document).unwrap();
    })
}

fn random(turn: usize) -> [u8; 32] {
    Sha256::of(&turn.to_be_bytes()).0
}

fn map_row() -> f64 {
    let mut map = Map::default();
    cost(100_000, |turn| {
        let key = MapKey(random(turn));
        let row = DigestRow::touched(None, Index(turn as u64), &LeafHash(key.0));
        map.insert(key, Row::Digest(row));
        if turn % 64 == 63 {
            map.root();
        }
    })
}

fn index_key() -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let config = sled::Config::new()
        .path(directory.path())
        .cache_capacity(48 << 20)
        .flush_every_ms(None);
    let database = config.open().unwrap();
    let mut batch = sled::Batch::default();
    cost(64_000, |turn| {
        let hash = random(turn);
        batch.insert(&[&hash, &hash[..8]].concat()[..], &hash[..]);
        if turn % 64 == 63 {
            database.apply_batch(std::mem::take(&mut batch)).unwrap();
        }
    })
}

fn durable(sample: &[v1::AppendRequest]) -> f64 {
    let batches = sample.len() / BATCH;
    let files = Files::new(&sample[..BATCH], batches);
    let batch = cost(batches, |turn| files.commit(turn));
    #[allow(clippy::cast_precision_loss)]
    let entries = BATCH as f64;
    batch / entries
}

/// Milliseconds until one entry alone is durable and anchored, at some 100 a second: a disk
/// that was idle before takes longer.
pub(crate) async fn paced(sample: &[v1::AppendRequest], pace: Duration) -> Vec<f64> {
    let files = Files::new(&sample[..1], sample.len());
    let mut tick = tokio::time::interval(pace);
    let mut millis = Vec::new();
    for turn in 0..sample.len() {
        tick.tick().await;
        let start = Instant::now();
        files.commit(turn);
        millis.push(start.elapsed().as_secs_f64() * 1e3);
    }
    millis
}

/// A journal and an anchor, their space written and synced beforehand.
struct Files {
    record: Vec<u8>,
    journal: File,
    anchor: File,
    _directory: tempfile::TempDir,
}

impl Files {
    fn new(entries: &[v1::AppendRequest], records: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let open = |name: &str, bytes: usize| {
            let file = File::create(directory.path().join(name)).unwrap();
            file.write_all_at(&vec![0; bytes], 0).unwrap();
            file.sync_all().unwrap();
            file
        };
        let record: Vec<u8> = entries
            .iter()
            .flat_map(|request| [&request.envelope[..], &request.document[..]].concat())
            .collect();
        Self {
            journal: open("journal", records * record.len()),
            anchor: open("anchor", 8_192),
            record,
            _directory: directory,
        }
    }

    fn commit(&self, turn: usize) {
        let Self {
            record,
            journal,
            anchor,
            ..
        } = self;
        journal
            .write_all_at(record, (turn * record.len()) as u64)
            .unwrap();
        journal.sync_data().unwrap();
        anchor.write_all_at(&record[..512], 0).unwrap();
        anchor.sync_data().unwrap();
    }
}
