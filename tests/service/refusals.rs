//! Every input that the server refuses, its own reason, and a journal that did not grow.

use cairn_grpc::{refused, v1};
use cairn_proto::{
    hash::{LeafHash, Sequence},
    statement::Action,
};

use crate::support::{
    ADMIN, DEV, Draft, OTHER, STRANGER, Server, external, leaf, manifest, request, stored,
};

fn replaced(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1).into_bytes()
}

struct Case {
    name: &'static str,
    request: v1::AppendRequest,
    reason: &'static str,
}

/// One release stands at `staging#1`; every case tries to append something wrong after it.
fn cases(ledger: LeafHash, standing: LeafHash) -> Vec<Case> {
    let files = manifest(vec![external("a", b"2")]);
    let good = Draft::new(ledger, "staging", 2, &files).after(standing);
    let mut cases = Vec::new();
    let mut case = |name, request, reason| {
        cases.push(Case {
            name,
            request,
            reason,
        })
    };

    case(
        "wrong ledger",
        Draft::new(standing, "staging", 2, &files)
            .after(standing)
            .sign(&[DEV]),
        "WRONG_LEDGER",
    );
    case(
        "wrong sequence",
        Draft::new(ledger, "staging", 3, &files)
            .after(standing)
            .sign(&[DEV]),
        "WRONG_SEQUENCE",
    );
    case(
        "old sequence",
        Draft::new(ledger, "staging", 1, &files).sign(&[DEV]),
        "WRONG_SEQUENCE",
    );
    case(
        "wrong previous",
        good.clone().after(ledger).sign(&[DEV]),
        "WRONG_PREVIOUS",
    );
    case("unknown signer", good.sign(&[STRANGER]), "UNKNOWN_SIGNER");
    case(
        "a stranger beside a deployer",
        good.sign(&[DEV, STRANGER]),
        "UNKNOWN_SIGNER",
    );
    case(
        "an admin is no deployer",
        good.sign(&[ADMIN]),
        "UNKNOWN_SIGNER",
    );
    case(
        "signer not allowed here",
        good.sign(&[OTHER]),
        "SIGNER_NOT_ALLOWED",
    );
    let prod = Draft::new(ledger, "prod/shop", 1, &files);
    case(
        "too few approvals",
        prod.sign(&[OTHER]),
        "TOO_FEW_APPROVALS",
    );
    let mut lost = Draft::new(ledger, "staging", 2, &manifest(vec![stored("a", b"2")]));
    lost.release.previous = Some(standing);
    case("missing content", lost.sign(&[DEV]), "CONTENT_MISSING");
    let mut back = good.clone();
    back.release.action = Action::Rollback;
    back.release.rollback_to = Some(Sequence(7));
    case("rollback to nothing", back.sign(&[DEV]), "ROLLBACK_TARGET");
    back.release.rollback_to = Some(Sequence(1));
    case(
        "rollback to other artifacts",
        back.sign(&[DEV]),
        "ROLLBACK_ARTIFACTS",
    );
    let mut end = good.clone();
    end.release.action = Action::Retire;
    case(
        "retire another manifest",
        end.sign(&[DEV]),
        "RETIRE_MANIFEST",
    );
    case(
        "document missing",
        v1::AppendRequest {
            document: Vec::new().into(),
            ..good.sign(&[DEV])
        },
        "DOCUMENT_MISSING",
    );
    let other = manifest(vec![external("b", b"3")]).encode();
    case(
        "document of another",
        v1::AppendRequest {
            document: other.into(),
            ..good.sign(&[DEV])
        },
        "DOCUMENT_MISMATCH",
    );
    cases.extend(malformed(&good));
    cases
}

/// Envelopes and statements that are not in their one spelling.
fn malformed(good: &Draft) -> Vec<Case> {
    let signed = good.sign(&[DEV]);
    let payload = good.statement().encode();
    let resigned =
        |from: &str, to: &str| request(&replaced(&payload, from, to), &good.document, &[DEV]);
    let envelope = |bytes: Vec<u8>| v1::AppendRequest {
        envelope: bytes.into(),
        ..signed.clone()
    };
    let edited = |from: &str, to: &str| envelope(replaced(&signed.envelope, from, to));
    let space = |text: &[u8]| [text, b" "].concat();
    let record = br#"{"cairn":"map/v1","covers":4,"root":"0000000000000000000000000000000000000000000000000000000000000000","rows":1,"time":1}"#;
    let mut flipped = good.sign(&[DEV]).envelope.to_vec();
    let sig = flipped
        .windows(7)
        .position(|window| window == b"\"sig\":\"")
        .unwrap()
        + 10;
    flipped[sig] = if flipped[sig] == b'A' { b'B' } else { b'A' };
    let case = |name, request, reason| Case {
        name,
        request,
        reason,
    };
    vec![
        case(
            "map record from a client",
            envelope(record.to_vec()),
            "MAP_RECORD_SUBMITTED",
        ),
        case(
            "neither shape",
            envelope(b"hello".to_vec()),
            "ENTRY_UNKNOWN_SHAPE",
        ),
        case(
            "white space after the envelope",
            envelope(space(&signed.envelope)),
            "JSON_NOT_CANONICAL",
        ),
        case(
            "white space in the payload",
            request(&space(&payload), &good.document, &[DEV]),
            "JSON_NOT_CANONICAL",
        ),
        case(
            "duplicate member",
            resigned("{\"action\":", "{\"action\":\"retire\",\"action\":"),
            "JSON_DUPLICATE_MEMBER",
        ),
        case(
            "unknown member",
            resigned("{\"action\":", "{\"aaa\":1,\"action\":"),
            "JSON_UNKNOWN_MEMBER",
        ),
        case(
            "a float",
            resigned("\"sequence\":2", "\"sequence\":2.0"),
            "JSON_NUMBER",
        ),
        case(
            "newer schema",
            resigned("cairn.release/v1", "cairn.release/v9"),
            "NEEDS_NEWER_CAIRN",
        ),
        case(
            "reserved kind",
            resigned("urn:cairn:release:v1", "urn:cairn:approval:v1"),
            "NEEDS_NEWER_CAIRN",
        ),
        case("bad signature", envelope(flipped), "BAD_SIGNATURE"),
        case(
            "other payload type",
            edited("vnd.in-toto+json", "vnd.in-toto+yaml"),
            "ENVELOPE_PAYLOAD_TYPE",
        ),
        case(
            "oversize leaf",
            envelope(oversize(&signed.envelope)),
            "ENTRY_TOO_LARGE",
        ),
    ]
}

fn oversize(envelope: &[u8]) -> Vec<u8> {
    let mut bytes = envelope.to_vec();
    bytes.resize(65_536, b' ');
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_entry_is_refused_for_its_own_reason_and_leaves_no_trace() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut client = server.client().await;
    let ledger = *server.ledger.trust().genesis();
    let first = Draft::new(ledger, "staging", 1, &manifest(vec![external("a", b"1")])).sign(&[DEV]);
    let before = client.append(first.clone()).await.unwrap().into_inner();
    for case in cases(ledger, leaf(&first)) {
        let refusal = match client.append(case.request).await {
            Err(status) => refused(&status),
            Ok(_) => panic!("{} was accepted", case.name),
        };
        assert_eq!(
            refusal.code, case.reason,
            "{}: {}",
            case.name, refusal.message
        );
    }
    let proof = v1::GetConsistencyProofRequest { from: 4, to: 4 };
    let after = client
        .get_consistency_proof(proof)
        .await
        .unwrap()
        .into_inner();
    let size = |note: &[u8]| note.split(|byte| *byte == b'\n').nth(1).unwrap().to_vec();
    assert_eq!(size(&after.checkpoint), size(&before.checkpoint));
    server.stop().await;
}
