//! What `--kubernetes` is given and must not take. kubectl reads the YAML of it; there is no
//! cluster.

use std::fmt::Write as _;

use crate::{stage::Stage, support::tools};

/// Aliases of aliases: a few hundred bytes that mean a trillion texts.
fn bomb() -> String {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    bomb
}

/// One of each sort.
fn bad() -> Vec<(&'static str, String)> {
    let conf = |data: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {data}\n")
    };
    let object =
        |members: &str| format!(r#"{{"apiVersion": "v1", "kind": "ConfigMap", {members}}}"#);
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    vec![
        (
            "a duplicate key in YAML",
            conf("{a: swordfish, a: swordfish}"),
        ),
        (
            "a duplicate key in JSON",
            object(r#""metadata": {"name": "c", "name": "d"}"#),
        ),
        ("aliases that swell", bomb()),
        (
            "JSON that ends early",
            object(r#""metadata": {"name": "c"}"#).replace("}}", "}"),
        ),
        ("YAML that is none", "a: [".to_owned()),
        ("no object", "just text".to_owned()),
        (
            "no kind",
            r#"{"apiVersion": "v1", "metadata": {"name": "c"}}"#.to_owned(),
        ),
        (
            "a name made up later",
            object(r#""metadata": {"generateName": "c-"}"#),
        ),
        (
            "an option for a name",
            object(r#""metadata": {"name": "--kubeconfig=evil"}"#),
        ),
        (
            "a path for a name",
            object(r#""metadata": {"name": "../c"}"#),
        ),
        (
            "two kinds in one",
            object(r#""metadata": {"name": "c"}"#).replace("ConfigMap", "Pod,Secret"),
        ),
        (
            "too many digits",
            object(r#""metadata": {"name": "c"}, "n": 12345678901234567890123"#),
        ),
        (
            "too many digits in YAML",
            conf("{a: 0.12345678901234567890123}"),
        ),
        (
            "a forged tag",
            object(r#""metadata": {"name": "c"}, "data": {"a": "cairn:withheld:x"}"#),
        ),
        (
            "one object twice",
            format!("{}---\n{}", conf("{a: x}"), conf("{a: y}")),
        ),
        ("depth", nested),
    ]
}

/// Goal: input that readers could take differently, or that is made to hurt, is refused by name
/// and records nothing. Method: one of each sort.
#[test]
fn bad_input_records_nothing() {
    if !tools::kubectl("kubernetes bad input") {
        return;
    }
    let (stage, _ledger) = Stage::with_ledger();
    let before = stage.size();
    for (what, text) in bad() {
        stage.write("bad.yaml", text);
        let ran = stage.run("record prod/shop --kubernetes=bad.yaml");
        assert_eq!(ran.code, Some(1), "{what}: {} {}", ran.out, ran.err);
        assert!(ran.err.contains("[SOURCE_INVALID]"), "{what}: {}", ran.err);
        assert!(!ran.err.contains("swordfish"), "{what}: {}", ran.err);
    }
    let large = std::fs::File::create(stage.path("bad.yaml")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    let ran = stage.run("record prod/shop --kubernetes=bad.yaml");
    ran.refuses(1, "SOURCE_INVALID").says("64 MiB");
    stage.write("bad.yaml", "---\n");
    stage
        .run("record prod/shop --kubernetes=bad.yaml")
        .refuses(1, "PATH_EMPTY");
    stage
        .run("record prod/shop --kubernetes")
        .refuses(1, "SOURCE_INVALID");
    assert_eq!(stage.size(), before);
}

/// Goal: what was applied is not compared with itself, and what to do next says what runs is to be
/// asked. Method: an object as a pipeline has it, and as an API serves it.
#[test]
fn what_was_applied_is_no_answer_of_the_api() {
    let (stage, _ledger) = Stage::with_ledger();
    let served = |metadata: &str| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "c"{metadata}}}}}"#
        )
    };
    stage.write("applied.json", served(""));
    stage.write("served.json", served(r#", "uid": "3f2e9a4c""#));
    stage
        .run("record prod --kubernetes=applied.json")
        .exits(0)
        .says("Next      cairn verify prod --kubernetes\n");
    stage
        .run("verify prod --kubernetes=applied.json")
        .exits(16)
        .says("no answer of the API");
    stage.run("verify prod --kubernetes=served.json").exits(0);
}
