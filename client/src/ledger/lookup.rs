//! The current release of an environment, proven from the checkpoint down.
//!
//! Invariant: a [`Looked`] is current as of a checkpoint that extends everything this
//! verifier saw, and no number in it is below one that was seen.

use cairn_grpc::{LookupAnswer, v1};
use cairn_proto::{
    checkpoint::{AuthenticCheckpoint, TrustedCheckpoint},
    entry::{EntryError, Leaf, Submission},
    hash::Sequence,
    name::Environment,
    reason::Reason,
    rules::PolicyChain,
    statement::Subject,
    trust::Trust,
    verify::{self, Current, Evidence, TrustedMap, VerifyError},
};

use super::Ledger;
use crate::{error::ClientError, evidence::EvidenceStore, held::Held};

/// What a ledger says of an environment, proven, and the evidence for it.
#[derive(Debug, Clone)]
pub struct Looked {
    /// The checkpoint it was proven under.
    pub checkpoint: TrustedCheckpoint,
    /// The release, or that there is none.
    pub current: Current,
    /// What proved it, for a bundle.
    pub evidence: Evidence,
    /// What was held before.
    pub(crate) held: Option<Held>,
    /// Seconds since the clock's cosignature; `None`: unknown.
    pub age: Option<u64>,
}

impl Looked {
    /// The current sequence; 0 where there is none.
    pub fn sequence(&self) -> Sequence {
        match &self.current {
            Current::Release(release) => release.release().sequence,
            Current::Absent { .. } => Sequence(0),
        }
    }

    /// Version of the newest policy.
    pub fn policy_version(&self) -> u64 {
        match &self.current {
            Current::Release(release) => release.policy_version(),
            Current::Absent { policy_version, .. } => *policy_version,
        }
    }

    /// Seconds after which the policy calls this stale.
    pub fn max_staleness(&self) -> Option<u64> {
        match &self.current {
            Current::Release(release) => release.max_staleness(),
            Current::Absent { max_staleness, .. } => *max_staleness,
        }
    }

    /// The policies, proven once more, for judging older releases.
    pub(crate) fn policies(&self, trust: &Trust) -> Result<PolicyChain, VerifyError> {
        let evidence = &self.evidence;
        let record = (&evidence.map_record, &evidence.map_record_inclusion);
        TrustedMap::prove(&self.checkpoint, record.0, record.1)?.policies(
            trust,
            &evidence.policy_row,
            &evidence.policy_proof,
            &evidence.policies,
        )
    }
}

/// Seconds since a checkpoint was cosigned.
pub(crate) fn age_of(checkpoint: &AuthenticCheckpoint, now: u64) -> Option<u64> {
    checkpoint.time().map(|time| now.saturating_sub(time))
}

impl Ledger {
    /// Steps 1 to 6 for an environment, remembered.
    pub async fn lookup(&self, environment: &Environment) -> Result<Looked, ClientError> {
        let looked = self.lookup_any(environment).await?;
        Self::current(&looked.checkpoint)?;
        not_below_held(looked.held.as_ref(), environment, &looked)?;
        Ok(looked)
    }

    /// The same, but an answer that is older than what was seen is returned as such.
    pub(crate) async fn lookup_any(
        &self,
        environment: &Environment,
    ) -> Result<Looked, ClientError> {
        let held = self.held().load()?;
        let request = v1::LookupRequest {
            environment: environment.to_string(),
            trusted_checkpoint: Self::note_of(held.as_ref()),
        };
        let answer = LookupAnswer::try_from(self.connection().lookup(request).await?)?;
        let checkpoint = self
            .trusted(held.as_ref(), &answer.checkpoint, &answer.consistency)
            .await?;
        let proven = verify::current(self.trust(), &checkpoint, environment, &answer.evidence);
        let current = proven.map_err(|error| {
            let case = Case {
                checkpoint: &checkpoint,
                evidence: &answer.evidence,
                store: self.evidence(),
            };
            judge(error, &case, self.now())
        })?;
        let looked = Looked {
            age: age_of(checkpoint.head(), self.now()),
            checkpoint,
            current,
            evidence: answer.evidence,
            held,
        };
        let seen = Some((environment, looked.sequence())).filter(|seen| seen.1.0 > 0);
        self.remember(
            looked.held.as_ref(),
            &looked.checkpoint,
            seen,
            looked.policy_version(),
        )
        .await?;
        Ok(looked)
    }
}

/// Sequence and policy version never go back, whatever the map says now.
pub(crate) fn not_below_held(
    held: Option<&Held>,
    environment: &Environment,
    looked: &Looked,
) -> Result<(), ClientError> {
    let Some(held) = held else { return Ok(()) };
    let numbers = [
        (
            environment.to_string(),
            held.sequence(environment).unwrap_or_default().0,
            looked.sequence().0,
        ),
        (
            "the policy's version".to_owned(),
            held.policy_version(),
            looked.policy_version(),
        ),
    ];
    for (what, held, found) in numbers {
        if found < held {
            return Err(ClientError::RolledBack { what, held, found });
        }
    }
    Ok(())
}

/// What a failed proof is judged by.
pub(crate) struct Case<'a> {
    pub(crate) checkpoint: &'a TrustedCheckpoint,
    pub(crate) evidence: &'a Evidence,
    pub(crate) store: &'a EvidenceStore,
}

/// Tells what contradicts a signed head from what merely proves nothing; evidence of the
/// former is kept before the error is returned.
pub(crate) fn judge(error: VerifyError, case: &Case<'_>, now: u64) -> ClientError {
    let error = sharpen(error, case.evidence);
    if !contradicts(&error, case) {
        return ClientError::Verify(error);
    }
    let note = case.checkpoint.head().bytes();
    let code = error.reason().code();
    match case.store.contradiction(code, note, case.evidence, now) {
        Ok(evidence) => ClientError::Contradiction { error, evidence },
        Err(failure) => failure.into(),
    }
}

/// A document is decoded before it is compared. Where it is not even the one that was
/// signed for, that is what is wrong with it.
fn sharpen(error: VerifyError, evidence: &Evidence) -> VerifyError {
    if !matches!(error, VerifyError::Entry(_)) {
        return error;
    }
    let policies = evidence.policies.iter();
    let mut documents: Vec<_> = policies
        .map(|policy| (policy.entry.as_slice(), policy.document.as_slice()))
        .collect();
    let release = evidence.release.as_ref();
    documents.extend(release.map(|release| (&release.entry[..], &release.manifest[..])));
    let foreign = documents.into_iter().any(|(entry, document)| {
        matches!(Leaf::decode(entry), Ok(Leaf::Entry(entry))
            if entry.statement().subject != Subject::of(document))
    });
    if foreign {
        VerifyError::Entry(EntryError::DocumentMismatch)
    } else {
        error
    }
}

/// Whether bytes that a signed root binds are not what it says, or do not agree with each
/// other. Everything else may be a server that cannot, or will not, prove what is true.
fn contradicts(error: &VerifyError, case: &Case<'_>) -> bool {
    let evidence = case.evidence;
    let bound = |leaf: &[u8]| Leaf::decode(leaf).is_err();
    match error {
        error if error.reason() == Reason::NeedsNewerCairn => false,
        VerifyError::MapRecord => case.checkpoint.head().size().0 > 0,
        VerifyError::Entry(EntryError::DocumentMismatch) => true,
        // The last leaf, or the leaf that the row states, is bound and does not decode.
        VerifyError::Entry(_) => {
            let release = evidence.release.as_ref();
            bound(&evidence.map_record)
                || release.is_some_and(|release| {
                    Submission::decode(&release.entry, &release.manifest).is_err()
                })
        }
        // An index is the answer's own word; the rest is bound on both sides.
        VerifyError::RowMismatch { what } => *what != "the index",
        _ => false,
    }
}
