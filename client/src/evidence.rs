//! Evidence of tampering, kept as files that convince third parties (`cairn.evidence/v1`).
//!
//! Invariant: evidence is only ever added; no file here is replaced or removed, and the
//! saved checkpoint stays where it is.

mod judge;

use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::{
    checkpoint::{Fork, SignedCheckpoint},
    hash::NodeHash,
    manifest::Digests,
    name::Environment,
    trust::Trust,
    verify::Evidence,
};
use serde_json::{Value, json};

pub use judge::{Finding, judge};

use crate::{error::HomeError, files, home::Home, read::Want};

/// Files of one second and size before giving up on a free name.
const NAMES_MAX: usize = 1_000;

/// Where evidence against one ledger is kept.
#[derive(Debug, Clone)]
pub(crate) struct EvidenceStore {
    directory: PathBuf,
    trust: Trust,
}

/// A fork, and what shows it where the two sizes differ: a consistency proof from
/// `recomputed` at the smaller size to the larger note's own root.
#[derive(Debug)]
pub(crate) struct ForkEvidence<'a> {
    pub(crate) fork: &'a Fork,
    pub(crate) proof: &'a [NodeHash],
}

impl EvidenceStore {
    pub(crate) fn new(home: &Home, trust: &Trust) -> Self {
        Self {
            directory: home.evidence_directory(),
            trust: trust.clone(),
        }
    }

    /// Keeps both notes of a fork.
    pub(crate) fn fork(&self, evidence: &ForkEvidence<'_>, now: u64) -> Result<PathBuf, HomeError> {
        let fork = evidence.fork;
        let size = claimed_size(&fork.offered);
        let proof: Vec<_> = evidence.proof.iter().map(ToString::to_string).collect();
        let body = json!({
            "held": text(&fork.held),
            "offered": text(&fork.offered),
            "recomputedRoot": fork.recomputed.map(|root| root.to_string()),
            "recomputedProof": proof,
        });
        self.keep("fork", "FORKED", size, &body, now)
    }

    /// Keeps an answer whose bytes contradict the checkpoint that came with it.
    pub(crate) fn contradiction(
        &self,
        reason: &str,
        (environment, note): (&Environment, &[u8]),
        evidence: &Evidence,
        now: u64,
    ) -> Result<PathBuf, HomeError> {
        let release = evidence.release.as_ref().map(|release| {
            json!({
                "index": release.index.0,
                "entry": encode(&release.entry),
                "inclusion": hashes(&release.inclusion),
                "manifest": encode(&release.manifest),
            })
        });
        let policies: Vec<_> = evidence
            .policies
            .iter()
            .map(|policy| {
                json!({
                    "index": policy.index.0,
                    "entry": encode(&policy.entry),
                    "document": encode(&policy.document),
                    "inclusion": hashes(&policy.inclusion),
                })
            })
            .collect();
        let body = json!({
            "environment": environment.to_string(),
            "offered": text(note),
            "mapRecord": encode(&evidence.map_record),
            "mapRecordInclusion": hashes(&evidence.map_record_inclusion),
            "environmentRow": encode(&evidence.environment_row),
            "environmentProof": encode(&evidence.environment_proof),
            "policyRow": encode(&evidence.policy_row),
            "policyProof": encode(&evidence.policy_proof),
            "policies": policies,
            "release": release,
        });
        self.keep("contradiction", reason, claimed_size(note), &body, now)
    }

    /// Keeps one leaf and its document as they were served.
    pub(crate) fn leaf(
        &self,
        reason: &str,
        note: &[u8],
        leaf: &LeafEvidence<'_>,
        now: u64,
    ) -> Result<PathBuf, HomeError> {
        let body = json!({
            "offered": text(note),
            "index": leaf.index,
            "entry": encode(leaf.entry),
            "document": encode(leaf.document),
            "inclusion": hashes(leaf.inclusion),
        });
        self.keep("leaf", reason, claimed_size(note), &body, now)
    }

    /// Keeps what is known of content that does not hash. The bytes may be private and are
    /// not kept.
    pub(crate) fn content(
        &self,
        want: &Want<'_>,
        length: u64,
        found: &Digests,
        now: u64,
    ) -> Result<PathBuf, HomeError> {
        let digests = |digests: &Digests| {
            json!({
                "blake3": digests.blake3.to_string(),
                "sha256": digests.sha256.to_string(),
            })
        };
        let body = json!({
            "environment": want.environment.to_string(),
            "sequence": want.sequence.0,
            "artifact": want.name,
            "recorded": { "digests": digests(&want.digests), "size": want.size },
            "received": { "digests": digests(found), "size": length },
        });
        self.keep("content", "CONTENT_MISMATCH", want.size, &body, now)
    }

    fn keep(
        &self,
        kind: &str,
        reason: &str,
        size: u64,
        body: &Value,
        now: u64,
    ) -> Result<PathBuf, HomeError> {
        let file = json!({
            "schema": "cairn.evidence/v1",
            "kind": kind,
            "reason": reason,
            "origin": self.trust.origin().to_string(),
            "logKey": self.trust.log_key().to_string(),
            "genesis": self.trust.genesis().to_string(),
            "savedAt": crate::clock::time_text(now),
            "evidence": body,
        });
        // A tree of strings and numbers cannot fail to be written into memory.
        let mut bytes = serde_json::to_vec_pretty(&file).unwrap_or_default();
        bytes.push(b'\n');
        let stamp = crate::clock::time_text(now).replace([':', '-'], "");
        for number in 0..NAMES_MAX {
            let suffix = match number {
                0 => String::new(),
                number => format!("-{number}"),
            };
            let path = self
                .directory
                .join(format!("{kind}-{stamp}-{size}{suffix}.json"));
            if files::create(&path, &bytes)? {
                return Ok(path);
            }
        }
        Err(HomeError::Locked {
            path: self.directory.clone(),
        })
    }
}

/// A leaf as it was served.
#[derive(Debug)]
pub(crate) struct LeafEvidence<'a> {
    pub(crate) index: u64,
    pub(crate) entry: &'a [u8],
    pub(crate) document: &'a [u8],
    pub(crate) inclusion: &'a [NodeHash],
}

fn claimed_size(note: &[u8]) -> u64 {
    SignedCheckpoint::parse(note).map_or(0, |note| note.claimed_size().0)
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A note is UTF-8 by its syntax.
fn text(note: &[u8]) -> String {
    String::from_utf8_lossy(note).into_owned()
}

fn hashes(hashes: &[NodeHash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}
