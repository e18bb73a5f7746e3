//! What a client believes of an answer, and nothing more: every helper here proves it with
//! `cairn_proto` or fails the test.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cairn_grpc::{LookupAnswer, v1};
use cairn_proto::{
    checkpoint::{AuthenticCheckpoint, SignedCheckpoint, TrustedCheckpoint},
    hash::{Index, LeafHash, NodeHash},
    name::Environment,
    row::EnvironmentRow,
    trust::Trust,
    verify::{Current, Recorded, TrustedMap, current},
};
use tonic::transport::Channel;

pub(crate) type Client = v1::ledger_client::LedgerClient<Channel>;

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub(crate) fn proof(hashes: &[Bytes]) -> Vec<NodeHash> {
    hashes
        .iter()
        .map(|hash| NodeHash::from_slice(hash).unwrap())
        .collect()
}

/// A note that the pinned log signed.
pub(crate) fn authentic(trust: &Trust, note: &[u8]) -> AuthenticCheckpoint {
    let signed = SignedCheckpoint::parse(note).unwrap();
    signed.authenticate(trust, now()).unwrap()
}

/// Size that a note claims, for comparing.
pub(crate) fn size_of(note: &[u8]) -> u64 {
    SignedCheckpoint::parse(note).unwrap().claimed_size().0
}

/// Proves a receipt of an environment's release; gives the head that it was proven under.
pub(crate) fn receipt(
    trust: &Trust,
    request: &v1::AppendRequest,
    environment: &str,
    receipt: &v1::AppendResponse,
) -> AuthenticCheckpoint {
    let head = authentic(trust, &receipt.checkpoint);
    let index = Index(receipt.index);
    Recorded::prove(&head, &request.envelope, index, &proof(&receipt.inclusion)).unwrap();
    let row = environment_row(&head, environment, receipt.current.as_ref().unwrap()).unwrap();
    // Another release of the environment may be in the same batch, after this one.
    assert!(row.index >= index);
    if row.index == index {
        assert_eq!(row.leaf, LeafHash::of(&request.envelope));
    }
    head
}

/// The row of an environment that a `CurrentProof` proves, or its absence.
pub(crate) fn environment_row(
    head: &AuthenticCheckpoint,
    environment: &str,
    proven: &v1::CurrentProof,
) -> Option<EnvironmentRow> {
    let trusted = head.clone().trust_first();
    let map = map(&trusted, proven);
    let name: Environment = environment.parse().unwrap();
    map.environment(&name, &proven.row, &proven.row_proof)
        .unwrap()
}

/// The map under a checkpoint, as a `CurrentProof` proves it.
pub(crate) fn map<'a>(head: &'a TrustedCheckpoint, proven: &v1::CurrentProof) -> TrustedMap<'a> {
    let inclusion = proof(&proven.map_record_inclusion);
    TrustedMap::prove(head, &proven.map_record, &inclusion).unwrap()
}

/// An environment's current release, proven from the checkpoint down.
pub(crate) async fn lookup(client: &mut Client, trust: &Trust, environment: &str) -> Current {
    let request = v1::LookupRequest {
        environment: environment.into(),
        trusted_checkpoint: Bytes::new(),
        ..v1::LookupRequest::default()
    };
    let answer = client.lookup(request).await.unwrap().into_inner();
    let answer = LookupAnswer::try_from(answer).unwrap();
    let head = authentic(trust, &answer.checkpoint).trust_first();
    current(
        trust,
        &head,
        &environment.parse().unwrap(),
        &answer.evidence,
        now(),
    )
    .unwrap()
}

/// The server's newest head, proven to extend an older one.
pub(crate) async fn extended(
    client: &mut Client,
    trust: &Trust,
    older: &AuthenticCheckpoint,
) -> AuthenticCheckpoint {
    let request = v1::GetConsistencyProofRequest {
        from: older.size().0,
        to: 0,
    };
    let answer = client
        .get_consistency_proof(request)
        .await
        .unwrap()
        .into_inner();
    let newest = authentic(trust, &answer.checkpoint);
    assert!(newest.size() >= older.size());
    let held = older.clone().trust_first();
    held.advance(newest.clone(), &proof(&answer.hashes))
        .unwrap();
    newest
}
