//! What runs of a workload: the containers of its pods, and the images that they were started
//! from. The workload itself does not tell: a container for debugging is put into a pod alone,
//! a pod's image can be set without its template, and a tag leads elsewhere tomorrow.
//!
//! What is found stands in the workload's object, below `pods`. A pod belongs to the workloads that
//! control it, itself or through what they control; one that nobody controls is none's. Invariants:
//! a container that was put in for debugging, and an image of the newest revision that is neither
//! of the recorded bytes nor named as recorded, is a difference; what admission put in, and what an
//! older revision still runs, is told; a workload of whose newest revision nothing runs beside
//! older ones, or whose pods could not be looked at, is unmeasured unless it differs by itself.

use std::collections::BTreeMap;

use cairn_proto::name::ArtifactName;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::docker,
    Desk,
    beside::{Beside, Totals},
    live,
    owned::{Owned, Pod},
    rules::is_workload,
};
use crate::sources::{Recorded, SourceError};

/// Where a deployment and its replica sets say which revision they are.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// The same of a daemon set, and of its pods.
const GENERATION: &str = "deprecated.daemonset.template.generation";
const GENERATION_OF_POD: &str = "pod-template-generation";

/// A workload among what is live.
struct Workload {
    /// Its place among what is live.
    place: usize,
    beside: Beside,
    /// Why its pods are not known.
    trouble: Option<String>,
}

/// By the uid of what controls a pod: which workloads, and whether it is their newest revision.
type Owners = BTreeMap<String, Vec<(usize, bool)>>;

/// Adds what runs to the workloads among what is live; and says of which it is not known, or not
/// what it should be.
pub(super) fn add(
    live: &mut [(ArtifactName, Value)],
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<BTreeMap<ArtifactName, String>, SourceError> {
    let images = docker::images(recorded);
    let mut namespaces: BTreeMap<String, Vec<Workload>> = BTreeMap::new();
    for (place, (name, object)) in live.iter_mut().enumerate() {
        let known = recorded.object(name.as_str());
        if let Some(known) = known.filter(|_| is_workload(object)) {
            // The API has no such member.
            object.as_object_mut().map(|members| members.remove("pods"));
            let of = namespaces.entry(text(object, "/metadata/namespace").to_owned());
            of.or_default().push(Workload {
                place,
                beside: Beside::of(&known, &images),
                trouble: None,
            });
        }
    }
    let (mut totals, mut troubles) = (Totals::default(), BTreeMap::new());
    let there = live::at_once(&namespaces, |(namespace, workloads)| {
        There::ask(namespace, workloads, live)
    })?;
    for (mut workloads, there) in namespaces.into_values().zip(there) {
        look(&mut workloads, live, there);
        for workload in workloads {
            let Some((name, object)) = live.get_mut(workload.place) else {
                continue;
            };
            let trouble = workload.trouble.or_else(|| workload.beside.trouble());
            troubles.extend(trouble.map(|why| (name.clone(), why)));
            workload.beside.tell(object, &mut totals);
        }
    }
    totals.tell(desk);
    Ok(troubles)
}

/// What there is in a namespace, or why it is not told.
struct There {
    /// What stands between workloads of a kind and their pods.
    between: Vec<(&'static str, Result<Vec<Owned>, String>)>,
    pods: Result<Vec<Pod>, String>,
}

impl There {
    fn ask(
        namespace: &str,
        workloads: &[Workload],
        live: &[(ArtifactName, Value)],
    ) -> Result<Self, SourceError> {
        let objects = objects(workloads, live);
        let has = |kind: &str| objects.iter().any(|object| text(object, "/kind") == kind);
        let between = [
            ("Deployment", "ReplicaSet.v1.apps"),
            ("CronJob", "Job.v1.batch"),
        ];
        let between = between.into_iter().filter(|(kind, _)| has(kind));
        let between = between.map(|(kind, resource)| Ok((kind, all(resource, namespace)?)));
        Ok(Self {
            between: between.collect::<Result<_, SourceError>>()?,
            pods: all("Pod.v1.", namespace)?,
        })
    }
}

fn objects<'v>(workloads: &[Workload], live: &'v [(ArtifactName, Value)]) -> Vec<&'v Value> {
    let all = workloads.iter();
    all.map(|it| live.get(it.place).map_or(&Value::Null, |it| &it.1))
        .collect()
}

/// Looks at all pods of a namespace.
fn look(workloads: &mut [Workload], live: &[(ArtifactName, Value)], there: There) {
    let objects = objects(workloads, live);
    let mut owners = Owners::new();
    for (at, object) in objects.iter().enumerate() {
        let uid = text(object, "/metadata/uid").to_owned();
        owners.entry(uid).or_default().push((at, true));
    }
    for (kind, between) in there.between {
        match between {
            Ok(between) => between
                .iter()
                .for_each(|it| descend(it, &objects, &mut owners)),
            Err(why) => {
                let own = workloads.iter_mut().zip(&objects);
                let own = own.filter(|(_, object)| text(object, "/kind") == kind);
                own.for_each(|(workload, _)| workload.trouble = Some(why.clone()));
            }
        }
    }
    let pods = match there.pods {
        Ok(pods) => pods,
        Err(why) => {
            let all = workloads.iter_mut();
            all.for_each(|workload| workload.trouble = Some(why.clone()));
            return;
        }
    };
    for pod in pods.iter().filter(|pod| !pod.is_over()) {
        let owners = pod.metadata.controller().and_then(|uid| owners.get(uid));
        for (at, current) in owners.into_iter().flatten() {
            if let (Some(workload), Some(object)) = (workloads.get_mut(*at), objects.get(*at)) {
                workload
                    .beside
                    .look(pod, *current && !is_behind(pod, object));
            }
        }
    }
}

/// All of a kind in a namespace; or why that is not told, where others may be.
fn all<T: DeserializeOwned>(
    resource: &str,
    namespace: &str,
) -> Result<Result<Vec<T>, String>, SourceError> {
    match live::all(resource, namespace) {
        Ok(all) => Ok(Ok(all)),
        Err(error) if error.is_of_all() => Err(error),
        Err(error) => Ok(Err(format!("its pods cannot be looked at: {error}"))),
    }
}

/// What one controls that a workload controls is the workload's as well.
fn descend(between: &Owned, objects: &[&Value], owners: &mut Owners) {
    let own = &between.metadata;
    let above = own.controller().and_then(|uid| owners.get(uid)).cloned();
    for (at, _) in above.into_iter().flatten() {
        let newest = objects
            .get(at)
            .and_then(|object| annotation(object, REVISION));
        let current = newest.is_none() || own.annotation(REVISION) == newest;
        let of = owners.entry(own.uid().to_owned()).or_default();
        of.push((at, current));
    }
}

fn annotation<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(name)?
        .as_str()
}

/// Whether a pod is of an older revision, as far as its controller says so.
fn is_behind(pod: &Pod, object: &Value) -> bool {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
    let seen = number("/status/observedGeneration");
    if seen.is_some() && seen < number("/metadata/generation") {
        // It has not seen yet what it is to be.
        return true;
    }
    let own = |label: &str| pod.metadata.label(label).unwrap_or_default();
    match text(object, "/kind") {
        "StatefulSet" => {
            let newest = text(object, "/status/updateRevision");
            let rolling = newest != text(object, "/status/currentRevision");
            rolling && own("controller-revision-hash") != newest
        }
        "DaemonSet" => {
            let newest = annotation(object, GENERATION);
            newest.is_some_and(|newest| own(GENERATION_OF_POD) != newest)
        }
        _ => false,
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
