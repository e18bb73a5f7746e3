//! How a recorded release comes to run again.

use std::collections::BTreeSet;

use cairn_proto::manifest::{Artifact, ArtifactKind};
use serde_json::Value;

use super::{
    container,
    image::Image,
    reference::{HUB, digest_of, text_of},
};
use crate::{detail::shell_word, sources::Recorded};

/// Images in a registry are pulled by their digest and take their tag again. For others, and
/// for containers, there is no command: what these were given in secret is not recorded.
pub(super) fn command(reference: &str, recorded: &Recorded<'_>) -> Option<String> {
    let (mut pulls, mut archived, mut of) = (Vec::new(), false, BTreeSet::new());
    for (artifact, object) in recorded.objects_of("docker") {
        let Some(object) = object else {
            continue;
        };
        if artifact.media_type.as_deref() == Some(container::MEDIA_TYPE) {
            of.extend(image_of(&object));
            continue;
        }
        let pull = pull(&Image::read(&object), is_named(artifact, recorded));
        archived |= pull.is_none();
        pulls.extend(pull);
    }
    let mut steps = Vec::from_iter((!pulls.is_empty()).then(|| pulls.join(" && ")));
    let reference = shell_word(reference.as_bytes());
    if archived {
        steps.push(format!(
            "docker load, of the archives that {reference} was made from"
        ));
    }
    if !of.is_empty() {
        let of = of.into_iter().collect::<Vec<_>>().join(", ");
        steps.push(format!(
            "docker run, of {of}, as the containers of {reference} were made"
        ));
    }
    Some(steps.join("; then ")).filter(|command| !command.is_empty())
}

/// Whether a registry said what the image's tag stands for.
pub(super) fn is_named(artifact: &Artifact, recorded: &Recorded<'_>) -> bool {
    let artifacts = recorded.manifest().artifacts().iter();
    let mut names = artifacts.filter(|it| it.kind == ArtifactKind::Name);
    let own = artifact.name.as_str().strip_prefix("docker/");
    names.any(|name| name.name.as_str().strip_prefix("docker/name/") == own)
}

/// The digest that a container's image was recorded by.
fn image_of(object: &Value) -> Option<String> {
    let image = object.get("image")?.as_object()?;
    let digest = digest_of(image.values().next()?.as_str()?)?;
    Some(text_of(&digest))
}

/// What is in a registry, by its name or since one said so. A name without a registry may be of
/// this machine alone, and is told to nobody.
fn pull(image: &Image, is_named: bool) -> Option<String> {
    let named = image.parsed()?;
    if named.registry == HUB && named.digest.is_none() && !is_named {
        return None;
    }
    let top = text_of(&image.top()?);
    let by_digest = format!("{}/{}@{top}", named.registry, named.repository);
    let by_digest = shell_word(by_digest.as_bytes());
    if named.digest.is_some() {
        return Some(format!("docker pull {by_digest}"));
    }
    let tag = named.to_string();
    let tag = shell_word(tag.as_bytes());
    Some(format!(
        "docker pull {by_digest} && docker tag {by_digest} {tag}"
    ))
}
