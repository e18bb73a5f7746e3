//! What a node may say that a container was started from, held against a recorded image.

use cairn_proto::hash::Sha256;

use super::{
    image::{Image, MEDIA_TYPE},
    reference::Reference,
};
use crate::sources::Recorded;

/// What is known of the bytes of the recorded image that a text names, by digest or by tag.
pub(in crate::systems) fn bytes_of(text: &str, recorded: &Recorded<'_>) -> Option<ImageBytes> {
    let named = Reference::parse(text)?;
    let images = recorded.objects_of("docker");
    let images = images.filter(|(it, _)| it.media_type.as_deref() == Some(MEDIA_TYPE));
    let mut images = images.filter_map(|(_, object)| Some(Image::read(&object?)));
    images.find_map(|image| {
        let bytes = ImageBytes::of(&image);
        let is_it = match named.digest {
            Some(digest) => bytes.all.contains(&digest),
            None => image.is_named(&named),
        };
        is_it.then_some(bytes)
    })
}

/// The digests of a recorded image, and which of them are all that there are.
pub(in crate::systems) struct ImageBytes {
    all: Vec<Sha256>,
    /// Those of its configurations are known.
    configs: bool,
    /// That of its index is known, and those of all its manifests.
    manifests: bool,
}

impl ImageBytes {
    fn of(image: &Image) -> Self {
        let configs = image.platforms.iter().filter_map(|it| it.config);
        Self {
            all: image.manifests().chain(configs).collect(),
            configs: image.configs().is_some(),
            manifests: image.index.is_some()
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
