//! A host that verifies what it is about to start, with no network: one bundle in process,
//! and the whole gate, `cairn verify --bundle FILE --offline` on 1,000 small files.
//!
//! `cargo bench --bench host` prints a table and writes `target/bench-host.json`.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

#[path = "shared/report.rs"]
mod report;
#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cairn_client::{
    clock,
    sources::Input,
    verdict::Verdict,
    verify::{BundleCheck, Subject, verify_bundle},
};
use cairn_proto::{
    bundle::Bundle,
    checkpoint::SignedCheckpoint,
    hash::{ContentId, Sha256},
    key::{SecretKey, Signer as _},
    trust::Trust,
    verify::{Current, current},
};

use report::{Line, Report, Unit, cost, median, thread_seconds};
use support::process::{Dev, cairn, finish};

/// Files of a release as most are.
const FEW: usize = 14;
const MANY: usize = 1_000;
const RUNS: usize = 20;
const VERIFICATIONS: usize = 400;
const PATIENCE: Duration = Duration::from_mins(1);
/// Names the directory that this program, started again, reads and hashes.
const FLOOR: &str = "CAIRN_BENCH_READ";

fn main() {
    if let Some(directory) = std::env::var_os(FLOOR) {
        read_and_hash(Path::new(&directory));
        return;
    }
    let mut report = Report::new("host");
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::below(directory.path());
    let server = dev.start();
    for (name, files) in [("few", FEW), ("many", MANY)] {
        record(&dev, &directory.path().join(name), files);
    }
    server.stop();
    verifications(&mut report, &dev, directory.path());
    gate(&mut report, &dev, directory.path());
    report.finish();
}

/// A directory of small files, recorded, and a bundle of it.
fn record(dev: &Dev, directory: &Path, files: usize) {
    for number in 0..files {
        let below = directory.join(format!("conf/{:02}", number % 40));
        fs::create_dir_all(&below).unwrap();
        let text = format!("service: {number}\nreplicas: 3\nimage: shop/web\n").repeat(16);
        fs::write(below.join(format!("{number:04}.conf")), text).unwrap();
    }
    let name = directory.file_name().unwrap().to_str().unwrap();
    let environment = format!("prod/{name}");
    let mut record = cairn(&dev.home);
    record.arg("record").arg(&environment).arg(directory);
    assert_eq!(finish(record, PATIENCE).code, Some(0));
    let mut export = cairn(&dev.home);
    export.arg("export").arg(&environment).arg("-o");
    export.arg(directory.with_extension("bundle"));
    assert_eq!(finish(export, PATIENCE).code, Some(0));
}

/// Processor time of one verification in this thread and those that it starts.
fn verifications(report: &mut Report, dev: &Dev, directory: &Path) {
    let bundle = fs::read(directory.join("few.bundle")).unwrap();
    let (home, trust) = (dev.home(), dev.trust());
    let environment = "prod/few".parse().unwrap();
    let check = BundleCheck {
        home: &home,
        trust: &trust,
        environment: Some(&environment),
        now: clock::now(),
    };
    let inputs = [Input {
        name: None,
        path: directory.join("few"),
    }];
    let subject = Subject {
        systems: &[],
        inputs: &inputs,
        tags: None,
        progress: &(),
    };
    let verify = || {
        let report = verify_bundle(&bundle, &check, &subject).unwrap();
        assert_eq!(report.verdict, Verdict::Verified, "{report:?}");
    };
    verify();
    let (start, before) = (Instant::now(), process_seconds());
    (0..VERIFICATIONS).for_each(|_| verify());
    let each = |total: f64| total / VERIFICATIONS as f64 * 1e3;
    let used = each(process_seconds() - before);
    let passed = each(start.elapsed().as_secs_f64());
    let key = SecretKey::from_seed(&[1; 32]).unwrap();
    let (public, message) = (key.public_key(), vec![7; 1_024]);
    let signature = key.sign(&message).unwrap();
    // The head's two, the policy's and the release's.
    let before = thread_seconds();
    cost(4_000, |_| public.verify(&message, &signature).unwrap());
    let floor = (thread_seconds() - before) / 1_000.0 * 1e3;
    let what = "offline verification of a bundle: processor time";
    report.push(
        Line::new(what, proofs(&bundle, &trust) * 1e3, Unit::Millis)
            .beside(floor)
            .target("<= 1 ms"),
    );
    let what = format!("with its {FEW} files and what was seen before: processor time");
    report.push(Line::new(what, used, Unit::Millis).beside(floor));
    report.push(Line::new("the same: time", passed, Unit::Millis));
}

/// Seconds of processor time from a bundle's bytes to the release that they prove.
fn proofs(bundle: &[u8], trust: &Trust) -> f64 {
    let now = clock::now();
    let before = thread_seconds();
    for _ in 0..VERIFICATIONS {
        let bundle = Bundle::decode(bundle).unwrap();
        let offered = SignedCheckpoint::parse(&bundle.checkpoint).unwrap();
        let checkpoint = offered.authenticate(trust, now).unwrap().trust_first();
        let proven = current(
            trust,
            &checkpoint,
            &bundle.environment,
            &bundle.evidence,
            now,
        );
        assert!(matches!(proven, Ok(Current::Release(_))));
    }
    (thread_seconds() - before) / VERIFICATIONS as f64
}

/// Processor time of this process, all of its threads.
fn process_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next().unwrap().parse::<f64>().unwrap();
    (next() + next()) / 100.0
}

/// From process start to exit.
fn gate(report: &mut Report, dev: &Dev, directory: &Path) {
    let (bundle, files) = (directory.join("many.bundle"), directory.join("many"));
    let verify = || {
        let mut verify = cairn(&dev.home);
        verify.arg("verify").arg("--bundle").arg(&bundle);
        verify.args(["--offline", "--environment", "prod/many"]);
        verify.arg(&files);
        timed(verify)
    };
    let read = || {
        let mut read = Command::new(std::env::current_exe().unwrap());
        read.env(FLOOR, &files);
        timed(read)
    };
    let nothing = || {
        let mut nothing = cairn(&dev.home);
        nothing.arg("--version");
        timed(nothing)
    };
    verify();
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        times[0].push(verify());
        times[1].push(read());
        times[2].push(nothing());
    }
    let [verify, read, nothing] = times.map(median);
    let what = format!("host gate, {MANY} files, from process start to exit");
    report.push(
        Line::new(what, verify * 1e3, Unit::Millis)
            .beside(read * 1e3)
            .target("<= 150 ms"),
    );
    let what = "floor: a process that reads and hashes the same files";
    report.push(Line::new(what, read * 1e3, Unit::Millis));
    let what = "a process that prints its version";
    report.push(Line::new(what, nothing * 1e3, Unit::Millis));
}

/// Seconds of a process that must end well.
fn timed(mut command: Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}: {status}");
    seconds
}

/// The floor: everything below, with both hashes.
fn read_and_hash(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            read_and_hash(&path);
        } else {
            let bytes = fs::read(&path).unwrap();
            std::hint::black_box((ContentId::of(&bytes), Sha256::of(&bytes)));
        }
    }
}
