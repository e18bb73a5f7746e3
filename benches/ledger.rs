//! How fast a whole ledger is over loopback, beside the floors of the same run.
//!
//! `cargo bench --bench ledger` prints a table and writes `target/bench-ledger.json`. The
//! workload: 1,000 environments; each entry a manifest of 14 artifacts of which one changed,
//! signed beforehand, its document sent along. Server and load share this machine's cores.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use cairn_grpc::v1;
use cairn_proto::{
    entry::Submission,
    hash::{LeafHash, MapKey, Sha256},
    key::Signer as _,
    map::Map,
    row::{DigestRow, Row},
};
use futures_util::StreamExt as _;
use support::{DEV, Draft, Server, external, key, leaf, manifest};

const ENVIRONMENTS: usize = 1_000;
const ROUNDS: usize = 12;
const IN_FLIGHT: usize = 64;

/// Signed releases, a round at a time: `ROUNDS` for each environment.
fn workload(ledger: LeafHash) -> Vec<Vec<v1::AppendRequest>> {
    let mut previous: Vec<Option<LeafHash>> = vec![None; ENVIRONMENTS];
    let rounds = (1..=ROUNDS).map(|round| {
        let releases = previous.iter_mut().enumerate().map(|(number, previous)| {
            let artifacts = (0..14).map(|file| {
                let changed = if file == round % 14 { round } else { 0 };
                let bytes = format!("{number} {file} {changed}");
                external(&format!("etc/shop/{file:02}.yaml"), bytes.as_bytes())
            });
            let manifest = manifest(artifacts.collect());
            let name = format!("bench/{number}/shop");
            let mut draft = Draft::new(ledger, &name, round as u64, &manifest);
            draft.release.previous = *previous;
            let request = draft.sign(&[DEV]);
            *previous = Some(leaf(&request));
            request
        });
        releases.collect()
    });
    rounds.collect()
}

/// Seconds of one call, on one core.
fn cost(calls: usize, mut call: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(&mut call);
    start.elapsed().as_secs_f64() / calls as f64
}

struct Line {
    name: &'static str,
    rate: f64,
    ceiling: Option<f64>,
}

/// What one append costs at the least, each part measured alone on one core.
fn floors(sample: &[v1::AppendRequest]) -> (f64, Vec<Line>) {
    let dev = key(DEV);
    let message = vec![7; 1_024];
    let signature = dev.sign(&message).unwrap();
    let public = dev.public_key();
    let verify = cost(4_000, |_| public.verify(&message, &signature).unwrap());
    let decode = cost(sample.len() * 4, |turn| {
        let request = &sample[turn % sample.len()];
        Submission::decode(&request.envelope, &request.document).unwrap();
    });
    let mut map = Map::default();
    let rows = cost(100_000, |turn| {
        let key = MapKey(*blake3_of(turn).as_bytes());
        let index = cairn_proto::hash::Index(turn as u64);
        let row = DigestRow::touched(None, index, &LeafHash(key.0));
        map.insert(key, Row::Digest(row));
        if turn % 64 == 63 {
            map.root();
        }
    });
    let costs = [
        ("strict Ed25519 verification, one core", verify),
        ("decoding envelope, statement and manifest", decode),
        ("a map row, root every 64", rows),
    ];
    let table = costs.map(|(name, cost)| Line {
        name,
        rate: 1.0 / cost,
        ceiling: None,
    });
    // Three rows a release: the environment's, a digest that came and one that went.
    (verify + decode + 3.0 * rows, table.into())
}

fn blake3_of(turn: usize) -> Sha256 {
    Sha256::of(&turn.to_be_bytes())
}

async fn unary(server: &Server, round: &[v1::AppendRequest]) -> f64 {
    let client = server.client().await;
    let start = Instant::now();
    let appends = futures_util::stream::iter(round.iter().cloned()).map(|request| {
        let mut client = client.clone();
        async move { client.append(request).await.unwrap() }
    });
    let done = appends.buffer_unordered(IN_FLIGHT).count().await;
    done as f64 / start.elapsed().as_secs_f64()
}

async fn streamed(server: &Server, round: &[v1::AppendRequest]) -> f64 {
    let mut client = server.client().await;
    let requests: Vec<_> = round
        .iter()
        .zip(0..)
        .map(|(request, tag)| v1::AppendStreamRequest {
            tag,
            append: Some(request.clone()),
        })
        .collect();
    let total = requests.len();
    let start = Instant::now();
    let answers = client
        .append_stream(tokio_stream::iter(requests))
        .await
        .unwrap();
    let done = answers
        .into_inner()
        .map(|answer| answer.unwrap())
        .count()
        .await;
    assert_eq!(done, total);
    done as f64 / start.elapsed().as_secs_f64()
}

/// Milliseconds of single appends at some 100 a second: median and 99th percentile.
async fn latency(server: &Server, requests: &[v1::AppendRequest]) -> (f64, f64) {
    let mut client = server.client().await;
    let mut millis = Vec::new();
    for request in requests {
        let start = Instant::now();
        client.append(request.clone()).await.unwrap();
        millis.push(start.elapsed().as_secs_f64() * 1_000.0);
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    millis.sort_by(f64::total_cmp);
    (millis[millis.len() / 2], millis[millis.len() * 99 / 100])
}

async fn lookups(server: &Server) -> f64 {
    const COUNT: usize = 20_000;
    let client = server.client().await;
    let start = Instant::now();
    let calls = futures_util::stream::iter(0..COUNT).map(|turn| {
        let mut client = client.clone();
        let environment = format!("bench/{}/shop", turn % ENVIRONMENTS);
        async move {
            let request = v1::LookupRequest {
                environment,
                trusted_checkpoint: bytes::Bytes::new(),
            };
            client.lookup(request).await.unwrap()
        }
    });
    let done = calls.buffer_unordered(IN_FLIGHT).count().await;
    done as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    println!("signing {} releases", ENVIRONMENTS * ROUNDS);
    let rounds = workload(*server.ledger.trust().genesis());
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let (cost, mut table) = floors(&rounds[0]);
    let ceiling = cores / cost;
    // The first rounds warm up caches and files.
    unary(&server, &rounds[0]).await;
    let mut rates = [Vec::new(), Vec::new()];
    for pair in rounds[1..ROUNDS - 1].chunks_exact(2) {
        rates[0].push(unary(&server, &pair[0]).await);
        rates[1].push(streamed(&server, &pair[1]).await);
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let [unary, streamed] = &mut rates;
    table.push(Line {
        name: "unary append, 64 in flight",
        rate: median(unary),
        ceiling: Some(ceiling),
    });
    table.push(Line {
        name: "streamed append",
        rate: median(streamed),
        ceiling: Some(ceiling),
    });
    let (p50, p99) = latency(&server, &rounds[ROUNDS - 1][..300]).await;
    table.push(Line {
        name: "lookup with all proofs, 64 in flight",
        rate: lookups(&server).await,
        ceiling: None,
    });
    server.stop_unaudited("this measures; tests audit").await;
    report(&table, p50, p99);
}

fn report(table: &[Line], p50: f64, p99: f64) {
    println!(
        "\n{:<44} {:>10} {:>10} {:>6}",
        "", "per second", "ceiling", "ratio"
    );
    let mut json = Vec::new();
    for row in table {
        let (ceiling, ratio) = match row.ceiling {
            Some(ceiling) => (
                format!("{ceiling:.0}"),
                format!("{:.2}", row.rate / ceiling),
            ),
            None => ("-".into(), "-".into()),
        };
        println!(
            "{:<44} {:>10.0} {ceiling:>10} {ratio:>6}",
            row.name, row.rate
        );
        json.push(serde_json::json!({
            "name": row.name, "perSecond": row.rate, "ceiling": row.ceiling,
        }));
    }
    println!(
        "{:<44} p50 {p50:.2} ms, p99 {p99:.2} ms",
        "append, one at a time"
    );
    let json = serde_json::json!({"rows": json, "appendMs": {"p50": p50, "p99": p99}});
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
    std::fs::create_dir_all(target).unwrap();
    std::fs::write(format!("{target}/bench-ledger.json"), json.to_string()).unwrap();
}
