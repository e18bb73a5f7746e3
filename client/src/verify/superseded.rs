//! Whether what differs from the current release is exactly an older one.
//!
//! Older releases are walked newest first, each proven like any other; measuring is done
//! again in the shape of those that could match, because what an older release recorded as
//! a tree or withheld may be recorded otherwise now.

use cairn_proto::{
    manifest::{ArtifactKind, Manifest},
    reason::Reason,
};

use super::{Report, Subject};
use crate::{
    compare::{Difference, DifferenceKind},
    detail::printable,
    error::ClientError,
    ledger::{Ledger, Looked},
    read::{Chain, Proven, manifest_differences},
    sources::Capture,
    verdict::Verdict,
};

/// Older releases that are looked at.
const RELEASES_MAX: usize = 100;
/// Of those, how many are measured against: each reads all files again.
const MEASURED_MAX: usize = 4;
/// Changes that are listed in words.
const CHANGES_MAX: usize = 20;

impl Ledger {
    /// The newest older release that what was captured is exactly. `None` also where the
    /// server gives no history: then the drift stands.
    pub(super) async fn older(
        &self,
        looked: &Looked,
        (capture, differences): (&Capture, &[Difference]),
        subject: &Subject<'_>,
    ) -> Result<Option<Proven>, ClientError> {
        match self.search(looked, (capture, differences), subject).await {
            Err(error) if error.evidence().is_none() => {
                tracing::debug!(%error, "older releases were not compared");
                Ok(None)
            }
            other => other,
        }
    }

    async fn search(
        &self,
        looked: &Looked,
        (capture, differences): (&Capture, &[Difference]),
        subject: &Subject<'_>,
    ) -> Result<Option<Proven>, ClientError> {
        let cairn_proto::verify::Current::Release(current) = &looked.current else {
            return Ok(None);
        };
        let policies = looked.policies(self.trust()).map_err(ClientError::Verify)?;
        let mut chain = Chain::new(self, &current.release().environment, looked)?;
        let (mut seen, mut measured) = (0, 0);
        while seen <= RELEASES_MAX
            && measured < MEASURED_MAX
            && let Some(logged) = chain.next().await?
        {
            seen += 1;
            if logged.leaf == *current.leaf() {
                continue;
            }
            let proven = match self.prove_older(&logged, looked, &policies).await {
                // What nobody may rely on is not what is looked for; what came before may be.
                Err(error) if error.reason() == Some(Reason::SignerCompromised) => continue,
                proven => proven?,
            };
            let repeated = proven.manifest == *current.manifest();
            if repeated || !could_be(&proven.manifest, capture) {
                continue;
            }
            measured += 1;
            let against = self.measure(&proven, subject).await?;
            // What is a difference now is not less of one because nobody knew of it then.
            let comparison = &against.comparison;
            let told = |added: &Difference| {
                let same =
                    |it: &&Difference| it.artifact == added.artifact && it.path == added.path;
                differences.iter().any(|it| same(&it))
            };
            let hides = comparison.more_added > 0 || comparison.added.iter().any(told);
            let exact = against.is_exact() && !hides;
            if exact {
                return Ok(Some(proven));
            }
        }
        Ok(None)
    }
}

/// Whether no artifact that both have by digests contradicts it.
fn could_be(manifest: &Manifest, capture: &Capture) -> bool {
    manifest.artifacts().iter().all(|recorded| {
        let found = capture.artifact(recorded.name.as_str());
        let found = found.filter(|found| found.kind == recorded.kind);
        // Objects are compared by fields: their digests differ as a matter of course.
        let found = found.filter(|found| found.kind != ArtifactKind::Object);
        match (recorded.bytes.digests(), found.map(|it| it.bytes.digests())) {
            (Some(recorded), Some(Some(found))) => recorded == found,
            _ => true,
        }
    })
}

/// It is no drift but an older release, and this is what changed since.
pub(super) fn tell(report: &mut Report, older: &Proven, current: &Proven) {
    report.drop(Verdict::Drift);
    report.drop(Verdict::Unverifiable);
    report.hold(Verdict::Superseded);
    report.differences.clear();
    report.stands = Some(older.release.sequence.0);
    let environment = &current.release.environment;
    report.notes.push(format!(
        "this is exactly {environment}#{}; {environment}#{} is current",
        older.release.sequence, current.release.sequence
    ));
    let changes = manifest_differences(Some(&older.manifest), &current.manifest);
    for change in changes.iter().take(CHANGES_MAX) {
        let what = match change.kind {
            DifferenceKind::Added => "added",
            DifferenceKind::Missing => "removed",
            _ => "changed",
        };
        let note = format!("{what} since: {}", printable(&change.artifact));
        report.notes.push(note);
    }
    if let Some(more) = changes
        .len()
        .checked_sub(CHANGES_MAX)
        .filter(|more| *more > 0)
    {
        report.notes.push(format!("and {more} more changed since"));
    }
    report.changed_since = changes;
}
