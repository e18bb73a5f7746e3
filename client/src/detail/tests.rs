//! Fields that differ, and texts that would rather do something else.
#![allow(clippy::unwrap_used)]

use std::{fmt::Write as _, time::Instant};

use super::*;

fn fields(recorded: &str, found: &str) -> Vec<String> {
    let detail = detail(recorded.as_bytes(), found.as_bytes()).unwrap();
    let text = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    detail
        .fields
        .into_iter()
        .map(|it| format!("{}: {} -> {}", it.path, text(it.recorded), text(it.found)))
        .collect()
}

#[test]
fn fields_of_yaml_and_json_are_named_by_their_paths() {
    assert_eq!(
        fields("spec:\n  replicas: 3\n", "spec:\n  replicas: 30\n"),
        ["spec.replicas: 3 -> 30"]
    );
    assert_eq!(
        fields(
            r#"{"containers":[{"image":"a:1"}],"x":1}"#,
            r#"{"containers":[{"image":"a:2"},{}],"y":null}"#
        ),
        [
            "containers[0].image: a:1 -> a:2",
            "containers[1]: - -> {0 members}",
            "x: 1 -> -",
            "y: - -> null",
        ]
    );
    assert_eq!(
        fields("a: 1\n---\nspec: {x: 1}\n", "a: 1\n---\nspec: {x: 2}\n"),
        ["[1].spec.x: 1 -> 2"]
    );
    assert_eq!(
        fields("a.b/c: {'': 1}\n", "a.b/c: {'': 2}\n"),
        ["[\"a.b/c\"][\"\"]: 1 -> 2"]
    );
    assert_eq!(fields("[1, 2]", "[1]"), ["[1]: 2 -> -"]);
}

#[test]
fn values_that_look_alike_are_told_apart() {
    assert_eq!(fields("a: 3\n", "a: '3'\n"), ["a: 3 -> \"3\""]);
    assert_eq!(fields("a: true\n", "a: 'true'\n"), ["a: true -> \"true\""]);
    let (left, right) = (
        format!("{}left", "x".repeat(500)),
        format!("{}right", "x".repeat(500)),
    );
    let found = fields(&format!("a: {left}\n"), &format!("a: {right}\n"));
    assert!(
        found[0].contains("xleft") && found[0].contains("xright"),
        "{found:?}"
    );
}

#[test]
fn equal_fields_in_other_bytes_are_said_to_be_that() {
    assert_eq!(
        fields("a: 1\n", "a:   1 # same\n"),
        [": - -> same fields, other bytes"]
    );
}

#[test]
fn what_has_no_fields_has_no_detail() {
    for (left, right) in [
        ("plain text", "other text"),
        ("a: 1", "plain text"),
        ("{", "a: 1"),
        ("a: [", "a: 1"),
        ("", "a: 1"),
    ] {
        assert_eq!(detail(left.as_bytes(), right.as_bytes()), None, "{left}");
    }
    assert_eq!(detail(b"a: \xff", b"a: 1"), None);
    let long = format!("a: {}", "x".repeat(TEXT_BYTES_MAX));
    assert_eq!(detail(long.as_bytes(), b"a: 1"), None);
}

#[test]
fn many_differences_are_bounded_and_counted() {
    let list = |text: &str| format!("[{}]", vec![text; 1_000].join(","));
    let detail = detail(list("1").as_bytes(), list("2").as_bytes()).unwrap();
    assert_eq!((detail.fields.len(), detail.more), (FIELDS_MAX, 900));
}

#[test]
fn nothing_that_comes_out_can_drive_a_terminal() {
    let hostile = r#"{"\u001b[2J\u202e\n":"\u009b31m\u0007\u200b","k":"x"}"#;
    let detail = detail(hostile.as_bytes(), br#"{"k":"\u0000"}"#).unwrap();
    for field in detail.fields {
        for text in [Some(field.path), field.recorded, field.found]
            .into_iter()
            .flatten()
        {
            let bad = |letter: char| letter.is_control() || "\u{202e}\u{200b}".contains(letter);
            assert!(!text.contains(bad), "{text:?}");
        }
    }
    assert_eq!(printable("a\u{1b}b\u{9b}\tc"), "a\\u{1b}b\\u{9b}\\tc");
    assert_eq!(printable_bytes(b"a\xff\n"), "a\\xff\\n");
    assert_eq!(shortened("abcdef", 3), "abc…");
    assert_eq!(shortened("abc", 3), "abc");
}

/// Goal: no YAML makes this slow or large. Method: what bombs are made of, timed.
#[test]
fn yaml_bombs_are_cheap_and_have_no_detail() {
    let mut laughs = String::from("a0: &a0 [x, x]\n");
    for at in 1..60 {
        let above = format!("*a{}, ", at - 1).repeat(9);
        writeln!(laughs, "a{at}: &a{at} [{above}]").unwrap();
    }
    let copies = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        "*a, ".repeat(100_000)
    );
    let deep = format!("a: {}", "[".repeat(1_000_000));
    let nested: Vec<_> = (0..5_000).map(|at| " ".repeat(at % 400)).collect();
    let nested = nested.join("- \n");
    let dashes = "- ".repeat(500_000);
    let keys = "? ".repeat(500_000);
    let merges = format!("a: &a {{x: 1}}\nb: {{{}}}\n", "<<: *a, ".repeat(50_000));
    let itself = "a: &a [*a]\n".to_owned();
    let tags = format!("a: {}", "!x ".repeat(100_000));
    let quotes = "\"".repeat(1_000_001);
    let documents = "--- a\n".repeat(300_000);
    for bomb in [
        laughs, copies, deep, nested, dashes, keys, merges, itself, tags, quotes, documents,
    ] {
        let start = Instant::now();
        let _ = detail(bomb.as_bytes(), b"a: 1");
        let took = start.elapsed();
        assert!(took.as_secs() < 10, "{took:?}: {}", &bomb[..40]);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM")) {
        println!("{peak}");
    }
}
