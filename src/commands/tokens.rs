//! `cairn key` for keys on PKCS#11 tokens.
//!
//! Invariant: nothing that is printed says where a PIN is, let alone what it is.

use cairn_client::keys::{self, KeySpec, Listed, TokenUri};
use serde_json::{Value, json};

use super::keys::base64_of;
use crate::{failure::Failure, session::Session};

/// `cairn key list`
pub(super) fn list(session: &Session, uri: &str) -> Result<u8, Failure> {
    let KeySpec::Token(uri) = uri.parse()? else {
        let fix = "Write pkcs11:?module-path=/FILE, and more to see less.";
        return Err(Failure::usage("this is no pkcs11: URI").mended_by(fix));
    };
    let listed = keys::list_tokens(&uri, session)?;
    let shown: Vec<Value> = listed.iter().map(json_of).collect();
    session
        .output
        .json(&json!({ "schema": "cairn.keys/v1", "keys": shown }));
    let output = session.output;
    for Listed { uri, public_key } in &listed {
        output.fact("Key", uri);
        match public_key {
            Some(key) => {
                output.fact("Public", base64_of(key));
                output.fact("Key id", key.id());
            }
            None => output.fact("Public", "none that could be used"),
        }
    }
    if listed.is_empty() {
        output.fact(
            "Keys",
            "none; some tokens show theirs only with a pin-source",
        );
    }
    Ok(0)
}

fn json_of(listed: &Listed) -> Value {
    let key = listed.public_key.as_ref();
    json!({
        "uri": listed.uri,
        "public": key.map(base64_of),
        "keyid": key.map(|key| key.id().to_string()),
    })
}

/// `cairn key new`
pub(super) fn new(session: &Session, uri: &TokenUri, locked: bool) -> Result<u8, Failure> {
    if locked {
        let fix = "Leave --passphrase out: the token asks for its PIN.";
        return Err(Failure::usage("a key on a token has no passphrase").mended_by(fix));
    }
    let made = keys::new_token_key(uri, session)?;
    let mut shown = json_of(&made);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("schema".to_owned(), json!("cairn.key/v1"));
    }
    session.output.json(&shown);
    let output = session.output;
    output.fact("Made", format_args!("{}, and saw it sign", made.uri));
    if let Some(public) = &made.public_key {
        let public_text = base64_of(public);
        output.fact("Public", &public_text);
        output.fact("Key id", public.id());
        let next = format!("cairn init --deployer NAME={public_text}:PATTERN");
        output.fact("Next", next);
    }
    Ok(0)
}
