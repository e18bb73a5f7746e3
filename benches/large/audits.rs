//! A full audit by the client, beside the sum of what it cannot do without.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use cairn_client::{
    audit::{Audit, audit},
    clock,
    connect::{Endpoint, ReadApi},
    home::Home,
};
use cairn_grpc::v1;
use cairn_proto::{
    entry::Submission,
    hash::{Index, LeafHash, MapKey, TreeSize},
    key::{SecretKey, Signer as _},
    map::Map,
    merkle::Tree,
    row::{DigestRow, Row},
    tile::{Tile, TileKind},
    trust::Trust,
};

use crate::{
    fill::{Filled, ROUNDS},
    load::{Ask, once},
    report::{Line, Report, Unit, cores, cost},
    support::process::Served,
};

/// Connections that fetch.
const CONNECTIONS: usize = 8;

/// Seconds of a full audit, by a client that has never seen the ledger.
pub(crate) async fn audited(server: &Served, trust: &Trust, filled: &Filled, home: &Path) -> f64 {
    let source = ReadApi::of(&Endpoint::new(server.url())).unwrap();
    let home = Home::at(home);
    let job = Audit {
        source: &source,
        trust,
        home: &home,
        mirror: None,
        now: clock::now(),
        progress: &(),
    };
    let start = Instant::now();
    let report = audit(&job).await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert!(report.ok, "{:?}", report.alarms);
    // The genesis entry is one more.
    assert_eq!(report.envelopes, filled.entries as u64 + 1);
    assert_eq!(report.environments, filled.environments);
    seconds
}

/// The floors of an audit.
pub(crate) struct Floors {
    verify: f64,
    decode: f64,
    hash: f64,
    map: f64,
    fetch: f64,
}

impl Floors {
    /// Measures each alone. `sample` is releases as they stand in the log.
    pub(crate) async fn measure(
        server: &Served,
        size: TreeSize,
        filled: &Filled,
        sample: &[v1::AppendRequest],
    ) -> Self {
        let entries = filled.entries;
        let sample_of = |turn: usize| &sample[turn % sample.len()];
        let key = SecretKey::from_seed(&[1; 32]).unwrap();
        let (public, message) = (key.public_key(), vec![7; 1_024]);
        let signature = key.sign(&message).unwrap();
        let verify = cost(4_000, |_| public.verify(&message, &signature).unwrap());
        let decode = cost(sample.len() * 4, |turn| {
            let request = sample_of(turn);
            Submission::decode(&request.envelope, &request.document).unwrap();
        });
        let mut tree = Tree::default();
        let hash = cost(entries, |turn| {
            tree.push(LeafHash::of(&sample_of(turn).envelope));
        });
        let batch = entries
            / usize::try_from(size.0)
                .unwrap()
                .saturating_sub(entries)
                .max(1);
        let map = map_rows(entries, batch);
        let fetch = fetch_all(server.address, size).await;
        Self {
            verify,
            decode,
            hash,
            map,
            fetch,
        }
    }

    /// All of them, with every core at work: fetching keeps both ends busy already.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn sum(&self, entries: usize) -> f64 {
        let each = self.verify + self.decode + self.hash + self.map;
        each * entries as f64 / cores() as f64 + self.fetch
    }

    pub(crate) fn tell(&self, report: &mut Report) {
        for (what, seconds) in [
            ("floor: one strict verification, one core", self.verify),
            ("floor: decoding an entry and its manifest", self.decode),
            ("floor: hashing a leaf into the tree", self.hash),
            ("floor: three map rows of an entry", self.map),
        ] {
            report.push(Line::new(what, seconds * 1e6, Unit::Micros));
        }
        let what = "floor: fetching all bundles and documents";
        report.push(Line::new(what, self.fetch, Unit::Seconds));
    }
}

/// Seconds an entry: an environment's row, a digest that came, one that went.
fn map_rows(entries: usize, batch: usize) -> f64 {
    let mut map = Map::default();
    let key = |kind: &[u8], number: usize| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(kind);
        hasher.update(&number.to_be_bytes());
        MapKey(*hasher.finalize().as_bytes())
    };
    let environments = entries.div_ceil(ROUNDS);
    cost(entries, |turn| {
        let keys = [
            key(b"environment", turn % environments),
            key(b"came", turn),
            key(b"went", turn % 14),
        ];
        for key in keys {
            let row = DigestRow::touched(None, Index(turn as u64), &LeafHash(key.0));
            map.insert(key, Row::Digest(row));
        }
        if turn % batch.max(1) == 0 {
            map.root();
        }
    })
}

/// Seconds to fetch every bundle and its documents, some at a time, and do nothing with them.
async fn fetch_all(address: SocketAddr, size: TreeSize) -> f64 {
    let tiles: Vec<Tile> = Tile::covering(TileKind::Entries, 0, size).collect();
    let tiles = Arc::new(tiles);
    let next = Arc::new(AtomicUsize::new(0));
    let bytes = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let fetchers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (tiles, next, bytes) = (tiles.clone(), next.clone(), bytes.clone());
            tokio::spawn(async move {
                let mut one = crate::load::Fetcher::open(address).await;
                while let Some(tile) = tiles.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let beside = Tile {
                        kind: TileKind::Documents,
                        ..*tile
                    };
                    let both =
                        one.fetch(format!("/{tile}")).await + one.fetch(format!("/{beside}")).await;
                    bytes.fetch_add(both as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for fetcher in fetchers {
        fetcher.await.unwrap();
    }
    assert!(bytes.load(Ordering::Relaxed) > size.0);
    start.elapsed().as_secs_f64()
}

/// The size of the newest checkpoint.
pub(crate) async fn size(address: SocketAddr) -> TreeSize {
    let path = "/checkpoint".to_owned();
    let note: Bytes = once(address, Ask { path, call: None }).await;
    cairn_proto::checkpoint::SignedCheckpoint::parse(&note)
        .unwrap()
        .claimed_size()
}
