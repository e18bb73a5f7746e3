//! How a recorded release comes to run again.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{container, image::Image, reference::text_of};
use crate::{detail::shell_word, sources::Recorded};

/// Images are pulled by digest and take their tags again; containers are made again by whoever
/// made them, since what they were given in secret is not recorded.
pub(super) fn command(reference: &str, recorded: &Recorded<'_>) -> Option<String> {
    let (mut steps, mut of) = (Vec::new(), BTreeSet::new());
    for (artifact, object) in recorded.objects_of("docker") {
        let object = object?;
        if artifact.media_type.as_deref() == Some(container::MEDIA_TYPE) {
            of.extend(image_of(&object));
        } else {
            steps.extend(pull(&Image::read(&object)));
        }
    }
    if !of.is_empty() {
        let of = of.into_iter().collect::<Vec<_>>().join(", ");
        let reference = shell_word(reference.as_bytes());
        steps.push(format!(
            "docker run, of {of}, with the options that `cairn show {reference}` lists"
        ));
    }
    Some(steps.join(" && ")).filter(|command| !command.is_empty())
}

/// The digest that a container's image was recorded by.
fn image_of(object: &Value) -> Option<String> {
    let image = object.get("image")?.as_object()?;
    image.values().next()?.as_str().map(str::to_owned)
}

fn pull(image: &Image) -> Option<String> {
    let named = image.parsed()?;
    let by_digest = format!(
        "{}/{}@{}",
        named.registry,
        named.repository,
        text_of(&image.top()?)
    );
    let by_digest = shell_word(by_digest.as_bytes());
    let tag = named.digest.is_none().then(|| named.to_string());
    let tag = tag.map(|tag| format!(" && docker tag {by_digest} {}", shell_word(tag.as_bytes())));
    Some(format!(
        "docker pull {by_digest}{}",
        tag.unwrap_or_default()
    ))
}
