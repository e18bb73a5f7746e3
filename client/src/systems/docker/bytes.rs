//! What a node may say that a container was started from, held against a recorded image.

use cairn_proto::hash::Sha256;

use super::{
    image::{Image, MEDIA_TYPE},
    realise::is_named,
    reference::Reference,
};
use crate::sources::Recorded;

/// The digests of a recorded image, and which of them are all that there are.
#[derive(Clone)]
pub(in crate::systems) struct ImageBytes {
    reference: Option<Reference>,
    all: Vec<Sha256>,
    /// Those of its configurations are known.
    configs: bool,
    /// What its name leads to is known, and so are all manifests below that.
    manifests: bool,
}

/// All recorded images.
pub(in crate::systems) fn images(recorded: &Recorded<'_>) -> Vec<ImageBytes> {
    let images = recorded.objects_of("docker");
    let images = images.filter(|(it, _)| it.media_type.as_deref() == Some(MEDIA_TYPE));
    let images = images.filter_map(|(artifact, object)| {
        let image = Image::read(&object?);
        Some(ImageBytes::of(&image, is_named(artifact, recorded)))
    });
    images.collect()
}

/// The image that a text names, by digest or by tag.
pub(in crate::systems) fn bytes_of<'i>(
    text: &str,
    images: &'i [ImageBytes],
) -> Option<&'i ImageBytes> {
    let named = Reference::parse(text)?;
    images.iter().find(|image| match named.digest {
        Some(digest) => image.all.contains(&digest),
        None => image.reference.as_ref() == Some(&named),
    })
}

impl ImageBytes {
    fn of(image: &Image, is_named: bool) -> Self {
        let configs = image.platforms.iter().filter_map(|it| it.config);
        let reference = image.parsed();
        // Of an archive of one platform nobody knows whether an index stands above it.
        let is_whole = image.index.is_some()
            || is_named
            || reference.as_ref().is_some_and(|it| it.digest.is_some());
        Self {
            reference,
            all: image.manifests().chain(configs).collect(),
            configs: image.configs().is_some(),
            manifests: is_whole
                && image.top().is_some()
                && image.platforms.iter().all(|it| it.manifest.is_some()),
        }
    }

    /// Whether a container runs of them, by what its node says: `name@sha256:…` of what was pulled,
    /// an index or a manifest; `sha256:…`, or the digits alone, of a configuration, most often.
    /// `None` where it may be a digest that nobody recorded.
    pub(in crate::systems) fn are(&self, image_id: &str) -> Option<bool> {
        let (before, digest) = image_id.rsplit_once("sha256:").unwrap_or(("", image_id));
        let digest = digest.parse().ok()?;
        let complete = if before.ends_with('@') {
            self.manifests
        } else {
            self.configs
        };
        let known = self.all.contains(&digest);
        (known || complete).then_some(known)
    }
}
