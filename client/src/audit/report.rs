//! The report of an audit: `cairn.audit/v1`.

use std::path::PathBuf;

use cairn_proto::{
    checkpoint::{AuthenticCheckpoint, History},
    reason::Reason,
};
use serde::{Serialize, Serializer};

use super::{Audit, Compromised, replay::Outcome};
use crate::{ledger::age_of, verdict::Verdict, verify::CheckpointReport};

const SCHEMA: &str = "cairn.audit/v1";

/// Something that breaks a rule or contradicts a signed head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The stable code.
    #[serde(serialize_with = "code")]
    pub reason: Reason,
    /// The entry, where it is one.
    pub index: Option<u64>,
    /// What is wrong, safe to print.
    pub what: String,
}

/// An immutable name that an entry gives to other bytes than an earlier one did, as it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameReuse {
    /// The name.
    pub name: String,
    /// The entry that gives it to other bytes.
    pub index: u64,
    /// Where it is released to.
    pub environment: String,
    /// The entry that gave it before.
    pub before: u64,
    /// Why, in the deployer's words.
    pub reason: String,
}

/// An order of the admins by which contents were erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Index of its entry.
    pub index: u64,
    /// Its number, from 1.
    pub order: u64,
    /// BLAKE3 of what it erased, in hex.
    pub contents: Vec<String>,
    /// Why, in the admins' words.
    pub reason: String,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn code<S: Serializer>(reason: &Reason, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(reason.code())
}

/// What an audit found. A schema only grows.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `cairn.audit/v1`.
    pub schema: &'static str,
    /// Whose log.
    pub origin: String,
    /// What was audited.
    pub checkpoint: CheckpointReport,
    /// Seconds since it was cosigned; `None`: unknown.
    pub age: Option<u64>,
    /// Leaves that were hashed.
    pub entries: u64,
    /// Of them, signed envelopes that were verified and allowed.
    pub envelopes: u64,
    /// Of them, map records that were recomputed.
    pub map_records: u64,
    /// Environments that there are.
    pub environments: usize,
    /// The policy in force.
    pub policy_version: u64,
    /// `first` or `linked`; `None` where it is not linked to what was seen.
    pub history: Option<&'static str>,
    /// The size that was held before.
    pub alarms: Vec<Alarm>,
    /// Alarms beyond those listed.
    pub more_alarms: u64,
    /// Releases that a revocation took the signatures from.
    pub compromised: Vec<Compromised>,
    /// Such releases beyond those listed.
    pub more_compromised: usize,
    /// Immutable names that were given to other bytes; no rule is broken, for they say so.
    pub name_reuses: Vec<NameReuse>,
    /// Such names beyond those listed.
    pub more_name_reuses: u64,
    /// What the admins ordered erased; no rule is broken, and nothing else is gone.
    pub erasures: Vec<Erased>,
    /// Such orders beyond those listed.
    pub more_erasures: u64,
    /// Whether nothing is wrong: no alarm, and no environment's current release compromised.
    pub ok: bool,
    /// Where the evidence of a fork lies.
    pub evidence: Option<PathBuf>,
}

impl Report {
    pub(super) fn new(
        job: &Audit<'_>,
        checkpoint: &AuthenticCheckpoint,
        found: Outcome,
        policy_version: u64,
    ) -> Self {
        let (compromised, more_compromised) = found.signers.compromised(&found.state, job.now);
        let relied_on = compromised.iter().any(|release| release.current);
        Self {
            schema: SCHEMA,
            origin: job.trust.origin().to_string(),
            checkpoint: CheckpointReport {
                size: checkpoint.size().0,
                root: checkpoint.root().to_string(),
            },
            age: age_of(checkpoint, job.now),
            entries: found.tree.size().0,
            envelopes: found.envelopes,
            map_records: found.map_records,
            environments: found.state.environments().count(),
            policy_version,
            history: found.history.map(|history| match history {
                History::First => "first",
                _ => "linked",
            }),
            ok: found.alarms.is_empty() && !relied_on,
            compromised,
            more_compromised,
            name_reuses: found.reuses,
            more_name_reuses: found.more_reuses,
            erasures: found.erasures,
            more_erasures: found.more_erasures,
            alarms: found.alarms,
            more_alarms: found.more_alarms,
            evidence: found.evidence,
        }
    }

    /// The verdict that the exit code speaks of.
    pub fn verdict(&self) -> Verdict {
        let mut held: Vec<_> = self
            .alarms
            .iter()
            .map(|alarm| Verdict::of_rule(alarm.reason))
            .collect();
        if self.compromised.iter().any(|release| release.current) {
            held.push(Verdict::Untrusted);
        }
        let ranked = Verdict::ranked(&held);
        ranked.first().copied().unwrap_or(Verdict::Failed)
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        self.verdict().exit_code()
    }
}
