//! What is proven of a host. SPEC.md section 9, behind step 7.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    hash::{Index, KeyId, NodeHash},
    reason::Reason,
    verify::{EntryEvidence, HostEvidence, PolicyEvidence, ProvenHost, host},
};
use serde_json::{Value, json};

use crate::{
    vectors::{Cases, base64_of, hash_of, judged, number_of},
    vectors_bundle::trust,
};

/// A case with what it has of its base; a proof tells what differs, member by member.
fn whole(cases: &Cases, case: &Value) -> Value {
    let Some(base) = case["base"].as_str() else {
        return case.clone();
    };
    let mut merged = cases.named(base).clone();
    let mut own = case.as_object().unwrap().clone();
    let changed = own.remove("proof").unwrap();
    let changed = changed.as_object().unwrap().clone();
    merged["proof"].as_object_mut().unwrap().extend(changed);
    merged.as_object_mut().unwrap().extend(own);
    merged
}

fn hashes(told: &Value, field: &str) -> Vec<NodeHash> {
    let bytes = base64_of(told, field);
    let (hashes, rest) = bytes.as_chunks::<32>();
    assert!(rest.is_empty(), "{field}");
    hashes.iter().copied().map(NodeHash).collect()
}

fn policy(told: &Value) -> PolicyEvidence {
    PolicyEvidence {
        index: Index(number_of(told, "index")),
        entry: base64_of(told, "leaf_base64"),
        document: base64_of(told, "document_base64"),
        inclusion: hashes(told, "inclusion_base64"),
    }
}

fn newest(told: &Value) -> EntryEvidence {
    let PolicyEvidence {
        index,
        entry,
        document,
        inclusion,
    } = policy(told);
    EntryEvidence {
        index,
        entry,
        document,
        inclusion,
    }
}

fn evidence(proof: &Value) -> HostEvidence {
    let policies = proof["policies"].as_array().unwrap();
    HostEvidence {
        map_record: base64_of(proof, "map_record_base64"),
        map_record_inclusion: hashes(proof, "map_record_inclusion_base64"),
        row: base64_of(proof, "row_base64"),
        row_proof: base64_of(proof, "row_proof_base64"),
        policy_row: base64_of(proof, "policy_row_base64"),
        policy_proof: base64_of(proof, "policy_proof_base64"),
        policies: policies.iter().map(policy).collect(),
        newest: proof["newest"]
            .is_object()
            .then(|| newest(&proof["newest"])),
    }
}

fn proven(case: &Value) -> Result<Option<ProvenHost>, Reason> {
    let (trust, proof) = (trust(&case["trust"]), &case["proof"]);
    let note = STANDARD.decode(proof["checkpoint_base64"].as_str().unwrap());
    let head = SignedCheckpoint::parse(&note.unwrap())
        .and_then(|signed| signed.authenticate(&trust, number_of(case, "now")))
        .map_err(|error| error.reason())?;
    let id = KeyId(hash_of(case, "host_hex"));
    host(&trust, &head.trust_first(), &id, &evidence(proof)).map_err(|error| error.reason())
}

fn compare(case: &Value, host: &ProvenHost) {
    let record = host.record();
    let signers: Vec<_> = host.signers().iter().map(|(_, keyid)| keyid).collect();
    let found = json!({
        "present": true,
        "index": host.index().0,
        "number": host.enrolment().number,
        "action": host.enrolment().action.as_str(),
        "host_name": record.name.to_string(),
        "environment": record.environment.to_string(),
        "signers_hex": signers,
    });
    for (name, value) in found.as_object().unwrap() {
        assert_eq!(*value, case[name], "{name} of {}", case["name"]);
    }
    assert_eq!(host.is_enrolled(), case["action"] == "enrol");
}

/// Goal: where a host stands, and that one stands nowhere, is proven as a second implementation
/// proves it. Method: its proofs, changes of them, and those of a log that broke the rules.
#[test]
fn hosts_are_proven_as_the_second_implementation_proves_them() {
    Cases::of("hosts.json").each(&["present", "absent", "refused"], |cases, case| {
        let case = whole(cases, case);
        match judged(&case, proven(&case)) {
            None => "refused",
            Some(None) => {
                assert_eq!(case["present"], false);
                "absent"
            }
            Some(Some(host)) => {
                compare(&case, &host);
                "present"
            }
        }
        .to_owned()
    });
}
