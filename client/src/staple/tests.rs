//! The text of an index, and what of it is taken for a staple.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;

use cairn_proto::hash::{Sequence, Sha256};

use super::{
    STAPLES_MAX,
    form::{self, Claim, Link, Staple},
    index::Index,
    layout::At,
};

fn claim(environment: &str, sequence: u64) -> Claim {
    staple(environment, sequence).claim()
}

fn staple(environment: &str, sequence: u64) -> Staple {
    Staple {
        environment: environment.parse().unwrap(),
        sequence: Sequence(sequence),
        bundle: Link::of(form::BUNDLE, b"a bundle"),
        subject: Link::of(form::manifest_type(), b"an image"),
    }
}

/// Goal: what is put in can be taken out to the byte, however an index is spelled.
/// Method: compact, spread out, with unknown members, and text that only looks like a staple.
#[test]
fn taking_staples_out_gives_the_bytes_from_before() {
    let (one, two) = (claim("prod/shop", 1), claim("test/shop", 7));
    let look = serde_json::to_string(&format!(",{}", one.encode())).unwrap();
    let texts = [
        r#"{"n":null,"t":true,"d":1.5e3,"s":"]},\"","manifests":[0,"a",{}],"z":{}}"#.to_owned(),
        r#"{"manifests":[{"a":1}]}"#.to_owned(),
        "{\n  \"x\": [1, {\"manifests\": []}],\n  \"manifests\": [\n    {\"a\":1},\n    {}\n  ]\n}\n".to_owned(),
        format!("{{\"manifests\":[{{\"a\":{look}}}],\"z\":[0,{}]}}", one.encode()),
    ];
    for text in texts {
        let bare = Index::read(&text).unwrap();
        assert_eq!((bare.staples.len(), bare.odd), (0, 0), "{text}");
        let stapled = bare.with(&[two.clone(), one.clone()]).unwrap();
        assert_eq!(bare.with(&[one.clone(), two.clone()]).unwrap(), stapled);
        let index = Index::read(&stapled).unwrap();
        assert_eq!(index.staples, [one.clone(), two.clone()]);
        assert_eq!(index.without(), text);
        let less = index.with(std::slice::from_ref(&two)).unwrap();
        assert_eq!(
            Index::read(&less).unwrap().staples,
            std::slice::from_ref(&two)
        );
        assert_eq!(index.with(&[]).unwrap(), text);
    }
    for text in [
        "",
        "[]",
        "{}",
        r#"{"manifests":[]}x"#,
        r#"{"manifests":1}"#,
        r#"{"manifests":[{}],"manifests":[{}]}"#,
        r#"{"manifests":[{}],"\u006danifests":[{}]}"#,
        r#"{"manifests":[{},]}"#,
        r#"{"manifests":[{}],}"#,
        r#"{"manifests":[{} {}]}"#,
        r#"{"manifests":[1x]}"#,
        r#"{"manifests":[{}]"#,
        r#"{"a":1 "manifests":[]}"#,
        "{\"manifests\":[\u{a0}{}]}",
    ] {
        assert!(Index::read(text).is_none(), "{text}");
    }
    assert!(
        Index::read(r#"{"manifests":[]}"#)
            .unwrap()
            .with(&[one])
            .is_none()
    );
}

/// Goal: staples are bounded, and what is beyond is not taken for one.
#[test]
fn more_staples_than_there_can_be_are_not_taken_for_staples() {
    let bare = Index::read(r#"{"manifests":[{}]}"#).unwrap();
    let number = u64::try_from(STAPLES_MAX).unwrap() + 1;
    let claims: Vec<_> = (0..number).map(|at| claim("prod/shop", at)).collect();
    let text = bare.with(&claims).unwrap();
    let index = Index::read(&text).unwrap();
    assert_eq!((index.staples.len(), index.odd), (STAPLES_MAX, 1));
}

/// Goal: a manifest and a descriptor have one spelling each. Method: read back; then one more
/// space, another type, another order.
#[test]
fn a_staple_has_one_spelling() {
    let staple = staple("prod/shop", 3);
    let manifest = String::from_utf8(staple.encode()).unwrap();
    assert_eq!(Staple::read(manifest.as_bytes()), Some(staple.clone()));
    let claim = staple.claim();
    assert_eq!(Claim::read(&claim.encode()), Some(claim.clone()));
    assert!(staple.is_of(&claim));
    for (from, to) in [
        ("{", "{ "),
        ("image.manifest", "image.other"),
        ("oci.empty.v1", "oci.empty.v2"),
        ("\"schemaVersion\":2", "\"schemaVersion\":3"),
        ("\"3\"", "\"03\""),
        ("prod/shop", "Prod/shop"),
        ("sha256:", "sha512:"),
        ("\"size\":2", "\"size\":3"),
    ] {
        let other = manifest.replacen(from, to, 1);
        assert_ne!(other, manifest, "{from}");
        assert_eq!(Staple::read(other.as_bytes()), None, "{other}");
    }
    let mut large = staple;
    large.bundle = Link::new(form::BUNDLE, &Sha256::of(b""), u64::MAX);
    assert_eq!(Staple::read(&large.encode()), None);
}

/// Goal: a layout and a tag are told apart as skopeo does.
#[test]
fn a_layout_ends_at_the_first_colon() {
    for (text, directory, tag) in [
        ("oci", "oci", None),
        ("oci:", "oci", None),
        ("oci:1", "oci", Some("1")),
        ("a/b:docker.io/x:1", "a/b", Some("docker.io/x:1")),
        ("", "", None),
    ] {
        let at = At::parse(OsStr::new(text));
        assert_eq!(at.directory.to_str(), Some(directory));
        assert_eq!(at.tag.as_deref(), tag);
    }
}
