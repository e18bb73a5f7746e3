//! Canonical JSON. SPEC.md section 1.

use cairn_proto::json::parse_canonical;

use crate::vectors::{Cases, base64_of, judged};

#[test]
fn json_is_accepted_in_its_one_spelling_and_refused_for_the_stated_reason() {
    Cases::of("json.json").each(&["text"], |_, case| {
        let bytes = base64_of(case, "text_base64");
        let parsed = parse_canonical(&bytes).map_err(|error| error.reason);
        if let Some(value) = judged(case, parsed) {
            assert_eq!(value.encode(), bytes);
        }
        "text".to_owned()
    });
}
