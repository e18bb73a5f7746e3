//! What an image's tag stands for, which is never to become anything else.

use cairn_proto::{hash::Sha256, manifest::Digests};

use super::{super::Given, Desk, image::Image};
use crate::sources::SourceError;

/// Lays down what a tag stands for, as far as bytes say so.
pub(super) fn lay_down(
    name: &str,
    image: &Image,
    (raw, given): (&[(Sha256, Vec<u8>)], &Given),
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    // `latest` is meant to move.
    let tag = image.parsed().filter(|it| it.digest.is_none());
    if tag.and_then(|it| it.tag).is_none_or(|tag| tag == "latest") {
        return Ok(());
    }
    // What it stands for its registry alone knows: an archive may hold a part of it.
    if matches!(given, Given::Live(Some(_))) {
        name_image(name, image, raw, desk)?;
    }
    // A name without a registry is anybody's own.
    let host = name.split_once('/').map_or("", |(host, _)| host);
    if host == "localhost" || host.contains(['.', ':']) {
        name_configurations(name, image, raw, desk)?;
    }
    Ok(())
}

/// A tag stands for what its bytes at the top are: those of an index, or of the one manifest.
fn name_image(
    name: &str,
    image: &Image,
    raw: &[(Sha256, Vec<u8>)],
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let alone = match image.platforms.as_slice() {
        [platform] => platform.manifest,
        _ => None,
    };
    let top = image.index.or(alone);
    let bytes = raw.iter().find(|(digest, _)| Some(*digest) == top);
    match bytes {
        Some((_, bytes)) => {
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            desk.named(&["image", name], Digests::of(bytes), size)
        }
        None => Ok(()),
    }
}

/// A tag stands for one configuration on each platform, whatever form the image has: in an
/// archive and in a registry alike. Of Windows there may be several for one platform.
fn name_configurations(
    name: &str,
    image: &Image,
    raw: &[(Sha256, Vec<u8>)],
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let alone = |name: &str| image.platforms.iter().filter(|it| it.name == name).count() == 1;
    for platform in image.platforms.iter().filter(|it| alone(&it.name)) {
        let bytes = raw
            .iter()
            .find(|(digest, _)| Some(*digest) == platform.config);
        if let Some((_, bytes)) = bytes {
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let words = ["configuration", name, &platform.name];
            desk.named(&words, Digests::of(bytes), size)?;
        }
    }
    Ok(())
}
