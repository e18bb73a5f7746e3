//! From what a reference leads to down to the configurations: every link is followed, and each
//! holds for the raw bytes.
//!
//! Invariant: a digest stands in a traced image only if bytes that hash to it were read, or if
//! such bytes name it. What is read as JSON has no member twice. Bounded: depth, links, bytes.

use std::collections::BTreeSet;

use cairn_proto::hash::Sha256;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::strict,
    image::{Image, Platform, UNKNOWN_PLATFORM},
    reference::{digest_of, text_of},
};
use crate::{
    detail::printable,
    sources::{
        SourceError,
        layout::{CONFIGS, DEPTH_MAX, Descriptor, Document, INDEXES, MANIFESTS, Platform as Named},
    },
};

/// Links of one image: a registry answers each with a request.
const LINKS_MAX: usize = 512;
/// Bytes of all its indexes, manifests and configurations.
const JSON_BYTES_MAX: usize = 64 << 20;
/// What marks a manifest that is no image but says something of one.
const ATTESTS: &str = "vnd.docker.reference.type";

/// Where a descriptor leads.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) digest: Sha256,
    pub(super) size: u64,
    pub(super) media_type: String,
}

/// Where blobs are. Whoever implements it checks digests and sizes of all that it gives.
pub(super) trait Blobs {
    /// What it is, for messages.
    fn from(&self) -> &str;
    /// An index or a manifest; `None` if it is not there.
    fn manifest(&mut self, link: &Link) -> Result<Option<Vec<u8>>, SourceError>;
    /// A configuration.
    fn config(&mut self, link: &Link) -> Result<Option<Vec<u8>>, SourceError>;
    /// A layer is not other than is stated, as far as it is there.
    fn layer(&mut self, link: &Link) -> Result<(), SourceError>;
}

/// An image, and the bytes that say so.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) image: Image,
    pub(super) raw: Vec<(Sha256, Vec<u8>)>,
}

/// What is the matter with something that was given.
pub(super) fn wrong(what: &str, why: impl AsRef<str>) -> SourceError {
    SourceError::Input {
        what: printable(what),
        why: printable(why.as_ref()),
    }
}

/// One JSON value without a member twice, as a type.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut values = strict::parse(bytes)?;
    let (Some(value), true) = (values.pop(), values.is_empty()) else {
        return Err("it is not one JSON value".to_owned());
    };
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// A descriptor's link.
pub(super) fn link(from: &str, descriptor: &Descriptor) -> Result<Link, SourceError> {
    let digest = digest_of(&descriptor.digest);
    let unsupported = || wrong(from, format!("the digest {}", descriptor.digest));
    Ok(Link {
        digest: digest.ok_or_else(unsupported)?,
        size: descriptor.size,
        media_type: descriptor.media_type.clone(),
    })
}

/// Follows all links.
pub(super) fn trace(
    blobs: &mut dyn Blobs,
    reference: Option<String>,
    top: Link,
) -> Result<Traced, SourceError> {
    let mut tracer = Tracer {
        from: blobs.from().to_owned(),
        blobs,
        links: 0,
        bytes: 0,
        traced: Traced {
            image: Image {
                reference,
                digest: None,
                index: INDEXES
                    .contains(&top.media_type.as_str())
                    .then_some(top.digest),
                platforms: Vec::new(),
            },
            raw: Vec::new(),
        },
    };
    tracer.follow(top)?;
    let platforms = &mut tracer.traced.image.platforms;
    platforms
        .sort_by(|left, right| (&left.name, &left.manifest).cmp(&(&right.name, &right.manifest)));
    Ok(tracer.traced)
}

struct Tracer<'b> {
    from: String,
    blobs: &'b mut dyn Blobs,
    links: usize,
    bytes: usize,
    traced: Traced,
}

/// What an index says of what it names.
#[derive(Clone, Default)]
struct Stated {
    platform: Option<String>,
    attests: bool,
    depth: usize,
}

impl Tracer<'_> {
    fn wrong(&self, digest: &Sha256, why: impl AsRef<str>) -> SourceError {
        let what = format!("{}: {}", self.from, text_of(digest));
        wrong(&what, why)
    }

    fn count(&mut self, at: &Sha256) -> Result<(), SourceError> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(self.wrong(at, format!("it leads to more than {LINKS_MAX} blobs")));
        }
        Ok(())
    }

    /// Keeps what was read, within a bound for all of it.
    fn keep(&mut self, digest: Sha256, bytes: Vec<u8>) -> Result<(), SourceError> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > JSON_BYTES_MAX {
            return Err(self.wrong(&digest, "it has more JSON than any image"));
        }
        self.traced.raw.push((digest, bytes));
        Ok(())
    }

    fn follow(&mut self, top: Link) -> Result<(), SourceError> {
        let mut visited = BTreeSet::new();
        let mut waiting = vec![(top, Stated::default())];
        while let Some((link, stated)) = waiting.pop() {
            if !visited.insert(link.digest) {
                continue;
            }
            if stated.depth > DEPTH_MAX {
                return Err(self.wrong(&link.digest, "indexes are nested too deeply"));
            }
            self.count(&link.digest)?;
            let Some(bytes) = self.blobs.manifest(&link)? else {
                self.absent(&link, stated)?;
                continue;
            };
            let document: Document =
                read(&bytes).map_err(|why| self.wrong(&link.digest, format!("as JSON: {why}")))?;
            document
                .check_type(&link.media_type)
                .map_err(|fault| self.wrong(&link.digest, fault.to_string()))?;
            self.keep(link.digest, bytes)?;
            match document.manifests {
                Some(below) => {
                    for descriptor in below {
                        waiting.push(self.child(&link, &descriptor, stated.depth)?);
                    }
                }
                None => self.image(&link, document, stated)?,
            }
        }
        Ok(())
    }

    fn child(
        &self,
        above: &Link,
        descriptor: &Descriptor,
        depth: usize,
    ) -> Result<(Link, Stated), SourceError> {
        let from = format!("{}: {}", self.from, text_of(&above.digest));
        let known = INDEXES.iter().chain(&MANIFESTS);
        if !known.into_iter().any(|it| *it == descriptor.media_type) {
            let why = format!("it names a {}, which is no image", descriptor.media_type);
            return Err(wrong(&from, why));
        }
        let annotations = descriptor.annotations.as_ref();
        let stated = Stated {
            platform: descriptor.platform.as_ref().and_then(Named::text),
            attests: annotations.is_some_and(|all| all.contains_key(ATTESTS)),
            depth: depth + 1,
        };
        Ok((link(&from, descriptor)?, stated))
    }

    /// An archive of one platform keeps the index of all: it fixes what is not there.
    fn absent(&mut self, link: &Link, stated: Stated) -> Result<(), SourceError> {
        if stated.depth == 0 || INDEXES.contains(&link.media_type.as_str()) {
            return Err(self.wrong(&link.digest, "it is named and not there"));
        }
        if !stated.attests {
            self.traced.image.platforms.push(Platform {
                name: stated
                    .platform
                    .unwrap_or_else(|| UNKNOWN_PLATFORM.to_owned()),
                manifest: Some(link.digest),
                config: None,
                layers: None,
                diff_ids: None,
            });
        }
        Ok(())
    }

    fn image(
        &mut self,
        above: &Link,
        document: Document,
        stated: Stated,
    ) -> Result<(), SourceError> {
        let from = format!("{}: {}", self.from, text_of(&above.digest));
        let (Some(config), Some(layers)) = (document.config, document.layers) else {
            return Err(wrong(&from, "it has no configuration, or no layers"));
        };
        if stated.attests {
            return Ok(());
        }
        let mut found = Vec::with_capacity(layers.len().min(LINKS_MAX));
        for layer in &layers {
            let layer = link(&from, layer)?;
            self.count(&above.digest)?;
            self.blobs.layer(&layer)?;
            found.push((layer.digest, layer.size));
        }
        let config = link(&from, &config)?;
        let (own, diff_ids) = if CONFIGS.contains(&config.media_type.as_str()) {
            self.count(&above.digest)?;
            let Some(bytes) = self.blobs.config(&config)? else {
                return Err(self.wrong(&config.digest, "it is named and not there"));
            };
            let (own, diff_ids) =
                configuration(&bytes).map_err(|why| self.wrong(&config.digest, why))?;
            if diff_ids.len() != found.len() {
                let (named, of) = (diff_ids.len(), found.len());
                let why = format!("it names {named} layers, and its manifest {of}");
                return Err(self.wrong(&config.digest, why));
            }
            if !self.traced.raw.iter().any(|(it, _)| *it == config.digest) {
                self.keep(config.digest, bytes)?;
            }
            (own, Some(diff_ids))
        } else {
            (None, None)
        };
        let name = stated.platform.or(own);
        self.traced.image.platforms.push(Platform {
            name: name.unwrap_or_else(|| UNKNOWN_PLATFORM.to_owned()),
            manifest: Some(above.digest),
            config: Some(config.digest),
            layers: Some(found),
            diff_ids,
        });
        Ok(())
    }
}

/// The platform and the unpacked layers that a configuration names.
pub(super) fn configuration(bytes: &[u8]) -> Result<(Option<String>, Vec<Sha256>), String> {
    let value: Value = read(bytes)?;
    let platform = serde_json::from_value::<Named>(value.clone()).ok();
    let ids = value
        .pointer("/rootfs/diff_ids")
        .filter(|ids| !ids.is_null());
    let ids = match ids {
        None => Some(Vec::new()),
        Some(ids) => ids.as_array().and_then(|ids| {
            let ids = ids.iter().map(|id| digest_of(id.as_str()?));
            ids.collect()
        }),
    };
    let ids = ids.ok_or("its rootfs.diff_ids are no digests")?;
    Ok((platform.as_ref().and_then(Named::text), ids))
}
