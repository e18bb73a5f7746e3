//! The report of a verification: `cairn.verify/v1`.
//!
//! Invariant: `verdict` is the first of `verdicts`, and both follow from what was recorded
//! with [`Report::hold`] alone.

use std::path::PathBuf;

use cairn_proto::{
    checkpoint::{History, TrustedCheckpoint},
    name::Environment,
    policy::Terms,
    reason::Reason,
    verify::{ApprovedRelease, CompromisedRelease, Current},
};
use serde::Serialize;

use crate::{
    clock::time_text,
    compare::{Comparison, Difference, DifferenceKind},
    error::ClientError,
    read::Erasure,
    verdict::Verdict,
};

const SCHEMA: &str = "cairn.verify/v1";

/// What was found, for people and for scripts. A schema only grows.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `cairn.verify/v1`.
    pub schema: &'static str,
    /// What the exit code says.
    pub verdict: Verdict,
    /// All that hold, by precedence.
    pub verdicts: Vec<Verdict>,
    /// The environment asked for.
    pub environment: String,
    /// Its current sequence.
    pub sequence: Option<u64>,
    /// Where its current entry stands.
    pub index: Option<u64>,
    /// What its current entry does.
    pub action: Option<&'static str>,
    /// The checkpoint that all was proven under.
    pub checkpoint: Option<CheckpointReport>,
    /// Seconds since it was cosigned; `None`: unknown.
    pub age: Option<u64>,
    /// `audited (k)` where k pinned auditors vouch for the map, else `asserted`.
    pub map: String,
    /// Pinned witnesses that cosigned the checkpoint; `None`: none are asked for.
    pub witnesses: Option<WitnessReport>,
    /// `first`, `linked`, `unlinked` or `behind`.
    pub history: Option<&'static str>,
    /// Differences that the signed comparison says to ignore.
    pub ignored: usize,
    /// Withheld values that were not measured, as the signed comparison accepts.
    pub accepted_unmeasured: usize,
    /// Who signed the current release, or the approval by which it stands.
    pub signers: Vec<SignerReport>,
    /// Where the approval stands by which the release does, rather than by its own signatures.
    pub approval: Option<u64>,
    /// Until when (Unix seconds) a break-glass order lets it stand with too few signatures.
    pub stands_until: Option<u64>,
    /// What differs from the current release.
    pub differences: Vec<Difference>,
    /// Files, links and empty directories.
    pub files: Tally,
    /// Images.
    pub images: Tally,
    /// Objects of deployment tools.
    pub objects: Tally,
    /// What the release was made from, which is not compared.
    pub inputs: usize,
    /// Fields of objects that were found and not recorded, which is no difference.
    pub added: Vec<Difference>,
    /// Such fields beyond those listed.
    pub more_added: usize,
    /// The older sequence that was found to stand, exactly.
    pub stands: Option<u64>,
    /// What changed from that one to the current release.
    pub changed_since: Vec<Difference>,
    /// Differing artifacts whose recorded bytes the admins ordered erased: they cannot be restored.
    pub erased: Vec<Erasure>,
    /// What people should know.
    pub notes: Vec<String>,
    /// The stable code of what went wrong, if something did.
    pub reason: Option<String>,
    /// Where the evidence of tampering lies.
    pub evidence: Option<PathBuf>,
}

/// A size and its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointReport {
    /// Number of leaves.
    pub size: u64,
    /// Root over them, in hex.
    pub root: String,
}

/// Who saw one history alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WitnessReport {
    /// Pinned witnesses that cosigned.
    pub cosigned: usize,
    /// How many must have: the trust file's quorum, or the policy's if that is larger.
    pub needed: usize,
}

/// Somebody who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignerReport {
    /// SHA-256 of the key.
    pub keyid: String,
    /// Its name in the policy then in force.
    pub name: String,
}

/// How many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// That match.
    pub matched: usize,
    /// That there are.
    pub total: usize,
}

impl Report {
    pub(super) fn new(environment: &Environment) -> Self {
        Self {
            schema: SCHEMA,
            verdict: Verdict::Verified,
            verdicts: vec![Verdict::Verified],
            environment: environment.to_string(),
            sequence: None,
            index: None,
            action: None,
            checkpoint: None,
            age: None,
            map: "asserted".to_owned(),
            witnesses: None,
            history: None,
            ignored: 0,
            accepted_unmeasured: 0,
            signers: Vec::new(),
            approval: None,
            stands_until: None,
            differences: Vec::new(),
            files: Tally::default(),
            images: Tally::default(),
            objects: Tally::default(),
            inputs: 0,
            added: Vec::new(),
            more_added: 0,
            stands: None,
            changed_since: Vec::new(),
            erased: Vec::new(),
            notes: Vec::new(),
            reason: None,
            evidence: None,
        }
    }

    /// A report of an error that says something of the ledger; any other is given back.
    pub(super) fn of_error(
        environment: &Environment,
        error: ClientError,
    ) -> Result<Self, ClientError> {
        let Some(verdict) = error.verdict() else {
            return Err(error);
        };
        let mut report = Self::new(environment);
        report.hold(verdict);
        report.blame(&error);
        Ok(report)
    }

    /// Notes what an error says, and where its evidence lies.
    pub(super) fn blame(&mut self, error: &ClientError) {
        self.reason = Some(error.code().to_owned());
        self.notes.push(error.to_string());
        self.evidence = error.evidence().cloned();
    }

    /// The code of a verdict that no error speaks for; the first one stays.
    fn because(&mut self, reason: Reason) {
        let code = || reason.code().to_owned();
        self.reason.get_or_insert_with(code);
    }

    /// One more verdict holds.
    pub(super) fn hold(&mut self, verdict: Verdict) {
        self.verdicts.push(verdict);
        self.verdicts = Verdict::ranked(&self.verdicts);
        self.verdict = self.verdicts.first().copied().unwrap_or(Verdict::Failed);
    }

    /// A verdict turned out not to hold.
    pub(super) fn drop(&mut self, verdict: Verdict) {
        self.verdicts.retain(|held| *held != verdict);
        self.verdicts = Verdict::ranked(&self.verdicts);
        self.verdict = self.verdicts.first().copied().unwrap_or(Verdict::Failed);
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        self.verdict.exit_code()
    }

    pub(super) fn checkpoint(&mut self, checkpoint: &TrustedCheckpoint, age: Option<u64>) {
        let head = checkpoint.head();
        self.checkpoint = Some(CheckpointReport {
            size: head.size().0,
            root: head.root().to_string(),
        });
        self.age = age;
        self.history = Some(match checkpoint.history() {
            History::First => "first",
            History::Linked => "linked",
            History::Unlinked => "unlinked",
            History::Behind { .. } => "behind",
        });
        if let Some(auditors) = head.audited() {
            self.map = format!("audited ({auditors})");
        }
        if let Some((found, needed)) = head.lacks_auditors() {
            self.hold(Verdict::Stale);
            self.because(Reason::TooFewAuditors);
            self.notes.push(format!(
                "{found} of the pinned auditors vouch for the map, {needed} must"
            ));
        }
        if let Some(after) = head.overtaken() {
            self.hold(Verdict::Stale);
            self.because(Reason::KeySucceeded);
            self.notes.push(format!(
                "other keys took over from those that signed this checkpoint, after size {after}"
            ));
        }
        if let History::Behind { held } = checkpoint.history() {
            self.hold(Verdict::Stale);
            self.because(Reason::RolledBack);
            self.notes.push(format!(
                "the server shows {} entries; {held} were seen before",
                head.size()
            ));
        }
        if age.is_none() {
            let note = "age unknown: nothing here bounds how old this checkpoint is";
            self.notes.push(note.to_owned());
        }
    }

    /// What the ledger says of the environment; the release, if it is one to compare with.
    pub(super) fn current<'a>(&mut self, current: &'a Current) -> Option<&'a ApprovedRelease> {
        match current {
            Current::Release(approved) => {
                self.release(approved);
                Some(approved)
            }
            Current::Compromised(compromised) => {
                self.compromised(compromised);
                None
            }
            Current::Absent(_) => {
                self.hold(Verdict::Unrecorded);
                None
            }
        }
    }

    fn release(&mut self, approved: &ApprovedRelease) {
        self.sequence = Some(approved.release().sequence.0);
        self.index = Some(approved.index().0);
        self.action = Some(approved.release().action.as_str());
        self.approval = approved.approval().map(|index| index.0);
        self.stands_until = approved.until();
        if let Some(index) = self.approval {
            let note = format!("it stands by the approval at index {index}");
            self.notes.push(note);
        }
        if let Some(until) = self.stands_until {
            let until = time_text(until);
            self.notes.push(format!(
                "fewer signed than the policy asks for: it stands until {until}, by a break-glass \
                 order"
            ));
        }
        let signers = approved.signers().iter();
        self.signers = signers
            .map(|(name, keyid)| SignerReport {
                keyid: keyid.clone(),
                name: name.clone(),
            })
            .collect();
    }

    /// The current release is nothing to rely on.
    fn compromised(&mut self, compromised: &CompromisedRelease) {
        let release = compromised.release();
        self.sequence = Some(release.sequence.0);
        self.index = Some(compromised.index().0);
        self.action = Some(release.action.as_str());
        self.hold(Verdict::Untrusted);
        self.because(compromised.why().reason());
        self.notes.push(compromised.why().to_string());
    }

    /// The policy's bound on age; an unknown age is not within it.
    /// What the newest policy asks of the proof.
    pub(super) fn terms(&mut self, checkpoint: &TrustedCheckpoint, terms: &Terms) {
        let head = checkpoint.head();
        self.witnesses = head
            .witnesses(terms.witnesses)
            .map(|(cosigned, needed)| WitnessReport { cosigned, needed });
        if let Some((found, needed)) = head.lacks_witnesses(terms.witnesses) {
            self.hold(Verdict::Stale);
            self.because(Reason::TooFewWitnesses);
            self.notes.push(format!(
                "{found} of the pinned witnesses cosigned the checkpoint, {needed} must"
            ));
        }
        if let Some(index) = terms.eased_by {
            self.notes.push(format!(
                "a break-glass order, at index {index}, allows an older proof than the policy does"
            ));
        }
        self.staleness(terms.max_staleness);
    }

    fn staleness(&mut self, max: Option<u64>) {
        let Some(max) = max else { return };
        if self.age.is_none_or(|age| age > max) {
            self.hold(Verdict::Stale);
            self.because(Reason::Stale);
            self.notes
                .push(format!("the policy allows an age of {max} s at most"));
        }
    }

    /// What comparing found.
    pub(super) fn comparison(&mut self, comparison: Comparison) {
        self.ignored = comparison.ignored;
        self.accepted_unmeasured = comparison.accepted_unmeasured;
        self.files = Tally {
            matched: comparison.files_matched,
            total: comparison.files_total,
        };
        self.images = Tally {
            matched: comparison.images_matched,
            total: comparison.images_total,
        };
        self.objects = Tally {
            matched: comparison.objects_matched,
            total: comparison.objects_total,
        };
        self.inputs = comparison.inputs;
        self.added = comparison.added;
        self.more_added = comparison.more_added;
        let is_unverifiable =
            |difference: &Difference| difference.kind == DifferenceKind::Unverifiable;
        if comparison.differences.iter().any(is_unverifiable) {
            self.hold(Verdict::Unverifiable);
        }
        if !comparison.differences.iter().all(is_unverifiable) {
            self.hold(Verdict::Drift);
        }
        if comparison.measured == 0 {
            self.hold(Verdict::Unverifiable);
            self.notes
                .push("nothing that is recorded was measured".to_owned());
        }
        self.differences = comparison.differences;
    }
}

#[cfg(test)]
mod tests;
