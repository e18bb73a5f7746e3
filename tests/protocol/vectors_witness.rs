//! witness.json: what a witness answers to a submission, and what a log takes from an answer.

use cairn_proto::{
    hash::{RootHash, TreeSize},
    key::SecretKey,
    note::VerifierKey,
    witness::{Answer, Head, Refused, Submission, WitnessedLog, answered, consider},
};
use serde_json::{Value, json};

use crate::vectors::{Cases, base64_of, number_of, text_of};

fn key(text: &Value) -> VerifierKey {
    text.as_str().unwrap().parse().unwrap()
}

fn head(latest: &Value) -> Option<Head> {
    let size = TreeSize(latest["size"].as_u64()?);
    let root: RootHash = text_of(latest, "root_hex").parse().unwrap();
    Some(Head { size, root })
}

/// Goal: this witness answers as the second implementation's does, and this log takes from an
/// answer what that one takes.
#[test]
fn submissions_and_answers_are_judged_as_the_spec_says() {
    Cases::of("witness.json").each(&["submission", "answer"], |_, case| {
        let kind = text_of(case, "kind");
        let found = match kind {
            "submission" => submitted(case),
            _ => taken(case),
        };
        let name = text_of(case, "name");
        for (member, value) in found.as_object().unwrap() {
            assert_eq!(&case[member], value, "{kind} {name}: {member}");
        }
        kind.to_owned()
    });
}

fn submitted(case: &Value) -> Value {
    let listed = case["logs"].as_array().unwrap();
    let logs: Vec<_> = listed
        .iter()
        .map(|log| WitnessedLog {
            origin: text_of(log, "origin_text").to_owned(),
            keys: log["vkeys"].as_array().unwrap().iter().map(key).collect(),
        })
        .collect();
    let latest = |origin: &str| {
        let log = listed.iter().find(|log| log["origin_text"] == origin);
        head(&log.unwrap()["latest"])
    };
    let judged = Submission::decode(&base64_of(case, "body_base64"))
        .and_then(|submission| consider(&submission, &logs, latest));
    let accepted = match judged {
        Ok(accepted) => accepted,
        Err(refused @ Refused::Conflict { latest }) => {
            return json!({"status": refused.status(), "size": latest.0});
        }
        Err(refused) => return json!({"status": refused.status()}),
    };
    let mut seed = [0; 32];
    hex::decode_to_slice(text_of(case, "witness_seed_hex"), &mut seed).unwrap();
    let secret = SecretKey::from_seed(&seed).unwrap();
    let name = key(&case["witness_vkey"]).name().to_owned();
    let line = accepted.cosign(&name, number_of(case, "time"), &secret);
    json!({
        "status": 200,
        "origin_text": accepted.origin(),
        "size": accepted.head().size.0,
        "root_hex": accepted.head().root.to_string(),
        "line_text": line.unwrap(),
    })
}

fn taken(case: &Value) -> Value {
    let (text, _) = text_of(case, "note_text").rsplit_once("\n\n").unwrap();
    let status = u16::try_from(number_of(case, "status")).unwrap();
    let body = base64_of(case, "body_base64");
    let now = number_of(case, "now");
    match answered(status, &body, &format!("{text}\n"), &key(&case["key"]), now) {
        Answer::Cosigned { line, time } => {
            json!({"outcome": "cosigned", "line_text": line, "time": time})
        }
        Answer::From(size) => json!({"outcome": "from", "size": size.0}),
        Answer::Contradicts => json!({"outcome": "contradicts"}),
        Answer::Busy => json!({"outcome": "busy"}),
        Answer::Useless(_) => json!({"outcome": "useless"}),
    }
}
