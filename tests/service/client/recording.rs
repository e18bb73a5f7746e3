//! Recording, and what is said when it need not be, may not be, or was overtaken.

use std::sync::Arc;

use cairn_client::{
    connect::{Connection, Endpoint},
    ledger::Ledger,
    record::{Outcome, Terms},
};
use cairn_proto::{hash::Sequence, key::Signer, reason::Reason, statement::Action};

use crate::{
    client::{
        desk::{Desk, environment},
        liar::{Case, Lost},
    },
    support::{STRANGER, Server, key},
};

/// Goal: a receipt is proven, and the same content makes no second entry unless asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_current_already_is_not_recorded_again() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    let Outcome::Recorded(first) = desk.record().await.unwrap() else {
        panic!("nothing was recorded before");
    };
    assert_eq!((first.sequence, first.sent.contents), (Sequence(1), 2));
    assert!(first.current && first.index.0 >= 2);
    let Outcome::Unchanged(same) = desk.record().await.unwrap() else {
        panic!("nothing changed");
    };
    assert_eq!(
        (same.leaf_hash, same.sequence),
        (first.leaf_hash, Sequence(1))
    );
    let again = Terms {
        again: true,
        ..desk.terms()
    };
    let Outcome::Recorded(second) = desk.record_with(&again).await.unwrap() else {
        panic!("it was asked for");
    };
    assert_eq!((second.sequence, second.sent.contents), (Sequence(2), 0));
    desk.put("web.yaml", b"replicas: 4\n");
    assert_eq!(desk.recorded().await, 3);
    server.stop().await;
}

/// Goal: content larger than a part arrives whole, an empty file too, and is not sent twice.
#[tokio::test(flavor = "multi_thread")]
async fn large_and_empty_files_are_sent_once() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    let large: Vec<u8> = (0..5_000_001_u32).flat_map(u32::to_le_bytes).collect();
    desk.put("large.bin", &large);
    desk.put("empty", b"");
    let Outcome::Recorded(receipt) = desk.record().await.unwrap() else {
        panic!("nothing was recorded before");
    };
    assert_eq!(receipt.sent.contents, 3);
    assert!(receipt.sent.bytes > 20_000_000);
    desk.put("more.yaml", b"a: 1\n");
    let Outcome::Recorded(receipt) = desk.record().await.unwrap() else {
        panic!("a file was added");
    };
    assert_eq!(receipt.sent.contents, 1);
    assert_eq!(desk.verify().await.unwrap().exit_code(), 0);
    server.stop().await;
}

/// Goal: who loses a race builds on the winner and is told what came in between; who said
/// what they expect is refused instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_race_is_run_again_unless_something_was_expected() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let (one, other) = (Desk::at(&server).await, Desk::at(&server).await);
    assert_eq!(one.recorded().await, 1);
    let expecting = Terms {
        expect: Some(Sequence(0)),
        ..other.terms()
    };
    other.put("web.yaml", b"replicas: 9\n");
    let error = other.record_with(&expecting).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::RaceLost));
    assert_eq!(error.exit_code(), 1);
    let runs = (0..4_u8).map(|number| {
        let (one, other) = (&one, &other);
        async move {
            one.put("web.yaml", format!("one: {number}\n").as_bytes());
            other.put("web.yaml", format!("other: {number}\n").as_bytes());
            tokio::join!(one.record(), other.record())
        }
    });
    let mut sequences = Vec::new();
    for run in runs {
        let (left, right) = run.await;
        for outcome in [left.unwrap(), right.unwrap()] {
            sequences.push(outcome.receipt().sequence.0);
        }
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (2..=9).collect::<Vec<_>>());
    server.stop().await;
}

/// Goal: rollback repeats an older release, retire ends the environment, both proven.
#[tokio::test(flavor = "multi_thread")]
async fn rollback_and_retire_are_steps_like_any_other() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    assert_eq!(desk.recorded().await, 1);
    desk.put("web.yaml", b"replicas: 4\n");
    assert_eq!(desk.recorded().await, 2);
    let back = "staging#1".parse().unwrap();
    let terms = desk.terms();
    let outcome = desk
        .ledger
        .rollback(&environment(), &back, &terms)
        .await
        .unwrap();
    let receipt = outcome.receipt();
    assert_eq!(
        (receipt.sequence, receipt.action),
        (Sequence(3), Action::Rollback)
    );
    let same = desk
        .ledger
        .rollback(&environment(), &back, &terms)
        .await
        .unwrap();
    assert!(matches!(same, Outcome::Unchanged(_)));
    let retired = desk.ledger.retire(&environment(), &terms).await.unwrap();
    assert_eq!(retired.receipt().action, Action::Retire);
    let error = desk
        .ledger
        .retire(&environment(), &terms)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Some(Reason::AlreadyRetired));
    assert_eq!(desk.verify().await.unwrap().exit_code(), 10);
    desk.put("web.yaml", b"kind: Deployment\nspec:\n  replicas: 3\n");
    assert_eq!(desk.verify().await.unwrap().exit_code(), 15);
    assert_eq!(desk.recorded().await, 5);
    server.stop().await;
}

/// Goal: a key that the policy does not name is denied; nobody answering is unreachable.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_denied_and_a_dead_address_is_unreachable() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    let stranger = key(STRANGER);
    let terms = Terms {
        signers: vec![&stranger as &dyn Signer],
        ..Terms::default()
    };
    let error = desk.record_with(&terms).await.unwrap_err();
    assert_eq!(error.code(), "UNKNOWN_SIGNER");
    assert_eq!(error.exit_code(), 4);
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let endpoint = Endpoint::new(format!("http://{address}"));
    let ledger = Ledger::new(
        desk.ledger.home(),
        desk.ledger.trust().clone(),
        Connection::open(&endpoint).unwrap(),
    );
    let error = ledger.lookup(&environment()).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("UNREACHABLE", 3));
    let error = ledger
        .connection()
        .read_api()
        .checkpoint()
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 3);
    server.stop().await;
}

/// Goal: what was recorded and overtaken before its answer came is not put on top again.
/// Method: the answer is lost, and meanwhile another desk records.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_answer_was_lost_is_not_signed_again_over_a_newer_one() {
    let case = Case::new().await;
    let lost = Arc::new(Lost::default());
    case.lies.lock().unwrap().lost = Some(Arc::clone(&lost));
    let other = Desk::at(&case.server).await;
    other.put("web.yaml", b"replicas: 4\n");
    case.desk.put("web.yaml", b"replicas: 3\n");
    let expecting = Terms {
        expect: Some(Sequence(2)),
        ..case.desk.terms()
    };
    let overtake = async {
        lost.appended.notified().await;
        assert_eq!(other.recorded().await, 4);
        lost.answer.notify_one();
    };
    let (outcome, ()) = tokio::join!(case.desk.record_with(&expecting), overtake);
    let Outcome::Recorded(receipt) = outcome.unwrap() else {
        panic!("it was recorded");
    };
    assert_eq!((receipt.sequence, receipt.current), (Sequence(3), false));
    assert_eq!(receipt.between.len(), 1);
    let log = case
        .desk
        .ledger
        .log(Some(&environment()), 10)
        .await
        .unwrap();
    assert_eq!(log.len(), 4, "nothing was signed on top");
    assert_eq!(log[1].leaf, receipt.leaf_hash);
    case.server.stop().await;
}

/// Goal: the same for an entry that still is the current one, a retirement too.
#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_whose_answer_was_lost_is_recorded() {
    let case = Case::new().await;
    let lost = Arc::new(Lost::default());
    lost.answer.notify_one();
    case.lies.lock().unwrap().lost = Some(lost);
    let terms = case.desk.terms();
    let outcome = case.desk.ledger.retire(&environment(), &terms).await;
    let Outcome::Recorded(receipt) = outcome.unwrap() else {
        panic!("it was recorded");
    };
    assert_eq!((receipt.sequence, receipt.current), (Sequence(3), true));
    case.server.stop().await;
}
