//! The images of an archive: as `docker save` and skopeo write them, of either form.
//!
//! Invariant: each digest that is laid down is that of bytes in the archive, or is named by
//! such bytes. An archive whose two tables of contents say different things is refused: one
//! reader would load another image than the other.

use std::borrow::Cow;

use serde::Deserialize;

use super::{
    graph::{self, Blobs, Link, Traced, link, wrong},
    image::{Image, Platform, UNKNOWN_PLATFORM},
    reference::{Reference, digest_of, text_of},
    tarball::{Member, Tarball},
};
use crate::{
    sources::{
        SourceError,
        layout::{Descriptor, Document, INDEXES},
    },
    staple::{
        form::{Claim, Staple},
        index::Index,
    },
};

/// The name that containerd gives an image, and the one of the specification.
const NAMES: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];
const BLOBS: &str = "blobs/sha256/";

/// Docker's own table of contents.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// All images of an archive, each with the name that it has.
pub(super) fn images(tarball: &Tarball, base: &str) -> Result<Vec<(String, Traced)>, SourceError> {
    let is_layout = tarball.get("oci-layout").is_some() && tarball.get("index.json").is_some();
    let items = match tarball.get("manifest.json") {
        Some(_) => items(tarball)?,
        None if is_layout => Vec::new(),
        None => {
            let why = "it has neither manifest.json nor index.json: no archive of images";
            return Err(wrong(&tarball.from, why));
        }
    };
    let images = if is_layout {
        let images = layout(tarball, &items, base)?;
        agree(tarball, &items, &images)?;
        images
    } else {
        classic(tarball, &items, base)?
    };
    if images.is_empty() {
        return Err(SourceError::Empty {
            path: tarball.from.clone(),
        });
    }
    Ok(images)
}

fn items(tarball: &Tarball) -> Result<Vec<Item>, SourceError> {
    let bytes = tarball.json("manifest.json")?;
    graph::read(bytes).map_err(|why| wrong(&tarball.from, format!("manifest.json: {why}")))
}

fn classic(
    tarball: &Tarball,
    items: &[Item],
    base: &str,
) -> Result<Vec<(String, Traced)>, SourceError> {
    let mut images = Vec::new();
    for item in items {
        let (platform, raw) = unpacked(tarball, item)?;
        let references = references(tarball, item)?;
        let names = if references.is_empty() {
            vec![(base.to_owned(), None)]
        } else {
            let named = references.into_iter().map(|it| it.to_string());
            named.map(|it| (it.clone(), Some(it))).collect()
        };
        for (name, reference) in names {
            let image = Image {
                reference,
                digest: None,
                index: None,
                platforms: vec![platform.clone()],
            };
            let raw = vec![raw.clone()];
            images.push((name, Traced { image, raw }));
        }
    }
    Ok(images)
}

fn references(tarball: &Tarball, item: &Item) -> Result<Vec<Reference>, SourceError> {
    let tags = item.repo_tags.iter().flatten();
    tags.map(|tag| {
        let unknown = || wrong(&tarball.from, format!("the name {tag} is no reference"));
        Reference::parse(tag).ok_or_else(unknown)
    })
    .collect()
}

/// What the configuration says, once its layers are those that it names.
fn unpacked(
    tarball: &Tarball,
    item: &Item,
) -> Result<(Platform, (cairn_proto::hash::Sha256, Vec<u8>)), SourceError> {
    let bytes = tarball.json(&item.config)?;
    let config = member(tarball, &item.config)?.digest;
    let stem = item.config.strip_suffix(".json").unwrap_or(&item.config);
    let stated = stem.rsplit('/').next().unwrap_or(stem);
    if stated != config.to_string() {
        let why = format!(
            "the configuration {} has the digest {}",
            item.config,
            text_of(&config)
        );
        return Err(wrong(&tarball.from, why));
    }
    let (platform, ids) = graph::configuration(bytes)
        .map_err(|why| wrong(&tarball.from, format!("{}: {why}", item.config)))?;
    let layers = item.layers.as_deref().unwrap_or_default();
    if layers.len() != ids.len() {
        let (listed, named) = (layers.len(), ids.len());
        let why = format!("manifest.json lists {listed} layers, and the configuration {named}");
        return Err(wrong(&tarball.from, why));
    }
    for (layer, id) in layers.iter().zip(&ids) {
        let found = member(tarball, layer)?.digest;
        if found != *id {
            let (found, id) = (text_of(&found), text_of(id));
            let why = format!("the layer {layer} has the digest {found}, and should have {id}");
            return Err(wrong(&tarball.from, why));
        }
    }
    let platform = Platform {
        name: platform.unwrap_or_else(|| UNKNOWN_PLATFORM.to_owned()),
        manifest: None,
        config: Some(config),
        layers: None,
        diff_ids: Some(ids),
    };
    Ok((platform, (config, bytes.to_vec())))
}

fn member<'t>(tarball: &'t Tarball, name: &str) -> Result<&'t Member, SourceError> {
    let missing = || {
        wrong(
            &tarball.from,
            format!("it names {name}, which is not in it"),
        )
    };
    tarball.get(name).ok_or_else(missing)
}

fn layout(
    tarball: &Tarball,
    items: &[Item],
    base: &str,
) -> Result<Vec<(String, Traced)>, SourceError> {
    for (name, member) in tarball.files() {
        let stated = name.strip_prefix(BLOBS);
        if stated.is_some_and(|stated| stated != member.digest.to_string()) {
            let why = format!("{name} has the digest {}", text_of(&member.digest));
            return Err(wrong(&tarball.from, why));
        }
    }
    let at = |name: &str, why: String| wrong(&tarball.from, format!("{name}: {why}"));
    let marker: serde_json::Value =
        graph::read(tarball.json("oci-layout")?).map_err(|why| at("oci-layout", why))?;
    let version = marker.get("imageLayoutVersion").and_then(|it| it.as_str());
    if !version.is_some_and(|version| version.starts_with("1.")) {
        return Err(at("oci-layout", "its version is not 1".to_owned()));
    }
    let index = without_staples(tarball, tarball.json("index.json")?);
    let index: Document = graph::read(&index).map_err(|why| at("index.json", why))?;
    let own = INDEXES.first().copied().unwrap_or_default();
    index
        .check_type(own)
        .map_err(|fault| at("index.json", fault.to_string()))?;
    let mut images = Vec::new();
    for descriptor in index.manifests.iter().flatten() {
        let top = link(&tarball.from, descriptor)?;
        let mut traced = graph::trace(&mut InArchive(tarball), None, top)?;
        let (name, reference) = named(descriptor, &traced.image, items, base);
        traced.image.reference = reference;
        images.push((name, traced));
    }
    Ok(images)
}

/// The index without the bundles that are stapled to its images: they are no images. Of an
/// archive nothing but its images is compared, so leaving them out hides nothing that counts.
fn without_staples<'b>(tarball: &Tarball, index: &'b [u8]) -> Cow<'b, [u8]> {
    let read = str::from_utf8(index).ok().and_then(Index::read);
    let is_staple = |claim: &Claim| {
        let name = claim.manifest.sha256().map(|it| format!("{BLOBS}{it}"));
        let member = name.and_then(|name| tarball.get(&name));
        let staple = member.and_then(|it| Staple::read(it.bytes.as_deref()?));
        staple.is_some_and(|staple| staple.is_of(claim))
    };
    match read {
        Some(read) if read.staples.iter().all(is_staple) => read.without().into_bytes().into(),
        _ => index.into(),
    }
}

/// What an image in a layout is called: its full reference, or a tag beside the file's name.
fn named(
    descriptor: &Descriptor,
    image: &Image,
    items: &[Item],
    base: &str,
) -> (String, Option<String>) {
    let annotations = descriptor.annotations.as_ref();
    let mut texts = NAMES
        .iter()
        .filter_map(|name| annotations?.get(*name))
        .map(String::as_str);
    let tags = items.iter().filter(|item| is_of(item, image));
    let tags = tags.flat_map(|item| item.repo_tags.iter().flatten());
    let full = texts
        .clone()
        .filter(|text| text.contains([':', '/']))
        .chain(tags.map(String::as_str))
        .find_map(Reference::parse);
    if let Some(reference) = full {
        let text = reference.to_string();
        return (text.clone(), Some(text));
    }
    match texts.next_back() {
        Some(tag) => (format!("{base}:{tag}"), None),
        None => (base.to_owned(), None),
    }
}

fn is_of(item: &Item, image: &Image) -> bool {
    let config = item.config.strip_prefix(BLOBS);
    let config = config.and_then(|hex| digest_of(&format!("sha256:{hex}")));
    config.is_some() && image.platforms.iter().any(|it| it.config == config)
}

/// Docker's table names no other images than the index does, and no other layers.
fn agree(
    tarball: &Tarball,
    items: &[Item],
    images: &[(String, Traced)],
) -> Result<(), SourceError> {
    let differ = |what: &str| {
        let why = format!("manifest.json and index.json name different images: {what}");
        wrong(&tarball.from, why)
    };
    for item in items {
        let of: Vec<_> = images
            .iter()
            .filter(|(_, traced)| is_of(item, &traced.image))
            .collect();
        let layers: Vec<_> = item.layers.iter().flatten().collect();
        let same = |platform: &Platform| {
            let own = platform.layers.iter().flatten();
            let own: Vec<_> = own.map(|(digest, _)| format!("{BLOBS}{digest}")).collect();
            own.iter().eq(layers.iter().copied())
        };
        let platforms = of.iter().flat_map(|(_, traced)| &traced.image.platforms);
        if !platforms.into_iter().any(same) {
            return Err(differ(&item.config));
        }
        for reference in references(tarball, item)? {
            let other = images.iter().find(|(_, traced)| {
                traced.image.is_named(&reference) && !is_of(item, &traced.image)
            });
            if other.is_some() {
                return Err(differ(&reference.to_string()));
            }
        }
    }
    Ok(())
}

/// Blobs that were hashed when the archive was read, and have the names of their digests.
struct InArchive<'t>(&'t Tarball);

impl InArchive<'_> {
    fn member(&self, link: &Link) -> Result<Option<(String, &Member)>, SourceError> {
        let name = format!("{BLOBS}{}", link.digest);
        let Some(member) = self.0.get(&name) else {
            return Ok(None);
        };
        if member.digest != link.digest || member.size != link.size {
            let (found, stated) = (text_of(&member.digest), text_of(&link.digest));
            let why = format!(
                "{name} is {found} of {} bytes, and should be {stated} of {}",
                member.size, link.size
            );
            return Err(wrong(&self.0.from, why));
        }
        Ok(Some((name, member)))
    }

    fn json(&self, link: &Link) -> Result<Option<Vec<u8>>, SourceError> {
        match self.member(link)? {
            Some((name, _)) => Ok(Some(self.0.json(&name)?.to_vec())),
            None => Ok(None),
        }
    }
}

impl Blobs for InArchive<'_> {
    fn from(&self) -> &str {
        &self.0.from
    }

    fn manifest(&mut self, link: &Link) -> Result<Option<Vec<u8>>, SourceError> {
        self.json(link)
    }

    fn config(&mut self, link: &Link) -> Result<Option<Vec<u8>>, SourceError> {
        self.json(link)
    }

    fn layer(&mut self, link: &Link) -> Result<(), SourceError> {
        if self.member(link)?.is_some() {
            return Ok(());
        }
        let why = format!("it names {BLOBS}{}, which is not in it", link.digest);
        Err(wrong(&self.0.from, why))
    }
}
