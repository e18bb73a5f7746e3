//! `log`, `show`, `diff`, `restore`, `export`, in both formats.

use std::{fs, os::unix::fs::PermissionsExt as _};

use cairn_proto::hash::{DocumentId, Sha256};
use serde_json::{Value, json};

use crate::stage::{Ledger, Stage};

/// A release of two files, one that changes a field, and a rollback.
fn three_releases() -> (Stage, Ledger) {
    let (stage, ledger) = Stage::with_release();
    stage.edit("app/web.yaml", "3", "30");
    let words = [
        "record",
        "prod/shop",
        "app",
        "--reason",
        "more shops",
        "--run",
        "77",
    ];
    let words = [&words[..], &["--annotate", "ticket=OPS-1"]].concat();
    stage.run_words(&words).exits(0);
    stage
        .run("rollback prod/shop prod/shop~1 --reason undo")
        .exits(0);
    (stage, ledger)
}

fn shown(stage: &Stage, reference: &str) -> Value {
    let words = ["show", reference, "--output", "json"];
    stage.run_words(&words).exits(0).json("cairn.show/v1")
}

/// Goal: who released what and when is listed, newest first.
#[test]
fn log_lists_an_environments_releases_and_all_entries() {
    let (stage, _ledger) = three_releases();
    let text = stage.run("log prod/shop").exits(0).out;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].starts_with("  index 6  prod/shop#3  rollback to #1  "),
        "{text}"
    );
    assert!(lines[1].contains("prod/shop#2  release") && lines[1].ends_with("  more shops"));
    assert!(lines[2].starts_with("  index 2  prod/shop#1  release"));

    let log = stage
        .run("log prod/shop -n 2 --output json")
        .exits(0)
        .json("cairn.log/v1");
    assert_eq!(log["environment"], "prod/shop");
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    let newest = &entries[0];
    assert_eq!(
        (&newest["kind"], &newest["action"]),
        (&json!("release"), &json!("rollback"))
    );
    assert_eq!(
        (&newest["sequence"], &newest["rollbackTo"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(newest["previous"], entries[1]["leafHash"]);
    assert_eq!(entries[1]["annotations"], json!({ "ticket": "OPS-1" }));
    assert_eq!(entries[1]["source"]["run"], "77");
    assert_eq!(entries[1]["keyids"][0].as_str().unwrap().len(), 64);

    let log = stage.run("log --output json").exits(0).json("cairn.log/v1");
    let kinds = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["kind"]);
    let kinds: Vec<_> = kinds.map(|kind| kind.as_str().unwrap()).collect();
    let expected = [
        "map", "release", "map", "release", "map", "release", "map", "genesis",
    ];
    assert_eq!(kinds, expected);
    stage
        .run("log")
        .exits(0)
        .says("index 0  genesis")
        .says("sums up 7 entries");
    stage
        .run("log prod/nowhere")
        .exits(0)
        .says("nothing was ever released to prod/nowhere");
}

/// Goal: every form of a reference names the release that it says.
#[test]
fn show_takes_every_form_of_a_reference() {
    let (stage, _ledger) = three_releases();
    let sequence = |reference: &str| shown(&stage, reference)["sequence"].clone();
    assert_eq!(sequence("prod/shop"), 3);
    assert_eq!(sequence("prod/shop#2"), 2);
    assert_eq!(sequence("prod/shop~2"), 1);
    assert_eq!(sequence("prod/shop~0"), 3);
    assert_eq!(sequence("prod/shop@2099-01-01T00:00Z"), 3);
    let none = [
        "prod/shop#4",
        "prod/shop~3",
        "prod/shop@2020-01-01T00:00Z",
        "prod/nowhere",
    ];
    for reference in none {
        stage
            .run_words(&["show", reference])
            .refuses(1, "NOT_FOUND");
    }
}

/// Goal: a release is shown with all that was signed.
#[test]
fn show_prints_what_was_signed_of_a_release() {
    let (stage, _ledger) = three_releases();
    let text = stage.run("show prod/shop#2").exits(0);
    let text = text.says("Release   prod/shop#2, superseded by prod/shop#3 as of checkpoint 8");
    let text = text
        .says("Index     4")
        .says("Reason    more shops")
        .says("Signed by dev (");
    let text = text
        .says("Source    cairn ")
        .says(", run 77")
        .says("Annotated ticket = OPS-1");
    text.says("Artifacts 2").says("file  web.yaml");
    stage
        .run("show prod/shop")
        .exits(0)
        .says("prod/shop#3, current as of checkpoint 8, age ");

    let json = shown(&stage, "prod/shop#2");
    assert_eq!(
        (&json["kind"], &json["action"]),
        (&json!("release"), &json!("release"))
    );
    assert_eq!((&json["index"], &json["newest"]), (&json!(4), &json!(3)));
    assert_eq!(
        (&json["current"], &json["reason"]),
        (&json!(false), &json!("more shops"))
    );
    assert_eq!(json["signers"][0]["name"], "dev");
    assert_eq!(json["checkpoint"]["size"], 8);
    let names = json["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["conf/site.txt", "web.yaml"]);
    assert_eq!(json["comparison"]["profile"], "files/v1");
    for member in [
        "leafHash",
        "manifest",
        "createdAt",
        "age",
        "previous",
        "source",
    ] {
        assert!(!json[member].is_null(), "{member}");
    }
}

/// Goal: a document is shown by its digest, and only the bytes that hash to it.
#[test]
fn show_prints_a_document_by_its_digest() {
    let (stage, _ledger) = three_releases();
    let manifest = shown(&stage, "prod/shop#1")["manifest"]
        .as_str()
        .unwrap()
        .to_owned();
    stage
        .run_words(&["show", &manifest])
        .exits(0)
        .says("\"name\": \"web.yaml\"");
    let document = shown(&stage, &manifest);
    assert_eq!(document["kind"], "document");
    assert_eq!(document["document"]["schema"], "cairn.manifest/v1");
    let never = format!("blake3:{}", DocumentId::of(b"never recorded"));
    stage.run_words(&["show", &never]).refuses(1, "NOT_FOUND");
}

/// Goal: where a file's bytes were released is found, or proven to be nowhere.
#[test]
fn show_finds_where_a_digest_was_released_or_proves_that_it_never_was() {
    let (stage, _ledger) = three_releases();
    let changed = Sha256::of(b"spec:\n  replicas: 30\n");
    let digest = format!("sha256:{changed}");
    let text = stage.run_words(&["show", &digest]).exits(0);
    text.says("First     prod/shop#2 at index 4")
        .says("Last      prod/shop#3 at index 6");
    let json = shown(&stage, &digest);
    assert_eq!(
        (&json["kind"], &json["released"]),
        (&json!("digest"), &json!(true))
    );
    assert_eq!(
        (&json["first"]["index"], &json["last"]["index"]),
        (&json!(4), &json!(6))
    );
    assert_eq!(json["sha256"], changed.to_string());

    let never = format!("sha256:{}", Sha256::of(b"never released"));
    let text = stage.run_words(&["show", &never]).exits(11);
    text.says("UNRECORDED").says("proven under checkpoint 8");
    let ran = stage
        .run_words(&["show", &never, "--output", "json"])
        .exits(11);
    let json = ran.json("cairn.show/v1");
    assert_eq!(
        (&json["released"], &json["first"]),
        (&json!(false), &Value::Null)
    );
}

/// Goal: what changed is named down to the field.
#[test]
fn diff_names_the_fields_that_changed() {
    let (stage, _ledger) = three_releases();
    let text = stage.run("diff prod/shop#1 prod/shop#2").exits(0);
    text.says("prod/shop#1 to prod/shop#2  1 difference")
        .says("    changed  web.yaml  spec.replicas  was 3  now 30");
    stage
        .run("diff prod/shop#1 prod/shop#3")
        .exits(0)
        .says("no differences");
    fs::remove_dir_all(stage.path("app/conf")).unwrap();
    stage.write("app/new.txt", "new\n");
    stage.run("record prod/shop app").exits(0);
    let text = stage.run("diff prod/shop#1 prod/shop").exits(0);
    text.says("added    new.txt").says("removed  conf/site.txt");

    let diff = stage
        .run("diff prod/shop~1 prod/shop --output json")
        .exits(0);
    let diff = diff.json("cairn.diff/v1");
    assert_eq!(
        (&diff["from"]["sequence"], &diff["to"]["sequence"]),
        (&json!(3), &json!(4))
    );
    assert!(
        diff["from"]["manifest"]
            .as_str()
            .unwrap()
            .starts_with("blake3:")
    );
    let kinds = diff["differences"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds.map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["missing", "added", "changed"]);
    assert_eq!(diff["differences"][1]["artifact"], "new.txt");
}

/// Goal: a recorded file is put back with its bytes and mode, and nothing else is touched.
#[test]
fn restore_puts_a_file_back_and_refuses_what_it_cannot() {
    let (stage, _ledger) = three_releases();
    fs::create_dir(stage.path("out")).unwrap();
    let ran = stage
        .run("restore prod/shop#2 web.yaml --to out --output json")
        .exits(0);
    let json = ran.json("cairn.restore/v1");
    assert_eq!(
        (&json["name"], &json["path"]),
        (&json!("web.yaml"), &json!("out/web.yaml"))
    );
    assert_eq!(json["bytes"], 21);
    assert_eq!(stage.text("out/web.yaml"), "spec:\n  replicas: 30\n");
    stage
        .run("restore prod/shop conf/site.txt --to out")
        .exits(0)
        .says("Restored  out/conf/");
    assert_eq!(stage.text("out/conf/site.txt"), "hello\n");
    stage
        .run("restore prod/shop none.yaml --to out")
        .refuses(1, "NOT_FOUND");
    stage
        .run("restore prod/shop web.yaml --to nowhere")
        .refuses(1, "PATH_UNREADABLE");
    stage.run("restore prod/shop ../web.yaml --to out").exits(2);
    let left: Vec<_> = fs::read_dir(stage.path("out")).unwrap().collect();
    assert_eq!(left.len(), 2, "nothing half written stays");
}

/// Goal: a bundle appears whole, where it was asked for, readable like any other file.
#[test]
fn export_writes_a_bundle_of_the_current_release_only() {
    let (stage, _ledger) = three_releases();
    let ran = stage
        .run("export prod/shop -o shop.bundle --output json")
        .exits(0);
    let json = ran.json("cairn.export/v1");
    assert_eq!(
        (&json["release"], &json["checkpointSize"]),
        (&json!("prod/shop#3"), &json!(8))
    );
    let metadata = fs::metadata(stage.path("shop.bundle")).unwrap();
    assert_eq!(json["bytes"], metadata.len());
    assert_eq!(metadata.permissions().mode() & 0o400, 0o400);
    stage
        .run("export prod/shop#3 -o shop.bundle")
        .exits(0)
        .says("Exported  prod/shop#3");
    stage
        .run("export prod/shop#2 -o old.bundle")
        .refuses(2, "USAGE")
        .says("not current");
    stage
        .run("export prod/nowhere -o none.bundle")
        .refuses(1, "NOT_FOUND");
    stage
        .run("export prod/shop -o nowhere/shop.bundle")
        .refuses(1, "PATH_UNREADABLE");
    stage
        .run("export prod/shop -o /dev/null")
        .refuses(1, "PATH_UNREADABLE");
    assert!(!stage.path("old.bundle").exists() && !stage.path("none.bundle").exists());
}

/// Goal: a deployer's words cannot drive the terminal of whoever reads them.
#[test]
fn control_characters_in_a_ledgers_text_are_escaped() {
    let (stage, _ledger) = Stage::with_release();
    let reason = "\u{1b}[2J red \u{202e}txt.exe\nprod/shop#9 forged";
    let words = ["record", "prod/shop", "app", "--again", "--reason", reason];
    stage
        .run_words(&[&words[..], &["--annotate", "note=\u{9b}31m"]].concat())
        .exits(0);
    for line in ["log", "log prod/shop", "show prod/shop"] {
        let ran = stage
            .run(line)
            .exits(0)
            .says("\\u{1b}[2J red \\u{202e}txt.exe\\n");
        let acts = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(!ran.out.contains(acts), "cairn {line}");
        assert!(
            !ran.out.lines().any(|line| line.starts_with("prod/shop#9")),
            "cairn {line}"
        );
    }
    assert_eq!(shown(&stage, "prod/shop")["reason"], reason);
}

/// Goal: a history is shown only if it is all of it, and a file is found by its bytes alone.
/// Method: three steps; a file that was released, one that never was, digests of both.
#[test]
fn history_is_proven_to_be_whole_and_find_proves_where_or_never() {
    let (stage, _ledger) = Stage::with_release();
    stage.edit("app/web.yaml", "3", "4");
    stage.run("record prod/shop app").exits(0);
    stage.run("rollback prod/shop prod/shop#1").exits(0);
    let whole = stage.run("history prod/shop --output json").exits(0);
    let whole = whole.json("cairn.history/v1");
    let steps: Vec<_> = whole["steps"].as_array().unwrap().iter().collect();
    let actions: Vec<_> = steps.iter().map(|step| &step["action"]).collect();
    assert_eq!(actions, ["release", "release", "rollback"]);
    assert_eq!(whole["complete"], true);
    stage
        .run("history prod/shop")
        .exits(0)
        .says("3 steps, proven to be all");
    stage
        .run("history prod/never")
        .exits(0)
        .says("nothing was ever");

    let found = stage.run("find app/conf/site.txt").exits(0);
    found.says("prod/shop#1").says("1 release brought");
    stage.write("stranger", "never released");
    let never = stage.run("find stranger").exits(11);
    never
        .says("was never released")
        .says("proven under checkpoint");
    let digest = "0".repeat(64);
    stage.run(&format!("find {digest}")).exits(11);
    stage.run(&format!("find sha256:{digest}")).exits(11);
    stage.run("find no/such/file").refuses(1, "PATH_UNREADABLE");
}
