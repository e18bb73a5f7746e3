//! Manifests: what a release consists of. SPEC.md section 5.
//!
//! Invariant: a [`Manifest`] is well formed, and `encode` gives the bytes it was read from.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::{
    hash::{ArtifactsDigest, ContentId, Sha256},
    json::{Field, JsonError, Members, Value, ascending, parse_canonical},
    limits::{ARTIFACTS_MAX, JSON_INTEGER_MAX, MANIFEST_BYTES_MAX},
    name::ArtifactName,
    reason::Reason,
};

const SCHEMA: &str = "cairn.manifest/v1";
/// The comparison profile of files, directories, trees and OCI layouts.
pub const PROFILE_FILES: &str = "files/v1";
const SIZE_MAX: u64 = JSON_INTEGER_MAX.unsigned_abs();

/// Both digests of an artifact's bytes; where they are compared, both must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digests {
    /// BLAKE3: the address of the content.
    pub blake3: ContentId,
    /// SHA-256: what OCI, in-toto and the kernel speak.
    pub sha256: Sha256,
}

impl Digests {
    /// Digests of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            blake3: ContentId::of(bytes),
            sha256: Sha256::of(bytes),
        }
    }

    pub(crate) fn encode(&self) -> Value {
        Value::object([
            ("blake3", Value::text(self.blake3)),
            ("sha256", Value::text(self.sha256)),
        ])
    }

    pub(crate) fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let digests = Self {
            blake3: ContentId(members.take("blake3")?.hex32()?),
            sha256: Sha256(members.take("sha256")?.hex32()?),
        };
        members.finish()?;
        Ok(digests)
    }
}

/// What an artifact is, in the profile `files/v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArtifactKind {
    /// A regular file.
    File,
    /// A symbolic link; its bytes are the target.
    Symlink,
    /// An empty directory; its bytes are empty.
    Directory,
    /// A directory of many files; its bytes are a tree listing.
    Tree,
    /// The `index.json` of an OCI image layout.
    Image,
    /// An image index inside a layout.
    ImageIndex,
    /// An image manifest.
    ImageManifest,
    /// An image configuration.
    ImageConfig,
    /// A layer, or another blob that a manifest links to.
    ImageLayer,
}

impl ArtifactKind {
    const NAMES: [(Self, &'static str); 9] = [
        (Self::File, "file"),
        (Self::Symlink, "symlink"),
        (Self::Directory, "directory"),
        (Self::Tree, "tree"),
        (Self::Image, "image"),
        (Self::ImageIndex, "image-index"),
        (Self::ImageManifest, "image-manifest"),
        (Self::ImageConfig, "image-config"),
        (Self::ImageLayer, "image-layer"),
    ];

    /// The text in a manifest.
    pub fn as_str(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    pub(crate) fn decode(field: &Field) -> Result<Self, JsonError> {
        let text = field.text(1..=32)?;
        Self::NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(kind, _)| *kind)
            .ok_or_else(|| field.invalid())
    }
}

/// Permission bits, 0 to 0o7777.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u16);

impl Mode {
    /// Keeps the permission bits of a file's mode.
    pub fn of(mode: u32) -> Self {
        Self(u16::try_from(mode & 0o7777).unwrap_or_default())
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0.into()
    }

    pub(crate) fn encode(self) -> Value {
        Value::text(self)
    }

    pub(crate) fn decode(field: &Field) -> Result<Self, JsonError> {
        let text = field.text(4..=4)?;
        if !text.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
            return Err(field.invalid());
        }
        u16::from_str_radix(text, 8)
            .map(Self)
            .map_err(|_| field.invalid())
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:04o}", self.0)
    }
}

/// A keyed tag in place of a secret's digest. SPEC.md section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld {
    /// Which key made the tag.
    pub key_id: [u8; 16],
    /// Keyed BLAKE3 over environment, name, pointer and value.
    pub tag: [u8; 32],
}

impl Withheld {
    pub(crate) fn encode(&self) -> Value {
        Value::object([
            ("keyId", Value::text(hex::encode(self.key_id))),
            ("tag", Value::text(hex::encode(self.tag))),
        ])
    }

    pub(crate) fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let id = members.take("keyId")?;
        let text = id.text(32..=32)?;
        let mut key_id = [0; 16];
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        if !lower || hex::decode_to_slice(text, &mut key_id).is_err() {
            return Err(id.invalid());
        }
        let tag = members.take("tag")?.hex32()?;
        members.finish()?;
        Ok(Self { key_id, tag })
    }
}

/// What stands in the ledger for an artifact's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// They are content of the ledger.
    Stored {
        /// Their digests.
        digests: Digests,
        /// Their number.
        size: u64,
    },
    /// Only their digests are recorded.
    External {
        /// Their digests.
        digests: Digests,
        /// Their number.
        size: u64,
    },
    /// Nothing but a keyed tag is recorded.
    Withheld(Withheld),
}

impl Bytes {
    /// The digests, unless withheld.
    pub fn digests(&self) -> Option<&Digests> {
        match self {
            Self::Stored { digests, .. } | Self::External { digests, .. } => Some(digests),
            Self::Withheld(_) => None,
        }
    }
}

/// One thing that a release consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where it stands, from the recorded root.
    pub name: ArtifactName,
    /// What it is.
    pub kind: ArtifactKind,
    /// Its media type, where known.
    pub media_type: Option<String>,
    /// Its permission bits, where it has any.
    pub mode: Option<Mode>,
    /// The artifact that links to it.
    pub parent: Option<ArtifactName>,
    /// `os/arch[/variant]` of an image's part.
    pub platform: Option<String>,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Artifact {
    fn encode(&self) -> Value {
        let mut members = vec![
            ("kind", Value::text(self.kind.as_str())),
            ("name", Value::text(&self.name)),
        ];
        members.extend(
            self.media_type
                .as_ref()
                .map(|text| ("mediaType", Value::text(text))),
        );
        members.extend(self.mode.map(|mode| ("mode", mode.encode())));
        members.extend(
            self.parent
                .as_ref()
                .map(|name| ("parent", Value::text(name))),
        );
        members.extend(
            self.platform
                .as_ref()
                .map(|text| ("platform", Value::text(text))),
        );
        let storage = match &self.bytes {
            Bytes::Stored { digests, size } => {
                members.extend([
                    ("digests", digests.encode()),
                    ("size", Value::number(*size)),
                ]);
                "stored"
            }
            Bytes::External { digests, size } => {
                members.extend([
                    ("digests", digests.encode()),
                    ("size", Value::number(*size)),
                ]);
                "external"
            }
            Bytes::Withheld(withheld) => {
                members.push(("withheld", withheld.encode()));
                "withheld"
            }
        };
        members.push(("storage", Value::text(storage)));
        Value::object(members)
    }

    fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let artifact = Self {
            name: members.take("name")?.parsed()?,
            kind: ArtifactKind::decode(&members.take("kind")?)?,
            media_type: printable(members.take_optional("mediaType"))?,
            mode: members
                .take_optional("mode")
                .map(|mode| Mode::decode(&mode))
                .transpose()?,
            parent: members
                .take_optional("parent")
                .map(|name| name.parsed())
                .transpose()?,
            platform: printable(members.take_optional("platform"))?,
            bytes: decode_bytes(&mut members)?,
        };
        members.finish()?;
        Ok(artifact)
    }
}

fn printable(field: Option<Field>) -> Result<Option<String>, JsonError> {
    let Some(field) = field else { return Ok(None) };
    let text = field.text(1..=255)?;
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        Ok(Some(text.to_owned()))
    } else {
        Err(field.invalid())
    }
}

fn decode_bytes(members: &mut Members) -> Result<Bytes, JsonError> {
    let storage = members.take("storage")?;
    let storage_text = storage.text(1..=16)?;
    if storage_text == "withheld" {
        return Withheld::decode(members.take("withheld")?).map(Bytes::Withheld);
    }
    let digests = Digests::decode(members.take("digests")?)?;
    let size = members.take("size")?.number(0..=SIZE_MAX)?;
    match storage_text {
        "stored" => Ok(Bytes::Stored { digests, size }),
        "external" => Ok(Bytes::External { digests, size }),
        _ => Err(storage.invalid()),
    }
}

/// What of a release's artifacts is compared, inside what the deployer signs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// `<artifact or *>#/mode`, strictly ascending.
    pub ignore: Vec<String>,
    /// Whether a withheld artifact that cannot be measured spoils `VERIFIED`.
    pub unmeasured: Unmeasured,
}

/// What a withheld artifact that cannot be measured does to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unmeasured {
    /// It is `UNVERIFIABLE`.
    #[default]
    Refuse,
    /// It is counted and passed over.
    Accept,
}

impl Comparison {
    /// Whether a difference of mode is ignored for this artifact.
    pub fn ignores_mode(&self, name: &ArtifactName) -> bool {
        self.ignore.iter().any(|pointer| {
            pointer
                .strip_suffix("#/mode")
                .is_some_and(|target| target == "*" || target == name.as_str())
        })
    }

    fn encode(&self) -> Value {
        let unmeasured = match self.unmeasured {
            Unmeasured::Refuse => "refuse",
            Unmeasured::Accept => "accept",
        };
        Value::object([
            (
                "ignore",
                Value::Array(self.ignore.iter().map(Value::text).collect()),
            ),
            ("profile", Value::text(PROFILE_FILES)),
            ("unmeasured", Value::text(unmeasured)),
        ])
    }

    fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let profile = members.take("profile")?;
        if profile.text(1..=64)? != PROFILE_FILES {
            return Err(profile.error(Reason::NeedsNewerCairn));
        }
        let ignore = members
            .take("ignore")?
            .array(0..=256)?
            .iter()
            .map(decode_pointer)
            .collect::<Result<Vec<_>, _>>()?;
        ascending(&ignore, "comparison.ignore")?;
        let unmeasured = members.take("unmeasured")?;
        let unmeasured = match unmeasured.text(1..=16)? {
            "refuse" => Unmeasured::Refuse,
            "accept" => Unmeasured::Accept,
            _ => return Err(unmeasured.invalid()),
        };
        members.finish()?;
        Ok(Self { ignore, unmeasured })
    }
}

fn decode_pointer(field: &Field) -> Result<String, JsonError> {
    let text = field.text(1..=2_048)?;
    let target = text.strip_suffix("#/mode").ok_or_else(|| field.invalid())?;
    if target == "*" || target.parse::<ArtifactName>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err(field.invalid())
    }
}

/// The whole desired state of an environment at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    artifacts: Vec<Artifact>,
    comparison: Comparison,
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
    pub fn new(
        mut artifacts: Vec<Artifact>,
        comparison: Comparison,
    ) -> Result<Self, ManifestError> {
        artifacts.sort_by(|left, right| left.name.cmp(&right.name));
        Self::decode(
            &Self {
                artifacts,
                comparison,
            }
            .encode(),
        )
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
        check_names(&artifacts)?;
        Ok(Self {
            artifacts,
            comparison,
        })
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        Value::object([
            ("artifacts", self.artifacts_value()),
            ("comparison", self.comparison.encode()),
            ("schema", Value::text(SCHEMA)),
        ])
        .encode()
    }

    fn artifacts_value(&self) -> Value {
        Value::Array(self.artifacts.iter().map(Artifact::encode).collect())
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
        ArtifactsDigest(*blake3::hash(&self.artifacts_value().encode()).as_bytes())
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

fn check_names(artifacts: &[Artifact]) -> Result<(), JsonError> {
    let invalid = |path: String| JsonError::new(Reason::JsonInvalidValue, path);
    if !artifacts.is_sorted_by(|left, right| left.name < right.name) {
        return Err(invalid("artifacts".into()));
    }
    for (position, artifact) in artifacts.iter().enumerate() {
        let place = |member: &str| format!("artifacts[{position}].{member}");
        if artifact.name.as_str() == "." && artifact.kind != ArtifactKind::Tree {
            return Err(invalid(place("name")));
        }
        let Some(parent) = &artifact.parent else {
            continue;
        };
        let known = artifacts
            .binary_search_by(|other| other.name.cmp(parent))
            .is_ok();
        if !known || *parent == artifact.name {
            return Err(invalid(place("parent")));
        }
    }
    Ok(())
}
