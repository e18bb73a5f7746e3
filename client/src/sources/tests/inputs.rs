//! Which names artifacts get from what is named on a command line.

use std::os::unix::fs::symlink;

use super::{super::Covered, *};
use cairn_proto::manifest::ArtifactKind;

fn captured(inputs: &[Input]) -> Result<Capture, SourceError> {
    let options = CaptureOptions::new(Purpose::Record);
    capture(inputs, &options, Some(&tags()), &())
}

fn parse(text: &str) -> (Option<String>, String) {
    let input = Input::parse(text.as_ref());
    (input.name, input.path.to_str().unwrap().to_owned())
}

#[test]
fn a_name_is_what_stands_before_the_first_equals_sign_if_it_can_be_one() {
    assert_eq!(parse("shop"), (None, "shop".into()));
    assert_eq!(parse("web=./shop"), (Some("web".into()), "./shop".into()));
    assert_eq!(parse("a/b=c=d"), (Some("a/b".into()), "c=d".into()));
    assert_eq!(parse("./a=b"), (None, "./a=b".into()));
    assert_eq!(parse("/x=y"), (None, "/x=y".into()));
    assert_eq!(parse("=x"), (None, "=x".into()));
    assert_eq!(parse("x="), (None, "x=".into()));
}

#[test]
fn a_directory_alone_names_artifacts_from_its_root_and_a_file_by_its_name() {
    let root = directory(&[("shop/web.yaml", b"x")]);
    let capture = record(&root.path().join("shop"));
    assert_eq!(names(&capture), ["web.yaml"]);
    assert_eq!(capture.covered, [Covered::Everything]);
    let capture = record(&root.path().join("shop/web.yaml"));
    assert_eq!(names(&capture), ["web.yaml"]);
    let name = "web.yaml".parse().unwrap();
    assert_eq!(capture.covered, [Covered::Exactly(name)]);
}

#[test]
fn several_inputs_are_prefixed_by_their_names_or_the_given_ones() {
    let root = directory(&[("shop/web.yaml", b"x"), ("img/a", b"y"), ("one.txt", b"z")]);
    let at = |path: &str| root.path().join(path);
    let named = Input {
        name: Some("conf/main".into()),
        path: at("one.txt"),
    };
    let capture = captured(&[input(at("shop/.")), input(at("img/../img")), named]).unwrap();
    assert_eq!(names(&capture), ["conf/main", "img/a", "shop/web.yaml"]);
    assert!(capture.covers(&"shop/gone".parse().unwrap()));
    assert!(!capture.covers(&"shopping".parse().unwrap()));
    assert!(!capture.covers(&"conf/other".parse().unwrap()));
}

#[test]
fn inputs_whose_names_overlap_are_refused() {
    let root = directory(&[("a/shop/x", b"x"), ("b/shop/y", b"y"), ("f", b"z")]);
    let at = |path: &str| root.path().join(path);
    let error = captured(&[input(at("a/shop")), input(at("b/shop"))]).unwrap_err();
    assert_eq!(error.reason(), Reason::Usage);
    assert!(error.to_string().contains("named shop"), "{error}");
    let below = Input {
        name: Some("shop/f".into()),
        path: at("f"),
    };
    assert!(captured(&[input(at("a/shop")), below]).is_err());
    let all = Input {
        name: Some(".".into()),
        path: at("b"),
    };
    assert!(captured(&[input(at("a/shop")), all]).is_err());
}

#[test]
fn an_input_that_is_a_link_is_followed_once_and_that_is_said() {
    let root = directory(&[("real/file", b"x")]);
    symlink("real", root.path().join("link")).unwrap();
    symlink("real/file", root.path().join("file-link")).unwrap();
    let capture = record(&root.path().join("link"));
    assert_eq!(names(&capture), ["file"]);
    assert!(capture.notes[0].ends_with("link is a symbolic link: followed"));
    let capture = record(&root.path().join("file-link"));
    assert_eq!(names(&capture), ["file-link"]);
    assert_eq!(capture.artifacts[0].kind, ArtifactKind::File);
    assert_eq!(capture.notes.len(), 1);
}

#[test]
fn a_link_that_was_recorded_as_one_is_verified_as_one() {
    let root = directory(&[("real", b"x")]);
    symlink("real", root.path().join("link")).unwrap();
    let recorded = manifest(&record(root.path()));
    let capture = verify(&root.path().join("link"), &Recorded::new(&recorded));
    assert_eq!(capture.artifacts[0].kind, ArtifactKind::Symlink);
    assert!(capture.notes.is_empty());
}
