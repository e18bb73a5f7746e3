//! A large ledger in a process of its own, over loopback, beside the floors of the same run:
//! lookups, tiles, a full audit, restarts, memory and disk at 100,000 and 1,000,000 entries.
//!
//! `cargo bench --bench large` prints a table and writes `target/bench-large.json`.
//! `CAIRN_BENCH_ENTRIES=100000` measures one size alone. Server and load share this
//! machine's cores.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs
)]

#[path = "large/audits.rs"]
mod audits;
#[path = "large/fill.rs"]
mod fill;
#[path = "large/load.rs"]
mod load;
#[path = "large/machine.rs"]
mod machine;
#[path = "shared/report.rs"]
mod report;
#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cairn_client::{
    connect::{Connection, Endpoint},
    home::Home,
    ledger::Ledger,
};
use cairn_proto::{
    tile::{Tile, TileKind},
    verify::Current,
};

use audits::{Floors, audited, size};
use fill::{Filled, ROUNDS, Signing, environment, fill};
use load::{Ask, Load, Next, Shape, constant, load, once};
use report::{Line, Report, Unit, median, megabytes};
use support::process::{Dev, Served};

const SIZES: [usize; 2] = [100_000, 1_000_000];
/// 64 calls under way.
const CALLS: Shape = Shape {
    connections: 4,
    each: 16,
};
/// Keep-alive connections of HTTP/1.1.
const GETS: Shape = Shape {
    connections: 32,
    each: 1,
};
/// Why nobody audits when a server is stopped.
const MEASURED: &str = "this measures; one audit is a line of its own";
/// A rebuild verifies every signature again.
const REBUILD: Duration = Duration::from_mins(10);
const RESTARTS: usize = 3;
/// Environments whose answers are proven before anything is measured.
const PROVEN: usize = 20;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let mut report = Report::new("large");
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::below(directory.path());
    let mut server = dev.start();
    let mut filled = Filled::default();
    let mut memory = Vec::new();
    let one = std::env::var("CAIRN_BENCH_ENTRIES").ok();
    let one = one.map(|one| vec![one.parse().unwrap()]);
    let signing = Arc::new(Signing::new(*dev.trust().genesis(), dev.key()));
    for entries in one.unwrap_or_else(|| SIZES.to_vec()) {
        let before = filled.entries;
        filled = fill(&server, &signing, filled, entries / ROUNDS).await;
        let rate = (filled.entries - before) as f64 / filled.seconds;
        let what = format!("{entries} entries: filled by one stream, signing beside it");
        report.push(Line::new(what, rate, Unit::PerSecond));
        machine::settled(server.pid()).await;
        memory.push((filled.rows(), server.memory().0));
        remember(&mut report, &filled, &memory, &server);
        disk(&mut report, &dev, &filled);
        reads(&mut report, &dev, &server, &filled).await;
        whole(&mut report, &dev, &server, &signing, &filled).await;
        server = restarts(&mut report, &dev, server, &filled).await;
    }
    server.stop_unaudited(MEASURED);
    if std::env::var("CAIRN_BENCH_KEEP").is_ok() {
        println!("kept: {}", directory.keep().display());
    }
    report.finish();
}

fn kilobytes(kib: u64) -> f64 {
    megabytes(kib * 1_024)
}

/// Memory of the process that took all of this.
fn remember(report: &mut Report, filled: &Filled, memory: &[(usize, u64)], server: &Served) {
    let entries = filled.entries;
    let (now, most) = server.memory();
    let what = format!(
        "{entries} entries, {} environments, {} map rows: resident memory",
        filled.environments,
        filled.rows()
    );
    report.push(Line::new(what, kilobytes(now), Unit::Megabytes).target("<= 400 MB at 1M"));
    let what = format!("{entries} entries: most memory ever");
    report.push(Line::new(what, kilobytes(most), Unit::Megabytes));
    if let [.., (fewer, small), (more, large)] = memory {
        let slope = (large.saturating_sub(*small) * 1_024) as f64 / (more - fewer) as f64;
        let what = "memory for each further map row, with its entries";
        report.push(Line::new(what, slope, Unit::Bytes).target("printed"));
    }
}

fn disk(report: &mut Report, dev: &Dev, filled: &Filled) {
    let used = machine::disk(&dev.store());
    let view = machine::disk(&dev.store().join("view"));
    let what = format!("{} entries: disk, all files", filled.entries);
    let floor = megabytes(filled.bytes);
    report.push(
        Line::new(what, megabytes(used), Unit::Megabytes)
            .beside(floor)
            .target("<= 1.5 of leaves and documents"),
    );
    let what = format!("{} entries: of it, the view", filled.entries);
    report.push(Line::new(what, megabytes(view), Unit::Megabytes));
}

/// Lookups and tiles, each beside a server that only answers the same bytes.
async fn reads(report: &mut Report, dev: &Dev, server: &Served, filled: &Filled) {
    let entries = filled.entries;
    prove(dev, server, filled).await;
    let environments = filled.environments as u64;
    let ask = move |number| Ask {
        path: "/cairn.v1.Ledger/Lookup".to_owned(),
        call: Some(lookup(&environment(number))),
    };
    let next: Next = Arc::new(move |random| ask(random.below(environments) as usize));
    let answer = once(server.address, ask(0)).await;
    let length = answer.len();
    let found = load(server.address, CALLS, next.clone()).await;
    let ceiling = load(constant(answer, true).await, CALLS, next).await;
    let what = format!("{entries} entries: lookup with all proofs, {length} B, 64 in flight");
    report.push(rate(what, &found, &ceiling).target(">= 25k/s"));
    let what = format!("{entries} entries: the same, 99th percentile");
    report.push(
        Line::new(what, found.p99_ms, Unit::Millis)
            .beside(ceiling.p99_ms)
            .target("<= 10 ms"),
    );
    let tiles = [
        (TileKind::Hashes(0), "hash tile", ">= 60k/s"),
        (TileKind::Entries, "entry bundle", ""),
    ];
    for (kind, name, target) in tiles {
        let full = size(server.address).await.0 / 256;
        let ask = move |index| Ask {
            path: format!("/{}", whole_tile(kind, index)),
            call: None,
        };
        let next: Next = Arc::new(move |random| ask(random.below(full)));
        let answer = once(server.address, ask(0)).await;
        let length = answer.len();
        let found = load(server.address, GETS, next.clone()).await;
        let ceiling = load(constant(answer, false).await, GETS, next).await;
        let what = format!("{entries} entries: GET of a {name}, {length} B, 32 connections");
        report.push(rate(what, &found, &ceiling).target(target));
    }
}

fn whole_tile(kind: TileKind, index: u64) -> Tile {
    let width = 256;
    Tile { kind, index, width }
}

fn rate(what: String, found: &Load, ceiling: &Load) -> Line {
    Line::new(what, found.rate, Unit::PerSecond).beside(ceiling.rate)
}

/// The message of a lookup: field 1, the environment.
fn lookup(environment: &str) -> Bytes {
    let mut message = vec![0x0a, u8::try_from(environment.len()).unwrap()];
    message.extend_from_slice(environment.as_bytes());
    message.into()
}

/// What is measured is worth it only if the answers hold.
async fn prove(dev: &Dev, server: &Served, filled: &Filled) {
    let home = tempfile::tempdir().unwrap();
    let connection = Connection::open(&Endpoint::new(server.url())).unwrap();
    let ledger = Ledger::new(&Home::at(home.path()), dev.trust(), connection);
    for number in (0..filled.environments).step_by(filled.environments.div_ceil(PROVEN)) {
        let name = environment(number).parse().unwrap();
        let looked = ledger.lookup(&name).await.unwrap();
        assert!(matches!(looked.current, Current::Release(_)));
        assert_eq!(looked.sequence().0, ROUNDS as u64);
    }
}

/// A full audit beside its floors.
async fn whole(
    report: &mut Report,
    dev: &Dev,
    server: &Served,
    signing: &Signing,
    filled: &Filled,
) {
    let sample: Vec<_> = (0..1_000)
        .map(|number| signing.release(number, ROUNDS, Some(*dev.trust().genesis())))
        .collect();
    let size = size(server.address).await;
    let floors = Floors::measure(server, size, filled, &sample).await;
    floors.tell(report);
    let home = tempfile::tempdir().unwrap();
    let seconds = audited(server, &dev.trust(), filled, home.path()).await;
    let what = format!("{} entries: full audit", filled.entries);
    report.push(
        Line::new(what, seconds, Unit::Seconds)
            .beside(floors.sum(filled.entries))
            .target("<= 1.5 of the floors' sum"),
    );
}

/// From the start of the process until it serves: with its views, then without.
async fn restarts(report: &mut Report, dev: &Dev, server: Served, filled: &Filled) -> Served {
    let entries = filled.entries;
    let mut seconds = Vec::new();
    let mut server = Some(server);
    for _ in 0..RESTARTS {
        server.take().map(|server| server.stop_unaudited(MEASURED));
        let start = Instant::now();
        server = Some(Served::wait_for(dev.spawn(), REBUILD).unwrap());
        seconds.push(start.elapsed().as_secs_f64());
    }
    let what = format!("{entries} entries: restart with views");
    report.push(Line::new(what, median(seconds), Unit::Seconds).target("<= 3 s at 1M"));
    let restarted = server.take().unwrap();
    machine::settled(restarted.pid()).await;
    let (now, most) = restarted.memory();
    let what = format!("{entries} entries: resident memory after a restart");
    report.push(Line::new(what, kilobytes(now), Unit::Megabytes).target("<= 400 MB at 1M"));
    let what = format!("{entries} entries: most memory of a restart");
    report.push(Line::new(what, kilobytes(most), Unit::Megabytes));
    restarted.stop_unaudited(MEASURED);
    std::fs::remove_dir_all(dev.store().join("view")).unwrap();
    let start = Instant::now();
    let rebuilt = Served::wait_for(dev.spawn(), REBUILD).unwrap();
    let what = format!("{entries} entries: start with views rebuilt");
    let seconds = start.elapsed().as_secs_f64();
    report.push(Line::new(what, seconds, Unit::Seconds).target("<= 60 s at 1M"));
    rebuilt
}
