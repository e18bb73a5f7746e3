//! What is not taken in, and nothing that is left of it.

use std::fs;

use cairn_grpc::v1;
use cairn_proto::{
    envelope::{Envelope, EnvelopeSignature},
    hash::{LeafHash, Version},
    key::Signer as _,
    order::{BreakGlass, OrderDocument},
    policy::{NamedKey, Policy},
    statement::{Order, PolicyChange, Predicate, Statement, Subject},
};
use cairn_server::proposals::{ProposalLimits, Settings};
use tonic::Code;

use super::{code, draft, get, list, proposed, put, serve, usual, waiters};
use crate::{
    access::told,
    support::{
        ADMIN, DEV, Draft, OTHER, STRANGER, Server, THIRD, external, key, leaf, manifest, policy,
        request, stored,
    },
};

/// A proposal with signatures of the test's making.
fn signed(draft: &Draft, signatures: Vec<EnvelopeSignature>) -> v1::AppendRequest {
    let envelope = Envelope::join(draft.statement().encode(), signatures).unwrap();
    v1::AppendRequest {
        envelope: envelope.encode().into(),
        document: draft.document.clone().into(),
        trusted_checkpoint: Vec::new().into(),
    }
}

fn signature(draft: &Draft, seed: u8) -> EnvelopeSignature {
    let envelope = Envelope::parse(&draft.sign(&[seed]).envelope).unwrap();
    envelope.signatures()[0].clone()
}

/// The next policy, which names the stranger as an admin.
fn usurping(server: &Server) -> (Vec<u8>, Vec<u8>) {
    let mut next: Policy = policy();
    next.version = Version(2);
    next.admins.push(NamedKey {
        name: "usurper".parse().unwrap(),
        key: key(STRANGER).public_key(),
    });
    next.threshold = 2;
    let document = next.encode();
    let genesis = *server.ledger.trust().genesis();
    let statement = Statement {
        subject: Subject::of(&document),
        predicate: Predicate::Policy(PolicyChange {
            ledger: genesis,
            previous: genesis,
            version: Version(2),
        }),
    };
    (statement.encode(), document)
}

/// An order with a number.
fn ordered(server: &Server, number: u64, seeds: &[u8]) -> v1::AppendRequest {
    let document = OrderDocument::BreakGlass(BreakGlass {
        environments: "prod/**".parse().unwrap(),
        approvals: Some(1),
        max_staleness: None,
        expires: 4_000_000_000,
        reason: "incident".to_owned(),
    });
    let genesis = *server.ledger.trust().genesis();
    let bytes = document.encode();
    let statement = Statement {
        subject: Subject::of(&bytes),
        predicate: Predicate::Order(Order {
            kind: document.kind(),
            ledger: genesis,
            number,
            previous: (number > 1).then_some(genesis),
        }),
    };
    request(&statement.encode(), &bytes, seeds)
}

/// What strangers, other ledgers and broken programs send, and what each is told.
fn wrong(server: &Server) -> Vec<(v1::AppendRequest, &'static str)> {
    let good = draft(server, "prod/shop", "good");
    let mut junk = signature(&good, OTHER);
    junk.signature[0] ^= 1;
    let mut another = good.clone();
    another.release.ledger = LeafHash([9; 32]);
    let mut altered = good.sign(&[DEV]);
    altered.document = manifest(vec![external("a", b"evil")]).encode().into();
    let mut undocumented = good.sign(&[DEV]);
    undocumented.document.clear();
    let mut large = good.sign(&[DEV]);
    large.document = vec![b' '; (4 << 20) + 1].into();
    let mut long = good.sign(&[DEV]);
    long.envelope = vec![b'{'; 65_536].into();
    let content = manifest(vec![stored("a", b"nobody sent this")]);
    let genesis = *server.ledger.trust().genesis();
    let (usurped, next) = usurping(server);
    vec![
        (good.sign(&[STRANGER]), "UNKNOWN_SIGNER"),
        (good.sign(&[DEV, STRANGER]), "UNKNOWN_SIGNER"),
        (good.sign(&[ADMIN]), "UNKNOWN_SIGNER"),
        (
            signed(&good, vec![signature(&good, DEV), junk]),
            "BAD_SIGNATURE",
        ),
        (
            draft(server, "staging", "x").sign(&[OTHER]),
            "SIGNER_NOT_ALLOWED",
        ),
        (another.sign(&[DEV]), "WRONG_LEDGER"),
        (altered, "DOCUMENT_MISMATCH"),
        (undocumented, "DOCUMENT_MISSING"),
        (large, "DOCUMENT_TOO_LARGE"),
        (long, "ENTRY_TOO_LARGE"),
        (
            Draft::new(genesis, "prod/shop", 2, &content)
                .after(genesis)
                .sign(&[DEV]),
            "WRONG_SEQUENCE",
        ),
        (good.clone().after(genesis).sign(&[DEV]), "WRONG_PREVIOUS"),
        (
            Draft::new(genesis, "prod/shop", 1, &content).sign(&[DEV]),
            "CONTENT_MISSING",
        ),
        (ordered(server, 1, &[DEV]), "UNKNOWN_SIGNER"),
        (ordered(server, 2, &[ADMIN]), "WRONG_NUMBER"),
        // A policy may be signed by whom it names. Nobody of this ledger has signed this one.
        (request(&usurped, &next, &[STRANGER]), "UNKNOWN_SIGNER"),
    ]
}

/// Goal: nobody fills a server who may not sign for its ledger, nor with what could never be
/// recorded. Method: each kind of it, beside one good proposal, which alone is there afterwards.
#[tokio::test]
async fn what_could_not_be_recorded_with_more_signatures_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let server = usual(folder.path()).await;
    let mut client = waiters(&server, None).await;
    for (number, (append, reason)) in wrong(&server).into_iter().enumerate() {
        let found = told(put(&mut client, append).await);
        assert_eq!(found.0, reason, "{number}: {found:?}");
    }
    let map_record = v1::AppendRequest {
        envelope: b"{\"cairn\":\"map/v1\"}".to_vec().into(),
        ..v1::AppendRequest::default()
    };
    assert!(!code(put(&mut client, map_record).await).is_empty());
    let mut huge = draft(&server, "prod/shop", "x").sign(&[DEV]);
    huge.document = vec![0; 8 << 20].into();
    let status = client.put_proposal(proposed(huge)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(list(&mut client, "").await.is_empty());
    let room = folder.path().join("proposals");
    assert_eq!(fs::read_dir(&room).unwrap().count(), 0);
    put(
        &mut client,
        draft(&server, "prod/shop", "good").sign(&[DEV]),
    )
    .await
    .unwrap();
    assert_eq!(list(&mut client, "").await.len(), 1);
    assert_eq!(fs::read_dir(&room).unwrap().count(), 1);
    server.stop().await;
}

/// Goal: junk does not stick to a good proposal. Method: added to one that waits, which stays what it
/// was; another document under its id.
#[tokio::test]
async fn what_waits_takes_no_junk_signature_and_no_other_document() {
    let folder = tempfile::tempdir().unwrap();
    let server = usual(folder.path()).await;
    let mut client = waiters(&server, None).await;
    let good = draft(&server, "prod/shop", "good");
    let left = put(&mut client, good.sign(&[DEV])).await.unwrap();
    let mut junk = signature(&good, OTHER);
    junk.signature[63] ^= 1;
    let mut other = signature(&good, THIRD);
    other.keyid = signature(&good, OTHER).keyid;
    for (signatures, reason) in [
        (vec![junk], "BAD_SIGNATURE"),
        (vec![other], "BAD_SIGNATURE"),
        (vec![signature(&good, STRANGER)], "UNKNOWN_SIGNER"),
    ] {
        assert_eq!(
            code(put(&mut client, signed(&good, signatures)).await),
            reason
        );
    }
    let mut altered = good.sign(&[OTHER]);
    altered.document = manifest(vec![external("a", b"evil")]).encode().into();
    assert_eq!(code(put(&mut client, altered).await), "DOCUMENT_MISMATCH");
    let found = get(&mut client, &super::id(&good)).await.unwrap();
    assert_eq!(found.proposal.unwrap(), left);
    assert_eq!(found.document, good.document);
    // A policy that waits is signed by those whom it names, too.
    let (usurped, next) = usurping(&server);
    put(&mut client, request(&usurped, &next, &[ADMIN]))
        .await
        .unwrap();
    let both = put(&mut client, request(&usurped, &next, &[STRANGER]))
        .await
        .unwrap();
    assert_eq!(
        both.envelope,
        request(&usurped, &next, &[ADMIN, STRANGER]).envelope
    );
    server.stop().await;
}

/// Goal: one deployer cannot crowd out the others, and all of them not the server. Method: a small
/// room; one fills its share; another still fits; then it is full, until something is recorded.
#[tokio::test]
async fn one_signers_proposals_leave_room_for_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        limits: ProposalLimits {
            number_max: 4,
            signer_number_max: 2,
            ..ProposalLimits::default()
        },
        ..Settings::below(folder.path())
    };
    let server = serve(
        folder.path(),
        cairn_server::access::Access::open(),
        settings,
    )
    .await;
    let mut client = waiters(&server, None).await;
    let of = |number: usize| draft(&server, &format!("prod/{number}"), "x");
    for number in 0..2 {
        put(&mut client, of(number).sign(&[DEV])).await.unwrap();
    }
    for seeds in [&[DEV][..], &[DEV, OTHER]] {
        let (reason, words) = told(put(&mut client, of(2).sign(seeds)).await);
        assert_eq!(reason, "PROPOSALS_FULL");
        assert!(words.contains("its share"), "{words}");
    }
    // What waits already is no second proposal, and more signatures are none either.
    put(&mut client, of(0).sign(&[DEV])).await.unwrap();
    put(&mut client, of(0).sign(&[OTHER])).await.unwrap();
    for number in 2..4 {
        put(&mut client, of(number).sign(&[OTHER])).await.unwrap();
    }
    let status = put(&mut client, of(4).sign(&[THIRD])).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("no more fit"), "{status:?}");
    let mut ledger = server.client().await;
    ledger.append(of(0).sign(&[DEV, OTHER])).await.unwrap();
    put(&mut client, of(4).sign(&[THIRD])).await.unwrap();
    server.stop().await;
}

/// Goal: what is recorded, or whose place is taken, waits no more and is not taken in again. Method:
/// the very payload is appended; so is a rival for another's place.
#[tokio::test]
async fn what_was_recorded_or_overtaken_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let server = usual(folder.path()).await;
    let mut client = waiters(&server, None).await;
    let mut ledger = server.client().await;
    let (own, rival) = (
        draft(&server, "prod/a", "own"),
        draft(&server, "prod/b", "rival"),
    );
    let late = draft(&server, "prod/b", "late");
    for waits in [&own, &late] {
        put(&mut client, waits.sign(&[DEV])).await.unwrap();
    }
    // Recorded with other signatures than those that wait.
    ledger.append(own.sign(&[OTHER, THIRD])).await.unwrap();
    ledger.append(rival.sign(&[DEV, OTHER])).await.unwrap();
    assert!(list(&mut client, "").await.is_empty());
    for gone in [&own, &late] {
        assert_eq!(code(get(&mut client, &super::id(gone)).await), "NOT_FOUND");
        assert_eq!(
            code(put(&mut client, gone.sign(&[DEV])).await),
            "WRONG_SEQUENCE"
        );
    }
    // The next one must name the one before.
    let next = manifest(vec![external("a", b"next")]);
    let genesis = *server.ledger.trust().genesis();
    let next = Draft::new(genesis, "prod/a", 2, &next);
    let before = leaf(&own.sign(&[OTHER, THIRD]));
    assert_eq!(
        code(put(&mut client, next.sign(&[DEV])).await),
        "WRONG_PREVIOUS"
    );
    put(&mut client, next.after(before).sign(&[DEV]))
        .await
        .unwrap();
    server.stop().await;
}
