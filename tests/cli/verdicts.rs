//! `verify`: each verdict with its exit code, for people and for scripts.

use std::fs;

use serde_json::{Value, json};

use crate::{
    golden,
    stage::{Ran, Stage},
};

fn verified(stage: &Stage, line: &str, exit: i32) -> Value {
    let report = stage.run(&format!("{line} --output json")).exits(exit);
    let report = report.json("cairn.verify/v1");
    for member in [
        "verdict",
        "verdicts",
        "environment",
        "sequence",
        "index",
        "checkpoint",
        "age",
        "map",
        "history",
        "ignored",
        "signers",
        "differences",
    ] {
        assert!(report.get(member).is_some(), "cairn {line}: {member}");
    }
    assert_eq!(report["verdict"], report["verdicts"][0]);
    report
}

/// Goal: what is recorded and current is VERIFIED, and says under what.
#[test]
fn what_is_recorded_is_verified_with_exit_0() {
    let (stage, _ledger) = Stage::with_release();
    let report = verified(&stage, "verify prod/shop app", 0);
    assert_eq!(report["verdicts"], json!(["VERIFIED"]));
    assert_eq!(
        (&report["sequence"], &report["index"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(report["checkpoint"]["size"], 4);
    assert_eq!(
        (&report["map"], &report["history"]),
        (&json!("asserted"), &json!("linked"))
    );
    assert_eq!(report["signers"][0]["name"], "dev");
    golden::holds(&report, 0);
    assert_eq!(report["differences"], json!([]));
}

/// Goal: a verdict that nobody read is not taken for VERIFIED. Method: a reader that is gone, as
/// `head` is when it has had enough, for what differs and what does not, in both forms.
#[test]
fn a_verdict_that_nobody_reads_is_no_success() {
    let (stage, _ledger) = Stage::with_release();
    for replicas in ["3", "30"] {
        stage.edit("app/web.yaml", "3", replicas);
        for format in ["text", "json"] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let line = format!("verify prod/shop app --output {format}");
            let mut command = stage.command();
            let ran = Ran::of(command.args(line.split(' ')).stdout(writer), &line);
            assert_eq!(ran.exits(141).err, "");
        }
    }
}

/// Goal: every way to differ is listed. Method: change, remove and add.
#[test]
fn what_differs_is_drift_with_exit_10_and_each_difference_is_listed() {
    let (stage, _ledger) = Stage::with_release();
    stage.edit("app/web.yaml", "3", "30");
    fs::remove_file(stage.path("app/conf/site.txt")).unwrap();
    stage.write("app/extra", "?");
    let report = verified(&stage, "verify prod/shop app", 10);
    golden::holds(&report, 10);
    let differences = report["differences"].as_array().unwrap().iter();
    let differences: Vec<_> = differences
        .map(|it| {
            (
                it["artifact"].as_str().unwrap(),
                it["kind"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("conf/site.txt", "missing"),
        ("extra", "added"),
        ("web.yaml", "changed"),
    ];
    assert_eq!(differences, expected);
    let field = &report["differences"][2];
    assert_eq!(field["path"], "spec.replicas");
    assert_eq!(
        (&field["recorded"], &field["found"]),
        (&json!("3"), &json!("30"))
    );
    let text = stage.run("verify prod/shop app").exits(10);
    let text = text.says("DRIFT  prod/shop#1  2 of 2 files differ, 1 not recorded");
    text.says("conf/site.txt  is missing")
        .says("extra  is not recorded");
}

/// Goal: an environment that never was is proven absent.
#[test]
fn an_environment_that_never_was_is_unrecorded_with_exit_11() {
    let (stage, _ledger) = Stage::with_release();
    let report = verified(&stage, "verify prod/nowhere app", 11);
    assert_eq!(report["verdict"], "UNRECORDED");
    golden::holds(&report, 11);
    assert_eq!(report["sequence"], Value::Null);
    assert_eq!(report["checkpoint"]["size"], 4);
    stage
        .run("verify prod/nowhere app")
        .exits(11)
        .says("UNRECORDED  prod/nowhere");
}

/// Goal: an older release on disk is told from a drift. Method: release, keep the old files.
#[test]
fn an_older_release_on_disk_is_superseded_with_exit_15() {
    let (stage, _ledger) = Stage::with_release();
    stage.copy("app", "old");
    stage.edit("app/web.yaml", "3", "5");
    stage.run("record prod/shop app").exits(0);
    let report = verified(&stage, "verify prod/shop old", 15);
    assert_eq!(report["verdicts"], json!(["SUPERSEDED"]));
    assert_eq!(report["stands"], 1);
    golden::holds(&report, 15);
    assert_eq!(report["changedSince"][0]["artifact"], "web.yaml");
    let text = stage.run("verify prod/shop old").exits(15);
    text.says("SUPERSEDED  prod/shop#2  what is here is prod/shop#1")
        .says("web.yaml");
}

/// Goal: what runs where nothing should run any more is noticed.
#[test]
fn a_retired_environment_is_superseded_until_it_is_released_to_again() {
    let (stage, _ledger) = Stage::with_release();
    let retired = stage
        .run("retire prod/shop --reason moved --output json")
        .exits(0);
    assert_eq!(retired.json("cairn.record/v1")["action"], "retire");
    let report = verified(&stage, "verify prod/shop app", 15);
    assert_eq!(
        (&report["sequence"], &report["action"]),
        (&json!(2), &json!("retire"))
    );
    stage
        .run("verify prod/shop app")
        .exits(15)
        .says("is retired");
    stage
        .run("show prod/shop")
        .exits(0)
        .says("prod/shop#2, retired as of checkpoint 6");
    stage.run("retire prod/shop").refuses(1, "ALREADY_RETIRED");
    stage
        .run("record prod/shop app")
        .exits(0)
        .says("Recorded  prod/shop#3");
    stage.run("verify prod/shop app").exits(0);
}

/// Goal: what cannot be measured never counts as a match. Method: half of the paths.
#[test]
fn a_path_that_was_not_given_is_unverifiable_with_exit_16() {
    let (stage, _ledger) = Stage::with_release();
    let report = verified(&stage, "verify prod/shop web.yaml=app/web.yaml", 16);
    assert_eq!(report["verdicts"], json!(["UNVERIFIABLE"]));
    golden::holds(&report, 16);
    assert_eq!(report["differences"][0]["artifact"], "conf/site.txt");
    assert_eq!(report["differences"][0]["kind"], "unverifiable");
    let text = stage
        .run("verify prod/shop web.yaml=app/web.yaml")
        .exits(16);
    text.says("UNVERIFIABLE")
        .says("conf/site.txt  could not be measured");
}

/// Goal: a drift outweighs what could not be measured, and both are said.
#[test]
fn the_first_of_several_verdicts_decides_and_all_are_said() {
    let (stage, _ledger) = Stage::with_release();
    stage.edit("app/web.yaml", "3", "30");
    let report = verified(&stage, "verify prod/shop web.yaml=app/web.yaml", 10);
    assert_eq!(report["verdicts"], json!(["DRIFT", "UNVERIFIABLE"]));
    let text = stage
        .run("verify prod/shop web.yaml=app/web.yaml")
        .exits(10);
    text.says("also UNVERIFIABLE");
}

/// Goal: no answer is no verdict, and a retry is safe. Method: stop the server.
#[test]
fn a_ledger_that_does_not_answer_is_unreachable_with_exit_3() {
    let (stage, ledger) = Stage::with_release();
    drop(ledger);
    for line in [
        "verify prod/shop app",
        "record prod/shop app",
        "log",
        "audit",
        "show prod/shop",
    ] {
        stage.run(line).refuses(3, "UNREACHABLE");
    }
}

/// Goal: a server that lost what it had shown is noticed. Method: set its data back.
#[test]
fn a_server_set_back_to_an_older_copy_is_stale_with_exit_14() {
    let (stage, ledger) = Stage::with_release();
    drop(ledger);
    stage.copy("data", "older");
    let ledger = stage.dev();
    stage.edit("app/web.yaml", "3", "5");
    stage.run("record prod/shop app").exits(0);
    drop(ledger);
    let _older = stage.dev_in("older");
    let report = verified(&stage, "verify prod/shop app", 14);
    assert!(
        report["verdicts"]
            .as_array()
            .unwrap()
            .contains(&json!("STALE"))
    );
    assert_eq!(report["reason"], "ROLLED_BACK");
    stage.run("log prod/shop").exits(14);
    stage.run("audit").exits(14);
}

/// Goal: a second history is proven to be one, and the proof is kept. Method: set the data
/// back and let another client record something else there.
#[test]
fn a_second_history_is_tampering_with_exit_13_and_evidence() {
    let (stage, ledger) = Stage::with_release();
    drop(ledger);
    stage.copy("data", "forked");
    let ledger = stage.dev();
    stage.edit("app/web.yaml", "3", "5");
    stage.run("record prod/shop app").exits(0);
    drop(ledger);
    let mut other = stage.command_of("other");
    other.args(["dev", "--data", "forked", "--listen", "127.0.0.1:0"]);
    let forked = crate::stage::Ledger::start(&mut other);
    stage.edit("app/web.yaml", "5", "7");
    let mut record = stage.command_of("other");
    Ran::of(record.args(["record", "prod/shop", "app"]), "record").exits(0);
    // The context of the first client is pointed at the second server.
    let contexts = stage.text("home/contexts.toml");
    let line = contexts
        .lines()
        .find(|line| line.starts_with("url"))
        .unwrap();
    stage.write(
        "home/contexts.toml",
        contexts.replace(line, &format!("url = \"{}\"", forked.url)),
    );

    let held = || fs::read_to_string(find_held(&stage)).unwrap();
    let before = held();
    let report = verified(&stage, "verify prod/shop app", 13);
    assert_eq!(report["verdict"], "TAMPERED");
    assert_eq!(report["reason"], "FORKED");
    golden::holds(&report, 13);
    let evidence = fs::read_to_string(report["evidence"].as_str().unwrap()).unwrap();
    assert!(evidence.contains("cairn."), "{evidence}");
    for line in [
        "verify prod/shop app",
        "log",
        "audit",
        "record prod/shop app",
    ] {
        let ran = stage.run(line).exits(13).says("FORKED").says("evidence");
        let said = format!("{}{}", ran.out, ran.err).to_lowercase();
        assert!(
            !said.contains("delete") && !said.contains("remove"),
            "{said}"
        );
    }
    assert_eq!(held(), before, "the checkpoint that was seen is kept");
}

fn find_held(stage: &Stage) -> std::path::PathBuf {
    let mut ledgers = fs::read_dir(stage.home().join("state")).unwrap();
    ledgers.next().unwrap().unwrap().path().join("held.json")
}

/// Goal: state that protects against a rewritten history is not silently begun anew.
#[test]
fn a_damaged_saved_checkpoint_is_an_error_and_not_a_fresh_start() {
    let (stage, _ledger) = Stage::with_release();
    let held = find_held(&stage);
    let mut bytes = fs::read(&held).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&held, &bytes).unwrap();
    stage
        .run("verify prod/shop app")
        .refuses(1, "STATE_DAMAGED")
        .says("held.json");
    assert_eq!(fs::read(&held).unwrap(), bytes);
}
