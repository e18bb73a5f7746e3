//! Releases that several must sign: proposed by one, approved by others, then submitted.

use cairn_proto::{
    entry::Content,
    hash::{DocumentId, LeafHash},
    manifest::{Comparison, Manifest},
    name::Environment,
    rules::RuleError,
    statement::{Predicate, Release},
    verify::Current,
};

use super::{
    Receipt, Terms, UploadProgress,
    step::{Appended, Step},
};
use crate::{
    compare::Difference,
    error::ClientError,
    ledger::{Ledger, Looked},
    proposal::{Proposal, Standing},
    read::manifest_differences,
    sources::Capture,
};

/// A proposed release, beside what stands now.
#[derive(Debug)]
pub struct ProposedRelease {
    /// What it says.
    pub release: Release,
    /// What it consists of.
    pub manifest: Manifest,
    /// The manifest's id: what is signed for.
    pub document: DocumentId,
    /// Why the release that stands is nothing to rely on, if it is not.
    pub compromised: Option<RuleError>,
    /// What changes from the release that stands; all is added where none stands.
    pub changes: Vec<Difference>,
    /// How far it has come.
    pub standing: Standing,
}

impl Ledger {
    /// Uploads what was captured, and proposes it as the environment's next release, signed
    /// by whoever signs in `terms`: nobody as yet, perhaps.
    pub async fn propose(
        &self,
        environment: &Environment,
        capture: &Capture,
        comparison: Comparison,
        terms: &Terms<'_>,
        progress: &dyn UploadProgress,
    ) -> Result<Proposal, ClientError> {
        let manifest = Manifest::new(capture.artifacts.clone(), capture.compared_by(comparison))?;
        let looked = self.lookup(environment).await?;
        if let Some(expected) = terms.expect
            && expected != looked.sequence()
        {
            return Err(ClientError::Expected {
                environment: environment.clone(),
                expected,
                found: looked.sequence(),
            });
        }
        let step = Step::release(environment, &manifest, &capture.contents);
        self.upload(environment, step.contents, progress).await?;
        let statement = self.statement(&step, &terms.words, &looked)?;
        let mut proposal = Proposal::new(statement, step.document)?;
        proposal.sign(&terms.signers)?;
        self.proposed_under(&proposal, &looked).await?;
        Ok(proposal)
    }

    /// What a proposal proposes; refused if it does not follow what stands now.
    pub async fn proposed_release(
        &self,
        proposal: &Proposal,
    ) -> Result<ProposedRelease, ClientError> {
        let looked = self.lookup(&release_of(proposal)?.environment).await?;
        self.proposed_under(proposal, &looked).await
    }

    async fn proposed_under(
        &self,
        proposal: &Proposal,
        looked: &Looked,
    ) -> Result<ProposedRelease, ClientError> {
        let release = release_of(proposal)?;
        let manifest = Manifest::decode(proposal.document()).map_err(|error| wrong(&error))?;
        let mut chain = looked.policies(self.trust()).map_err(ClientError::Verify)?;
        if release.break_glass.is_some() {
            let size = looked.checkpoint.head().size();
            chain = self.orders().await?.on(chain, size)?;
        }
        let standing = proposal.standing(&chain)?;
        if release.ledger != *self.trust().genesis() {
            return Err(wrong(&"it was made for another ledger"));
        }
        let next = looked.sequence().0.saturating_add(1);
        let last = looked.current.last().map(|(_, leaf)| *leaf);
        if release.sequence.0 != next || release.previous != last {
            return Err(ClientError::RaceLost {
                environment: release.environment.clone(),
                between: Vec::new(),
            });
        }
        let (before, compromised) = match &looked.current {
            Current::Release(approved) => (Some(approved.manifest()), None),
            Current::Compromised(compromised) => (
                Some(compromised.manifest()),
                Some(compromised.why().clone()),
            ),
            Current::Absent(_) => (None, None),
        };
        Ok(ProposedRelease {
            release: release.clone(),
            compromised,
            changes: manifest_differences(before, &manifest),
            manifest,
            document: DocumentId::of(proposal.document()),
            standing,
        })
    }

    /// Appends a proposal that enough have signed; proven before it is returned.
    pub async fn submit_release(&self, proposal: &Proposal) -> Result<Receipt, ClientError> {
        let environment = release_of(proposal)?.environment.clone();
        let looked = self.lookup(&environment).await?;
        let own = LeafHash::of(&proposal.entry()?);
        if looked.current.last().is_some_and(|(_, leaf)| *leaf == own)
            && let Ok(manifest) = Manifest::decode(proposal.document())
            && let Some(receipt) = Self::unchanged(&looked, &manifest)
        {
            // An answer that was lost: it stands already.
            return Ok(receipt);
        }
        let proposed = self.proposed_under(proposal, &looked).await?;
        let signed = proposed.standing.ready()?;
        let Content::Release(release, manifest) = signed.submission().content() else {
            return Err(wrong(&"it proposes no release"));
        };
        let step = Step {
            environment: &environment,
            action: release.action,
            rollback_to: release.rollback_to,
            document: proposal.document().to_vec(),
            artifacts: manifest.artifacts().len(),
            contents: &[],
        };
        match self.append_step(&step, &looked, proposal.entry()?).await? {
            Appended::Yes(receipt) => Ok(*receipt),
            Appended::Again(refused) => Err(ClientError::Refused(refused)),
        }
    }
}

fn release_of(proposal: &Proposal) -> Result<&Release, ClientError> {
    match &proposal.statement().predicate {
        Predicate::Release(release) => Ok(release),
        _ => Err(wrong(&"it proposes no release")),
    }
}

fn wrong(why: &dyn std::fmt::Display) -> ClientError {
    ClientError::Proposal {
        why: why.to_string(),
    }
}
