//! Audits over HTTP.

use cairn_client::audit::{Audit, audit};

use crate::{client::desk::Desk, support::Server};

/// Goal: an honest server's log is audited without an alarm, from the network and again
/// from the copy; growth is linked.
#[tokio::test(flavor = "multi_thread")]
async fn an_honest_server_is_audited_without_an_alarm() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    for replicas in 0..140 {
        desk.put("web.yaml", format!("replicas: {replicas}\n").as_bytes());
        desk.recorded().await;
    }
    let back = "staging#2".parse().unwrap();
    let terms = desk.terms();
    let environment = super::desk::environment();
    desk.ledger
        .rollback(&environment, &back, &terms)
        .await
        .unwrap();
    desk.ledger.retire(&environment, &terms).await.unwrap();
    let mirror = desk.directory.path().join("mirror");
    for round in 0..2 {
        let report = audit(&Audit {
            source: desk.ledger.connection().read_api(),
            trust: desk.ledger.trust(),
            home: desk.ledger.home(),
            mirror: Some(mirror.clone()),
            now: cairn_client::clock::now(),
            progress: &(),
        })
        .await
        .unwrap();
        assert!(report.ok, "{report:?}");
        assert_eq!((report.envelopes, report.environments), (143, 1));
        assert_eq!(report.history, Some("linked"), "round {round}");
    }
    server.stop().await;
}
