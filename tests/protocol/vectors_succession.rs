//! Other keys of a log: which sign which sizes, and how a verifier learns of them. SPEC.md sections 6,
//! 9 and 9.1.

use cairn_proto::{checkpoint::SignedCheckpoint, trust::Trust};
use serde_json::{Value, json};

use crate::{
    vectors::{Cases, judged, number_of, text_of},
    vectors_bundle::{Verifier, trust, whole},
};

fn note(case: &Value) {
    let signed = SignedCheckpoint::parse(text_of(case, "note_text").as_bytes());
    let (trust, now) = (trust(&case["trust"]), number_of(case, "now"));
    let head = signed.and_then(|signed| signed.authenticate(&trust, now));
    if let Some(head) = judged(case, head.map_err(|error| error.reason())) {
        assert_eq!(head.size().0, number_of(case, "size"));
        assert_eq!(head.time(), case["clock_time"].as_u64());
    }
}

fn bundle(case: &Value, bytes: &[u8]) -> Option<()> {
    let learnt = Verifier::of(case).succeeded(bytes);
    let found = learnt.and_then(|after| Ok((after.verify(bytes)?, after)));
    if let Err((step, _)) = found {
        let told = &case["step"];
        let by_orders = told == "9.1";
        // Steps 3 to 7 are not told apart.
        let told = told.as_u64().map_or(9, |step| step.min(3));
        assert_eq!((step, step == 9), (told, by_orders), "{}", case["name"]);
        // Nor does it hold for who passes over the orders.
        assert!(
            Verifier::of(case).verify(bytes).is_err(),
            "{}",
            case["name"]
        );
    }
    let (proven, after) = judged(case, found.map_err(|(_, reason)| reason))?;
    proven.compare(case, &after);
    assert_eq!(successors(after.trust()), case["successors_after"]);
    Some(())
}

fn successors(trust: &Trust) -> Value {
    let eras = trust.later_keys().iter();
    let told = eras.map(|era| {
        json!({
            "after": era.after.0,
            "logKey": era.keys.log.to_string(),
            "clockKey": era.keys.clock.to_string(),
        })
    });
    told.collect()
}

/// Goal: a verifier takes to other keys, and to notes by them, where a second implementation does.
/// Method: its notes at both sides of every bound, and its bundles with honest and other orders.
#[test]
fn other_keys_are_followed_as_the_second_implementation_follows_them() {
    Cases::of("succession.json").each(&["note", "good", "refused"], |cases, case| {
        if text_of(case, "op") == "note" {
            note(case);
            return "note".to_owned();
        }
        let (case, bytes) = &whole(cases, case);
        let followed = bundle(case, bytes);
        followed.map_or("refused", |()| "good").to_owned()
    });
}
