//! Many clients, the same few submissions, all at once.

use std::collections::HashMap;

use cairn_grpc::v1;
use futures_util::future::join_all;

use crate::{
    fill::{environment, release},
    support::{Server, audit::audit, prove},
};

const CLIENTS: usize = 200;
const SUBMISSIONS: u64 = 10;

/// Goal: one entry for each submission, and the same index for whoever asks. Method: 200
/// connections send the same ten at once; exactly one of each is told that it was new.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_with_the_same_ten_submissions_make_ten_entries() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let genesis = *server.ledger.trust().genesis();
    let submissions: Vec<(String, v1::AppendRequest)> = (0..SUBMISSIONS)
        .map(|number| {
            let name = environment(number);
            let request = release(genesis, &name, 1, None, &name);
            (name, request)
        })
        .collect();
    let clients = join_all((0..CLIENTS).map(|_| server.client())).await;
    let storm = clients.into_iter().map(|client| {
        let submissions = submissions.clone();
        tokio::spawn(async move {
            let appends = submissions.into_iter().map(|(name, request)| {
                let mut client = client.clone();
                async move { (name, client.append(request).await.unwrap().into_inner()) }
            });
            join_all(appends).await
        })
    });
    let mut receipts: HashMap<String, Vec<v1::AppendResponse>> = HashMap::new();
    for answers in join_all(storm).await {
        for (name, receipt) in answers.unwrap() {
            receipts.entry(name).or_default().push(receipt);
        }
    }
    for (name, request) in &submissions {
        let receipts = &receipts[name];
        assert_eq!(receipts.len(), CLIENTS);
        let new = receipts.iter().filter(|receipt| !receipt.repeated_call);
        assert_eq!(new.count(), 1, "{name}");
        for receipt in receipts {
            assert_eq!(receipt.index, receipts[0].index, "{name}");
            // Each under a head of its own, newer or older; each proven.
            prove::receipt(server.ledger.trust(), request, name, receipt);
        }
    }
    let audited = audit(&server).await;
    for (name, _) in &submissions {
        assert_eq!(audited.releases(name), 1);
    }
    assert_eq!(audited.state.environments().count() as u64, SUBMISSIONS);
    server.stop().await;
}
