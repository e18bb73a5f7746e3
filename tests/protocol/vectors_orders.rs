//! Bundles of releases under break-glass orders, and of releases that were approved again. SPEC.md
//! sections 9 and 10.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    vectors::{Cases, judged, number_of, text_of},
    vectors_bundle::{Verifier, whole},
};

/// Goal: by what a release stands, and until when, is what a second implementation says. Method:
/// its bundles, at the second before an order expires and as it does; steps 3 to 7 are one here.
#[test]
fn releases_stand_by_signers_orders_and_approvals_as_the_second_implementation_says() {
    let mut stands = BTreeMap::<String, usize>::new();
    Cases::of("orders.json").each(&["good", "container", "proofs"], |cases, case| {
        let (case, bytes) = &whole(cases, case);
        let verifier = Verifier::of(case);
        let found = verifier.verify(bytes);
        let step = found.as_ref().err().map(|(step, _)| *step);
        if let Some(verified) = judged(case, found.map_err(|(_, reason)| reason)) {
            verified.compare(case, &verifier);
            *stands.entry(text_of(case, "stands_by").into()).or_default() += 1;
            return "good".to_owned();
        }
        assert_eq!(
            step,
            Some(number_of(case, "step").min(3)),
            "{}",
            case["name"]
        );
        let refused_at = if step == Some(0) {
            "container"
        } else {
            "proofs"
        };
        refused_at.to_owned()
    });
    assert!(
        stands.len() == 3 && stands.values().all(|count| *count > 5),
        "{stands:?}"
    );
}

/// Goal: no line of the new kinds can be left out of the vectors unseen. Method: each reason that
/// can come of them is met by some case.
#[test]
fn every_refusal_of_orders_and_approvals_has_a_vector() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../proto/vectors/orders.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    for code in [
        "BAD_SIGNATURE",
        "BREAK_GLASS_EXPIRED",
        "BREAK_GLASS_UNKNOWN",
        "BUNDLE_SYNTAX",
        "DOCUMENT_MISMATCH",
        "INCLUSION_UNPROVEN",
        "ROW_MISMATCH",
        "SIGNER_COMPROMISED",
        "TOO_FEW_APPROVALS",
        "TOO_FEW_SIGNATURES",
        "UNKNOWN_SIGNER",
        "WRONG_LEDGER",
    ] {
        assert!(cases.iter().any(|case| case["reason"] == code), "{code}");
    }
}
