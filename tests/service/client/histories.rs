//! Servers that show less than they signed before, or another history.

use cairn_client::verdict::Verdict;

use crate::{client::desk::Desk, support::Server};

/// Goal: a second history under the ledger's own keys is TAMPERED, with evidence that holds
/// both notes, and what was held stays. Method: a second server with the same keys.
#[tokio::test(flavor = "multi_thread")]
async fn another_history_by_the_same_keys_is_tampered() {
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(data.path()).await;
    let mut desk = Desk::at(&server).await;
    desk.recorded().await;
    assert_eq!(desk.verify().await.unwrap().verdict, Verdict::Verified);
    let held = desk.ledger.held().load().unwrap().unwrap();
    let forger = Server::start(other.path()).await;
    let accomplice = Desk::at(&forger).await;
    accomplice.put("web.yaml", b"replicas: 666\n");
    for number in 0..3 {
        accomplice.put("web.yaml", format!("replicas: {number}\n").as_bytes());
        accomplice.recorded().await;
    }
    desk.moved_to(&forger);
    let report = desk.verify().await.unwrap();
    assert_eq!(report.verdict, Verdict::Tampered, "{report:?}");
    assert_eq!(report.reason.as_deref(), Some("FORKED"));
    let evidence = std::fs::read(report.evidence.unwrap()).unwrap();
    let evidence: serde_json::Value = serde_json::from_slice(&evidence).unwrap();
    let note = evidence["evidence"]["held"].as_str().unwrap();
    assert_eq!(note.as_bytes(), held.checkpoint().head().bytes());
    assert!(evidence["evidence"]["recomputedRoot"].is_string());
    let error = desk.ledger.status().await.unwrap_err();
    assert_eq!(error.exit_code(), 13);
    let after = desk.ledger.held().load().unwrap().unwrap();
    assert_eq!(
        after.checkpoint().head().bytes(),
        held.checkpoint().head().bytes()
    );
    desk.moved_to(&server);
    assert_eq!(desk.verify().await.unwrap().verdict, Verdict::Verified);
    server.stop().await;
    forger.stop().await;
}

/// Goal: a server that lags is STALE and no verdict is VERIFIED meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shows_less_is_stale() {
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(data.path()).await;
    let mut desk = Desk::at(&server).await;
    desk.recorded().await;
    desk.put("web.yaml", b"replicas: 4\n");
    desk.recorded().await;
    let young = Server::start(other.path()).await;
    desk.moved_to(&young);
    let outcome = desk.verify().await;
    let code = match &outcome {
        Ok(report) => report.exit_code(),
        Err(error) => error.exit_code(),
    };
    assert!(matches!(code, 1 | 14), "{outcome:?}");
    let error = desk.ledger.status().await.unwrap_err();
    assert_eq!(error.exit_code(), 14);
    server.stop().await;
    young.stop().await;
}
