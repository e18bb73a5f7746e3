//! Strict Ed25519. SPEC.md section 2.

use cairn_proto::key::PublicKey;

use crate::vectors::{Cases, hash_of, hex_of, is_good, text_of};

#[test]
fn keys_and_signatures_on_which_verifiers_disagree_are_judged_as_the_spec_says() {
    Cases::of("ed25519.json").each(&["good", "bad signature", "bad key"], |_, case| {
        let name = text_of(case, "name");
        let key = PublicKey::parse(&hash_of(case, "public_hex"));
        assert_eq!(key.is_ok(), case["key_ok"].as_bool().unwrap(), "{name}");
        let Ok(key) = key else {
            assert!(!is_good(case), "{name}");
            return "bad key".to_owned();
        };
        // The types admit no signature of another length.
        let signature = <[u8; 64]>::try_from(hex_of(case, "signature_hex"));
        let message = hex_of(case, "message_hex");
        let verified = signature.is_ok_and(|signature| key.verify(&message, &signature).is_ok());
        assert_eq!(verified, is_good(case), "{name}");
        if verified { "good" } else { "bad signature" }.to_owned()
    });
}
