//! Verifying what is there, each verdict beside the run without the fault.

use cairn_client::{
    compare::DifferenceKind,
    home::Home,
    verdict::Verdict,
    verify::{BundleCheck, Subject, verify_bundle},
};

use crate::{
    client::desk::{Desk, environment, tags},
    support::Server,
};

/// Goal: VERIFIED, then DRIFT down to the field, then VERIFIED again after restoring.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_field_is_drift_until_it_is_restored() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    let absent = desk.verify().await.unwrap();
    assert_eq!(
        (absent.verdict, absent.exit_code()),
        (Verdict::Unrecorded, 11)
    );
    desk.recorded().await;
    let fine = desk.verify().await.unwrap();
    assert_eq!(fine.verdict, Verdict::Verified, "{fine:?}");
    assert_eq!((fine.files.matched, fine.files.total), (2, 2));
    assert_eq!(
        (fine.history, fine.map.as_str()),
        (Some("linked"), "asserted")
    );
    assert!(fine.age.unwrap() < 60);
    desk.put("web.yaml", b"kind: Deployment\nspec:\n  replicas: 30\n");
    let drift = desk.verify().await.unwrap();
    assert_eq!(drift.verdict, Verdict::Drift);
    let field = &drift.differences[0];
    assert_eq!(
        (field.artifact.as_str(), field.path.as_str()),
        ("web.yaml", "spec.replicas")
    );
    assert_eq!(
        (field.recorded.as_deref(), field.found.as_deref()),
        (Some("3"), Some("30"))
    );
    let current = "staging".parse().unwrap();
    let name = "web.yaml".parse().unwrap();
    desk.ledger
        .restore(&current, &name, &desk.shop(), &())
        .await
        .unwrap();
    assert_eq!(desk.verify().await.unwrap().verdict, Verdict::Verified);
    server.stop().await;
}

/// Goal: what is exactly an older release is SUPERSEDED and no DRIFT, with what changed.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_release_is_superseded() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    for replicas in 1..=4 {
        desk.put("web.yaml", format!("replicas: {replicas}\n").as_bytes());
        desk.recorded().await;
    }
    desk.put("web.yaml", b"replicas: 2\n");
    let report = desk.verify().await.unwrap();
    assert_eq!(report.verdicts, [Verdict::Superseded], "{report:?}");
    assert_eq!((report.stands, report.sequence), (Some(2), Some(4)));
    assert_eq!(report.changed_since[0].artifact, "web.yaml");
    desk.put("web.yaml", b"replicas: 5\n");
    let report = desk.verify().await.unwrap();
    assert_eq!(report.verdicts, [Verdict::Drift]);
    server.stop().await;
}

/// Goal: a directory of many files, with a secret in it, verifies and drifts file by file.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_many_files_drifts_file_by_file() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    for number in 0..1_100 {
        desk.put(
            &format!("many/{number}.yaml"),
            format!("n: {number}\n").as_bytes(),
        );
    }
    desk.put(".env", b"PASSWORD=hunter2\n");
    desk.recorded().await;
    let fine = desk.verify().await.unwrap();
    assert_eq!(fine.verdict, Verdict::Verified, "{fine:?}");
    assert_eq!(fine.files.total, 1_103);
    desk.put("many/7.yaml", b"n: 8\n");
    desk.put("many/new.yaml", b"n: 9\n");
    let drift = desk.verify().await.unwrap();
    let kinds: Vec<_> = drift
        .differences
        .iter()
        .map(|it| (it.artifact.as_str(), it.path.as_str(), it.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("many/7.yaml", "n", DifferenceKind::Changed),
            ("many/new.yaml", "", DifferenceKind::Added)
        ]
    );
    let name = "many/7.yaml".parse().unwrap();
    let current = "staging".parse().unwrap();
    desk.ledger
        .restore(&current, &name, &desk.shop(), &())
        .await
        .unwrap();
    assert_eq!(
        desk.read(std::path::Path::new("shop/many/7.yaml")),
        b"n: 7\n"
    );
    server.stop().await;
}

/// Goal: an exported bundle verifies with no server, at a host that saw nothing before.
#[tokio::test(flavor = "multi_thread")]
async fn an_exported_bundle_verifies_with_no_server() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    desk.recorded().await;
    let exported = desk
        .ledger
        .export(&"staging#1".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(exported.release, "staging#1");
    let old = desk.ledger.export(&"staging~1".parse().unwrap()).await;
    assert_eq!(old.unwrap_err().code(), "NOT_FOUND");
    server.stop().await;
    let home = Home::at(desk.directory.path().join("host"));
    let environment = environment();
    let check = BundleCheck {
        home: &home,
        trust: desk.ledger.trust(),
        environment: Some(&environment),
        now: cairn_client::clock::now(),
    };
    let (inputs, tags) = (desk.inputs(), tags());
    let subject = Subject {
        systems: &[],
        inputs: &inputs,
        tags: Some(&tags),
        progress: &(),
    };
    let report = verify_bundle(&exported.bytes, &check, &subject).unwrap();
    assert_eq!(
        (report.verdict, report.history),
        (Verdict::Verified, Some("first"))
    );
}

/// Goal: what was never released anywhere is UNRECORDED beside DRIFT, and what was, is not.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_ever_released_is_unrecorded_beside_the_drift() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    let recorded = desk.read("shop/web.yaml".as_ref());
    desk.recorded().await;
    desk.put("web.yaml", b"kind: Other\n");
    desk.put("conf/api.yaml", b"port: 81\n");
    let edited = desk.verify().await.unwrap();
    assert_eq!(edited.verdicts, [Verdict::Drift], "recorded files, edited");
    std::fs::remove_dir_all(desk.shop()).unwrap();
    desk.put("other.yaml", b"kind: Other\n");
    let unrecorded = desk.verify().await.unwrap();
    assert_eq!(unrecorded.verdict, Verdict::Unrecorded);
    assert_eq!(unrecorded.exit_code(), 11);
    assert!(unrecorded.verdicts.contains(&Verdict::Drift));
    assert_eq!(unrecorded.sequence, Some(1));
    desk.put("moved.yaml", &recorded);
    let moved = desk.verify().await.unwrap();
    assert_eq!(moved.verdict, Verdict::Drift, "released, by another name");
    desk.put("moved.yaml", b"port: 81\n");
    for number in 0..63 {
        desk.put(&format!("more/{number}"), &[number]);
    }
    let many = desk.verify().await.unwrap();
    assert_eq!(many.verdict, Verdict::Drift, "too many to ask after");
    server.stop().await;
}
