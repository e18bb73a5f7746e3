//! The current release of an environment, proven from the checkpoint down.
//!
//! Invariant: a [`Looked`] is current as of a checkpoint that extends everything this
//! verifier saw, and no number in it is below one that was seen.

use cairn_grpc::{LookupAnswer, v1};
use cairn_proto::{
    checkpoint::{AuthenticCheckpoint, History, TrustedCheckpoint},
    hash::Sequence,
    name::Environment,
    rules::PolicyChain,
    trust::{Auditors, Trust},
    verify::{Current, Evidence, TrustedMap, VerifyError},
};

use super::{Case, Ledger, policies};
use crate::{
    error::ClientError,
    held::{Held, HeldStore},
};

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
        let last = self.current.last();
        last.map_or(Sequence(0), |(release, _)| release.sequence)
    }

    /// Artifacts of the current release.
    pub(crate) fn artifacts(&self) -> usize {
        let manifest = match &self.current {
            Current::Release(approved) => approved.manifest(),
            Current::Compromised(compromised) => compromised.manifest(),
            Current::Absent { .. } => return 0,
        };
        manifest.artifacts().len()
    }

    /// Version of the newest policy.
    pub fn policy_version(&self) -> u64 {
        self.current.policy_version()
    }

    /// Seconds after which the policy calls this stale.
    pub fn max_staleness(&self) -> Option<u64> {
        self.current.max_staleness()
    }

    /// The policies, proven once more, for judging older releases.
    pub(crate) fn policies(&self, trust: &Trust) -> Result<PolicyChain, VerifyError> {
        let evidence = &self.evidence;
        let record = (&evidence.map_record, &evidence.map_record_inclusion);
        let map = TrustedMap::prove(&self.checkpoint, record.0, record.1)?;
        policies(&map, trust, evidence)
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
        let answer = self
            .ask(environment, held.as_ref(), &Auditors::default())
            .await?;
        let checkpoint = self
            .trusted(held.as_ref(), &answer.checkpoint, &answer.consistency)
            .await?;
        let looked = self.proven(environment, checkpoint, held, answer)?;
        self.keep(self.held(), environment, &looked).await?;
        Ok(looked)
    }

    /// The same as of the newest checkpoint that enough auditors vouch for; where too few vouch
    /// for any, the checkpoint says so.
    pub(crate) async fn lookup_audited(
        &self,
        environment: &Environment,
    ) -> Result<Looked, ClientError> {
        let held = self.audited().load()?;
        let auditors = self.trust().auditors();
        let answer = self.ask(environment, held.as_ref(), auditors).await?;
        let checkpoint = self
            .trusted_audited(held.as_ref(), &answer.checkpoint, &answer.consistency)
            .await?;
        let audited = checkpoint.head().audited().is_some()
            && !matches!(checkpoint.history(), History::Behind { .. });
        // Before anything audited was seen, the numbers of the newest that was seen are the floor.
        let held = match held {
            None => self.held().load()?,
            held => held,
        };
        let looked = self.proven(environment, checkpoint, held, answer)?;
        // What no auditor vouched for must not make an audited one look old later; and what goes
        // back must not become what was seen.
        if audited && not_below_held(looked.held.as_ref(), environment, &looked).is_ok() {
            self.keep(self.audited(), environment, &looked).await?;
        }
        Ok(looked)
    }

    /// As of the newest checkpoint, or, where auditors are pinned, of the newest audited one.
    pub(crate) async fn lookup_pinned(
        &self,
        environment: &Environment,
    ) -> Result<Looked, ClientError> {
        if self.trust().auditors().quorum() > 0 {
            self.lookup_audited(environment).await
        } else {
            self.lookup_any(environment).await
        }
    }

    async fn ask(
        &self,
        environment: &Environment,
        held: Option<&Held>,
        auditors: &Auditors,
    ) -> Result<LookupAnswer, ClientError> {
        let keys = auditors.keys().iter();
        let request = v1::LookupRequest {
            environment: environment.to_string(),
            trusted_checkpoint: Self::note_of(held),
            auditor_quorum: u32::try_from(auditors.quorum()).unwrap_or(u32::MAX),
            auditors: keys
                .map(|key| key.key().as_bytes().to_vec().into())
                .collect(),
        };
        Ok(LookupAnswer::try_from(
            self.connection().lookup(request).await?,
        )?)
    }

    fn proven(
        &self,
        environment: &Environment,
        checkpoint: TrustedCheckpoint,
        held: Option<Held>,
        answer: LookupAnswer,
    ) -> Result<Looked, ClientError> {
        let case = Case {
            trust: self.trust(),
            checkpoint: &checkpoint,
            environment,
            evidence: &answer.evidence,
            store: self.evidence(),
        };
        let current = case.prove(self.now())?;
        Ok(Looked {
            age: age_of(checkpoint.head(), self.now()),
            checkpoint,
            current,
            evidence: answer.evidence,
            held,
        })
    }

    async fn keep(
        &self,
        store: &HeldStore,
        environment: &Environment,
        looked: &Looked,
    ) -> Result<(), ClientError> {
        let seen = Some((environment, looked.sequence())).filter(|seen| seen.1.0 > 0);
        self.remember_in(
            store,
            looked.held.as_ref(),
            &looked.checkpoint,
            seen,
            looked.policy_version(),
        )
        .await?;
        Ok(())
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
