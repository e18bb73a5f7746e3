//! What runs of a workload: the containers of its pods, and the images that they were started
//! from. The workload itself does not tell: a container for debugging is put into a pod alone, and
//! a tag leads elsewhere tomorrow.
//!
//! What is found stands in the workload's object, below `pods`. Invariants: a container of
//! another image than the recorded one, or one that was put in for debugging, is a difference; a
//! container that admission put in is listed; an image is held against bytes only where its
//! digests were recorded.

use std::collections::BTreeMap;

use cairn_proto::{hash::Sha256, name::ArtifactName};
use serde_json::{Map, Value};

use super::{
    super::docker,
    Desk, live,
    rules::{CONTAINERS, pod_of},
};
use crate::{
    detail::printable,
    sources::{Recorded, SourceError},
};

/// Kinds whose pods their selector finds.
const WORKLOADS: [&str; 5] = [
    "DaemonSet",
    "Deployment",
    "Job",
    "ReplicaSet",
    "StatefulSet",
];
/// Workloads of a namespace whose pods are asked for one by one.
const ASKED_ALONE_MAX: usize = 8;

/// A workload among what is live, and which pods are its own.
struct Workload {
    /// Its place among what is live.
    place: usize,
    selector: BTreeMap<String, String>,
    /// Each container's image as it was recorded, and the digests that are known of that.
    images: BTreeMap<String, (String, Vec<Sha256>)>,
}

/// Adds what runs to the workloads among what is live.
pub(super) fn add(
    live: &mut [(ArtifactName, Value)],
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let mut namespaces: BTreeMap<String, Vec<Workload>> = BTreeMap::new();
    for (place, (name, object)) in live.iter().enumerate() {
        let known = recorded.object(name.as_str());
        let workload = known.and_then(|known| workload(place, object, &known, recorded));
        if let (Some(workload), Some(namespace)) = (workload, text(object, "/metadata/namespace")) {
            namespaces
                .entry(namespace.to_owned())
                .or_default()
                .push(workload);
        }
    }
    for (namespace, workloads) in namespaces {
        let selectors: Vec<_> = match workloads.len() {
            ..=ASKED_ALONE_MAX => workloads
                .iter()
                .map(|it| Some(selector(&it.selector)))
                .collect(),
            _ => vec![None],
        };
        for (at, labels) in selectors.iter().enumerate() {
            match live::pods(&namespace, labels.as_deref()) {
                Ok(pods) => {
                    let own = match labels {
                        Some(_) => workloads.get(at..=at).unwrap_or_default(),
                        None => workloads.as_slice(),
                    };
                    for pod in pods.iter().filter(|pod| runs(pod)) {
                        let own = own.iter().filter(|it| it.has(pod));
                        for workload in own {
                            if let Some((_, object)) = live.get_mut(workload.place) {
                                workload.tell(pod, object);
                            }
                        }
                    }
                }
                Err(error @ (SourceError::NoTool { .. } | SourceError::Unreachable { .. })) => {
                    return Err(error);
                }
                // Pods were not recorded: what is known of the workload stands.
                Err(error) => desk.note(format!(
                    "what runs in {} was not looked at: {error}",
                    printable(&namespace)
                )),
            }
        }
    }
    Ok(())
}

fn workload(
    place: usize,
    object: &Value,
    known: &Value,
    recorded: &Recorded<'_>,
) -> Option<Workload> {
    let kind = object.get("kind")?.as_str()?;
    if !WORKLOADS.contains(&kind) {
        return None;
    }
    // Expressions only narrow it down: pods that they leave out have other labels as well.
    let labels = object.pointer("/spec/selector/matchLabels")?.as_object()?;
    let labels = labels
        .iter()
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let selector: BTreeMap<_, _> = labels.collect::<Option<_>>()?;
    let pod = pod_of(known)?;
    let images = CONTAINERS
        .iter()
        .filter_map(|list| pod.get(*list)?.as_array());
    let images = images.flatten().filter_map(|container| {
        let image = container.get("image")?.as_str()?;
        let name = container.get("name")?.as_str()?.to_owned();
        Some((
            name,
            (image.to_owned(), docker::digests_of(image, recorded)),
        ))
    });
    (!selector.is_empty()).then(|| Workload {
        place,
        selector,
        images: images.collect(),
    })
}

fn selector(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    labels.join(",")
}

/// Whether it is to stay.
fn runs(pod: &Value) -> bool {
    let over = matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"));
    !over && pod.pointer("/metadata/deletionTimestamp").is_none()
}

impl Workload {
    fn has(&self, pod: &Value) -> bool {
        let labels = pod.pointer("/metadata/labels");
        let has = |(name, value): (&String, &String)| {
            let found = labels.and_then(|labels| labels.get(name)?.as_str());
            found == Some(value)
        };
        self.selector.iter().all(has)
    }

    /// Writes into the workload what a pod has that its template does not say.
    fn tell(&self, pod: &Value, object: &mut Value) {
        let mut odd = Map::new();
        for list in CONTAINERS {
            let containers = pod
                .pointer(&format!("/spec/{list}"))
                .and_then(Value::as_array);
            for container in containers.into_iter().flatten() {
                let of = |member: &str| container.get(member).and_then(Value::as_str);
                let (Some(name), Some(image)) = (of("name"), of("image")) else {
                    continue;
                };
                let (sort, what) = match self.images.get(name) {
                    None if list == "ephemeralContainers" => ("debugging", image.to_owned()),
                    None => ("injected", image.to_owned()),
                    Some((recorded, _)) if recorded != image => {
                        ("images", format!("{image}, and not {recorded}"))
                    }
                    Some((recorded, digests)) => match started_from(pod, name, digests) {
                        Some(digest) => {
                            ("images", format!("sha256:{digest}, which is no {recorded}"))
                        }
                        None => continue,
                    },
                };
                odd.entry(sort).or_insert_with(|| Map::new().into())[name] = what.into();
            }
        }
        if let (false, Some(name)) = (odd.is_empty(), text(pod, "/metadata/name")) {
            object["pods"][name] = odd.into();
        }
    }
}

/// What a container was started from, where that is none of these digests; `None` too where
/// nothing is known of them, or not yet of it.
fn started_from(pod: &Value, container: &str, digests: &[Sha256]) -> Option<Sha256> {
    let lists = ["containerStatuses", "initContainerStatuses"];
    let statuses = lists
        .iter()
        .filter_map(|list| pod.pointer(&format!("/status/{list}"))?.as_array());
    let own = statuses
        .flatten()
        .find(|status| text(status, "/name") == Some(container))?;
    // `docker-pullable://name@sha256:…`, `name@sha256:…`, `docker://sha256:…`, `sha256:…`.
    let (_, digest) = text(own, "/imageID")?.rsplit_once("sha256:")?;
    let digest = digest.parse().ok()?;
    (!digests.is_empty() && !digests.contains(&digest)).then_some(digest)
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}
