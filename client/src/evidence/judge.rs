//! What a file of evidence proves to somebody who has the trust file and nothing else.
//!
//! Invariant: nothing counts but what the pinned keys signed and what hashes to that. Whoever made
//! the file is believed in nothing.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::{
    checkpoint::{AuthenticCheckpoint, SignedCheckpoint},
    hash::{Index, NodeHash, RootHash},
    merkle::verify_consistency,
    trust::Trust,
    verify::{Evidence, PolicyEvidence, ReleaseEvidence},
};
use serde::Deserialize;

use super::EvidenceStore;
use crate::{home::Home, ledger::Case};

/// What a file proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The log's key signed two histories: these sizes.
    Forked {
        /// Leaves of the one.
        held: u64,
        /// Leaves of the other.
        offered: u64,
    },
    /// Under a signed head of so many leaves stands what that head contradicts.
    Contradicted {
        /// Leaves of the head.
        size: u64,
        /// What is wrong.
        what: String,
    },
    /// Nothing, to anybody who was not there.
    Nothing {
        /// Why.
        why: String,
    },
}

#[derive(Deserialize)]
struct File {
    schema: String,
    kind: String,
    evidence: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ForkFile {
    held: String,
    offered: String,
    recomputed_root: Option<String>,
    recomputed_proof: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ContradictionFile {
    /// Older files do not say.
    environment: Option<String>,
    offered: String,
    map_record: String,
    map_record_inclusion: Vec<String>,
    environment_row: String,
    environment_proof: String,
    policy_row: String,
    policy_proof: String,
    policies: Vec<PolicyFile>,
    release: Option<ReleaseFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    index: u64,
    entry: String,
    document: String,
    inclusion: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseFile {
    index: u64,
    entry: String,
    inclusion: Vec<String>,
    manifest: String,
}

/// Judges a file of evidence against a ledger that is trusted.
pub fn judge(home: &Home, trust: &Trust, bytes: &[u8]) -> Finding {
    let found = serde_json::from_slice::<File>(bytes)
        .map_err(|error| format!("it is no file of evidence: {error}"))
        .and_then(|file| {
            if file.schema != "cairn.evidence/v1" {
                return Err("its schema needs a newer cairn".to_owned());
            }
            match file.kind.as_str() {
                "fork" => fork(trust, file.evidence),
                "contradiction" => contradiction(home, trust, file.evidence),
                kind => Err(format!(
                    "evidence of the kind `{kind}` is for whoever saved it: it does not hold all \
                     that it takes to convince others"
                )),
            }
        });
    found.unwrap_or_else(|why| Finding::Nothing { why })
}

/// A note that the pinned log signed, whenever that was.
fn signed(trust: &Trust, note: &str, which: &str) -> Result<AuthenticCheckpoint, String> {
    let signed = SignedCheckpoint::parse(note.as_bytes())
        .and_then(|note| note.authenticate(&trust.clone().alone(), u64::MAX));
    signed.map_err(|error| format!("the {which} note is not the ledger's: {error}"))
}

fn fork(trust: &Trust, body: serde_json::Value) -> Result<Finding, String> {
    let file: ForkFile = serde_json::from_value(body).map_err(|error| error.to_string())?;
    let held = signed(trust, &file.held, "held")?;
    let offered = signed(trust, &file.offered, "offered")?;
    let found = Finding::Forked {
        held: held.size().0,
        offered: offered.size().0,
    };
    if held.size() == offered.size() {
        let differ = held.root() != offered.root();
        return differ
            .then_some(found)
            .ok_or_else(|| "both notes say the same".to_owned());
    }
    let (small, large) = if held.size() < offered.size() {
        (&held, &offered)
    } else {
        (&offered, &held)
    };
    let recomputed = file.recomputed_root.as_deref().map(str::parse::<RootHash>);
    let Some(Ok(recomputed)) = recomputed else {
        return Err("it does not say what the smaller root should have been".to_owned());
    };
    let proof = hashes(&file.recomputed_proof)?;
    verify_consistency(
        small.size(),
        large.size(),
        &proof,
        &recomputed,
        large.root(),
    )
    .map_err(|_| "its proof does not link the larger note to the root it states".to_owned())?;
    // One tree has one root at a size: the smaller note states another.
    (recomputed != *small.root())
        .then_some(found)
        .ok_or_else(|| "the larger note extends the smaller one".to_owned())
}

fn contradiction(home: &Home, trust: &Trust, body: serde_json::Value) -> Result<Finding, String> {
    let file: ContradictionFile =
        serde_json::from_value(body).map_err(|error| error.to_string())?;
    let environment = file.environment.as_deref().map(str::parse);
    let Some(Ok(environment)) = environment else {
        return Err("it does not say which environment was asked for".to_owned());
    };
    let head = signed(trust, &file.offered, "offered")?;
    let size = head.size().0;
    let policies = file.policies.iter().map(|policy| {
        Ok::<_, String>(PolicyEvidence {
            index: Index(policy.index),
            entry: decoded(&policy.entry)?,
            document: decoded(&policy.document)?,
            inclusion: hashes(&policy.inclusion)?,
        })
    });
    let release = file.release.as_ref().map(|release| {
        Ok::<_, String>(ReleaseEvidence {
            index: Index(release.index),
            entry: decoded(&release.entry)?,
            inclusion: hashes(&release.inclusion)?,
            manifest: decoded(&release.manifest)?,
        })
    });
    let evidence = Evidence {
        map_record: decoded(&file.map_record)?,
        map_record_inclusion: hashes(&file.map_record_inclusion)?,
        environment_row: decoded(&file.environment_row)?,
        environment_proof: decoded(&file.environment_proof)?,
        policy_row: decoded(&file.policy_row)?,
        policy_proof: decoded(&file.policy_proof)?,
        policies: policies.collect::<Result<_, _>>()?,
        release: release.transpose()?,
        ..Evidence::default()
    };
    let case = Case {
        trust,
        checkpoint: &head.trust_first(),
        environment: &environment,
        evidence: &evidence,
        now: 0,
        store: &EvidenceStore::new(home, trust),
    };
    case.contradiction()
        .map(|error| Finding::Contradicted {
            size,
            what: error.to_string(),
        })
        .ok_or_else(|| "the signed head does not contradict it".to_owned())
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| error.to_string())
}

fn hashes(texts: &[String]) -> Result<Vec<NodeHash>, String> {
    let hashes = texts.iter().map(|text| text.parse::<NodeHash>());
    hashes
        .collect::<Result<_, _>>()
        .map_err(|_| "it holds a hash that is none".to_owned())
}
