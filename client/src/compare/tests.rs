//! Comparisons of real captures with real manifests.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use cairn_proto::manifest::{Comparison as Rules, Manifest, Unmeasured as OfUnmeasured};

use super::*;
use crate::sources::{
    CaptureOptions, Purpose, TagContext, capture,
    tests::{Once, directory, input, manifest, put, record, tags, tags_with, verify},
};

fn differences(outcome: &Comparison) -> Vec<String> {
    outcome
        .differences
        .iter()
        .map(|it| {
            let kind = serde_json::to_value(it.kind).unwrap();
            let kind = kind.as_str().unwrap().to_owned();
            format!("{kind} {} {}", it.artifact, it.path)
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn compared(root: &Path, recorded: &Manifest) -> Comparison {
    let view = Recorded::new(recorded);
    compare(&view, &verify(root, &view))
}

fn compared_with(root: &Path, recorded: &Manifest, tags: Option<&TagContext>) -> Comparison {
    let view = Recorded::new(recorded);
    let options = CaptureOptions::new(Purpose::Verify(&view));
    compare(
        &view,
        &capture(&[input(root)], &options, tags, &()).unwrap(),
    )
}

fn with_rules(recorded: &Manifest, ignore: &[&str], unmeasured: OfUnmeasured) -> Manifest {
    let ignore = ignore.iter().map(ToString::to_string).collect();
    Manifest::new(
        recorded.artifacts().to_vec(),
        Rules {
            ignore,
            unmeasured,
            ..Rules::default()
        },
    )
    .unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_did_not_change_matches_and_is_counted() {
    let root = directory(&[("a", b"1"), ("b/c", b"2"), (".env", b"3")]);
    fs::create_dir(root.path().join("d")).unwrap();
    symlink("a", root.path().join("l")).unwrap();
    let outcome = compared(root.path(), &manifest(&record(root.path())));
    assert_eq!(outcome.differences, []);
    assert_eq!((outcome.files_matched, outcome.files_total), (5, 5));
    assert_eq!((outcome.measured, outcome.ignored), (5, 0));
}

#[test]
fn changed_missing_and_added_files_are_told_apart() {
    let root = directory(&[("change", b"1"), ("lose", b"2"), ("keep", b"3")]);
    let recorded = manifest(&record(root.path()));
    put(root.path(), "change", b"one");
    fs::remove_file(root.path().join("lose")).unwrap();
    put(root.path(), "new", b"4");
    let outcome = compared(root.path(), &recorded);
    assert_eq!(
        differences(&outcome),
        ["changed change", "missing lose", "added new"]
    );
    assert_eq!((outcome.files_matched, outcome.files_total), (1, 3));
    let change = serde_json::to_value(&outcome.differences[0]).unwrap();
    let expected = serde_json::json!({
        "artifact": "change", "path": "", "kind": "changed",
        "recorded": "sha256:6b86b273ff34 (1 bytes)", "found": "sha256:7692c3ad3540 (3 bytes)",
    });
    assert_eq!(change, expected);
}

#[test]
fn kinds_and_modes_count_and_ignored_modes_are_counted() {
    let root = directory(&[("kind", b"1"), ("mode", b"2"), ("other", b"3")]);
    let recorded = manifest(&record(root.path()));
    fs::remove_file(root.path().join("kind")).unwrap();
    symlink("mode", root.path().join("kind")).unwrap();
    set_mode(&root.path().join("mode"), 0o600);
    set_mode(&root.path().join("other"), 0o755);
    let outcome = compared(root.path(), &recorded);
    let expected = [
        "changed kind kind",
        "changed mode mode",
        "changed other mode",
    ];
    assert_eq!(differences(&outcome), expected);
    assert_eq!(outcome.differences[1].found.as_deref(), Some("0600"));

    let one = with_rules(&recorded, &["mode#/mode"], OfUnmeasured::Refuse);
    let outcome = compared(root.path(), &one);
    assert_eq!(
        differences(&outcome),
        ["changed kind kind", "changed other mode"]
    );
    assert_eq!((outcome.ignored, outcome.files_matched), (1, 1));
    let all = with_rules(&recorded, &["*#/mode"], OfUnmeasured::Refuse);
    let outcome = compared(root.path(), &all);
    assert_eq!(differences(&outcome), ["changed kind kind"]);
    assert_eq!(outcome.ignored, 2);
}

#[test]
fn a_directory_that_was_filled_or_emptied_is_reported_once() {
    let root = directory(&[("full/file", b"1")]);
    fs::create_dir(root.path().join("empty")).unwrap();
    let recorded = manifest(&record(root.path()));
    put(root.path(), "empty/new", b"2");
    fs::remove_file(root.path().join("full/file")).unwrap();
    let outcome = compared(root.path(), &recorded);
    let expected = ["changed empty", "added empty/new", "missing full/file"];
    assert_eq!(differences(&outcome), expected);
}

#[test]
fn what_the_inputs_do_not_cover_is_unverifiable() {
    let root = directory(&[("a", b"1"), ("b", b"2")]);
    let recorded = manifest(&record(root.path()));
    let outcome = compared(&root.path().join("a"), &recorded);
    assert_eq!(differences(&outcome), ["unverifiable b"]);
    assert_eq!((outcome.files_matched, outcome.files_total), (1, 2));
    assert_eq!(outcome.measured, 1);
}

#[test]
fn withheld_values_are_compared_by_their_tags() {
    let root = directory(&[(".env", b"hunter2"), ("a", b"1")]);
    let recorded = manifest(&record(root.path()));
    put(root.path(), ".env", b"hunter3");
    let outcome = compared(root.path(), &recorded);
    assert_eq!(differences(&outcome), ["changed .env"]);
    let texts = format!("{:?}", outcome.differences);
    assert!(
        !texts.contains("hunter") && !texts.contains("sha256"),
        "{texts}"
    );
}

#[test]
fn withheld_values_without_their_key_are_unverifiable_unless_that_is_accepted() {
    let root = directory(&[(".env", b"hunter2"), ("a", b"1")]);
    let recorded = manifest(&record(root.path()));
    let accepting = with_rules(&recorded, &[], OfUnmeasured::Accept);
    for tags in [None, Some(tags_with(8))] {
        let outcome = compared_with(root.path(), &recorded, tags.as_ref());
        assert_eq!(differences(&outcome), ["unverifiable .env"]);
        assert_eq!((outcome.measured, outcome.accepted_unmeasured), (1, 0));
        let outcome = compared_with(root.path(), &accepting, tags.as_ref());
        assert_eq!(outcome.differences, []);
        assert_eq!((outcome.measured, outcome.accepted_unmeasured), (1, 1));
        assert_eq!((outcome.files_matched, outcome.files_total), (1, 2));
    }
    // Acceptance is for want of a key, not of the file; and its mode shows without one.
    set_mode(&root.path().join(".env"), 0o666);
    let outcome = compared_with(root.path(), &accepting, None);
    assert_eq!(differences(&outcome), ["changed .env mode"]);
    fs::remove_file(root.path().join(".env")).unwrap();
    let outcome = compared_with(root.path(), &accepting, None);
    assert_eq!(differences(&outcome), ["missing .env"]);
}

#[test]
fn an_added_secret_is_added_though_it_cannot_be_measured() {
    let root = directory(&[("a", b"1")]);
    let recorded = manifest(&record(root.path()));
    put(root.path(), "sub/.env", b"x");
    fs::write(root.path().join("bad\nname"), b"x").unwrap();
    let outcome = compared_with(root.path(), &recorded, None);
    let found = differences(&outcome);
    assert_eq!(found.len(), 2);
    assert!(
        found[0].starts_with("added ") && found[0].ends_with("bad\\nname"),
        "{found:?}"
    );
    assert_eq!(found[1], "added sub/.env");
}

#[test]
fn a_socket_in_place_of_a_file_or_directory_is_a_difference_and_no_excuse() {
    let root = directory(&[("a", b"1"), ("b", b"2"), ("d/x", b"3")]);
    let recorded = manifest(&record(root.path()));
    fs::remove_file(root.path().join("b")).unwrap();
    fs::remove_dir_all(root.path().join("d")).unwrap();
    let socket = |name: &str| std::os::unix::net::UnixListener::bind(root.path().join(name));
    let _sockets = ["b", "d", "new"].map(|name| socket(name).unwrap());
    let outcome = compared(root.path(), &recorded);
    let expected = ["changed b kind", "added d", "missing d/x", "added new"];
    assert_eq!(differences(&outcome), expected);
}

/// Goal: what may be there unseen is never called missing. Method: a file that changes
/// while it is read, which works as any user.
#[test]
fn a_file_that_could_not_be_read_is_unverifiable() {
    let root = directory(&[("log", b"1"), ("sub/log", b"2")]);
    let recorded = manifest(&record(root.path()));
    let view = Recorded::new(&recorded);
    let neighbour = Once::after_the_walk(|| {
        fs::remove_file(root.path().join("log")).unwrap();
        fs::rename(root.path().join("sub"), root.path().join("log")).unwrap();
    });
    let options = CaptureOptions::new(Purpose::Verify(&view));
    let found = capture(&[input(root.path())], &options, None, &neighbour).unwrap();
    let outcome = compare(&view, &found);
    assert_eq!(
        differences(&outcome),
        ["unverifiable log", "unverifiable sub/log"]
    );
    assert_eq!((outcome.files_matched, outcome.measured), (0, 0));
}

fn many() -> tempfile::TempDir {
    let root = directory(&[("conf/.env", b"hunter2")]);
    (0..1_100).for_each(|at| put(root.path(), &format!("d{}/{at}", at % 5), b"x"));
    root
}

fn listing(capture: &Capture, name: &str) -> Vec<u8> {
    capture.trees[&name.parse().unwrap()].encode()
}

#[test]
fn equal_trees_match_without_their_recorded_listing() {
    let root = many();
    let outcome = compared(root.path(), &manifest(&record(root.path())));
    assert_eq!(outcome.differences, []);
    assert_eq!((outcome.files_matched, outcome.files_total), (1_101, 1_101));
    assert_eq!(outcome.measured, 1_101);
}

#[test]
fn trees_that_differ_are_one_difference_or_one_for_each_file() {
    let root = many();
    let captured = record(root.path());
    let recorded = manifest(&captured);
    put(root.path(), "d0/0", b"changed");
    put(root.path(), "d0/new", b"added");
    put(root.path(), "conf/.env", b"hunter3");
    set_mode(&root.path().join("d1/1"), 0o600);
    fs::remove_file(root.path().join("d2/2")).unwrap();

    let outcome = compared(root.path(), &recorded);
    assert_eq!(differences(&outcome), ["changed ."]);
    assert_eq!((outcome.files_matched, outcome.files_total), (0, 1));

    let mut view = Recorded::new(&recorded);
    view.add_listing(&".".parse().unwrap(), &listing(&captured, "."))
        .unwrap();
    let outcome = compare(&view, &verify(root.path(), &view));
    let expected = [
        "changed conf/.env",
        "changed d0/0",
        "added d0/new",
        "changed d1/1 mode",
        "missing d2/2",
    ];
    assert_eq!(differences(&outcome), expected);
    assert_eq!((outcome.files_matched, outcome.files_total), (1_097, 1_101));

    let ignoring = with_rules(&recorded, &["d1/1#/mode"], OfUnmeasured::Refuse);
    let mut view = Recorded::new(&ignoring);
    view.add_listing(&".".parse().unwrap(), &listing(&captured, "."))
        .unwrap();
    let outcome = compare(&view, &verify(root.path(), &view));
    assert_eq!((outcome.ignored, outcome.differences.len()), (1, 4));
}

#[test]
fn a_tree_with_a_secret_and_no_key_is_unverifiable_or_accepted_if_its_listing_is_known() {
    let root = many();
    let captured = record(root.path());
    let recorded = with_rules(&manifest(&captured), &[], OfUnmeasured::Accept);
    let outcome = compared_with(root.path(), &recorded, None);
    assert_eq!(differences(&outcome), ["unverifiable ."]);

    let mut view = Recorded::new(&recorded);
    view.add_listing(&".".parse().unwrap(), &listing(&captured, "."))
        .unwrap();
    let options = CaptureOptions::new(Purpose::Verify(&view));
    let found = capture(&[input(root.path())], &options, None, &()).unwrap();
    let outcome = compare(&view, &found);
    assert_eq!(outcome.differences, []);
    assert_eq!(
        (outcome.accepted_unmeasured, outcome.files_matched),
        (1, 1_100)
    );
}

#[test]
fn a_lost_tree_is_as_many_missing_files_and_one_in_its_place_another_kind() {
    let root = directory(&[]);
    (0..1_100).for_each(|at| put(root.path(), &format!("t/{at}"), b"x"));
    put(root.path(), "f/file", b"y");
    let paths = ["t", "f"].map(|name| input(root.path().join(name)));
    let options = CaptureOptions::new(Purpose::Record);
    let captured = capture(&paths, &options, Some(&tags()), &()).unwrap();
    let recorded = manifest(&captured);
    let all = |view: &Recorded<'_>| {
        // The inputs of then are named from the directory above now.
        compare(view, &verify(root.path(), view))
    };
    assert_eq!(all(&Recorded::new(&recorded)).differences, []);

    fs::remove_dir_all(root.path().join("t")).unwrap();
    let outcome = all(&Recorded::new(&recorded));
    assert_eq!(differences(&outcome), ["missing t"]);
    fs::create_dir(root.path().join("t")).unwrap();
    let mut view = Recorded::new(&recorded);
    view.add_listing(&"t".parse().unwrap(), &listing(&captured, "t"))
        .unwrap();
    assert_eq!(all(&view).differences.len(), 1_100);
    fs::remove_dir(root.path().join("t")).unwrap();
    put(root.path(), "t", b"a file");
    assert_eq!(differences(&all(&view)), ["changed t kind"]);
}

#[test]
fn an_image_matches_only_with_all_that_it_consists_of() {
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", cairn_proto::hash::Sha256::of(bytes));
    let link = |kind: &str, bytes: &[u8]| {
        let digest = cairn_proto::hash::Sha256::of(bytes);
        let size = bytes.len();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}.v1+json","digest":"sha256:{digest}","size":{size}}}"#
        )
    };
    let image = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#,
        link("config", config)
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        link("manifest", image.as_bytes())
    );
    let root = directory(&[
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", index.as_bytes()),
        (&blob(config), config),
        (&blob(image.as_bytes()), image.as_bytes()),
    ]);
    let recorded = manifest(&record(root.path()));
    let outcome = compared(root.path(), &recorded);
    assert_eq!(outcome.differences, []);
    assert_eq!((outcome.images_matched, outcome.images_total), (1, 1));
    assert_eq!((outcome.files_matched, outcome.files_total), (1, 1));

    put(root.path(), &blob(config), b"{}");
    let outcome = compared(root.path(), &recorded);
    assert_eq!(differences(&outcome), [format!("changed {}", blob(config))]);
    assert_eq!((outcome.images_matched, outcome.images_total), (0, 1));
    assert_eq!((outcome.files_matched, outcome.files_total), (1, 1));
}
