//! Whether what is here was ever released anywhere: where it has nothing to do with the
//! release, not a name and not a byte, it is no drift but something that nobody recorded.
//! A recorded file that was edited is drift, however many of them were.
//!
//! Cheap by design: asked only then, of at most [`DIGESTS_MAX`] digests, and no further than
//! the first that was released.

use std::collections::BTreeSet;

use cairn_proto::hash::Sha256;

use super::{Measured, Report};
use crate::{error::ClientError, ledger::Ledger, sources::Capture, verdict::Verdict};

/// Digests that are asked after, a call each.
const DIGESTS_MAX: usize = 64;

impl Ledger {
    /// Adds UNRECORDED where each measured digest is proven never to have been released. No
    /// answer is no proof, and no error either: what differs was found without it.
    pub(super) async fn unrecorded(
        &self,
        report: &mut Report,
        measured: &Measured<'_>,
    ) -> Result<(), ClientError> {
        let comparison = &measured.comparison;
        // Of what runs on an API only fields are known: their digests were never anybody's.
        let objects = !measured.capture.objects.is_empty();
        if objects || comparison.files_matched > 0 || comparison.images_matched > 0 {
            return Ok(());
        }
        let recorded = measured.recorded.manifest();
        let mut found = measured.capture.artifacts.iter();
        if found.any(|artifact| recorded.artifact(artifact.name.as_str()).is_some()) {
            return Ok(());
        }
        let Some(digests) = digests_of(&measured.capture) else {
            return Ok(());
        };
        for digest in &digests {
            match self.digest_row(digest).await {
                Ok((None, _)) => {}
                Ok((Some(_), _)) => return Ok(()),
                Err(error) if error.verdict() == Some(Verdict::Tampered) => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "whether a digest was ever released is not known");
                    return Ok(());
                }
            }
        }
        report.hold(Verdict::Unrecorded);
        let note = "nothing of what is here was ever released, to any environment";
        report.notes.push(note.to_owned());
        Ok(())
    }
}

/// What to ask after; `None` where that cannot show that nothing was released: no digest was
/// measured, or too many, or files of trees, which the map has no rows for.
fn digests_of(capture: &Capture) -> Option<BTreeSet<Sha256>> {
    if !capture.trees.is_empty() {
        return None;
    }
    let artifacts = capture.artifacts.iter();
    let digests = artifacts.filter_map(|artifact| artifact.bytes.digests());
    let digests: BTreeSet<_> = digests.map(|digests| digests.sha256).collect();
    Some(digests).filter(|digests| (1..=DIGESTS_MAX).contains(&digests.len()))
}
