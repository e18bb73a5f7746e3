//! Verifying with a bundle and no network.

use std::fs;

use serde_json::json;

use crate::stage::Stage;

/// A stage with a bundle of a release, and no ledger any more.
fn bundled() -> Stage {
    let (stage, ledger) = Stage::with_release();
    stage.run("export prod/shop -o shop.bundle").exits(0);
    drop(ledger);
    stage
}

/// Goal: a host at boot needs no network. Method: the server is gone.
#[test]
fn a_bundle_verifies_with_no_ledger_to_ask() {
    let stage = bundled();
    let line = "verify --bundle shop.bundle --environment prod/shop --offline app";
    stage
        .run(line)
        .exits(0)
        .says("VERIFIED  prod/shop#1  2 of 2 files");
    let report = stage
        .run(&format!("{line} --output json"))
        .exits(0)
        .json("cairn.verify/v1");
    assert_eq!(report["verdicts"], json!(["VERIFIED"]));
    assert_eq!(report["sequence"], 1);
    stage.edit("app/web.yaml", "3", "30");
    stage
        .run("verify --bundle shop.bundle --offline app")
        .exits(10)
        .says("DRIFT")
        .says("web.yaml");
}

/// Goal: a bundle of one environment does not vouch for another.
#[test]
fn a_bundle_of_another_environment_is_refused() {
    let stage = bundled();
    let line = "verify --bundle shop.bundle --environment prod/other --offline app";
    let ran = stage.run(line);
    assert_ne!(ran.code, Some(0));
    ran.refuses(2, "USAGE")
        .says("the bundle is of prod/shop, not of prod/other");
}

/// Goal: an older bundle does not undo a newer one. Method: take in both, newest first.
#[test]
fn an_older_bundle_is_stale_after_a_newer_one() {
    let (stage, _ledger) = Stage::with_release();
    stage.run("export prod/shop -o old.bundle").exits(0);
    stage.copy("app", "old");
    stage.edit("app/web.yaml", "3", "5");
    stage.run("record prod/shop app").exits(0);
    stage.run("export prod/shop -o new.bundle").exits(0);
    stage
        .run("verify --bundle new.bundle --offline app")
        .exits(0);
    stage
        .run("verify --bundle old.bundle --offline old")
        .exits(14)
        .says("STALE");
    stage
        .run("verify --bundle old.bundle --offline app")
        .exits(10)
        .says("also STALE");
}

/// Goal: damage is noticed wherever it is. Method: flip a bit at many places, and cut.
#[test]
fn a_damaged_bundle_never_verifies() {
    let stage = bundled();
    let bytes = fs::read(stage.path("shop.bundle")).unwrap();
    let step = if std::env::var_os("CAIRN_LONG").is_some() {
        7
    } else {
        bytes.len() / 20
    };
    for at in (0..bytes.len()).step_by(step.max(1)) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        stage.write("damaged.bundle", &damaged);
        let ran = stage.run("verify --bundle damaged.bundle --offline app");
        assert_ne!(ran.code, Some(0), "a bit of byte {at} of {}", bytes.len());
        assert!(ran.code.is_some(), "a bit of byte {at} ends the program");
    }
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        stage.write("damaged.bundle", &bytes[..length]);
        stage
            .run("verify --bundle damaged.bundle --offline app")
            .refuses(1, "BUNDLE_SYNTAX");
    }
    stage
        .run("verify --bundle none.bundle --offline app")
        .refuses(1, "PATH_UNREADABLE");
}
