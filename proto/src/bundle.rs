//! The offline bundle: everything that a verifier needs beside the trust file, in one
//! deterministic file of text lines. SPEC.md section 10.
//!
//! A bundle is evidence, not trust: its closing hash finds damage, not lies.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;

use crate::{
    entry::Leaf,
    hash::{Index, NodeHash},
    limits::{BUNDLE_BYTES_MAX, PROOF_HASHES_MAX},
    name::Environment,
    reason::Reason,
    statement::{OrderKind, Predicate},
    verify::{ApprovalEvidence, Evidence, OrderEvidence, PolicyEvidence, ReleaseEvidence},
};

const HEAD: &str = "cairn.bundle/v1";

/// A release and the evidence for it, as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Whose release.
    pub environment: Environment,
    /// The note.
    pub checkpoint: Vec<u8>,
    /// The proofs.
    pub evidence: Evidence,
}

/// Bytes that are not a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// More bytes than a bundle may have.
    #[error("the bundle is too large")]
    TooLarge,
    /// A line is missing, unknown or malformed.
    #[error("the bundle's line {line} is not what it should be")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// The closing hash does not fit.
    #[error("the bundle was damaged: its closing hash does not fit")]
    Damaged,
}

impl BundleError {
    /// The stable code.
    pub fn reason(self) -> Reason {
        Reason::BundleSyntax
    }
}

impl Bundle {
    /// The file's bytes. `None` if the evidence carries no release.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let evidence = &self.evidence;
        let release = evidence.release.as_ref()?;
        let mut text = format!("{HEAD}\nenvironment {}\n", self.environment);
        let mut line = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} {value}");
        };
        line("checkpoint", &encode(&self.checkpoint));
        line("map-record", &encode(&evidence.map_record));
        line(
            "map-record-inclusion",
            &encode_hashes(&evidence.map_record_inclusion),
        );
        line("environment-row", &encode(&evidence.environment_row));
        line("environment-proof", &encode(&evidence.environment_proof));
        line("policy-row", &encode(&evidence.policy_row));
        line("policy-proof", &encode(&evidence.policy_proof));
        line(
            "entry",
            &format!("{} {}", release.index, encode(&release.entry)),
        );
        line("entry-inclusion", &encode_hashes(&release.inclusion));
        let relied_on = evidence.relied_on();
        for (position, policy) in evidence.policies.iter().enumerate() {
            // What no verifier looks at is left out, so that there is one spelling.
            let shown: &[NodeHash] = if relied_on.contains(&position) {
                &policy.inclusion
            } else {
                &[]
            };
            let value = format!(
                "{} {} {} {}",
                policy.index,
                encode(&policy.entry),
                encode(&policy.document),
                encode_hashes(shown)
            );
            line("policy", &value);
        }
        for order in &evidence.orders {
            let shown: &[NodeHash] = if names_a_head(&order.entry) {
                &order.consistency
            } else {
                &[]
            };
            let value = format!(
                "{} {} {} {} {}",
                order.index,
                encode(&order.entry),
                encode(&order.document),
                encode_hashes(&order.inclusion),
                encode_hashes(shown)
            );
            line("order", &value);
        }
        if let Some(approval) = &evidence.approval {
            let (index, entry) = (approval.index, encode(&approval.entry));
            let value = format!("{index} {entry} {}", encode_hashes(&approval.inclusion));
            line("approval", &value);
        }
        line("manifest", &encode(&release.manifest));
        let hash = blake3::hash(text.as_bytes());
        let _ = writeln!(text, "blake3 {hash}");
        Some(text.into_bytes())
    }

    /// Parses a file's bytes; one spelling only.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge);
        }
        let text = str::from_utf8(bytes).map_err(|_| BundleError::Line { line: 1 })?;
        let mut lines = Lines {
            rest: text.split_inclusive('\n'),
            pending: None,
            line: 0,
        };
        let bundle = lines.bundle()?;
        if bundle.encode().as_deref() == Some(bytes) {
            Ok(bundle)
        } else {
            Err(BundleError::Damaged)
        }
    }
}

/// Whether a consistency proof can belong to an order: an order of another kind than a succession
/// has none. What does not decode is for the verifier to refuse.
fn names_a_head(entry: &[u8]) -> bool {
    let Ok(Leaf::Entry(entry)) = Leaf::decode(entry) else {
        return true;
    };
    match &entry.statement().predicate {
        Predicate::Order(order) => order.kind == OrderKind::KeySuccession,
        _ => true,
    }
}

fn encode(bytes: &[u8]) -> String {
    match bytes {
        [] => "-".to_owned(),
        bytes => STANDARD.encode(bytes),
    }
}

fn encode_hashes(hashes: &[NodeHash]) -> String {
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
    encode(&bytes)
}

/// Everything but a list of hashes holds at least a byte.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

fn decode_hashes(text: &str) -> Option<Vec<NodeHash>> {
    let bytes = match text {
        "-" => Vec::new(),
        text => decode(text)?,
    };
    let (hashes, rest) = bytes.as_chunks::<32>();
    let fits = rest.is_empty() && hashes.len() <= PROOF_HASHES_MAX;
    fits.then(|| hashes.iter().copied().map(NodeHash).collect())
}

fn policy(words: &mut std::str::Split<'_, char>) -> Option<PolicyEvidence> {
    Some(PolicyEvidence {
        index: Index(words.next()?.parse().ok()?),
        entry: decode(words.next()?)?,
        document: decode(words.next()?)?,
        inclusion: decode_hashes(words.next()?)?,
    })
}

fn order(words: &mut std::str::Split<'_, char>) -> Option<OrderEvidence> {
    Some(OrderEvidence {
        index: Index(words.next()?.parse().ok()?),
        entry: decode(words.next()?)?,
        document: decode(words.next()?)?,
        inclusion: decode_hashes(words.next()?)?,
        consistency: decode_hashes(words.next()?)?,
    })
}

fn approval(words: &mut std::str::Split<'_, char>) -> Option<ApprovalEvidence> {
    Some(ApprovalEvidence {
        index: Index(words.next()?.parse().ok()?),
        entry: decode(words.next()?)?,
        inclusion: decode_hashes(words.next()?)?,
    })
}

struct Lines<'a> {
    rest: std::str::SplitInclusive<'a, char>,
    pending: Option<&'a str>,
    line: usize,
}

impl<'a> Lines<'a> {
    fn bundle(&mut self) -> Result<Bundle, BundleError> {
        let head = self.next()?;
        self.expect(head == HEAD)?;
        let environment = self.field("environment", |text| text.parse().ok())?;
        let checkpoint = self.field("checkpoint", decode)?;
        let mut evidence = Evidence {
            map_record: self.field("map-record", decode)?,
            map_record_inclusion: self.field("map-record-inclusion", decode_hashes)?,
            environment_row: self.field("environment-row", decode)?,
            environment_proof: self.field("environment-proof", decode)?,
            policy_row: self.field("policy-row", decode)?,
            policy_proof: self.field("policy-proof", decode)?,
            ..Evidence::default()
        };
        let (index, entry) = self.field("entry", |text| {
            let (index, entry) = text.split_once(' ')?;
            Some((Index(index.parse().ok()?), decode(entry)?))
        })?;
        let inclusion = self.field("entry-inclusion", decode_hashes)?;
        while let Some(policy) = self.maybe("policy", policy)? {
            evidence.policies.push(policy);
        }
        while let Some(order) = self.maybe("order", order)? {
            let last = evidence.orders.last().map(|last| last.index);
            self.expect(last < Some(order.index))?;
            evidence.orders.push(order);
        }
        evidence.approval = self.maybe("approval", approval)?;
        let manifest = self.field("manifest", decode)?;
        evidence.release = Some(ReleaseEvidence {
            index,
            entry,
            inclusion,
            manifest,
        });
        // Whether it fits is seen when the whole is encoded again.
        self.field("blake3", |hash| (hash.len() == 64).then_some(()))?;
        self.expect(self.rest.clone().next().is_none())?;
        Ok(Bundle {
            environment,
            checkpoint,
            evidence,
        })
    }

    /// A line that may be there; one of another name is left for what follows.
    fn maybe<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&mut std::str::Split<'_, char>) -> Option<T>,
    ) -> Result<Option<T>, BundleError> {
        let line = self.next()?;
        let value = line
            .strip_prefix(name)
            .and_then(|text| text.strip_prefix(' '));
        let Some(value) = value else {
            self.pending = Some(line);
            return Ok(None);
        };
        let mut words = value.split(' ');
        let parsed = parse(&mut words).filter(|_| words.next().is_none());
        let line = self.line;
        parsed.map(Some).ok_or(BundleError::Line { line })
    }

    fn field<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, BundleError> {
        let text = self.next()?;
        let value = text
            .strip_prefix(name)
            .and_then(|text| text.strip_prefix(' '));
        let line = self.line;
        value.and_then(parse).ok_or(BundleError::Line { line })
    }

    fn next(&mut self) -> Result<&'a str, BundleError> {
        if let Some(line) = self.pending.take() {
            return Ok(line);
        }
        self.line = self.line.saturating_add(1);
        let line = self.line;
        let text = self.rest.next().and_then(|text| text.strip_suffix('\n'));
        text.ok_or(BundleError::Line { line })
    }

    fn expect(&self, holds: bool) -> Result<(), BundleError> {
        let line = self.line;
        holds.then_some(()).ok_or(BundleError::Line { line })
    }
}
