//! What may stand where files were expected: recorded, refused or withheld, never skipped.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

use crate::{
    kept::holds,
    stage::{Ran, Stage},
};

fn record(stage: &Stage, path: impl AsRef<OsStr>) -> Ran {
    let mut command = stage.command();
    Ran::of(command.args(["record", "staging"]).arg(path), "record")
}

/// Goal: a misspelt path records nothing.
#[test]
fn a_path_that_does_not_exist_is_refused_and_records_nothing() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("app/web.yaml", "replicas: 3\n");
    let before = stage.size();
    record(&stage, "nowhere")
        .refuses(1, "PATH_UNREADABLE")
        .says("nowhere");
    stage
        .run("record staging app nowhere")
        .refuses(1, "PATH_UNREADABLE");
    stage.run("verify prod/none nowhere").exits(11);
    assert_eq!(stage.size(), before);
    stage.run("record staging app").exits(0);
    stage
        .run("verify staging nowhere")
        .refuses(1, "PATH_UNREADABLE");
}

/// Goal: a file that cannot be read is named. Method: take its permissions away.
#[test]
fn a_file_that_cannot_be_read_is_refused_by_name() {
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED a file that cannot be read: root reads all files");
        return;
    }
    let (stage, _ledger) = Stage::with_release();
    fs::set_permissions(stage.path("app/web.yaml"), Permissions::from_mode(0o0)).unwrap();
    record(&stage, "app")
        .refuses(1, "PATH_UNREADABLE")
        .says("web.yaml");
    stage
        .run("verify prod/shop app")
        .exits(16)
        .says("web.yaml  could not be measured");
}

/// Goal: nothing is not a release; something empty is.
#[test]
fn an_empty_directory_is_refused_and_an_empty_file_is_recorded() {
    let (stage, _ledger) = Stage::with_ledger();
    fs::create_dir_all(stage.path("app")).unwrap();
    record(&stage, "app").refuses(1, "PATH_EMPTY");
    stage.write("app/empty", "");
    fs::create_dir(stage.path("app/hollow")).unwrap();
    record(&stage, "app").exits(0).says("Recorded  staging#1");
    stage.run("verify staging app").exits(0);
    fs::remove_dir(stage.path("app/hollow")).unwrap();
    stage
        .run("verify staging app")
        .exits(10)
        .says("hollow  is missing");
    stage.run("restore staging hollow --to app").exits(0);
    fs::remove_file(stage.path("app/empty")).unwrap();
    stage
        .run("restore staging empty --to app")
        .exits(0)
        .says("0 bytes");
    stage.run("verify staging app").exits(0);
}

/// Goal: names that no manifest can hold are refused, safely printed, and never skipped.
#[test]
fn a_name_with_a_newline_or_invalid_utf_8_is_refused() {
    let (stage, _ledger) = Stage::with_release();
    let names: [(&[u8], &str); 3] = [
        (b"two\nlines", "two\\nlines"),
        (b"not\xffutf8", "not\\xffutf8"),
        (b"red\x1b[31m", "red\\u{1b}[31m"),
    ];
    for (name, shown) in names {
        let path = stage.path("app").join(OsStr::from_bytes(name));
        fs::write(&path, "x").unwrap();
        let ran = record(&stage, "app").refuses(1, "PATH_NAME").says(shown);
        assert!(!ran.err.contains('\u{1b}'));
        let verified = stage.run("verify prod/shop app");
        assert_ne!(verified.code, Some(0), "{shown} does not go unnoticed");
        verified.says(shown);
        record(&stage, &path).refuses(1, "PATH_NAME");
        fs::remove_file(path).unwrap();
    }
    stage.run("verify prod/shop app").exits(0);
}

/// Goal: links are recorded as links and lead nowhere. Method: loops, and ways out.
#[test]
fn a_loop_of_symbolic_links_is_recorded_as_what_it_is() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("app/web.yaml", "replicas: 3\n");
    stage.write("outside/secret.txt", "not part of the app\n");
    symlink("loop", stage.path("app/loop")).unwrap();
    symlink(".", stage.path("app/here")).unwrap();
    symlink("../outside", stage.path("app/out")).unwrap();
    record(&stage, "app").exits(0).says("Read      4 files");
    stage
        .run("verify staging app")
        .exits(0)
        .says("4 of 4 files");
    stage.edit("outside/secret.txt", "not", "NOT");
    stage.run("verify staging app").exits(0);
    fs::remove_file(stage.path("app/out")).unwrap();
    symlink("../elsewhere", stage.path("app/out")).unwrap();
    stage.run("verify staging app").exits(10).says("out");
    stage.run("restore staging out --to app").exits(0);
    assert_eq!(
        fs::read_link(stage.path("app/out")).unwrap(),
        Path::new("../outside")
    );
    record(&stage, "app/loop").refuses(1, "PATH_UNREADABLE");
}

/// Goal: nothing hangs on a pipe or reads a device. Method: each kind of special file.
#[test]
fn a_pipe_a_socket_and_a_device_are_refused() {
    let (stage, _ledger) = Stage::with_release();
    let pipe = stage.path("app/pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    record(&stage, "app")
        .refuses(1, "PATH_SPECIAL")
        .says("pipe");
    record(&stage, &pipe).refuses(1, "PATH_SPECIAL");
    let verified = stage.run("verify prod/shop app");
    assert!(
        matches!(verified.code, Some(10 | 16)),
        "it is noticed: {}",
        verified.out
    );
    fs::remove_file(&pipe).unwrap();
    let _socket = UnixListener::bind(stage.path("app/socket")).unwrap();
    record(&stage, "app")
        .refuses(1, "PATH_SPECIAL")
        .says("socket");
    record(&stage, "/dev/null").refuses(1, "PATH_SPECIAL");
}

/// Goal: a secret never leaves the machine, and is still verified. Method: search all that
/// the server has.
#[test]
fn a_secret_is_withheld_and_its_bytes_are_nowhere_on_the_server() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("app/web.yaml", "replicas: 3 # a plain marker\n");
    stage.write("app/.env", "TOKEN=swordfish-4711\n");
    stage.write(
        "app/db.yaml",
        "kind: Secret\ndata:\n  password: swordfish-4711\n",
    );
    record(&stage, "app")
        .exits(0)
        .says("withheld  2 files (.env, db.yaml)");
    assert!(
        holds(&stage.path("data"), b"a plain marker"),
        "the search finds what is there"
    );
    assert!(!holds(&stage.path("data"), b"swordfish"));
    stage
        .run("verify staging app")
        .exits(0)
        .says("3 of 3 files");
    stage
        .run("show staging")
        .exits(0)
        .says(".env")
        .says("withheld");
    stage
        .run("restore staging .env --to app")
        .refuses(1, "NOT_FOUND")
        .says("withheld");
    stage.edit("app/.env", "4711", "4712");
    let drift = stage.run("verify staging app").exits(10).says(".env");
    assert!(
        !drift.out.contains("swordfish"),
        "a drift does not print it either"
    );
    stage
        .run("record staging app --store-plain db.yaml")
        .exits(0);
    assert!(
        holds(&stage.path("data"), b"swordfish-4711"),
        "what is asked for is done"
    );
    stage
        .run("record staging app --store-plain none.yaml")
        .refuses(2, "USAGE");
}

/// Goal: a retry after a lost answer makes no second entry.
#[test]
fn to_record_what_is_current_makes_no_entry_unless_asked_again() {
    let (stage, _ledger) = Stage::with_release();
    let before = stage.size();
    let ran = stage.run("record prod/shop app").exits(0);
    assert_eq!(ran.out, "  Read      2 files\n  Unchanged prod/shop#1\n");
    let json = stage
        .run("record prod/shop app --output json")
        .exits(0)
        .json("cairn.record/v1");
    assert_eq!(
        (&json["sequence"], &json["unchanged"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(stage.size(), before);
    stage
        .run("record prod/shop app --again")
        .exits(0)
        .says("Recorded  prod/shop#2");
    let json = stage
        .run("record prod/shop app --again --output json")
        .exits(0);
    let json = json.json("cairn.record/v1");
    for member in [
        "environment",
        "sequence",
        "index",
        "leafHash",
        "checkpointSize",
        "manifest",
    ] {
        assert!(!json[member].is_null(), "{member}");
    }
    assert_eq!((&json["sequence"], &json["index"]), (&json!(3), &json!(6)));
    assert!(json["manifest"].as_str().unwrap().starts_with("blake3:"));
}

/// Goal: two pipelines that race notice it. Method: expect what is not so.
#[test]
fn an_expectation_that_does_not_hold_records_nothing() {
    let (stage, _ledger) = Stage::with_release();
    stage.edit("app/web.yaml", "3", "5");
    let before = stage.size();
    stage
        .run("record prod/shop app --expect 0")
        .refuses(1, "RACE_LOST")
        .says("#1");
    stage
        .run("record prod/new app --expect 1")
        .refuses(1, "RACE_LOST");
    assert_eq!(stage.size(), before);
    stage
        .run("record prod/shop app --expect 1")
        .exits(0)
        .says("Recorded  prod/shop#2");
    stage
        .run("record prod/new app --expect 0")
        .exits(0)
        .says("Recorded  prod/new#1");
    stage
        .run("rollback prod/shop prod/shop#1 --expect 1")
        .refuses(1, "RACE_LOST");
    stage
        .run("rollback prod/shop prod/shop#1 --expect 2")
        .exits(0);
}

/// Goal: an environment that was never recorded can be, right after it was asked about.
#[test]
fn recording_right_after_verifying_and_verifying_right_after_recording_hold() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("app/count", "0");
    stage.run("verify staging app").exits(11);
    for round in 1..=5 {
        stage.write("app/count", round.to_string());
        record(&stage, "app")
            .exits(0)
            .says(&format!("Recorded  staging#{round}"));
        stage
            .run("verify staging app")
            .exits(0)
            .says(&format!("VERIFIED  staging#{round}"));
    }
    stage.run("audit").exits(0).says("No problems found");
}

/// Goal: explicit names, several inputs, and names in common.
#[test]
fn inputs_are_named_by_their_last_part_or_as_they_are_told() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("a/conf", "one");
    stage.write("b/conf", "two");
    stage
        .run("record staging a/conf b/conf")
        .refuses(2, "USAGE")
        .says("NAME=PATH");
    stage
        .run("record staging a/conf other=b/conf")
        .exits(0)
        .says("Read      2 files");
    stage.run("verify staging a/conf other=b/conf").exits(0);
    stage
        .run("verify staging a/conf other=a/conf")
        .exits(10)
        .says("other");
    // No name that could be recorded, so it is a path.
    stage
        .run("record staging ../up=a/conf")
        .refuses(1, "PATH_UNREADABLE");
}
