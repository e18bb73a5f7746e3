//! Policies, manifests, tree listings, withheld values. SPEC.md sections 4 and 5.

use cairn_proto::{
    host::HostRecord,
    limits::TREE_BYTES_MAX,
    manifest::{Manifest, ManifestError},
    order::OrderDocument,
    policy::Policy,
    reason::Reason,
    secret::TagKey,
    statement::{OrderKind, Subject},
    tree::Tree,
};
use serde_json::Value;

use crate::vectors::{Cases, hash_of, hex_of, judged, text_of};

/// The kind of a document and what it encodes to again, with what else the case states.
fn decode(kind: &str, bytes: &[u8], case: &Value) -> Result<Vec<u8>, Reason> {
    match kind {
        "policy" => {
            let policy = Policy::decode(bytes).map_err(|error| error.reason)?;
            Ok(policy.encode())
        }
        "host" => {
            let record = HostRecord::decode(bytes).map_err(|error| error.reason)?;
            Ok(record.encode())
        }
        "redaction" => order(OrderKind::Redaction, bytes),
        "break-glass" => order(OrderKind::BreakGlass, bytes),
        "key-succession" => order(OrderKind::KeySuccession, bytes),
        "tree" => {
            let tree = Tree::decode(bytes).map_err(|error| error.reason)?;
            Ok(tree.encode())
        }
        "manifest" => {
            let manifest =
                Manifest::decode(bytes).map_err(|error| ManifestError::reason(&error))?;
            let digest = manifest.artifacts_digest().to_string();
            assert_eq!(Some(&*digest), case["artifacts_digest_hex"].as_str());
            let set: Vec<_> = manifest
                .sha256_set()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(Value::from(set), case["digest_set_hex"]);
            if let Some(name) = case["ignored_of"].as_str() {
                let name = name.parse().unwrap();
                let mut ignored: Vec<_> = manifest.comparison().pointers(&name).collect();
                ignored.sort_unstable();
                ignored.dedup();
                assert_eq!(Value::from(ignored), case["ignored"]);
            }
            Ok(manifest.encode())
        }
        other => panic!("unknown kind {other}"),
    }
}

fn order(kind: OrderKind, bytes: &[u8]) -> Result<Vec<u8>, Reason> {
    let order = OrderDocument::decode(kind, bytes).map_err(|error| error.reason)?;
    assert_eq!(order.kind(), kind);
    Ok(order.encode())
}

fn withheld(case: &Value) {
    let value = hex_of(case, "value_hex");
    let key = TagKey::new(hash_of(case, "key_hex"));
    let environment = text_of(case, "environment").parse().unwrap();
    let artifact = text_of(case, "artifact").parse().unwrap();
    let size = u64::try_from(value.len()).unwrap();
    let mut tagger = key.tagger(&environment, &artifact, text_of(case, "pointer"), size);
    for byte in value {
        tagger.update(&[byte]);
    }
    let found = tagger.finish();
    assert_eq!(hex::encode(found.key_id), text_of(case, "key_id_hex"));
    assert_eq!(hex::encode(found.tag), text_of(case, "tag_hex"));
    if case["within"] == "object" {
        assert_eq!(found.in_object(), text_of(case, "within_text"));
    }
}

#[test]
fn documents_are_accepted_in_their_one_spelling_and_refused_for_the_stated_reason() {
    let orders = ["redaction", "break-glass", "key-succession"];
    let kinds = [
        &["policy", "manifest", "tree", "withheld", "host"],
        &orders[..],
    ]
    .concat();
    Cases::of("documents.json").each(&kinds, |cases, case| {
        let kind = text_of(case, "kind");
        if kind == "withheld" {
            withheld(case);
            return kind.to_owned();
        }
        let bytes = cases.told("document", case);
        if let Some(again) = judged(case, decode(kind, &bytes, case)) {
            assert_eq!(again, bytes);
            let subject = Subject::of(&bytes);
            assert_eq!(subject.blake3.to_string(), text_of(case, "blake3_hex"));
            assert_eq!(subject.sha256.to_string(), text_of(case, "sha256_hex"));
        }
        kind.to_owned()
    });
}

/// Goal: the bound that is too large for a vector file. Method: zeros, which cost no memory
/// unless they are read.
#[test]
fn a_listing_over_its_bound_is_refused_unread() {
    let refused = Tree::decode(&vec![0; TREE_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(refused.reason, Reason::DocumentTooLarge);
}
