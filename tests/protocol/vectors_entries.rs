//! Entries: envelopes, statements, predicates, map records. SPEC.md sections 3 and 8.5.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::{
    entry::Leaf,
    hash::{ContentId, LeafHash},
    json::Value as Canonical,
    statement::Predicate,
};
use serde_json::Value;

use crate::vectors::{Cases, judged, text_of};

/// The entry as it is, or the envelope of a payload with one signature of zeros.
fn entry(cases: &Cases, case: &Value) -> Vec<u8> {
    if case["entry_text"].is_string() || case["entry_base"].is_string() {
        return cases.told("entry", case);
    }
    let payload = cases.told("payload", case);
    let signature = Canonical::object([
        ("keyid", Canonical::text("0".repeat(64))),
        ("sig", Canonical::text(STANDARD.encode([0; 64]))),
    ]);
    let kind = "application/vnd.in-toto+json";
    Canonical::object([
        ("payload", Canonical::text(STANDARD.encode(payload))),
        ("payloadType", Canonical::text(kind)),
        ("signatures", Canonical::Array(vec![signature])),
    ])
    .encode()
}

fn accepted(case: &Value, bytes: &[u8], leaf: &Leaf) {
    let name = text_of(case, "name");
    let hash = LeafHash::of(bytes).to_string();
    assert_eq!(hash, text_of(case, "leaf_hash_hex"));
    let kind = match leaf {
        Leaf::MapRecord(record) => {
            assert_eq!(record.encode(), bytes, "{name}");
            "map record"
        }
        Leaf::Entry(entry) => {
            let envelope = entry.envelope();
            assert_eq!(entry.leaf().to_string(), hash);
            assert_eq!(envelope.encode(), bytes, "{name}");
            assert_eq!(entry.statement().encode(), envelope.payload(), "{name}");
            let signatures = envelope.signatures().iter();
            let keyids: Vec<_> = signatures.map(|signed| signed.keyid.to_string()).collect();
            assert_eq!(Value::from(keyids), case["keyids_hex"], "{name}");
            let signed = ContentId::of(&envelope.signed_bytes()).to_string();
            assert_eq!(signed, text_of(case, "signed_blake3_hex"), "{name}");
            match entry.statement().predicate {
                Predicate::Genesis(_) => "genesis",
                Predicate::Policy(_) => "policy",
                Predicate::Release(_) => "release",
                Predicate::Approval(_) => "approval",
                Predicate::Enrolment(_) => "enrolment",
                Predicate::Order(order) => order.kind.as_str(),
            }
        }
    };
    assert_eq!(kind, text_of(case, "kind"), "{name}");
}

#[test]
fn entries_are_accepted_in_their_one_spelling_and_refused_for_the_stated_reason() {
    Cases::of("entries.json").each(&["good", "refused"], |cases, case| {
        let bytes = entry(cases, case);
        let decoded = Leaf::decode(&bytes).map_err(|error| error.reason());
        match judged(case, decoded) {
            Some(leaf) => {
                accepted(case, &bytes, &leaf);
                "good".to_owned()
            }
            None => "refused".to_owned(),
        }
    });
}
