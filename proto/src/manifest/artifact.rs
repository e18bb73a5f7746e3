//! One artifact: its name, kind, mode and bytes. SPEC.md section 5.

use super::bytes::{Bytes, decode_bytes};
use crate::{
    json::{Field, JsonError, Value},
    name::ArtifactName,
};

/// What an artifact is. The last three are of the profile `objects/v1` alone.
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
    /// What a deployment tool says of one thing that it deployed: JSON, compared by fields.
    Object,
    /// What a release was made from: its bytes are identified and never compared.
    Input,
    /// A name that stays the same bytes: an image's tag, a chart's version, a version label.
    Name,
}

impl ArtifactKind {
    const NAMES: [(Self, &'static str); 12] = [
        (Self::File, "file"),
        (Self::Symlink, "symlink"),
        (Self::Directory, "directory"),
        (Self::Tree, "tree"),
        (Self::Image, "image"),
        (Self::ImageIndex, "image-index"),
        (Self::ImageManifest, "image-manifest"),
        (Self::ImageConfig, "image-config"),
        (Self::ImageLayer, "image-layer"),
        (Self::Object, "object"),
        (Self::Input, "input"),
        (Self::Name, "name"),
    ];

    /// The text in a manifest.
    pub fn as_str(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    /// Whether it may stand only in a manifest of the profile `objects/v1`.
    pub fn is_of_objects(self) -> bool {
        matches!(self, Self::Object | Self::Input | Self::Name)
    }

    /// An empty directory has no bytes, only what has bytes of its own can be withheld, an object
    /// is nothing to whoever has not its bytes, and a name has none.
    fn allows(self, bytes: &Bytes) -> bool {
        match (self, bytes) {
            (Self::File | Self::Symlink | Self::Input, _) => true,
            (_, Bytes::Withheld(_))
            | (Self::Object, Bytes::External { .. })
            | (Self::Name, Bytes::Stored { .. }) => false,
            (
                Self::Directory,
                Bytes::Stored { digests, size } | Bytes::External { digests, size },
            ) => digests.are_of_nothing(*size),
            _ => true,
        }
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

    pub(crate) fn encode(self) -> Value<'static> {
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
    pub(super) fn encode(&self) -> Value<'static> {
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

    pub(super) fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let kind = members.take("kind")?;
        let artifact = Self {
            name: members.take("name")?.parsed()?,
            kind: ArtifactKind::decode(&kind)?,
            media_type: printable(members.take_optional("mediaType"))?,
            mode: members
                .take_optional("mode")
                .map(|mode| Mode::decode(&mode))
                .transpose()?,
            parent: members
                .take_optional("parent")
                .map(|name| name.parsed())
                .transpose()?,
            platform: platform(members.take_optional("platform"))?,
            bytes: decode_bytes(&mut members)?,
        };
        members.finish()?;
        let typed = artifact.kind != ArtifactKind::Object || artifact.media_type.is_some();
        if artifact.kind.allows(&artifact.bytes) && typed {
            Ok(artifact)
        } else {
            Err(kind.invalid())
        }
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

/// `os/arch[/variant]`
fn platform(field: Option<Field>) -> Result<Option<String>, JsonError> {
    let wrong = field.as_ref().map(Field::invalid);
    let text = printable(field)?;
    let parts = |text: &String| (2..=3).contains(&text.split('/').count());
    let full = |text: &String| text.split('/').all(|part| !part.is_empty());
    match (text, wrong) {
        (Some(text), Some(wrong)) if !(parts(&text) && full(&text)) => Err(wrong),
        (text, _) => Ok(text),
    }
}
