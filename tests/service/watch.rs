//! Beside the ledger's own calls: notes as they come, health, reflection.

use std::time::Duration;

use cairn_grpc::v1;
use cairn_proto::checkpoint::TrustedCheckpoint;
use tokio::time::timeout;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    fill::release,
    support::{Server, audit::audit, prove, prove::Client},
};

const SOON: Duration = Duration::from_secs(20);

async fn consistency(client: &mut Client, held: &TrustedCheckpoint, to: u64) -> Vec<bytes::Bytes> {
    let from = held.head().size().0;
    let request = v1::GetConsistencyProofRequest { from, to };
    client
        .get_consistency_proof(request)
        .await
        .unwrap()
        .into_inner()
        .hashes
}

/// Goal: a witness or a mirror sees every head that it is quick enough for, and each extends
/// the one before. Method: appends one after another; each note is awaited and linked.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_is_sent_the_newest_note_and_each_later_one() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let trust = server.ledger.trust().clone();
    let mut client = server.client().await;
    let notes = client
        .watch_checkpoints(v1::WatchCheckpointsRequest {})
        .await
        .unwrap();
    let mut notes = notes.into_inner();
    let first = timeout(SOON, notes.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let mut held = prove::authentic(&trust, &first.checkpoint).trust_first();
    let mut previous = None;
    for sequence in 1..=20 {
        let text = sequence.to_string();
        let request = release(*trust.genesis(), "staging", sequence, previous, &text);
        previous = Some(crate::support::leaf(&request));
        let receipt = client.append(request).await.unwrap().into_inner();
        let shown = prove::size_of(&receipt.checkpoint);
        // The same head may come twice, with a newer time.
        while held.head().size().0 < shown {
            let note = timeout(SOON, notes.message())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            let offered = prove::authentic(&trust, &note.checkpoint);
            let proof = consistency(&mut client, &held, offered.size().0).await;
            held = held.advance(offered, &prove::proof(&proof)).unwrap();
        }
        assert_eq!(held.head().size().0, shown);
    }
    drop(notes);
    assert_eq!(audit(&server).await.head.size(), held.head().size());
    server.stop().await;
}

/// Goal: a watcher that reads late is not sent what is long past.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_watcher_sees_the_newest_note() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let notes = server
        .client()
        .await
        .watch_checkpoints(v1::WatchCheckpointsRequest {})
        .await;
    let mut notes = notes.unwrap().into_inner();
    crate::fill::fill(&server, 300, 2).await;
    let size = audit(&server).await.head.size().0;
    let mut seen = 0;
    let mut messages = 0;
    while seen < size {
        let note = timeout(SOON, notes.message())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let next = prove::size_of(&note.checkpoint);
        assert!(next >= seen, "a note went back");
        seen = next;
        messages += 1;
    }
    assert!(messages < 300, "{messages} notes were queued");
    drop(notes);
    server.stop().await;
}

/// Goal: load balancers and `grpcurl` find what they ask for.
#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_answer() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let channel = tonic::transport::Channel::from_shared(server.url()).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let answer = health.check(request).await.unwrap().into_inner();
    assert_eq!(answer.status().as_str_name(), "SERVING");

    let mut reflection = ServerReflectionClient::new(channel);
    let asks = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("cairn.v1.Ledger".to_owned()),
    ];
    let asks = asks.map(|message_request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    });
    let answers = reflection
        .server_reflection_info(tokio_stream::iter(asks))
        .await
        .unwrap();
    let mut answers = answers.into_inner();
    let services = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(services) = services else {
        panic!("{services:?}")
    };
    let names: Vec<&str> = services
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    assert!(names.contains(&"cairn.v1.Ledger"), "{names:?}");
    let file = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    assert!(
        matches!(file, MessageResponse::FileDescriptorResponse(_)),
        "{file:?}"
    );
    drop((health, reflection, answers));
    server.stop().await;
}
