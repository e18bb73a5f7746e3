//! Digests that a tool states and of which no bytes are at hand: a buildx `--metadata-file`, a
//! skopeo `--digestfile`.
//!
//! Invariant: of the file, only digests and names are taken. Buildx writes build arguments
//! beside them, which may be secrets.

use serde_json::Value;

use super::{
    graph::wrong,
    image::{Image, Platform, UNKNOWN_PLATFORM},
    reference::{Reference, digest_of},
};
use crate::sources::{
    SourceError,
    layout::{INDEXES, MANIFESTS},
};

/// What marks buildx's file.
const DIGEST: &str = "containerimage.digest";

/// Whether it is what buildx writes.
pub(super) fn is_metadata(value: &Value) -> bool {
    value.get(DIGEST).is_some()
}

/// The one line that skopeo writes.
pub(super) fn digest_line(bytes: &[u8]) -> Option<cairn_proto::hash::Sha256> {
    digest_of(std::str::from_utf8(bytes).ok()?.trim())
}

/// The image of a digest file.
pub(super) fn of_line(digest: cairn_proto::hash::Sha256) -> Image {
    Image {
        reference: None,
        digest: Some(digest),
        index: None,
        platforms: Vec::new(),
    }
}

/// The images of buildx's file, one for each name that was pushed.
pub(super) fn of_metadata(
    from: &str,
    base: &str,
    value: &Value,
) -> Result<Vec<(String, Image)>, SourceError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let digest = |name: &str| {
        let Some(text) = text(name) else {
            return Ok(None);
        };
        let wrong = || wrong(from, format!("{name} is no digest: {text}"));
        digest_of(text).map(Some).ok_or_else(wrong)
    };
    let top = digest(DIGEST)?;
    let config = digest("containerimage.config.digest")?;
    let descriptor = value.get("containerimage.descriptor");
    let stated = descriptor.and_then(|it| it.get("digest")?.as_str());
    if stated.is_some_and(|stated| digest_of(stated) != top) {
        return Err(wrong(
            from,
            "its descriptor has another digest than it says",
        ));
    }
    let media_type = descriptor.and_then(|it| it.get("mediaType")?.as_str());
    let is = |known: &[&str]| media_type.is_some_and(|it| known.contains(&it));
    let mut image = Image {
        reference: None,
        digest: None,
        index: None,
        platforms: Vec::new(),
    };
    let manifest = top.filter(|_| is(&MANIFESTS));
    image.index = top.filter(|_| is(&INDEXES));
    image.digest = top.filter(|_| manifest.is_none() && image.index.is_none());
    if manifest.is_some() || config.is_some() {
        image.platforms.push(Platform {
            name: UNKNOWN_PLATFORM.to_owned(),
            manifest,
            config,
            layers: None,
            diff_ids: None,
        });
    }
    let names = text("image.name").unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|it| !it.is_empty());
    let mut images = Vec::new();
    for name in names {
        let unknown = || wrong(from, format!("the name {name} is no reference"));
        let reference = Reference::parse(name).ok_or_else(unknown)?.to_string();
        let image = Image {
            reference: Some(reference.clone()),
            ..image.clone()
        };
        images.push((reference, image));
    }
    if images.is_empty() {
        images.push((base.to_owned(), image));
    }
    Ok(images)
}
