//! Which fields of a drifted file differ: recorded bytes are fetched and laid beside those
//! that were measured. For people; the verdict stands before this is asked.

use std::{collections::BTreeMap, io::Read as _};

use cairn_proto::{
    manifest::{Bytes, Digests},
    tree::TreeBytes,
};

use super::{Measured, Report, is_of_bytes};
use crate::{
    compare::Difference,
    detail::{TEXT_BYTES_MAX, detail},
    error::ClientError,
    ledger::Ledger,
    read::{Proven, Want},
};

/// Files whose fields are looked at.
const FILES_MAX: usize = 32;

impl Ledger {
    /// Puts fields in the place of whole files, where they can be told.
    pub(super) async fn explain(
        &self,
        report: &mut Report,
        current: &Proven,
        measured: &Measured<'_>,
    ) -> Result<(), ClientError> {
        let mut explained = Vec::new();
        let mut looked_at = 0;
        for difference in std::mem::take(&mut report.differences) {
            let fields = if is_of_bytes(&difference) && looked_at < FILES_MAX {
                looked_at += 1;
                match self.fields(&difference, current, measured).await {
                    Ok(fields) => fields,
                    Err(error) => {
                        report.differences = explained;
                        report.differences.push(difference);
                        return Err(error);
                    }
                }
            } else {
                None
            };
            match fields {
                Some(fields) => explained.extend(fields),
                None => explained.push(difference),
            }
        }
        report.differences = explained;
        Ok(())
    }

    /// Says which of the recorded bytes cannot be put back, as far as orders are proven.
    pub(super) async fn tell_erased(
        &self,
        report: &mut Report,
        measured: &Measured<'_>,
    ) -> Result<(), ClientError> {
        let differences = report.differences.iter();
        let stored: BTreeMap<_, _> = differences
            .filter_map(|it| Some((it.artifact.clone(), recorded(&it.artifact, measured)?)))
            .map(|(artifact, (digests, _))| (artifact, digests.blake3))
            .collect();
        if stored.is_empty() {
            return Ok(());
        }
        match self.erasures(stored.iter()).await {
            Ok(erased) => report.erased = erased,
            // The verdict rests on digests alone, whatever becomes of the bytes.
            Err(error) if error.evidence().is_none() => {}
            Err(error) => return Err(error),
        }
        let erased = report.erased.iter().map(ToString::to_string);
        report.notes.extend(erased);
        Ok(())
    }

    async fn fields(
        &self,
        difference: &Difference,
        current: &Proven,
        measured: &Measured<'_>,
    ) -> Result<Option<Vec<Difference>>, ClientError> {
        let Some(found) = found(&difference.artifact, measured) else {
            return Ok(None);
        };
        let Some((digests, size)) = recorded(&difference.artifact, measured) else {
            return Ok(None);
        };
        let want = Want {
            environment: &current.release.environment,
            sequence: current.release.sequence,
            digests,
            size,
            name: &difference.artifact,
        };
        let recorded = match self.fetch(&want, TEXT_BYTES_MAX).await {
            Ok(Some(recorded)) => recorded,
            Ok(None) => return Ok(None),
            // Private, erased or out of reach: the file as a whole is what is shown.
            Err(error) if error.evidence().is_none() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(detail(&recorded, &found).map(|detail| {
            let more = detail.more;
            let mut fields: Vec<_> = detail
                .fields
                .into_iter()
                .map(|field| Difference {
                    artifact: difference.artifact.clone(),
                    path: field.path,
                    kind: field.kind,
                    recorded: field.recorded,
                    found: field.found,
                })
                .collect();
            if more > 0 {
                fields.push(Difference {
                    found: Some(format!("and {more} more fields")),
                    ..difference.clone()
                });
            }
            fields
        }))
    }
}

/// What is recorded of a file, of a tree's included.
fn recorded(name: &str, measured: &Measured<'_>) -> Option<(Digests, u64)> {
    if let Some(artifact) = measured.recorded.manifest().artifact(name) {
        return match artifact.bytes {
            Bytes::Stored { digests, size } => Some((digests, size)),
            _ => None,
        };
    }
    measured.capture.trees.keys().find_map(|tree| {
        let listing = measured.recorded.listing(tree)?;
        entry(listing, inside(tree.as_str(), name)?)
    })
}

/// The bytes that were found, if they are few and still there.
fn found(name: &str, measured: &Measured<'_>) -> Option<Vec<u8>> {
    let own = measured.capture.artifact(name);
    let own = own.and_then(|artifact| artifact.bytes.digests());
    let digests = match own {
        Some(digests) => *digests,
        None => measured.capture.trees.iter().find_map(|(tree, listing)| {
            entry(listing, inside(tree.as_str(), name)?).map(|(digests, _)| digests)
        })?,
    };
    let content = measured.capture.content(&digests.blake3)?;
    if usize::try_from(content.size).ok()? > TEXT_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    content.open(0).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn inside<'n>(tree: &str, name: &'n str) -> Option<&'n str> {
    match tree {
        "." => Some(name),
        tree => name.strip_prefix(tree)?.strip_prefix('/'),
    }
}

fn entry(listing: &cairn_proto::tree::Tree, name: &str) -> Option<(Digests, u64)> {
    let entries = listing.entries();
    let position = entries
        .binary_search_by(|entry| entry.name.as_str().cmp(name))
        .ok()?;
    match entries.get(position)?.bytes {
        TreeBytes::Stored { digests, size } => Some((digests, size)),
        TreeBytes::Withheld(_) => None,
    }
}
