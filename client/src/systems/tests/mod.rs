//! Objects recorded and observed: what is a match, what is a difference, what leaves in clear.
#![allow(clippy::unwrap_used)]

mod fields;
mod kubernetes;
mod terraform;

use std::path::Path;

use cairn_proto::{
    manifest::{Comparison as Signed, Manifest, Unmeasured as OfUnmeasured},
    reason::Reason,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Asked, capture, observe};
use crate::{
    compare::{Comparison, DifferenceKind, compare},
    sources::{
        Capture, CaptureOptions, Purpose, Recorded, SourceError, TagContext,
        capture as capture_files,
        tests::{tags, tags_with},
    },
};

/// What tests give to an adapter, in a folder of its own.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn asked(&self, system: &str, bytes: &[u8]) -> Asked {
        let path = self.path().join("given.json");
        std::fs::write(&path, bytes).unwrap();
        Asked::parse(system, path.as_os_str()).unwrap()
    }

    /// What is recorded of what a tool wrote.
    pub(crate) fn record(&self, system: &str, bytes: &[u8]) -> Result<Capture, SourceError> {
        let mut captured = nothing(Purpose::Record);
        let asked = [self.asked(system, bytes)];
        capture(&asked, Some(&tags()), &mut captured)?;
        Ok(captured)
    }

    /// How that compares with what a tool says later.
    pub(crate) fn compare(
        &self,
        system: &str,
        recorded: &Capture,
        bytes: &[u8],
        with: &With<'_>,
    ) -> Comparison {
        let signed = Signed {
            ignore: with.ignore.iter().map(ToString::to_string).collect(),
            unmeasured: with.unmeasured,
            ..Signed::default()
        };
        let signed = recorded.compared_by(signed);
        let manifest = Manifest::new(recorded.artifacts.clone(), signed).unwrap();
        let mut view = Recorded::new(&manifest);
        if with.fields {
            for artifact in manifest.artifacts() {
                let digests = artifact.bytes.digests();
                let content = digests.and_then(|digests| recorded.content(&digests.blake3));
                if let Some(content) = content {
                    let bytes = std::io::read_to_string(content.open(0).unwrap()).unwrap();
                    let _ = view.add_object(&artifact.name, bytes.as_bytes());
                }
            }
        }
        let mut found = nothing(Purpose::Verify(&view));
        let asked = [self.asked(system, &served(bytes))];
        observe(&asked, &view, with.tags.as_ref(), &mut found).unwrap();
        compare(&view, &found)
    }
}

/// Kubernetes' objects as its API serves them: each with an id.
fn served(bytes: &[u8]) -> Vec<u8> {
    let Ok(mut served) = serde_json::from_slice::<Value>(bytes) else {
        return bytes.to_vec();
    };
    let is_list = served.get("items").is_some();
    let objects = match served.get_mut("items").and_then(Value::as_array_mut) {
        Some(items) if is_list => items.iter_mut().collect(),
        _ => vec![&mut served],
    };
    for object in objects {
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        metadata.map(|metadata| metadata.insert("uid".to_owned(), Value::from("3f2e9a4c")));
    }
    served.to_string().into_bytes()
}

/// How to compare.
pub(crate) struct With<'a> {
    ignore: &'a [&'a str],
    unmeasured: OfUnmeasured,
    tags: Option<TagContext>,
    /// Whether the recorded fields are at hand.
    fields: bool,
}

impl With<'_> {
    pub(crate) fn all() -> Self {
        Self {
            ignore: &[],
            unmeasured: OfUnmeasured::Refuse,
            tags: Some(tags()),
            fields: true,
        }
    }
}

fn nothing(purpose: Purpose<'_>) -> Capture {
    capture_files(&[], &CaptureOptions::new(purpose), None, &()).unwrap()
}

/// Each difference as `kind path`.
pub(crate) fn told(outcome: &Comparison) -> Vec<String> {
    let kind = |kind: DifferenceKind| serde_json::to_value(kind).unwrap();
    let differences = outcome.differences.iter();
    let told = differences.map(|it| format!("{} {}", kind(it.kind).as_str().unwrap(), it.path));
    told.map(|text| text.trim_end().to_owned()).collect()
}

/// All that a capture would send.
fn sent(capture: &Capture) -> String {
    let read = |content: &crate::sources::Content| {
        std::io::read_to_string(content.open(0).unwrap()).unwrap()
    };
    capture.contents.iter().map(read).collect()
}

const SECRET: &str = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db","namespace":"shop",
    "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"planted-three"}},
    "data":{"password":"cGxhbnRlZC1vbmU="},"stringData":{"user":"planted-two"}}"#;

/// Goal: no value of a Secret leaves, by whatever member it was given. Method: three of them,
/// looked for in all that would be sent.
#[test]
fn values_of_a_secret_leave_as_tags_alone() {
    let folder = Folder::new();
    let recorded = folder.record("kubernetes", SECRET.as_bytes()).unwrap();
    let sent = sent(&recorded);
    for planted in [
        "planted-one",
        "cGxhbnRlZC1vbmU",
        "planted-two",
        "planted-three",
    ] {
        assert!(!sent.contains(planted), "{planted} in {sent}");
    }
    assert!(sent.contains("cairn:withheld:"), "{sent}");
    // The stream itself holds them: of it only a tag is recorded.
    let names: Vec<_> = recorded.withheld.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "kubernetes/core/Secret/shop/db",
            "kubernetes/input/given.json"
        ]
    );
}

/// Goal: a tag is compared under its own key alone. Method: the same value, another value,
/// another key, no key, and no key where that was accepted.
#[test]
fn a_withheld_value_is_a_match_under_its_own_key_alone() {
    let folder = Folder::new();
    let recorded = folder.record("kubernetes", SECRET.as_bytes()).unwrap();
    let compared = |text: &str, tags: Option<TagContext>, unmeasured| {
        let with = With {
            unmeasured,
            tags,
            ..With::all()
        };
        folder.compare("kubernetes", &recorded, text.as_bytes(), &with)
    };
    let refuse = OfUnmeasured::Refuse;
    let same = compared(SECRET, Some(tags()), refuse);
    assert_eq!((told(&same), same.objects_matched), (vec![], 1));
    let other = SECRET.replace("cGxhbnRlZC1vbmU=", "b3RoZXI=");
    assert_eq!(
        told(&compared(&other, Some(tags()), refuse)),
        ["changed data.password"]
    );
    let unknown = ["unverifiable data.password", "unverifiable data.user"];
    assert_eq!(told(&compared(SECRET, Some(tags_with(8)), refuse)), unknown);
    let without = compared(SECRET, None, refuse);
    assert_eq!(
        (told(&without), without.objects_matched),
        (unknown.map(str::to_owned).to_vec(), 0)
    );
    let accepted = compared(SECRET, None, OfUnmeasured::Accept);
    let numbers = (accepted.accepted_unmeasured, accepted.objects_matched);
    assert_eq!((told(&accepted), numbers), (vec![], (2, 0)));
}

/// Goal: a live text that only spells the recorded tag is no match, and what is withheld from an
/// object is not in the stream either. Method: a private key in a plain object.
#[test]
fn a_live_text_that_spells_a_tag_is_no_match() {
    let folder = Folder::new();
    let object = |value: &str| {
        serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "c"}, "data": {".env": "TOKEN=planted-four", "cert": value}})
    };
    let key = "-----BEGIN PRIVATE KEY-----\nplanted-five\n-----END PRIVATE KEY-----\n";
    let recorded = folder.record("kubernetes", object(key).to_string().as_bytes());
    let recorded = recorded.unwrap();
    let sent = sent(&recorded);
    assert!(!sent.contains("planted-"), "{sent}");
    let (_, tag) = sent.split_once(r#""cert":""#).unwrap();
    let (tag, _) = tag.split_once('"').unwrap();
    assert!(tag.starts_with("cairn:withheld:"), "{sent}");
    for forged in [tag, "cairn:withheld:?"] {
        let found = object(forged).to_string();
        let outcome = folder.compare("kubernetes", &recorded, found.as_bytes(), &With::all());
        assert_eq!(outcome.objects_matched, 0, "{forged}");
        assert_eq!(told(&outcome).len(), 1, "{forged}");
    }
}

/// Goal: nobody records a text that would pass for a secret's tag. Method: one in `data`.
#[test]
fn a_text_that_looks_like_a_tag_is_refused() {
    let forged = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},
        "data":{"a":"cairn:withheld:?"}}"#;
    let refused = Folder::new()
        .record("kubernetes", forged.as_bytes())
        .unwrap_err();
    assert_eq!(refused.reason(), Reason::SourceInvalid, "{refused}");
}

/// Goal: without the fields that were recorded nothing is a match, and nothing missing. Method: an
/// object that was not fetched.
#[test]
fn an_object_whose_fields_are_not_at_hand_is_unverifiable() {
    let folder = Folder::new();
    let object =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"1"}}"#;
    let recorded = folder.record("kubernetes", object.as_bytes()).unwrap();
    let with = With {
        fields: false,
        ..With::all()
    };
    let outcome = folder.compare("kubernetes", &recorded, object.as_bytes(), &with);
    assert_eq!(
        (told(&outcome), outcome.measured),
        (vec!["unverifiable".to_owned()], 0)
    );
}

/// Goal: what no reader could take alike is refused, and said precisely. Method: one of each.
#[test]
fn bad_objects_are_refused() {
    let folder = Folder::new();
    let metadata = r#""metadata":{"name":"c"}"#;
    let bad = [
        (r#"{"apiVersion":"v1","kind":"ConfigMap""#.to_owned(), "EOF"),
        (
            format!(r#"{{"kind":"ConfigMap",{metadata}}}"#),
            "no apiVersion",
        ),
        (format!(r#"{{"apiVersion":"v1",{metadata}}}"#), "no kind"),
        (
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{}}"#.to_owned(),
            "no name",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p-"}}"#.to_owned(),
            "made up anew",
        ),
        (
            format!(r#"{{"apiVersion":"v1","kind":"C","kind":"S",{metadata}}}"#),
            "twice",
        ),
        (
            format!(r#"{{"apiVersion":"v1","kind":"C",{metadata},"n":1.2345678901234567890}}"#),
            "digits",
        ),
        ("[[[[[{}]]]]]".to_owned(), "nested"),
        ("[1]".to_owned(), "no object"),
        ("[]".to_owned(), "holds nothing"),
    ];
    for (text, why) in bad {
        let refused = folder.record("kubernetes", text.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains(why), "{text}: {refused}");
    }
    let twice = format!(
        r#"[{{"apiVersion":"v1","kind":"C",{metadata}}},{{"apiVersion":"v1","kind":"C",{metadata}}}]"#
    );
    let refused = folder.record("kubernetes", twice.as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("twice"), "{refused}");
}

/// A JSON value, changed at a place.
pub(crate) fn changed(value: &Value, pointer: &str, to: Value) -> Value {
    let mut value = value.clone();
    if let Some(place) = value.pointer_mut(pointer) {
        *place = to;
    } else {
        let (above, name) = pointer.rsplit_once('/').unwrap();
        value.pointer_mut(above).unwrap()[name] = to;
    }
    value
}
