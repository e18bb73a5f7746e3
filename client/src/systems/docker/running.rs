//! What runs, against what was recorded: containers by their names, images by the digests that
//! Docker reports of what runs.
//!
//! A configuration's digest is matched first, then those of manifests. Invariants: digests of
//! different kinds are never compared, and what cannot be compared is unmeasured; a recorded
//! image that no container runs is missing; what runs and is recorded nowhere was added. What
//! Docker reports does not prove which bytes run: a note says so.

use std::collections::BTreeMap;

use cairn_proto::{hash::Sha256, name::ArtifactName, reason::Reason};
use serde_json::Value;

use super::{
    super::Desk,
    container::{self, Container},
    graph::wrong,
    image::{self, Image},
    reference::{Reference, digest_of},
};
use crate::sources::{Recorded, SourceError};

/// What `docker image inspect` says of an image.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// Where it came from, and by which digest of an index or a manifest.
    repositories: Vec<Reference>,
    platform: Option<String>,
}

/// All that was reported.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) containers: Vec<Container>,
    /// By id.
    pub(super) images: BTreeMap<Sha256, Local>,
}

impl Running {
    /// Reads documents of `docker inspect`, of containers and of images.
    pub(super) fn read(from: &str, documents: Vec<Value>) -> Result<Self, SourceError> {
        let mut running = Self::default();
        for document in documents {
            if Container::is(&document) {
                running.containers.push(Container::read(from, document)?);
            } else if document.get("RootFS").is_some() || document.get("RepoDigests").is_some() {
                running.local(from, &document)?;
            } else {
                let why = "it holds something that is neither a container nor an image";
                return Err(wrong(from, why));
            }
        }
        Ok(running)
    }

    /// Adds what is known of an image.
    pub(super) fn local(&mut self, from: &str, document: &Value) -> Result<(), SourceError> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let id = text("Id").and_then(|id| digest_of(id).or_else(|| id.parse().ok()));
        let id = id.ok_or_else(|| wrong(from, "an image has no Id that is a digest"))?;
        let named = document.get("RepoDigests").and_then(Value::as_array);
        let named = named.into_iter().flatten().filter_map(Value::as_str);
        let platform = text("Os").zip(text("Architecture"));
        let variant = text("Variant").filter(|it| !it.is_empty());
        let variant = variant.map_or_else(String::new, |variant| format!("/{variant}"));
        let local = Local {
            repositories: named.filter_map(Reference::parse).collect(),
            platform: platform.map(|(os, architecture)| format!("{os}/{architecture}{variant}")),
        };
        self.images.insert(id, local);
        Ok(())
    }

    /// The ids of the images of what runs.
    pub(super) fn ids(&self) -> Vec<String> {
        let running = self.containers.iter().filter(|it| it.is_running());
        let mut ids: Vec<_> = running.map(|it| format!("sha256:{}", it.image)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// How what a container runs compares with a recorded image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Same,
    Other,
    /// They have no digest of one kind.
    Unknown,
}

/// Lays down what was found.
pub(super) fn lay_down(
    running: &Running,
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let mut wanted = Wanted::of(recorded);
    let mut reported = 0;
    // Nobody can tell whether what they run is what was recorded.
    let mut strangers = Vec::new();
    for container in &running.containers {
        let name = desk.name(&["container", &container.name])?;
        if let Some(was) = wanted.containers.remove(&name) {
            reported += 1;
            known(container, &name, was.as_ref(), desk)?;
            continue;
        }
        // One that starts again and again runs, between whiles.
        if container.is_over() {
            continue;
        }
        let matches: Vec<_> = wanted
            .images
            .iter()
            .map(|(.., image)| compared(container, image, running))
            .collect();
        let recognised = !wanted.has_containers && matches.contains(&Match::Same);
        let unknown = !wanted.has_containers && matches.contains(&Match::Unknown);
        if unknown && !recognised {
            strangers.push(container);
        } else if !recognised {
            let cleaned = container.cleaned(&name, desk)?;
            desk.object(name, container::MEDIA_TYPE, cleaned);
        }
        reported += usize::from(recognised);
    }
    let on_duty: Vec<_> = running
        .containers
        .iter()
        .filter(|it| it.is_running())
        .collect();
    for (name, value, image) in &wanted.images {
        let unknown = |it: &&&Container| compared(it, image, running) == Match::Unknown;
        match found(image, value, &on_duty, running) {
            Found::Here(_) if let Some(stranger) = strangers.iter().find(unknown) => {
                desk.unmeasured(name, Reason::SourceInvalid, of_no_kind(stranger));
            }
            Found::Here(found) => super::lay_image(desk, name, value, found),
            Found::Unknown(why) => desk.unmeasured(name, Reason::SourceInvalid, why),
            Found::Nowhere => {}
        }
    }
    if reported > 0 {
        desk.note(format!(
            "runtime-reported: what Docker says that containers run does not prove their bytes \
             (containers: {reported})"
        ));
    }
    Ok(())
}

/// A container that was recorded.
fn known(
    container: &Container,
    name: &ArtifactName,
    was: Option<&Value>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let cleaned = container.cleaned(name, desk)?;
    let kind = |of: &Value| {
        let members = of.get("image").and_then(Value::as_object);
        members.and_then(|it| it.keys().next().cloned())
    };
    if was.is_some_and(|was| kind(was) != kind(&cleaned)) {
        let why = "Docker reports its image by another kind of digest than was recorded";
        desk.unmeasured(name, Reason::SourceInvalid, why);
        return Ok(());
    }
    desk.object(name.clone(), container::MEDIA_TYPE, cleaned);
    Ok(())
}

/// What was recorded.
struct Wanted {
    containers: BTreeMap<ArtifactName, Option<Value>>,
    has_containers: bool,
    images: Vec<(ArtifactName, Value, Image)>,
}

impl Wanted {
    fn of(recorded: &Recorded<'_>) -> Self {
        let mut wanted = Self {
            containers: BTreeMap::new(),
            has_containers: false,
            images: Vec::new(),
        };
        for (artifact, object) in recorded.objects_of("docker") {
            match (artifact.media_type.as_deref(), object) {
                (Some(container::MEDIA_TYPE), object) => {
                    wanted.containers.insert(artifact.name.clone(), object);
                }
                (Some(image::MEDIA_TYPE), Some(object)) => {
                    let image = Image::read(&object);
                    wanted.images.push((artifact.name.clone(), object, image));
                }
                _ => {}
            }
        }
        wanted.has_containers = !wanted.containers.is_empty();
        wanted
    }
}

enum Found {
    Here(Value),
    Unknown(String),
    Nowhere,
}

/// What runs in the place of an image.
fn found(image: &Image, value: &Value, on_duty: &[&Container], running: &Running) -> Found {
    let mut unknown = None;
    let mut other = None;
    for container in on_duty {
        match compared(container, image, running) {
            Match::Same => return Found::Here(value.clone()),
            Match::Unknown => {
                unknown.get_or_insert(*container);
            }
            Match::Other => {
                let named = Reference::parse(&container.reference);
                if named.is_some_and(|named| image.is_named(&named)) {
                    other.get_or_insert(*container);
                }
            }
        }
    }
    if let Some(container) = other {
        let local = running.images.get(&container.image);
        let platform = local.and_then(|local| local.platform.as_deref());
        return Found::Here(match (container.config(), image.configs()) {
            (Some(config), Some(_)) => image::running(value, &config, platform),
            _ => manifest_in_place(image, value, container, running),
        });
    }
    match unknown {
        Some(container) => Found::Unknown(of_no_kind(container)),
        None => Found::Nowhere,
    }
}

fn of_no_kind(container: &Container) -> String {
    format!(
        "the container {} runs an image of which no digest is of a kind that was recorded",
        container.name
    )
}

/// With the manifest's digest that is reported in place of the recorded one.
fn manifest_in_place(
    image: &Image,
    value: &Value,
    container: &Container,
    running: &Running,
) -> Value {
    let top = pulled(image, container, running).next();
    let top = top.or(container.manifest);
    let mut found = value.clone();
    let Some(top) = top.map(|top| Value::from(format!("sha256:{top}"))) else {
        return found;
    };
    let place = ["/digest", "/index", "/platforms/0/manifest"];
    let place = place.into_iter().find(|place| {
        let stands = value.pointer(place);
        stands.is_some_and(|stands| !stands.is_null())
    });
    if let Some(stands) = place.and_then(|place| found.pointer_mut(place)) {
        *stands = top;
    }
    found
}

/// The digests by which the container's image came from the recorded image's repository.
fn pulled<'a>(
    image: &Image,
    container: &Container,
    running: &'a Running,
) -> impl Iterator<Item = Sha256> + 'a {
    let own = image.parsed();
    let local = running.images.get(&container.image);
    let all = local.into_iter().flat_map(|local| &local.repositories);
    all.filter(move |it| own.as_ref().is_some_and(|own| own.place() == it.place()))
        .filter_map(|it| it.digest)
}

fn compared(container: &Container, image: &Image, running: &Running) -> Match {
    let configs = image.configs();
    let manifests: Vec<_> = image.manifests().collect();
    if let Some(config) = container.config() {
        if image.platforms.iter().any(|it| it.config == Some(config)) {
            return Match::Same;
        }
        // All are known, and it is none of them.
        if configs.is_some() {
            return Match::Other;
        }
    }
    let local = running.images.get(&container.image);
    let repositories = local.into_iter().flat_map(|local| &local.repositories);
    // The same digest is the same image, from wherever it came.
    let digests = repositories.filter_map(|it| it.digest);
    let own = container
        .manifest
        .map(|manifest| [manifest, container.image]);
    let mut digests = digests.chain(own.into_iter().flatten());
    if digests.any(|digest| manifests.contains(&digest)) {
        return Match::Same;
    }
    let comparable = container.manifest.is_some() && !manifests.is_empty()
        || pulled(image, container, running).next().is_some();
    if comparable && !manifests.is_empty() {
        Match::Other
    } else {
        Match::Unknown
    }
}
