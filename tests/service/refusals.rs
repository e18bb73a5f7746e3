//! Every input that the server refuses, its own reason, and a journal that did not grow.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_grpc::{refused, v1};
use cairn_proto::{
    hash::{LeafHash, Sequence, Version},
    key::Signer as _,
    manifest::Manifest,
    statement::{Action, PolicyChange, Predicate, Statement, Subject},
};

use crate::support::{
    ADMIN, DEV, Draft, OTHER, STRANGER, Server, external, key, leaf, manifest, policy, request,
    stored,
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

fn case(name: &'static str, request: v1::AppendRequest, reason: &'static str) -> Case {
    Case {
        name,
        request,
        reason,
    }
}

/// One release stands at `staging#1`; every case tries to append something wrong after it.
struct Wrong {
    ledger: LeafHash,
    standing: LeafHash,
    files: Manifest,
    good: Draft,
}

impl Wrong {
    fn after(ledger: LeafHash, standing: LeafHash) -> Self {
        let files = manifest(vec![external("a", b"2")]);
        Self {
            ledger,
            standing,
            good: Draft::new(ledger, "staging", 2, &files).after(standing),
            files,
        }
    }

    fn cases(&self) -> impl Iterator<Item = Case> {
        let groups = [
            self.order(),
            self.signers(),
            self.parts(),
            self.steps(),
            self.spellings(),
            self.statements(),
        ];
        groups.into_iter().flatten()
    }

    fn draft(&self, ledger: LeafHash, sequence: u64) -> Draft {
        Draft::new(ledger, "staging", sequence, &self.files)
    }

    fn order(&self) -> Vec<Case> {
        let (ledger, standing) = (self.ledger, self.standing);
        let other_ledger = self.draft(standing, 2).after(standing).sign(&[DEV]);
        let too_far = self.draft(ledger, 3).after(standing).sign(&[DEV]);
        let again = self.draft(ledger, 1).sign(&[DEV]);
        let elsewhere = self.good.clone().after(ledger).sign(&[DEV]);
        vec![
            case("wrong ledger", other_ledger, "WRONG_LEDGER"),
            case("wrong sequence", too_far, "WRONG_SEQUENCE"),
            case("old sequence", again, "WRONG_SEQUENCE"),
            case("wrong previous", elsewhere, "WRONG_PREVIOUS"),
        ]
    }

    fn signers(&self) -> Vec<Case> {
        let good = &self.good;
        let alone = Draft::new(self.ledger, "prod/shop", 1, &self.files).sign(&[OTHER]);
        vec![
            case("unknown signer", good.sign(&[STRANGER]), "UNKNOWN_SIGNER"),
            case(
                "a stranger beside a deployer",
                good.sign(&[DEV, STRANGER]),
                "UNKNOWN_SIGNER",
            ),
            case(
                "an admin is no deployer",
                good.sign(&[ADMIN]),
                "UNKNOWN_SIGNER",
            ),
            case(
                "signer not allowed here",
                good.sign(&[OTHER]),
                "SIGNER_NOT_ALLOWED",
            ),
            case("too few approvals", alone, "TOO_FEW_APPROVALS"),
        ]
    }

    fn parts(&self) -> Vec<Case> {
        let lost = manifest(vec![stored("a", b"2")]);
        let lost = Draft::new(self.ledger, "staging", 2, &lost).after(self.standing);
        let with = |document: Vec<u8>| v1::AppendRequest {
            document: document.into(),
            ..self.good.sign(&[DEV])
        };
        let other = manifest(vec![external("b", b"3")]).encode();
        vec![
            case("missing content", lost.sign(&[DEV]), "CONTENT_MISSING"),
            case("document missing", with(Vec::new()), "DOCUMENT_MISSING"),
            case("document of another", with(other), "DOCUMENT_MISMATCH"),
            case("small-order key", self.weak_policy(), "KEY_WEAK"),
        ]
    }

    /// A policy change, signed by the admin, that names the neutral element as a deployer.
    fn weak_policy(&self) -> v1::AppendRequest {
        let mut next = policy();
        next.version = Version(2);
        let good = STANDARD.encode(key(OTHER).public_key().as_bytes());
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let document = replaced(&next.encode(), &good, &STANDARD.encode(neutral));
        let statement = Statement {
            subject: Subject::of(&document),
            predicate: Predicate::Policy(PolicyChange {
                ledger: self.ledger,
                previous: self.ledger,
                version: Version(2),
            }),
        };
        request(&statement.encode(), &document, &[ADMIN])
    }

    fn steps(&self) -> Vec<Case> {
        let mut back = self.good.clone();
        back.release.action = Action::Rollback;
        back.release.rollback_to = Some(Sequence(7));
        let to_nothing = back.sign(&[DEV]);
        back.release.rollback_to = Some(Sequence(1));
        let mut end = self.good.clone();
        end.release.action = Action::Retire;
        vec![
            case("rollback to nothing", to_nothing, "ROLLBACK_TARGET"),
            case(
                "rollback to other artifacts",
                back.sign(&[DEV]),
                "ROLLBACK_ARTIFACTS",
            ),
            case(
                "retire another manifest",
                end.sign(&[DEV]),
                "RETIRE_MANIFEST",
            ),
        ]
    }

    /// Envelopes that are not in their one spelling.
    fn spellings(&self) -> Vec<Case> {
        let signed = self.good.sign(&[DEV]);
        let with = |bytes: Vec<u8>| v1::AppendRequest {
            envelope: bytes.into(),
            ..signed.clone()
        };
        let yaml = replaced(&signed.envelope, "vnd.in-toto+json", "vnd.in-toto+yaml");
        let padded = [&signed.envelope[..], b" "].concat();
        vec![
            case(
                "map record from a client",
                with(MAP_RECORD.to_vec()),
                "MAP_RECORD_SUBMITTED",
            ),
            case(
                "neither shape",
                with(b"hello".to_vec()),
                "ENTRY_UNKNOWN_SHAPE",
            ),
            case(
                "white space after the envelope",
                with(padded),
                "JSON_NOT_CANONICAL",
            ),
            case(
                "bad signature",
                with(forged(&signed.envelope)),
                "BAD_SIGNATURE",
            ),
            case("other payload type", with(yaml), "ENVELOPE_PAYLOAD_TYPE"),
            case(
                "oversize leaf",
                with(oversize(&signed.envelope)),
                "ENTRY_TOO_LARGE",
            ),
        ]
    }

    /// Statements that are not what they should be, signed all the same.
    fn statements(&self) -> Vec<Case> {
        let payload = self.good.statement().encode();
        let signed = |payload: &[u8]| request(payload, &self.good.document, &[DEV]);
        let edited = |from: &str, to: &str| signed(&replaced(&payload, from, to));
        let twice = edited("{\"action\":", "{\"action\":\"retire\",\"action\":");
        let unknown = edited("{\"action\":", "{\"aaa\":1,\"action\":");
        let kind = edited("urn:cairn:release:v1", "urn:cairn:approval:v1");
        let newer = edited("cairn.release/v1", "cairn.release/v9");
        let float = edited("\"sequence\":2", "\"sequence\":2.0");
        let spaced = signed(&[&payload[..], b" "].concat());
        vec![
            case("white space in the payload", spaced, "JSON_NOT_CANONICAL"),
            case("duplicate member", twice, "JSON_DUPLICATE_MEMBER"),
            case("unknown member", unknown, "JSON_UNKNOWN_MEMBER"),
            case("a float", float, "JSON_NUMBER"),
            case("newer schema", newer, "NEEDS_NEWER_CAIRN"),
            case("reserved kind", kind, "NEEDS_NEWER_CAIRN"),
        ]
    }
}

const MAP_RECORD: &[u8] = br#"{"cairn":"map/v1","covers":4,"root":"0000000000000000000000000000000000000000000000000000000000000000","rows":1,"time":1}"#;

/// The envelope with one character of its signature changed.
fn forged(envelope: &[u8]) -> Vec<u8> {
    let mut bytes = envelope.to_vec();
    let mut windows = bytes.windows(7);
    let at = windows.position(|window| window == b"\"sig\":\"").unwrap() + 10;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    bytes
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
    for case in Wrong::after(ledger, leaf(&first)).cases() {
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
