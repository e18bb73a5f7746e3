//! The shape of each verdict's JSON, as files: which members there are and what kind each is.
//! A schema only grows; a change of these files is a change for whoever scripts against it.
//!
//! `CAIRN_GOLDEN=write` writes them anew.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

/// Compares a verdict's report, and the exit code that went with it, with its file.
#[track_caller]
pub(crate) fn holds(report: &Value, exit: i32) {
    let verdict = report["verdict"].as_str().unwrap();
    let found = json!({"exit": exit, "verdict": verdict, "report": shape(report)});
    let found = format!("{}\n", serde_json::to_string_pretty(&found).unwrap());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/golden");
    let file = folder.join(format!("{}.json", verdict.to_lowercase()));
    if std::env::var("CAIRN_GOLDEN").is_ok_and(|word| word == "write") {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&file, &found).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(golden, found, "{}", file.display());
}

/// Kinds in the place of values; of a list, those that its items have.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("boolean"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(items) => {
            let mut shapes: Vec<_> = items.iter().map(shape).collect();
            shapes.sort_by_key(ToString::to_string);
            shapes.dedup();
            Value::Array(shapes)
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), shape(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// Goal: every verdict has its file, and no file is left of one that is none. Method: the folder
/// against the table of exit codes.
#[test]
fn every_verdict_has_a_golden_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/golden");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let golden: Value = serde_json::from_str(&text).unwrap();
        let verdict = golden["verdict"].as_str().unwrap().to_owned();
        found.push((golden["exit"].as_u64().unwrap(), verdict));
    }
    found.sort();
    let expected = [
        (0, "VERIFIED"),
        (10, "DRIFT"),
        (11, "UNRECORDED"),
        (12, "UNTRUSTED"),
        (13, "TAMPERED"),
        (14, "STALE"),
        (15, "SUPERSEDED"),
        (16, "UNVERIFIABLE"),
    ];
    let expected = expected.map(|(exit, verdict)| (exit, verdict.to_owned()));
    assert_eq!(found, expected);
}
