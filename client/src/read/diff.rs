//! What changed between two releases.
//!
//! Names and digests come from two proven manifests. Fields are for people: they are taken
//! from the recorded bytes where those are stored, small and readable, and left out else.

use std::collections::BTreeMap;

use cairn_proto::manifest::{Artifact, ArtifactKind, Bytes, Manifest};

use super::{Erasure, Proven, Reference, content::Want};
use crate::{
    compare::{Difference, DifferenceKind},
    detail::{TEXT_BYTES_MAX, detail},
    error::ClientError,
    ledger::Ledger,
};

/// Changed artifacts whose fields are fetched.
const FETCHED_MAX: usize = 64;

/// Two releases and how they differ.
#[derive(Debug, Clone)]
pub struct Diff {
    /// The one that counts as before.
    pub from: Proven,
    /// The one that counts as after.
    pub to: Proven,
    /// Sorted by artifact; `recorded` is what was before, `found` what is after.
    pub differences: Vec<Difference>,
    /// Recorded bytes that were erased, so that no fields can be told of them.
    pub erased: Vec<Erasure>,
}

impl Ledger {
    /// Compares two releases, of one environment or of two.
    pub async fn diff(&self, from: &Reference, to: &Reference) -> Result<Diff, ClientError> {
        let from = self.resolve(from).await?;
        let to = self.resolve(to).await?;
        let mut differences = Vec::new();
        let mut erased = Vec::new();
        let mut fetched = 0;
        for difference in manifest_differences(Some(&from.manifest), &to.manifest) {
            let changed = difference.kind == DifferenceKind::Changed && difference.path.is_empty();
            let fields = if changed && fetched < FETCHED_MAX {
                fetched += 1;
                let mut sides = [None, None];
                for (side, proven) in sides.iter_mut().zip([&from, &to]) {
                    match self.text(proven, &difference.artifact).await {
                        Ok(text) => *side = text,
                        Err(ClientError::Erased(erasure)) => erased.push(erasure),
                        Err(error) => return Err(error),
                    }
                }
                let [old, new] = sides;
                old.zip(new).and_then(|(old, new)| detail(&old, &new))
            } else {
                None
            };
            match fields {
                None => differences.push(difference),
                Some(fields) => {
                    differences.extend(fields.fields.into_iter().map(|field| Difference {
                        artifact: difference.artifact.clone(),
                        path: field.path,
                        kind: field.kind,
                        recorded: field.recorded,
                        found: field.found,
                    }));
                }
            }
        }
        Ok(Diff {
            from,
            to,
            differences,
            erased,
        })
    }

    /// A stored file's bytes, if they are few; `None` also where the server gives none.
    pub(crate) async fn text(
        &self,
        proven: &Proven,
        name: &str,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        let artifact = proven.manifest.artifact(name);
        let Some(artifact) = artifact.filter(|artifact| artifact.kind == ArtifactKind::File) else {
            return Ok(None);
        };
        let Bytes::Stored { digests, size } = artifact.bytes else {
            return Ok(None);
        };
        let want = Want {
            environment: &proven.release.environment,
            sequence: proven.release.sequence,
            digests,
            size,
            name,
        };
        match self.fetch(&want, TEXT_BYTES_MAX).await {
            Err(ClientError::Erased(erasure)) => Err(ClientError::Erased(erasure)),
            // Private or out of reach: then there are no fields to show.
            Err(error) if error.evidence().is_none() => Ok(None),
            other => other,
        }
    }
}

/// How two manifests differ, by artifact.
pub(crate) fn manifest_differences(from: Option<&Manifest>, to: &Manifest) -> Vec<Difference> {
    let mut names: BTreeMap<&str, (Option<&Artifact>, Option<&Artifact>)> = BTreeMap::new();
    for artifact in from.into_iter().flat_map(Manifest::artifacts) {
        names.entry(artifact.name.as_str()).or_default().0 = Some(artifact);
    }
    for artifact in to.artifacts() {
        names.entry(artifact.name.as_str()).or_default().1 = Some(artifact);
    }
    let mut differences = Vec::new();
    for (name, sides) in names {
        let mut differ = |path: &str, kind, recorded, found| {
            differences.push(Difference {
                artifact: name.to_owned(),
                path: path.to_owned(),
                kind,
                recorded,
                found,
            });
        };
        match sides {
            (Some(old), None) => differ("", DifferenceKind::Missing, Some(describe(old)), None),
            (None, Some(new)) => differ("", DifferenceKind::Added, None, Some(describe(new))),
            (Some(old), Some(new)) => {
                let (before, after) = (Some(describe(old)), Some(describe(new)));
                if old.kind != new.kind {
                    differ("kind", DifferenceKind::Changed, before, after);
                } else if old.bytes != new.bytes {
                    differ("", DifferenceKind::Changed, before, after);
                } else if old.mode != new.mode {
                    let mode = |artifact: &Artifact| artifact.mode.map(|mode| mode.to_string());
                    differ("mode", DifferenceKind::Changed, mode(old), mode(new));
                }
                let (before, after) = (more(old), more(new));
                if before != after {
                    let (before, after) = (Some(before), Some(after));
                    differ("metadata", DifferenceKind::Changed, before, after);
                }
            }
            (None, None) => {}
        }
    }
    differences
}

/// Digits of a digest that people compare: too many for two that agree to be made.
const DIGEST_DIGITS: usize = 32;

/// What else is said of an artifact.
fn more(artifact: &Artifact) -> String {
    let storage = match &artifact.bytes {
        Bytes::Stored { .. } => "stored",
        Bytes::External { .. } => "external",
        Bytes::Withheld(_) => "withheld",
    };
    let parent = artifact.parent.as_ref().map(ToString::to_string);
    let words = [
        Some(storage.to_owned()),
        artifact.media_type.as_ref().map(ToString::to_string),
        artifact.platform.as_ref().map(ToString::to_string),
        parent.map(|parent| format!("of {parent}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn describe(artifact: &Artifact) -> String {
    let kind = artifact.kind.as_str();
    let mode = artifact
        .mode
        .map_or_else(String::new, |mode| format!(" mode {mode}"));
    match &artifact.bytes {
        Bytes::Stored { digests, size } | Bytes::External { digests, size } => {
            let hex = digests.blake3.to_string();
            let short = hex.get(..DIGEST_DIGITS).unwrap_or_default();
            format!("{kind} blake3:{short} {size} bytes{mode}")
        }
        Bytes::Withheld(_) => format!("{kind} withheld{mode}"),
    }
}
