//! Audits of logs in a directory: honest ones, and each lie beside the same log without it.

use std::{fs, path::Path};

use cairn_proto::{reason::Reason, statement::Action, trust::Trust};

use super::{Audit, Report, audit};
use crate::{
    connect::ReadApi,
    error::ClientError,
    evidence::{Finding, judge},
    held::HeldStore,
    home::Home,
    test::{Log, manifest},
    verdict::Verdict,
};

const TIME: u64 = 1_800_000_000;

struct Case {
    directory: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Serves a log in place of what was served before.
    fn serve(&self, log: &Log) {
        let served = self.path("served");
        if served.exists() {
            fs::remove_dir_all(&served).unwrap();
        }
        log.write(&served, TIME);
    }

    fn audit(&self, log: &Log) -> Result<Report, ClientError> {
        self.run(log, None)
    }

    fn run(&self, log: &Log, mirror: Option<&Path>) -> Result<Report, ClientError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let source = ReadApi::directory(self.path("served"));
        let home = Home::at(self.path("home"));
        let trust = log.trust();
        runtime.block_on(audit(&Audit {
            source: &source,
            trust: &trust,
            home: &home,
            mirror: mirror.map(Path::to_owned),
            now: TIME + 12,
            progress: &(),
        }))
    }
}

fn grown(releases: usize) -> Log {
    let mut log = Log::new(1);
    for number in 0..releases {
        let text = format!("replicas: {number}");
        let environment = ["prod/a", "prod/b"][number % 2];
        log.release(
            environment,
            &manifest(&[("web.yaml", &text), ("same", "x")]),
        );
    }
    log
}

fn reasons(report: &Report) -> Vec<(Reason, Option<u64>)> {
    let alarms = report.alarms.iter();
    alarms.map(|alarm| (alarm.reason, alarm.index)).collect()
}

/// Goal: an honest log has no alarms, and its head is held. Method: releases, a policy
/// change, a rollback and a retirement, over more than one bundle.
#[test]
fn an_honest_log_is_audited_without_an_alarm() {
    let case = Case::new();
    let mut log = grown(200);
    let policy = log.policy(2, Vec::new());
    log.change_policy(&policy);
    let mut rollback = log.next("prod/a", Action::Rollback);
    rollback.rollback_to = Some(cairn_proto::hash::Sequence(1));
    let first = log.document_of(2);
    log.append(rollback, first.clone());
    let retire = log.next("prod/a", Action::Retire);
    log.append(retire, first);
    case.serve(&log);
    let report = case.audit(&log).unwrap();
    assert_eq!(reasons(&report), []);
    assert!(report.ok);
    assert_eq!(report.verdict(), Verdict::Verified);
    assert_eq!(report.entries, log.size());
    assert_eq!((report.envelopes, report.map_records), (204, 204));
    assert_eq!((report.environments, report.policy_version), (2, 2));
    assert_eq!((report.history, report.age), (Some("first"), Some(12)));
    let held = HeldStore::new(&Home::at(case.path("home")), &log.trust());
    let held = held.load().unwrap().unwrap();
    assert_eq!(held.checkpoint().head().size().0, log.size());
    assert_eq!(case.audit(&log).unwrap().history, Some("linked"));
}

/// Goal: growth is linked to what was held, a rewritten history is a fork with evidence,
/// and the saved checkpoint stays.
#[test]
fn a_rewritten_history_is_a_fork_and_what_was_held_stays() {
    let case = Case::new();
    let mut log = grown(3);
    case.serve(&log);
    case.audit(&log).unwrap();
    log.release("prod/a", &manifest(&[("web.yaml", "more")]));
    case.serve(&log);
    assert_eq!(case.audit(&log).unwrap().history, Some("linked"));
    let mut forged = grown(2);
    for _ in 0..4 {
        forged.release("prod/z", &manifest(&[("web.yaml", "forged")]));
    }
    case.serve(&forged);
    let report = case.audit(&forged).unwrap();
    assert_eq!(reasons(&report), [(Reason::Forked, None)]);
    assert_eq!(report.exit_code(), 13);
    let bytes = fs::read(report.evidence.unwrap()).unwrap();
    let evidence: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(evidence["schema"], "cairn.evidence/v1");
    // A third machine needs nothing but the trust file; and takes nothing but what was signed.
    let elsewhere = Home::at(case.path("elsewhere"));
    let sizes = Finding::Forked {
        held: log.size(),
        offered: forged.size(),
    };
    assert_ne!(log.size(), forged.size());
    assert_eq!(judge(&elsewhere, &log.trust(), &bytes), sizes);
    let nothing = |file: &serde_json::Value, trust: &Trust| {
        let found = judge(&elsewhere, trust, file.to_string().as_bytes());
        assert!(
            matches!(found, Finding::Nothing { .. }),
            "{found:?}: {file}"
        );
    };
    nothing(&evidence, &Log::new(9).trust());
    let parts = [
        ("held", evidence["evidence"]["offered"].clone()),
        ("offered", String::from_utf8(log.note(TIME)).unwrap().into()),
        ("recomputedRoot", "00".repeat(32).into()),
        ("recomputedRoot", serde_json::Value::Null),
        ("recomputedProof", serde_json::json!([])),
    ];
    for (name, value) in parts {
        let mut changed = evidence.clone();
        changed["evidence"][name] = value;
        nothing(&changed, &log.trust());
    }
    let text = |name: &str| evidence["evidence"][name].as_str().unwrap().to_owned();
    assert_eq!(text("held").as_bytes(), log.note(TIME));
    assert_eq!(text("offered").as_bytes(), forged.note(TIME));
    let held = HeldStore::new(&Home::at(case.path("home")), &log.trust());
    let held = held.load().unwrap().unwrap();
    assert_eq!(held.checkpoint().head().bytes(), log.note(TIME));
}

/// Goal: a shorter log than was seen is told as such.
#[test]
fn a_log_that_shows_less_than_was_seen_is_stale() {
    let case = Case::new();
    let long = grown(4);
    case.serve(&long);
    case.audit(&long).unwrap();
    let short = grown(2);
    case.serve(&short);
    let error = case.audit(&short).unwrap_err();
    assert_eq!(error.reason(), Some(Reason::RolledBack));
    assert_eq!(error.exit_code(), 14);
}

/// Goal: a map record that does not state what its leaves add up to is found at its index.
#[test]
fn a_false_map_record_is_an_alarm_at_its_index() {
    let case = Case::new();
    let mut log = grown(2);
    let index = log.size();
    let mut record = log.state.map_record(1);
    record.root.0[0] ^= 1;
    log.close_with(record);
    log.release("prod/a", &manifest(&[("web.yaml", "after")]));
    case.serve(&log);
    let report = case.audit(&log).unwrap();
    assert_eq!(reasons(&report), [(Reason::MapRecordWrong, Some(index))]);
    assert_eq!(report.exit_code(), 13);
}

/// Goal: what no policy allows is found though the server signed it. Method: a release by
/// a key that the policy does not name, put into the log by the server.
#[test]
fn a_release_by_a_stranger_is_an_alarm() {
    let case = Case::new();
    let mut log = grown(2);
    let stranger = Log::new(9);
    let index = log.size();
    let document = manifest(&[("web.yaml", "evil")]).encode();
    let statement = cairn_proto::statement::Statement {
        subject: cairn_proto::statement::Subject::of(&document),
        predicate: cairn_proto::statement::Predicate::Release(Box::new(
            log.next("prod/a", Action::Release),
        )),
    };
    let envelope =
        cairn_proto::envelope::Envelope::sign(statement.encode(), &[&stranger.deployer]).unwrap();
    log.state
        .ignore(cairn_proto::hash::LeafHash::of(&envelope.encode()));
    log.push(envelope.encode(), Some(document));
    log.close();
    case.serve(&log);
    let report = case.audit(&log).unwrap();
    assert_eq!(reasons(&report), [(Reason::UnknownSigner, Some(index))]);
    assert_eq!(report.exit_code(), 12);
}

/// Goal: bytes that are not those of the signed tree are never passed over. Method: one
/// byte flipped in a bundle, a document, a hash tile; a tile that is not served.
#[test]
fn each_flipped_byte_of_what_is_served_is_found() {
    let case = Case::new();
    let log = grown(3);
    let width = log.size();
    let flip = |path: &str, at: usize| {
        case.serve(&log);
        let path = case.path("served").join(path);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        case.audit(&log)
    };
    let second = log.leaves[0].len() + 2 + 60;
    let entries = flip(&format!("tile/entries/000.p/{width}"), second).unwrap();
    assert!(reasons(&entries).contains(&(Reason::InclusionUnproven, None)));
    assert_eq!(entries.exit_code(), 13);
    let documents = flip(&format!("documents/000.p/{width}"), 300).unwrap();
    assert!(!documents.ok);
    let tile = flip(&format!("tile/0/000.p/{width}"), 40).unwrap();
    assert_eq!(reasons(&tile), [(Reason::InclusionUnproven, None)]);
    case.serve(&log);
    fs::remove_file(case.path("served").join(format!("tile/0/000.p/{width}"))).unwrap();
    assert!(!case.audit(&log).unwrap().ok);
    case.serve(&log);
    assert!(case.audit(&log).unwrap().ok);
}

/// Goal: another ledger is not audited in this one's name.
#[test]
fn another_ledgers_log_is_refused() {
    let case = Case::new();
    case.serve(&Log::new(2));
    let error = case.audit(&grown(1)).unwrap_err();
    assert_eq!(error.reason(), Some(Reason::WrongOrigin));
    assert_eq!(error.exit_code(), 1);
}

/// Goal: the copy spares the network and is believed in nothing. Method: an audit from the
/// copy after the source lost its whole bundles; then the copy is damaged.
#[test]
fn a_copy_is_read_again_and_a_damaged_one_is_replaced() {
    let case = Case::new();
    let log = grown(200);
    let mirror = case.path("mirror");
    case.serve(&log);
    assert!(case.run(&log, Some(&mirror)).unwrap().ok);
    let bundle = "tile/entries/000";
    fs::remove_file(case.path("served").join(bundle)).unwrap();
    assert!(case.run(&log, Some(&mirror)).unwrap().ok);
    assert!(case.run(&log, None).is_err());
    case.serve(&log);
    let kept = mirror.join(bundle);
    let mut bytes = fs::read(&kept).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&kept, &bytes).unwrap();
    assert!(case.run(&log, Some(&mirror)).unwrap().ok);
    assert_ne!(fs::read(&kept).unwrap(), bytes);
    let last = format!("tile/entries/001.p/{}", log.size() - 256);
    fs::remove_file(case.path("served").join(&last)).unwrap();
    assert!(case.run(&log, Some(&mirror)).is_err());
    assert!(kept.exists());
    fs::remove_dir_all(case.path("served")).unwrap();
    fs::rename(&mirror, case.path("served")).unwrap();
    assert!(case.run(&log, None).unwrap().ok);
}
