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
    trust::{Cosigners, Trust},
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
            Current::Absent(_) => return 0,
        };
        manifest.artifacts().len()
    }

    /// That too few cosigned the checkpoint: fewer than are pinned, or fewer witnesses than the
    /// policy asks for.
    pub fn too_few(&self) -> Option<ClientError> {
        let head = self.checkpoint.head();
        if let Some((found, needed)) = head.lacks_auditors() {
            return Some(ClientError::TooFewAuditors { found, needed });
        }
        let lacking = head.lacks_witnesses(self.current.terms().witnesses);
        lacking.map(|(found, needed)| ClientError::TooFewWitnesses { found, needed })
    }

    /// Version of the newest policy.
    pub fn policy_version(&self) -> u64 {
        self.current.terms().policy_version
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
        let request = Self::question(environment, held.as_ref());
        let answer = self.ask(request).await?;
        let checkpoint = self
            .trusted(held.as_ref(), &answer.checkpoint, &answer.consistency)
            .await?;
        let looked = self.proven(environment, checkpoint, held, answer)?;
        self.keep(self.held(), environment, &looked).await?;
        Ok(looked)
    }

    /// The same as of the newest checkpoint that enough of those who are pinned cosigned; where
    /// too few cosigned any, [`Looked::too_few`] says so.
    async fn lookup_vouched(&self, environment: &Environment) -> Result<Looked, ClientError> {
        let witnesses = self.trust().witnesses();
        let pinned = witnesses.quorum();
        let auditors = self.trust().auditors();
        let looked = self
            .lookup_cosigned(environment, (pinned, auditors))
            .await?;
        let asked = looked.current.terms().witnesses.unwrap_or(0);
        // The policy asks for more than the trust file does, and there are so many to ask for.
        let more = asked > pinned && asked <= witnesses.keys().len();
        if more && looked.too_few().is_some() {
            return self.lookup_cosigned(environment, (asked, auditors)).await;
        }
        Ok(looked)
    }

    /// As of the newest checkpoint that so many witnesses, and these auditors, cosigned.
    pub(super) async fn lookup_cosigned(
        &self,
        environment: &Environment,
        (witnesses, auditors): (usize, &Cosigners),
    ) -> Result<Looked, ClientError> {
        let held = self.vouched().load()?;
        let keys = |cosigners: &Cosigners| {
            let keys = cosigners.keys().iter();
            keys.map(|key| key.key().as_bytes().to_vec().into())
                .collect()
        };
        let quorum = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let trust = self.trust();
        let request = v1::LookupRequest {
            auditor_quorum: quorum(auditors.quorum()),
            auditors: keys(auditors),
            witness_quorum: quorum(witnesses),
            witnesses: keys(trust.witnesses()),
            ..Self::question(environment, held.as_ref())
        };
        let answer = self.ask(request).await?;
        let checkpoint = self
            .trusted_vouched(held.as_ref(), &answer.checkpoint, &answer.consistency)
            .await?;
        let behind = matches!(checkpoint.history(), History::Behind { .. });
        // Before anything cosigned was seen, the numbers of the newest that was seen are the floor.
        let held = match held {
            None => self.held().load()?,
            held => held,
        };
        let looked = self.proven(environment, checkpoint, held, answer)?;
        let vouched = !behind && looked.too_few().is_none();
        // What nobody vouched for must not make a cosigned one look old later; and what goes
        // back must not become what was seen.
        if vouched && not_below_held(looked.held.as_ref(), environment, &looked).is_ok() {
            self.keep(self.vouched(), environment, &looked).await?;
        }
        Ok(looked)
    }

    /// As of the newest checkpoint, or, where auditors or witnesses are pinned, of the newest that
    /// they cosigned.
    pub(crate) async fn lookup_pinned(
        &self,
        environment: &Environment,
    ) -> Result<Looked, ClientError> {
        if self.trust().needs_cosigners() {
            self.lookup_vouched(environment).await
        } else {
            self.lookup_any(environment).await
        }
    }

    fn question(environment: &Environment, held: Option<&Held>) -> v1::LookupRequest {
        v1::LookupRequest {
            environment: environment.to_string(),
            trusted_checkpoint: Self::note_of(held),
            ..v1::LookupRequest::default()
        }
    }

    async fn ask(&self, request: v1::LookupRequest) -> Result<LookupAnswer, ClientError> {
        let answer = self.connection().lookup(request).await?;
        Ok(LookupAnswer::try_from(answer)?)
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
            now: self.now(),
            store: self.evidence(),
        };
        let current = case.prove()?;
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
