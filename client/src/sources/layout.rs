//! OCI image layouts: which file of one is what, found by following every link from
//! `index.json`, and whether each link holds.
//!
//! Invariant: a part is named only for a file whose raw bytes have the SHA-256 and the size
//! that whoever links to it states; nothing is converted or packed again. JSON that could
//! be read as an index by one reader and as a manifest by another is refused.
//! Out of scope: fetching what a layout lacks, and what is in the layers.

use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::{hash::Sha256, manifest::ArtifactKind, manifest::Digests, name::ArtifactName};
use serde::{Deserialize, de::DeserializeOwned};

use super::error::{ImageFault, SourceError};

/// Bytes of an index or manifest: what registries accept.
pub(crate) const JSON_BYTES_MAX: u64 = 4 << 20;
/// Indexes within indexes; real images need two.
pub(crate) const DEPTH_MAX: usize = 8;
/// Links of one layout.
const LINKS_MAX: usize = 65_536;

/// Media type of a layout's `index.json`.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const INDEXES: [&str; 2] = [
    INDEX,
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
pub(crate) const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
pub(crate) const CONFIGS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// What a file of a layout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: ArtifactKind,
    pub(super) media_type: String,
    pub(super) parent: Option<ArtifactName>,
    pub(super) platform: Option<String>,
}

/// A layout's files as they were measured.
pub(super) trait Files {
    /// Digests and size of a file, by its full name.
    fn measured(&self, name: &str) -> Option<(Digests, u64)>;
    /// Its bytes, the very ones that were measured.
    fn read(&self, name: &str) -> Result<Vec<u8>, SourceError>;
    /// The name as messages show it.
    fn shown(&self, name: &str) -> String;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// An index or a manifest: which, shows only when it was read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    schema_version: u64,
    media_type: Option<String>,
    pub(crate) manifests: Option<Vec<Descriptor>>,
    pub(crate) config: Option<Descriptor>,
    pub(crate) layers: Option<Vec<Descriptor>>,
}

impl Document {
    /// The document is what its descriptor says, and nothing else besides.
    pub(crate) fn check_type(&self, media_type: &str) -> Result<(), ImageFault> {
        let is_index = self.manifests.is_some();
        let is_manifest = self.config.is_some() || self.layers.is_some();
        let stated = self.media_type.as_deref();
        let as_stated = stated.is_none_or(|stated| stated == media_type);
        let wanted_index = INDEXES.contains(&media_type);
        if self.schema_version != 2 {
            return Err(ImageFault::Syntax);
        }
        if as_stated && is_index == wanted_index && is_manifest != wanted_index {
            Ok(())
        } else {
            Err(ImageFault::MediaType)
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) platform: Option<Platform>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) artifact_type: Option<String>,
}

/// Of a descriptor, or the same members of an image's configuration.
#[derive(Deserialize)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// `os/arch[/variant]`, where that can stand in a manifest.
    pub(crate) fn text(&self) -> Option<String> {
        let mut text = format!("{}/{}", self.os, self.architecture);
        if let Some(variant) = self.variant.as_deref().filter(|text| !text.is_empty()) {
            text.push('/');
            text.push_str(variant);
        }
        let parts = !self.os.is_empty() && !self.architecture.is_empty();
        (parts && is_printable(&text)).then_some(text)
    }
}

fn is_printable(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// One file that names another.
struct Link {
    kind: ArtifactKind,
    parent: ArtifactName,
    media_type: String,
    platform: Option<String>,
}

/// Follows all links of the layout whose files' names begin with `prefix` (`""` or `a/b/`).
pub(super) fn parts(
    prefix: &str,
    files: &dyn Files,
) -> Result<BTreeMap<String, Part>, SourceError> {
    let mut reader = Reader {
        prefix,
        files,
        links: BTreeMap::new(),
        count: 0,
        platforms: BTreeMap::new(),
    };
    let marker: Marker = reader.json(&format!("{prefix}oci-layout"))?;
    if !marker.image_layout_version.starts_with("1.") {
        return Err(reader.fault(&format!("{prefix}oci-layout"), ImageFault::Syntax));
    }
    let index = format!("{prefix}index.json");
    reader.follow(&index)?;
    let mut parts = reader.finish();
    parts.insert(
        index,
        Part {
            kind: ArtifactKind::Image,
            media_type: INDEX.to_owned(),
            parent: None,
            platform: None,
        },
    );
    Ok(parts)
}

struct Reader<'a> {
    prefix: &'a str,
    files: &'a dyn Files,
    /// By the name of the file that is linked to.
    links: BTreeMap<String, Vec<Link>>,
    count: usize,
    /// Of configurations, by their name.
    platforms: BTreeMap<String, Option<String>>,
}

impl Reader<'_> {
    fn fault(&self, name: &str, fault: ImageFault) -> SourceError {
        SourceError::Image {
            path: self.files.shown(name),
            fault,
        }
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, SourceError> {
        let (_, size) = self
            .files
            .measured(name)
            .ok_or_else(|| self.fault(name, ImageFault::Missing))?;
        if size > JSON_BYTES_MAX {
            return Err(self.fault(name, ImageFault::TooLarge));
        }
        serde_json::from_slice(&self.files.read(name)?)
            .map_err(|_| self.fault(name, ImageFault::Syntax))
    }

    /// Visits `index.json` and every index and manifest below it, each once for each media
    /// type that is claimed for it.
    fn follow(&mut self, index: &str) -> Result<(), SourceError> {
        let mut visited = BTreeSet::new();
        let mut waiting = vec![(index.to_owned(), INDEX.to_owned(), 0)];
        while let Some((name, media_type, depth)) = waiting.pop() {
            if !visited.insert((name.clone(), media_type.clone())) {
                continue;
            }
            if depth > DEPTH_MAX {
                return Err(self.fault(&name, ImageFault::TooDeep));
            }
            let document: Document = self.json(&name)?;
            document
                .check_type(&media_type)
                .map_err(|fault| self.fault(&name, fault))?;
            for (kind, descriptor) in descriptors(document) {
                let child = self.link(&name, kind, &descriptor)?;
                if matches!(kind, ArtifactKind::ImageIndex | ArtifactKind::ImageManifest) {
                    waiting.push((child, descriptor.media_type, depth + 1));
                }
            }
        }
        Ok(())
    }

    /// Checks one link and keeps it.
    fn link(
        &mut self,
        parent: &str,
        kind: ArtifactKind,
        descriptor: &Descriptor,
    ) -> Result<String, SourceError> {
        let hex = descriptor.digest.strip_prefix("sha256:");
        let digest = hex
            .and_then(|hex| hex.parse::<Sha256>().ok())
            .ok_or_else(|| self.fault(parent, ImageFault::Digest))?;
        if !is_printable(&descriptor.media_type) {
            return Err(self.fault(parent, ImageFault::MediaType));
        }
        let name = format!("{}blobs/sha256/{digest}", self.prefix);
        let (digests, size) = self
            .files
            .measured(&name)
            .ok_or_else(|| self.fault(&name, ImageFault::Missing))?;
        if digests.sha256 != digest || size != descriptor.size {
            return Err(self.fault(&name, ImageFault::Mismatch));
        }
        self.count += 1;
        if self.count > LINKS_MAX {
            return Err(self.fault(parent, ImageFault::TooMany));
        }
        let parent_name = parent.parse::<ArtifactName>();
        let link = Link {
            kind,
            parent: parent_name.map_err(|_| self.fault(parent, ImageFault::Syntax))?,
            media_type: descriptor.media_type.clone(),
            platform: descriptor.platform.as_ref().and_then(Platform::text),
        };
        if kind == ArtifactKind::ImageConfig && CONFIGS.contains(&descriptor.media_type.as_str()) {
            // A configuration names its platform by itself; whether it does is its own affair.
            let platform = self.json::<Platform>(&name).ok();
            let platform = platform.as_ref().and_then(Platform::text);
            self.platforms.insert(name.clone(), platform);
        }
        self.links.entry(name.clone()).or_default().push(link);
        Ok(name)
    }

    /// One part for each file: the link that sorts first, and the platforms filled in.
    fn finish(self) -> BTreeMap<String, Part> {
        let mut parts: BTreeMap<String, Part> = self
            .links
            .into_iter()
            .filter_map(|(name, links)| {
                let link = links.into_iter().min_by(|left, right| {
                    let key = |link: &Link| (rank(link.kind), link.parent.clone());
                    key(left)
                        .cmp(&key(right))
                        .then_with(|| left.media_type.cmp(&right.media_type))
                })?;
                let part = Part {
                    kind: link.kind,
                    media_type: link.media_type,
                    parent: Some(link.parent),
                    platform: link.platform,
                };
                Some((name, part))
            })
            .collect();
        for (config, own) in self.platforms {
            let manifest = parts.get(&config).and_then(|part| part.parent.clone());
            let Some(manifest) = manifest else { continue };
            let above = parts.get_mut(manifest.as_str());
            let stated = above.and_then(|part| {
                part.platform = part.platform.take().or_else(|| own.clone());
                part.platform.clone()
            });
            if let Some(part) = parts.get_mut(&config) {
                part.platform = own.or(stated);
            }
        }
        parts
    }
}

/// Which kind a blob has that several files link to in different roles.
fn rank(kind: ArtifactKind) -> u8 {
    match kind {
        ArtifactKind::ImageIndex => 0,
        ArtifactKind::ImageManifest => 1,
        ArtifactKind::ImageConfig => 2,
        _ => 3,
    }
}

fn descriptors(document: Document) -> impl Iterator<Item = (ArtifactKind, Descriptor)> {
    let indexed = document.manifests.unwrap_or_default();
    let indexed = indexed.into_iter().map(|descriptor| {
        let kind = match descriptor.media_type.as_str() {
            media_type if INDEXES.contains(&media_type) => ArtifactKind::ImageIndex,
            media_type if MANIFESTS.contains(&media_type) => ArtifactKind::ImageManifest,
            _ => ArtifactKind::ImageLayer,
        };
        (kind, descriptor)
    });
    let layer = |descriptor| (ArtifactKind::ImageLayer, descriptor);
    let config = |descriptor| (ArtifactKind::ImageConfig, descriptor);
    indexed
        .chain(document.config.into_iter().map(config))
        .chain(document.layers.unwrap_or_default().into_iter().map(layer))
}
