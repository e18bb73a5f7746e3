//! A server in the middle that changes answers: the client never says VERIFIED, nor
//! Recorded, of what was not proven, and says why with the right verdict.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cairn_client::verdict::Verdict;
use cairn_grpc::v1;

use crate::client::{
    desk::Desk,
    liar::{Case, Lie},
};

/// A field of an answer.
type Pick = fn(&mut v1::LookupResponse) -> &mut Bytes;

fn flipped(bytes: &Bytes, at: usize) -> Bytes {
    let mut changed = bytes.to_vec();
    let at = at % changed.len();
    changed[at] ^= 1;
    changed.into()
}

/// Goal: each lie has its verdict, and the same run without it is VERIFIED.
#[tokio::test(flavor = "multi_thread")]
async fn each_changed_piece_of_a_lookup_has_its_own_verdict() {
    let case = Case::new().await;
    assert_eq!(case.told(|_| {}).await.verdict, Verdict::Verified);
    let manifest = case
        .told(|it| it.manifest = flipped(&it.manifest, 30))
        .await;
    assert_eq!(manifest.verdict, Verdict::Tampered);
    assert!(manifest.evidence.unwrap().exists());
    let entry = case.told(|it| it.entry = flipped(&it.entry, 30)).await;
    assert_eq!(entry.verdict, Verdict::Tampered);
    let policy = case
        .told(|it| {
            let document = &mut it.policies[0].document;
            *document = flipped(document, 30);
        })
        .await;
    assert_eq!(policy.verdict, Verdict::Tampered);
    assert_eq!(policy.reason.as_deref(), Some("DOCUMENT_MISMATCH"));
    let note = case
        .told(|it| {
            let text = String::from_utf8(it.checkpoint.to_vec()).unwrap();
            let (head, _) = text.split_once("\n\n").unwrap();
            let line = "\u{2014} somebody AAAAAAAA";
            it.checkpoint = format!("{head}\n\n{line}\n").into_bytes().into();
        })
        .await;
    assert_eq!(note.verdict, Verdict::Untrusted);
    let size = case
        .told(|it| {
            let text = String::from_utf8(it.checkpoint.to_vec()).unwrap();
            it.checkpoint = text.replacen('\n', "\n9", 1).into_bytes().into();
        })
        .await;
    assert_eq!(size.verdict, Verdict::Untrusted);
    assert_eq!(case.told(|_| {}).await.verdict, Verdict::Verified);
    case.server.stop().await;
}

/// Goal: what is bound by no signed head says nothing of anybody. Method: an answer with a
/// piece missing, with junk in its place, or with junk beside it.
#[tokio::test(flavor = "multi_thread")]
async fn what_proves_nothing_is_a_failure_and_no_verdict_on_the_ledger() {
    let case = Case::new().await;
    let unproven: Vec<Lie<v1::LookupResponse>> = vec![
        Arc::new(|it| it.inclusion.clear()),
        Arc::new(|it| it.policies.clear()),
        Arc::new(|it| it.entry = Bytes::new()),
        Arc::new(|it| it.policy_row = flipped(&it.policy_row, 5)),
        Arc::new(|it| it.index += 1),
        // No policy of this log: whatever is wrong with it is nobody's fault here.
        Arc::new(|it| it.policies[0].index += 1),
        Arc::new(|it| {
            let mut junk = it.policies[0].clone();
            junk.document = Bytes::from_static(b"{}");
            it.policies.push(junk);
        }),
        Arc::new(|it| {
            let mut junk = it.policies[0].clone();
            junk.index += 1;
            junk.entry = it.entry.clone();
            junk.document = it.manifest.clone();
            it.policies.push(junk);
        }),
        Arc::new(|it| {
            let proof = it.environment.as_mut().unwrap();
            proof.row = flipped(&proof.row, 7);
        }),
        Arc::new(|it| {
            let proof = it.environment.as_mut().unwrap();
            proof.row = Bytes::new();
        }),
        Arc::new(|it| {
            it.environment
                .as_mut()
                .unwrap()
                .map_record_inclusion
                .clear();
        }),
    ];
    for (number, lie) in unproven.into_iter().enumerate() {
        let report = case.told(move |answer| lie(answer)).await;
        assert_eq!(report.verdict, Verdict::Failed, "lie {number}: {report:?}");
        assert!(report.evidence.is_none());
    }
    assert_eq!(case.told(|_| {}).await.verdict, Verdict::Verified);
    case.server.stop().await;
}

/// Goal: no flipped byte of any field ever yields VERIFIED for it. Method: a sweep.
#[tokio::test(flavor = "multi_thread")]
async fn no_flipped_byte_of_a_lookup_is_verified() {
    let case = Case::new().await;
    let fields: [Pick; 9] = [
        |it| &mut it.entry,
        |it| &mut it.manifest,
        |it| &mut it.policy_row,
        |it| &mut it.policy_proof,
        |it| &mut it.environment.as_mut().unwrap().map_record,
        |it| &mut it.environment.as_mut().unwrap().row,
        |it| &mut it.environment.as_mut().unwrap().row_proof,
        |it| &mut it.policies[0].entry,
        |it| &mut it.policies[0].document,
    ];
    for field in fields {
        for step in 0..24 {
            let report = case
                .told(move |it| {
                    let bytes = field(it);
                    *bytes = flipped(bytes, step * 37);
                })
                .await;
            assert_ne!(report.verdict, Verdict::Verified);
        }
    }
    case.server.stop().await;
}

/// Goal: an answer kept from before is never current again. Method: the liar repeats the
/// first answer after another release.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_older_answer_is_stale() {
    let case = Case::new().await;
    let kept: Arc<Mutex<Option<v1::LookupResponse>>> = Arc::default();
    let keeper = Arc::clone(&kept);
    let report = case
        .told(move |it| {
            keeper.lock().unwrap().get_or_insert_with(|| it.clone());
        })
        .await;
    assert_eq!(report.verdict, Verdict::Verified);
    let accomplice = Desk::at(&case.server).await;
    accomplice.put("web.yaml", b"replicas: 3\n");
    accomplice.recorded().await;
    assert_eq!(case.told(|_| {}).await.verdict, Verdict::Superseded);
    let report = case
        .told(move |it| *it = kept.lock().unwrap().clone().unwrap())
        .await;
    assert_eq!(report.verdict, Verdict::Stale, "{report:?}");
    case.server.stop().await;
}

/// Goal: what an append's answer does not prove is not reported as recorded; the entry
/// stands, and recording again says so. Method: one piece of the answer changed.
#[tokio::test(flavor = "multi_thread")]
async fn an_unproven_receipt_is_no_receipt() {
    let case = Case::new().await;
    let lies: Vec<Lie<v1::AppendResponse>> = vec![
        Arc::new(|it| it.index -= 1),
        Arc::new(|it| it.inclusion.clear()),
        Arc::new(|it| it.current = None),
        Arc::new(|it| it.current.as_mut().unwrap().row = Bytes::new()),
        Arc::new(|it| {
            let proof = it.current.as_mut().unwrap();
            proof.row = flipped(&proof.row, 7);
        }),
        Arc::new(|it| it.current.as_mut().unwrap().map_record_inclusion.clear()),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let text = format!("replicas: {}\n", 100 + number);
        case.desk.put("web.yaml", text.as_bytes());
        case.lies.lock().unwrap().append = lie;
        let error = case.desk.record().await.unwrap_err();
        assert_eq!(error.exit_code(), 1, "lie {number}: {error}");
        let again = case.desk.record().await.unwrap();
        assert!(matches!(again, cairn_client::record::Outcome::Unchanged(_)));
    }
    case.server.stop().await;
}
