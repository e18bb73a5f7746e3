//! A log of more leaves than two levels of tiles hold, read by both implementations.

use std::time::{Duration, Instant};

use cairn_proto::hash::TreeSize;

use crate::{
    fill::fill,
    support::{
        Server,
        audit::audit,
        tools::{Python, long, skipped},
    },
};

/// Environments and rounds: 70,000 releases, and a map record a batch.
const LARGE: (u64, u64) = (1_000, 70);
const SMALL: (u64, u64) = (60, 9);
/// What Python may take for either.
const PATIENCE: Duration = Duration::from_secs(580);

/// Goal: a log of three levels of tiles is served whole, and a program that shares no line
/// with this one agrees with every byte of it. Method: fill, audit here, audit in Python.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_many_levels_is_read_alike_by_both_implementations() {
    let test = "large_log";
    let Some(python) = Python::find(test) else {
        return;
    };
    let ((environments, rounds), levels) = if long() { (LARGE, 3) } else { (SMALL, 2) };
    if !long() {
        skipped("a log of three levels", "it takes minutes: CAIRN_LONG=1");
    }
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let start = Instant::now();
    fill(&server, environments, rounds).await;
    let filled = start.elapsed();
    let start = Instant::now();
    let audited = audit(&server).await;
    let read = start.elapsed();
    assert_eq!(audited.levels, levels);
    let size = audited.head.size();
    assert!(size > TreeSize(environments * rounds));
    if long() {
        assert!(size > TreeSize(70_000));
    }
    let trust = data.path().join("trust.json");
    std::fs::write(&trust, cairn_client::trust::encode(server.ledger.trust())).unwrap();
    let start = Instant::now();
    let url = server.url();
    let report = tokio::task::block_in_place(|| python.audit(&url, &trust, Some(levels), PATIENCE));
    println!(
        "{test}: {size} leaves in {filled:?}, audited in {read:?}, by Python in {:?}",
        start.elapsed()
    );
    assert_eq!(report["size"], size.0);
    assert_eq!(report["root"], audited.head.root().to_string());
    assert_eq!(report["environments"], environments);
    assert_eq!(report["leaves"]["release"], environments * rounds);
    assert_eq!(report["mapRows"], audited.state.map().rows());
    server.stop_unaudited("audited twice above").await;
}
