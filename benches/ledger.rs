//! How fast entries are appended over loopback, beside what the floors of the same run allow.
//!
//! `cargo bench --bench ledger` prints a table and writes `target/bench-ledger.json`. The
//! workload: 1,000 environments; each entry of some 1 KB names a manifest of 14 artifacts of
//! which one changed, signed beforehand, its document sent along; a run ends when the view has
//! caught up. Server and load share this machine's cores.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "ledger/echo.rs"]
mod echo;
#[path = "ledger/floors.rs"]
mod floors;
#[path = "shared/report.rs"]
mod report;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use cairn_grpc::v1::{self, ledger_client::LedgerClient};
use cairn_proto::hash::LeafHash;
use futures_util::{StreamExt as _, stream};
use report::{Line, Report, Unit, cores, per, percentiles};
use support::{DEV, Draft, Server, external, leaf, manifest};
use tonic::transport::Channel;

const ENVIRONMENTS: usize = 1_000;
const ROUNDS: usize = 12;
const IN_FLIGHT: usize = 64;
/// Bytes of the annotation that makes an envelope one of some 1 KB.
const PADDING: usize = 160;
/// Why nobody audits.
const MEASURED: &str = "this measures; tests audit";

/// Signed releases, a round at a time: `ROUNDS` for each environment.
fn workload(ledger: LeafHash) -> Vec<Vec<v1::AppendRequest>> {
    let mut previous: Vec<Option<LeafHash>> = vec![None; ENVIRONMENTS];
    let rounds = (1..=ROUNDS).map(|round| {
        let releases = previous.iter_mut().enumerate().map(|(number, previous)| {
            let artifacts = (0..14).map(|file| {
                // One of them is new in each round; the others are as they were.
                let changed = if file < round % 14 { 14 } else { 0 } + file;
                let bytes = format!("{number} {changed} {}", round / 14);
                external(&format!("etc/shop/{file:02}.yaml"), bytes.as_bytes())
            });
            let manifest = manifest(artifacts.collect());
            let name = format!("bench/{number}/shop");
            let mut draft = Draft::new(ledger, &name, round as u64, &manifest);
            let padding = "x".repeat(PADDING);
            draft.release.annotations = [("bench".to_owned(), padding)].into();
            draft.release.previous = *previous;
            let request = draft.sign(&[DEV]);
            *previous = Some(leaf(&request));
            request
        });
        releases.collect()
    });
    rounds.collect()
}

async fn unary(client: &LedgerClient<Channel>, round: &[v1::AppendRequest]) {
    let appends = stream::iter(round.iter().cloned()).map(|request| {
        let mut client = client.clone();
        async move { client.append(request).await.unwrap() }
    });
    let done = appends.buffer_unordered(IN_FLIGHT).count().await;
    assert_eq!(done, round.len());
}

async fn streamed(client: &LedgerClient<Channel>, round: &[v1::AppendRequest]) {
    let requests: Vec<_> = round
        .iter()
        .zip(0..)
        .map(|(request, tag)| v1::AppendStreamRequest {
            tag,
            append: Some(request.clone()),
        })
        .collect();
    let answers = client.clone().append_stream(stream::iter(requests)).await;
    let receipts = answers.unwrap().into_inner().map(|answer| {
        let outcome = answer.unwrap().outcome.unwrap();
        assert!(matches!(
            outcome,
            v1::append_stream_response::Outcome::Receipt(_)
        ));
    });
    assert_eq!(receipts.count().await, round.len());
}

/// How a round is sent.
#[derive(Clone, Copy)]
enum Way {
    Unary,
    Streamed,
}

impl Way {
    async fn send(self, client: &LedgerClient<Channel>, round: &[v1::AppendRequest]) {
        match self {
            Self::Unary => unary(client, round).await,
            Self::Streamed => streamed(client, round).await,
        }
    }

    /// Seconds an append of a new ledger takes, until its view has caught up; and the entries
    /// of a batch.
    async fn append(self, rounds: &[Vec<v1::AppendRequest>]) -> (f64, f64) {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path()).await;
        let client = server.client().await;
        // The first round warms up caches and files.
        self.send(&client, &rounds[0]).await;
        let before = leaves(&client).await;
        let start = Instant::now();
        for round in &rounds[1..] {
            self.send(&client, round).await;
        }
        let appended = start.elapsed();
        let records = leaves(&client).await - before;
        server.ledger.close().await;
        let (entries, seconds) = ((rounds.len() - 1) * ENVIRONMENTS, start.elapsed());
        eprintln!("appended in {appended:?}, view after {seconds:?}");
        server.stop_unaudited(MEASURED).await;
        #[allow(clippy::cast_precision_loss)]
        let batch = entries as f64 / (records - entries as u64) as f64;
        (per(seconds.as_secs_f64(), entries), batch)
    }

    /// Seconds a message takes with no work behind it.
    async fn bare(self, receipt: v1::AppendResponse, rounds: &[Vec<v1::AppendRequest>]) -> f64 {
        let client = echo::echo(receipt).await;
        self.send(&client, &rounds[0]).await;
        let start = Instant::now();
        for round in &rounds[1..] {
            self.send(&client, round).await;
        }
        per(
            start.elapsed().as_secs_f64(),
            (rounds.len() - 1) * ENVIRONMENTS,
        )
    }
}

async fn leaves(client: &LedgerClient<Channel>) -> u64 {
    let ledger = client.clone().get_ledger(v1::GetLedgerRequest {}).await;
    support::prove::size_of(&ledger.unwrap().into_inner().checkpoint)
}

/// Between two of the single appends.
const PACE: Duration = Duration::from_millis(10);

/// Milliseconds of single appends at some 100 a second.
async fn latencies(client: &LedgerClient<Channel>, requests: &[v1::AppendRequest]) -> Vec<f64> {
    let mut client = client.clone();
    let mut millis = Vec::new();
    let mut tick = tokio::time::interval(PACE);
    for request in requests {
        tick.tick().await;
        let start = Instant::now();
        client.append(request.clone()).await.unwrap();
        millis.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    millis
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let mut report = Report::new("ledger");
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let client = server.client().await;
    eprintln!("signing {} releases", ENVIRONMENTS * ROUNDS);
    let rounds = workload(*server.ledger.trust().genesis());
    let request = &rounds[1][0];
    let (envelope, document) = (request.envelope.len(), request.document.len());
    eprintln!("envelopes of {envelope} bytes, documents of {document}");
    let mut floor = floors::paced(&rounds[0][..600], PACE).await;
    let mut millis = latencies(&client, &rounds[0][..600]).await;
    let receipt = client.clone().append(rounds[0][600].clone()).await.unwrap();
    let receipt = receipt.into_inner();
    server.stop_unaudited(MEASURED).await;

    let work = floors::append(&rounds[0], &mut report);
    #[allow(clippy::cast_precision_loss)]
    let cores = cores() as f64;
    for (way, what, floor, target) in [
        (
            Way::Unary,
            "unary durable append, 64 in flight",
            "floor: the same messages with no work behind, unary",
            ">= 0.6 of the ceiling; aim 12k/s",
        ),
        (
            Way::Streamed,
            "streamed durable append",
            "floor: the same messages with no work behind, streamed",
            ">= 0.6 of the ceiling; aim 20k/s",
        ),
    ] {
        let bare = way.bare(receipt.clone(), &rounds).await;
        report.push(Line::new(floor, bare * 1e6, Unit::Micros));
        let (seconds, batch) = way.append(&rounds).await;
        let ceiling = 1.0 / (work / cores + bare);
        let line = Line::new(what, 1.0 / seconds, Unit::PerSecond);
        report.push(line.beside(ceiling).target(target));
        report.push(Line::new(
            format!("{what}: entries a batch"),
            batch,
            Unit::Times,
        ));
    }
    let (p50, p99) = percentiles(&mut millis);
    let (floor50, floor99) = percentiles(&mut floor);
    for (what, millis, floor, target) in [
        ("append at 100/s, p50", p50, floor50, "<= 1.5 ms"),
        ("append at 100/s, p99", p99, floor99, "<= 5 ms"),
    ] {
        let line = Line::new(what, millis, Unit::Millis);
        report.push(line.beside(floor).target(target));
    }
    report.finish();
}
