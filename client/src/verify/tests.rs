//! Bundles against files, with no network: each verdict beside the run without the fault.

use std::fs;

use cairn_proto::{
    hash::Index, policy::Rule, reason::Reason, statement::Action, verify::PolicyEvidence,
};

use super::{BundleCheck, Report, Subject, verify_bundle};
use crate::{
    error::ClientError,
    home::Home,
    sources::Input,
    test::{Log, manifest},
    verdict::Verdict,
};

const TIME: u64 = 1_800_000_000;

struct Case {
    directory: tempfile::TempDir,
    log: Log,
}

impl Case {
    fn new(log: Log) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let this = Self { directory, log };
        fs::create_dir(this.directory.path().join("shop")).unwrap();
        this.put("web.yaml", "replicas: 3");
        this.put("api.yaml", "replicas: 1");
        this
    }

    fn put(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.directory.path().join("shop").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn check(&self, bundle: &[u8], now: u64) -> Result<Report, ClientError> {
        let home = Home::at(self.directory.path().join("home"));
        let trust = self.log.trust();
        let input = Input {
            name: None,
            path: self.directory.path().join("shop"),
        };
        let check = BundleCheck {
            home: &home,
            trust: &trust,
            environment: None,
            now,
        };
        let subject = Subject {
            systems: &[],
            inputs: &[input],
            tags: None,
            progress: &(),
        };
        verify_bundle(bundle, &check, &subject)
    }

    fn bundle(&self, size: u64) -> Vec<u8> {
        self.log
            .bundle_at("prod/shop", size, TIME)
            .encode()
            .unwrap()
    }
}

fn shop(replicas: &str) -> cairn_proto::manifest::Manifest {
    manifest(&[("web.yaml", replicas), ("api.yaml", "replicas: 1")])
}

fn grown() -> Log {
    let mut log = Log::new(1);
    log.release("prod/shop", &shop("replicas: 2"));
    log.release("prod/shop", &shop("replicas: 3"));
    log
}

/// Goal: a bundle verifies with the trust file alone, and says what it does not know.
#[test]
fn a_bundle_is_verified_with_no_server() {
    let case = Case::new(grown());
    let report = case.check(&case.bundle(6), TIME + 5).unwrap();
    assert_eq!(report.verdict, Verdict::Verified, "{report:?}");
    assert_eq!((report.files.matched, report.files.total), (2, 2));
    assert_eq!((report.sequence, report.age), (Some(2), Some(5)));
    assert_eq!(report.history, Some("first"));
    assert_eq!(report.signers[0].name, "ci");
}

/// Goal: a changed file is DRIFT; putting it back ends it.
#[test]
fn a_changed_file_is_drift_until_it_is_put_back() {
    let case = Case::new(grown());
    case.put("web.yaml", "replicas: 30");
    let report = case.check(&case.bundle(6), TIME).unwrap();
    assert_eq!(report.exit_code(), 10);
    assert_eq!(report.differences[0].artifact, "web.yaml");
    case.put("web.yaml", "replicas: 3");
    let report = case.check(&case.bundle(6), TIME).unwrap();
    assert_eq!(report.verdict, Verdict::Verified);
}

/// Goal: an older bundle is STALE once a newer one was seen, and not before.
#[test]
fn an_older_bundle_is_stale_after_a_newer_one() {
    let case = Case::new(grown());
    case.put("web.yaml", "replicas: 2");
    let old = case.bundle(4);
    assert_eq!(case.check(&old, TIME).unwrap().verdict, Verdict::Verified);
    case.put("web.yaml", "replicas: 3");
    let new = case.check(&case.bundle(6), TIME).unwrap();
    assert_eq!(new.verdict, Verdict::Verified);
    assert_eq!(new.history, Some("unlinked"));
    case.put("web.yaml", "replicas: 2");
    let again = case.check(&old, TIME).unwrap();
    assert_eq!(again.verdict, Verdict::Stale);
    assert_eq!(again.reason.as_deref(), Some(Reason::RolledBack.code()));
}

/// Goal: one size, two roots is TAMPERED with evidence, and the held head stays.
#[test]
fn another_root_at_the_held_size_is_tampered() {
    let case = Case::new(grown());
    assert_eq!(case.check(&case.bundle(6), TIME).unwrap().exit_code(), 0);
    let mut forged = Log::new(1);
    forged.release("prod/shop", &shop("replicas: 9"));
    forged.release("prod/shop", &shop("replicas: 3"));
    let forged = forged.bundle_at("prod/shop", 6, TIME).encode().unwrap();
    let report = case.check(&forged, TIME).unwrap();
    assert_eq!(report.exit_code(), 13);
    assert!(report.evidence.unwrap().exists());
    assert_eq!(case.check(&case.bundle(6), TIME).unwrap().exit_code(), 0);
}

/// Goal: each piece that does not hold gives its own verdict. Method: one piece of the
/// bundle changed at a time.
#[test]
fn each_false_piece_of_a_bundle_has_its_own_verdict() {
    let case = Case::new(grown());
    let with = |change: &dyn Fn(&mut cairn_proto::bundle::Bundle)| {
        let mut bundle = case.log.bundle_at("prod/shop", 6, TIME);
        change(&mut bundle);
        case.check(&bundle.encode().unwrap(), TIME).unwrap()
    };
    let manifest = with(&|bundle| {
        let release = bundle.evidence.release.as_mut().unwrap();
        release.manifest = shop("replicas: 9").encode();
    });
    assert_eq!(manifest.verdict, Verdict::Tampered);
    assert_eq!(manifest.reason.as_deref(), Some("DOCUMENT_MISMATCH"));
    let broken = with(&|bundle| {
        bundle.evidence.release.as_mut().unwrap().manifest = b"{}".to_vec();
    });
    assert_eq!(broken.reason.as_deref(), Some("DOCUMENT_MISMATCH"));
    let entry = with(&|bundle| {
        let older = case.log.bundle_at("prod/shop", 4, TIME);
        bundle.evidence.release = older.evidence.release;
    });
    assert_eq!(entry.verdict, Verdict::Tampered);
    assert!(entry.evidence.unwrap().exists());
    let proof = with(&|bundle| bundle.evidence.map_record_inclusion[0].0[0] ^= 1);
    assert_eq!(proof.verdict, Verdict::Failed);
    let row = with(&|bundle| bundle.evidence.environment_proof[8] ^= 1);
    assert_eq!(row.verdict, Verdict::Failed);
    let policies = with(&|bundle| bundle.evidence.policies.clear());
    assert_eq!(policies.verdict, Verdict::Failed);
    let note = with(&|bundle| {
        let other = Log::new(1).note(TIME);
        let mut text = String::from_utf8(bundle.checkpoint.clone()).unwrap();
        let line = String::from_utf8(other).unwrap();
        let (head, _) = text.split_once("\n\n").unwrap();
        let (_, signatures) = line.split_once("\n\n").unwrap();
        text = format!("{head}\n\n{signatures}");
        bundle.checkpoint = text.into_bytes();
    });
    assert_eq!(note.verdict, Verdict::Untrusted);
    let fine = with(&|_| {});
    assert_eq!(fine.verdict, Verdict::Verified);
}

/// Goal: a checkpoint that ends otherwise than with a map record is signed nonsense.
#[test]
fn a_signed_head_without_a_map_record_is_tampered() {
    let case = Case::new(grown());
    let mut bundle = case.log.bundle_at("prod/shop", 6, TIME);
    bundle.checkpoint = case.log.note_at(5, TIME);
    let leaf = case.log.leaves[4].clone();
    bundle.evidence.map_record = leaf;
    let proof = cairn_proto::merkle::prove_inclusion(
        &case.log.tree,
        Index(4),
        cairn_proto::hash::TreeSize(5),
    );
    bundle.evidence.map_record_inclusion = proof.unwrap();
    let report = case.check(&bundle.encode().unwrap(), TIME).unwrap();
    assert_eq!(report.verdict, Verdict::Tampered);
    assert_eq!(report.reason.as_deref(), Some("MAP_RECORD_WRONG"));
}

/// Goal: the policy's bound on age counts, and an old proof beside a drift is both.
#[test]
fn the_policys_bound_on_age_makes_a_proof_stale() {
    let rule = Rule {
        environments: "prod/**".parse().unwrap(),
        approvals: None,
        max_staleness: Some(60),
        witnesses: None,
    };
    let mut log = Log::with_rules(1, vec![rule]);
    log.release("prod/shop", &shop("replicas: 3"));
    let case = Case::new(log);
    let bundle = case.bundle(4);
    assert_eq!(case.check(&bundle, TIME + 60).unwrap().exit_code(), 0);
    assert_eq!(case.check(&bundle, TIME + 61).unwrap().exit_code(), 14);
    case.put("api.yaml", "changed");
    let both = case.check(&bundle, TIME + 61).unwrap();
    assert_eq!(both.verdicts, [Verdict::Drift, Verdict::Stale]);
}

/// Goal: a retired environment runs nothing that is current.
#[test]
fn a_retired_environment_is_superseded() {
    let mut log = grown();
    let retire = log.next("prod/shop", Action::Retire);
    let document = shop("replicas: 3").encode();
    log.append(retire, document);
    let case = Case::new(log);
    let report = case.check(&case.bundle(8), TIME).unwrap();
    assert_eq!(report.exit_code(), 15);
    assert_eq!(report.action, Some("retire"));
}

/// Goal: a bundle of another environment, or of another ledger, says nothing of this one.
#[test]
fn a_bundle_of_something_else_is_refused() {
    let case = Case::new(grown());
    let other = Log::new(2).bundle_at("prod/shop", 2, TIME);
    assert!(other.encode().is_none());
    let mut foreign = Log::new(2);
    foreign.release("prod/shop", &shop("replicas: 3"));
    let foreign = foreign.bundle_at("prod/shop", 4, TIME).encode().unwrap();
    let report = case.check(&foreign, TIME).unwrap();
    assert_eq!(report.verdict, Verdict::Failed);
    assert_eq!(report.reason.as_deref(), Some("WRONG_ORIGIN"));
    let mut damaged = case.bundle(6);
    damaged[40] ^= 1;
    assert!(matches!(
        case.check(&damaged, TIME),
        Err(ClientError::Bundle(_))
    ));
}

/// Goal: what one environment's deployer released is never shown as another's release.
/// Method: a map, signed with all of the server's keys, whose row names a foreign entry.
#[test]
fn a_row_that_names_another_environments_entry_is_tampered() {
    for (named, verdict) in [
        ("test/shop", Verdict::Verified),
        ("prod/shop", Verdict::Tampered),
    ] {
        let mut log = Log::new(1);
        let document = shop("replicas: 3").encode();
        let release = log.next("test/shop", Action::Release);
        let entry = Log::signed_by(&log.deployer, release.clone(), &document);
        let mut row = release;
        row.environment = named.parse().unwrap();
        log.forge(&row, entry, document);
        let case = Case::new(log);
        let bundle = case.log.bundle_at(named, 4, TIME);
        let report = case.check(&bundle.encode().unwrap(), TIME).unwrap();
        assert_eq!(report.verdict, verdict, "{named}: {report:?}");
    }
}

/// Goal: only what the signed head binds makes anybody UNTRUSTED. Method: a stranger's entry,
/// once bound by the map, once merely put among the policies.
#[test]
fn a_strangers_entry_is_untrusted_only_where_the_head_binds_it() {
    let mut log = Log::new(1);
    let document = shop("replicas: 3").encode();
    let release = log.next("prod/shop", Action::Release);
    // The admin may change policies, and release nothing.
    let entry = Log::signed_by(&log.admin, release.clone(), &document);
    log.forge(&release, entry, document);
    let case = Case::new(log);
    let bound = case.check(&case.bundle(4), TIME).unwrap();
    assert_eq!(bound.verdict, Verdict::Untrusted, "{bound:?}");
    assert_eq!(bound.reason.as_deref(), Some("UNKNOWN_SIGNER"));

    let case = Case::new(grown());
    let mut junk = case.log.bundle_at("prod/shop", 6, TIME);
    let policy = case.log.policy(2, Vec::new());
    let mut other = Log::new(1);
    std::mem::swap(&mut other.admin, &mut other.deployer);
    let foreign = other.policy_entry(&policy);
    junk.evidence.policies.push(PolicyEvidence {
        index: Index(1),
        entry: foreign,
        document: policy.encode(),
        inclusion: Vec::new(),
    });
    let report = case.check(&junk.encode().unwrap(), TIME).unwrap();
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert_eq!(report.reason.as_deref(), Some("POLICY_CHAIN"));
}

/// Goal: a false document is tampering only where the head binds its digest. Method: junk
/// beside the chain, junk in the place of a policy's own document, and a row without entry.
#[test]
fn a_false_document_is_tampering_only_where_the_head_binds_its_digest() {
    let case = Case::new(grown());
    let with = |change: &dyn Fn(&mut cairn_proto::bundle::Bundle)| {
        let mut bundle = case.log.bundle_at("prod/shop", 6, TIME);
        change(&mut bundle);
        case.check(&bundle.encode().unwrap(), TIME).unwrap()
    };
    let beside = with(&|bundle| {
        let mut junk = bundle.evidence.policies[0].clone();
        junk.document = b"{}".to_vec();
        bundle.evidence.policies.push(junk);
    });
    assert_eq!(beside.verdict, Verdict::Failed, "{beside:?}");
    assert!(beside.evidence.is_none());
    let own = with(&|bundle| bundle.evidence.policies[0].document = b"{}".to_vec());
    assert_eq!(own.verdict, Verdict::Tampered);
    assert_eq!(own.reason.as_deref(), Some("DOCUMENT_MISMATCH"));
    // The map's proof does not hold: neither the row nor what it would name is bound.
    let unbound = with(&|bundle| {
        bundle.evidence.map_record = b"{\"cairn\":1}".to_vec();
        bundle.evidence.release.as_mut().unwrap().entry = b"{\"payload\":1}".to_vec();
    });
    assert_eq!(unbound.verdict, Verdict::Failed, "{unbound:?}");
}
