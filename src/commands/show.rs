//! What `cairn show` prints: a release, a document, or where a digest was released.
//!
//! Invariant: text that somebody else wrote is escaped before it reaches a terminal.

use cairn_client::{
    detail::printable,
    policies::Policies,
    read::{Erasure, Found, Logged, Proven},
    verdict::Verdict,
};
use cairn_proto::{
    hash::DocumentId,
    manifest::{Artifact, Bytes},
    statement::Action,
};
use serde_json::{Value, json};

use super::read::{act, columns, extend, marked_json, release_json};
use crate::output::{Output, count};

const SCHEMA: &str = "cairn.show/v1";
/// Digits of a digest in a list.
const DIGEST_DIGITS: usize = 12;

/// `blake3:<hex>` of a release's manifest.
pub(super) fn manifest_id(proven: &Proven) -> String {
    format!("blake3:{}", DocumentId::of(&proven.document))
}

/// A release.
pub(super) fn release(output: Output, proven: &Proven, erased: &[Erasure]) {
    let signers = proven.signers.iter();
    let mut shown = json!({
        "schema": SCHEMA,
        "kind": "release",
        "index": proven.index.0,
        "leafHash": proven.leaf.to_string(),
        "signers": signers
            .map(|(name, keyid)| json!({ "name": name, "keyid": keyid }))
            .collect::<Vec<_>>(),
        "manifest": manifest_id(proven),
        "newest": proven.newest.0,
        "current": is_newest(proven),
        "checkpoint": { "size": proven.size.0, "root": proven.root.to_string() },
        "age": proven.age,
    });
    extend(&mut shown, release_json(&proven.release));
    let mut manifest: Value = serde_json::from_slice(&proven.document).unwrap_or_default();
    extend(
        &mut shown,
        json!({
            "artifacts": manifest["artifacts"].take(),
            "comparison": manifest["comparison"].take(),
            "erased": erased,
        }),
    );
    output.json(&shown);
    release_text(output, proven);
    for erasure in erased {
        output.line(format!("  {erasure}"));
    }
}

fn is_newest(proven: &Proven) -> bool {
    proven.release.sequence == proven.newest
}

fn release_text(output: Output, proven: &Proven) {
    let release = &proven.release;
    let standing = match (is_newest(proven), release.action) {
        (true, Action::Retire) => "retired".to_owned(),
        (true, _) => "current".to_owned(),
        (false, _) => format!("superseded by {}#{}", release.environment, proven.newest),
    };
    let age = proven
        .age
        .map(|age| format!(", age {age} s"))
        .unwrap_or_default();
    output.fact(
        "Release",
        format_args!(
            "{}#{}, {standing} as of checkpoint {}{age}",
            release.environment, release.sequence, proven.size
        ),
    );
    output.fact("Action", act(release));
    output.fact("Index", proven.index);
    output.fact("Leaf", proven.leaf);
    for (name, keyid) in &proven.signers {
        output.fact("Signed by", format_args!("{name} ({keyid})"));
    }
    output.fact(
        "Made",
        format_args!("{} by the signer's clock", release.created_at),
    );
    if let Some(reason) = &release.reason {
        output.fact("Reason", printable(reason));
    }
    if let Some(source) = &release.source {
        let run = source.run.as_deref().map(|run| format!(", run {run}"));
        let text = format!(
            "{} {}{}",
            source.tool,
            source.version,
            run.unwrap_or_default()
        );
        output.fact("Source", printable(&text));
    }
    for (name, text) in &release.annotations {
        output.fact(
            "Annotated",
            format_args!("{} = {}", printable(name), printable(text)),
        );
    }
    output.fact("Manifest", manifest_id(proven));
    output.fact("Artifacts", proven.manifest.artifacts().len());
    let artifacts = proven.manifest.artifacts().iter();
    columns(output, &artifacts.map(artifact_row).collect::<Vec<_>>());
}

fn artifact_row(artifact: &Artifact) -> [String; 5] {
    let (size, digest) = match &artifact.bytes {
        Bytes::Stored { digests, size } | Bytes::External { digests, size } => {
            let hex = digests.blake3.to_string();
            let short = hex.get(..DIGEST_DIGITS).unwrap_or_default();
            (format!("{size} bytes"), format!("blake3:{short}"))
        }
        Bytes::Withheld(_) => ("withheld".to_owned(), String::new()),
    };
    [
        format!("  {}", artifact.kind.as_str()),
        printable(artifact.name.as_str()),
        artifact
            .mode
            .map(|mode| mode.to_string())
            .unwrap_or_default(),
        size,
        digest,
    ]
}

/// Where a digest was released; the number is the exit code.
///
/// A digest whose first and last releases both rest on compromised keys is UNTRUSTED.
pub(super) fn digest(output: Output, found: &Found, policies: &Policies) -> u8 {
    let is_struck = |logged: &&Logged| {
        let mut keyids = logged.keyids.iter();
        keyids.any(|keyid| policies.strikes(keyid, logged.index))
    };
    let ends = [&found.first, &found.last];
    let struck = ends.into_iter().flatten().filter(is_struck).count();
    let first = found.first.as_ref();
    let last = found.last.as_ref();
    output.json(&json!({
        "schema": SCHEMA,
        "kind": "digest",
        "sha256": found.sha256.to_string(),
        "released": found.row.is_some(),
        "entries": found.row.map_or(0, |row| row.count),
        "first": first.map(|logged| marked_json(logged, policies)),
        "last": last.map(|logged| marked_json(logged, policies)),
        "map": "asserted",
        "checkpointSize": found.size.0,
    }));
    let Some(row) = &found.row else {
        let verdict = Verdict::Unrecorded;
        output.line(format!(
            "  {verdict}  sha256:{}  was never released",
            found.sha256
        ));
        output.line(format!(
            "              proven under checkpoint {}",
            found.size
        ));
        return verdict.exit_code();
    };
    output.fact("Digest", format_args!("sha256:{}", found.sha256));
    if let Some(first) = first {
        output.fact("First", where_released(first));
    }
    if let Some(last) = last {
        output.fact("Last", where_released(last));
    }
    let entries = usize::try_from(row.count).unwrap_or(usize::MAX);
    let entries = count(entries, "release");
    let text = format!(
        "{entries} brought or dropped it, as of checkpoint {}",
        found.size
    );
    output.fact("In all", text);
    output.fact(
        "Map",
        "asserted: who runs the server could keep a release back",
    );
    if struck == 0 {
        return 0;
    }
    let text = format!("{struck} of the first and the last rest on keys compromised by then");
    output.fact("Revoked", text);
    if struck == 2 {
        return Verdict::Untrusted.exit_code();
    }
    0
}

fn where_released(logged: &Logged) -> String {
    match logged.release() {
        Some(release) => format!(
            "{}#{} at index {}, {}",
            release.environment, release.sequence, logged.index, release.created_at
        ),
        None => format!("index {}", logged.index),
    }
}

/// A document: a manifest or a policy.
pub(super) fn document(output: Output, id: &DocumentId, bytes: &[u8]) {
    let parsed: Option<Value> = serde_json::from_slice(bytes).ok();
    output.json(&json!({
        "schema": SCHEMA,
        "kind": "document",
        "blake3": id.to_string(),
        "bytes": bytes.len(),
        "document": parsed,
    }));
    let pretty = parsed.and_then(|document| serde_json::to_string_pretty(&document).ok());
    let text = pretty.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned());
    text.lines().for_each(|line| output.line(printable(line)));
}
