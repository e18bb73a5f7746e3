//! What runs of a workload: the containers of its pods, and the images that they were started
//! from. The workload itself does not tell: a container for debugging is put into a pod alone,
//! a pod's image can be set without its template, and a tag leads elsewhere tomorrow.
//!
//! What is found stands in the workload's object, below `pods`. A pod belongs to the workload whose
//! controller owns it; one that nobody owns is none's. Invariants: a container that was put in for
//! debugging, and an image that is neither named as recorded nor of the recorded bytes, is a
//! difference; what admission put in, and what an older revision still runs, is listed; a workload
//! whose pods could not be looked at is unmeasured.

use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::{name::ArtifactName, reason::Reason};
use serde_json::{Map, Value};

use super::{
    super::docker::{self, ImageBytes},
    Desk, live,
    owned::{Owned, Pod},
    rules::{CONTAINERS, is_workload, pod_of},
};
use crate::sources::{Recorded, SourceError};

/// Where a deployment and its replica sets say which revision they are.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// What a mesh's charts write where its webhook is to fill in an image.
const PLACEHOLDER: &str = "auto";

/// A workload among what is live.
struct Workload {
    /// Its place among what is live.
    place: usize,
    /// By the names of containers.
    images: BTreeMap<String, Known>,
    found: Found,
}

/// An image as it was recorded.
struct Known {
    name: String,
    bytes: Option<ImageBytes>,
}

/// What its pods have that their template does not say.
#[derive(Default)]
struct Found {
    debugging: Map<String, Value>,
    images: Map<String, Value>,
    injected: Counts,
    older: Counts,
    /// Recorded images whose bytes no pod could be held against.
    unheld: BTreeSet<String>,
}

/// How many pods run an image as a container of that name.
type Counts = BTreeMap<(String, String), usize>;

/// Adds what runs to the workloads among what is live.
pub(super) fn add(
    live: &mut Vec<(ArtifactName, Value)>,
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let mut namespaces: BTreeMap<String, Vec<Workload>> = BTreeMap::new();
    for (place, (name, object)) in live.iter_mut().enumerate() {
        let known = recorded.object(name.as_str());
        if let Some(known) = known.filter(|_| is_workload(object)) {
            // The API has no such member.
            object.as_object_mut().map(|members| members.remove("pods"));
            let of = namespaces.entry(text(object, "/metadata/namespace").to_owned());
            of.or_default().push(workload(place, &known, recorded));
        }
    }
    let mut unseen = BTreeSet::new();
    for (namespace, mut workloads) in namespaces {
        match look(&namespace, &mut workloads, live) {
            Ok(()) => {
                for workload in workloads {
                    if let Some((_, object)) = live.get_mut(workload.place) {
                        workload.found.tell(object, desk);
                    }
                }
            }
            Err(error @ (SourceError::NoTool { .. } | SourceError::Unreachable { .. })) => {
                return Err(error);
            }
            Err(error) => {
                for workload in workloads {
                    if let Some((name, _)) = live.get(workload.place) {
                        let why = format!("its pods cannot be looked at: {error}");
                        desk.unmeasured(name, Reason::ToolFailed, why);
                    }
                    unseen.insert(workload.place);
                }
            }
        }
    }
    let mut place = 0..;
    live.retain(|_| {
        !place
            .next()
            .is_some_and(|place: usize| unseen.contains(&place))
    });
    Ok(())
}

fn workload(place: usize, known: &Value, recorded: &Recorded<'_>) -> Workload {
    let lists = CONTAINERS.iter();
    let lists = lists.filter_map(|list| pod_of(known)?.get(*list)?.as_array());
    let images = lists.flatten().filter_map(|container| {
        let image = container.get("image")?.as_str()?;
        let name = container.get("name")?.as_str()?.to_owned();
        let known = Known {
            name: image.to_owned(),
            bytes: docker::bytes_of(image, recorded),
        };
        Some((name, known))
    });
    Workload {
        place,
        images: images.collect(),
        found: Found::default(),
    }
}

/// Looks at all pods of a namespace.
fn look(
    namespace: &str,
    workloads: &mut [Workload],
    live: &[(ArtifactName, Value)],
) -> Result<(), SourceError> {
    let object = |workload: &Workload| live.get(workload.place).map_or(&Value::Null, |it| &it.1);
    // By the uid of whoever controls a pod: which workload, and whether it is its newest revision.
    let mut owners: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    let mut between = BTreeSet::new();
    for (at, workload) in workloads.iter().enumerate() {
        let object = object(workload);
        owners.insert(text(object, "/metadata/uid").to_owned(), (at, true));
        between.extend(match text(object, "/kind") {
            "Deployment" => Some("ReplicaSet.v1.apps"),
            "CronJob" => Some("Job.v1.batch"),
            _ => None,
        });
    }
    for resource in between {
        for owned in live::all::<Owned>(resource, namespace)? {
            let above = owned
                .metadata
                .controller()
                .and_then(|uid| owners.get(uid))
                .copied();
            if let Some((at, _)) = above {
                let deployment = workloads.get(at).map_or(&Value::Null, object);
                let newest = revision_of(deployment);
                let current = newest.is_none() || owned.metadata.annotation(REVISION) == newest;
                owners.insert(owned.metadata.uid().to_owned(), (at, current));
            }
        }
    }
    let pods = live::all::<Pod>("Pod.v1.", namespace)?;
    for pod in pods.iter().filter(|pod| !pod.is_over()) {
        let owner = pod.metadata.controller().and_then(|uid| owners.get(uid));
        if let Some((at, current)) = owner.copied()
            && let Some(workload) = workloads.get_mut(at)
        {
            let object = live.get(workload.place).map_or(&Value::Null, |it| &it.1);
            let current = current && !is_behind(pod, object);
            workload.look(pod, current);
        }
    }
    Ok(())
}

fn revision_of(object: &Value) -> Option<&str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(REVISION)?
        .as_str()
}

/// Whether a pod is of an older revision, as far as its controller says so: by the revision's name,
/// or that not all are of the newest.
fn is_behind(pod: &Pod, object: &Value) -> bool {
    match text(object, "/kind") {
        "StatefulSet" => {
            let newest = text(object, "/status/updateRevision");
            let own = pod.metadata.label("controller-revision-hash");
            !newest.is_empty() && own.is_some_and(|own| own != newest)
        }
        "DaemonSet" => {
            let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
            number("/status/updatedNumberScheduled") < number("/status/desiredNumberScheduled")
        }
        _ => false,
    }
}

impl Workload {
    fn look(&mut self, pod: &Pod, current: bool) {
        let found = &mut self.found;
        let at = |container: &str| format!("{}/{container}", pod.metadata.name());
        for container in &pod.spec.ephemeral {
            found
                .debugging
                .insert(at(&container.name), container.image.clone().into());
        }
        if pod.is_leaving() {
            return;
        }
        for container in pod.spec.init.iter().chain(&pod.spec.containers) {
            let (name, image) = (&container.name, &container.image);
            let count = |counts: &mut Counts| {
                *counts.entry((name.clone(), image.clone())).or_default() += 1;
            };
            let known = self.images.get(name);
            let Some(known) = known.filter(|known| known.name != PLACEHOLDER) else {
                count(&mut found.injected);
                continue;
            };
            match known.differs(image, pod.image_id(name), &mut found.unheld) {
                Some(what) if current => {
                    found.images.insert(at(name), what.into());
                }
                Some(_) => count(&mut found.older),
                None => {}
            }
        }
    }
}

impl Known {
    /// How a container of it differs, by its bytes where those can be told, or else by its name.
    fn differs(
        &self,
        image: &str,
        id: Option<&str>,
        unheld: &mut BTreeSet<String>,
    ) -> Option<String> {
        let Self { name, bytes } = self;
        if let (Some(bytes), Some(id)) = (bytes, id) {
            match bytes.are(id) {
                Some(true) => return None,
                Some(false) => {
                    return Some(format!("{image}, of {id}, which is no recorded {name}"));
                }
                None => {
                    unheld.insert(name.clone());
                }
            }
        }
        (name != image).then(|| format!("{image}, and not {name}"))
    }
}

impl Found {
    /// Writes it into the workload.
    fn tell(self, object: &mut Value, desk: &mut Desk<'_>) {
        for image in self.unheld {
            desk.note(format!(
                "pods of {image} were held against its name alone: of its bytes not all digests \
                 that a node may show are recorded"
            ));
        }
        let mut pods = Map::new();
        for (sort, all) in [
            ("debugging", self.debugging),
            ("images", self.images),
            ("injected", listed(self.injected)),
            ("older", listed(self.older)),
        ] {
            if !all.is_empty() {
                pods.insert(sort.to_owned(), all.into());
            }
        }
        if let (Some(members), false) = (object.as_object_mut(), pods.is_empty()) {
            members.insert("pods".to_owned(), pods.into());
        }
    }
}

fn listed(counts: Counts) -> Map<String, Value> {
    let counts = counts.into_iter().map(|((name, image), count)| {
        (
            format!("{name} {image}"),
            format!("in pods: {count}").into(),
        )
    });
    counts.collect()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
