//! Texts with a fixed form. SPEC.md sections 1, 3, 4 and 5.

use std::{fmt::Debug, str::FromStr};

use cairn_proto::{
    hash::{Sha256, decode_hex32},
    json::{Field, Value},
    manifest::Manifest,
    name::{ArtifactName, Environment, Label, Origin, Pattern, TimeText},
    reason::Reason,
    statement::is_annotation_name,
};

use crate::vectors::{Cases, judged, text_of};

const KINDS: [&str; 13] = [
    "annotation-name",
    "artifact-kind",
    "artifact-name",
    "base64",
    "environment",
    "hex",
    "label",
    "match",
    "mode",
    "origin",
    "pattern",
    "platform",
    "time",
];

fn parsed<T: FromStr>(text: &str) -> Result<Vec<u8>, Reason> {
    let parsed = text.parse::<T>();
    parsed.map_or(Err(Reason::JsonInvalidValue), |_| Ok(Vec::new()))
}

/// Texts that only a manifest holds are judged inside of one.
fn in_manifest(member: &str, text: &str) -> Result<Vec<u8>, Reason> {
    let digests = Value::object([
        ("blake3", Value::text(cairn_proto::hash::ContentId::of(b""))),
        ("sha256", Value::text(Sha256::of(b""))),
    ]);
    let mut artifact = vec![
        ("digests", digests),
        ("kind", Value::text("file")),
        ("name", Value::text("a")),
        ("size", Value::number(0)),
        ("storage", Value::text("stored")),
    ];
    artifact.retain(|(name, _)| *name != member);
    artifact.push((member, Value::text(text)));
    let comparison = Value::object([
        ("ignore", Value::Array(Vec::new())),
        ("profile", Value::text("files/v1")),
        ("unmeasured", Value::text("refuse")),
    ]);
    let manifest = Value::object([
        ("artifacts", Value::Array(vec![Value::object(artifact)])),
        ("comparison", comparison),
        ("schema", Value::text("cairn.manifest/v1")),
    ]);
    let decoded = Manifest::decode(&manifest.encode());
    decoded.map(|_| Vec::new()).map_err(|error| error.reason())
}

fn form(kind: &str, text: &str) -> Result<Vec<u8>, Reason> {
    match kind {
        "environment" => parsed::<Environment>(text),
        "pattern" => parsed::<Pattern>(text),
        "label" => parsed::<Label>(text),
        "origin" => parsed::<Origin>(text),
        "time" => parsed::<TimeText>(text),
        // A listing's and an artifact's name; the root tree's `.` is a case of its own.
        "artifact-name" if text == "." => Err(Reason::JsonInvalidValue),
        "artifact-name" => parsed::<ArtifactName>(text),
        "artifact-kind" => in_manifest("kind", text),
        "mode" => in_manifest("mode", text),
        "platform" => in_manifest("platform", text),
        "annotation-name" if is_annotation_name(text) => Ok(Vec::new()),
        "annotation-name" => Err(Reason::JsonInvalidValue),
        "hex" => match decode_hex32(text) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(_) => Err(Reason::JsonInvalidValue),
        },
        "base64" => {
            let field = Field::root(Value::text(text));
            field.base64().map_err(|error| error.reason)
        }
        other => panic!("unknown kind {other}"),
    }
}

fn known<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

#[test]
fn texts_of_a_fixed_form_are_accepted_and_refused_as_the_spec_says() {
    Cases::of("names.json").each(&KINDS, |_, case| {
        let kind = text_of(case, "kind");
        if kind == "match" {
            let pattern: Pattern = known(text_of(case, "pattern"));
            let environment: Environment = known(text_of(case, "environment"));
            let matches = case["matches"].as_bool().unwrap();
            assert_eq!(pattern.matches(&environment), matches, "{case}");
            return kind.to_owned();
        }
        let accepted = judged(case, form(kind, text_of(case, "text")));
        if let (Some(bytes), Some(hex)) = (accepted, case["bytes_hex"].as_str()) {
            assert_eq!(hex::encode(bytes), hex);
        }
        kind.to_owned()
    });
}
