//! Everybody retries at once, and the server dies in the middle.

use std::{net::SocketAddr, time::Duration};

use cairn_grpc::{refused, v1};
use cairn_proto::trust::Trust;
use futures_util::future::join_all;
use tonic::transport::Channel;

use crate::support::{
    Draft,
    audit::audit_by,
    external,
    http::{Browser, Version},
    manifest,
    process::Dev,
    prove::{self, Client},
    tools::long,
};

const SUBMISSIONS: u64 = 10;
/// Tries of one client: half a minute of them.
const TRIES: usize = 1_500;

/// Sends one submission until it is acknowledged, over connections that may break.
async fn insist(
    address: SocketAddr,
    environment: String,
    request: v1::AppendRequest,
) -> v1::AppendResponse {
    let url = format!("http://{address}");
    let channel = Channel::from_shared(url)
        .unwrap()
        .connect_timeout(Duration::from_secs(5));
    let mut client = Client::new(channel.connect_lazy());
    for _ in 0..TRIES {
        match client.append(request.clone()).await {
            Ok(receipt) => return receipt.into_inner(),
            Err(status) => {
                let code = refused(&status).code;
                let passing = ["", "OVERLOADED", "SHUTTING_DOWN"].contains(&code.as_str());
                assert!(passing, "{environment}: {code} {status}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    panic!("{environment} was never acknowledged");
}

fn submissions(dev: &Dev, trust: &Trust) -> Vec<(String, v1::AppendRequest)> {
    let key = dev.key();
    let submission = |number| {
        let environment = format!("storm/{number}");
        let files = manifest(vec![external("a", environment.as_bytes())]);
        let draft = Draft::new(*trust.genesis(), &environment, 1, &files);
        (environment, draft.sign_by(&key))
    };
    (0..SUBMISSIONS).map(submission).collect()
}

/// Goal: one entry for each submission, whoever asks how often. Method: clients send the same
/// ten until each is acknowledged, while the server is killed twice and started again at the
/// same address.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_storm_over_two_kills_leaves_one_entry_each() {
    let clients = if long() { 1_000 } else { 60 };
    let directory = tempfile::tempdir().unwrap();
    let mut dev = Dev::below(directory.path());
    let mut served = tokio::task::block_in_place(|| dev.start());
    dev.listen = served.address.to_string();
    let (trust, address) = (dev.trust(), served.address);
    let submissions = submissions(&dev, &trust);
    let storm = (0..clients)
        .flat_map(|_| submissions.clone())
        .map(|(environment, request)| tokio::spawn(insist(address, environment, request)));
    let storm: Vec<_> = storm.collect();
    for pause in [5, 60] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        served.kill();
        served = tokio::task::block_in_place(|| dev.start());
    }
    let receipts = join_all(storm).await;
    for (number, (environment, request)) in submissions.iter().enumerate() {
        let mine = receipts.iter().skip(number).step_by(submissions.len());
        let receipts: Vec<_> = mine.map(|receipt| receipt.as_ref().unwrap()).collect();
        assert_eq!(receipts.len(), clients);
        let fresh = receipts
            .iter()
            .filter(|receipt| !receipt.repeated_call)
            .count();
        assert!(fresh <= 1, "{environment} was new {fresh} times");
        for receipt in receipts {
            prove::receipt(&trust, request, environment, receipt);
        }
    }
    let mut browser = Browser::open(address, Version::One).await;
    let audited = audit_by(&mut browser, &trust).await;
    for (environment, _) in &submissions {
        assert_eq!(audited.releases(environment), 1);
    }
    assert_eq!(audited.state.environments().count() as u64, SUBMISSIONS);
    served.stop();
}
