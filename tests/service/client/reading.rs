//! Reading: references, history, digests, differences.

use cairn_client::{
    connect::{Connection, Endpoint},
    read::{LoggedKind, Reference},
    trust::discover,
};
use cairn_proto::hash::{LeafHash, Sha256};

use crate::{
    client::desk::{Desk, environment},
    support::Server,
};

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Goal: a ledger is met with everything it proves, and only the pinned one is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_met_and_a_wrong_pin_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let connection = Connection::open(&Endpoint::new(server.url())).unwrap();
    let now = cairn_client::clock::now();
    let known = discover(&connection, None, now).await.unwrap();
    assert_eq!(known.trust.origin().as_str(), "test.example/ledger");
    assert_eq!(known.admins()[0].name, "admin");
    assert_eq!(known.deployers().len(), 3);
    let pin = *known.trust.genesis();
    assert!(discover(&connection, Some(&pin), now).await.is_ok());
    let wrong = discover(&connection, Some(&LeafHash([1; 32])), now).await;
    assert_eq!(wrong.unwrap_err().code(), "WRONG_GENESIS");
    server.stop().await;
}

/// Goal: every form of reference finds its release, proven; what is not there is not found.
#[tokio::test(flavor = "multi_thread")]
async fn every_reference_finds_its_release() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    for replicas in 1..=3 {
        desk.put("web.yaml", format!("replicas: {replicas}\n").as_bytes());
        desk.recorded().await;
    }
    let digest = Sha256::of(b"replicas: 2\n");
    let forms = [
        ("staging".to_owned(), 3),
        ("staging#2".to_owned(), 2),
        ("staging~2".to_owned(), 1),
        ("staging@2126-01-01T00:00Z".to_owned(), 3),
        // Dropped by the third release: the last entry that touched it.
        (format!("sha256:{digest}"), 3),
    ];
    for (form, sequence) in forms {
        let proven = desk.ledger.resolve(&reference(&form)).await.unwrap();
        assert_eq!(proven.release.sequence.0, sequence, "{form}");
        assert_eq!(proven.signers[0].0, "dev");
        assert_eq!(proven.newest.0, 3);
    }
    for form in [
        "staging#9",
        "staging~3",
        "nowhere",
        "staging@2001-01-01T00:00Z",
    ] {
        let error = desk.ledger.resolve(&reference(form)).await.unwrap_err();
        assert_eq!(error.code(), "NOT_FOUND", "{form}");
    }
    let found = desk.ledger.find(&digest).await.unwrap();
    let first = found.first.unwrap();
    assert_eq!(first.release().unwrap().sequence.0, 2);
    assert_eq!(found.row.unwrap().count, 2);
    assert!(
        desk.ledger
            .find(&Sha256::of(b"never"))
            .await
            .unwrap()
            .row
            .is_none()
    );
    server.stop().await;
}

/// Goal: the log of an environment is its chain, newest first; that of the ledger has all.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_lists_the_chain_and_the_whole() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    for replicas in 1..=3 {
        desk.put("web.yaml", format!("replicas: {replicas}\n").as_bytes());
        desk.recorded().await;
    }
    let log = desk.ledger.log(Some(&environment()), 10).await.unwrap();
    let sequences: Vec<_> = log
        .iter()
        .map(|it| it.release().unwrap().sequence.0)
        .collect();
    assert_eq!(sequences, [3, 2, 1]);
    let all = desk.ledger.log(None, 100).await.unwrap();
    assert!(matches!(all.last().unwrap().kind, LoggedKind::Genesis));
    assert!(all.iter().any(|it| it.leaf == log[2].leaf));
    let status = desk.ledger.status().await.unwrap();
    assert!(status.size.0 >= 8);
    assert_eq!(desk.ledger.log(None, 2).await.unwrap().len(), 2);
    server.stop().await;
}

/// Goal: two releases differ down to the field.
#[tokio::test(flavor = "multi_thread")]
async fn a_diff_names_the_fields() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    desk.recorded().await;
    desk.put("web.yaml", b"kind: Deployment\nspec:\n  replicas: 4\n");
    desk.put("new.yaml", b"a: 1\n");
    desk.recorded().await;
    let diff = desk
        .ledger
        .diff(&reference("staging~1"), &reference("staging"))
        .await
        .unwrap();
    let found: Vec<_> = diff
        .differences
        .iter()
        .map(|it| (it.artifact.as_str(), it.path.as_str(), it.found.as_deref()))
        .collect();
    assert_eq!(found[1], ("web.yaml", "spec.replicas", Some("4")));
    assert_eq!(found[0].0, "new.yaml");
    let document = cairn_proto::hash::DocumentId::of(&diff.to.document);
    assert_eq!(
        desk.ledger.document(&document).await.unwrap(),
        diff.to.document
    );
    server.stop().await;
}
