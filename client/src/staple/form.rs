//! The one form of a staple: a descriptor in `index.json`, an image manifest, the empty
//! configuration, and the bundle as the one layer.
//!
//! Invariant: what is read here was spelled exactly as it would be written again, and says
//! of its bundle what the bundle itself says.

use cairn_proto::{
    bundle::Bundle,
    entry::{Content, Submission},
    hash::{Sequence, Sha256},
    limits::BUNDLE_BYTES_MAX,
    name::Environment,
};
use serde::{Deserialize, Serialize};

use crate::sources::layout::{INDEXES, MANIFESTS};

/// Media type of a bundle, and artifact type of the manifest that holds one.
pub(crate) const BUNDLE: &str = "application/vnd.cairn.bundle.v1";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The empty configuration.
pub(crate) const EMPTY_BYTES: &[u8] = b"{}";
/// Bytes of a manifest of this form: names are bounded, so it has some 1,200 at most.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 4 << 10;

/// A blob by its media type, digest and size, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Link {
    pub(crate) media_type: String,
    digest: String,
    pub(crate) size: u64,
}

impl Link {
    pub(crate) fn new(media_type: &str, digest: &Sha256, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: format!("sha256:{digest}"),
            size,
        }
    }

    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self::new(media_type, &Sha256::of(bytes), size)
    }

    /// The digest, where it is one that is supported.
    pub(crate) fn sha256(&self) -> Option<Sha256> {
        self.digest.strip_prefix("sha256:")?.parse().ok()
    }

    /// The digest as it is spelled.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }
}

/// What a staple says of its bundle, for tools that list referrers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    #[serde(rename = "vnd.cairn.bundle.environment")]
    environment: String,
    #[serde(rename = "vnd.cairn.bundle.sequence")]
    sequence: String,
}

impl Words {
    fn of(environment: &Environment, sequence: Sequence) -> Self {
        Self {
            environment: environment.to_string(),
            sequence: sequence.to_string(),
        }
    }

    fn read(&self) -> Option<(Environment, Sequence)> {
        let environment = self.environment.parse().ok()?;
        let sequence = Sequence(self.sequence.parse().ok()?);
        (Self::of(&environment, sequence) == *self).then_some((environment, sequence))
    }
}

/// The members as Go's types have them in order: a tool that writes `index.json` again
/// spells them the same.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    annotations: Words,
    artifact_type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Manifest {
    schema_version: u64,
    media_type: String,
    artifact_type: String,
    config: Link,
    layers: [Link; 1],
    subject: Link,
    annotations: Words,
}

/// What a descriptor in `index.json` says of a staple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) environment: Environment,
    pub(crate) sequence: Sequence,
    /// The manifest.
    pub(crate) manifest: Link,
}

impl Claim {
    /// Reads a descriptor; one spelling only.
    pub(crate) fn read(descriptor: &str) -> Option<Self> {
        let read: Descriptor = serde_json::from_str(descriptor).ok()?;
        let (environment, sequence) = read.annotations.read()?;
        let claim = Self {
            environment,
            sequence,
            manifest: Link {
                media_type: read.media_type,
                digest: read.digest,
                size: read.size,
            },
        };
        claim.manifest.sha256()?;
        let small = claim.manifest.size <= MANIFEST_BYTES_MAX;
        (small && claim.encode() == descriptor).then_some(claim)
    }

    /// The descriptor.
    pub(crate) fn encode(&self) -> String {
        let descriptor = Descriptor {
            media_type: manifest_type().to_owned(),
            digest: self.manifest.digest.clone(),
            size: self.manifest.size,
            annotations: Words::of(&self.environment, self.sequence),
            artifact_type: BUNDLE.to_owned(),
        };
        // A few strings cannot fail to be written into memory.
        serde_json::to_string(&descriptor).unwrap_or_default()
    }
}

/// A staple: what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staple {
    pub(crate) environment: Environment,
    pub(crate) sequence: Sequence,
    pub(crate) bundle: Link,
    /// The image, or index of images, that it is stapled to.
    pub(crate) subject: Link,
}

impl Staple {
    /// Reads a manifest; one spelling only.
    pub(crate) fn read(manifest: &[u8]) -> Option<Self> {
        let read: Manifest = serde_json::from_slice(manifest).ok()?;
        let (environment, sequence) = read.annotations.read()?;
        let [bundle] = read.layers;
        let staple = Self {
            environment,
            sequence,
            bundle,
            subject: read.subject,
        };
        staple.bundle.sha256()?;
        staple.subject.sha256()?;
        let image = is_image(&staple.subject.media_type);
        let fits = staple.bundle.size <= BUNDLE_BYTES_MAX as u64;
        (image && fits && staple.encode() == manifest).then_some(staple)
    }

    /// The manifest.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let manifest = Manifest {
            schema_version: 2,
            media_type: manifest_type().to_owned(),
            artifact_type: BUNDLE.to_owned(),
            config: empty(),
            layers: [Link {
                media_type: BUNDLE.to_owned(),
                ..self.bundle.clone()
            }],
            subject: self.subject.clone(),
            annotations: Words::of(&self.environment, self.sequence),
        };
        serde_json::to_vec(&manifest).unwrap_or_default()
    }

    /// Its descriptor.
    pub(crate) fn claim(&self) -> Claim {
        Claim {
            environment: self.environment.clone(),
            sequence: self.sequence,
            manifest: Link::of(manifest_type(), &self.encode()),
        }
    }

    /// Whether a descriptor says of it what it says of itself.
    pub(crate) fn is_of(&self, claim: &Claim) -> bool {
        (&self.environment, self.sequence) == (&claim.environment, claim.sequence)
    }
}

/// The descriptor of the empty configuration.
pub(crate) fn empty() -> Link {
    Link::of(EMPTY, EMPTY_BYTES)
}

/// What a bundle says that it is of. Nobody's signature is looked at.
pub(crate) fn said_of(bundle: &[u8]) -> Option<(Environment, Sequence)> {
    let bundle = Bundle::decode(bundle).ok()?;
    let release = bundle.evidence.release.as_ref()?;
    let submission = Submission::decode(&release.entry, &release.manifest).ok()?;
    let Content::Release(release, _) = submission.content() else {
        return None;
    };
    let own = release.environment == bundle.environment;
    own.then(|| (bundle.environment.clone(), release.sequence))
}

pub(crate) fn manifest_type() -> &'static str {
    MANIFESTS.first().copied().unwrap_or_default()
}

/// Whether a media type is one of an image, or of an index of images.
pub(crate) fn is_image(media_type: &str) -> bool {
    INDEXES.contains(&media_type) || MANIFESTS.contains(&media_type)
}
