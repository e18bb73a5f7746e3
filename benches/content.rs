//! One large content in and out through the client, over loopback, beside what the disk, the
//! hashes and the network of the same run allow.
//!
//! `cargo bench --bench content` prints a table and writes `target/bench-content.json`. Speed
//! never fails it; memory does: the server holds parts of a content, never the whole.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

#[path = "shared/report.rs"]
mod report;
#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fs::{self, File},
    io::{Read, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    time::Instant,
};

use cairn_client::{
    connect::{Connection, Endpoint},
    ledger::Ledger,
    record::Terms,
    sources::{CaptureOptions, Input, Purpose, capture},
};
use cairn_proto::{key::Signer, manifest::Comparison, name::Environment};
use sha2::Digest as _;

use report::{Line, Report, Unit, median, megabytes};
use support::{
    process::{Dev, Served},
    tools::Random,
};

const BYTES: usize = 1 << 30;
const BUFFER: usize = 1 << 20;
const ROUNDS: u64 = 3;
/// What a server may need for a content of any size, beyond what it needs for none.
const MEMORY_MAX_KIB: u64 = 96 << 10;
const NAME: &str = "image.raw";

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

#[derive(Default)]
struct Seconds {
    into: Vec<f64>,
    out: Vec<f64>,
    hash: Vec<f64>,
    copy: Vec<f64>,
    write: Vec<f64>,
}

async fn run() {
    let mut report = Report::new("content");
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::below(directory.path());
    let server = dev.start();
    let (_, before) = server.memory();
    let mut seconds = Seconds::default();
    for round in 0..ROUNDS {
        let folder = directory.path().join(format!("{round}"));
        fs::create_dir(&folder).unwrap();
        let file = folder.join(NAME);
        seconds.write.push(write(&file, round));
        seconds.hash.push(hash(&file));
        seconds.copy.push(copy(&file));
        let (into, out) = there_and_back(&dev, &server, &folder).await;
        seconds.into.push(into);
        seconds.out.push(out);
        fs::remove_dir_all(&folder).unwrap();
    }
    let (_, most) = server.memory();
    server.stop();
    tell(&mut report, seconds);
    let grown = most - before;
    let line = Line::new(
        "server: most memory for it",
        megabytes(grown * 1_024),
        Unit::Megabytes,
    );
    report.push(line.target("constant"));
    report.finish();
    assert!(grown < MEMORY_MAX_KIB, "the server grew by {grown} KiB");
}

fn tell(report: &mut Report, seconds: Seconds) {
    let rate = |seconds: Vec<f64>| megabytes(BYTES as u64) / median(seconds);
    let [hash, copy, write] = [seconds.hash, seconds.copy, seconds.write].map(rate);
    let unit = Unit::MegabytesPerSecond;
    for (what, rate) in [
        ("reading a file, BLAKE3 and SHA-256, one core", hash),
        ("copying over loopback", copy),
        ("writing a file durably", write),
    ] {
        report.push(Line::new(format!("ceiling: {what}"), rate, unit));
    }
    let into = Line::new("content in, 1 GiB, durable", rate(seconds.into), unit);
    report.push(into.beside(hash.min(copy).min(write)).target(">= 400 MB/s"));
    let out = Line::new("content out, 1 GiB, to a file", rate(seconds.out), unit);
    report.push(out.beside(hash.min(copy)).target(">= 400 MB/s"));
}

/// Bytes that no file system and no index can share with those of another round.
fn write(path: &Path, round: u64) -> f64 {
    let block = Random::of(round).bytes(BUFFER);
    let start = Instant::now();
    let mut file = File::create(path).unwrap();
    for number in 0..(BYTES / BUFFER) as u64 {
        let mut block = block.clone();
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block).unwrap();
    }
    file.sync_data().unwrap();
    start.elapsed().as_secs_f64()
}

fn parts(mut from: impl Read, mut take: impl FnMut(&[u8])) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).unwrap();
        if count == 0 {
            return;
        }
        take(&buffer[..count]);
    }
}

fn hash(path: &Path) -> f64 {
    let start = Instant::now();
    let (mut blake3, mut sha256) = (blake3::Hasher::new(), sha2::Sha256::new());
    parts(File::open(path).unwrap(), |part| {
        blake3.update(part);
        sha256.update(part);
    });
    std::hint::black_box((blake3.finalize(), sha256.finalize()));
    start.elapsed().as_secs_f64()
}

fn copy(path: &Path) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let start = Instant::now();
    let receiving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut bytes = 0;
        parts(stream, |part| bytes += part.len());
        bytes
    });
    let mut stream = TcpStream::connect(address).unwrap();
    parts(File::open(path).unwrap(), |part| {
        stream.write_all(part).unwrap();
    });
    drop(stream);
    assert_eq!(receiving.join().unwrap(), BYTES);
    start.elapsed().as_secs_f64()
}

/// Seconds of recording what was measured before, and of restoring it.
async fn there_and_back(dev: &Dev, server: &Served, folder: &Path) -> (f64, f64) {
    let connection = Connection::open(&Endpoint::new(server.url())).unwrap();
    let ledger = Ledger::new(&dev.home(), dev.trust(), connection);
    let environment: Environment = "bench/content".parse().unwrap();
    let inputs = [Input {
        name: None,
        path: folder.to_owned(),
    }];
    let options = CaptureOptions::new(Purpose::Record);
    let capture = capture(&inputs, &options, None, &()).unwrap();
    let key = dev.key();
    let terms = Terms {
        signers: vec![&key as &dyn Signer],
        ..Terms::default()
    };
    let start = Instant::now();
    let recorded = ledger.record(&environment, &capture, Comparison::default(), &terms, &());
    let recorded = recorded.await.unwrap();
    let into = start.elapsed().as_secs_f64();
    assert_eq!(recorded.receipt().sent.bytes, BYTES as u64);
    let to = folder.join("restored");
    fs::create_dir(&to).unwrap();
    let (reference, name) = ("bench/content".parse().unwrap(), NAME.parse().unwrap());
    let start = Instant::now();
    // It hands out nothing that does not hash to what was recorded.
    let restored = ledger.restore(&reference, &name, &to, &()).await.unwrap();
    let out = start.elapsed().as_secs_f64();
    assert_eq!(restored.bytes, BYTES as u64);
    (into, out)
}
