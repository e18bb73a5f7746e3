//! Manifests: what a release consists of. SPEC.md section 5.
//!
//! Invariant: a [`Manifest`] is well formed, and `encode` gives the bytes it was read from.

mod artifact;
mod bytes;
mod comparison;

use std::collections::BTreeSet;

use thiserror::Error;

pub use artifact::{Artifact, ArtifactKind, Mode};
pub use bytes::{Bytes, Digests, Withheld};
pub use comparison::{Comparison, Profile, Unmeasured};

use crate::{
    hash::{ArtifactsDigest, Sha256},
    json::{Field, JsonError, Value, parse_canonical},
    limits::{ARTIFACTS_MAX, MANIFEST_BYTES_MAX},
    reason::Reason,
};

const SCHEMA: &str = "cairn.manifest/v1";

/// The whole desired state of an environment at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    artifacts: Vec<Artifact>,
    comparison: Comparison,
    /// Hashed once: the sequencer compares it while everybody waits.
    artifacts_digest: ArtifactsDigest,
}

/// Why artifacts do not make a manifest, or bytes are not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The bytes are too many.
    #[error("a manifest of {bytes} bytes is too large")]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// The bytes do not say what a manifest says.
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl ManifestError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::DocumentTooLarge,
            Self::Json(error) => error.reason,
        }
    }
}

impl Manifest {
    /// Sorts the artifacts and checks them as a reader would.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what a manifest is made of becomes the manifest"
    )]
    pub fn new(
        mut artifacts: Vec<Artifact>,
        comparison: Comparison,
    ) -> Result<Self, ManifestError> {
        artifacts.sort_by(|left, right| left.name.cmp(&right.name));
        Self::decode(&encode(&artifacts, &comparison))
    }

    /// Reads canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge { bytes: bytes.len() });
        }
        let mut members = Field::root(parse_canonical(bytes)?).members()?;
        members.schema(SCHEMA)?;
        let comparison = Comparison::decode(members.take("comparison")?)?;
        let artifacts = members
            .take("artifacts")?
            .array(1..=ARTIFACTS_MAX)?
            .into_iter()
            .map(Artifact::decode)
            .collect::<Result<Vec<_>, _>>()?;
        members.finish()?;
        check_kinds(&artifacts, comparison.profile)?;
        check_names(&artifacts)?;
        let canonical = artifacts_of(bytes, &comparison);
        Ok(Self {
            artifacts,
            comparison,
            artifacts_digest: ArtifactsDigest(*blake3::hash(canonical).as_bytes()),
        })
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.artifacts, &self.comparison)
    }

    /// The artifacts, sorted by name.
    pub fn artifacts(&self) -> &[Artifact] {
        &self.artifacts
    }

    /// How they are compared.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// The artifact of a name.
    pub fn artifact(&self, name: &str) -> Option<&Artifact> {
        let position = self
            .artifacts
            .binary_search_by(|artifact| artifact.name.as_str().cmp(name))
            .ok()?;
        self.artifacts.get(position)
    }

    /// BLAKE3 of the canonical `artifacts` array: what a rollback must repeat.
    pub fn artifacts_digest(&self) -> ArtifactsDigest {
        self.artifacts_digest
    }

    /// The distinct sha256 of artifacts that are not withheld.
    pub fn sha256_set(&self) -> BTreeSet<Sha256> {
        self.artifacts
            .iter()
            .filter_map(|artifact| artifact.bytes.digests())
            .map(|digests| digests.sha256)
            .collect()
    }
}

fn encode(artifacts: &[Artifact], comparison: &Comparison) -> Vec<u8> {
    let artifacts = artifacts.iter().map(Artifact::encode);
    Value::object([
        ("artifacts", Value::Array(artifacts.collect())),
        ("comparison", comparison.encode()),
        ("schema", Value::text(SCHEMA)),
    ])
    .encode()
}

/// The `artifacts` array in a manifest's canonical bytes: what stands before the other two
/// members, whose bytes their values determine.
fn artifacts_of<'a>(manifest: &'a [u8], comparison: &Comparison) -> &'a [u8] {
    let others = Value::object([
        ("comparison", comparison.encode()),
        ("schema", Value::text(SCHEMA)),
    ]);
    let others = others.encode();
    let others = others.strip_prefix(b"{").unwrap_or_default();
    manifest
        .strip_suffix(others)
        .and_then(|rest| rest.strip_prefix(b"{\"artifacts\":"))
        .and_then(|rest| rest.strip_suffix(b","))
        .unwrap_or(manifest)
}

fn check_kinds(artifacts: &[Artifact], profile: Profile) -> Result<(), JsonError> {
    let foreign = |artifact: &Artifact| artifact.kind.is_of_objects();
    match artifacts.iter().position(foreign) {
        Some(position) if profile == Profile::Files => Err(JsonError::new(
            Reason::JsonInvalidValue,
            format!("artifacts[{position}].kind"),
        )),
        _ => Ok(()),
    }
}

fn check_names(artifacts: &[Artifact]) -> Result<(), JsonError> {
    if !artifacts.is_sorted_by(|left, right| left.name < right.name) {
        return Err(JsonError::new(Reason::JsonInvalidValue, "artifacts"));
    }
    let invalid = |position: usize, member: &str| {
        let path = format!("artifacts[{position}].{member}");
        JsonError::new(Reason::JsonInvalidValue, path)
    };
    let mut parents = Vec::with_capacity(artifacts.len());
    for (position, artifact) in artifacts.iter().enumerate() {
        if artifact.name.as_str() == "." && artifact.kind != ArtifactKind::Tree {
            return Err(invalid(position, "name"));
        }
        let parent = artifact.parent.as_ref().map(|parent| {
            artifacts
                .binary_search_by(|other| other.name.cmp(parent))
                .map_err(|_| invalid(position, "parent"))
        });
        parents.push(parent.transpose()?);
    }
    match first_on_a_cycle(&parents) {
        None => Ok(()),
        Some(position) => Err(invalid(position, "parent")),
    }
}

/// Where going from parent to parent comes back to where it was. Each place is passed once:
/// a walk ends where it, or an earlier one, has been.
fn first_on_a_cycle(parents: &[Option<usize>]) -> Option<usize> {
    let mut passed_by: Vec<Option<usize>> = vec![None; parents.len()];
    for walk in 0..parents.len() {
        let mut place = walk;
        while let Some(mark) = passed_by.get_mut(place) {
            match *mark {
                Some(earlier) if earlier == walk => return Some(place),
                Some(_) => break,
                None => *mark = Some(walk),
            }
            match parents.get(place).copied().flatten() {
                Some(parent) => place = parent,
                None => break,
            }
        }
    }
    None
}
