//! Verifier keys and checkpoints. SPEC.md sections 6 and 9.1.

use cairn_proto::{
    checkpoint::{AuthenticCheckpoint, SignedCheckpoint},
    hash::LeafHash,
    key::{SecretKey, Signer as _},
    note::{SignatureType, VerifierKey, VkeyError},
    reason::Reason,
    trust::{Cosigners, Trust},
};
use serde_json::Value;

use crate::vectors::{Cases, base64_of, judged, number_of, text_of};

fn vkey(case: &Value) {
    let parsed = text_of(case, "vkey").parse::<VerifierKey>();
    let Some(key) = judged(case, parsed.map_err(VkeyError::reason)) else {
        return;
    };
    assert_eq!(key.to_string(), text_of(case, "vkey"));
    assert_eq!(key.name(), text_of(case, "key_name"));
    assert_eq!(hex::encode(key.id()), text_of(case, "key_id_hex"));
    assert_eq!(
        hex::encode(key.key().as_bytes()),
        text_of(case, "public_hex")
    );
    let kind = match key.kind() {
        SignatureType::Ed25519 => 1,
        SignatureType::Cosignature => 4,
    };
    assert_eq!(kind, number_of(case, "key_type"));
}

/// The auditors, or the witnesses, that a case pins. Where there cannot be such, SPEC.md names no
/// code unless a key is none.
fn cosigners(told: &Value) -> Result<Option<Cosigners>, Reason> {
    if told.is_null() {
        return Ok(None);
    }
    let keys = told["keys"].as_array().unwrap().iter();
    let keys = keys.map(|key| key.as_str().unwrap().parse::<VerifierKey>());
    let keys = keys.collect::<Result<Vec<_>, _>>();
    let quorum = told["quorum"].as_u64().ok_or(Reason::Usage)?;
    let quorum = usize::try_from(quorum).unwrap();
    let cosigners = Cosigners::new(keys.map_err(VkeyError::reason)?, quorum);
    Ok(Some(cosigners.map_err(|_| Reason::Usage)?))
}

fn trust(case: &Value) -> Trust {
    let log: VerifierKey = text_of(case, "log_vkey").parse().unwrap();
    let clock = if let Some(text) = case["clock_vkey"].as_str() {
        text.parse().unwrap()
    } else {
        // A verifier pins some clock key; this one signed nothing.
        let name = format!("{}/clock", log.name());
        let key = SecretKey::from_seed(&[7; 32]).unwrap().public_key();
        VerifierKey::new(&name, SignatureType::Cosignature, key).unwrap()
    };
    let origin = log.name().parse().unwrap();
    Trust::new(origin, log, clock, LeafHash([0; 32])).unwrap()
}

fn open(note: &[u8], case: &Value) -> Result<AuthenticCheckpoint, Reason> {
    let mut trust = trust(case);
    if let Some(auditors) = cosigners(&case["auditors"])? {
        trust = trust.with_auditors(auditors).map_err(|_| Reason::Usage)?;
    }
    if let Some(witnesses) = cosigners(&case["witnesses"])? {
        trust = trust.with_witnesses(witnesses).map_err(|_| Reason::Usage)?;
    }
    SignedCheckpoint::parse(note)
        .and_then(|note| note.authenticate(&trust, number_of(case, "now")))
        .map_err(|error| error.reason())
}

fn check_audited(head: &AuthenticCheckpoint, case: &Value) {
    if case["auditors"].is_null() {
        assert_eq!((head.audited(), head.lacks_auditors()), (None, None));
        return;
    }
    let audited = case["audited"].as_u64();
    assert_eq!(head.audited().map(|it| it as u64), audited, "{case}");
    let counted = number_of(case, "audited_by");
    let quorum = number_of(&case["auditors"], "quorum");
    let lacks = head.lacks_auditors();
    let lacks = lacks.map(|(found, needed)| (found as u64, needed as u64));
    let expected = audited.is_none().then_some((counted, quorum));
    assert_eq!(lacks, expected, "{case}");
    assert_eq!(audited.unwrap_or(counted), counted, "{case}");
}

fn check_witnessed(head: &AuthenticCheckpoint, case: &Value) {
    if case["witnesses"].is_null() {
        assert_eq!(head.witnesses(None), None);
        return;
    }
    let counted = number_of(case, "witnessed_by");
    let quorum = number_of(&case["witnesses"], "quorum");
    let (found, needed) = head.witnesses(None).unwrap();
    assert_eq!((found as u64, needed as u64), (counted, quorum), "{case}");
    let lacks = head.lacks_witnesses(None).is_some();
    assert_eq!(lacks, case["witnessed"].is_null(), "{case}");
    let enough = case["witnessed"].as_u64();
    assert_eq!(enough.unwrap_or(counted), counted, "{case}");
    // A policy's number raises the quorum and does not lower it.
    let more = head.witnesses(Some(needed + 1)).unwrap();
    let fewer = head.witnesses(Some(1)).unwrap();
    assert_eq!((more, fewer), ((found, needed + 1), (found, needed)));
}

#[test]
fn verifier_keys_and_notes_are_judged_as_the_spec_says() {
    Cases::of("notes.json").each(&["vkey", "note"], |cases, case| {
        if case["vkey"].is_string() {
            vkey(case);
            return "vkey".to_owned();
        }
        let note = if case["note_base64"].is_string() {
            base64_of(case, "note_base64")
        } else {
            cases.told("note", case)
        };
        if let Some(head) = judged(case, open(&note, case)) {
            check_audited(&head, case);
            assert_eq!(head.bytes(), note);
            assert_eq!(head.size().0, number_of(case, "size"));
            assert_eq!(head.root().to_string(), text_of(case, "root_hex"));
            check_witnessed(&head, case);
            // Where enough auditors vouch, the time is theirs: bundle.json has ages.
            let time = &case["time"];
            if !time.is_null() || (!case["witnesses"].is_null() && head.audited().is_none()) {
                assert_eq!(head.time(), time.as_u64(), "{case}");
            } else if head.audited().is_none() {
                assert_eq!(head.time(), case["clock_time"].as_u64(), "{case}");
            }
        }
        "note".to_owned()
    });
}
