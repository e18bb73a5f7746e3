//! Verifying: what a ledger says of an environment, against what is there.
//!
//! ```text
//! lookup or bundle --prove--> current release --capture, compare--> Report
//! ```
//!
//! Invariant: a report is VERIFIED only if every step was proven, something was measured,
//! and nothing differs. An error that says something of the ledger becomes a report; one
//! that does not (no answer, not allowed, no such file) stays an error.

mod fields;
mod offline;
mod report;
mod superseded;
#[cfg(test)]
mod tests;
mod unrecorded;

use std::collections::BTreeSet;

use cairn_proto::{
    limits::TREE_BYTES_MAX,
    manifest::{Digests, Manifest},
    name::Environment,
    statement::Action,
};

pub use offline::{BundleCheck, verify_bundle};
pub use report::{CheckpointReport, Report, SignerReport, Tally, WitnessReport};

use crate::{
    compare::{Comparison, DifferenceKind, compare},
    error::ClientError,
    ledger::{Ledger, Looked, not_below_held},
    read::{Proven, Want, current_of},
    sources::{Capture, CaptureOptions, Input, Progress, Purpose, Recorded, TagContext, capture},
    systems::{self, Asked, Named, told_apart},
    verdict::Verdict,
};

/// What is measured, and with what.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Files and directories.
    pub inputs: &'a [Input],
    /// Deployment tools that are asked.
    pub systems: &'a [Asked],
    /// The key of the environment's withheld values.
    pub tags: Option<&'a TagContext>,
    /// Is told how measuring goes on.
    pub progress: &'a dyn Progress,
}

impl Ledger {
    /// Compares what is there with the current release of an environment. Reads and hashes
    /// files on the calling thread.
    pub async fn verify(
        &self,
        environment: &Environment,
        subject: &Subject<'_>,
    ) -> Result<Report, ClientError> {
        let looked = match self.lookup_pinned(environment).await {
            Ok(looked) => looked,
            Err(error) => return Report::of_error(environment, error),
        };
        let mut report = Report::new(environment);
        report.checkpoint(&looked.checkpoint, looked.age);
        report.terms(&looked.checkpoint, looked.current.terms());
        self.newer(&mut report, &looked)?;
        if let Err(error) = not_below_held(looked.held.as_ref(), environment, &looked) {
            report.hold(Verdict::Stale);
            report.blame(&error);
        }
        if report.current(&looked.current).is_none() {
            return Ok(report);
        }
        match self.judge(&mut report, &looked, subject).await {
            // What contradicts a signed head outweighs whatever was measured.
            Err(error) if error.verdict() == Some(Verdict::Tampered) => {
                report.hold(Verdict::Tampered);
                report.blame(&error);
                Ok(report)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(report),
        }
    }

    /// Says so where more was seen than those who are pinned cosigned yet.
    fn newer(&self, report: &mut Report, looked: &Looked) -> Result<(), ClientError> {
        let newest = self
            .held()
            .load()?
            .map(|held| held.checkpoint().head().size());
        let size = looked.checkpoint.head().size();
        if let Some(newest) = newest.filter(|newest| *newest > size) {
            report.notes.push(format!(
                "{newest} entries were seen; this is as of the {size} that those who are pinned \
                 cosigned"
            ));
        }
        Ok(())
    }

    async fn judge(
        &self,
        report: &mut Report,
        looked: &Looked,
        subject: &Subject<'_>,
    ) -> Result<(), ClientError> {
        let Some(current) = current_of(looked) else {
            return Ok(());
        };
        let measured = self.measure(&current, subject).await?;
        report.notes.extend(measured.capture.notes.iter().cloned());
        report.comparison(measured.comparison.clone());
        let retired = current.release.action == Action::Retire;
        if retired {
            report.hold(Verdict::Superseded);
            let note = format!("{} is retired", current.release.environment);
            report.notes.push(note);
        }
        if !report.verdicts.contains(&Verdict::Drift) {
            return Ok(());
        }
        let now = (&measured.capture, report.differences.as_slice());
        if !retired && let Some(older) = self.older(looked, now, subject).await? {
            superseded::tell(report, &older, &current);
            return Ok(());
        }
        self.unrecorded(report, &measured).await?;
        self.explain(report, &current, &measured).await?;
        self.tell_erased(report, &measured).await
    }

    /// Captures in the shape of a release, and compares with it.
    async fn measure<'p>(
        &self,
        proven: &'p Proven,
        subject: &Subject<'_>,
    ) -> Result<Measured<'p>, ClientError> {
        let mut recorded = self.recorded(proven).await?;
        let named = told_apart(subject.inputs, subject.systems, Some(&proven.manifest));
        self.add_objects(proven, &named.asked, &mut recorded)
            .await?;
        measure(recorded, named, subject)
    }

    /// A release's manifest with the listings of its trees, as far as the server gives them.
    async fn recorded<'p>(&self, proven: &'p Proven) -> Result<Recorded<'p>, ClientError> {
        let mut recorded = Recorded::new(&proven.manifest);
        for name in trees_of(&proven.manifest) {
            let Some((size, digests)) = stored(&proven.manifest, name) else {
                continue;
            };
            let want = Want {
                environment: &proven.release.environment,
                sequence: proven.release.sequence,
                digests,
                size,
                name,
            };
            match self.fetch(&want, TREE_BYTES_MAX).await {
                Ok(Some(listing)) => {
                    let tree = name.parse().ok();
                    if let Some(tree) = tree
                        && let Err(error) = recorded.add_listing(&tree, &listing)
                    {
                        // It hashed to what was signed and is no listing: compared whole.
                        tracing::debug!(%error, name, "a listing was not used");
                    }
                }
                // Without its listing a tree is compared as a whole.
                Ok(None) => {}
                Err(error) if error.evidence().is_none() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(recorded)
    }
}

impl Ledger {
    /// Adds what was recorded of the objects of the systems that are asked.
    async fn add_objects<'p>(
        &self,
        proven: &'p Proven,
        systems: &[Asked],
        recorded: &mut Recorded<'p>,
    ) -> Result<(), ClientError> {
        let asked = systems.iter().map(|asked| asked.system);
        let names: BTreeSet<_> = asked
            .flat_map(|system| system.reads().iter().copied().chain([system.name()]))
            .collect();
        for name in names {
            let wanted: Vec<_> = recorded
                .objects_of(name)
                .map(|(artifact, _)| artifact)
                .collect();
            for (artifact, fetched) in self.objects(proven, wanted.into_iter()).await {
                match fetched {
                    Ok(Some(bytes)) => {
                        let name = &artifact.name;
                        if let Err(error) = recorded.add_object(name, &bytes) {
                            // It hashed to what was signed and is no JSON: it is not compared.
                            tracing::debug!(%error, %name, "an object was not used");
                        }
                    }
                    // What is not at hand cannot be compared, and the report says so.
                    Ok(None) => {}
                    Err(error) if error.evidence().is_none() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// What was measured, and how it compares.
pub(crate) struct Measured<'a> {
    pub(crate) recorded: Recorded<'a>,
    pub(crate) capture: Capture,
    pub(crate) comparison: Comparison,
}

impl Measured<'_> {
    /// Whether everything that is recorded was measured and nothing differs.
    fn is_exact(&self) -> bool {
        self.comparison.differences.is_empty() && self.comparison.measured > 0
    }
}

fn measure<'a>(
    recorded: Recorded<'a>,
    named: Named,
    subject: &Subject<'_>,
) -> Result<Measured<'a>, ClientError> {
    let options = CaptureOptions::new(Purpose::Verify(&recorded));
    let mut capture = capture(&named.inputs, &options, subject.tags, subject.progress)?;
    capture.notes.extend(named.notes);
    systems::observe(&named.asked, &recorded, subject.tags, &mut capture)?;
    let comparison = compare(&recorded, &capture);
    let asked = |name: &str| named.asked.iter().any(|it| it.system.name() == name);
    for name in systems::recorded_systems(&recorded) {
        if !asked(name) {
            let note = format!("what {name} deployed was recorded and not asked for: --{name}");
            capture.notes.push(note);
        }
    }
    Ok(Measured {
        recorded,
        capture,
        comparison,
    })
}

fn trees_of(manifest: &Manifest) -> Vec<&str> {
    use cairn_proto::manifest::ArtifactKind;
    let artifacts = manifest.artifacts().iter();
    artifacts
        .filter(|artifact| artifact.kind == ArtifactKind::Tree)
        .map(|artifact| artifact.name.as_str())
        .collect()
}

/// Size and digests of an artifact whose bytes are stored.
fn stored(manifest: &Manifest, name: &str) -> Option<(u64, Digests)> {
    use cairn_proto::manifest::Bytes;
    match manifest.artifact(name)?.bytes {
        Bytes::Stored { digests, size } => Some((size, digests)),
        _ => None,
    }
}

/// Whether a difference is one of a file's bytes, which may have fields.
fn is_of_bytes(difference: &crate::compare::Difference) -> bool {
    difference.kind == DifferenceKind::Changed && difference.path.is_empty()
}
