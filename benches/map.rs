//! The map over a million rows: what a batch of changes costs, how long proofs are, and what a
//! row takes in memory.
//!
//! `cargo bench --bench map` prints a table and writes `target/bench-map.json`.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs
)]

#[path = "shared/report.rs"]
mod report;

use std::{fs, hint::black_box, time::Instant};

use cairn_proto::{
    hash::{Index, LeafHash, MapKey, Sha256},
    map::Map,
    row::{DigestRow, Row, RowName},
};

use report::{Line, Report, Unit, cost, median};

const ROWS: u64 = 1_000_000;
const BATCH: u64 = 1_000;
const BATCHES: u64 = 50;
const PROOFS: u64 = 20_000;

fn main() {
    let mut report = Report::new("map");
    let before = resident();
    let mut map = Map::default();
    for number in 0..ROWS {
        insert(&mut map, number, 0);
    }
    map.root();
    let bytes = resident().saturating_sub(before) as f64;
    let line = Line::new("memory of a row", bytes / ROWS as f64, Unit::Bytes);
    report.push(line.target("reported"));
    updates(&mut report, &mut map);
    proofs(&mut report, &mut map);
    report.finish();
}

fn digest(number: u64) -> Sha256 {
    Sha256::of(&number.to_be_bytes())
}

fn insert(map: &mut Map, number: u64, at: u64) {
    let sha256 = digest(number);
    let row = DigestRow::touched(None, Index(at), &LeafHash(sha256.0));
    map.insert(RowName::Digest(&sha256).key(), Row::Digest(row));
}

/// Half of a batch are rows that exist. The map before is kept, as a published head is.
fn updates(report: &mut Report, map: &mut Map) {
    let mut millis = Vec::new();
    for batch in 0..BATCHES {
        let published = map.clone();
        let start = Instant::now();
        for row in 0..BATCH {
            let number = if row % 2 == 0 {
                (batch * BATCH + row) * 7_919 % ROWS
            } else {
                ROWS + batch * BATCH + row
            };
            insert(map, number, batch + 1);
        }
        black_box(map.root());
        millis.push(start.elapsed().as_secs_f64() * 1e3);
        drop(published);
    }
    // The keys alone: what no structure could do without.
    let floor = cost(BATCH as usize, |turn| {
        let sha256 = digest(turn as u64);
        black_box(RowName::Digest(&sha256).key());
    });
    let what = format!("{BATCH} rows and the root, over {ROWS} rows");
    let line = Line::new(what, median(millis), Unit::Millis);
    report.push(line.beside(floor * BATCH as f64 * 1e3).target("<= 10 ms"));
}

fn proofs(report: &mut Report, map: &mut Map) {
    let root = map.root();
    let (mut total, mut most) = (0, 0);
    let mut proven = Vec::new();
    for number in 0..PROOFS {
        let number = number * 37;
        let sha256 = digest(number);
        let key: MapKey = RowName::Digest(&sha256).key();
        let row = map.get(&key).map(Row::encode).unwrap_or_default();
        let bytes = map.prove(&key).unwrap().encode();
        total += bytes.len();
        most = most.max(bytes.len());
        proven.push((sha256, row, bytes));
    }
    let average = total as f64 / PROOFS as f64;
    report.push(Line::new(
        "bytes of a proof, on average",
        average,
        Unit::Bytes,
    ));
    let line = Line::new("bytes of a proof, at most", most as f64, Unit::Bytes);
    report.push(line.target("<= 1 KB"));
    let seconds = cost(proven.len(), |turn| {
        let (sha256, row, bytes) = &proven[turn % proven.len()];
        let proof = cairn_proto::map::MapProof::decode(bytes).unwrap();
        proof.verify(&root, &RowName::Digest(sha256), row).unwrap();
    });
    report.push(Line::new("verifying a proof", seconds * 1e6, Unit::Micros));
}

/// Bytes of memory that this process takes now.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1_024
}
