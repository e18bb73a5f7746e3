//! Appending, reading back, proving, and doing it all again after a restart.

use cairn_grpc::{LookupAnswer, v1};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    hash::{ContentId, Index, NodeHash},
    statement::Action,
    verify::{Current, Recorded, current},
};

use crate::support::{DEV, Draft, Server, audit::audit, external, leaf, manifest, stored};

const NOW: u64 = 4_000_000_000;

fn proof(hashes: &[bytes::Bytes]) -> Vec<NodeHash> {
    hashes
        .iter()
        .map(|hash| NodeHash::from_slice(hash).unwrap())
        .collect()
}

/// Verifies a `Lookup` answer as a client that sees the ledger for the first time.
fn verify(server: &Server, environment: &str, answer: v1::LookupResponse) -> Current {
    let answer = LookupAnswer::try_from(answer).unwrap();
    let trust = server.ledger.trust();
    let signed = SignedCheckpoint::parse(&answer.checkpoint).unwrap();
    let trusted = signed.authenticate(trust, NOW).unwrap().trust_first();
    current(
        trust,
        &trusted,
        &environment.parse().unwrap(),
        &answer.evidence,
        NOW,
    )
    .unwrap()
}

async fn lookup(server: &Server, environment: &str) -> Current {
    let request = v1::LookupRequest {
        environment: environment.into(),
        trusted_checkpoint: bytes::Bytes::new(),
        ..v1::LookupRequest::default()
    };
    let answer = server.client().await.lookup(request).await.unwrap();
    verify(server, environment, answer.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appended_release_is_proven_recorded_and_current_at_once_and_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let ledger = *server.ledger.trust().genesis();
    let first = Draft::new(ledger, "staging", 1, &manifest(vec![external("a", b"1")]));
    let request = first.sign(&[DEV]);
    let receipt = server
        .client()
        .await
        .append(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(receipt.index, 2);
    let note = SignedCheckpoint::parse(&receipt.checkpoint).unwrap();
    let head = note.authenticate(server.ledger.trust(), NOW).unwrap();
    assert_eq!(head.size().0, 4);
    let index = Index(receipt.index);
    Recorded::prove(&head, &request.envelope, index, &proof(&receipt.inclusion)).unwrap();

    server.stop().await;

    for round in 0..3 {
        // With the view as it was left, then twice rebuilt from the journal.
        if round > 0 {
            std::fs::remove_dir_all(data.path().join("view")).unwrap();
        }
        let server = Server::start(data.path()).await;
        match lookup(&server, "staging").await {
            Current::Release(release) => {
                assert_eq!(release.index(), index);
                assert_eq!(release.signers()[0].0, "dev");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            lookup(&server, "elsewhere").await,
            Current::Absent(_)
        ));
        // The same leaf again: the same index, and no new entry.
        let again = server
            .client()
            .await
            .append(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(again.repeated_call);
        assert_eq!(
            (again.index, &again.checkpoint[..]),
            (2, &again.checkpoint[..])
        );
        audit(&server).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_release_rollback_and_retirement_is_followed_step_by_step() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut client = server.client().await;
    let ledger = *server.ledger.trust().genesis();
    let one = manifest(vec![external("a", b"1")]);
    let two = manifest(vec![external("a", b"2")]);
    let first = Draft::new(ledger, "staging", 1, &one).sign(&[DEV]);
    let second = Draft::new(ledger, "staging", 2, &two)
        .after(leaf(&first))
        .sign(&[DEV]);
    let mut back = Draft::new(ledger, "staging", 3, &one).after(leaf(&second));
    back.release.action = Action::Rollback;
    back.release.rollback_to = Some(cairn_proto::hash::Sequence(1));
    let back = back.sign(&[DEV]);
    let mut end = Draft::new(ledger, "staging", 4, &one).after(leaf(&back));
    end.release.action = Action::Retire;
    let end = end.sign(&[DEV]);
    for (request, action) in [
        (first, Action::Release),
        (second, Action::Release),
        (back, Action::Rollback),
        (end, Action::Retire),
    ] {
        client.append(request).await.unwrap();
        match lookup(&server, "staging").await {
            Current::Release(release) => assert_eq!(release.release().action, action),
            other => panic!("{other:?}"),
        }
    }
    let list = v1::ListEntriesRequest {
        environment: "staging".into(),
        page_size: 3,
        page_token: String::new(),
    };
    let page = client
        .list_entries(list.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.entries.len(), 3);
    let rest = v1::ListEntriesRequest {
        page_token: page.next_page_token,
        ..list
    };
    assert_eq!(
        client
            .list_entries(rest)
            .await
            .unwrap()
            .into_inner()
            .entries
            .len(),
        1
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_content_becomes_readable_only_through_a_release_that_names_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut client = server.client().await;
    let ledger = *server.ledger.trust().genesis();
    let bytes = b"replicas: 3\n";
    let id = ContentId::of(bytes);
    let release = Draft::new(
        ledger,
        "staging",
        1,
        &manifest(vec![stored("web.yaml", bytes)]),
    );
    let refused = client.append(release.sign(&[DEV])).await.unwrap_err();
    assert_eq!(cairn_grpc::refused(&refused).code, "CONTENT_MISSING");
    let part = v1::PutContentRequest {
        content_id: id.0.to_vec().into(),
        offset: 0,
        data: bytes.to_vec().into(),
        last: true,
    };
    client
        .put_content(tokio_stream::iter([part]))
        .await
        .unwrap();
    let get = v1::GetContentRequest {
        content_id: id.0.to_vec().into(),
        environment: "staging".into(),
        sequence: 1,
        offset: 0,
        length: 0,
    };
    assert!(client.get_content(get.clone()).await.is_err());
    client.append(release.sign(&[DEV])).await.unwrap();
    let mut parts = client.get_content(get).await.unwrap().into_inner();
    let part = parts.message().await.unwrap().unwrap();
    assert_eq!(
        (&part.data[..], part.size),
        (&bytes[..], bytes.len() as u64)
    );
    server.stop().await;
}
