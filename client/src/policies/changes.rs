//! What a new policy changes, in words: what an admin signs must be readable.

use cairn_proto::{
    key::PublicKey,
    policy::{Deployer, NamedKey, Policy, Revocation},
};

/// Digits of a keyid: enough to tell keys apart by eye.
const KEYID_DIGITS: usize = 16;

/// One line for each thing that changes from one policy to the next: `+` came, `-` went.
pub fn changes(before: &Policy, after: &Policy) -> Vec<String> {
    let mut lines = Vec::new();
    if before.threshold != after.threshold {
        lines.push(format!(
            "~ {} of {} admins must sign the next policy (before: {} of {})",
            after.threshold,
            after.admins.len(),
            before.threshold,
            before.admins.len()
        ));
    }
    compare(&mut lines, &before.admins, &after.admins, admin_text);
    compare(
        &mut lines,
        &before.deployers,
        &after.deployers,
        deployer_text,
    );
    compare(&mut lines, &before.rules, &after.rules, ToString::to_string);
    compare(&mut lines, &before.revoked, &after.revoked, revocation_text);
    lines
}

fn compare<T: PartialEq>(
    lines: &mut Vec<String>,
    before: &[T],
    after: &[T],
    text: impl Fn(&T) -> String,
) {
    let gone = before.iter().filter(|item| !after.contains(item));
    lines.extend(gone.map(|item| format!("- {}", text(item))));
    let new = after.iter().filter(|item| !before.contains(item));
    lines.extend(new.map(|item| format!("+ {}", text(item))));
}

fn keyid(key: &PublicKey) -> String {
    key.id().to_string().chars().take(KEYID_DIGITS).collect()
}

fn admin_text(admin: &NamedKey) -> String {
    format!("admin {} ({})", admin.name, keyid(&admin.key))
}

fn deployer_text(deployer: &Deployer) -> String {
    let actions: Vec<_> = deployer
        .actions
        .iter()
        .map(|action| action.as_str())
        .collect();
    let patterns: Vec<_> = deployer
        .environments
        .iter()
        .map(ToString::to_string)
        .collect();
    format!(
        "deployer {} ({}) may {} in {}",
        deployer.name,
        keyid(&deployer.key),
        actions.join(", "),
        patterns.join(", ")
    )
}

fn revocation_text(revocation: &Revocation) -> String {
    let since = match revocation.since {
        Some(since) => format!("whatever it signed from entry {since} on counts for nothing"),
        None => "what it signed before stands".to_owned(),
    };
    let key = keyid(&revocation.key);
    match &revocation.reason {
        Some(reason) => format!("revoked key {key}: {since} ({reason:?})"),
        None => format!("revoked key {key}: {since}"),
    }
}
