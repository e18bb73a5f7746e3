//! Two writers of one ledger: the second is refused, or neither signs over the other.

use std::{fs, time::Duration};

use cairn_proto::reason::Reason;
use cairn_server::{
    access::Access,
    serve::ServeError,
    start::{self, Place},
};

use crate::{
    fleet::Fleet,
    support::{
        DEV, Draft, Server,
        audit::audit,
        copy, external,
        http::{Browser, Version},
        leaf, manifest, place,
        process::{Dev, Served},
        prove, server_keys,
        tools::{Random, long},
    },
};

fn assert_locked_by(dev: &Dev, holder: u32) {
    let ended = dev.try_start().unwrap_err();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("[STORE_LOCKED]"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(&format!("process {holder}")),
        "{}",
        ended.stderr
    );
}

/// Goal: whoever is refused learns who holds the data, and changes nothing. Method: a second
/// process, beside a running one, beside a frozen one, and after a killed one.
#[test]
fn a_second_process_is_told_who_holds_the_data() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::below(directory.path());
    let first = dev.start();
    let contexts = fs::read(dev.home().contexts_file()).unwrap();
    assert_locked_by(&dev, first.pid());
    let refused = start::open(
        &Place {
            data: dev.store(),
            ..place(&dev.store())
        },
        server_keys(),
        None,
    );
    assert_eq!(refused.unwrap_err().reason(), Reason::StoreLocked);
    first.freeze();
    assert_locked_by(&dev, first.pid());
    first.thaw();
    assert_eq!(fs::read(dev.home().contexts_file()).unwrap(), contexts);
    first.kill();
    let second = dev.start();
    assert_locked_by(&dev, second.pid());
    assert_eq!(second.stop().code, Some(0));
}

/// Goal: of many that start together one serves. Method: six processes at once.
#[test]
fn of_six_processes_that_start_at_once_one_serves() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::below(directory.path());
    dev.start().kill();
    let starting: Vec<_> = (0..6).map(|_| dev.spawn()).collect();
    let (serving, ended): (Vec<_>, Vec<_>) = starting
        .into_iter()
        .map(Served::wait)
        .partition(Result::is_ok);
    assert_eq!(serving.len(), 1);
    for served in serving.into_iter().map(Result::unwrap) {
        served.stop();
    }
    for ended in ended.into_iter().map(Result::unwrap_err) {
        assert!(ended.stderr.contains("[STORE_LOCKED]"), "{}", ended.stderr);
    }
}

/// Goal: a writer that stood still loses nothing and signs nothing twice. Method: freeze a
/// loaded server, have another process try meanwhile, thaw it, kill it.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_frozen_and_thawed_loses_nothing() {
    let frozen = Duration::from_secs(if long() { 30 } else { 2 });
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::below(directory.path());
    let served = tokio::task::block_in_place(|| dev.start());
    let mut fleet = Fleet::new(dev.trust(), dev.key(), Random::seeded("frozen"));
    let runtime = tokio::runtime::Handle::current();
    fleet
        .work(served, |served| {
            std::thread::sleep(Duration::from_millis(300));
            served.freeze();
            assert_locked_by(&dev, served.pid());
            std::thread::sleep(frozen);
            served.thaw();
            let size = || async {
                let mut browser = Browser::open(served.address, Version::One).await;
                prove::size_of(&browser.get("/checkpoint").await.unwrap().body)
            };
            let thawed = runtime.block_on(size());
            std::thread::sleep(Duration::from_millis(500));
            assert!(
                runtime.block_on(size()) > thawed,
                "the clients did not go on"
            );
            served.kill();
        })
        .await;
    let served = tokio::task::block_in_place(|| dev.start());
    fleet.ask_again(&served, 50).await;
    served.stop();
}

fn append(server: &Server, sequence: u64) -> cairn_grpc::v1::AppendRequest {
    let files = manifest(vec![external("a", sequence.to_string().as_bytes())]);
    let draft = Draft::new(
        *server.ledger.trust().genesis(),
        "staging",
        sequence,
        &files,
    );
    if sequence == 1 {
        return draft.sign(&[DEV]);
    }
    draft
        .after(leaf(&append(server, sequence - 1)))
        .sign(&[DEV])
}

/// Goal: two copies of the data, each with its own lock, do not both sign. Method: both use
/// one anchor; whoever writes it second finds that it moved, ends, and has signed nothing.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_with_one_anchor_only_one_signs() {
    let directory = tempfile::tempdir().unwrap();
    let anchored = |name: &str| Place {
        anchor: Some(directory.path().join("anchor")),
        ..place(&directory.path().join(name))
    };
    let server = Server::at(anchored("one"), Access::open()).await;
    server
        .client()
        .await
        .append(append(&server, 1))
        .await
        .unwrap();
    server.stop().await;
    copy(&directory.path().join("one"), &directory.path().join("two"));

    let one = Server::at(anchored("one"), Access::open()).await;
    let two = Server::at(anchored("two"), Access::open()).await;
    let request = append(&one, 2);
    // The second to open wrote the anchor last.
    one.client()
        .await
        .append(request.clone())
        .await
        .unwrap_err();
    let mut signed = Browser::open(two.address, Version::One).await;
    let failure = one.failure().await;
    assert!(matches!(failure, ServeError::Ledger(_)), "{failure}");
    let before = prove::size_of(&signed.get("/checkpoint").await.unwrap().body);
    let receipt = two
        .client()
        .await
        .append(request.clone())
        .await
        .unwrap()
        .into_inner();
    prove::receipt(two.ledger.trust(), &request, "staging", &receipt);
    assert!(prove::size_of(&receipt.checkpoint) > before);
    assert_eq!(audit(&two).await.releases("staging"), 2);
    two.stop().await;

    // The copy that lost may not come back with what it wrote and never signed.
    let refused = start::open(&anchored("one"), server_keys(), None);
    assert_eq!(refused.unwrap_err().reason(), Reason::StoreAnchor);
}
