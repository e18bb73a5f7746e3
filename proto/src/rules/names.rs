//! Immutable names: what a tool calls by one name stays the same bytes, in all environments.
//! SPEC.md sections 5 and 7.6.

use std::collections::HashMap;

use super::RuleError;
use crate::{
    hash::{Index, Sha256},
    manifest::{ArtifactKind, Manifest},
    name::ArtifactName,
    statement::{Action, Release},
};

/// The annotation with which a release says that it gives a name other bytes, and why.
pub const NAME_REUSE: &str = "cairn.name-reuse";

/// What every immutable name stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(HashMap<ArtifactName, Named>);

/// What a name stands for, and which entry said so last.
#[derive(Debug, Clone, Copy)]
struct Named {
    sha256: Sha256,
    index: Index,
}

/// A name that a release gives: for the first time, or to other bytes than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// The name.
    pub name: ArtifactName,
    /// What it stands for from now on.
    pub sha256: Sha256,
    /// The entry that gave it to other bytes.
    pub before: Option<Index>,
}

impl Names {
    /// What a release changes; refused where it gives a name to other bytes and does not say why.
    pub(super) fn given(
        &self,
        release: &Release,
        manifest: &Manifest,
    ) -> Result<Vec<Naming>, RuleError> {
        let mut given = Vec::new();
        if release.action != Action::Release {
            return Ok(given);
        }
        let artifacts = manifest.artifacts().iter();
        for artifact in artifacts.filter(|artifact| artifact.kind == ArtifactKind::Name) {
            let Some(digests) = artifact.bytes.digests() else {
                continue;
            };
            let known = self.0.get(&artifact.name);
            if known.is_some_and(|known| known.sha256 == digests.sha256) {
                continue;
            }
            let said = release.annotations.contains_key(NAME_REUSE);
            if let Some(known) = known.filter(|_| !said) {
                return Err(RuleError::NameReused {
                    name: artifact.name.clone(),
                    index: known.index,
                    was: known.sha256,
                    found: digests.sha256,
                });
            }
            given.push(Naming {
                name: artifact.name.clone(),
                sha256: digests.sha256,
                before: known.map(|known| known.index),
            });
        }
        Ok(given)
    }

    /// Takes what a rule allowed.
    pub(super) fn take(&mut self, index: Index, given: &[Naming]) {
        for naming in given {
            let sha256 = naming.sha256;
            self.0.insert(naming.name.clone(), Named { sha256, index });
        }
    }
}
