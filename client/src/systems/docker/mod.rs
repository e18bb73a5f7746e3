//! Docker and OCI images: what was built or pushed, and what runs of it.
//!
//! ```text
//! archive, registry, file of digests --trace--> image: index, manifests, configurations
//! docker inspect -----------------------------> container: the fields that were asked for
//! ```
//!
//! Recorded: each image under its reference with all of its digests, each container under its
//! name, and as inputs the raw indexes, manifests and configurations. Invariants: nothing is
//! packed again or converted; a digest is that of raw bytes, or is named by such; values of
//! variables leave as tags. Layouts that are directories are [`crate::sources`]' to read.

mod access;
pub(super) mod artifact;
mod bytes;
mod certificates;
mod container;
mod credentials;
mod daemon;
mod deployed;
mod fields;
mod graph;
mod image;
mod known;
mod named;
mod realise;
mod reference;
mod registry;
mod remote;
mod rules;
mod running;
mod saved;
mod stated;
mod tarball;
mod words;

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use cairn_proto::{hash::Sha256, name::ArtifactName, reason::Reason};
use serde_json::Value;

use super::{Desk, Given, System, strict};
use crate::{
    compare::Rules,
    sources::{Recorded, SourceError},
};
pub(super) use bytes::{ImageBytes, bytes_of, images};
use graph::wrong;
use image::Image;
use reference::Reference;
use running::Running;
use tarball::Tarball;

/// Bytes that tell what a file is: the first block of an archive.
const HEAD_BYTES: u64 = 512;

/// The adapter.
pub(super) struct Docker;

/// An image that was found, and the bytes that say so.
struct Stands {
    name: String,
    image: Image,
    raw: Vec<(Sha256, Vec<u8>)>,
}

/// What was given.
enum What {
    Images(Vec<Stands>),
    Running(Running),
}

impl System for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn about(&self) -> &'static str {
        "Docker: an archive of `docker save` or skopeo, what `docker inspect` printed of \
         containers, buildx's --metadata-file or skopeo's --digestfile (`FILE`, `-`); \
         `live:REGISTRY/REPO:TAG` asks a registry, `live` what runs through docker"
    }

    fn capture(&self, given: &Given, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        match read(given, None)? {
            What::Images(images) => images
                .into_iter()
                .try_for_each(|stands| record_image(stands, given, desk)),
            What::Running(running) => record_containers(&running, given, desk),
        }
    }

    fn observe(
        &self,
        given: &Given,
        recorded: &Recorded<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), SourceError> {
        match read(given, Some(recorded))? {
            What::Images(images) => {
                if let Given::Live(_) = given {
                    // A registry speaks for the reference that it was asked for.
                    for stands in &images {
                        desk.speaks_for(&["image", &stands.name])?;
                    }
                } else {
                    desk.speaks_for(&["image"])?;
                }
                images
                    .into_iter()
                    .try_for_each(|stands| compare_image(stands, recorded, desk))
            }
            What::Running(running) => running::lay_down(&running, recorded, desk),
        }
    }

    fn wrote(&self, file: &Path) -> bool {
        known::is_of_images(file)
    }

    fn is_read_by_it(&self) -> bool {
        false
    }

    fn is_beforehand(&self, given: &Given) -> bool {
        // A reference leads to a registry.
        !matches!(given, Given::Live(None))
    }

    fn verified_by(&self, given: &Given) -> Given {
        // An archive, and what a registry has, are what was recorded.
        given.clone()
    }

    fn deployed_by(&self, program: &str, arguments: &[&str]) -> Option<Given> {
        deployed::by(program, arguments)
    }

    fn realise(&self, reference: &str, recorded: &Recorded<'_>) -> Option<String> {
        realise::command(reference, recorded)
    }

    fn rules(&self, media_type: &str) -> Option<&'static dyn Rules> {
        match media_type {
            image::MEDIA_TYPE => Some(&rules::ImageRules),
            container::MEDIA_TYPE => Some(&rules::ContainerRules),
            _ => None,
        }
    }
}

/// Reads what was given; with a record, what is needed to compare with that.
fn read(given: &Given, recorded: Option<&Recorded<'_>>) -> Result<What, SourceError> {
    let from = given.shown();
    match given {
        Given::Live(Some(text)) => {
            let unknown = || wrong(&from, "it is no reference of an image");
            let reference = Reference::parse(text).ok_or_else(unknown)?;
            let traced = remote::image(&reference)?;
            Ok(What::Images(vec![Stands {
                name: reference.to_string(),
                image: traced.image,
                raw: traced.raw,
            }]))
        }
        Given::Live(None) => {
            let mut running = Running::read("docker inspect", daemon::containers()?)?;
            if recorded.is_some() {
                let ids = running.ids();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                for document in daemon::images(&ids)? {
                    running.local("docker inspect", &document)?;
                }
            }
            Ok(What::Running(running))
        }
        Given::File(path) => match head(path)? {
            head if tarball::is_archive(&head) => archive(&Tarball::open(&from, path)?, given),
            _ => document(given),
        },
        Given::Stdin(_) => match given.read()? {
            Some(bytes) if tarball::is_archive(&bytes) => {
                archive(&Tarball::of_bytes(&from, &bytes)?, given)
            }
            _ => document(given),
        },
    }
}

fn head(path: &Path) -> Result<Vec<u8>, SourceError> {
    let unreadable = |error: io::Error| SourceError::unreadable(path, error);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        let why = "it is a directory: an OCI layout is recorded as a path, without the flag";
        return Err(wrong(&path.to_string_lossy(), why));
    }
    let mut head = Vec::new();
    file.take(HEAD_BYTES)
        .read_to_end(&mut head)
        .map_err(unreadable)?;
    Ok(head)
}

/// The name of what was given, where an image has none of its own.
fn base(given: &Given) -> String {
    let base = given.base().to_string_lossy().into_owned();
    let stem = base.split('.').next().unwrap_or(&base);
    if stem.is_empty() {
        base
    } else {
        stem.to_owned()
    }
}

fn archive(tarball: &Tarball, given: &Given) -> Result<What, SourceError> {
    let images = saved::images(tarball, &base(given))?;
    let images = images.into_iter().map(|(name, traced)| Stands {
        name,
        image: traced.image,
        raw: traced.raw,
    });
    Ok(What::Images(images.collect()))
}

/// A document of Docker's, of buildx, or the line of skopeo.
fn document(given: &Given) -> Result<What, SourceError> {
    let from = given.shown();
    let bytes = given.read()?.unwrap_or_default();
    if let Some(digest) = stated::digest_line(&bytes) {
        let stands = Stands {
            name: base(given),
            image: stated::of_line(digest),
            raw: Vec::new(),
        };
        return Ok(What::Images(vec![stands]));
    }
    let not_known = |why: String| {
        let why = format!("it is neither an archive nor JSON nor a digest: {why}");
        wrong(&from, why)
    };
    let values = strict::parse(&bytes).map_err(not_known)?;
    if let [value] = values.as_slice()
        && stated::is_metadata(value)
    {
        let images = stated::of_metadata(&from, &base(given), value)?;
        let images = images.into_iter().map(|(name, image)| Stands {
            name,
            image,
            raw: Vec::new(),
        });
        return Ok(What::Images(images.collect()));
    }
    if values.is_empty() {
        return Err(SourceError::Empty { path: from });
    }
    Running::read(&from, daemon::flat(values)).map(What::Running)
}

fn record_image(stands: Stands, given: &Given, desk: &mut Desk<'_>) -> Result<(), SourceError> {
    let Stands { name, image, raw } = stands;
    if raw.is_empty() {
        desk.note(format!(
            "{name}: its digests are as stated; no bytes are at hand that have them"
        ));
    }
    named::lay_down(&name, &image, (&raw, given), desk)?;
    for (digest, bytes) in raw {
        let file = format!("{}.json", reference::text_of(&digest));
        let words = [name.as_str(), file.as_str()];
        if words::is_harmless(&bytes) {
            desk.input(&words, bytes)?;
        } else {
            desk.secret_input(&words, &bytes)?;
        }
    }
    let object = desk.name(&["image", &name])?;
    desk.object(object, image::MEDIA_TYPE, image.json());
    Ok(())
}

fn record_containers(
    running: &Running,
    given: &Given,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let live = matches!(given, Given::Live(_));
    let containers = running.containers.iter();
    let containers = containers.filter(|container| container.is_running() || !live);
    let mut count = 0;
    for container in containers {
        let name = desk.name(&["container", &container.name])?;
        let cleaned = container.cleaned(&name, desk)?;
        desk.object(name, container::MEDIA_TYPE, cleaned);
        count += 1;
    }
    if count == 0 {
        return Err(SourceError::Empty {
            path: given.shown(),
        });
    }
    Ok(())
}

/// An image that was found now, under the name of the recorded one of its reference.
fn compare_image(
    stands: Stands,
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let name = desk.name(&["image", &stands.name])?;
    let mut objects = recorded.objects_of("docker");
    let was = objects.find(|(artifact, _)| artifact.name == name);
    let Some((_, Some(was))) = was else {
        desk.object(name, image::MEDIA_TYPE, stands.image.json());
        return Ok(());
    };
    let known = Image::read(&was);
    if known.top().is_some() != stands.image.top().is_some() {
        desk.note(format!(
            "{}: compared by the digests of its configurations; the manifest's is known on one \
             side alone",
            stands.name
        ));
    }
    if let Some(found) = stands.image.seen_as(&known) {
        lay_image(desk, &name, &was, found.json());
    } else {
        let why = "not all of it can be compared: digests of a kind that was recorded, or \
                   platforms, are not at hand";
        desk.unmeasured(&name, Reason::SourceInvalid, why);
    }
    Ok(())
}

/// Lays down what one source says of an image: of two, the one that differs counts.
fn lay_image(desk: &mut Desk<'_>, name: &ArtifactName, was: &Value, found: Value) {
    match desk.laid(name) {
        Some(laid) if laid == was => *laid = found,
        Some(_) => {}
        None => desk.object(name.clone(), image::MEDIA_TYPE, found),
    }
}
